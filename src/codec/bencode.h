/* codec/bencode: BEP 3's encoding, read without copying and written canonically.
 *
 * Reading makes one flat array of tokens in one pass, without recursion: each token says where its
 * bytes lie in the input and which token follows its whole subtree, so skipping is O(1). Hard
 * faults (truncated, wrong byte, too deep, too many tokens, number outside int64) refuse. Soft
 * faults (leading zeros, unsorted keys, bytes after the end) are noted, and the caller decides:
 * bytes are hashed as they were found, never re-encoded. Pure. */
#ifndef CODEC_BENCODE_H
#define CODEC_BENCODE_H

#include "base/err.h"
#include "base/out.h"

enum benc_type { BENC_INT, BENC_STR, BENC_LIST, BENC_DICT };

enum benc_soft {
    BENC_SOFT_NUMBER = 1, /* a leading zero or -0 in an integer or a string length */
    BENC_SOFT_ORDER = 2,  /* a dictionary's keys are not sorted */
    BENC_SOFT_TWICE = 4,  /* a key stands twice in one dictionary, side by side: what sorted keys
                             show at once. For unsorted ones ask benc_unique */
};

struct benc_tok {
    uint32_t off;  /* of the first byte of the value, its type letter or length included */
    uint32_t len;  /* of the whole value */
    uint32_t body; /* string: offset of its bytes; integer: of its sign or first digit */
    uint32_t next; /* index of the token after this one's subtree */
    uint8_t type;  /* enum benc_type */
    uint8_t soft;  /* enum benc_soft found in this subtree */
};

struct benc {
    struct tarn_bytes in;  /* borrowed for as long as the tokens are used */
    struct benc_tok *toks; /* owned; toks[0] is the root */
    uint32_t n;
    size_t used; /* bytes of in that the root takes; the rest is trailing */
};

struct benc_limits {
    uint32_t depth;
    uint32_t tokens;
};
/* For files and metadata; for small messages from the network. */
extern const struct benc_limits benc_limits_file;    /* depth 100, 3,000,000 tokens */
extern const struct benc_limits benc_limits_message; /* depth 32, 10,000 tokens */

/* On failure the error names the byte where reading stopped. Input is at most 2^31 - 1 bytes. */
bool benc_parse(struct benc *b, struct tarn_bytes in, const struct benc_limits *limits,
                struct tarn_err *err) TARN_MUST;
void benc_release(struct benc *b); /* accepts a zeroed one */

/* A value is the index of its token; BENC_NONE is no value, and every reader accepts it. */
typedef uint32_t benc_val;
#define BENC_NONE UINT32_MAX
enum { BENC_ROOT = 0 };

bool benc_is(const struct benc *b, benc_val v, enum benc_type type);
struct tarn_bytes benc_raw(const struct benc *b, benc_val v); /* the whole value as found */
struct tarn_bytes benc_str(const struct benc *b, benc_val v); /* empty when not a string */
bool benc_int(const struct benc *b, benc_val v, int64_t *out) TARN_MUST; /* false: not one */

/* Walk a list: for (v = benc_first(b, list); v != BENC_NONE; v = benc_next(b, list, v)).
 * Of a dictionary they give keys; its value is benc_value(b, key). */
benc_val benc_first(const struct benc *b, benc_val container);
benc_val benc_next(const struct benc *b, benc_val container, benc_val v);
benc_val benc_value(const struct benc *b, benc_val key);

/* The value of a key in a dictionary, the first one when it stands twice; BENC_NONE when missing or
 * when dict is no dictionary. _of: only when it has that type. */
benc_val benc_get(const struct benc *b, benc_val dict, const char *key);
benc_val benc_get_of(const struct benc *b, benc_val dict, const char *key, enum benc_type type);

/* No key stands twice in any dictionary of v's subtree. O(1) when its keys are sorted, else they
 * are sorted here, which takes memory. False names the key and its byte. */
bool benc_unique(const struct benc *b, benc_val v, struct tarn_err *err) TARN_MUST;

/* Writing: the caller opens, writes keys in sorted order, and closes. */
void benc_put_int(struct tarn_out *o, int64_t v);
void benc_put_str(struct tarn_out *o, struct tarn_bytes s);
void benc_put_key(struct tarn_out *o, const char *key);
void benc_open_dict(struct tarn_out *o);
void benc_open_list(struct tarn_out *o);
void benc_close(struct tarn_out *o);

#endif
