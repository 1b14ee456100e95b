/* bench/engine: a neutral peer, cheap enough that what is measured is the program at the other end.
 *
 * One process, one thread, IPv4, plain TCP. It reads torrents and messages with tarn's own cores,
 * but its sockets, queues and files are its own: nothing of tarn's engine runs at this end.
 * Whatever goes wrong ends the process with a sentence. */
#ifndef BENCH_ENGINE_PEER_H
#define BENCH_ENGINE_PEER_H

#include "bt/core/wire.h"

#include <netinet/in.h>
#include <sys/types.h>

enum {
    DEPTHS_MAX = 64,
    DEPTH_MAX = 4096,     /* requests outstanding, at either end */
    PATIENCE_S = 60,      /* Transmission unchokes after ten */
    RECV_MAX = 256 << 10, /* a call; stays in the second cache of a core */
    LINE_CAP = BT_MSG_MAX + 4 + RECV_MAX,
};

enum io { IO_WRITEV, IO_SENDFILE };

/* What the command line said. */
struct options {
    const char *torrent, *data;
    struct sockaddr_in at; /* the other side, or where to listen */
    bool is_listener;
    uint32_t depths[DEPTHS_MAX]; /* requests outstanding, one run for each */
    size_t n_depths;
    uint32_t refill;      /* ask again when so many are missing; 0: a quarter of the depth */
    uint64_t bytes, warm; /* payload that is measured, and before that */
    double seconds;       /* of measuring, if bytes do not end it before; 0: no end */
    bool truncates, checks, is_random, stays;
    enum io io;
    int send_buffer, recv_buffer; /* SO_SNDBUF, SO_RCVBUF; 0: left to the kernel */
    uint32_t peers;
    pid_t watched; /* whose CPU time is told beside ours; 0: nobody's */
};

void die(const char *fmt, ...) TARN_PRINTF(1, 2) __attribute__((noreturn));
void die_sys(const char *what) __attribute__((noreturn));
void *must_alloc(size_t n, size_t size); /* zeroed */

/* Clocks. CPU is user and system time of all threads. */
double wall_s(void);
double cpu_s(pid_t pid); /* 0: this process; -1: it has ended */

void torrent_read(const char *path, struct bt_metainfo *m);

/* A connection after both handshakes. */
struct line {
    int fd;
    struct bt_wire wire;
    uint8_t *buf;    /* LINE_CAP bytes, own */
    size_t from, to; /* what was received and not taken yet */
};

int net_socket(const struct options *o);
int net_listen(const struct options *o); /* prints {"listening": port} */
int net_connect(const struct options *o);
int net_accept(int listener, const struct options *o);

/* Handshakes, blocking; `has_all` is what we say of our pieces. */
void line_open(struct line *l, int fd, const struct options *o, const struct bt_metainfo *m,
               bool has_all);
void line_close(struct line *l);
/* One recv of at most `most` bytes. 0: the other side has closed; -1: nothing there (if
 * nonblocking). */
ssize_t line_recv(struct line *l, size_t most);
/* The next message of what is there; false: more must be received. */
bool line_next(struct line *l, struct bt_event *ev);
/* All of it, blocking. */
void line_send(int fd, struct tarn_bytes bytes);
/* The first bytes of every connection of ours: handshake, and what we have. */
void line_hello(struct tarn_out *o, const struct bt_metainfo *m, bool has_all, uint32_t number);
void line_pieces(struct tarn_out *o, const struct bt_metainfo *m, bool has_all, bool is_fast);

/* Whether arrived data is what the torrent says: holds all of it, hashes each full piece. */
struct check {
    const struct bt_metainfo *m;
    uint8_t *data;
    uint32_t *missing; /* bytes, of each piece */
    uint64_t pieces_good;
};
void check_init(struct check *c, const struct bt_metainfo *m);
void check_take(struct check *c, const struct bt_request *r, uint32_t at, struct tarn_bytes part);
void check_block(struct check *c, const struct bt_request *r); /* all of it was taken */
void check_release(struct check *c);

/* The modes. */
void run_sink(const struct options *o);
void run_source(const struct options *o);
void run_idle(const struct options *o);

#endif
