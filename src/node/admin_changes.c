/* node/admin_changes: /v1/changes: the catalog's journal as a stream, as JSON Lines or as
 * server-sent events. A stream that has told everything waits among the watchers until the journal
 * grows; a beat keeps it alive. */
#include "node/admin_priv.h"

#include "base/num.h"

#include <stdio.h>

enum {
    PART = 64 << 10,
    BEAT_US = 15 * 1000 * 1000, /* shorter than the silence that proxies bear: 30 s and more */
};

static const char *event_word(const struct catalog_change *ch)
{
    switch (ch->event) {
    case CATALOG_E_ADDED:
    case CATALOG_E_REPLACED:
        return "file-held";
    case CATALOG_E_CHANGED:
        return "file-changed";
    case CATALOG_E_MOVED:
        return "file-moved";
    case CATALOG_E_REMOVED:
        return "file-missing";
    case CATALOG_E_REFUSED:
        return "file-refused";
    case CATALOG_E_DAMAGED:
        return "file-damaged";
    case CATALOG_E_COLLECTION_ADDED:
        return "collection-added";
    case CATALOG_E_COLLECTION_REMOVED:
        return "collection-removed";
    case CATALOG_E_COLLECTION_CHANGED:
        return "collection-changed";
    case CATALOG_E_COLLECTION_COMPLETE:
        return "collection-complete";
    case CATALOG_E_COLLECTION_AWAY:
        return "collection-away";
    case CATALOG_E_COLLECTION_BACK:
    case CATALOG_E_NOTE:
        break;
    }
    return "collection-back";
}

/* Notes are this node's own (node_note), and say themselves what they are. */
static void put_note(struct json *j, const struct catalog_change *ch)
{
    json_put_u64(j, "item", ch->number);
    json_put_bytes(j, "name", ch->name);
    if (ch->other.len > 0)
        json_put_bytes(j, "state", ch->other);
}

static void put_catalog_change(struct json *j, const struct catalog_change *ch)
{
    json_put_u64(j, "item", node_id_of_collection(ch->collection));
    json_put_bytes(j, "name", ch->name);
    if (ch->entry != 0)
        json_put_bytes(j, "path", ch->path);
    if (ch->has_identity)
        admin_put_identity(j, "id", &ch->identity);
    if (ch->event == CATALOG_E_MOVED)
        json_put_bytes(j, "from", ch->other);
    else if (ch->other.len > 0)
        json_put_bytes(j, "why", ch->other);
    if (ch->event == CATALOG_E_COLLECTION_COMPLETE)
        json_put_u64(j, "version", ch->number);
}

static void put_change(struct admin_call *c, const struct catalog_change *ch)
{
    char word[64];
    bool is_note = ch->event == CATALOG_E_NOTE;
    (void)snprintf(word, sizeof word, "%.*s", is_note ? (int)ch->path.len : 63,
                   is_note ? (const char *)ch->path.p : event_word(ch));
    if (c->is_sse)
        tarn_out_fmt(&c->out, "id: %llu\nevent: %s\ndata: ", (unsigned long long)ch->seq, word);
    struct json *j = admin_line(c, word);
    json_put_u64(j, "seq", ch->seq);
    json_put_u64(j, "at_ms", (uint64_t)ch->at_ms);
    if (is_note)
        put_note(j, ch);
    else
        put_catalog_change(j, ch);
    admin_line_end(c);
    if (c->is_sse)
        tarn_out_u8(&c->out, '\n');
}

/* Numbers after the client's are no longer kept. */
static void put_gap(struct admin_call *c, uint64_t seq)
{
    if (c->is_sse)
        tarn_out_fmt(&c->out, "id: %llu\nevent: gap\ndata: ", (unsigned long long)seq);
    json_put_u64(admin_line(c, "gap"), "seq", seq);
    admin_line_end(c);
    if (c->is_sse)
        tarn_out_u8(&c->out, '\n');
    c->at = seq;
}

/* Without memory for a timer nobody is kept alive: those streams end at the next change. */
static void set_beat(struct node_admin *a)
{
    int64_t at_us = loop_now_us(a->node->loop) + BEAT_US;
    for (struct tarn_list *at = a->watchers.next; at != &a->watchers; at = at->next)
        at_us = tarn_min_i64(at_us, TARN_OUTER(at, struct admin_call, node)->ends_us);
    if (!loop_timer_set(a->node->loop, &a->beat, at_us))
        node_log(a->node->log, NODE_WARNING, "admin", "no memory for a timer");
}

static void watch(struct admin_call *c)
{
    struct node_admin *a = c->admin;
    if (c->is_watching)
        return;
    c->is_watching = true;
    tarn_list_push_back(&a->watchers, &c->node);
    a->n_watchers++;
    set_beat(a);
}

void admin_forget_watcher(struct admin_call *c)
{
    if (!c->is_watching)
        return;
    tarn_list_remove(&c->node);
    c->is_watching = false;
    if (--c->admin->n_watchers == 0)
        loop_timer_stop(c->admin->node->loop, &c->admin->beat);
}

/* False: all that there is has been told. */
static bool put_some(struct admin_call *c, struct catalog_read *r, struct tarn_err *err)
{
    struct catalog_change ch;
    uint64_t oldest, newest;
    while (c->out.len < PART)
        switch (catalog_change_next(r, c->at, &ch, err)) {
        case CATALOG_FOUND:
            put_change(c, &ch);
            c->at = ch.seq;
            break;
        case CATALOG_NOT_THERE:
            return false;
        case CATALOG_FAILED:
            if (err->code != TARN_E_NOT_FOUND || !catalog_journal_span(r, &oldest, &newest, err))
                return true; /* err says why */
            put_gap(c, newest);
            return true;
        }
    return true;
}

static void more_changes(struct admin_call *c)
{
    struct catalog_read r;
    struct tarn_err err = { 0 };
    if (!catalog_read_begin(c->admin->node->catalog, &r, &err)) {
        http_stream_cut(c->x);
        return;
    }
    bool is_more = put_some(c, &r, &err);
    catalog_read_end(&r);
    if (err.code != TARN_OK && err.code != TARN_E_NOT_FOUND)
        http_stream_cut(c->x);
    else if (!is_more && (loop_now_us(c->admin->node->loop) >= c->ends_us ||
                          c->admin->node->state == NODE_STOPPING))
        admin_stream_end(c);
    else {
        admin_flush(c);
        if (!is_more)
            watch(c);
    }
}

void node_admin_changed(struct node *n)
{
    struct node_admin *a = n->doors.admin_door;
    if (a == NULL)
        return;
    for (unsigned left = a->n_watchers; left > 0; left--) { /* it comes again, behind them all */
        struct admin_call *c = TARN_OUTER(a->watchers.next, struct admin_call, node);
        admin_forget_watcher(c);
        more_changes(c);
    }
}

void node_admin_drain(struct node *n)
{
    struct node_admin *a = n->doors.admin_door;
    while (a->n_watchers > 0) {
        struct admin_call *c = TARN_OUTER(a->watchers.next, struct admin_call, node);
        admin_forget_watcher(c);
        admin_stream_end(c);
    }
}

/* Something each 15 s, so that nobody in between takes the silence for an end. */
void admin_beat(struct loop_timer *t)
{
    struct node_admin *a = TARN_OUTER(t, struct node_admin, beat);
    int64_t now_us = loop_now_us(a->node->loop);
    for (struct tarn_list *at = a->watchers.next, *next; at != &a->watchers; at = next) {
        struct admin_call *c = TARN_OUTER(at, struct admin_call, node);
        next = at->next;
        tarn_out_str(&c->out, c->is_sse ? ": still here\n\n" : "\n");
        if (now_us < c->ends_us) {
            admin_flush(c);
        } else {
            admin_forget_watcher(c);
            tarn_out_clear(&c->out);
            admin_stream_end(c);
        }
    }
    if (a->n_watchers > 0)
        set_beat(a);
}

/* False: answered. */
static bool read_place(struct admin_call *c)
{
    struct tarn_bytes last = http_value(c->x->request, HTTP_LAST_EVENT_ID);
    uint64_t wait_s = 0;
    c->at = catalog_seq(c->admin->node->catalog);
    if ((c->since != NULL && !tarn_parse_u64(tarn_bytes_str(c->since), UINT64_MAX, &c->at)) ||
        (last.len > 0 && !tarn_parse_u64(last, UINT64_MAX, &c->at)) ||
        (c->wait != NULL && !tarn_parse_u64(tarn_bytes_str(c->wait), ADMIN_WAIT_MAX_S, &wait_s))) {
        admin_refuse(c, 400, TARN_E_USAGE, "since= is the number of a change, wait= 0 to 3600 s");
        return false;
    }
    c->ends_us = loop_now_us(c->admin->node->loop) + (int64_t)wait_s * 1000000;
    if (wait_s > 0 && c->admin->n_watchers >= ADMIN_WATCHERS_MAX) {
        admin_refuse(c, 503, TARN_E_DAEMON, "a hundred change streams are open: no more are taken");
        return false;
    }
    return true;
}

void admin_changes(struct admin_call *c)
{
    static const char sse[] = "text/event-stream";
    struct tarn_bytes accept = http_value(c->x->request, HTTP_ACCEPT);
    c->is_sse = accept.len >= sizeof sse - 1 && memcmp(accept.p, sse, sizeof sse - 1) == 0;
    if (read_place(c))
        admin_stream(c, more_changes);
}
