/* catalog/actor: decides when folders are looked at, when what is gone is forgotten, and tells the
 * owner. All of it on the loop's thread; the work is done by jobs, one of each kind at a time.
 *
 * Looks stand in two lines: single names and folders (what the system tells, what doors report),
 * which come first, and walks with all below. When the first grows too long, it is thrown away and
 * everything is walked: the answer to too much news is to look for oneself. */
#include "base/cur.h"
#include "base/map.h"
#include "base/mem.h"
#include "catalog/priv.h"
#include "sys/clock.h"

enum {
    EVENTS_A_READ = 256,
    AFTER_FAULT_US = 10 * 1000000,
    PROGRESS_US = 200 * 1000,
};

/* A collection, as far as the actor must know it. */
struct room {
    uint32_t id;
    bool is_away, is_in_line; /* a walk of it */
    bool is_asked;
    int64_t walk_us; /* the next one */
};

struct actor {
    struct catalog *c;
    struct tarn_list quick, walks; /* of struct look */
    struct tarn_map in_line;       /* quick looks by folder and name */
    size_t n_quick;
    struct look *now; /* under way */
    struct look_job look;
    struct settle_job settle;
    struct drop_job drop;
    bool is_settling, wants_settle, is_dropping, wants_drop;
    bool is_deaf; /* some folders are not watched */
    struct room *rooms;
    size_t n_rooms, cap_rooms;
    struct loop_timer walk_timer, progress_timer;
    struct loop_watch hears;
    struct loop_idle tell;
    uint64_t told_seq, fed_seq;
    bool is_progress_timed;
    bool is_faulty;     /* what is found cannot be recorded: told, and ... */
    uint64_t fault_seq; /* ... the number of commits at that time */
    struct sys_notify_event events[EVENTS_A_READ];
};

/* --- telling the owner --- */

void actor_say(struct catalog *c, const struct lines *l)
{
    char text[64];
    if (c->ops.on_line == NULL)
        return;
    for (unsigned i = 0; i < l->n; i++)
        c->ops.on_line(c->arg, l->is_warning[i], l->text[i]);
    if (l->more == 0)
        return;
    struct tarn_out o;
    tarn_out_fixed(&o, text, sizeof text);
    tarn_out_fmt(&o, "and %u more of the kind", l->more);
    c->ops.on_line(c->arg, true, text);
}

static void say_fault(struct catalog *c, const char *what, const struct tarn_err *why)
{
    struct lines l = { 0 };
    lines_add(&l, true, "%s: %s", what, why->msg);
    actor_say(c, &l);
}

void actor_fault(struct catalog *c, const char *what, const struct tarn_err *why)
{
    struct actor *a = c->actor;
    struct tarn_err err = *why;
    if (a->is_faulty)
        return;
    a->is_faulty = true;
    a->fault_seq = kv_seq(c->kv);
    (void)tarn_fail_in(&err, "%s", what);
    if (c->ops.on_fault != NULL)
        c->ops.on_fault(c->arg, err.msg);
    else
        say_fault(c, what, why);
}

/* The index has taken something since: whatever it was, it is over. */
static void cure(struct catalog *c)
{
    struct actor *a = c->actor;
    if (!a->is_faulty || kv_seq(c->kv) == a->fault_seq)
        return;
    a->is_faulty = false;
    if (c->ops.on_fault != NULL)
        c->ops.on_fault(c->arg, NULL);
}

static void on_tell(struct loop_idle *i)
{
    struct actor *a = TARN_OUTER(i, struct actor, tell);
    struct catalog *c = a->c;
    uint64_t seq = atomic_load(&c->seq);
    if (seq != a->told_seq && c->ops.on_changes != NULL)
        c->ops.on_changes(c->arg, seq);
    a->told_seq = seq;
}

static bool is_busy(const struct actor *a)
{
    return a->now != NULL || a->n_quick > 0 || !tarn_list_empty(&a->walks) ||
           !feed_is_idle(a->c->feed);
}

static void on_progress_time(struct loop_timer *t)
{
    struct actor *a = TARN_OUTER(t, struct actor, progress_timer);
    struct catalog_progress p;
    a->is_progress_timed = false;
    catalog_progress(a->c, &p);
    a->c->ops.on_progress(a->c->arg, &p);
    actor_kick(a->c);
}

static void time_progress(struct actor *a)
{
    if (a->c->ops.on_progress == NULL || a->is_progress_timed || !is_busy(a))
        return;
    a->is_progress_timed =
        loop_timer_set(a->c->loop, &a->progress_timer, loop_now_us(a->c->loop) + PROGRESS_US);
}

void catalog_progress(const struct catalog *c, struct catalog_progress *out)
{
    struct kv_read r = { 0 };
    struct row_head head = { 0 };
    struct store_intake_counts counts = store_intake_counts(c->intake);
    if (kv_read_begin(c->kv, &r, NULL) && index_head(&r, c->base, &head, NULL) == CATALOG_FAILED)
        head = (struct row_head){ 0 };
    kv_read_end(&r);
    *out = (struct catalog_progress){
        .files_done = counts.files_done,
        .bytes_done = counts.bytes_read,
        .files_waiting = head.totals.waiting,
        .bytes_waiting = head.totals.waiting_bytes,
        .is_scrubbing = check_is_running(c->check),
        .is_walking = c->actor->now != NULL || !tarn_list_empty(&c->actor->walks),
        .hears_changes = c->notify != NULL && !c->actor->is_deaf,
    };
}

/* --- collections --- */

static struct room *room_of(struct actor *a, uint32_t id)
{
    for (size_t i = 0; i < a->n_rooms; i++)
        if (a->rooms[i].id == id)
            return &a->rooms[i];
    return NULL;
}

static void set_walk_timer(struct actor *a)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < a->n_rooms; i++)
        if (!a->rooms[i].is_in_line && a->rooms[i].walk_us < at)
            at = a->rooms[i].walk_us;
    loop_timer_stop(a->c->loop, &a->walk_timer);
    if (at != INT64_MAX && !loop_timer_set(a->c->loop, &a->walk_timer, at)) {
        struct lines l = { 0 };
        lines_add(&l, true, "no memory for a timer: folders are not walked by themselves");
        actor_say(a->c, &l);
    }
}

static int64_t walk_after_us(const struct actor *a, const struct room *r)
{
    bool hears = a->c->notify != NULL && !a->is_deaf && !r->is_away;
    return hears ? a->c->walk_anyway_us : a->c->walk_every_us;
}

static void on_walk_time(struct loop_timer *t)
{
    struct actor *a = TARN_OUTER(t, struct actor, walk_timer);
    int64_t now = loop_now_us(a->c->loop);
    for (size_t i = 0; i < a->n_rooms; i++)
        if (a->rooms[i].walk_us <= now)
            actor_walk(a->c, a->rooms[i].id, false);
    set_walk_timer(a);
    actor_kick(a->c);
}

void actor_walk(struct catalog *c, uint32_t collection, bool is_asked)
{
    struct actor *a = c->actor;
    struct room *r = room_of(a, collection);
    if (r == NULL) {
        if (!TARN_GROW(a->rooms, a->n_rooms, a->cap_rooms))
            return;
        r = &a->rooms[a->n_rooms++];
        *r = (struct room){ .id = collection };
    }
    r->is_asked |= is_asked;
    if (r->is_in_line)
        return;
    struct look *l = look_new(0, tarn_bytes_of(NULL, 0));
    if (l == NULL) {
        r->walk_us = loop_now_us(c->loop) + AFTER_FAULT_US;
        set_walk_timer(a);
        return;
    }
    l->collection = collection;
    l->is_walk = l->is_deep = true;
    r->is_in_line = true;
    tarn_list_push_back(&a->walks, &l->node);
}

void actor_walk_all(struct catalog *c, bool is_asked)
{
    for (size_t i = 0; i < c->actor->n_rooms; i++)
        actor_walk(c, c->actor->rooms[i].id, is_asked);
}

void actor_forget(struct catalog *c, uint32_t collection)
{
    struct room *r = room_of(c->actor, collection);
    if (r == NULL)
        return;
    *r = c->actor->rooms[--c->actor->n_rooms];
    set_walk_timer(c->actor);
}

/* --- looks --- */

static void throw_quick(struct actor *a)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&a->quick)) != NULL) {
        struct look *l = TARN_OUTER(node, struct look, node);
        tarn_map_remove(&a->in_line, tarn_bytes_of(l->key, l->key_len));
        look_free(l);
    }
    a->n_quick = 0;
}

static void too_much(struct actor *a)
{
    throw_quick(a);
    actor_walk_all(a->c, false);
}

void actor_look_name(struct catalog *c, uint64_t folder, struct tarn_bytes name, bool is_closed,
                     bool is_doubted)
{
    struct actor *a = c->actor;
    struct look *l = look_new(folder, name);
    if (l == NULL || a->n_quick == LOOKS_MAX) {
        look_free(l);
        too_much(a);
        return;
    }
    uint64_t *there = tarn_map_get(&a->in_line, tarn_bytes_of(l->key, l->key_len));
    if (there != NULL) {
        struct look *other = (struct look *)(uintptr_t)*there;
        other->is_closed = is_closed;
        other->is_doubted |= is_doubted;
        look_free(l);
        return;
    }
    l->is_closed = is_closed;
    l->is_doubted = is_doubted;
    if (!tarn_map_put(&a->in_line, tarn_bytes_of(l->key, l->key_len), (uintptr_t)l)) {
        look_free(l);
        too_much(a);
        return;
    }
    tarn_list_push_back(&a->quick, &l->node);
    a->n_quick++;
}

static void look_folder(struct catalog *c, uint64_t folder)
{
    actor_look_name(c, folder, tarn_bytes_of(NULL, 0), false, false);
}

void actor_look_deep(struct catalog *c, uint64_t folder)
{
    struct look *l = look_new(folder, tarn_bytes_of(NULL, 0));
    if (l == NULL) {
        too_much(c->actor);
        return;
    }
    l->is_deep = true;
    tarn_list_push_back(&c->actor->walks, &l->node);
}

void catalog_look(struct catalog *c, uint32_t collection)
{
    if (collection == 0)
        actor_walk_all(c, true);
    else if (room_of(c->actor, collection) != NULL)
        actor_walk(c, collection, true);
    actor_kick(c);
}

/* A walk has come to its end, or cannot go on. */
static void end_walk(struct actor *a, struct look *l, bool is_away)
{
    struct room *r = room_of(a, l->collection);
    if (!l->is_walk || r == NULL)
        return;
    r->is_in_line = false;
    r->is_away = is_away;
    r->walk_us = loop_now_us(a->c->loop) + walk_after_us(a, r);
    set_walk_timer(a);
}

static void come_again(struct actor *a, const struct look *l)
{
    if (l->is_walk)
        actor_walk(a->c, l->collection, false);
    else if (l->is_deep)
        actor_look_deep(a->c, l->folder);
    else
        actor_look_name(a->c, l->folder, tarn_bytes_of(l->name, l->name_len), l->is_closed,
                        l->is_doubted);
}

/* A name that could not be looked at is found by walking. */
static void walk_later(struct actor *a)
{
    int64_t at = loop_now_us(a->c->loop) + AFTER_FAULT_US;
    for (size_t i = 0; i < a->n_rooms; i++)
        if (!a->rooms[i].is_in_line && a->rooms[i].walk_us > at)
            a->rooms[i].walk_us = at;
    set_walk_timer(a);
}

static void become_deaf(struct actor *a)
{
    a->is_deaf = true;
    for (size_t i = 0; i < a->n_rooms; i++)
        if (!a->rooms[i].is_in_line)
            a->rooms[i].walk_us = loop_now_us(a->c->loop) + a->c->walk_every_us;
    set_walk_timer(a);
}

static void look_done(struct loop_job *job)
{
    struct look_job *j = TARN_OUTER(job, struct look_job, job);
    struct actor *a = TARN_OUTER(j, struct actor, look);
    struct look *l = a->now;
    struct catalog *c = a->c;
    a->now = NULL;
    actor_say(c, &j->lines);
    if (j->is_deaf && !a->is_deaf)
        become_deaf(a);
    l->was_disturbed |= j->is_again;
    if (j->replaced.e.id != 0)
        actor_look_name(c, j->replaced.e.parent, j->replaced.e.name, false, false);
    for (size_t i = 0; i < j->n_deep; i++)
        actor_look_deep(c, j->deep[i]);
    if (j->is_over || j->is_failed || j->is_away || j->wants_walk) {
        end_walk(a, l, j->is_away);
        if (j->is_failed) {
            actor_fault(c, "what has changed cannot be recorded; it is tried every 10 seconds",
                        &j->err);
            throw_quick(a);
            walk_later(a);
        } else if (j->is_away || j->wants_walk) {
            if (!l->is_walk && j->collection != 0)
                actor_walk(c, j->collection, false);
        } else if (l->was_disturbed) {
            come_again(a, l);
        }
        look_free(l);
        a->wants_settle = true;
    } else {
        a->now = l; /* the rest of it; quick ones may come between */
        tarn_list_push_back(l->is_deep ? &a->walks : &a->quick, &l->node);
        a->n_quick += !l->is_deep;
        a->now = NULL;
    }
    actor_kick(c);
}

static struct look *next_look(struct actor *a)
{
    struct tarn_list *node = tarn_list_pop_front(&a->quick);
    if (node != NULL) {
        struct look *l = TARN_OUTER(node, struct look, node);
        tarn_map_remove(&a->in_line, tarn_bytes_of(l->key, l->key_len));
        a->n_quick--;
        return l;
    }
    node = tarn_list_pop_front(&a->walks);
    if (node == NULL)
        return NULL;
    struct look *l = TARN_OUTER(node, struct look, node);
    struct room *r = l->is_walk ? room_of(a, l->collection) : NULL;
    if (r != NULL) {
        l->is_asked |= r->is_asked;
        r->is_asked = false;
    }
    return l;
}

static void start_look(struct actor *a)
{
    a->now = a->now != NULL ? a->now : next_look(a);
    if (a->now == NULL)
        return;
    a->look.look = a->now;
    loop_pool_submit(a->c->loop, &a->look.job);
}

/* --- settling and dropping --- */

static void settle_done(struct loop_job *job)
{
    struct settle_job *s = TARN_OUTER(job, struct settle_job, job);
    struct actor *a = TARN_OUTER(s, struct actor, settle);
    a->is_settling = false;
    actor_say(a->c, &s->lines);
    if (s->is_failed)
        actor_fault(a->c, "cannot record what has gone", &s->err);
    for (size_t i = 0; i < s->n_names; i++) /* once for each: the line knows its own */
        look_folder(a->c, s->names[i]);
    actor_kick(a->c);
}

void actor_settle(struct catalog *c)
{
    c->actor->wants_settle = true;
}

static void drop_done(struct loop_job *job)
{
    struct drop_job *d = TARN_OUTER(job, struct drop_job, job);
    struct actor *a = TARN_OUTER(d, struct actor, drop);
    a->is_dropping = false;
    if (d->is_failed)
        say_fault(a->c, "cannot forget what a collection held; it is tried again at the next start",
                  &d->err);
    else
        a->wants_drop = !d->is_over;
    actor_kick(a->c);
}

void actor_drop(struct catalog *c)
{
    c->actor->wants_drop = true;
}

void actor_kick(struct catalog *c)
{
    struct actor *a = c->actor;
    if (a->now == NULL)
        start_look(a);
    if (a->now == NULL && a->wants_settle && !a->is_settling) {
        a->wants_settle = false;
        a->is_settling = true;
        loop_pool_submit(c->loop, &a->settle.job);
    }
    if (a->wants_drop && !a->is_dropping) {
        a->wants_drop = false;
        a->is_dropping = true;
        loop_pool_submit(c->loop, &a->drop.job);
    }
    uint64_t seq = kv_seq(c->kv);
    cure(c);
    if (seq != a->fed_seq) {
        a->fed_seq = seq;
        feed_kick(c->feed);
    }
    if (atomic_load(&c->seq) != a->told_seq)
        loop_idle_set(c->loop, &a->tell);
    time_progress(a);
}

bool catalog_is_settled(struct catalog *c)
{
    const struct actor *a = c->actor;
    sys_lock_take(&c->lock);
    bool has_reports = c->is_report_out;
    sys_lock_give(&c->lock);
    if (has_reports || !lost_is_idle(c->lost))
        return false;
    return !is_busy(a) && !a->is_settling && !a->wants_settle && !a->is_dropping &&
           !a->wants_drop && tarn_list_empty(&c->asks) && atomic_load(&c->seq) == a->told_seq;
}

/* --- hearing --- */

static void heard(struct catalog *c, const struct sys_notify_event *e)
{
    if ((e->what & SYS_NOTIFY_LOST) != 0) {
        struct lines l = { 0 };
        lines_add(&l, true,
                  "more changed than could be heard (raise fs.inotify.max_queued_events); all "
                  "collections are walked");
        actor_say(c, &l);
        too_much(c->actor);
    } else if ((e->what & SYS_NOTIFY_SELF) != 0 || e->name.len == 0) {
        look_folder(c, e->tag);
    } else {
        actor_look_name(c, e->tag, e->name, (e->what & SYS_NOTIFY_CLOSED) != 0,
                        (e->what & SYS_NOTIFY_CONTENT) != 0);
    }
}

static void on_heard(struct loop_watch *w, unsigned ready)
{
    (void)ready;
    struct actor *a = TARN_OUTER(w, struct actor, hears);
    struct tarn_err err;
    size_t n;
    while ((n = sys_notify_read(a->c->notify, a->events, EVENTS_A_READ, &err)) > 0)
        for (size_t i = 0; i < n; i++)
            heard(a->c, &a->events[i]);
    if (err.code != TARN_OK) {
        say_fault(a->c, "folders are walked from time to time instead", &err);
        loop_watch_remove(a->c->loop, w);
        become_deaf(a);
    }
    actor_kick(a->c);
}

static void look_at_report(struct catalog *c, const struct report *report)
{
    struct kv_read r = { 0 };
    struct kv_key k = { 0 };
    struct tarn_bytes key;
    if (report->name_len > 0) {
        actor_look_name(c, report->entry, tarn_bytes_of(report->name, report->name_len), false,
                        false);
        return;
    }
    kv_key_be64(&k, report->entry);
    if (kv_read_begin(c->kv, &r, NULL) &&
        kv_get(&r, c->base + T_PARENTS, kv_key_bytes(&k), &key, NULL) == KV_FOUND) {
        struct tarn_cur at = tarn_cur_of(key);
        uint64_t folder = tarn_cur_be64(&at);
        actor_look_name(c, folder, tarn_cur_rest(&at), false, report->is_doubted);
    }
    kv_read_end(&r);
}

void actor_reports(struct catalog *c)
{
    for (;;) {
        struct report last;
        sys_lock_take(&c->lock);
        bool is_any = c->n_reports > 0, is_all = c->too_many_reports;
        if (is_any)
            last = c->reports[--c->n_reports];
        else
            c->too_many_reports = c->is_report_out = false;
        sys_lock_give(&c->lock);
        if (is_any) {
            look_at_report(c, &last);
            continue;
        }
        if (is_all)
            too_much(c->actor);
        break;
    }
    actor_kick(c);
}

/* --- coming and going --- */

static bool find_rooms(struct actor *a, struct tarn_err *err)
{
    struct catalog *c = a->c;
    struct catalog_read r;
    struct catalog_collection col;
    uint32_t id = 0;
    enum catalog_found found;
    if (!catalog_read_begin(c, &r, err))
        return false;
    while ((found = catalog_collection_next(&r, id, &col, err)) == CATALOG_FOUND) {
        id = col.id;
        actor_walk(c, id, true);
    }
    catalog_read_end(&r);
    return found != CATALOG_FAILED;
}

struct actor *actor_new(struct catalog *c, struct tarn_err *err)
{
    struct actor *a = tarn_calloc(1, sizeof *a);
    uint8_t seed[16];
    if (a == NULL) {
        tarn_fail_mem(err, "opening the catalog");
        return NULL;
    }
    a->c = c;
    c->actor = a;
    tarn_list_init(&a->quick);
    tarn_list_init(&a->walks);
    a->look.job.run = look_job_run;
    a->look.job.done = look_done;
    a->settle.c = a->drop.c = c;
    a->settle.job.run = settle_run;
    a->settle.job.done = settle_done;
    a->drop.job.run = drop_run;
    a->drop.job.done = drop_done;
    a->walk_timer.on_time = on_walk_time;
    a->progress_timer.on_time = on_progress_time;
    a->tell.on_idle = on_tell;
    a->told_seq = atomic_load(&c->seq);
    a->hears.on_ready = on_heard;
    a->hears.fd = -1;
    bool ok = sys_random(seed, sizeof seed, err) && look_job_init(&a->look, c, err);
    if (ok)
        tarn_map_init(&a->in_line, seed);
    if (ok && c->notify != NULL) {
        a->hears.fd = sys_notify_fd(c->notify);
        ok = loop_watch_set(c->loop, &a->hears, SYS_READABLE, err);
    }
    if (ok && find_rooms(a, err)) {
        a->wants_drop = a->wants_settle = true;
        actor_kick(c);
        return a;
    }
    actor_free(a);
    c->actor = NULL;
    return NULL;
}

void actor_free(struct actor *a)
{
    if (a == NULL)
        return;
    struct loop *loop = a->c->loop;
    struct tarn_list *node;
    loop_pool_cancel(loop, &a->look.job);
    loop_pool_cancel(loop, &a->settle.job);
    loop_pool_cancel(loop, &a->drop.job);
    loop_timer_stop(loop, &a->walk_timer);
    loop_timer_stop(loop, &a->progress_timer);
    loop_watch_remove(loop, &a->hears);
    loop_idle_stop(&a->tell);
    throw_quick(a);
    while ((node = tarn_list_pop_front(&a->walks)) != NULL)
        look_free(TARN_OUTER(node, struct look, node));
    look_free(a->now);
    look_job_release(&a->look);
    tarn_map_release(&a->in_line);
    tarn_free(a->rooms);
    tarn_free(a);
}
