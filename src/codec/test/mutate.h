/* For fuzz targets whose input is bencode: change one value of a tree and write the tree again, so
 * that lengths stay right and what is changed reaches the code behind the parser. */
#ifndef CODEC_TEST_MUTATE_H
#define CODEC_TEST_MUTATE_H

#include "codec/bencode.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

struct mutation {
    const struct benc *b;
    struct tarn_out *o;
    benc_val at;    /* the value to change */
    benc_val other; /* another one, to put in its place or beside it */
    unsigned how;
    uint64_t random;
};

static int64_t mutate_number(uint64_t random)
{
    static const int64_t edges[] = {
        0,
        1,
        -1,
        2,
        3,
        19,
        20,
        32,
        16383,
        16384,
        16385,
        32768,
        65536,
        536854528,
        1 << 30,
        INT32_MAX,
        INT64_MAX,
        INT64_MIN,
        17592186028031,
        17592186028032,
        (int64_t)1 << 48,
        20000,
        100,
        255,
    };
    return edges[random % (sizeof edges / sizeof edges[0])];
}

static void mutate_string(const struct mutation *x, struct tarn_bytes s)
{
    static const char *const words[] = { "",
                                         "..",
                                         ".",
                                         "/",
                                         "a",
                                         "l",
                                         "p",
                                         "x",
                                         "n",
                                         "\\",
                                         "\xe2\x80\xae",
                                         "\xff",
                                         "_",
                                         "a.1",
                                         "piece length",
                                         "length",
                                         "path",
                                         "attr",
                                         "symlink path",
                                         "pieces root" };
    uint8_t changed[256];
    if (x->how % 2 == 0 || s.len > sizeof changed / 2) {
        benc_put_key(x->o, words[x->random % (sizeof words / sizeof words[0])]);
        return;
    }
    if (s.len > 0)
        memcpy(changed, s.p, s.len);
    size_t n = LLVMFuzzerMutate(changed, s.len, sizeof changed);
    benc_put_str(x->o, tarn_bytes_of(changed, n));
}

static void mutate_put(const struct mutation *x, benc_val v);

static void mutate_children(const struct mutation *x, benc_val v)
{
    bool is_dict = benc_is(x->b, v, BENC_DICT);
    tarn_out_u8(x->o, is_dict ? 'd' : 'l');
    for (benc_val c = benc_first(x->b, v); c != BENC_NONE; c = benc_next(x->b, v, c)) {
        if (c == x->at && x->how == 3) /* left out */
            continue;
        unsigned times = c == x->at && x->how == 4 ? 1 + x->random % 3 : 1;
        for (; times > 0; times--) {
            mutate_put(x, c);
            if (is_dict)
                mutate_put(x, benc_value(x->b, c));
        }
    }
    tarn_out_u8(x->o, 'e');
}

static void mutate_put(const struct mutation *x, benc_val v)
{
    int64_t number;
    bool is_it = v == x->at;
    if (is_it && x->how == 5)
        tarn_out_put(x->o, benc_raw(x->b, x->other));
    else if (benc_is(x->b, v, BENC_LIST) || benc_is(x->b, v, BENC_DICT))
        mutate_children(x, v);
    else if (!is_it || x->how > 2)
        tarn_out_put(x->o, benc_raw(x->b, v));
    else if (benc_int(x->b, v, &number))
        benc_put_int(x->o, x->how == 0 ? mutate_number(x->random)
                                       : (int64_t)((uint64_t)number + x->random % 5 - 2));
    else
        mutate_string(x, benc_str(x->b, v));
}

static size_t mutate_benc(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct benc b;
    uint64_t random = (seed + 1) * 0x9E3779B97F4A7C15;
    random ^= random >> 29;
    if (random % 8 == 0 || !benc_parse(&b, tarn_bytes_of(data, size), &benc_limits_file, NULL))
        return LLVMFuzzerMutate(data, size, max_size);
    struct tarn_out o;
    tarn_out_init(&o, 4 * size + 1024);
    struct mutation x = {
        .b = &b,
        .o = &o,
        .at = (benc_val)(random >> 8 & 0xFFFF) % b.n,
        .other = (benc_val)(random >> 24 & 0xFFFF) % b.n,
        .how = (unsigned)(random >> 40) % 6,
        .random = random >> 43,
    };
    mutate_put(&x, BENC_ROOT);
    size_t n = size;
    if (tarn_out_ok(&o) && o.len > 0 && o.len <= max_size) {
        memcpy(data, o.p, o.len);
        n = o.len;
    }
    tarn_out_release(&o);
    benc_release(&b);
    return n;
}

#endif
