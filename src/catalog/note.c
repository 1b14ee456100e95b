/* catalog/note: what the owner has to tell, in the sequence of the journal. Notes are written in
 * the order in which they were given: all go to the index at once, none waits for a job. */
#include "base/mem.h"
#include "catalog/priv.h"
#include "sys/clock.h"

enum { NAME_MAX_LEN = CATALOG_NAME_MAX, TEXT_MAX = ROW_REASON_MAX };

struct note {
    struct kv_write write;
    struct loop_msg written;
    struct tarn_list node; /* in the catalog's list */
    struct catalog *c;
    struct index_write ix;
    bool is_ok;
    uint64_t number;
    size_t name_len, word_len, other_len;
    char name[NAME_MAX_LEN], word[32], other[TEXT_MAX];
};

static bool run(struct kv_write *kw, struct kv_txn *t, struct tarn_err *err)
{
    struct note *n = TARN_OUTER(kw, struct note, write);
    return index_begin(&n->ix, t, err) &&
           index_note_own(&n->ix, n->number, tarn_bytes_of(n->name, n->name_len),
                          tarn_bytes_of(n->word, n->word_len),
                          tarn_bytes_of(n->other, n->other_len), err) &&
           index_end(&n->ix, err);
}

static void done(struct kv_write *kw, const struct tarn_err *err)
{
    struct note *n = TARN_OUTER(kw, struct note, write);
    n->is_ok = err == NULL;
    if (n->is_ok)
        catalog_raise_seq(n->c, n->ix.head.seq);
    loop_post(n->c->loop, &n->written);
}

static void note_free(struct note *n)
{
    tarn_list_remove(&n->node);
    index_release(&n->ix);
    tarn_free(n);
}

static void on_written(struct loop_msg *m)
{
    struct note *n = TARN_OUTER(m, struct note, written);
    struct catalog *c = n->c;
    bool is_ok = n->is_ok;
    note_free(n);
    if (is_ok)
        actor_kick(c); /* which tells that the journal has grown */
}

static size_t take(char *to, size_t room, struct tarn_bytes from)
{
    size_t n = from.len < room ? from.len : room;
    if (n > 0)
        memcpy(to, from.p, n);
    return n;
}

void catalog_note(struct catalog *c, uint64_t number, struct tarn_bytes name, const char *word,
                  struct tarn_bytes other)
{
    struct note *n = tarn_calloc(1, sizeof *n);
    if (n == NULL)
        return; /* what it is about can be listed all the same */
    n->c = c;
    n->number = number;
    n->name_len = take(n->name, sizeof n->name, name);
    n->word_len = take(n->word, sizeof n->word, tarn_bytes_str(word));
    n->other_len = take(n->other, sizeof n->other, other);
    n->ix.base = c->base;
    n->ix.journal_max = c->journal_max;
    n->ix.versions_max = c->versions_max;
    n->ix.now_ms = sys_wall_ms();
    n->write = (struct kv_write){ .run = run, .done = done };
    n->written = (struct loop_msg){ .on_loop = on_written };
    tarn_list_push_back(&c->notes, &n->node);
    kv_submit(c->kv, &n->write);
}

static bool run_nothing(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    (void)w, (void)t, (void)err;
    return true;
}

void note_cancel(struct catalog *c)
{
    struct kv_write last = { .run = run_nothing };
    struct tarn_err err;
    if (tarn_list_empty(&c->notes))
        return;
    bool is_last = kv_write_now(c->kv, &last, &err);
    (void)is_last; /* it stood behind all of them: they are over, well or not */
    while (!tarn_list_empty(&c->notes)) {
        struct note *n = TARN_OUTER(c->notes.next, struct note, node);
        loop_unpost(c->loop, &n->written);
        note_free(n);
    }
}
