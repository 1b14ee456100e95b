/* Any bytes as a handshake, at once and in slices; what was read is written again. */
#include "bt/core/handshake.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum bt_step read_all(struct bt_handshake *h, struct bt_handshake_reader *r,
                             struct tarn_bytes in, size_t slice)
{
    enum bt_step step = BT_MORE;
    size_t at = 0, end = 0;
    while (step == BT_MORE && end < in.len) {
        end = in.len - end < slice ? in.len : end + slice;
        struct tarn_cur c = tarn_cur_of(tarn_bytes_of(in.p + at, end - at));
        do
            step = bt_handshake_next(r, &c, h, NULL);
        while (step == BT_EVENT);
        at = end - tarn_cur_left(&c);
    }
    return step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct tarn_bytes in = tarn_bytes_of(data + 1, size - 1);
    struct bt_handshake a = { 0 }, b = { 0 };
    struct bt_handshake_reader ra = { 0 }, rb = { 0 };
    enum bt_step sa = read_all(&a, &ra, in, in.len);
    enum bt_step sb = read_all(&b, &rb, in, 1 + (size_t)data[0] % 40);
    if (sa != sb || ra.stage != rb.stage || memcmp(&a, &b, sizeof a) != 0)
        abort();
    if (ra.stage != 2)
        return 0;
    uint8_t buf[BT_HANDSHAKE_LEN];
    struct tarn_out o;
    tarn_out_fixed(&o, buf, sizeof buf);
    bt_handshake_put(&o, &a);
    if (!tarn_out_ok(&o) || memcmp(buf, in.p, 20) != 0 || memcmp(buf + 28, in.p + 28, 40) != 0)
        abort();
    return 0;
}
