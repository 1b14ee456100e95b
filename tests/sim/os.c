/* sim/os: see the header. Calls of a node that is dying have no effect: its process is only being
 * taken apart. */
#include "os.h"

#include "base/mem.h"
#include "disk.h"
#include "net.h"
#include "sys/ops.h"
#include "sys/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/uio.h>

void (*os_on_rename)(struct node *n, struct inode *i, const char *to);

/* --- pollers --- */

struct sim_poller {
    struct sys_poller base;
    struct node *node;
    struct tarn_list ready;
    bool is_woken;
};

static struct sim_poller *of(struct sys_poller *p)
{
    return TARN_OUTER(p, struct sim_poller, base);
}

static const struct sys_poller_ops poller_ops;

static struct sys_poller *poller_make(struct tarn_err *err)
{
    (void)err;
    struct sim_poller *p = sim_alloc(1, sizeof *p);
    *p = (struct sim_poller){ .base = { &poller_ops }, .node = node_now() };
    tarn_list_init(&p->ready);
    p->node->poller = p;
    return &p->base;
}

static void poller_free(struct sys_poller *base)
{
    struct sim_poller *p = of(base);
    p->node->poller = NULL;
    for (struct tarn_list *l = p->node->descrs.next; l != &p->node->descrs; l = l->next)
        os_forget(TARN_OUTER(l, struct descr, in_node));
    tarn_free(p);
}

/* Errors are told unasked. */
static unsigned to_tell(const struct descr *d)
{
    bool has_ended = d->kind == DESCR_SOCKET && d->sock != NULL && net_has_ended(d->sock);
    return descr_ready(d) & (has_ended ? SYS_READABLE | SYS_WRITABLE : d->wanted);
}

void os_offer(struct descr *d)
{
    if (d->poller == NULL || to_tell(d) == 0)
        return;
    if (!tarn_list_is_in(&d->in_ready))
        tarn_list_push_back(&d->poller->ready, &d->in_ready);
    node_wake(d->node);
}

void os_forget(struct descr *d)
{
    d->poller = NULL;
    tarn_list_remove(&d->in_ready);
}

bool os_poller_has(const struct sim_poller *p)
{
    return p != NULL && (p->is_woken || !tarn_list_empty(&p->ready));
}

static bool poller_set(struct sys_poller *base, int fd, unsigned events, void *tag,
                       struct tarn_err *err)
{
    struct descr *d = descr_of(fd);
    if (d == NULL)
        return tarn_fail_sys(err, "cannot watch a descriptor");
    d->poller = of(base);
    d->wanted = events;
    d->tag = tag;
    os_offer(d);
    return true;
}

static void poller_remove(struct sys_poller *base, int fd)
{
    (void)base;
    struct descr *d = descr_of(fd);
    if (d != NULL)
        os_forget(d);
}

/* Level-triggered: what was told stays in line until it is found not ready. */
static size_t poller_wait(struct sys_poller *base, struct sys_ready *ready, size_t max,
                          int64_t timeout_us)
{
    (void)timeout_us; /* the node turns the loop when there is something to do */
    struct sim_poller *p = of(base);
    struct tarn_list told;
    size_t n = 0;
    tarn_list_init(&told);
    p->is_woken = false;
    while (n < max && !tarn_list_empty(&p->ready)) {
        struct tarn_list *l = tarn_list_pop_front(&p->ready);
        struct descr *d = TARN_OUTER(l, struct descr, in_ready);
        unsigned events = to_tell(d);
        if (events == 0)
            continue;
        ready[n++] = (struct sys_ready){ d->tag, events };
        tarn_list_push_back(&told, l);
    }
    struct tarn_list *l;
    while ((l = tarn_list_pop_front(&told)) != NULL)
        tarn_list_push_back(&p->ready, l);
    return n;
}

static void poller_wake(struct sys_poller *base)
{
    of(base)->is_woken = true;
    node_wake(of(base)->node);
}

static const struct sys_poller_ops poller_ops = {
    .make = poller_make,
    .free = poller_free,
    .set = poller_set,
    .remove = poller_remove,
    .wait = poller_wait,
    .wake = poller_wake,
};

/* --- dying --- */

static bool is_dead(void)
{
    if (node_now() != NULL && !node_now()->is_dying)
        return false;
    errno = EIO;
    return true;
}

/* Before a call that changes the disk: is this the one at which the node dies? */
static bool dies(void)
{
    struct node *n = node_now();
    if (is_dead())
        return true;
    if (n->dies_after < 0 || n->dies_after-- > 0)
        return false;
    n->is_dying = true;
    errno = EIO;
    return true;
}

int64_t os_job_took_us(void *arg)
{
    struct node *n = arg;
    enum { LEAST_US = 20 };
    int64_t now = world_now_us(), us = n->job_us;
    n->job_us = 0;
    if (us == 0)
        return LEAST_US;
    if (n->disk_free_us < now)
        n->disk_free_us = now;
    n->disk_free_us += us;
    return n->disk_free_us - now + LEAST_US;
}

/* --- files --- */

/* False with errno: dir is no folder of this node. NULL is the root. */
static bool folder_of(int dir, struct inode **folder)
{
    *folder = NULL;
    if (dir == SYS_CWD)
        return true;
    struct descr *d = descr_of(dir);
    if (d == NULL || d->kind != DESCR_FOLDER)
        return false;
    *folder = d->inode;
    return true;
}

static struct inode *file_of(int fd)
{
    struct descr *d = descr_of(fd);
    if (d != NULL && d->inode != NULL)
        return d->inode;
    errno = EBADF;
    return NULL;
}

static int os_open(int dir, const char *path, int flags, unsigned mode)
{
    struct inode *folder;
    (void)mode;
    if ((flags & O_CREAT) != 0 ? dies() : is_dead())
        return -1;
    if (!folder_of(dir, &folder))
        return -1;
    struct descr *d = fs_open(node_now(), folder, path, flags);
    return d == NULL ? -1 : d->fd;
}

static int os_close(int fd)
{
    struct descr *d = descr_of(fd);
    return d == NULL ? -1 : descr_close(d);
}

/* A node that lies changes a byte of what it reads. */
static void lie(struct node *n, const struct iovec *iov, int n_iov)
{
    for (int i = 0; i < n_iov; i++)
        if (iov[i].iov_len > 0 && chance_one_in(&n->chance, n->lies_one_in)) {
            uint8_t *p = iov[i].iov_base;
            p[chance_below(&n->chance, iov[i].iov_len)] ^= 0x55;
            world_trace("node %u lies", n->no);
        }
}

static ssize_t os_preadv(int fd, const struct iovec *iov, int n, int64_t off)
{
    struct descr *d = descr_of(fd);
    if (is_dead() || d == NULL || d->inode == NULL || inode_is_folder(d->inode))
        return -1;
    uint64_t at = off < 0 ? d->pos : (uint64_t)off;
    ssize_t got = inode_read(node_now(), d->inode, iov, n, at);
    if (got > 0 && off < 0)
        d->pos += (uint64_t)got;
    if (got > 0)
        lie(node_now(), iov, n);
    return got;
}

static ssize_t os_pwritev(int fd, const struct iovec *iov, int n, int64_t off)
{
    struct descr *d = descr_of(fd);
    bool was_alive = node_now() != NULL && !node_now()->is_dying;
    if (d == NULL || d->inode == NULL)
        return -1;
    if (!d->can_write) {
        errno = EBADF;
        return -1;
    }
    uint64_t at = off < 0 ? d->pos : (uint64_t)off;
    if (dies()) {
        if (was_alive && iov[0].iov_len > 1) { /* killed in the middle of it */
            struct iovec part = { iov[0].iov_base,
                                  chance_below(&node_now()->chance, iov[0].iov_len) };
            (void)inode_write(node_now(), d->inode, &part, 1, at);
            errno = EIO;
        }
        return -1;
    }
    ssize_t done = inode_write(node_now(), d->inode, iov, n, at);
    if (done > 0 && off < 0)
        d->pos += (uint64_t)done;
    return done;
}

static int os_stat_at(int dir, const char *path, bool follow, struct sys_stat *st)
{
    struct inode *folder;
    (void)follow; /* there are no symlinks here */
    return is_dead() || !folder_of(dir, &folder) ? -1 : fs_stat(folder, node_now(), path, st);
}

static int os_stat_fd(int fd, struct sys_stat *st)
{
    const struct inode *i = file_of(fd);
    if (i == NULL)
        return -1;
    inode_stat(i, st);
    return 0;
}

static int os_set_blocking(int fd)
{
    return file_of(fd) == NULL ? -1 : 0;
}

static int os_set_mode(int fd, unsigned mode)
{
    struct inode *i = file_of(fd);
    if (i == NULL || dies())
        return -1;
    inode_set_mode(i, mode);
    return 0;
}

static int os_free_space(int fd, uint64_t *bytes)
{
    if (file_of(fd) == NULL)
        return -1;
    *bytes = fs_free_bytes(node_now()->fs);
    return 0;
}

static void os_will_need(int fd, int64_t off, size_t len)
{
    (void)fd, (void)off, (void)len; /* the disk is read when it is read */
}

/* One process a node, so nobody else ever holds one. */
static int os_set_lock(int fd, bool on, uint64_t off)
{
    (void)on, (void)off;
    return file_of(fd) == NULL ? -1 : 0;
}

static int os_real_path(const char *path, char *to, size_t size)
{
    struct sys_stat st;
    if (is_dead() || fs_stat(NULL, node_now(), path, &st) != 0)
        return -1;
    return (size_t)snprintf(to, size, "%s", path) < size ? 0 : -1;
}

static int os_reserve(int fd, int64_t len)
{
    struct inode *i = file_of(fd);
    return i == NULL || dies() ? -1 : inode_reserve(node_now(), i, (uint64_t)len);
}

static int os_truncate(int fd, int64_t len)
{
    struct inode *i = file_of(fd);
    return i == NULL || dies() ? -1 : inode_truncate(node_now(), i, (uint64_t)len);
}

static int os_sync(int fd)
{
    struct inode *i = file_of(fd);
    return i == NULL || dies() ? -1 : inode_sync(node_now(), i);
}

static int os_sync_many(const int *fds, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = os_sync(fds[i]);
    return rc;
}

static int os_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    struct inode *a, *b;
    if (dies() || !folder_of(from_dir, &a) || !folder_of(to_dir, &b))
        return -1;
    struct node *n = node_now();
    if (fs_rename(n, a, from, b, to) != 0)
        return -1;
    if (os_on_rename != NULL)
        os_on_rename(n, fs_look_in(n, b, to), to);
    return 0;
}

static int os_unlink(int dir, const char *path, int flags)
{
    struct inode *folder;
    if (dies() || !folder_of(dir, &folder))
        return -1;
    return fs_unlink(node_now(), folder, path, (flags & AT_REMOVEDIR) != 0);
}

static int os_mkdir(int dir, const char *path, unsigned mode)
{
    struct inode *folder;
    (void)mode;
    return dies() || !folder_of(dir, &folder) ? -1 : fs_mkdir(node_now(), folder, path);
}

static int os_resident(int fd, int64_t off, size_t len)
{
    const struct inode *i = file_of(fd);
    return i == NULL ? -1 : inode_is_warm(i, (uint64_t)off, len);
}

/* --- sockets --- */

static struct descr *socket_of(int fd)
{
    struct descr *d = descr_of(fd);
    if (d != NULL && d->kind == DESCR_SOCKET)
        return d;
    errno = EBADF;
    return NULL;
}

static int os_socket(int family, int type)
{
    (void)type;
    if (family != AF_INET) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    struct descr *d = is_dead() ? NULL : descr_new(node_now(), DESCR_SOCKET);
    return d == NULL ? -1 : d->fd;
}

static int os_bind(int fd, const struct sockaddr *addr, unsigned len)
{
    struct descr *d = socket_of(fd);
    (void)len;
    return d == NULL ? -1 : net_bind(d, addr);
}

static int os_listen(int fd, int backlog)
{
    struct descr *d = socket_of(fd);
    (void)backlog;
    return d == NULL ? -1 : net_listen(d);
}

static int os_accept(int fd, struct sockaddr *addr, unsigned *len)
{
    struct descr *d = descr_of(fd);
    struct descr *made = is_dead() || d == NULL ? NULL : net_accept(d, addr, len);
    return made == NULL ? -1 : made->fd;
}

static int os_connect(int fd, const struct sockaddr *addr, unsigned len)
{
    struct descr *d = socket_of(fd);
    (void)len;
    return is_dead() || d == NULL ? -1 : net_connect(d, addr);
}

static int os_local_addr(int fd, struct sockaddr *addr, unsigned *len)
{
    const struct descr *d = descr_of(fd);
    return d == NULL ? -1 : net_local_addr(d, addr, len);
}

static void os_set_option(int fd, int level, int name, int value)
{
    struct descr *d = descr_of(fd);
    if (d != NULL && level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT && value > 0)
        d->unsent_low = (uint32_t)value;
}

static int os_socket_error(int fd)
{
    struct descr *d = socket_of(fd);
    return d == NULL ? errno : net_take_error(d);
}

static struct sock *connection_of(int fd)
{
    struct descr *d = is_dead() ? NULL : socket_of(fd);
    if (d == NULL)
        return NULL;
    if (d->sock == NULL)
        errno = ENOTCONN;
    return d->sock;
}

static ssize_t os_recvv(int fd, const struct iovec *iov, int n)
{
    struct sock *s = connection_of(fd);
    return s == NULL ? -1 : net_recv(s, iov, n);
}

static ssize_t os_sendv(int fd, const struct iovec *iov, int n, bool more)
{
    struct sock *s = connection_of(fd);
    (void)more;
    return s == NULL ? -1 : net_send(s, iov, n);
}

struct reading {
    struct node *node;
    struct inode *inode;
    uint64_t off;
};

static void read_into(void *arg, uint8_t *to, size_t len)
{
    struct reading *r = arg;
    struct iovec iov = { to, len };
    inode_copy(r->inode, r->off, to, len);
    lie(r->node, &iov, 1);
    r->off += len;
}

static ssize_t os_sendfile(int sock, int fd, int64_t off, size_t len)
{
    struct sock *s = connection_of(sock);
    struct inode *i = file_of(fd);
    if (s == NULL || i == NULL)
        return -1;
    if ((uint64_t)off >= inode_size(i))
        return 0;
    if (len > inode_size(i) - (uint64_t)off)
        len = (size_t)(inode_size(i) - (uint64_t)off);
    struct reading r = { node_now(), i, (uint64_t)off };
    return net_send_by(s, len, read_into, &r);
}

static int os_offload_tls(int fd)
{
    (void)fd;
    errno = ENOSYS;
    return -1;
}

static int os_tcp_info(int fd, struct sys_tcp_info *out)
{
    struct sock *s = connection_of(fd);
    if (s == NULL)
        return -1;
    net_tell(s, out);
    return 0;
}

/* --- time and chance --- */

static int64_t os_now_us(void)
{
    return node_now() == NULL ? world_now_us() : node_now_us(node_now());
}

/* Files here are not the system's: there is nothing to map, and nothing costs processor time. */
static void *os_map(int fd, size_t len)
{
    (void)fd, (void)len;
    return NULL;
}

static void os_unmap(void *p, size_t len)
{
    (void)p, (void)len;
}

static ssize_t os_copy_into(void *to, const struct iovec *from, int n, size_t len)
{
    (void)to, (void)from, (void)n, (void)len;
    errno = ENOSYS;
    return -1;
}

static int64_t os_thread_ns(void)
{
    return 0;
}

static int64_t os_wall_ms(void)
{
    return node_now() == NULL ? world_now_us() / 1000 : node_wall_ms(node_now());
}

static int os_random(void *p, size_t len)
{
    uint64_t *chance = node_now() == NULL ? world_chance() : &node_now()->chance;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)p)[i] = (uint8_t)(chance_next(chance) >> 32);
    return 0;
}

/* A simulated disk does not say what is in memory. */
static ssize_t os_preadv_now(int fd, const struct iovec *iov, int n, int64_t off)
{
    (void)fd, (void)iov, (void)n, (void)off;
    errno = ENOSYS;
    return -1;
}

static int os_boot_id(char *to, size_t size)
{
    const struct node *n = node_now();
    snprintf(to, size, "node-%u-%u", n->no, n->boots);
    return 0;
}

static const struct sys_ops table = {
    .open_at = os_open,
    .open_beneath = os_open,
    .close = os_close,
    .preadv = os_preadv,
    .preadv_now = os_preadv_now,
    .pwritev = os_pwritev,
    .stat_at = os_stat_at,
    .stat_fd = os_stat_fd,
    .set_blocking = os_set_blocking,
    .set_mode = os_set_mode,
    .free_space = os_free_space,
    .will_need = os_will_need,
    .wont_need = os_will_need,
    .set_lock = os_set_lock,
    .real_path = os_real_path,
    .reserve = os_reserve,
    .truncate = os_truncate,
    .sync_data = os_sync,
    .sync_folder = os_sync,
    .sync_many = os_sync_many,
    .rename_at = os_rename,
    .unlink_at = os_unlink,
    .mkdir_at = os_mkdir,
    .resident = os_resident,
    .map = os_map,
    .unmap = os_unmap,
    .copy_into = os_copy_into,
    .socket = os_socket,
    .bind = os_bind,
    .listen = os_listen,
    .accept = os_accept,
    .connect = os_connect,
    .local_addr = os_local_addr,
    .set_option = os_set_option,
    .socket_error = os_socket_error,
    .recvv = os_recvv,
    .sendv = os_sendv,
    .has_sendfile = true,
    .sendfile = os_sendfile,
    .tcp_info = os_tcp_info,
    .offload_tls = os_offload_tls,
    .now_us = os_now_us,
    .wall_ms = os_wall_ms,
    .thread_ns = os_thread_ns,
    .random = os_random,
    .boot_id = os_boot_id,
    .poller = &poller_ops,
};

static const struct sys_ops *before;

void os_install(void)
{
    before = sys_ops;
    sys_ops = &table;
}

void os_remove(void)
{
    sys_ops = before;
}
