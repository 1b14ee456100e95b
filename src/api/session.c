/* api/session: tarn_session and tarn_item over bt/session: settings in, events and figures out. */
#include "bt/session.h"
#include "api/listen.h"
#include "api/priv.h"
#include "base/list.h"
#include "base/mem.h"
#include "bt/resume.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <fnmatch.h>

/* What happens in the middle of work is told at the end of the turn: the caller may remove the item
 * then. */
struct event {
    struct tarn_list node; /* in the session's events */
    struct tarn_item *item;
    enum tarn_event what;
    char text[];
};
enum { PEER_EVENTS_MAX = 256 }; /* that wait: a turn with more of them is a flood */

struct tarn_session {
    struct loop *loop;
    struct fetcher *fetcher;       /* NULL: no trackers */
    struct bt_resume_files *state; /* NULL: none is kept */
    struct bt_session *bt;
    void (*on_event)(void *arg, struct tarn_item *item, enum tarn_event e, const char *text);
    void *arg;
    struct tarn_list items;
    struct tarn_list events; /* to be told; n_events */
    size_t n_events;
    struct loop_idle telling;
    bool has_left, no_trackers, no_web_seeds;
};

struct tarn_item {
    struct tarn_list node;
    struct tarn_session *session;
    struct bt_torrent *bt;
    struct bt_metainfo meta; /* the session fills layers in */
    struct bt_magnet magnet; /* when it came from a magnet link */
    char *path;              /* owned */
    char **only, **peers;    /* owned, with their strings */
    size_t n_only, n_peers;
    char *failure;               /* owned; NULL: not failed, or no memory to say why */
    enum tarn_code failure_code; /* TARN_OK: not failed */
    void *arg;
};

static void tell(struct tarn_session *s, struct tarn_item *i, enum tarn_event e, const char *text)
{
    if (s->on_event != NULL)
        s->on_event(s->arg, i, e, text);
}

static void tell_later(struct tarn_session *s, struct tarn_item *i, enum tarn_event e,
                       const char *text)
{
    size_t len = strlen(text);
    if (s->on_event == NULL || (e == TARN_EVENT_PEER && s->n_events >= PEER_EVENTS_MAX))
        return;
    struct event *event = tarn_calloc(1, sizeof *event + len + 1);
    if (event == NULL)
        return; /* one line less of a log */
    event->item = i;
    event->what = e;
    memcpy(event->text, text, len);
    tarn_list_push_back(&s->events, &event->node);
    s->n_events++;
    loop_idle_set(s->loop, &s->telling);
}

static void on_telling(struct loop_idle *idle)
{
    struct tarn_session *s = TARN_OUTER(idle, struct tarn_session, telling);
    struct tarn_list *node;
    for (size_t n = s->n_events; n > 0 && (node = tarn_list_pop_front(&s->events)) != NULL; n--) {
        struct event *event = TARN_OUTER(node, struct event, node);
        s->n_events--;
        tell(s, event->item, event->what, event->text);
        tarn_free(event);
    }
}

static void forget_events(struct tarn_session *s, const struct tarn_item *i)
{
    for (struct tarn_list *node = s->events.next, *next; node != &s->events; node = next) {
        struct event *event = TARN_OUTER(node, struct event, node);
        next = node->next;
        if (event->item != i)
            continue;
        tarn_list_remove(node);
        s->n_events--;
        tarn_free(event);
    }
}

/* Strings of the caller's, copied. */

static void free_strings(char **list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++)
        tarn_free(list[i]);
    tarn_free(list);
}

static bool copy_strings(char ***list, size_t *n, const char *const *from, size_t n_from)
{
    *list = tarn_calloc(n_from, sizeof **list);
    if (*list == NULL)
        return n_from == 0;
    for (*n = 0; *n < n_from; (*n)++) {
        (*list)[*n] = tarn_strndup(from[*n], strlen(from[*n]));
        if ((*list)[*n] == NULL)
            return false;
    }
    return true;
}

/* Which files. */

static bool matches(const char *glob, const char *path)
{
    const char *below = strchr(path, '/');
    return fnmatch(glob, path, 0) == 0 || (below != NULL && fnmatch(glob, below + 1, 0) == 0);
}

static bool wants(void *arg, const struct bt_file *f)
{
    const struct tarn_item *i = arg;
    for (size_t k = 0; k < i->n_only; k++)
        if (matches(i->only[k], f->path))
            return true;
    return i->n_only == 0;
}

/* A pattern that matches nothing is a slip of the pen. */
static bool check_only(const struct tarn_item *i, const struct bt_metainfo *m, struct tarn_err *err)
{
    for (size_t k = 0; k < i->n_only; k++) {
        bool found = false;
        for (uint32_t f = 0; f < m->n_files && !found; f++)
            found = !m->files[f].is_pad && matches(i->only[k], m->files[f].path);
        struct tarn_quote q;
        if (!found)
            return tarn_fail(err, TARN_E_NOT_FOUND, "no file of the torrent matches '%s'",
                             tarn_quote_str(&q, i->only[k]));
    }
    return true;
}

/* What the session below says. */

static void on_failed(void *arg, const struct tarn_err *err)
{
    struct tarn_item *i = arg;
    i->failure_code = err->code;
    tarn_free(i->failure);
    i->failure = tarn_strndup(err->msg, strlen(err->msg));
    tell(i->session, i, TARN_EVENT_FAILED, err->msg);
}

static void on_metadata(void *arg, const struct bt_metainfo *m)
{
    struct tarn_item *i = arg;
    struct tarn_err err;
    if (check_only(i, m, &err)) {
        tell(i->session, i, TARN_EVENT_METADATA, m->name);
    } else {
        bt_torrent_pause(i->bt);
        bt_torrent_fail(i->bt, &err); /* on_failed follows */
    }
}

static void on_complete(void *arg)
{
    struct tarn_item *i = arg;
    tell(i->session, i, TARN_EVENT_COMPLETE, bt_torrent_meta(i->bt)->name);
}

/* What trackers say, and what is about saved state, begins so. */
static void on_note(void *arg, struct bt_torrent *t, const char *text)
{
    static const char tracker[] = "tracker: ", state[] = "state: ";
    struct tarn_item *i = t == NULL ? NULL : bt_torrent_arg(t);
    if (strncmp(text, tracker, sizeof tracker - 1) == 0)
        tell_later(arg, i, TARN_EVENT_TRACKER, text + sizeof tracker - 1);
    else if (strncmp(text, state, sizeof state - 1) == 0)
        tell_later(arg, i, TARN_EVENT_STATE, text + sizeof state - 1);
    else
        tell_later(arg, i, TARN_EVENT_PEER, text);
}

/* A session. */

static enum sys_file_way way_of(enum tarn_io io)
{
    switch (io) {
    case TARN_IO_AUTO:
        return SYS_FILE_AUTO;
    case TARN_IO_MMAP:
        return SYS_FILE_MMAP;
    case TARN_IO_PREAD:
        return SYS_FILE_PREAD;
    }
    return SYS_FILE_AUTO;
}

static bool try_listen(struct tarn_session *s, const struct tarn_session_settings *set,
                       struct tarn_err *err)
{
    struct api_listen listen;
    bool ok = api_listen_choose(&listen, set->listen, set->n_listen, err);
    struct bt_session_settings below = {
        .loop = s->loop,
        .fetcher = s->fetcher,
        .listen = listen.addrs,
        .n_listen = listen.n,
        .memory = set->memory,
        .metadata = set->metadata,
        .rate_down = set->rate_down,
        .rate_up = set->rate_up,
        .uplink_off = set->uplink_off,
        .io = way_of(set->io),
        .max_requests = set->max_requests,
        .max_peers = set->max_peers,
        .slots = set->slots,
        .agent = "tarn " TARN_VERSION,
        .resume = s->state == NULL ? NULL : &bt_resume_files_ops,
        .resume_arg = s->state,
        .on_note = on_note,
        .arg = s,
    };
    if (ok)
        s->bt = bt_session_new(&below, err);
    for (size_t i = 0; s->bt != NULL && i < listen.n; i++) {
        struct sys_addr_text text;
        struct sys_addr at = bt_session_addr(s->bt, i);
        tell(s, NULL, TARN_EVENT_LISTENING, sys_addr_text(&text, &at));
    }
    api_listen_release(&listen);
    return s->bt != NULL;
}

/* One of the usual ports that was free a moment ago may be somebody else's now: look again. */
static bool listen_somewhere(struct tarn_session *s, const struct tarn_session_settings *set,
                             struct tarn_err *err)
{
    bool is_usual = set->n_listen == 0;
    for (uint16_t port = API_PORT_FIRST; is_usual && port < API_PORT_LAST; port++)
        if (try_listen(s, set, NULL))
            return true;
    return try_listen(s, set, err);
}

/* HTTP trackers are one way among others: without libcurl the rest still works. */
static void make_fetcher(struct tarn_session *s)
{
    struct tarn_err err;
    s->fetcher = fetcher_new(s->loop, "tarn/" TARN_VERSION, &err);
    if (s->fetcher == NULL)
        tell(s, NULL, TARN_EVENT_TRACKER, err.msg);
}

static void make_state(struct tarn_session *s, const char *folder)
{
    struct tarn_err err;
    s->state = bt_resume_files_new(folder, &err);
    if (s->state == NULL)
        tell(s, NULL, TARN_EVENT_STATE, err.msg);
}

struct tarn_session *tarn_session_open(const struct tarn_session_settings *set,
                                       struct tarn_err *err)
{
    struct tarn_session *s = tarn_calloc(1, sizeof *s);
    if (s == NULL) {
        (void)tarn_fail_mem(err, "opening a session");
        return NULL;
    }
    s->on_event = set->on_event;
    s->arg = set->arg;
    tarn_list_init(&s->items);
    tarn_list_init(&s->events);
    s->telling.on_idle = on_telling;
    s->loop = loop_new(&(struct loop_settings){ .threads = set->threads }, err);
    s->no_trackers = set->no_trackers;
    s->no_web_seeds = set->no_web_seeds;
    if (s->loop != NULL && !(set->no_trackers && set->no_web_seeds))
        make_fetcher(s);
    if (s->loop != NULL && set->state != NULL)
        make_state(s, set->state);
    if (s->loop == NULL || !listen_somewhere(s, set, err)) {
        tarn_session_close(s);
        return NULL;
    }
    return s;
}

void tarn_session_close(struct tarn_session *s)
{
    if (s == NULL)
        return;
    while (!tarn_list_empty(&s->items))
        tarn_item_remove(TARN_OUTER(s->items.next, struct tarn_item, node));
    bt_session_free(s->bt);
    loop_idle_stop(&s->telling);
    forget_events(s, NULL);
    bt_resume_files_free(s->state);
    fetcher_free(s->fetcher);
    loop_free(s->loop);
    tarn_free(s);
}

bool tarn_session_step(struct tarn_session *s, int max_wait_ms, struct tarn_err *err)
{
    return loop_turn(s->loop, max_wait_ms < 0 ? -1 : (int64_t)max_wait_ms * 1000, err);
}

static void on_goodbye(void *arg)
{
    ((struct tarn_session *)arg)->has_left = true;
}

void tarn_session_leave(struct tarn_session *s)
{
    bt_session_goodbye(s->bt, on_goodbye, s);
}

bool tarn_session_has_left(const struct tarn_session *s)
{
    return s->has_left;
}

void tarn_session_set_rates(struct tarn_session *s, uint64_t rate_down, uint64_t rate_up)
{
    bt_session_set_rates(s->bt, rate_down, rate_up);
}

void tarn_session_status(const struct tarn_session *s, struct tarn_session_status *out)
{
    struct bt_session_stats b;
    bt_session_stats(s->bt, &b);
    *out = (struct tarn_session_status){
        .items = b.torrents,
        .peers = b.conns,
        .greeting = b.greeting,
        .interested = b.interested,
        .unchoked = b.unchoked,
        .accepted = b.accepted,
        .refused = b.refused,
        .dialled = b.dialled,
        .banned = b.banned,
        .downloaded = b.downloaded,
        .uploaded = b.uploaded,
        .wasted = b.wasted,
        .corrupt = b.corrupt,
        .pieces_passed = b.pieces_passed,
        .pieces_failed = b.pieces_failed,
        .memory = b.memory,
        .memory_used = b.memory_used,
        .memory_peak = b.memory_peak,
        .metadata = b.metadata,
        .metadata_used = b.metadata_used,
        .uplink = b.uplink_bps,
        .uplink_delay_us = b.uplink_delay_us,
    };
}

/* An item. */

static bool read_torrent(struct tarn_item *i, const struct tarn_torrent *t, struct tarn_err *err)
{
    if (t->info.is_magnet)
        return bt_magnet_parse(&i->magnet, tarn_bytes_str(t->link), err);
    return bt_metainfo_parse(&i->meta, tarn_bytes_of(t->bytes, t->len), err) &&
           check_only(i, &i->meta, err);
}

static bool copy_settings(struct tarn_item *i, const struct tarn_item_settings *set,
                          struct tarn_err *err)
{
    i->arg = set->arg;
    i->path = tarn_strndup(set->path, strlen(set->path));
    return (i->path != NULL && copy_strings(&i->only, &i->n_only, set->only, set->n_only) &&
            copy_strings(&i->peers, &i->n_peers, set->peers, set->n_peers)) ||
           tarn_fail_mem(err, "adding a torrent");
}

static bool start(struct tarn_item *i, const struct tarn_item_settings *set, struct tarn_err *err)
{
    static const struct bt_torrent_ops ops = { on_metadata, on_complete, on_failed };
    bool is_magnet = set->torrent->info.is_magnet;
    struct bt_add add = {
        .meta = is_magnet ? NULL : &i->meta,
        .magnet = is_magnet ? &i->magnet : NULL,
        .path = i->path,
        .seed_only = set->seed,
        .trust = set->seed && set->trust,
        .sequential = set->sequential,
        .paused = set->paused,
        .no_trackers = set->no_trackers || i->session->no_trackers,
        .no_web_seeds = set->no_web_seeds || i->session->no_web_seeds,
        .wants = i->n_only > 0 ? wants : NULL,
        .peers = (const char *const *)i->peers,
        .n_peers = i->n_peers,
        .ops = &ops,
        .arg = i,
    };
    i->bt = bt_session_add(i->session->bt, &add, err);
    return i->bt != NULL &&
           tarn_item_set_limits(i, set->rate_down, set->rate_up, set->max_peers, err);
}

struct tarn_item *tarn_session_add(struct tarn_session *s, const struct tarn_item_settings *set,
                                   struct tarn_err *err)
{
    if (set->seed && set->torrent->info.is_magnet) {
        (void)tarn_fail(err, TARN_E_USAGE,
                        "a magnet link does not say enough to seed from: give the torrent file");
        return NULL;
    }
    struct tarn_item *i = tarn_calloc(1, sizeof *i);
    if (i == NULL) {
        (void)tarn_fail_mem(err, "adding a torrent");
        return NULL;
    }
    i->session = s;
    tarn_list_push_back(&s->items, &i->node);
    if (!copy_settings(i, set, err) || !read_torrent(i, set->torrent, err) || !start(i, set, err)) {
        tarn_item_remove(i);
        return NULL;
    }
    return i;
}

void tarn_item_remove(struct tarn_item *i)
{
    if (i->bt != NULL)
        bt_session_remove(i->session->bt, i->bt);
    forget_events(i->session, i);
    bt_metainfo_release(&i->meta);
    bt_magnet_release(&i->magnet);
    free_strings(i->only, i->n_only);
    free_strings(i->peers, i->n_peers);
    tarn_free(i->path);
    tarn_free(i->failure);
    tarn_list_remove(&i->node);
    tarn_free(i);
}

void tarn_item_forget(struct tarn_item *i)
{
    bt_torrent_forget(i->bt);
}

void tarn_item_save(struct tarn_item *i)
{
    bt_torrent_save(i->bt);
}

bool tarn_item_is_saving(const struct tarn_item *i)
{
    return bt_torrent_is_saving(i->bt);
}

void *tarn_item_arg(const struct tarn_item *i)
{
    return i->arg;
}

void tarn_item_pause(struct tarn_item *i)
{
    bt_torrent_pause(i->bt);
}

void tarn_item_resume(struct tarn_item *i)
{
    if (i->failure_code == TARN_OK)
        bt_torrent_resume(i->bt);
}

bool tarn_item_set_limits(struct tarn_item *i, uint64_t rate_down, uint64_t rate_up,
                          uint32_t max_peers, struct tarn_err *err)
{
    struct bt_torrent_limits limits = { rate_down, rate_up, max_peers };
    return bt_torrent_set_limits(i->bt, &limits, err);
}

/* Callers do not see the padding files. */
bool tarn_item_set_priorities(struct tarn_item *i, const uint8_t *priorities, size_t n,
                              struct tarn_err *err)
{
    const struct bt_metainfo *m = bt_torrent_meta(i->bt);
    if (m == NULL)
        return tarn_fail(err, TARN_E_FAILED,
                         "its files are not known yet: wait until the metadata are here");
    if (n != m->n_real_files)
        return tarn_fail(err, TARN_E_USAGE, "%zu priorities for %u files", n, m->n_real_files);
    uint8_t *all = tarn_calloc(m->n_files, 1);
    if (all == NULL)
        return tarn_fail_mem(err, "setting priorities");
    size_t k = 0;
    for (uint32_t f = 0; f < m->n_files; f++)
        if (!m->files[f].is_pad)
            all[f] = priorities[k++];
    bool ok = bt_torrent_set_priorities(i->bt, all, err);
    tarn_free(all);
    return ok;
}

void tarn_item_set_sequential(struct tarn_item *i, bool on)
{
    bt_torrent_set_sequential(i->bt, on);
}

bool tarn_item_add_peer(struct tarn_item *i, const char *addr_port, struct tarn_err *err)
{
    struct sys_addr addr;
    struct tarn_quote q;
    if (!sys_addr_parse(tarn_bytes_str(addr_port), 0, &addr))
        return tarn_fail(err, TARN_E_USAGE,
                         "'%s' is no peer address: write it like 1.2.3.4:6881 or [::1]:6881",
                         tarn_quote_str(&q, addr_port));
    bt_torrent_add_peer(i->bt, &addr);
    return true;
}

void tarn_item_status(const struct tarn_item *i, struct tarn_transfer_status *out)
{
    static const enum tarn_transfer_state states[] = {
        [BT_METADATA] = TARN_GETTING_METADATA, [BT_PREPARING] = TARN_PREPARING,
        [BT_CHECKING] = TARN_CHECKING,         [BT_FETCHING] = TARN_FETCHING,
        [BT_SEEDING] = TARN_SEEDING,           [BT_STOPPED] = TARN_FAILED,
    };
    struct bt_stats s;
    bt_torrent_stats(i->bt, &s);
    *out = (struct tarn_transfer_status){
        .state = i->failure_code != TARN_OK ? TARN_FAILED : states[s.state],
        .is_paused = s.is_paused,
        .done = s.done,
        .total = s.total,
        .downloaded = s.downloaded,
        .uploaded = s.uploaded,
        .ever_downloaded = s.ever_downloaded,
        .ever_uploaded = s.ever_uploaded,
        .wasted = s.wasted + s.corrupt,
        .rate_down = s.rate_down,
        .rate_up = s.rate_up,
        .uplink = s.uplink_bps,
        .uplink_delay_us = s.uplink_delay_us,
        .pieces_failed = s.pieces_failed,
        .peers = s.peers,
        .seeds = s.seeds,
        .known = s.known,
        .tracker_error = s.tracker_error,
    };
}

void tarn_item_error(const struct tarn_item *i, struct tarn_err *out)
{
    if (i->failure_code != TARN_OK)
        (void)tarn_fail(out, i->failure_code, "%s",
                        i->failure != NULL ? i->failure : "no memory to say what failed");
}

const char *tarn_item_name(const struct tarn_item *i)
{
    const struct bt_metainfo *m = bt_torrent_meta(i->bt);
    return m == NULL ? NULL : m->name;
}

bool tarn_item_save_torrent(const struct tarn_item *i, const char *path, struct tarn_err *err)
{
    const struct bt_metainfo *m = bt_torrent_meta(i->bt);
    if (m == NULL)
        return tarn_fail(err, TARN_E_FAILED, "the torrent is not known yet");
    struct tarn_out o;
    tarn_out_init(&o, BT_TORRENT_MAX);
    bt_metainfo_write(m, &o);
    bool ok = tarn_out_ok(&o) ? sys_write_whole(path, tarn_out_bytes(&o), err)
                              : tarn_fail_mem(err, "writing the torrent");
    tarn_out_release(&o);
    return ok;
}

bool api_item_is_alone(const struct tarn_item *i)
{
    return bt_torrent_is_alone(i->bt);
}

/* Peers. */

struct telling {
    void (*each)(void *arg, const struct tarn_peer *p);
    void *arg;
};

static void tell_peer(void *arg, const struct bt_peer *p)
{
    const struct telling *x = arg;
    struct sys_addr_text address;
    struct tarn_peer peer = {
        .address = p->host != NULL ? p->host : sys_addr_text(&address, &p->addr),
        .agent = p->agent,
        .is_web_seed = p->host != NULL,
        .downloaded = p->downloaded,
        .uploaded = p->uploaded,
        .pieces = p->pieces,
        .requests_out = p->requests_out,
        .requests_in = p->requests_in,
        .is_incoming = p->is_incoming,
        .is_seed = p->is_seed,
        .is_snubbed = p->is_snubbed,
        .on_parole = p->on_parole,
        .am_interested = p->am_interested,
        .am_choking = p->am_choking,
        .is_interested = p->is_interested,
        .is_choking = p->is_choking,
    };
    x->each(x->arg, &peer);
}

void tarn_item_peers(const struct tarn_item *i, void (*each)(void *arg, const struct tarn_peer *p),
                     void *arg)
{
    struct telling x = { each, arg };
    bt_torrent_peers(i->bt, tell_peer, &x);
}
