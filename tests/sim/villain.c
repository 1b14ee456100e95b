/* sim/villain: see the header. */
#include "villain.h"

#include "base/mem.h"
#include "bt/core/wire.h"
#include "loop/stream.h"
#include "sys/net.h"

enum { CONNS = 16, PORT = 6881, TICK_US = 500 * SIM_MS, FLOOD = 64 << 10 };

struct villain_conn {
    struct villain *villain;
    struct loop_stream stream;
    bool is_in, is_over, has_spoken;
};

struct villain {
    struct peer *peer;
    enum villain_kind kind;
    struct loop *loop;
    struct loop_watch port;
    struct loop_timer tick;
    struct villain_conn conns[CONNS];
};

static void speak_first(struct villain_conn *c)
{
    struct villain *v = c->villain;
    struct bt_handshake h = { .can = BT_CAN_FAST };
    uint8_t salt[12];
    if (c->has_spoken || v->kind == VILLAIN_SILENT)
        return;
    c->has_spoken = true;
    memset(salt, (int)v->peer->node.no, sizeof salt);
    bt_peer_id_make(h.peer_id, salt);
    memcpy(h.hash, bt_swarm_hash(&v->peer->swarm->content.meta.hashes), BT_HASH_LEN);
    bt_handshake_put(loop_stream_out(&c->stream), &h);
    if (v->kind == VILLAIN_BABBLES)
        return;
    bt_put_plain(loop_stream_out(&c->stream), BT_EV_HAVE_ALL);
    bt_put_plain(loop_stream_out(&c->stream), BT_EV_UNCHOKE);
    bt_put_plain(loop_stream_out(&c->stream), BT_EV_INTERESTED);
}

static void flood(struct villain_conn *c)
{
    uint64_t *chance = &c->villain->peer->node.chance;
    uint32_t n = c->villain->peer->swarm->content.meta.n_pieces;
    for (int i = 0; i < 500; i++) {
        struct bt_request r = { (uint32_t)chance_below(chance, n), 0, BT_BLOCK };
        bt_put_request(loop_stream_out(&c->stream), BT_EV_REQUEST, &r);
        bt_put_index(loop_stream_out(&c->stream), BT_EV_HAVE, (uint32_t)chance_below(chance, n));
        bt_put_keepalive(loop_stream_out(&c->stream));
    }
}

static void babble(struct villain_conn *c)
{
    uint8_t bytes[1024];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)chance_next(&c->villain->peer->node.chance);
    tarn_out_put(loop_stream_out(&c->stream), tarn_bytes_of(bytes, sizeof bytes));
}

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    (void)placed;
    speak_first(TARN_OUTER(s, struct villain_conn, stream));
    (void)tarn_cur_take(in, tarn_cur_left(in));
}

static void on_open(struct loop_stream *s)
{
    speak_first(TARN_OUTER(s, struct villain_conn, stream));
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    (void)err;
    TARN_OUTER(s, struct villain_conn, stream)->is_over = true;
}

static const struct loop_stream_ops ops = { .on_bytes = on_bytes,
                                            .on_open = on_open,
                                            .on_end = on_end };

static struct villain_conn *free_conn(struct villain *v)
{
    for (size_t i = 0; i < CONNS; i++)
        if (!v->conns[i].is_in)
            return &v->conns[i];
    return NULL;
}

static void on_caller(struct loop_watch *w, unsigned events)
{
    struct villain *v = TARN_OUTER(w, struct villain, port);
    struct sys_addr from;
    int fd;
    (void)events;
    while (sys_tcp_accept(w->fd, &fd, &from, NULL) == SYS_IO_DONE) {
        struct villain_conn *c = free_conn(v);
        if (c == NULL) {
            sys_close(&fd);
            continue;
        }
        *c = (struct villain_conn){ .villain = v };
        c->is_in = loop_stream_accept(&c->stream, v->loop, &ops, fd, &from, NULL);
    }
}

static void call(struct villain *v)
{
    const struct swarm *s = v->peer->swarm;
    const struct peer *to = &s->peers[chance_below(&v->peer->node.chance, s->n)];
    struct villain_conn *c = free_conn(v);
    struct sys_addr at = { .port = PORT };
    if (c == NULL || to == v->peer)
        return;
    for (int b = 0; b < 4; b++)
        at.ip[b] = (uint8_t)(to->node.ip >> (24 - 8 * b));
    *c = (struct villain_conn){ .villain = v };
    c->is_in = loop_stream_connect(&c->stream, v->loop, &ops, &at, NULL);
}

static void on_tick(struct loop_timer *t)
{
    struct villain *v = TARN_OUTER(t, struct villain, tick);
    for (size_t i = 0; i < CONNS; i++) {
        struct villain_conn *c = &v->conns[i];
        if (c->is_in && c->is_over) {
            loop_stream_release(&c->stream);
            c->is_in = false;
        }
        if (!c->is_in || !c->has_spoken || c->stream.queued > FLOOD)
            continue;
        if (v->kind == VILLAIN_FLOODS)
            flood(c);
        else if (v->kind == VILLAIN_BABBLES)
            babble(c);
    }
    call(v);
    (void)!loop_timer_set(v->loop, t, loop_now_us(v->loop) + TICK_US);
}

static void on_over(struct peer *p)
{
    struct villain *v = p->script;
    for (size_t i = 0; i < CONNS; i++)
        if (v->conns[i].is_in)
            loop_stream_release(&v->conns[i].stream);
    loop_watch_remove(v->loop, &v->port);
    sys_close(&v->port.fd);
    tarn_free(v);
}

void villain_add(struct swarm *s, enum villain_kind kind, const struct node_line *line)
{
    struct peer *p = swarm_add_bare(s, line);
    struct villain *v = sim_alloc(1, sizeof *v);
    struct loop_settings set = { .no_threads = true };
    struct sys_addr at = { .port = PORT };
    struct node *before = node_enter(&p->node);
    p->plan.is_liar = true;
    p->script = v;
    p->on_over = on_over;
    *v = (struct villain){ .peer = p, .kind = kind };
    v->loop = p->node.loop = loop_new(&set, NULL);
    v->port = (struct loop_watch){ .on_ready = on_caller, .fd = sys_tcp_listen(&at, NULL) };
    v->tick.on_time = on_tick;
    if (!loop_watch_set(v->loop, &v->port, SYS_READABLE, NULL) ||
        !loop_timer_set(v->loop, &v->tick, loop_now_us(v->loop) + TICK_US))
        world_broken("a villain does not start");
    p->runs = true;
    node_leave(before);
    node_reckon(&p->node);
}
