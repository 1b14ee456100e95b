/* A connection of the bench's peer: sockets, handshakes, and messages out of one buffer. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void set_buffer(int fd, int which, int size)
{
    if (size != 0 && setsockopt(fd, SOL_SOCKET, which, &size, sizeof size) != 0)
        die_sys("setting a socket buffer");
}

int net_socket(const struct options *o)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die_sys("socket");
    int one = 1;
    struct timeval patience = { .tv_sec = PATIENCE_S };
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        die_sys("setting up a socket");
    set_buffer(fd, SO_SNDBUF, o->send_buffer);
    set_buffer(fd, SO_RCVBUF, o->recv_buffer);
    return fd;
}

int net_listen(const struct options *o)
{
    int fd = net_socket(o), one = 1; /* an accepted socket has the listener's options */
    struct sockaddr_in at = o->at;
    socklen_t len = sizeof at;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        die_sys("listening");
    printf("{\"listening\": %u}\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int net_connect(const struct options *o)
{
    int fd = net_socket(o);
    if (connect(fd, (const struct sockaddr *)&o->at, sizeof o->at) != 0)
        die_sys("connecting");
    return fd;
}

int net_accept(int listener, const struct options *o)
{
    (void)o;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        die_sys("accepting a connection");
    return fd;
}

void line_send(int fd, struct tarn_bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.p, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die_sys("sending");
        bytes = tarn_bytes_of(bytes.p + n, bytes.len - (size_t)n);
    }
}

ssize_t line_recv(struct line *l, size_t most)
{
    if (l->from == l->to)
        l->from = l->to = 0;
    if (l->from > 0 && LINE_CAP - l->to < RECV_MAX) { /* the rest of a message moves to the front */
        memmove(l->buf, l->buf + l->from, l->to - l->from);
        l->to -= l->from;
        l->from = 0;
    }
    size_t room = LINE_CAP - l->to;
    ssize_t n = recv(l->fd, l->buf + l->to, most < room ? most : room, 0);
    if (n < 0 && errno == EAGAIN)
        return -1;
    if (n < 0 && errno == ECONNRESET)
        return 0;
    if (n < 0)
        die_sys("receiving");
    l->to += (size_t)n;
    return n;
}

bool line_next(struct line *l, struct bt_event *ev)
{
    struct tarn_err err = { 0 };
    struct tarn_cur in = tarn_cur_of(tarn_bytes_of(l->buf + l->from, l->to - l->from));
    enum bt_step step = bt_wire_next(&l->wire, &in, ev, &err);
    if (step == BT_BAD)
        die("%s", err.msg);
    l->from = l->to - tarn_cur_left(&in);
    return step == BT_EVENT;
}

void line_hello(struct tarn_out *o, const struct bt_metainfo *m, bool has_all, uint32_t number)
{
    struct bt_handshake ours = { .can = BT_CAN_FAST };
    char id[BT_PEER_ID_LEN + 1];
    snprintf(id, sizeof id, "-XB0001-%c%011u", has_all ? 's' : 'l', number);
    memcpy(ours.hash, bt_swarm_hash(&m->hashes), BT_HASH_LEN);
    memcpy(ours.peer_id, id, BT_PEER_ID_LEN);
    bt_handshake_put(o, &ours);
}

void line_pieces(struct tarn_out *o, const struct bt_metainfo *m, bool has_all, bool is_fast)
{
    if (is_fast) {
        bt_put_plain(o, has_all ? BT_EV_HAVE_ALL : BT_EV_HAVE_NONE);
        return;
    }
    if (!has_all)
        return; /* BEP 3: who has nothing says nothing */
    size_t n = (m->n_pieces + 7) / 8;
    tarn_out_be32(o, (uint32_t)n + 1);
    tarn_out_u8(o, BT_EV_BITFIELD);
    uint8_t *bits = tarn_out_room(o, n);
    if (bits == NULL)
        die("no room for a bitfield");
    memset(bits, 0xFF, n);
    if (m->n_pieces % 8 != 0)
        bits[n - 1] = (uint8_t)(0xFF << (8 - m->n_pieces % 8));
}

static void read_handshake(struct line *l, const struct bt_metainfo *m, struct bt_handshake *theirs,
                           bool *is_v2)
{
    struct bt_handshake_reader reader = { 0 };
    struct tarn_err err = { 0 };
    for (;;) {
        struct tarn_cur in = tarn_cur_of(tarn_bytes_of(l->buf + l->from, l->to - l->from));
        enum bt_step step = bt_handshake_next(&reader, &in, theirs, &err);
        if (step == BT_BAD)
            die("%s", err.msg);
        l->from = l->to - tarn_cur_left(&in);
        if (reader.stage == 2)
            break;
        if (step == BT_MORE && line_recv(l, BT_HANDSHAKE_LEN) <= 0)
            die("the other side closed the connection, or said nothing, before its handshake");
    }
    if (!bt_handshake_is_for(&m->hashes, theirs->hash, is_v2))
        die("the other side answers for another torrent");
}

void line_open(struct line *l, int fd, const struct options *o, const struct bt_metainfo *m,
               bool has_all)
{
    struct bt_handshake theirs;
    struct tarn_out out;
    bool is_v2 = false;
    (void)o;
    *l = (struct line){ .fd = fd, .buf = must_alloc(LINE_CAP, 1) };
    tarn_out_init(&out, BT_BITFIELD_MAX + 128);
    line_hello(&out, m, has_all, (uint32_t)getpid());
    line_send(fd, tarn_out_bytes(&out));
    read_handshake(l, m, &theirs, &is_v2);
    uint8_t can = theirs.can & BT_CAN_FAST;
    bt_wire_init(&l->wire, can, is_v2, m->n_pieces);
    tarn_out_clear(&out);
    line_pieces(&out, m, has_all, can != 0);
    line_send(fd, tarn_out_bytes(&out));
    tarn_out_release(&out);
}

void line_close(struct line *l)
{
    close(l->fd);
    free(l->buf);
    *l = (struct line){ .fd = -1 };
}
