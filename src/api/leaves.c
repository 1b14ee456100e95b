/* api/leaves: see the header. */
#include "api/leaves.h"

#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/out.h"
#include "crypt/merkle.h"
#include "sys/file.h"

enum { HEAD = 32 };

static const char magic[16] = "tarn leaves 1\r\n";

static bool number(struct api_leaves *l, const struct store_layout *layout, struct tarn_err *err)
{
    *l = (struct api_leaves){ .fd = -1, .layout = layout };
    l->first = tarn_calloc(layout->n_files, sizeof *l->first);
    if (l->first == NULL)
        return tarn_fail_mem(err, "numbering leaf hashes");
    for (uint32_t i = 0; i < layout->n_files; i++) {
        l->first[i] = l->n;
        if (!layout->files[i].is_pad)
            l->n += tarn_div_up_u64(layout->files[i].len, MERKLE_BLOCK);
    }
    return true;
}

struct api_leaves_run api_leaves_of(const struct api_leaves *l, uint32_t piece)
{
    uint32_t len;
    uint32_t file = store_piece_own_file(l->layout, piece, &len);
    if (file == STORE_NO_FILE)
        return (struct api_leaves_run){ 0, 0 };
    uint64_t at = (uint64_t)piece * l->layout->piece_len - l->layout->files[file].off;
    return (struct api_leaves_run){ l->first[file] + at / MERKLE_BLOCK,
                                    (uint32_t)tarn_div_up_u64(len, MERKLE_BLOCK) };
}

bool api_leaves_create(struct api_leaves *l, const char *path, const struct store_layout *layout,
                       struct tarn_err *err)
{
    if (!number(l, layout, err))
        return false;
    struct tarn_out o;
    uint8_t head[HEAD];
    l->path = path;
    tarn_out_init(&o, 64 << 10);
    tarn_out_fmt(&o, "%s.part", path);
    l->temp = tarn_out_take_str(&o);
    if (l->temp == NULL)
        return tarn_fail_mem(err, "writing leaf hashes");
    l->fd = sys_open(l->temp, SYS_OPEN_CREATE, err);
    if (l->fd < 0) {
        tarn_free(l->temp); /* it is not ours to remove */
        l->temp = NULL;
        return false;
    }
    tarn_out_fixed(&o, head, sizeof head);
    tarn_out_put(&o, tarn_bytes_of(magic, sizeof magic));
    tarn_out_be64(&o, l->n);
    tarn_out_be64(&o, 0);
    return sys_truncate(l->fd, 0, err) && sys_reserve(l->fd, HEAD + l->n * MERKLE_HASH, err) &&
           sys_write_at(l->fd, tarn_out_bytes(&o), 0, err);
}

bool api_leaves_put(const struct api_leaves *l, uint32_t piece, const uint8_t *leaves, uint32_t n,
                    struct tarn_err *err)
{
    struct api_leaves_run run = api_leaves_of(l, piece);
    n = n < run.n ? n : run.n;
    return n == 0 || sys_write_at(l->fd, tarn_bytes_of(leaves, (size_t)n * MERKLE_HASH),
                                  HEAD + run.first * MERKLE_HASH, err);
}

bool api_leaves_finish(struct api_leaves *l, struct tarn_err *err)
{
    if (!sys_sync(l->fd, err) || !sys_rename(SYS_CWD, l->temp, SYS_CWD, l->path, err))
        return false;
    tarn_free(l->temp);
    l->temp = NULL;
    return true;
}

bool api_leaves_open(struct api_leaves *l, const char *path, const struct store_layout *layout,
                     struct tarn_err *err)
{
    if (!number(l, layout, err))
        return false;
    struct tarn_quote q;
    struct sys_stat st;
    uint8_t head[HEAD];
    size_t got;
    l->path = path;
    tarn_quote_str(&q, path);
    l->fd = sys_open(path, SYS_OPEN_READ, err);
    if (l->fd < 0 || !sys_stat_fd(l->fd, &st, err) ||
        !sys_read_at(l->fd, head, sizeof head, 0, &got, err))
        return false;
    if (got < sizeof head || memcmp(head, magic, sizeof magic) != 0)
        return tarn_fail(err, TARN_E_FAILED, "'%s' holds no leaf hashes of tarn", q.s);
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(head + sizeof magic, 8));
    uint64_t n = tarn_cur_be64(&c);
    if (n != l->n || st.size != HEAD + n * MERKLE_HASH)
        return tarn_fail(err, TARN_E_FAILED,
                         "the leaf hashes in '%s' are of another torrent: they are %llu, not %llu",
                         q.s, (unsigned long long)n, (unsigned long long)l->n);
    return true;
}

bool api_leaves_get(const struct api_leaves *l, uint32_t piece, uint8_t *into, struct tarn_err *err)
{
    struct api_leaves_run run = api_leaves_of(l, piece);
    size_t len = (size_t)run.n * MERKLE_HASH, got;
    struct tarn_quote q;
    if (!sys_read_at(l->fd, into, len, HEAD + run.first * MERKLE_HASH, &got, err))
        return false;
    return got == len ||
           tarn_fail(err, TARN_E_FAILED, "'%s' has become shorter", tarn_quote_str(&q, l->path));
}

void api_leaves_release(struct api_leaves *l)
{
    if (l->first == NULL)
        return;
    sys_close(&l->fd);
    if (l->temp != NULL)
        (void)!sys_remove(SYS_CWD, l->temp, NULL); /* what failed before is worth more words */
    tarn_free(l->temp);
    tarn_free(l->first);
    *l = (struct api_leaves){ 0 };
}
