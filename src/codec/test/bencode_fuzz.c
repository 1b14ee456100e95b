/* Any bytes: parse, walk all of it, and write it again. */
#include "codec/bencode.h"

#include "codec/test/canon.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct benc_limits limits = { .depth = 100, .tokens = 3000 };
    struct benc b;
    struct tarn_err err;
    if (!benc_parse(&b, tarn_bytes_of(data, size), &limits, &err))
        return 0;
    struct tarn_out o;
    tarn_out_init(&o, 2 * size + 64);
    canon_put(&b, BENC_ROOT, &o);
    bool same = tarn_bytes_eq(tarn_bytes_of(data, size), tarn_out_bytes(&o));
    if (!tarn_out_ok(&o) || same != (b.toks[0].soft == 0 && b.used == size))
        abort();
    bool unique = benc_unique(&b, BENC_ROOT, &err);
    if (!unique && (b.toks[0].soft & (BENC_SOFT_TWICE | BENC_SOFT_ORDER)) == 0)
        abort();
    if (unique && (b.toks[0].soft & BENC_SOFT_TWICE) != 0)
        abort();
    tarn_out_release(&o);
    benc_release(&b);
    return 0;
}
