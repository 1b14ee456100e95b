/* store/intake: the loop's side: files that wait, groups of files under way, and which jobs they
 * get. The reading is in intake_read.c.
 *
 * A group is busy with rounds. Most rounds are one job, a step. When a group that is alone has only
 * a few long files left, it is given two banks and its rounds become pairs of jobs: one reads the
 * next windows and makes leaves and v1, the other makes the SHA-256 of the windows before. Whatever
 * else there is to do (new files, files that end) is done in a step between such rounds. */
#include "store/intake.h"

#include "base/mem.h"
#include "base/num.h"
#include "store/intake_priv.h"
#include "sys/thread.h"

#include <assert.h>

enum {
    PAIRED_FILES = 4, /* as many: with more, SHA-256 in lanes costs less than two threads gain */
    LONG = 8 << 20,   /* bytes left, from which a bank is worth having */
};

struct store_intake {
    struct loop *loop;
    size_t bank_len;
    unsigned n_groups, n_active;
    unsigned n_banks; /* out, of max_banks */
    unsigned max_banks;
    struct tarn_list waiting; /* files */
    size_t n_waiting, n_taken;
    struct tarn_list over; /* done() is due */
    struct loop_idle idle;
    uint64_t files_done, bytes_read;
    struct store_group *groups[STORE_INTAKE_GROUPS]; /* owned; NULL: not busy */
};

static void on_idle(struct loop_idle *i);
static void next_round(struct store_group *g);

struct store_intake *store_intake_new(const struct store_intake_settings *set, struct tarn_err *err)
{
    struct store_intake *in = tarn_calloc(1, sizeof *in);
    if (in == NULL) {
        tarn_fail_mem(err, "starting to read files");
        return NULL;
    }
    size_t memory = set->memory == 0 ? STORE_INTAKE_MEMORY : set->memory;
    memory = memory < STORE_INTAKE_MEMORY_MIN ? STORE_INTAKE_MEMORY_MIN : memory;
    unsigned n = set->groups != 0 ? set->groups : sys_cpu_count();
    in->loop = set->loop;
    in->n_groups =
        !loop_has_threads(set->loop) ? 1 : (unsigned)tarn_min_u64(n, STORE_INTAKE_GROUPS);
    in->max_banks = in->n_groups < 2 ? 2 : in->n_groups;
    in->bank_len = memory / in->max_banks / SMALL * SMALL;
    if (in->bank_len == 0) {
        in->bank_len = SMALL;
        in->max_banks = (unsigned)(memory / SMALL);
    }
    in->idle.on_idle = on_idle;
    tarn_list_init(&in->waiting);
    tarn_list_init(&in->over);
    return in;
}

/* Groups. */

static void group_free(struct store_group *g)
{
    if (g == NULL)
        return;
    store_group_drop(g);
    for (size_t i = 0; i < TARN_COUNT_OF(g->banks); i++)
        tarn_free(g->banks[i].buf);
    tarn_free(g->small.buf);
    tarn_free(g->hashes);
    tarn_free(g->zeros);
    tarn_free(g);
}

static void on_bulk(struct loop_job *j)
{
    struct store_group *g = TARN_OUTER(j, struct store_group, bulk_job);
    if (g->is_paired)
        store_group_bulk(g);
    else
        store_group_step(g);
}

static void on_line(struct loop_job *j)
{
    store_group_line(TARN_OUTER(j, struct store_group, line_job));
}

static void end_round(struct store_group *g);

static void on_bulk_done(struct loop_job *j)
{
    struct store_group *g = TARN_OUTER(j, struct store_group, bulk_job);
    if (--g->n_out == 0)
        end_round(g);
}

static void on_line_done(struct loop_job *j)
{
    struct store_group *g = TARN_OUTER(j, struct store_group, line_job);
    if (--g->n_out == 0)
        end_round(g);
}

static struct store_group *group_new(struct store_intake *in)
{
    struct store_group *g = tarn_calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    size_t longest = in->bank_len > SMALL ? in->bank_len : SMALL;
    g->in = in;
    g->bulk_job.run = on_bulk;
    g->bulk_job.done = on_bulk_done;
    g->line_job.run = on_line;
    g->line_job.done = on_line_done;
    tarn_list_init(&g->incoming);
    tarn_list_init(&g->ended);
    for (size_t i = 0; i < TRACKS; i++)
        g->tracks[i].fd = -1;
    g->small.size = SMALL;
    g->small.buf = tarn_calloc(1, SMALL);
    g->hashes = tarn_calloc(longest / MERKLE_BLOCK + TRACKS, MERKLE_HASH);
    g->zeros = tarn_calloc(1, CHUNK);
    if (g->small.buf == NULL || g->hashes == NULL || g->zeros == NULL) {
        group_free(g);
        return NULL;
    }
    return g;
}

/* Banks. */

static void give_back_bank(struct store_group *g, struct bank *b)
{
    if (b->buf == NULL)
        return;
    tarn_free(b->buf);
    *b = (struct bank){ 0 };
    g->in->n_banks--;
}

/* Where there is no memory, the round goes without. */
static bool want_bank(struct store_group *g, struct bank *b)
{
    struct store_intake *in = g->in;
    if (b->buf != NULL)
        return true;
    if (in->n_banks == in->max_banks)
        return false;
    b->buf = tarn_calloc(1, in->bank_len);
    if (b->buf == NULL)
        return false;
    b->size = in->bank_len;
    in->n_banks++;
    return true;
}

/* Rounds. */

/* May the next round be a pair of jobs? Only when nothing but reading on is to be done. */
static bool can_pair(const struct store_group *g)
{
    const struct store_intake *in = g->in;
    if (in->n_groups < 2 || in->n_active > 1 || in->n_waiting > 0 || g->n_incoming > 0 ||
        g->n_live > PAIRED_FILES)
        return false;
    for (size_t i = 0; i < TRACKS; i++) {
        const struct track *t = &g->tracks[i];
        if (t->f != NULL &&
            (t->has_failed || t->at == t->f->len || atomic_load(&t->f->is_canceled)))
            return false;
    }
    return true;
}

static bool has_long(const struct store_group *g)
{
    uint64_t left = 0;
    for (size_t i = 0; i < TRACKS; i++)
        if (g->tracks[i].f != NULL)
            left += g->tracks[i].f->len - g->tracks[i].at;
    return left >= LONG;
}

/* A step begins with the SHA-256 of what the banks still hold, so they can be given back only when
 * they are empty. */
static void settle_banks(struct store_group *g)
{
    bool is_few = g->n_live > 0 && g->n_live + g->n_incoming < TRACKS / 2 && has_long(g);
    bool is_empty = g->banks[0].n == 0 && g->banks[1].n == 0;
    g->is_paired = false;
    if (is_few && want_bank(g, &g->banks[0]) && can_pair(g) && want_bank(g, &g->banks[1])) {
        g->is_paired = true;
        return;
    }
    if (is_empty)
        give_back_bank(g, &g->banks[1]);
    if (is_empty && !is_few)
        give_back_bank(g, &g->banks[0]);
}

static void submit(struct store_group *g, struct loop_job *j)
{
    g->n_out++;
    loop_pool_submit(g->in->loop, j);
}

/* A fair share of what waits, and at least what fills the lanes. */
static void take_files(struct store_group *g)
{
    struct store_intake *in = g->in;
    uint64_t share = tarn_div_up_u64(in->n_waiting, in->n_groups);
    share = tarn_min_u64(tarn_max_u64(share, TRACKS), STORE_INTAKE_STEP_FILES);
    while (in->n_waiting > 0 && g->n_incoming + g->n_live < share) {
        struct store_intake_file *f =
            TARN_OUTER(tarn_list_pop_front(&in->waiting), struct store_intake_file, node);
        in->n_waiting--;
        in->n_taken++;
        f->place = STORE_INTAKE_TAKEN;
        tarn_list_push_back(&g->incoming, &f->node);
        g->n_incoming++;
    }
}

static void next_round(struct store_group *g)
{
    take_files(g);
    settle_banks(g);
    if (g->is_paired)
        submit(g, &g->line_job);
    submit(g, &g->bulk_job);
}

static void pass_over(struct store_intake *in, struct store_intake_file *f)
{
    tarn_list_push_back(&in->over, &f->node);
    loop_idle_set(in->loop, &in->idle);
}

static void group_over(struct store_group *g)
{
    struct store_intake *in = g->in;
    for (size_t i = 0; i < in->n_groups; i++)
        if (in->groups[i] == g)
            in->groups[i] = NULL;
    for (size_t i = 0; i < TARN_COUNT_OF(g->banks); i++)
        give_back_bank(g, &g->banks[i]);
    in->n_active--;
    group_free(g);
}

static void end_round(struct store_group *g)
{
    struct store_intake *in = g->in;
    struct tarn_list *node;
    if (g->is_paired)
        g->turn = 1 - g->turn;
    in->bytes_read += g->bytes_read;
    g->bytes_read = 0;
    for (size_t i = 0; i < TRACKS; i++)
        if (g->tracks[i].f != NULL)
            g->tracks[i].f->bytes_read = g->tracks[i].f->bytes_now;
    while ((node = tarn_list_pop_front(&g->ended)) != NULL) {
        in->n_taken--;
        pass_over(in, TARN_OUTER(node, struct store_intake_file, node));
    }
    if (g->n_live > 0 || g->n_incoming > 0 || in->n_waiting > 0)
        next_round(g);
    else
        group_over(g);
}

/* The queue. */

static void no_memory(struct store_intake *in)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&in->waiting)) != NULL) {
        struct store_intake_file *f = TARN_OUTER(node, struct store_intake_file, node);
        tarn_fail_mem(&f->err, "reading a new file");
        in->n_waiting--;
        pass_over(in, f);
    }
}

/* Another group for files that wait, where it would have enough to do. */
static void start_groups(struct store_intake *in)
{
    for (size_t i = 0; i < in->n_groups && in->n_waiting > 0; i++) {
        if (in->groups[i] != NULL)
            continue;
        struct store_group *g = group_new(in);
        if (g == NULL) {
            if (in->n_active == 0)
                no_memory(in);
            return;
        }
        in->groups[i] = g;
        in->n_active++;
        next_round(g);
    }
}

static void deliver(struct store_intake *in)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&in->over)) != NULL) {
        struct store_intake_file *f = TARN_OUTER(node, struct store_intake_file, node);
        f->bytes_read = f->bytes_now;
        f->place = STORE_INTAKE_OUT;
        in->files_done += f->err.code == TARN_OK;
        f->done(f);
    }
}

static void on_idle(struct loop_idle *i)
{
    struct store_intake *in = TARN_OUTER(i, struct store_intake, idle);
    start_groups(in);
    deliver(in);
}

void store_intake_submit(struct store_intake *in, struct store_intake_file *f)
{
    assert(f->place == STORE_INTAKE_OUT);
    assert(f->piece_len == 0 ||
           (tarn_is_pow2_u64(f->piece_len) && f->piece_len >= STORE_INTAKE_PIECE_MIN &&
            f->piece_len <= STORE_INTAKE_PIECE_MAX));
    f->err.code = TARN_OK;
    f->stat = (struct sys_stat){ 0 };
    f->len = f->n_leaves = f->n_pieces = f->bytes_read = f->bytes_now = 0;
    f->has_tail = false;
    atomic_store(&f->is_canceled, false);
    f->place = STORE_INTAKE_WAITS;
    tarn_list_push_back(&in->waiting, &f->node);
    in->n_waiting++;
    loop_idle_set(in->loop, &in->idle);
}

void store_intake_cancel(struct store_intake *in, struct store_intake_file *f)
{
    if (f->place == STORE_INTAKE_TAKEN)
        atomic_store(&f->is_canceled, true);
    if (f->place != STORE_INTAKE_WAITS || f->err.code != TARN_OK)
        return;
    tarn_list_remove(&f->node);
    in->n_waiting--;
    tarn_fail(&f->err, TARN_E_CANCELED, "stopped");
    pass_over(in, f);
}

struct store_intake_counts store_intake_counts(const struct store_intake *in)
{
    return (struct store_intake_counts){
        .waiting = in->n_waiting,
        .under_way = in->n_taken,
        .files_done = in->files_done,
        .bytes_read = in->bytes_read,
    };
}

void store_intake_free(struct store_intake *in)
{
    if (in == NULL)
        return;
    loop_idle_stop(&in->idle);
    for (size_t i = 0; i < in->n_groups; i++) {
        struct store_group *g = in->groups[i];
        if (g == NULL)
            continue;
        loop_pool_cancel(in->loop, &g->line_job);
        loop_pool_cancel(in->loop, &g->bulk_job);
        group_free(g);
    }
    tarn_free(in);
}
