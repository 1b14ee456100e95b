/* A second, slow encoder for tests: any tree of tokens written canonically, keys sorted, each once.
 * encode(decode(x)) == x exactly when the decoder noted no soft fault and nothing trails. */
#ifndef CODEC_TEST_CANON_H
#define CODEC_TEST_CANON_H

#include "codec/bencode.h"

#include <stdlib.h>

struct canon_key {
    struct tarn_bytes bytes;
    benc_val at;
};

static int canon_cmp(const void *a, const void *b)
{
    const struct canon_key *x = a, *y = b;
    int order = tarn_bytes_cmp(x->bytes, y->bytes);
    return order != 0 ? order : x->at < y->at ? -1 : x->at > y->at;
}

static void canon_put(const struct benc *b, benc_val v, struct tarn_out *o);

static void canon_put_dict(const struct benc *b, benc_val v, struct tarn_out *o)
{
    size_t n = 0;
    struct canon_key *keys = calloc(b->n, sizeof *keys);
    if (keys == NULL)
        abort();
    for (benc_val k = benc_first(b, v); k != BENC_NONE; k = benc_next(b, v, k))
        keys[n++] = (struct canon_key){ benc_str(b, k), k };
    qsort(keys, n, sizeof *keys, canon_cmp);
    benc_open_dict(o);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && tarn_bytes_eq(keys[i - 1].bytes, keys[i].bytes))
            continue;
        benc_put_str(o, keys[i].bytes);
        canon_put(b, benc_value(b, keys[i].at), o);
    }
    benc_close(o);
    free(keys);
}

static void canon_put(const struct benc *b, benc_val v, struct tarn_out *o)
{
    int64_t number;
    if (benc_int(b, v, &number)) {
        benc_put_int(o, number);
    } else if (benc_is(b, v, BENC_STR)) {
        benc_put_str(o, benc_str(b, v));
    } else if (benc_is(b, v, BENC_LIST)) {
        benc_open_list(o);
        for (benc_val i = benc_first(b, v); i != BENC_NONE; i = benc_next(b, v, i))
            canon_put(b, i, o);
        benc_close(o);
    } else {
        canon_put_dict(b, v, o);
    }
}

#endif
