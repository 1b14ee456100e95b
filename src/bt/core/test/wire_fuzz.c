/* Any bytes as a connection: what both sides can do comes from the first, the slices from the
 * second. The same bytes at once and in slices must give the same events. */
#include "bt/core/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t sum, uint64_t v)
{
    return (sum ^ v) * 0x9E3779B97F4A7C15 + 1;
}

static uint64_t mix_event(uint64_t sum, const struct bt_event *ev)
{
    sum = mix(sum, (uint64_t)ev->kind);
    sum = mix(sum, ev->request.piece);
    sum = mix(sum, ev->body.len);
    for (size_t i = 0; i < ev->body.len; i++)
        sum = mix(sum, ev->body.p[i]);
    return sum;
}

static uint64_t read_all(uint8_t flags, struct tarn_bytes in, size_t slice)
{
    struct bt_wire w;
    bt_wire_init(&w, flags & 15, (flags & 16) != 0, flags & 32 ? 1000 : 0);
    uint64_t sum = 0;
    size_t at = 0, end = 0;
    enum bt_step step = BT_MORE;
    while (step != BT_BAD && end < in.len) {
        end = in.len - end < slice ? in.len : end + slice;
        struct tarn_cur c = tarn_cur_of(tarn_bytes_of(in.p + at, end - at));
        struct bt_event ev;
        do {
            size_t left = tarn_cur_left(&c);
            uint32_t n = left < w.payload_left ? (uint32_t)left : w.payload_left;
            (void)tarn_cur_take(&c, n);
            bt_wire_payload(&w, n);
            step = BT_MORE;
            if (w.payload_left == 0)
                step = bt_wire_next(&w, &c, &ev, NULL);
            if (step == BT_EVENT)
                sum = mix_event(sum, &ev);
        } while (step == BT_EVENT);
        at = end - tarn_cur_left(&c);
    }
    return mix(sum, step);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct tarn_bytes in = tarn_bytes_of(data + 2, size - 2);
    if (read_all(data[0], in, in.len) != read_all(data[0], in, 1 + (size_t)data[1]))
        abort();
    return 0;
}
