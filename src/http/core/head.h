/* http/core/head: the head of an HTTP/1.1 request (RFC 9110, RFC 9112), without sockets.
 *
 * Bytes go in, in whatever slices they come; out comes a whole request or a refusal with the status
 * to answer. Any slicing gives the same result, and a head that comes byte by byte costs linear
 * time. Nothing here allocates, blocks, logs or asks the time. Lengths are bytes.
 *
 * Reading is strict, because two programs that read one message differently are how requests are
 * smuggled: lines end with CRLF (a bare LF only where the settings say so), one space between the
 * parts of the request line, no white space before a colon, no folded lines, no control bytes, one
 * Content-Length or one `chunked` and never both. After a refusal the connection is closed: what
 * follows in the buffer must not be read as a request.
 *
 * A request says where its parts lie as offsets from its first byte. To keep it longer than the
 * buffer, copy head_len bytes and the fields, and set base and fields to the copies. */
#ifndef HTTP_CORE_HEAD_H
#define HTTP_CORE_HEAD_H

#include "base/err.h"

enum http_step {
    HTTP_MORE, /* all that is there was looked at: read more */
    HTTP_DATA, /* only from bodies: a run of content */
    HTTP_DONE, /* the head, or the body, is complete */
    HTTP_BAD,  /* refused: err says why, and a status is set. Answer it, close */
};

/* Limits of one request, settings of the server. */
struct http_limits {
    uint32_t line;      /* request line, without its line end; more is 414 */
    uint32_t block;     /* all field lines with their line ends; more is 431. Trailers: the same */
    uint16_t fields;    /* field lines; more is 431. Trailers: the same */
    uint32_t chunk_ext; /* all chunk extensions of a message; more is 400 */
    bool is_lf_allowed; /* a bare LF ends a line too (not in chunked bodies) */
};

enum {
    HTTP_LINE_DEFAULT = 8 << 10, /* RFC 9112 asks for at least 8,000 */
    HTTP_BLOCK_DEFAULT = 32 << 10,
    HTTP_FIELDS_DEFAULT = 100,
    HTTP_CHUNK_EXT_DEFAULT = 4 << 10,
    /* The settings may not pass these. */
    HTTP_LINE_MAX = 1 << 20,
    HTTP_BLOCK_MAX = 1 << 20,
    HTTP_FIELDS_MAX = 1000,
};
extern const struct http_limits http_limits_default;

/* Fields that are found without searching. */
enum http_known {
    HTTP_OTHER, /* none of these */
    HTTP_HOST,
    HTTP_CONTENT_LENGTH,
    HTTP_TRANSFER_ENCODING,
    HTTP_CONNECTION,
    HTTP_EXPECT,
    HTTP_UPGRADE,
    HTTP_TE,
    HTTP_TRAILER,
    HTTP_KEEP_ALIVE,
    HTTP_RANGE,
    HTTP_IF_RANGE,
    HTTP_IF_MATCH,
    HTTP_IF_NONE_MATCH,
    HTTP_IF_MODIFIED_SINCE,
    HTTP_IF_UNMODIFIED_SINCE,
    HTTP_ACCEPT,
    HTTP_ACCEPT_ENCODING,
    HTTP_ACCEPT_LANGUAGE,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_ENCODING,
    HTTP_CONTENT_RANGE,
    HTTP_CACHE_CONTROL,
    HTTP_AUTHORIZATION,
    HTTP_COOKIE,
    HTTP_ORIGIN,
    HTTP_REFERER,
    HTTP_USER_AGENT,
    HTTP_LAST_EVENT_ID,
    HTTP_X_FORWARDED_FOR,
    HTTP_X_TRANSMISSION_SESSION_ID,
    HTTP_SET_COOKIE, /* these are of answers; here so that what we write is checked by number */
    HTTP_DATE,
    HTTP_PROXY_CONNECTION,
    HTTP_PROXY_AUTHENTICATE,
    HTTP_PROXY_AUTHORIZATION,
    HTTP_KNOWN_COUNT,
};

/* The number of a name, in any case of letters. */
enum http_known http_known_find(struct tarn_bytes name);

/* Does it describe one connection, not the message (RFC 9110 section 7.6.1)? */
bool http_known_is_hop(enum http_known known);

enum http_method {
    HTTP_UNKNOWN, /* a token, but no method of ours: 501 */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_METHOD_COUNT,
};
#define HTTP_ALLOW(method) (1U << (method))

/* 0 when the method is among allowed (HTTP_ALLOW of some, or-ed), else 501 or 405. */
unsigned http_method_refusal(enum http_method method, unsigned allowed);
/* "GET"; "" for HTTP_UNKNOWN. */
const char *http_method_name(enum http_method method);

enum http_form {
    HTTP_FORM_ORIGIN,    /* /path?query */
    HTTP_FORM_ABSOLUTE,  /* http://host/path?query; its host has replaced Host */
    HTTP_FORM_AUTHORITY, /* host:port, of CONNECT */
    HTTP_FORM_ASTERISK,  /* *, of OPTIONS */
};

enum http_body_kind {
    HTTP_BODY_NONE, /* also when Content-Length is 0 */
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
};

/* A run of the head: an offset from its first byte. */
struct http_span {
    uint32_t at, len;
};

struct http_field {
    struct http_span name;
    struct http_span value; /* without white space around it */
    uint16_t known;         /* enum http_known */
    uint16_t next;          /* 1 + the index of the next field of the same known name; 0: none */
};

struct http_request {
    const uint8_t *base;       /* borrowed: the first byte of the head */
    struct http_field *fields; /* borrowed: room for limits.fields of them */
    uint32_t head_len;         /* after HTTP_DONE: bytes that the head took */
    uint16_t n_fields;
    uint16_t status;            /* after HTTP_BAD: 400, 414, 417, 431, 501 or 505 */
    struct http_span line;      /* the request line, as soon as it is whole; for logs */
    struct http_span name;      /* the method's */
    struct http_span target;    /* as it came */
    struct http_span authority; /* host[:port] of the target or of Host; may be empty */
    struct http_span host;      /* its host, an IPv6 one in its brackets */
    struct http_span path;  /* still escaped; empty (len 0) means "/"; none when HTTP_FORM_ASTERISK
                               or HTTP_FORM_AUTHORITY */
    struct http_span query; /* raw, behind the '?' */
    uint64_t body_len;      /* of HTTP_BODY_LENGTH: 1 to 2^63 - 1 */
    uint16_t port;          /* of the authority; 0: none given */
    uint8_t method;         /* enum http_method */
    uint8_t form;           /* enum http_form */
    uint8_t minor;          /* 0: HTTP/1.0; 1: HTTP/1.1 and later ones of 1 */
    uint8_t body;           /* enum http_body_kind */
    bool has_query;
    bool keeps;              /* the client wants the connection kept; false after a refusal */
    bool is_continue_wanted; /* Expect: 100-continue, and there is a body */
    uint16_t known[HTTP_KNOWN_COUNT]; /* 1 + the index of the first field of that name; 0: none */
};

/* What is remembered of an unfinished head between two calls: a connection's only state while it
 * waits. All zero before a request. */
struct http_scan {
    uint32_t line;     /* where the unfinished line begins */
    uint32_t seen;     /* bytes looked at */
    uint32_t block;    /* where the field lines begin; 0 in the request line */
    uint16_t n_fields; /* lines taken */
};

/* Read a head from the front of in. req may be fresh each time, with only fields set (storage for
 * limits->fields of them).
 * HTTP_MORE  call again with more bytes behind the same ones (they may have moved).
 * HTTP_DONE  *req is set, its offsets count from in.p; scan is zero again. What follows head_len
 *            bytes is the body, or the next request.
 * HTTP_BAD   req->status and err say why; req->line, name and target are set when the request line
 *            was good, so that a log can tell.
 * One empty line before the request line is skipped (RFC 9112 section 2.2). */
enum http_step http_head_next(struct http_scan *scan, const struct http_limits *limits,
                              struct tarn_bytes in, struct http_request *req, struct tarn_err *err)
    TARN_MUST;

/* Has a head begun to arrive? Then silence is answered by 408, else by closing. */
static inline bool http_scan_begun(const struct http_scan *scan)
{
    return scan->seen > 0;
}

static inline struct tarn_bytes http_text(const struct http_request *req, struct http_span s)
{
    return s.len == 0 ? tarn_bytes_of(NULL, 0) : tarn_bytes_of(req->base + s.at, s.len);
}

static inline bool http_has(const struct http_request *req, enum http_known known)
{
    return req->known[known] != 0;
}

/* The value of the first field of that name; empty when there is none. Fields that must be single
 * (Host, Content-Length, Content-Type, Authorization, Range, If-Range, the If- dates, Referer,
 * User-Agent, Origin and Expect) were refused when they came twice. */
static inline struct tarn_bytes http_value(const struct http_request *req, enum http_known known)
{
    uint16_t i = req->known[known];
    return i == 0 ? tarn_bytes_of(NULL, 0) : http_text(req, req->fields[i - 1].value);
}

/* All values of a name, in order: struct http_values it = http_values_of(req, HTTP_ACCEPT); */
struct http_values {
    const struct http_request *req; /* borrowed */
    uint16_t next;
};

static inline struct http_values http_values_of(const struct http_request *req,
                                                enum http_known known)
{
    return (struct http_values){ req, req->known[known] };
}

static inline bool http_values_next(struct http_values *it, struct tarn_bytes *value)
{
    if (it->next == 0)
        return false;
    const struct http_field *f = &it->req->fields[it->next - 1];
    it->next = f->next;
    *value = http_text(it->req, f->value);
    return true;
}

/* The value of the first field called name, in any case of letters; false: there is none. A search:
 * for names that have no number. */
bool http_find(const struct http_request *req, const char *name, struct tarn_bytes *value);

#endif
