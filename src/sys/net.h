/* sys/net: addresses, TCP sockets, and sending spans of memory and files.
 *
 * Sockets are non-blocking; every TCP socket has TCP_NODELAY. SO_SNDBUF and SO_RCVBUF are never
 * set: the kernel tunes better (64 KiB cost 11 to 34 times of throughput on a long path, measured).
 */
#ifndef SYS_NET_H
#define SYS_NET_H

#include "base/err.h"
#include "sys/file.h"

struct sys_addr {
    uint8_t ip[16]; /* IPv4 in the first four bytes */
    uint32_t scope; /* of link-local IPv6 */
    uint16_t port;
    bool is_v6;
    bool is_unix; /* a Unix socket's other end, which has no address: all else is zero */
};

/* "1.2.3.4:80", "[::1]:80", "[fe80::1%eth0]:80"; with default_port not 0 the port may be left out,
 * and then the brackets too. IPv4 dressed as IPv6 ("::ffff:1.2.3.4") becomes IPv4. No name look-up.
 */
bool sys_addr_parse(struct tarn_bytes text, uint16_t default_port, struct sys_addr *addr) TARN_MUST;
struct sys_addr_text {
    char s[64];
};
const char *sys_addr_text(struct sys_addr_text *dst, const struct sys_addr *addr);
bool sys_addr_eq(const struct sys_addr *a, const struct sys_addr *b);
bool sys_addr_is_loopback(const struct sys_addr *a);
/* Of this machine, this site or this link, or one that no public host has? IPv4 inside IPv6
 * (mapped, NAT64, 6to4) counts as that IPv4. */
bool sys_addr_is_local(const struct sys_addr *a);
struct sys_addr sys_addr_any(bool is_v6, uint16_t port);

/* Look a host name up; blocks, so it is a job for the pool. At most max addresses. */
bool sys_resolve(const char *host, uint16_t port, struct sys_addr *addrs, size_t max, size_t *n,
                 struct tarn_err *err) TARN_MUST;

/* -1 on failure. IPv6 sockets take IPv6 only. Port 0 lets the system choose. */
int sys_tcp_listen(const struct sys_addr *at, struct tarn_err *err) TARN_MUST;
bool sys_local_addr(int fd, struct sys_addr *addr, struct tarn_err *err) TARN_MUST;

/* Listen on a Unix socket; mode: who may connect. One that nobody listens on any more is replaced.
 * The file stays when the descriptor is closed. -1 on failure. */
int sys_unix_listen(const char *path, unsigned mode, struct tarn_err *err) TARN_MUST;
/* Make a descriptor that somebody else opened ours: true when it is a stream socket, TCP or Unix,
 * that listens. */
bool sys_adopt_listener(int fd, struct tarn_err *err) TARN_MUST;
/* Another descriptor for the same socket. -1 on failure. */
int sys_dup(int fd, struct tarn_err *err) TARN_MUST;
/* Who is at the other end of a Unix socket; false: it is none, or the system does not tell. */
bool sys_peer_user(int fd, unsigned *uid, unsigned *gid) TARN_MUST;
/* Nothing more will be sent: the other side reads an end behind what was. */
void sys_shutdown_write(int fd);

/* Begin to connect; writable when it is decided, then sys_connect_done. */
int sys_tcp_connect(const struct sys_addr *to, struct tarn_err *err) TARN_MUST;
bool sys_connect_done(int fd, struct tarn_err *err) TARN_MUST;

enum sys_io {
    SYS_IO_DONE,  /* some bytes, or a connection */
    SYS_IO_AGAIN, /* nothing now: wait for readiness */
    SYS_IO_END,   /* the other side has finished */
    SYS_IO_FAIL,  /* err says why */
};

/* Of a TCP or a Unix listener. *fd and *from are set on SYS_IO_DONE. SYS_IO_FAIL with
 * TARN_E_POLICY: out of descriptors. */
enum sys_io sys_tcp_accept(int listener, int *fd, struct sys_addr *from, struct tarn_err *err);

struct sys_buf {
    uint8_t *p;
    size_t len;
};
/* Fill the buffers in order with what is there; *got says how much. */
enum sys_io sys_recv(int fd, const struct sys_buf *bufs, size_t n, size_t *got,
                     struct tarn_err *err);

/* What goes out: memory, or a run of a file. */
struct sys_span {
    const uint8_t *p;      /* memory, when file is NULL */
    struct sys_file *file; /* borrowed here; its holder counts it */
    uint64_t off;
    size_t len;
};

/* Which of two ways is the cheaper on this machine, by what each has cost: the one in use is
 * measured now and then, the other tried now and then. Zeroed at first. Pure. */
enum sys_send_way { SYS_SEND_COPY, SYS_SEND_FILE };
struct sys_choice {
    unsigned turn;
    int64_t cost[2]; /* of enum sys_send_way: ns of processor time a KiB; 0: not known */
};
/* The way to go now; is_measured: tell sys_choice_learn what it cost. */
enum sys_send_way sys_choice_next(struct sys_choice *c, bool *is_measured);
void sys_choice_learn(struct sys_choice *c, enum sys_send_way way, size_t sent, int64_t ns);

/* What sending needs and counts; one for all sockets of a thread. Zeroed but for scratch. */
struct sys_sender {
    struct sys_buf scratch; /* borrowed; at least a byte. 256 KiB is best: it stays in the second
                               cache */
    struct sys_choice choice;
    /* Bytes of files, so far: sent by sendfile; read into scratch; given from a mapping. Of the
     * last two more than was sent: what the socket did not take is given again. */
    uint64_t by_sendfile, copied, mapped;
};

/* Send the spans in order, as much as the socket takes but at most max bytes.
 * SYS_IO_DONE   all of it went.
 * SYS_IO_AGAIN  the socket is full: call again with the rest when it is writable.
 * SYS_IO_FAIL   err says why; close the connection, the other side may have half a message.
 * *sent says how much went, whatever the answer. Memory before a file goes out in one segment with
 * it; file runs go in their file's way, by sendfile or scratch as it costs least. A file that has
 * become shorter than its span fails with TARN_E_INTEGRITY.
 *
 * sendfile to a socket that the other side has reset raises SIGPIPE. Threads of sys_thread_start
 * block it; others must, or the program calls sys_ignore_sigpipe (sys/signals.h). */
enum sys_io sys_send_spans(int fd, const struct sys_span *spans, size_t n, size_t max,
                           struct sys_sender *by, size_t *sent, struct tarn_err *err);

/* Read all of a span's run of a file; what sys_send_spans says of a file that has become shorter.
 */
bool sys_read_span(const struct sys_span *span, uint8_t *to, struct tarn_err *err) TARN_MUST;

/* Can the kernel encrypt what is sent by this connection (TLS)? It then is ready to get the keys;
 * until it has them nothing is different. */
bool sys_offload_tls(int fd);

/* What the system knows of a TCP connection's way out. */
struct sys_tcp_info {
    uint32_t rtt_us;     /* smoothed round trip; 0: not measured yet */
    uint32_t min_rtt_us; /* the shortest of the last minutes (Linux: five); 0: not known */
    uint64_t acked;      /* bytes that arrived at the other side since the beginning */
    uint32_t unsent;     /* bytes in the socket that have not left yet */
    uint32_t in_flight;  /* segments that left and have not arrived yet, as far as we know */
};
/* False where the system does not tell, or not all of it; *out is as it was. */
bool sys_tcp_info(int fd, struct sys_tcp_info *out) TARN_MUST;

/* Keep at most this much unsent in the kernel, so that a later message is not stuck behind
 * megabytes. Nothing happens where the system cannot. */
void sys_set_unsent_low(int fd, uint32_t bytes);

#endif
