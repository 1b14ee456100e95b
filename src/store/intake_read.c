/* store/intake_read: the jobs of intake: from files to hashes.
 *
 * A turn reads a window of every file under way. Windows are cut into segments, each one message
 * for v1, and sixteen or so of them are read and hashed side by side, a chunk of each at a time, so
 * that v1's lanes and the leaves' are fed from the second-level cache. SHA-256 is one long message
 * a file and goes last, over whole windows: sixteen files fill its lanes, one file does not, and
 * then its turn may be another thread's.
 *
 * With many files windows are short and the whole turn stays in the cache. With few, and v1, they
 * are several pieces long: the pieces of one file are then what fills the lanes. */
#include "base/mem.h"
#include "base/num.h"
#include "store/intake_priv.h"
#include "sys/clock.h"

#include <assert.h>
#include <string.h>

enum {
    BLOCKS = SMALL / MERKLE_BLOCK + SEGMENTS, /* of one stripe, the short ones at files' ends too */
    WARM_PROBE = 128 << 10,
    HINT = 128 << 10,      /* one hint: what the kernel's own reading ahead takes */
    AHEAD = 4 << 20,       /* cold files: so far ahead of the reading, all together */
    AHEAD_MIN = 512 << 10, /* each */
    LANES_WORTH = 6, /* messages abreast from which a longer window pays; README has the figures */
};

static void fail(struct track *t)
{
    t->has_failed = true;
    assert(t->f->err.code != TARN_OK);
}

/* Opening. */

static bool look(struct store_intake_file *f, int fd)
{
    struct tarn_quote q;
    if (!sys_stat_fd(fd, &f->stat, &f->err))
        return tarn_fail_in(&f->err, "'%s'", tarn_quote_str(&q, f->path));
    if (f->stat.kind != SYS_REGULAR)
        return tarn_fail(&f->err, TARN_E_POLICY, "'%s' is no plain file",
                         tarn_quote_str(&q, f->path));
    f->len = f->stat.size;
    f->n_leaves = tarn_div_up_u64(f->len, MERKLE_BLOCK);
    if (f->n_leaves > (uint64_t)1 << (MERKLE_LEVELS - 1))
        return tarn_fail(&f->err, TARN_E_POLICY,
                         "'%s' says that it has %llu bytes; files have at most 8 PiB",
                         tarn_quote_str(&q, f->path), (unsigned long long)f->len);
    if (f->piece_len > 0) {
        f->n_pieces = f->len / f->piece_len;
        f->has_tail = f->len % f->piece_len != 0;
    }
    return true;
}

static struct track *free_track(struct store_group *g)
{
    for (size_t i = 0; i < TRACKS; i++)
        if (g->tracks[i].f == NULL)
            return &g->tracks[i];
    return NULL;
}

static void end(struct store_group *g, struct store_intake_file *f)
{
    tarn_list_push_back(&g->ended, &f->node);
    g->n_ended++;
}

static void admit(struct store_group *g)
{
    struct track *t;
    while (g->n_incoming > 0 && (t = free_track(g)) != NULL) {
        struct store_intake_file *f =
            TARN_OUTER(tarn_list_pop_front(&g->incoming), struct store_intake_file, node);
        g->n_incoming--;
        SYS_AUTO_FD fd = -1;
        if (atomic_load(&f->is_canceled))
            tarn_fail(&f->err, TARN_E_CANCELED, "stopped");
        else
            fd = sys_open_beneath(f->dir, f->path, SYS_OPEN_READ, &f->err);
        if (fd < 0 || !look(f, fd)) {
            end(g, f);
            continue;
        }
        t->f = f;
        t->at = t->hinted = t->leaves_out = t->pieces_out = 0;
        t->n_leaves = t->n_pieces = 0;
        t->has_failed = false;
        t->sum.n = 0;
        crypt_sha_init(&t->line, CRYPT_SHA256);
        sys_read_in_order(fd);
        t->is_cold =
            f->len > 0 && sys_resident(fd, 0, (size_t)tarn_min_u64(f->len, WARM_PROBE)) == SYS_COLD;
        t->fd = sys_take_fd(&fd);
        g->n_live++;
    }
}

/* Handing hashes on. */

static void flush_leaves(struct track *t)
{
    struct store_intake_file *f = t->f;
    if (t->n_leaves > 0 && f->n_leaves > 1 && f->on_leaves != NULL && !t->has_failed &&
        !f->on_leaves(f, t->leaves_out, t->leaves, t->n_leaves, &f->err))
        fail(t);
    t->leaves_out += t->n_leaves;
    t->n_leaves = 0;
}

static void flush_pieces(struct track *t)
{
    struct store_intake_file *f = t->f;
    if (t->n_pieces > 0 && f->on_pieces != NULL && !t->has_failed &&
        !f->on_pieces(f, t->pieces_out, t->pieces, t->n_pieces, &f->err))
        fail(t);
    t->pieces_out += t->n_pieces;
    t->n_pieces = 0;
}

static void give_leaves(struct track *t, const uint8_t *hashes, size_t n)
{
    merkle_sum_add(&t->sum, hashes, n);
    for (size_t at = 0; at < n;) {
        size_t take = tarn_min_size(n - at, STORE_INTAKE_HASHES - t->n_leaves);
        memcpy(t->leaves + t->n_leaves * MERKLE_HASH, hashes + at * MERKLE_HASH,
               take * MERKLE_HASH);
        t->n_leaves += take;
        at += take;
        if (t->n_leaves == STORE_INTAKE_HASHES)
            flush_leaves(t);
    }
}

static void give_piece(struct track *t, const uint8_t *hash)
{
    memcpy(t->pieces + t->n_pieces++ * CRYPT_SHA1_LEN, hash, CRYPT_SHA1_LEN);
    if (t->n_pieces == STORE_INTAKE_HASHES)
        flush_pieces(t);
}

/* Planning a turn. */

/* How far a file is read in this turn: n files share the bank. */
static size_t window_len(const struct track *t, const struct bank *bank, size_t n, bool is_paired)
{
    uint64_t piece = t->f->piece_len;
    uint64_t quota = is_paired ? tarn_min_u64(PAIRED, bank->size) : SMALL;
    quota = quota / n / MERKLE_BLOCK * MERKLE_BLOCK;
    uint64_t end = t->at + quota;
    if (piece > 0) {
        uint64_t abreast = tarn_min_u64(TRACKS / n, bank->size / n / piece);
        if (abreast > 1 && abreast * n >= LANES_WORTH) /* begin and end with a piece */
            end = tarn_max_u64(end / piece, t->at / piece + abreast) * piece;
    }
    return (size_t)(tarn_min_u64(end, t->f->len) - t->at);
}

static void plan_segments(struct store_group *g, struct window *w)
{
    struct track *t = w->track;
    uint64_t piece = t->f->piece_len;
    for (uint64_t at = w->off, stop = w->off + w->len; at < stop;) {
        uint64_t to = piece == 0 ? stop : tarn_min_u64(stop, (at / piece + 1) * piece);
        struct segment *s = &g->segments[g->n_segments++];
        *s = (struct segment){
            .window = w,
            .off = at,
            .len = (size_t)(to - at),
            .is_whole = piece > 0 && to % piece == 0,
        };
        if (piece > 0 && at % piece != 0)
            s->v1 = t->v1;
        else if (piece > 0)
            crypt_sha_init(&s->v1, CRYPT_SHA1);
        at = to;
    }
}

static bool is_reading(const struct track *t)
{
    return t->f != NULL && t->at < t->f->len && !t->has_failed;
}

static void plan(struct store_group *g, struct bank *bank)
{
    size_t n = 0, used = 0, leaves = 0;
    for (size_t i = 0; i < TRACKS; i++)
        n += is_reading(&g->tracks[i]);
    bank->n = 0;
    g->n_segments = 0;
    for (size_t i = 0; i < TRACKS; i++) {
        struct track *t = &g->tracks[i];
        if (!is_reading(t))
            continue;
        struct window *w = &bank->windows[bank->n++];
        *w = (struct window){
            .track = t,
            .p = bank->buf + used,
            .hashes = g->hashes + leaves * MERKLE_HASH,
            .off = t->at,
            .len = window_len(t, bank, n, g->is_paired),
        };
        used += w->len;
        leaves += tarn_div_up_u64(w->len, MERKLE_BLOCK);
        assert(used <= bank->size);
        plan_segments(g, w);
    }
}

/* Reading. */

/* A file that comes from the disk: the kernel is told what will be read, further ahead than it
 * would go by itself, so that many requests are under way. */
static void hint(struct track *t, uint64_t to, size_t n_windows)
{
    to += tarn_max_u64(AHEAD / n_windows, AHEAD_MIN);
    to = tarn_min_u64(to, t->f->len);
    for (t->hinted = tarn_max_u64(t->hinted, t->at); t->hinted < to; t->hinted += HINT)
        sys_will_need(t->fd, t->hinted, (size_t)tarn_min_u64(HINT, t->f->len - t->hinted));
}

static void read_run(struct store_group *g, struct window *w, uint64_t off, size_t len)
{
    struct track *t = w->track;
    struct store_intake_file *f = t->f;
    struct tarn_quote q;
    size_t got = 0;
    bool ok = sys_read_at(t->fd, w->p + (off - w->off), len, off, &got, &f->err);
    f->bytes_now += got;
    g->bytes_read += got;
    if (!ok)
        tarn_fail_in(&f->err, "'%s'", tarn_quote_str(&q, f->path));
    else if (got < len)
        tarn_fail(&f->err, TARN_E_FAILED,
                  "'%s' changed while it was read: it became shorter; try again when nothing "
                  "writes to it",
                  tarn_quote_str(&q, f->path));
    if (ok && got == len)
        return;
    w->len = 0;
    fail(t);
}

/* Segments that are next to each other and are read to their ends are one read. */
static void read_stripe(struct store_group *g, struct segment *s, size_t n, size_t at, size_t chunk)
{
    for (size_t i = 0; i < n;) {
        struct window *w = s[i].window;
        uint64_t off = s[i].off + at;
        size_t len = at < s[i].len ? tarn_min_size(chunk, s[i].len - at) : 0;
        for (i++; i < n && s[i].window == w && s[i].off == off + len && at == 0; i++)
            len += tarn_min_size(chunk, s[i].len);
        if (len > 0 && w->len > 0)
            read_run(g, w, off, len);
    }
}

/* Hashing. */

static void hash_leaves(const struct segment *s, size_t n, size_t at, size_t chunk)
{
    struct tarn_bytes blocks[BLOCKS];
    uint8_t hashes[BLOCKS][MERKLE_HASH];
    uint8_t *to[BLOCKS];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct window *w = s[i].window;
        size_t stop = tarn_min_size(s[i].len, at + tarn_min_size(chunk, s[i].len));
        for (size_t b = at; b < stop && w->len > 0; b += MERKLE_BLOCK) {
            size_t in_window = (size_t)(s[i].off - w->off) + b;
            blocks[count] = tarn_bytes_of(w->p + in_window, tarn_min_size(MERKLE_BLOCK, stop - b));
            to[count++] = w->hashes + in_window / MERKLE_BLOCK * MERKLE_HASH;
        }
    }
    if (count == 0)
        return;
    crypt_hash_many(CRYPT_SHA256, blocks, count, hashes[0]);
    for (size_t i = 0; i < count; i++)
        memcpy(to[i], hashes[i], MERKLE_HASH);
}

static void hash_v1(struct segment *s, size_t n, size_t at, size_t chunk)
{
    struct crypt_sha *messages[SEGMENTS];
    struct tarn_bytes data[SEGMENTS];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct window *w = s[i].window;
        if (w->len == 0 || w->track->f->piece_len == 0 || at >= s[i].len)
            continue;
        messages[count] = &s[i].v1;
        data[count++] =
            tarn_bytes_of(w->p + (s[i].off - w->off) + at, tarn_min_size(chunk, s[i].len - at));
    }
    crypt_sha_update_many(messages, data, count);
}

static void end_segments(struct segment *s, size_t n)
{
    struct crypt_sha *messages[SEGMENTS];
    struct track *to[SEGMENTS];
    uint8_t digests[SEGMENTS][CRYPT_SHA1_LEN];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].window->len > 0 && s[i].is_whole) {
            messages[count] = &s[i].v1;
            to[count++] = s[i].window->track;
        } else if (s[i].window->track->f->piece_len > 0) {
            s[i].window->track->v1 = s[i].v1;
        }
    }
    if (count == 0)
        return;
    crypt_sha_final_many(messages, count, digests[0]);
    for (size_t i = 0; i < count; i++)
        give_piece(to[i], digests[i]);
}

/* So many segments go side by side: sixteen, or more where all of them fit the cache. Returns how
 * many, and how much of each at a time. */
static size_t batch(const struct segment *s, size_t n, size_t *chunk)
{
    size_t take = 0, total = 0;
    for (; take < n && (take < TRACKS || total + s[take].len <= SMALL); take++)
        total += s[take].len;
    *chunk =
        total <= SMALL ? SMALL : tarn_min_size(SMALL / take, SMALL) / MERKLE_BLOCK * MERKLE_BLOCK;
    return take;
}

/* One turn: a window of each file into the bank, and all hashes of it but SHA-256. */
static void turn(struct store_group *g, struct bank *bank)
{
    plan(g, bank);
    for (size_t i = 0; i < bank->n; i++)
        if (bank->windows[i].track->is_cold)
            hint(bank->windows[i].track, bank->windows[i].off + bank->windows[i].len, bank->n);
    for (size_t i = 0, n; i < g->n_segments; i += n) {
        struct segment *s = &g->segments[i];
        size_t chunk, longest = 0;
        n = batch(s, g->n_segments - i, &chunk);
        for (size_t k = 0; k < n; k++)
            longest = s[k].len > longest ? s[k].len : longest;
        for (size_t at = 0; at < longest; at += chunk) {
            read_stripe(g, s, n, at, chunk);
            hash_leaves(s, n, at, chunk);
            hash_v1(s, n, at, chunk);
        }
        end_segments(s, n);
    }
    for (size_t i = 0; i < bank->n; i++) {
        struct window *w = &bank->windows[i];
        give_leaves(w->track, w->hashes, tarn_div_up_u64(w->len, MERKLE_BLOCK));
        w->track->at += w->len;
    }
}

/* SHA-256 of what the bank holds. A file of one leaf has it already. */
static void line(struct bank *bank)
{
    struct crypt_sha *messages[TRACKS];
    struct tarn_bytes data[TRACKS];
    size_t n = 0;
    for (size_t i = 0; i < bank->n; i++) {
        const struct window *w = &bank->windows[i];
        if (w->len == 0 || (w->off == 0 && w->track->f->len <= MERKLE_BLOCK))
            continue;
        messages[n] = &w->track->line;
        data[n++] = tarn_bytes_of(w->p, w->len);
    }
    crypt_sha_update_many(messages, data, n);
    bank->n = 0;
}

/* Ending. */

static void end_lines(struct track *const t[], size_t n)
{
    struct crypt_sha *messages[TRACKS];
    uint8_t digests[TRACKS][CRYPT_SHA256_LEN];
    for (size_t i = 0; i < n; i++)
        messages[i] = &t[i]->line;
    crypt_sha_final_many(messages, n, digests[0]);
    for (size_t i = 0; i < n; i++) {
        struct store_intake_file *f = t[i]->f;
        if (f->n_leaves > 0)
            merkle_sum_root(&t[i]->sum, 0, merkle_levels(f->n_leaves), f->root);
        memcpy(f->sha256, f->n_leaves == 1 ? f->root : digests[i], CRYPT_SHA256_LEN);
    }
}

/* The last pieces, as they are and filled up with zeros: from one state. */
static void end_tails(struct store_group *g, struct track *const t[], size_t n)
{
    struct crypt_sha alone[TRACKS], *messages[TRACKS];
    struct track *of[TRACKS];
    uint8_t digests[TRACKS][CRYPT_SHA1_LEN];
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (t[i]->f->has_tail) {
            of[count] = t[i];
            alone[count] = t[i]->v1;
            messages[count] = &alone[count];
            count++;
        }
    if (count == 0)
        return;
    crypt_sha_final_many(messages, count, digests[0]);
    for (size_t i = 0; i < count; i++) {
        memcpy(of[i]->f->tail, digests[i], CRYPT_SHA1_LEN);
        messages[i] = &of[i]->v1;
    }
    for (size_t some = count; some > 0;) {
        struct crypt_sha *short_ones[TRACKS];
        struct tarn_bytes data[TRACKS];
        some = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t missing = of[i]->f->piece_len - of[i]->v1.len;
            if (missing == 0)
                continue;
            short_ones[some] = &of[i]->v1;
            data[some++] = tarn_bytes_of(g->zeros, (size_t)tarn_min_u64(missing, CHUNK));
        }
        crypt_sha_update_many(short_ones, data, some);
    }
    crypt_sha_final_many(messages, count, digests[0]);
    for (size_t i = 0; i < count; i++)
        memcpy(of[i]->f->tail_padded, digests[i], CRYPT_SHA1_LEN);
}

/* Is it what it was when it was opened, and is that still what bears the name? */
static bool is_unchanged(struct track *t)
{
    struct store_intake_file *f = t->f;
    struct sys_stat open, named;
    struct tarn_quote q;
    if (!sys_stat_fd(t->fd, &open, &f->err))
        return tarn_fail_in(&f->err, "'%s'", tarn_quote_str(&q, f->path));
    bool is_there = sys_stat(f->dir, f->path, false, &named, NULL);
    const char *what = NULL;
    if (open.size != f->stat.size)
        what = "its length is another";
    else if (!is_there || named.ino != open.ino || named.dev != open.dev)
        what = is_there ? "another file has its name" : "its name is gone";
    else if (!sys_stat_same(&open, &f->stat) || !sys_stat_same(&named, &f->stat))
        what = "it was written to, or its times were set";
    return what == NULL ||
           tarn_fail(&f->err, TARN_E_FAILED,
                     "'%s' changed while it was read: %s; try again when nothing writes to it",
                     tarn_quote_str(&q, f->path), what);
}

static void leave(struct store_group *g, struct track *t)
{
    sys_close(&t->fd);
    end(g, t->f);
    t->f = NULL;
    g->n_live--;
}

/* What is at its end, has failed or is not wanted any more leaves. */
static void settle(struct store_group *g)
{
    struct track *good[TRACKS];
    size_t n = 0;
    for (size_t i = 0; i < TRACKS; i++) {
        struct track *t = &g->tracks[i];
        if (t->f == NULL)
            continue;
        if (!t->has_failed && t->at == t->f->len) {
            flush_leaves(t);
            flush_pieces(t);
            if (!t->has_failed) {
                good[n++] = t;
                continue;
            }
        }
        if (!t->has_failed && atomic_load(&t->f->is_canceled)) {
            tarn_fail(&t->f->err, TARN_E_CANCELED, "stopped");
            fail(t);
        }
        if (t->has_failed)
            leave(g, t);
    }
    end_lines(good, n);
    end_tails(g, good, n);
    for (size_t i = 0; i < n; i++) {
        if (!is_unchanged(good[i]))
            fail(good[i]);
        leave(g, good[i]);
    }
}

void store_group_step(struct store_group *g)
{
    struct bank *bank = g->banks[0].buf == NULL ? &g->small : &g->banks[0];
    uint64_t from = g->bytes_read;
    int64_t until_us = sys_now_us() + STORE_INTAKE_STEP_US;
    g->n_ended = 0;
    line(&g->banks[0]);
    line(&g->banks[1]);
    do {
        admit(g);
        turn(g, bank);
        line(bank);
        settle(g);
    } while ((g->n_live > 0 || g->n_incoming > 0) && g->bytes_read - from < STORE_INTAKE_STEP &&
             g->n_ended < STORE_INTAKE_STEP_FILES && sys_now_us() < until_us);
}

void store_group_bulk(struct store_group *g)
{
    turn(g, &g->banks[g->turn]);
}

void store_group_line(struct store_group *g)
{
    line(&g->banks[1 - g->turn]);
}

void store_group_drop(struct store_group *g)
{
    for (size_t i = 0; i < TRACKS; i++)
        if (g->tracks[i].f != NULL)
            sys_close(&g->tracks[i].fd);
}
