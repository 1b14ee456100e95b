/* codec/url: percent-encoding, query strings and the parts of a URL (RFC 3986). Pure. */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include "base/err.h"
#include "base/out.h"

/* Escape every byte but A-Z a-z 0-9 - _ . ~ */
void url_escape(struct tarn_out *o, struct tarn_bytes b);

/* Undo %XX (and '+' as a space when plus). A '%' without two hex digits stays as it is. */
void url_unescape(struct tarn_out *o, struct tarn_bytes b, bool plus);

/* Take the next key=value from a query (after the '?'); still escaped. False when none is left. */
bool url_query_next(struct tarn_bytes *query, struct tarn_bytes *key, struct tarn_bytes *value);

struct url {
    struct tarn_bytes scheme; /* as found; compare without case */
    struct tarn_bytes host;   /* IPv6 without its brackets */
    struct tarn_bytes path;   /* from the '/', may be empty */
    struct tarn_bytes query;  /* without the '?' */
    uint16_t port;            /* 0 when not given */
    bool has_query;
};
/* scheme://[user@]host[:port][/path][?query][#fragment]; the parts borrow from text. Control
 * characters and spaces refuse. */
bool url_parse(struct tarn_bytes text, struct url *u, struct tarn_err *err) TARN_MUST;
bool url_scheme_is(const struct url *u, const char *scheme);

#endif
