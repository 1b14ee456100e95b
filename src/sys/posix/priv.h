/* sys/posix: the plain calls, of which other tables take what they cannot do better. */
#ifndef SYS_POSIX_PRIV_H
#define SYS_POSIX_PRIV_H

#include "sys/ops.h"
#include "sys/poller.h"

#include <fcntl.h>

/* The system's own number for a folder. */
static inline int posix_dir(int dir)
{
    return dir == SYS_CWD ? AT_FDCWD : dir;
}

int posix_open_at(int dir, const char *path, int flags, unsigned mode);
int posix_open_beneath(int dir, const char *path, int flags, unsigned mode);
int posix_close(int fd);
ssize_t posix_preadv(int fd, const struct iovec *iov, int n, int64_t off);
ssize_t posix_preadv_now(int fd, const struct iovec *iov, int n, int64_t off);
ssize_t posix_pwritev(int fd, const struct iovec *iov, int n, int64_t off);
int posix_stat_at(int dir, const char *path, bool follow, struct sys_stat *st);
int posix_stat_fd(int fd, struct sys_stat *st);
int posix_set_blocking(int fd);
int posix_set_mode(int fd, unsigned mode);
int posix_free_space(int fd, uint64_t *bytes);
void posix_will_need(int fd, int64_t off, size_t len);
void posix_wont_need(int fd, int64_t off, size_t len);
int posix_set_lock(int fd, bool on, uint64_t off);
int posix_real_path(const char *path, char *to, size_t size);
int posix_reserve(int fd, int64_t len);
int posix_truncate(int fd, int64_t len);
int posix_sync_data(int fd);
int posix_sync_many(const int *fds, size_t n);
int posix_sync_folder(int fd);
int posix_rename_at(int from_dir, const char *from, int to_dir, const char *to);
int posix_unlink_at(int dir, const char *path, int flags);
int posix_mkdir_at(int dir, const char *path, unsigned mode);
int posix_resident(int fd, int64_t off, size_t len);
void *posix_map(int fd, size_t len);
void posix_unmap(void *p, size_t len);
ssize_t posix_copy_into(void *to, const struct iovec *from, int n, size_t len);

int posix_socket(int family, int type);
int posix_bind(int fd, const struct sockaddr *addr, unsigned len);
int posix_listen(int fd, int backlog);
int posix_accept(int fd, struct sockaddr *addr, unsigned *len);
int posix_connect(int fd, const struct sockaddr *addr, unsigned len);
int posix_local_addr(int fd, struct sockaddr *addr, unsigned *len);
void posix_set_option(int fd, int level, int name, int value);
int posix_socket_error(int fd);
ssize_t posix_recvv(int fd, const struct iovec *iov, int n);
ssize_t posix_sendv(int fd, const struct iovec *iov, int n, bool more);
ssize_t posix_sendfile(int sock, int fd, int64_t off, size_t len);
int posix_tcp_info(int fd, struct sys_tcp_info *out);
int posix_offload_tls(int fd);

int64_t posix_now_us(void);
int64_t posix_wall_ms(void);
int64_t posix_thread_ns(void);
int posix_random(void *p, size_t len);
int posix_boot_id(char *to, size_t size);

extern const struct sys_poller_ops posix_poller;

/* A pipe whose ends neither block nor outlive exec. */
bool posix_pipe(int ends[2]);

#endif
