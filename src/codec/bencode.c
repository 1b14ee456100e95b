/* codec/bencode: one loop over the input, with a small stack of the containers that are open.
 *
 * Tokens stand in the order in which their values begin, so a subtree is a run of tokens, and the
 * first child of a container is the token right after it. */
#include "codec/bencode.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdlib.h>

enum {
    DEPTH_CAP = 128, /* of the stack: no limit asked for may pass it */
    LEN_MAX = INT32_MAX,
};

const struct benc_limits benc_limits_file = { .depth = 100, .tokens = 3000000 };
const struct benc_limits benc_limits_message = { .depth = 32, .tokens = 10000 };

/* A container that is open. */
struct level {
    uint32_t tok;
    uint32_t last_key; /* of a dictionary; BENC_NONE before the first */
    bool wants_value;  /* a dictionary's key has been read, its value has not */
};

struct reader {
    struct tarn_bytes in;
    struct benc_limits limits;
    struct benc_tok *toks; /* owned */
    size_t n, cap;
    size_t at; /* the next byte to read */
    struct level stack[DEPTH_CAP];
    uint32_t depth;
    struct tarn_err *err;
};

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* The next byte, or -1 at the end. */
static int peek(const struct reader *r)
{
    return r->at < r->in.len ? r->in.p[r->at] : -1;
}

static bool fail_at(const struct reader *r, size_t at, const char *why)
{
    return tarn_fail(r->err, TARN_E_FAILED, "byte %zu: %s", at, why);
}

static bool fail_ends(const struct reader *r)
{
    return fail_at(r, r->in.len, "the data end in the middle of a value (truncated?)");
}

static bool fail_byte(const struct reader *r, const char *wanted)
{
    struct tarn_quote q;
    if (r->at >= r->in.len)
        return fail_ends(r);
    return tarn_fail(r->err, TARN_E_FAILED, "byte %zu: '%s' where %s should be", r->at,
                     tarn_quote(&q, tarn_bytes_of(r->in.p + r->at, 1)), wanted);
}

/* Decimal digits; their value is at most max, or false with nothing said. */
static bool take_digits(struct reader *r, uint64_t max, uint64_t *value, size_t *n_digits)
{
    size_t first = r->at;
    uint64_t v = 0;
    for (int c = peek(r); is_digit(c); c = peek(r)) {
        uint64_t digit = (uint64_t)(c - '0');
        if (v > max / 10 || v * 10 > max - digit)
            return false;
        v = v * 10 + digit;
        r->at++;
    }
    *value = v;
    *n_digits = r->at - first;
    return true;
}

static bool read_int(struct reader *r, struct benc_tok *t)
{
    r->at++; /* the 'i' */
    t->body = (uint32_t)r->at;
    bool negative = peek(r) == '-';
    if (negative)
        r->at++;
    bool zero_first = peek(r) == '0';
    uint64_t max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t value;
    size_t n_digits;
    if (!take_digits(r, max, &value, &n_digits))
        return fail_at(r, t->off, "an integer that needs more than 64 bits");
    if (n_digits == 0)
        return fail_byte(r, "a digit of an integer");
    if (peek(r) != 'e')
        return fail_byte(r, "a digit or the 'e' that ends an integer");
    r->at++;
    if (zero_first && (n_digits > 1 || negative))
        t->soft |= BENC_SOFT_NUMBER;
    return true;
}

static bool read_str(struct reader *r, struct benc_tok *t)
{
    bool zero_first = peek(r) == '0';
    uint64_t len;
    size_t n_digits;
    if (!take_digits(r, LEN_MAX, &len, &n_digits))
        return fail_at(r, t->off, "a string longer than 2147483647 bytes");
    if (peek(r) != ':')
        return fail_byte(r, "a digit or the ':' of a string's length");
    r->at++;
    if (len > r->in.len - r->at)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "byte %u: a string of %u bytes where only %zu are left (truncated?)",
                         t->off, (unsigned)len, r->in.len - r->at);
    t->body = (uint32_t)r->at;
    r->at += len;
    if (zero_first && n_digits > 1)
        t->soft |= BENC_SOFT_NUMBER;
    return true;
}

static struct benc_tok *add_token(struct reader *r, enum benc_type type)
{
    if (r->n >= r->limits.tokens) {
        tarn_fail(r->err, TARN_E_FAILED, "byte %zu: more than %u values", r->at, r->limits.tokens);
        return NULL;
    }
    if (!TARN_GROW(r->toks, r->n, r->cap)) {
        tarn_fail_mem(r->err, "reading bencoded data");
        return NULL;
    }
    struct benc_tok *t = &r->toks[r->n++];
    *t =
        (struct benc_tok){ .off = (uint32_t)r->at, .body = (uint32_t)r->at, .type = (uint8_t)type };
    return t;
}

static bool open_container(struct reader *r)
{
    if (r->depth >= r->limits.depth)
        return tarn_fail(r->err, TARN_E_FAILED, "byte %zu: nested deeper than %u levels", r->at,
                         r->limits.depth);
    r->stack[r->depth++] = (struct level){ .tok = (uint32_t)r->n - 1, .last_key = BENC_NONE };
    r->at++;
    return true;
}

static struct tarn_bytes str_of(const struct reader *r, uint32_t tok)
{
    const struct benc_tok *t = &r->toks[tok];
    return tarn_bytes_of(r->in.p + t->body, t->off + t->len - t->body);
}

/* The key at tok follows the one before it in the same dictionary. */
static void note_key(struct reader *r, struct level *level, uint32_t tok)
{
    if (level->last_key != BENC_NONE) {
        int order = tarn_bytes_cmp(str_of(r, level->last_key), str_of(r, tok));
        if (order > 0)
            r->toks[level->tok].soft |= BENC_SOFT_ORDER;
        else if (order == 0)
            r->toks[level->tok].soft |= BENC_SOFT_TWICE;
    }
    level->last_key = tok;
}

/* The value at tok is complete; tell the container it stands in. */
static void complete(struct reader *r, uint32_t tok)
{
    struct benc_tok *t = &r->toks[tok];
    t->len = (uint32_t)(r->at - t->off);
    t->next = (uint32_t)r->n;
    if (r->depth == 0)
        return;
    struct level *level = &r->stack[r->depth - 1];
    r->toks[level->tok].soft |= t->soft;
    if (r->toks[level->tok].type != BENC_DICT)
        return;
    if (!level->wants_value)
        note_key(r, level, tok);
    level->wants_value = !level->wants_value;
}

static bool close_container(struct reader *r)
{
    struct level *level = &r->stack[r->depth - 1];
    if (level->wants_value)
        return fail_byte(r, "the value of a dictionary's key");
    r->at++;
    r->depth--;
    complete(r, level->tok);
    return true;
}

/* Read up to the end of one scalar, or past the letter that opens or closes a container. */
static bool step(struct reader *r)
{
    const struct level *level = r->depth == 0 ? NULL : &r->stack[r->depth - 1];
    bool in_dict = level != NULL && r->toks[level->tok].type == BENC_DICT;
    int c = peek(r);
    if (c < 0)
        return fail_ends(r);
    if (c == 'e' && level != NULL)
        return close_container(r);
    if (in_dict && !level->wants_value && !is_digit(c))
        return fail_byte(r, "a dictionary's key (a string) or its end");
    if (c != 'i' && c != 'l' && c != 'd' && !is_digit(c))
        return fail_byte(r, "a value");
    enum benc_type type = c == 'i'   ? BENC_INT
                          : c == 'l' ? BENC_LIST
                          : c == 'd' ? BENC_DICT
                                     : BENC_STR;
    struct benc_tok *t = add_token(r, type);
    if (t == NULL)
        return false;
    if (type == BENC_LIST || type == BENC_DICT)
        return open_container(r);
    if (type == BENC_INT ? !read_int(r, t) : !read_str(r, t))
        return false;
    complete(r, (uint32_t)r->n - 1);
    return true;
}

bool benc_parse(struct benc *b, struct tarn_bytes in, const struct benc_limits *limits,
                struct tarn_err *err)
{
    struct reader r = { .in = in, .limits = *limits, .err = err };
    if (r.limits.depth > DEPTH_CAP)
        r.limits.depth = DEPTH_CAP;
    if (in.len > LEN_MAX)
        return tarn_fail(err, TARN_E_FAILED, "%zu bytes are more than bencoding is read from (%d)",
                         in.len, LEN_MAX);
    do {
        if (!step(&r)) {
            tarn_free(r.toks);
            return false;
        }
    } while (r.depth > 0);
    *b = (struct benc){ .in = in, .toks = r.toks, .n = (uint32_t)r.n, .used = r.at };
    return true;
}

void benc_release(struct benc *b)
{
    tarn_free(b->toks);
    *b = (struct benc){ .toks = NULL };
}

bool benc_is(const struct benc *b, benc_val v, enum benc_type type)
{
    return v < b->n && b->toks[v].type == type;
}

struct tarn_bytes benc_raw(const struct benc *b, benc_val v)
{
    if (v >= b->n)
        return tarn_bytes_of(NULL, 0);
    return tarn_bytes_of(b->in.p + b->toks[v].off, b->toks[v].len);
}

struct tarn_bytes benc_str(const struct benc *b, benc_val v)
{
    if (!benc_is(b, v, BENC_STR))
        return tarn_bytes_of(NULL, 0);
    const struct benc_tok *t = &b->toks[v];
    return tarn_bytes_of(b->in.p + t->body, t->off + t->len - t->body);
}

bool benc_int(const struct benc *b, benc_val v, int64_t *out)
{
    if (!benc_is(b, v, BENC_INT))
        return false;
    const struct benc_tok *t = &b->toks[v];
    const uint8_t *p = b->in.p + t->body;
    bool negative = *p == '-';
    uint64_t value = 0; /* the parser has seen that it fits */
    for (p += negative; *p != 'e'; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

benc_val benc_first(const struct benc *b, benc_val container)
{
    if (!benc_is(b, container, BENC_LIST) && !benc_is(b, container, BENC_DICT))
        return BENC_NONE;
    return container + 1 < b->toks[container].next ? container + 1 : BENC_NONE;
}

benc_val benc_next(const struct benc *b, benc_val container, benc_val v)
{
    if (v >= b->n || container >= b->n)
        return BENC_NONE;
    benc_val next = b->toks[v].next;
    if (b->toks[container].type == BENC_DICT)
        next = b->toks[next].next; /* past the value */
    return next < b->toks[container].next ? next : BENC_NONE;
}

benc_val benc_value(const struct benc *b, benc_val key)
{
    return key < b->n ? b->toks[key].next : BENC_NONE;
}

benc_val benc_get(const struct benc *b, benc_val dict, const char *key)
{
    if (!benc_is(b, dict, BENC_DICT))
        return BENC_NONE;
    struct tarn_bytes wanted = tarn_bytes_str(key);
    for (benc_val k = benc_first(b, dict); k != BENC_NONE; k = benc_next(b, dict, k))
        if (tarn_bytes_eq(benc_str(b, k), wanted))
            return benc_value(b, k);
    return BENC_NONE;
}

benc_val benc_get_of(const struct benc *b, benc_val dict, const char *key, enum benc_type type)
{
    benc_val v = benc_get(b, dict, key);
    return benc_is(b, v, type) ? v : BENC_NONE;
}

/* A key for sorting: its bytes, and where it stands. */
struct sort_key {
    struct tarn_bytes bytes;
    benc_val key;
};

static int by_bytes(const void *a, const void *b)
{
    const struct sort_key *x = a, *y = b;
    int order = tarn_bytes_cmp(x->bytes, y->bytes);
    if (order != 0)
        return order;
    return x->key < y->key ? -1 : x->key > y->key;
}

static bool fail_twice(const struct benc *b, benc_val key, struct tarn_err *err)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_FAILED, "byte %u: the key '%s' stands twice in one dictionary",
                     b->toks[key].off, tarn_quote(&q, benc_str(b, key)));
}

static bool unique_in(const struct benc *b, benc_val dict, struct tarn_err *err)
{
    size_t n = 0;
    for (benc_val k = benc_first(b, dict); k != BENC_NONE; k = benc_next(b, dict, k))
        n++;
    struct sort_key *keys = tarn_calloc(n, sizeof *keys);
    if (keys == NULL)
        return tarn_fail_mem(err, "looking for keys that stand twice");
    n = 0;
    for (benc_val k = benc_first(b, dict); k != BENC_NONE; k = benc_next(b, dict, k))
        keys[n++] = (struct sort_key){ benc_str(b, k), k };
    if (n > 1)
        qsort(keys, n, sizeof *keys, by_bytes);
    bool unique = true;
    for (size_t i = 1; unique && i < n; i++)
        if (tarn_bytes_eq(keys[i - 1].bytes, keys[i].bytes))
            unique = fail_twice(b, keys[i].key, err);
    tarn_free(keys);
    return unique;
}

bool benc_unique(const struct benc *b, benc_val v, struct tarn_err *err)
{
    uint32_t end = v < b->n ? b->toks[v].next : 0;
    while (v < end) {
        const struct benc_tok *t = &b->toks[v];
        if ((t->soft & (BENC_SOFT_ORDER | BENC_SOFT_TWICE)) == 0) {
            v = t->next; /* keys that are sorted and differ from their neighbours all differ */
            continue;
        }
        if (t->type == BENC_DICT && !unique_in(b, v, err))
            return false;
        v++;
    }
    return true;
}

/* By hand: a torrent of many files is mostly numbers, and printf would be most of the work. */
static void put_number(struct tarn_out *o, const char *before, uint64_t v, char after)
{
    char digits[24];
    char *p = digits + sizeof digits;
    *--p = after;
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    tarn_out_str(o, before);
    tarn_out_put(o, tarn_bytes_of(p, (size_t)(digits + sizeof digits - p)));
}

void benc_put_int(struct tarn_out *o, int64_t v)
{
    put_number(o, v < 0 ? "i-" : "i", v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 'e');
}

void benc_put_str(struct tarn_out *o, struct tarn_bytes s)
{
    put_number(o, "", s.len, ':');
    tarn_out_put(o, s);
}

void benc_put_key(struct tarn_out *o, const char *key)
{
    benc_put_str(o, tarn_bytes_str(key));
}

void benc_open_dict(struct tarn_out *o)
{
    tarn_out_u8(o, 'd');
}

void benc_open_list(struct tarn_out *o)
{
    tarn_out_u8(o, 'l');
}

void benc_close(struct tarn_out *o)
{
    tarn_out_u8(o, 'e');
}
