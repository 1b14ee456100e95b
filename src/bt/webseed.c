/* bt/webseed: web servers as sources of a torrent (BEP 19). The rules are bt/core/webseed's and,
 * for what to ask next, bt/core/pickrun's.
 *
 * A web seed in use has a connection of the torrent like any peer, without a stream: so its blocks
 * go through pieces, judge, limits and the budget as those of peers do. A run of pieces is asked
 * for in one request a file, one after the other; the body is fed block by block into places of the
 * store, and paused when there is no place or the rate is used up. Padding between files is fed
 * from here.
 *
 * Slots: BT_WEBSEEDS_AT_ONCE seeds of a torrent, BT_WEBSEEDS_A_HOST requests to a host and
 * BT_WEBSEEDS_SESSION in all. Who finds none stands in line, before it has picked anything. */
#include "bt/core/webseed.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/priv.h"
#include "sys/clock.h"

enum {
    CONNS_MAX = 256,       /* web seeds in use or in line, of all torrents */
    ERROR_BODY = 64 << 10, /* of a page that says what went wrong */
    USELESS_US = 60 * 1000 * 1000,
    JUMP = 512 << 10,        /* bytes that others have brought meanwhile: worth a new request */
    JUMP_AT_END = 128 << 10, /* the same at the end of a run, where no new request follows */
};

/* What a seed in use needs. */
struct web_use {
    struct bt_webseed *seed;
    struct fetch fetch;
    struct tarn_list line;    /* in the session's web_line, when it waits for a slot */
    struct tarn_list running; /* in the session's web_running, while it has one */
    uint64_t at, end;         /* what is left of the run */
    uint32_t near;            /* where the last one ended */
    uint32_t file;            /* that is being asked for ... */
    uint64_t off, take, got;  /* ... from there on; good bytes of the answer, and how many came */
    enum bt_webseed_verdict verdict;
    bool is_over; /* the rest of the answer is not needed */
    bool has_block;
    struct bt_request block; /* that arrives now; len 0: padding alone */
    uint64_t block_from, block_to;
    uint32_t n_blocks; /* that this request brought */
    int64_t asked_us, slow_us;
    uint64_t slow_got;
    char *known; /* owned: where known_file was found by redirects; or NULL */
    uint32_t known_file;
    bool known_public, used_known;
    char agent[FETCH_SERVER_MAX];
    char host[BT_WEBSEED_SHOWN];
};

struct bt_webseed {
    struct bt_torrent *torrent;
    const char *base; /* borrowed from the metainfo or the magnet link */
    struct bt_webseed_record record;
    struct tarn_bits has; /* owned; from its first use on */
    struct bt_conn *conn; /* NULL: not in use */
    struct web_use *use;  /* owned; from its first use on */
};

static int64_t now_of(const struct bt_webseed *w)
{
    return loop_now_us(w->torrent->session->loop);
}

/* --- their addresses --- */

/* Judge and blame know senders by address: that of a web seed is one that nobody can have (the
 * discard prefix of RFC 6666), with its number. */
static struct sys_addr addr_of(uint32_t index)
{
    struct sys_addr a = { .is_v6 = true };
    a.ip[0] = 1;
    for (unsigned i = 0; i < 4; i++)
        a.ip[12 + i] = (uint8_t)(index >> (24 - 8 * i));
    return a;
}

static bool is_web_addr(const struct bt_torrent *t, const struct sys_addr *addr, uint32_t *index)
{
    *index = 0;
    for (unsigned i = 0; i < 4; i++)
        *index = *index << 8 | addr->ip[12 + i];
    struct sys_addr a = addr_of(*index);
    return *index < t->n_webseeds && addr->is_v6 && memcmp(a.ip, addr->ip, sizeof a.ip) == 0;
}

/* --- coming and going --- */

static bool is_known(const struct bt_torrent *t, const char *base)
{
    for (uint32_t i = 0; i < t->n_webseeds; i++)
        if (strcmp(t->webseeds[i].base, base) == 0)
            return true;
    return false;
}

static void list(struct bt_torrent *t, const char *const *urls, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (bt_webseed_is_usable(urls[i]) && !is_known(t, urls[i]))
            t->webseeds[t->n_webseeds++] = (struct bt_webseed){ .torrent = t, .base = urls[i] };
}

/* Those of the torrent, and those of the magnet link that led to it. */
static void list_all(struct bt_torrent *t)
{
    const struct bt_magnet *magnet = t->add.magnet;
    uint32_t n = t->meta->n_web_seeds + (magnet == NULL ? 0 : magnet->n_web_seeds);
    t->has_webseeds = true;
    if (n == 0 || t->add.no_web_seeds || t->session->set.fetcher == NULL)
        return;
    if (!bt_charge(t->session, n * sizeof *t->webseeds, NULL))
        return;
    t->charged += n * sizeof *t->webseeds;
    t->webseeds = tarn_calloc(n, sizeof *t->webseeds);
    if (t->webseeds == NULL)
        return;
    list(t, t->meta->web_seeds, t->meta->n_web_seeds);
    if (magnet != NULL)
        list(t, magnet->web_seeds, magnet->n_web_seeds);
    if (t->n_webseeds > 0) /* not all clients ask the same ones */
        t->next_webseed = (uint32_t)(bt_session_chance(t->session) % t->n_webseeds);
}

static void lose_file(struct bt_webseed *w, uint32_t file)
{
    uint32_t first, last;
    if (!bt_webseed_pieces(w->torrent->meta, file, &first, &last))
        return;
    for (uint32_t i = first; i <= last; i++)
        (void)tarn_bits_unset(&w->has, i);
}

/* What is kept of a seed once it is used: it has everything that has a URL. */
static bool prepare(struct bt_webseed *w)
{
    struct bt_torrent *t = w->torrent;
    uint64_t cost = sizeof *w->use + tarn_bits_size(t->meta->n_pieces);
    if (w->use != NULL)
        return true;
    if (!bt_charge(t->session, cost, NULL))
        return false;
    t->charged += cost;
    w->use = tarn_calloc(1, sizeof *w->use);
    if (w->use == NULL || !tarn_bits_init(&w->has, t->meta->n_pieces)) {
        tarn_free(w->use);
        w->use = NULL;
        return false;
    }
    tarn_bits_set_all(&w->has);
    w->use->seed = w;
    w->use->near = UINT32_MAX;
    (void)bt_webseed_host(w->use->host, w->base);
    for (uint32_t i = 0; i < t->meta->n_files; i++) {
        const struct bt_file *f = &t->meta->files[i];
        if (!f->is_pad && f->web_path != NULL && f->web_path[0] == 0)
            lose_file(w, i);
    }
    return true;
}

static void give_slot_back(struct bt_webseed *w)
{
    struct bt_session *s = w->torrent->session;
    if (!tarn_list_is_in(&w->use->running))
        return;
    tarn_list_remove(&w->use->running);
    s->n_web_running--;
    if (!tarn_list_empty(&s->web_line))
        loop_idle_set(s->loop, &s->web_soon);
}

void bt_webseed_left(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    fetch_cancel(&u->fetch);
    give_slot_back(w);
    tarn_list_remove(&u->line);
    u->at = u->end = 0;
    u->has_block = false;
    w->conn = NULL;
    w->torrent->session->n_web_conns--;
}

void bt_webseeds_release(struct bt_torrent *t)
{
    for (uint32_t i = 0; i < t->n_webseeds; i++) {
        struct bt_webseed *w = &t->webseeds[i];
        tarn_bits_release(&w->has);
        if (w->use != NULL) {
            tarn_out_release(&w->use->fetch.body);
            tarn_free(w->use->known);
        }
        tarn_free(w->use);
    }
    tarn_free(t->webseeds);
}

/* --- a block after the other --- */

static bool is_held(const struct bt_conn *c)
{
    return c->waits_room || c->is_rate_paused;
}

static void next_block(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    const struct bt_torrent *t = w->torrent;
    uint32_t piece = (uint32_t)(u->at / t->meta->piece_len);
    uint64_t piece_at = (uint64_t)piece * t->meta->piece_len;
    uint32_t begin = (uint32_t)(u->at - piece_at) / BT_BLOCK * BT_BLOCK;
    u->block_from = piece_at + begin;
    u->block_to = tarn_min_u64(u->block_from + BT_BLOCK, piece_at + bt_piece_len(t->meta, piece));
    u->block = (struct bt_request){ piece, begin,
                                    bt_picker_block_len(&t->picker, piece, begin / BT_BLOCK) };
}

/* Others have brought what comes next: go on behind it when that is far enough away. */
static bool jump(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    uint64_t from = u->at;
    while (u->at < u->end) {
        next_block(w);
        if (u->block.len > 0 && bt_picker_wants(&w->torrent->picker, &u->block))
            break;
        u->at = u->block_to;
    }
    uint64_t jumped = u->at - from;
    if (jumped >= JUMP || (u->at == u->end && jumped >= JUMP_AT_END)) {
        u->is_over = true;
        return true;
    }
    u->at = from;
    next_block(w);
    return false;
}

static void begin_block(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    struct bt_conn *c = w->conn;
    next_block(w);
    bool is_wanted = u->block.len > 0 && bt_picker_wants(&w->torrent->picker, &u->block);
    if (u->block.len > 0 && !is_wanted && jump(w))
        return;
    u->has_block = true;
    if (u->block.len == 0)
        return;
    c->in_block = true;
    c->block = u->block;
    c->block_got = 0;
    c->block_since_us = c->payload_us = now_of(w);
    c->takes_block = is_wanted && bt_piece_place(c, &u->block);
}

static void end_block(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    struct bt_conn *c = w->conn;
    struct bt_torrent *t = w->torrent;
    bool takes = c->takes_block;
    u->has_block = c->in_block = c->takes_block = false;
    if (u->block.len == 0)
        return;
    if (takes) {
        u->n_blocks++;
        bt_piece_block(c, &u->block);
    } else {
        bt_picker_release_block(&t->picker, &u->block, c->no);
    }
}

static void count(struct bt_webseed *w, uint32_t n)
{
    struct bt_conn *c = w->conn;
    struct bt_torrent *t = w->torrent;
    c->got += n;
    c->got_round += n;
    c->payload_us = c->moved_us = c->heard_us = now_of(w);
    t->totals.downloaded += n;
    t->totals.wasted += c->takes_block ? 0 : n;
    bt_conn_count_received(c, n);
}

/* The next bytes of the run; p NULL: zeros, which did not come from anywhere. Returns how many were
 * taken: fewer when it is held, at the run's end, or after a jump. */
static uint64_t feed(struct bt_webseed *w, const uint8_t *p, uint64_t len)
{
    struct web_use *u = w->use;
    struct bt_conn *c = w->conn;
    uint64_t done = 0;
    while (done < len && u->at < u->end && !u->is_over && !c->is_dead && !is_held(c)) {
        if (!u->has_block) {
            begin_block(w);
            continue;
        }
        uint64_t pos = u->at - u->block_from;
        uint64_t n = tarn_min_u64(len - done, u->block_to - u->at);
        uint64_t real = pos < u->block.len ? tarn_min_u64(n, u->block.len - pos) : 0;
        if (c->takes_block && real > 0 && p != NULL)
            memcpy(c->block_at + pos, p + done, real);
        else if (c->takes_block && real > 0)
            memset(c->block_at + pos, 0, real);
        c->block_got += (uint32_t)real;
        u->at += n;
        done += n;
        if (p != NULL)
            count(w, (uint32_t)n);
        if (u->at == u->block_to)
            end_block(w);
    }
    return done;
}

/* --- asking --- */

static void fail(struct bt_webseed *w, enum bt_webseed_verdict v, uint32_t retry_after_s,
                 const char *why);

static bool has_slot(const struct bt_webseed *w)
{
    struct bt_session *s = w->torrent->session;
    unsigned same = 0;
    for (struct tarn_list *n = s->web_running.next; n != &s->web_running; n = n->next)
        same += strcmp(TARN_OUTER(n, struct web_use, running)->host, w->use->host) == 0;
    return s->n_web_running < BT_WEBSEEDS_SESSION && same < BT_WEBSEEDS_A_HOST;
}

static bool pick_as(struct bt_webseed *w, bool on_parole)
{
    struct web_use *u = w->use;
    struct bt_torrent *t = w->torrent;
    size_t may = store_places_may_begin(t->places);
    struct bt_pick_run who = {
        .peer = w->conn->no,
        .has = &w->has,
        .max_bytes = bt_webseed_run(&w->record),
        .max_pieces = may / 2 + may % 2, /* peers have the other half */
        .near = u->near,
        .speed = bt_speed_of(w->record.rate_bps, t->fastest_bps),
        .on_parole = on_parole,
    };
    return bt_picker_pick_run(&t->picker, &who, &u->at, &u->end);
}

/* On parole as peers: for itself alone, as long as there is anything. */
static bool pick(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    struct bt_torrent *t = w->torrent;
    bt_pieces_before_pick(t);
    bool found = pick_as(w, w->conn->on_parole) || (w->conn->on_parole && pick_as(w, false));
    bt_pieces_after_pick(t);
    if (found) {
        u->near = (uint32_t)(u->end / t->meta->piece_len);
        return true;
    }
    u->at = u->end = 0;
    bt_pieces_await(t);
    return false;
}

static void on_answered(struct fetch *f);
static bool on_head(struct fetch *f);
static size_t on_part(struct fetch *f, struct tarn_bytes part);

static void start(struct bt_webseed *w, const struct bt_webseed_part *part, const char *url)
{
    struct web_use *u = w->use;
    struct bt_session *s = w->torrent->session;
    u->used_known = u->known != NULL && u->known_file == part->file;
    u->file = part->file;
    u->off = part->off;
    u->take = u->got = 0;
    u->n_blocks = 0;
    u->verdict = BT_WEBSEED_TAKE;
    u->is_over = false;
    u->asked_us = u->slow_us = now_of(w);
    u->slow_got = w->conn->got;
    tarn_out_release(&u->fetch.body);
    u->fetch = (struct fetch){
        .max_body = ERROR_BODY,
        .stall_ms = BT_WEBSEED_STALL_MS,
        .done = on_answered,
        .on_head = on_head,
        .on_part = on_part,
        .has_range = true,
        .from = part->off,
        .len = part->len,
        .never_local = u->used_known && u->known_public,
        .no_local_query = true,
    };
    if (!tarn_list_is_in(&u->running)) {
        tarn_list_push_back(&s->web_running, &u->running);
        s->n_web_running++;
    }
    fetch_start(s->set.fetcher, &u->fetch, u->used_known ? u->known : url);
}

/* Ask for what comes next of the run. False: nothing of it is left, or it is held. */
static bool ask(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    struct tarn_out url;
    struct bt_webseed_part part;
    for (;;) {
        if (u->at == u->end || w->conn->is_dead || is_held(w->conn))
            return false;
        part = bt_webseed_part(w->torrent->meta, u->at, u->end);
        if (part.file != BT_WEBSEED_NO_FILE)
            break;
        u->is_over = false;
        (void)feed(w, NULL, part.len);
    }
    if (!bt_webseed_url(w->torrent->meta, w->base, part.file, &url)) {
        u->file = part.file;
        fail(w, BT_WEBSEED_GONE, 0, "no URL can name this file");
        return false;
    }
    start(w, &part, (const char *)url.p);
    tarn_out_release(&url);
    return true;
}

static bool may_fetch(const struct bt_webseed *w)
{
    const struct bt_torrent *t = w->torrent;
    return w->conn != NULL && !w->conn->is_dead && t->has_picker && t->state == BT_FETCHING &&
           !t->is_paused;
}

void bt_webseed_fill(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    if (!may_fetch(w) || u->fetch.fetcher != NULL || tarn_list_is_in(&u->line))
        return;
    if (!tarn_list_is_in(&u->running) && !has_slot(w)) {
        tarn_list_push_back(&w->torrent->session->web_line, &u->line);
        return;
    }
    while (may_fetch(w) && !is_held(w->conn) && (u->at < u->end || pick(w)))
        if (ask(w))
            return;
    if (w->conn == NULL || w->conn->is_dead)
        return;
    if (!is_held(w->conn))
        give_slot_back(w);
    if (may_fetch(w) && bt_picker_count(&w->torrent->picker, &w->has) == 0)
        bt_conn_close(w->conn, "%s", "");
}

void bt_webseed_read_on(struct bt_webseed *w)
{
    if (w->use->fetch.fetcher != NULL)
        fetch_resume(&w->use->fetch);
    else
        bt_webseed_fill(w);
}

/* Slots are free: those in line, in order. Who finds none stands at its end again. */
void bt_webseeds_go_on(struct loop_idle *i)
{
    struct bt_session *s = TARN_OUTER(i, struct bt_session, web_soon);
    struct tarn_list now, *node;
    tarn_list_init(&now);
    while ((node = tarn_list_pop_front(&s->web_line)) != NULL)
        tarn_list_push_back(&now, node);
    while ((node = tarn_list_pop_front(&now)) != NULL)
        bt_webseed_fill(TARN_OUTER(node, struct web_use, line)->seed);
}

/* --- answers --- */

static struct bt_webseed *seed_of(struct fetch *f)
{
    return TARN_OUTER(f, struct web_use, fetch)->seed;
}

static enum bt_webseed_verdict judge(struct bt_webseed *w, struct tarn_err *err)
{
    struct web_use *u = w->use;
    const struct fetch *f = &u->fetch;
    struct bt_webseed_answer a = {
        .status = f->status,
        .has_range = f->head.has_range,
        .is_range_bad = f->head.is_range_bad,
        .has_total = f->head.has_total,
        .has_length = f->head.has_length,
        .is_coded = f->head.is_coded,
        .first = f->head.first,
        .last = f->head.last,
        .total = f->head.total,
        .length = f->head.length,
        .retry_after_s = f->head.retry_after_s,
    };
    return bt_webseed_judge(&a, u->off, f->len, w->torrent->meta->files[u->file].len, &u->take,
                            err);
}

/* The redirects of a file are followed once, not for every range of it. */
static void remember(struct bt_webseed *w)
{
    struct web_use *u = w->use;
    const char *url = fetch_url(&u->fetch);
    struct tarn_out asked;
    if (u->used_known || url == NULL || !bt_webseed_url(w->torrent->meta, w->base, u->file, &asked))
        return;
    bool is_same = strcmp((const char *)asked.p, url) == 0;
    tarn_out_release(&asked);
    tarn_free(u->known);
    u->known = is_same || strlen(url) > BT_WEBSEED_URL_MAX ? NULL : tarn_strndup(url, strlen(url));
    u->known_file = u->file;
    u->known_public = fetch_met_public(&u->fetch);
}

static bool on_head(struct fetch *f)
{
    struct bt_webseed *w = seed_of(f);
    struct web_use *u = w->use;
    memcpy(u->agent, f->head.server, sizeof u->agent);
    u->verdict = judge(w, &f->err);
    if (u->verdict != BT_WEBSEED_TAKE)
        return false;
    remember(w);
    return true;
}

static size_t on_part(struct fetch *f, struct tarn_bytes part)
{
    struct bt_webseed *w = seed_of(f);
    struct web_use *u = w->use;
    struct bt_conn *c = w->conn;
    uint64_t n = tarn_min_u64(part.len, u->take - u->got);
    uint64_t fed = n == 0 ? 0 : feed(w, part.p, n);
    if (c->is_dead)
        return part.len;
    u->got += fed;
    if (u->is_over)
        return FETCH_STOP;
    if (fed < n)
        return (size_t)fed;
    if (n == part.len)
        return part.len;
    if (f->status == 200) { /* the whole file: the rest is for another request */
        u->is_over = true;
        return FETCH_STOP;
    }
    u->verdict = BT_WEBSEED_LIES;
    (void)tarn_fail(&f->err, TARN_E_NETWORK, "it sends more than the %llu bytes that it said",
                    (unsigned long long)u->take);
    return FETCH_STOP;
}

/* What was asked for and has not come is asked of others. */
static void drop_run(struct bt_webseed *w)
{
    struct bt_conn *c = w->conn;
    struct bt_torrent *t = w->torrent;
    if (c->in_block)
        bt_piece_abandon(c);
    if (c->waits_room)
        c->waits_room = false;
    w->use->has_block = false;
    w->use->at = w->use->end = 0;
    if (t->has_picker)
        bt_picker_release_peer(&t->picker, c->no);
    bt_pieces_after_pick(t);
}

static void tell(struct bt_webseed *w, const char *why, const char *then)
{
    char shown[BT_WEBSEED_SHOWN];
    struct tarn_out url;
    bool has_url = bt_webseed_url(w->torrent->meta, w->base, w->use->file, &url);
    bt_webseed_show(shown, has_url ? (const char *)url.p : w->base);
    if (has_url)
        tarn_out_release(&url);
    bt_note(w->torrent->session, w->torrent, "web seed %s: %s%s", shown, why, then);
}

static void fail(struct bt_webseed *w, enum bt_webseed_verdict v, uint32_t retry_after_s,
                 const char *why)
{
    struct web_use *u = w->use;
    int64_t now = now_of(w);
    tarn_free(u->known);
    u->known = NULL;
    if (v == BT_WEBSEED_GONE && u->used_known) {
        u->used_known = false; /* where it once led to is gone; the URL itself may lead elsewhere */
        return;
    }
    if (u->n_blocks > 0)
        w->record.fails = 0;
    bt_webseed_failed(&w->record, v, retry_after_s, now);
    drop_run(w);
    if (v == BT_WEBSEED_GONE)
        lose_file(w, u->file);
    tell(w, why,
         w->record.is_dropped   ? "; it is asked no more"
         : v == BT_WEBSEED_GONE ? "; this file is not asked of it"
                                : "");
    if (w->record.is_dropped || w->record.next_us > now)
        bt_conn_close(w->conn, "%s", "");
}

static void on_answered(struct fetch *f)
{
    struct bt_webseed *w = seed_of(f);
    struct web_use *u = w->use;
    struct tarn_err err = f->err;
    bool has_content = f->status == 200 || f->status == 206;
    bool is_whole = u->take > 0 && u->got == u->take && (f->ok || f->status == 200);
    if (u->is_over || (u->verdict == BT_WEBSEED_TAKE && is_whole)) {
        bt_webseed_went_well(&w->record, u->got, now_of(w) - u->asked_us);
    } else if (u->verdict != BT_WEBSEED_TAKE) {
        fail(w, u->verdict, 0, err.msg);
    } else if (!has_content && f->status != 0 && err.code != TARN_E_POLICY) {
        enum bt_webseed_verdict v = judge(w, &err);
        fail(w, v, f->head.retry_after_s, err.msg);
    } else if (err.code == TARN_E_POLICY) {
        fail(w, BT_WEBSEED_USELESS, 0, err.msg);
    } else {
        fail(w, BT_WEBSEED_WAIT, 0,
             f->ok ? "its answer is shorter than what was asked for" : err.msg);
    }
    u->is_over = false;
    if (w->conn == NULL || w->conn->is_dead)
        return;
    struct bt_session *s = w->torrent->session;
    if (u->at == u->end && !tarn_list_empty(&s->web_line)) { /* others had to wait for this */
        give_slot_back(w);
        tarn_list_push_back(&s->web_line, &u->line);
        return;
    }
    bt_webseed_fill(w);
}

/* --- time --- */

static bool has_use(const struct bt_webseed *w)
{
    const struct bt_picker *p = &w->torrent->picker;
    return w->use == NULL || bt_picker_count(p, &w->has) > 0;
}

static void use(struct bt_webseed *w, uint32_t index)
{
    struct bt_session *s = w->torrent->session;
    struct sys_addr addr = addr_of(index);
    if (!prepare(w))
        return;
    w->conn = bt_conn_web(w->torrent, w, &addr);
    if (w->conn == NULL)
        return;
    s->n_web_conns++;
    bt_webseed_fill(w);
}

void bt_webseeds_tick(struct bt_torrent *t, int64_t now_us)
{
    if (!t->has_picker || t->state != BT_FETCHING || t->is_paused)
        return;
    if (!t->has_webseeds)
        list_all(t);
    unsigned used = 0;
    for (uint32_t i = 0; i < t->n_webseeds; i++)
        used += t->webseeds[i].conn != NULL;
    for (uint32_t i = 0; i < t->n_webseeds && used < BT_WEBSEEDS_AT_ONCE &&
                         t->session->n_web_conns < CONNS_MAX && t->has_picker;
         i++) {
        uint32_t index = (t->next_webseed + i) % t->n_webseeds;
        struct bt_webseed *w = &t->webseeds[index];
        if (w->conn != NULL || w->record.is_dropped || w->record.next_us > now_us)
            continue;
        if (has_use(w))
            use(w, index);
        else
            w->record.next_us = now_us + USELESS_US; /* what is needed may change */
        used += w->conn != NULL;
    }
}

/* Who sends next to nothing holds up pieces: it is left alone for a while. */
void bt_webseed_tick(struct bt_webseed *w, int64_t now_us)
{
    struct web_use *u = w->use;
    const struct bt_conn *c = w->conn;
    if (u->fetch.fetcher == NULL || is_held(c)) {
        u->slow_us = now_us;
        u->slow_got = c->got;
    } else if (now_us - u->slow_us >= BT_WEBSEED_SLOW_US) {
        bool is_slow = c->got - u->slow_got < BT_BLOCK;
        u->slow_us = now_us;
        u->slow_got = c->got;
        if (is_slow) {
            fetch_cancel(&u->fetch);
            u->n_blocks = 0;
            fail(w, BT_WEBSEED_WAIT, 0, "it sent less than 16 KiB in 20 s");
        }
    }
    bt_webseed_fill(w);
}

int64_t bt_webseeds_wake(const struct bt_torrent *t)
{
    int64_t at = INT64_MAX;
    if (!t->has_picker || t->state != BT_FETCHING)
        return at;
    for (uint32_t i = 0; i < t->n_webseeds; i++) {
        const struct bt_webseed *w = &t->webseeds[i];
        if (w->conn == NULL && !w->record.is_dropped && w->record.next_us < at && has_use(w))
            at = w->record.next_us;
    }
    return at;
}

bool bt_webseeds_are_hopeless(const struct bt_torrent *t)
{
    if (!t->has_picker)
        return true;
    for (uint32_t i = 0; i < t->n_webseeds; i++) {
        const struct bt_webseed *w = &t->webseeds[i];
        if (!w->record.is_dropped && w->record.fails < 2 && has_use(w))
            return false;
    }
    return t->has_webseeds;
}

uint64_t bt_webseed_rate(const struct bt_webseed *w)
{
    return w->record.rate_bps;
}

/* --- blame, and what people see --- */

bool bt_webseed_blame(struct bt_torrent *t, const struct sys_addr *sender, uint32_t piece)
{
    uint32_t index;
    if (!is_web_addr(t, sender, &index))
        return false;
    struct bt_webseed *w = &t->webseeds[index];
    if (!tarn_bits_unset(&w->has, piece))
        return true; /* for another block of this piece */
    bt_webseed_sent_bad(&w->record);
    char shown[BT_WEBSEED_SHOWN];
    bt_note(t->session, t, "web seed %s: it sent piece %u with data that fails its hash%s",
            bt_webseed_show(shown, w->base), piece,
            w->record.is_dropped ? ": it is asked no more" : "");
    if (w->record.is_dropped && w->conn != NULL)
        bt_conn_close(w->conn, "%s", "");
    return true;
}

const char *bt_webseed_url_of(const struct bt_webseed *w)
{
    return w->base;
}

void bt_webseed_peer(const struct bt_webseed *w, struct bt_peer *p)
{
    const struct web_use *u = w->use;
    *p = (struct bt_peer){
        .addr = w->conn->stream.peer,
        .host = u->host,
        .agent = u->agent[0] != 0 ? u->agent : "web seed",
        .downloaded = w->conn->got,
        .pieces = w->has.count,
        .requests_out = u->fetch.fetcher != NULL,
        .is_seed = true,
        .on_parole = w->conn->on_parole,
        .am_interested = true,
        .am_choking = true,
    };
}
