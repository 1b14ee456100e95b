/* codec/json: JSON written as a stream (RFC 8259). Pure.
 *
 * Commas and nesting are kept by the writer; the caller writes a key before each value of an
 * object. Strings that are not UTF-8 are written with U+FFFD for each faulty sequence; json_bytes
 * adds the bytes beside it as "<key>_b64". */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/out.h"

struct json {
    struct tarn_out *out; /* borrowed */
    uint64_t has_items;   /* one bit a level */
    unsigned depth;       /* at most 63 */
    bool after_key;
};

void json_init(struct json *j, struct tarn_out *out);
void json_open_object(struct json *j);
void json_close_object(struct json *j);
void json_open_array(struct json *j);
void json_close_array(struct json *j);
void json_key(struct json *j, const char *key);
void json_str(struct json *j, struct tarn_bytes s);
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_double(struct json *j, double v); /* up to 6 digits after the point; not finite: null */
void json_bool(struct json *j, bool v);
void json_none(struct json *j); /* null; jansson has a json_null */

/* Key and value in one. */
void json_put_str(struct json *j, const char *key, const char *s);
void json_put_bytes(struct json *j, const char *key, struct tarn_bytes b);
void json_put_hex(struct json *j, const char *key, struct tarn_bytes b);
void json_put_u64(struct json *j, const char *key, uint64_t v);
void json_put_bool(struct json *j, const char *key, bool v);

#endif
