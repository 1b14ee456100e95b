/* loop/loop: the turn. Timers stand in a heap, sockets in the poller, messages in a list behind the
 * only lock, idle functions in a ring.
 *
 * Posting wakes the poller only when the loop waits in it and nobody has woken it yet, so a burst
 * of messages costs one wake-up. */
#include "loop/loop.h"

#include "base/mem.h"
#include "base/num.h"
#include "loop/priv.h"
#include "sys/clock.h"

enum {
    RECV_DEFAULT = 256 << 10,
    MESSAGES_A_TURN = 256,
};

static bool make_buffers(struct loop *l, size_t recv_len)
{
    l->recv_len = recv_len == 0 ? RECV_DEFAULT : recv_len;
    if (l->recv_len > SIZE_MAX - LOOP_REST_SMALL)
        return false;
    l->recv = tarn_realloc(NULL, LOOP_REST_SMALL + l->recv_len, 1);
    l->sender.scratch = (struct sys_buf){ tarn_realloc(NULL, LOOP_SCRATCH, 1), LOOP_SCRATCH };
    tarn_out_init(&l->nowhere, 0);
    return l->recv != NULL && l->sender.scratch.p != NULL;
}

struct loop *loop_new(const struct loop_settings *set, struct tarn_err *err)
{
    struct loop *l = tarn_calloc(1, sizeof *l);
    if (l == NULL) {
        (void)tarn_fail_mem(err, "making an event loop");
        return NULL;
    }
    sys_lock_init(&l->lock);
    tarn_list_init(&l->idle);
    tarn_list_init(&l->lookups);
    tarn_list_init(&l->colds);
    l->now_us = sys_now_us();
    if (!make_buffers(l, set->recv_len)) {
        (void)tarn_fail_mem(err, "making the buffers of an event loop");
        goto fail;
    }
    l->poller = sys_poller_new(err);
    if (l->poller == NULL)
        goto fail;
    l->no_threads = set->no_threads;
    l->job_took_us = set->job_took_us;
    l->job_took_arg = set->arg;
    unsigned threads = set->threads != 0 ? set->threads : set->no_threads ? 1 : sys_cpu_count();
    if (!loop_pool_start(&l->pool, l, "tarn-work", threads, err))
        goto fail;
    l->hashing = loop_hashing_new(l, err);
    if (l->hashing == NULL)
        goto fail;
    return l;
fail:
    loop_free(l);
    return NULL;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    loop_pool_stop(&l->pool);
    loop_pool_stop(&l->names);
    loop_pool_stop(&l->cold);
    loop_hashing_free(l->hashing);
    loop_resolve_free_all(l);
    loop_send_free_colds(l);
    tarn_heap_release(&l->timers);
    sys_poller_free(l->poller);
    sys_lock_release(&l->lock);
    tarn_out_release(&l->nowhere);
    tarn_free(l->recv);
    tarn_free(l->sender.scratch.p);
    tarn_free(l);
}

static bool has_turn(const struct loop *l)
{
    return loop_pool_has_turn(&l->pool) || loop_pool_has_turn(&l->names) ||
           loop_pool_has_turn(&l->cold);
}

/* How long the poller may wait for nothing, 0 when there is something to do at once. */
static int64_t time_to_wait(const struct loop *l, int64_t max_wait_us)
{
    if (!tarn_list_empty(&l->idle) || has_turn(l) || l->due != NULL)
        return 0;
    const struct tarn_heap_node *first = tarn_heap_first(&l->timers);
    if (first == NULL)
        return max_wait_us;
    int64_t now = sys_now_us();
    int64_t left = first->key > now ? first->key - now : 0;
    return max_wait_us < 0 || left < max_wait_us ? left : max_wait_us;
}

static void wait(struct loop *l, int64_t timeout_us)
{
    sys_lock_take(&l->lock);
    if (l->first != NULL)
        timeout_us = 0;
    l->is_waiting = timeout_us != 0;
    sys_lock_give(&l->lock);

    l->i_ready = 0;
    l->n_ready = sys_poller_wait(l->poller, l->ready, LOOP_READY_MAX, timeout_us);
    l->now_us = sys_now_us();

    sys_lock_take(&l->lock);
    l->is_waiting = false;
    sys_lock_give(&l->lock);
}

/* A timer that sets itself for now again waits for the next turn. */
static void run_timers(struct loop *l)
{
    for (size_t left = l->timers.n; left > 0; left--) {
        struct tarn_heap_node *node = tarn_heap_first(&l->timers);
        if (node == NULL || node->key > l->now_us)
            return;
        tarn_heap_remove(&l->timers, node);
        struct loop_timer *t = TARN_OUTER(node, struct loop_timer, node);
        t->on_time(t);
    }
}

static void run_ready(struct loop *l)
{
    while (l->i_ready < l->n_ready) {
        const struct sys_ready *r = &l->ready[l->i_ready++];
        struct loop_watch *w = r->tag;
        if (w != NULL) /* else removed during this turn */
            w->on_ready(w, r->events);
    }
}

/* What is posted meanwhile waits for the next turn; so does what is more than sockets can wait for:
 * at the start of 100,000 torrents as many jobs end. */
static void run_messages(struct loop *l)
{
    if (l->due == NULL) {
        sys_lock_take(&l->lock);
        l->due = l->first;
        l->first = l->last = NULL;
        sys_lock_give(&l->lock);
    }
    for (unsigned n = 0; l->due != NULL && n < MESSAGES_A_TURN; n++) {
        struct loop_msg *m = l->due;
        l->due = m->next;
        m->on_loop(m);
    }
}

static void run_idle(struct loop *l)
{
    if (tarn_list_empty(&l->idle))
        return;
    struct tarn_list now = l->idle;
    now.next->prev = now.prev->next = &now;
    tarn_list_init(&l->idle);

    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&now)) != NULL) {
        struct loop_idle *i = TARN_OUTER(node, struct loop_idle, node);
        i->on_idle(i);
    }
}

bool loop_turn(struct loop *l, int64_t max_wait_us, struct tarn_err *err)
{
    (void)err; /* no poller we have fails once it is made */
    wait(l, time_to_wait(l, max_wait_us));
    run_timers(l);
    run_ready(l);
    loop_pool_turn(&l->pool);
    loop_pool_turn(&l->names);
    loop_pool_turn(&l->cold);
    run_messages(l);
    run_idle(l);
    return true;
}

bool loop_run(struct loop *l, struct tarn_err *err)
{
    bool ok = true;
    while (ok && !l->is_stopped)
        ok = loop_turn(l, -1, err);
    l->is_stopped = false;
    return ok;
}

void loop_stop(struct loop *l)
{
    l->is_stopped = true;
}

int64_t loop_now_us(const struct loop *l)
{
    return l->now_us;
}

int64_t loop_wakes_at_us(struct loop *l)
{
    sys_lock_take(&l->lock);
    bool has_messages = l->first != NULL || l->due != NULL;
    sys_lock_give(&l->lock);
    if (has_messages || l->is_stopped || !tarn_list_empty(&l->idle) || has_turn(l))
        return l->now_us;
    const struct tarn_heap_node *first = tarn_heap_first(&l->timers);
    return first == NULL ? INT64_MAX : first->key;
}

bool loop_has_threads(const struct loop *l)
{
    return !l->no_threads;
}

struct loop_pool *loop_pool_of(struct loop *l)
{
    return &l->pool;
}

struct loop_hashing *loop_hashing_of(struct loop *l)
{
    return l->hashing;
}

bool loop_watch_set(struct loop *l, struct loop_watch *w, unsigned events, struct tarn_err *err)
{
    if (w->is_in && w->events == events)
        return true;
    if (!sys_poller_set(l->poller, w->fd, events, w, err))
        return false;
    w->events = events;
    w->is_in = true;
    return true;
}

void loop_watch_remove(struct loop *l, struct loop_watch *w)
{
    if (!w->is_in)
        return;
    sys_poller_remove(l->poller, w->fd);
    w->is_in = false;
    w->events = 0;
    for (size_t i = l->i_ready; i < l->n_ready; i++)
        if (l->ready[i].tag == w)
            l->ready[i].tag = NULL;
}

bool loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_us)
{
    return tarn_heap_set(&l->timers, &t->node, at_us);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
    tarn_heap_remove(&l->timers, &t->node);
}

/* The wake-up happens under the lock: whoever has seen a message run knows that its poster is
 * through with the loop. */
void loop_post(struct loop *l, struct loop_msg *m)
{
    m->next = NULL;
    sys_lock_take(&l->lock);
    if (l->last == NULL)
        l->first = m;
    else
        l->last->next = m;
    l->last = m;
    if (l->is_waiting) {
        l->is_waiting = false;
        sys_poller_wake(l->poller);
    }
    sys_lock_give(&l->lock);
}

void loop_unpost(struct loop *l, struct loop_msg *m)
{
    for (struct loop_msg **at = &l->due; *at != NULL; at = &(*at)->next)
        if (*at == m) {
            *at = m->next;
            return;
        }
    sys_lock_take(&l->lock);
    struct loop_msg *before = NULL;
    for (struct loop_msg *x = l->first; x != NULL; before = x, x = x->next)
        if (x == m) {
            if (before == NULL)
                l->first = m->next;
            else
                before->next = m->next;
            if (l->last == m)
                l->last = before;
            break;
        }
    sys_lock_give(&l->lock);
}

void loop_idle_set(struct loop *l, struct loop_idle *i)
{
    if (!tarn_list_is_in(&i->node))
        tarn_list_push_back(&l->idle, &i->node);
}

void loop_idle_stop(struct loop_idle *i)
{
    tarn_list_remove(&i->node);
}
