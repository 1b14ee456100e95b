/* Any bytes as a magnet link: what is accepted names a torrent and holds clean strings. */
#include "bt/core/magnet.h"

#include "base/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(const char *const *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (items[i][0] == '\0')
            abort();
        for (uint32_t k = 0; k < i && n < 50; k++)
            if (strcmp(items[i], items[k]) == 0)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bt_magnet m;
    struct tarn_err err = { .code = TARN_OK };
    if (!bt_magnet_parse(&m, tarn_bytes_of(data, size), &err)) {
        if (err.code != TARN_E_FAILED || err.msg[0] == '\0')
            abort();
        return 0;
    }
    if (!bt_is_magnet(tarn_bytes_of(data, size)) || (!m.hashes.has_v1 && !m.hashes.has_v2))
        abort();
    if (m.name != NULL && !tarn_utf8_valid(tarn_bytes_str(m.name)))
        abort();
    check_texts(m.trackers, m.n_trackers);
    check_texts(m.web_seeds, m.n_web_seeds);
    check_texts(m.peers, m.n_peers);
    for (uint32_t i = 0; i < m.n_only; i++)
        if (m.only[i].first > m.only[i].last)
            abort();
    bt_magnet_release(&m);
    return 0;
}
