/* Any bytes as a tracker's answer; what was read obeys its limits. */
#include "bt/core/tracker.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bt_answer a = { 0 };
    struct tarn_err err;
    if (!bt_answer_parse(&a, tarn_bytes_of(data, size), &err))
        return 0;
    if (a.n_peers > 2 * BT_ANSWER_PEERS_MAX || a.interval_s > BT_INTERVAL_MAX_S ||
        a.min_interval_s > BT_INTERVAL_MAX_S || (a.failed && a.n_peers > 0))
        abort();
    for (size_t i = 0; i < a.n_peers; i++)
        if (!bt_addr_is_usable(&a.peers[i]))
            abort();
    struct bt_tracker one = { "http://a/", 0 };
    struct bt_trackers t;
    struct bt_due due;
    if (bt_trackers_init(&t, &one, 1, false, size, &err) && bt_trackers_due(&t, 0, &due)) {
        bt_trackers_answered(&t, 0, &a, 0);
        if (bt_trackers_wake(&t) <= 0)
            abort();
    }
    bt_trackers_release(&t);
    bt_answer_release(&a);
    return 0;
}
