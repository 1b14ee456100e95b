/* store/table: the open files of one tree: a few hundred slots in an array. Looking through all of
 * them costs less than the read it is for.
 *
 * Descriptors are the process's: when all trees together have as many as one may have, a tree that
 * has a few closes one of its own before it opens another. */
#include "base/mem.h"
#include "base/num.h"
#include "store/priv.h"
#include "sys/descriptors.h"

size_t store_may_open(size_t most, unsigned part)
{
    uint64_t limit = sys_fd_limit();
    return limit == 0 ? most : (size_t)tarn_min_u64(most, tarn_max_u64(limit / part, 1));
}

static atomic_size_t open_everywhere; /* slots in use, of all trees */

void store_table_init(struct store_table *t)
{
    *t = (struct store_table){ .max = store_may_open(STORE_OPEN_FILES, 4) };
    sys_lock_init(&t->lock);
}

void store_table_clear(struct store_table *t)
{
    sys_lock_take(&t->lock);
    struct store_slot *slots = t->slots;
    size_t n = t->n;
    t->slots = NULL;
    t->n = t->cap = 0;
    sys_lock_give(&t->lock);
    atomic_fetch_sub(&open_everywhere, n);
    for (size_t i = 0; i < n; i++)
        sys_file_unref(slots[i].file);
    tarn_free(slots);
}

void store_table_release(struct store_table *t)
{
    store_table_clear(t);
    sys_lock_release(&t->lock);
}

static struct store_slot *find(struct store_table *t, uint32_t index)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->slots[i].index == index)
            return &t->slots[i];
    return NULL;
}

struct sys_file *store_table_get(struct store_table *t, uint32_t index, bool to_write)
{
    struct sys_file *f = NULL;
    sys_lock_take(&t->lock);
    struct store_slot *s = find(t, index);
    if (s != NULL && (s->can_write || !to_write)) {
        s->used = ++t->turn;
        f = sys_file_ref(s->file);
    }
    sys_lock_give(&t->lock);
    return f;
}

/* A slot for a file that has none: a fresh one, or that of the file unused for longest. NULL when
 * there is no memory for the first. */
static struct store_slot *take_slot(struct store_table *t, struct sys_file **evicted)
{
    size_t few = t->max / 16; /* less would be opened again and again */
    bool may_grow = t->n <= few || atomic_load(&open_everywhere) < t->max;
    if (may_grow && TARN_GROW(t->slots, t->n, t->cap)) {
        atomic_fetch_add(&open_everywhere, 1);
        return &t->slots[t->n++];
    }
    if (t->n == 0)
        return NULL;
    struct store_slot *oldest = &t->slots[0];
    for (size_t i = 1; i < t->n; i++)
        if (t->slots[i].used < oldest->used)
            oldest = &t->slots[i];
    *evicted = oldest->file;
    return oldest;
}

struct sys_file *store_table_put(struct store_table *t, uint32_t index, bool can_write,
                                 struct sys_file *f)
{
    struct sys_file *evicted = NULL;
    sys_lock_take(&t->lock);
    struct store_slot *s = find(t, index);
    if (s != NULL && (s->can_write || !can_write)) {
        evicted = f;
        f = sys_file_ref(s->file);
    } else {
        if (s != NULL)
            evicted = s->file;
        else
            s = take_slot(t, &evicted);
        if (s != NULL)
            *s = (struct store_slot){ sys_file_ref(f), 0, index, can_write };
    }
    if (s != NULL)
        s->used = ++t->turn;
    sys_lock_give(&t->lock);
    sys_file_unref(evicted); /* outside: the last one closes, which may block */
    return f;
}

void store_table_drop(struct store_table *t, uint32_t index)
{
    struct sys_file *dropped = NULL;
    sys_lock_take(&t->lock);
    struct store_slot *s = find(t, index);
    if (s != NULL) {
        dropped = s->file;
        *s = t->slots[--t->n];
        atomic_fetch_sub(&open_everywhere, 1);
    }
    sys_lock_give(&t->lock);
    sys_file_unref(dropped);
}
