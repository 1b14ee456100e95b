/* Any bytes as a torrent. What is accepted keeps its invariants, says the same when it is written
 * and read again, and its magnet link names the same torrent. */
#include "bt/core/metainfo.h"

#include "bt/core/magnet.h"
#include "bt/core/test/invariants.h"
#include "codec/test/mutate.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Most changes of single bytes only break a length; these leave it a tree. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return mutate_benc(data, size, max_size, seed);
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fault: %s\n", what);
    abort();
}

static void check_magnet(const struct bt_metainfo *m)
{
    struct tarn_out o;
    struct bt_magnet link;
    struct tarn_err err;
    tarn_out_init(&o, 64 * TARN_MIB);
    bt_magnet_write(m, &o);
    if (o.len < 1 << 20) {
        must(bt_magnet_parse(&link, tarn_out_bytes(&o), &err), "its magnet link is refused");
        must(memcmp(&link.hashes, &m->hashes, sizeof link.hashes) == 0, "another torrent's link");
        must(link.n_trackers == m->n_trackers, "trackers are lost in the link");
        bt_magnet_release(&link);
    }
    tarn_out_release(&o);
}

static void check_rewrite(const struct bt_metainfo *m)
{
    struct tarn_out o, twice;
    struct bt_metainfo again;
    struct tarn_err err;
    tarn_out_init(&o, 64 * TARN_MIB);
    tarn_out_init(&twice, 64 * TARN_MIB);
    bt_metainfo_write(m, &o);
    must(bt_metainfo_parse(&again, tarn_out_bytes(&o), &err), "written again it is refused");
    const char *what = differs(m, &again);
    must(what == NULL, what);
    bt_metainfo_write(&again, &twice);
    must(tarn_bytes_eq(tarn_out_bytes(&o), tarn_out_bytes(&twice)), "written twice it differs");
    bt_metainfo_release(&again);
    tarn_out_release(&o);
    tarn_out_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bt_metainfo m;
    struct tarn_err err = { .code = TARN_OK };
    if (bt_metainfo_parse(&m, tarn_bytes_of(data, size), &err)) {
        const char *broken = metainfo_fault(&m);
        must(broken == NULL, broken);
        check_rewrite(&m);
        check_magnet(&m);
        bt_metainfo_release(&m);
    } else {
        must(err.code == TARN_E_FAILED && err.msg[0] != '\0', "a refusal without a sentence");
    }
    if (bt_metainfo_parse_info(&m, tarn_bytes_of(data, size), &err)) {
        const char *broken = metainfo_fault(&m);
        must(broken == NULL, broken);
        bt_metainfo_release(&m);
    }
    return 0;
}
