/* Blocks that are in the page cache into a socket, and blocks from a socket into a file. The other
 * side is a child of ours at the other end of a TCP connection over loopback.
 *
 * Blocks are sent as a peer asks for them: pieces of 1 MiB in random order, each from its beginning
 * to its end. Before each block stand 13 bytes. */
#include "paths.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Our end of a connection whose other end a child has; it runs `other` and is gone. */
static int connect_child(const struct job *j, void (*other)(const struct job *j, int fd),
                         pid_t *pid)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &len) != 0)
        die("listening");
    *pid = fork();
    if (*pid == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        pin(j->other_core);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, len) != 0)
            die("connecting");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        other(j, fd);
        _exit(0);
    }
    pin(j->core);
    int fd = accept(listener, NULL, NULL);
    if (*pid < 0 || fd < 0)
        die("accepting");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
    return fd;
}

static void report(const struct job *j, pid_t child, double since, double cpu)
{
    double wall = wall_s() - since, own = cpu_s(RUSAGE_SELF) - cpu;
    double bytes = (double)j->blocks * (double)j->block, gib = bytes / (1 << 30);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        die("the other side");
    printf("{\"cpu\":%.4f,\"other\":%.4f,\"mb_s\":%.0f}\n", own / gib, cpu_s(RUSAGE_CHILDREN) / gib,
           bytes / wall / 1e6);
}

/* Sending. */

static void swallow(const struct job *j, int fd)
{
    size_t room = j->discards ? 1 << 20 : 256 << 10;
    uint8_t *buf = must_alloc(room);
    while (recv(fd, buf, room, j->discards ? MSG_TRUNC : 0) > 0)
        ;
}

struct sender {
    const struct job *j;
    int sock, file, pipe[2];
    uint8_t *map;  /* of the file, for the ways that have one */
    uint8_t *room; /* BATCH_MAX blocks with their heads */
    uint8_t heads[BATCH_MAX][HEAD];
};

static void write_all(int fd, struct iovec *iov, int n)
{
    while (n > 0) {
        ssize_t done = writev(fd, iov, n);
        if (done < 0)
            die("writev");
        while (n > 0 && (size_t)done >= iov->iov_len) {
            done -= (ssize_t)iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + done;
            iov->iov_len -= (size_t)done;
        }
    }
}

static void read_at(int fd, void *p, size_t len, uint64_t off)
{
    if (pread(fd, p, len, (off_t)off) != (ssize_t)len)
        die("pread");
}

/* One buffer, the head in front: as one would write it at first. */
static void send_read_write(struct sender *s, const uint64_t *offs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        read_at(s->file, s->room + HEAD, s->j->block, offs[i]);
        write_all(s->sock, &(struct iovec){ s->room, HEAD + s->j->block }, 1);
    }
}

/* A pread each, or one for blocks that follow each other; then one writev. */
static void send_copied(struct sender *s, const uint64_t *offs, unsigned n, bool together)
{
    struct iovec iov[2 * BATCH_MAX];
    size_t len = s->j->block;
    for (unsigned i = 0; i < n;) {
        unsigned run = 1;
        while (together && i + run < n && offs[i + run] == offs[i] + run * len)
            run++;
        read_at(s->file, s->room + i * len, run * len, offs[i]);
        i += run;
    }
    for (unsigned i = 0; i < n; i++) {
        iov[2 * i] = (struct iovec){ s->heads[i], HEAD };
        iov[2 * i + 1] = (struct iovec){ s->room + i * len, len };
    }
    write_all(s->sock, iov, 2 * (int)n);
}

static void send_mapped(struct sender *s, const uint64_t *offs, unsigned n)
{
    struct iovec iov[2 * BATCH_MAX];
    for (unsigned i = 0; i < n; i++) {
        iov[2 * i] = (struct iovec){ s->heads[i], HEAD };
        iov[2 * i + 1] = (struct iovec){ s->map + offs[i], s->j->block };
    }
    write_all(s->sock, iov, 2 * (int)n);
}

static void send_by_sendfile(struct sender *s, const uint64_t *offs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        off_t off = (off_t)offs[i];
        if (send(s->sock, s->heads[i], HEAD, MSG_MORE) != HEAD)
            die("send");
        for (size_t left = s->j->block; left > 0;) {
            ssize_t done = sendfile(s->sock, s->file, &off, left);
            if (done <= 0)
                die("sendfile");
            left -= (size_t)done;
        }
    }
}

static void send_by_splice(struct sender *s, const uint64_t *offs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        loff_t off = (loff_t)offs[i];
        if (send(s->sock, s->heads[i], HEAD, MSG_MORE) != HEAD)
            die("send");
        for (size_t left = s->j->block; left > 0;) {
            ssize_t in = splice(s->file, &off, s->pipe[1], NULL, left, 0);
            if (in <= 0)
                die("splice from the file");
            left -= (size_t)in;
            while (in > 0) {
                ssize_t out = splice(s->pipe[0], NULL, s->sock, NULL, (size_t)in, 0);
                if (out <= 0)
                    die("splice to the socket");
                in -= out;
            }
        }
    }
}

static void send_batch(struct sender *s, const uint64_t *offs, unsigned n)
{
    const char *way = s->j->way;
    if (strcmp(way, "readwrite") == 0)
        send_read_write(s, offs, n);
    else if (strcmp(way, "pread") == 0)
        send_copied(s, offs, n, false);
    else if (strcmp(way, "together") == 0)
        send_copied(s, offs, n, true);
    else if (strcmp(way, "map") == 0)
        send_mapped(s, offs, n);
    else if (strcmp(way, "sendfile") == 0)
        send_by_sendfile(s, offs, n);
    else if (strcmp(way, "splice") == 0)
        send_by_splice(s, offs, n);
    else
        die(way);
}

void run_send(const struct job *j)
{
    uint64_t len;
    struct sender s = { .j = j };
    pid_t child;
    s.file = open_file(j->path, O_RDONLY, &len);
    size_t a_piece = PIECE > j->block ? PIECE / j->block : 1;
    uint64_t pieces = len / (a_piece * j->block);
    unsigned batch = j->n < BATCH_MAX ? j->n : BATCH_MAX;
    uint32_t *order = must_alloc((size_t)pieces * sizeof *order);
    shuffle(order, (size_t)pieces);
    s.room = must_alloc(BATCH_MAX * (HEAD + j->block));
    if (strcmp(j->way, "map") == 0)
        s.map = mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, s.file, 0);
    if (s.map == MAP_FAILED || pipe(s.pipe) != 0)
        die("mmap or pipe");
    (void)fcntl(s.pipe[1], F_SETPIPE_SZ, 1 << 20);
    s.sock = connect_child(j, swallow, &child);
    double since = wall_s(), cpu = cpu_s(RUSAGE_SELF);
    for (uint64_t at = 0; at < j->blocks;) {
        uint64_t offs[BATCH_MAX];
        unsigned n = 0;
        for (; n < batch && at < j->blocks; n++, at++)
            offs[n] = (order[at / a_piece % pieces] * a_piece + at % a_piece) * j->block;
        send_batch(&s, offs, n);
    }
    shutdown(s.sock, SHUT_WR);
    report(j, child, since, cpu);
}

/* Receiving. */

static void pour(const struct job *j, int fd)
{
    size_t len = HEAD + j->block;
    uint8_t *buf = must_alloc(BATCH_MAX / 2 * len);
    for (uint64_t left = j->blocks; left > 0;) {
        uint64_t n = left < BATCH_MAX / 2 ? left : BATCH_MAX / 2;
        write_all(fd, &(struct iovec){ buf, n * len }, 1);
        left -= n;
    }
}

static void receive(int sock, struct iovec *iov, size_t n, size_t len)
{
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
    if (recvmsg(sock, &m, MSG_WAITALL) != (ssize_t)len)
        die("recvmsg");
}

/* n blocks a run: received behind one another, then written by one call. Ways: floor (no file),
 * pwrite, map (received into the mapping), copy (into a buffer, and by a system call from there
 * into the mapping). */
void run_receive(const struct job *j)
{
    bool has_map = strcmp(j->way, "map") == 0 || strcmp(j->way, "copy") == 0;
    uint64_t len, size = j->blocks * j->block;
    pid_t child;
    uint8_t head[HEAD], *map = NULL;
    int file = open_file(j->path, O_RDWR | O_CREAT | O_TRUNC, &len);
    if (fallocate(file, 0, 0, (off_t)size) != 0)
        die("fallocate");
    if (has_map)
        map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED)
        die("mmap");
    size_t run = j->n * j->block;
    uint64_t runs = size / run;
    uint32_t *order = must_alloc((size_t)runs * sizeof *order);
    uint8_t *buf = must_alloc(run);
    shuffle(order, (size_t)runs);
    int sock = connect_child(j, pour, &child);
    double since = wall_s(), cpu = cpu_s(RUSAGE_SELF);
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t off = order[i] * (uint64_t)run;
        uint8_t *to = strcmp(j->way, "map") == 0 ? map + off : buf;
        struct iovec iov[2] = { { head, HEAD } };
        for (unsigned b = 0; b < j->n; b++) {
            iov[1] = (struct iovec){ to + b * j->block, j->block };
            receive(sock, iov, 2, HEAD + j->block);
        }
        struct iovec from = { buf, run }, into = { map == NULL ? NULL : map + off, run };
        if (strcmp(j->way, "pwrite") == 0 && pwrite(file, buf, run, (off_t)off) != (ssize_t)run)
            die("pwrite");
        if (strcmp(j->way, "copy") == 0 &&
            process_vm_writev(getpid(), &from, 1, &into, 1, 0) != (ssize_t)run)
            die("process_vm_writev");
    }
    report(j, child, since, cpu);
}
