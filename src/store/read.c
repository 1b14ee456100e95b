/* store/read: how scan reads: by pread into a buffer of its own that stays in the cache. A file may
 * be cut short by a stranger at any time, and then a read is short, where a mapping would end the
 * process. */
#include "base/num.h"
#include "store/priv.h"

#include <string.h>

enum {
    HINT = 128 << 10,       /* what one hint asks for: what the kernel's own reading ahead takes */
    HINT_AHEAD = 512 << 10, /* so far we stay ahead of the reading */
    WARM_PROBE = 128 << 10, /* judging a run by its beginning */
};

void store_reader_init(struct store_reader *r, struct store_tree *tree)
{
    *r = (struct store_reader){ .tree = tree };
}

void store_reader_release(struct store_reader *r)
{
    sys_file_unref(r->file);
    r->file = NULL;
}

static bool turn_to(struct store_reader *r, uint32_t file, struct tarn_err *err)
{
    if (r->file != NULL && r->index == file)
        return true;
    sys_file_unref(r->file);
    r->index = file;
    r->file = store_tree_file(r->tree, file, err);
    return r->file != NULL;
}

static bool read_part(struct store_reader *r, const struct store_part *part, uint8_t *into,
                      struct store_fault *fault)
{
    size_t got = 0;
    fault->file = part->file;
    fault->err.code = TARN_OK;
    if (!turn_to(r, part->file, &fault->err) ||
        !sys_read_at(r->file->fd, into, (size_t)part->len, part->off, &got, &fault->err)) {
        fault->found = fault->err.code == TARN_E_NOT_FOUND ? STORE_MISSING : STORE_FAILED;
        return false;
    }
    r->bytes += got;
    fault->found = STORE_SHORT;
    return got == part->len;
}

const uint8_t *store_reader_get(struct store_reader *r, uint64_t off, size_t len, uint8_t *buf,
                                const uint8_t *zeros, struct store_fault *fault)
{
    struct store_walk w;
    struct store_part part;
    uint8_t *into = buf;
    store_walk_begin(&w, r->tree->layout, off, len);
    while (store_walk_next(&w, &part)) {
        if (part.file == STORE_NO_FILE && part.len == len)
            return zeros;
        if (part.file == STORE_NO_FILE)
            memset(into, 0, (size_t)part.len);
        else if (!read_part(r, &part, into, fault))
            return NULL;
        into += part.len;
    }
    return buf;
}

/* The first bytes of a run that lie in a file, of at most max; false when there are none. */
static bool first_in_file(struct store_reader *r, uint64_t off, uint64_t len, uint64_t max,
                          struct store_part *part)
{
    struct store_walk w;
    store_walk_begin(&w, r->tree->layout, off, len);
    while (store_walk_next(&w, part))
        if (part->file != STORE_NO_FILE) {
            part->len = tarn_min_u64(part->len, max);
            return turn_to(r, part->file, NULL);
        }
    return false;
}

bool store_reader_is_warm(struct store_reader *r, uint64_t off, uint64_t len)
{
    struct store_part part;
    r->hinted = off;
    return !first_in_file(r, off, len, WARM_PROBE, &part) ||
           sys_resident(r->file->fd, part.off, (size_t)part.len) != SYS_COLD;
}

void store_reader_hint(struct store_reader *r, uint64_t at, uint64_t end)
{
    struct store_part part;
    end = tarn_min_u64(end, at + HINT_AHEAD);
    for (; r->hinted < end; r->hinted += HINT)
        if (first_in_file(r, r->hinted, tarn_min_u64(HINT, end - r->hinted), HINT, &part))
            sys_will_need(r->file->fd, part.off, (size_t)part.len);
}
