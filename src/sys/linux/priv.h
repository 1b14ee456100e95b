/* sys/linux: what Linux does better than POSIX asks. */
#ifndef SYS_LINUX_PRIV_H
#define SYS_LINUX_PRIV_H

#include "sys/ops.h"
#include "sys/poller.h"

int linux_open_beneath(int dir, const char *path, int flags, unsigned mode);
int linux_stat_at(int dir, const char *path, bool follow, struct sys_stat *st);
int linux_stat_fd(int fd, struct sys_stat *st);
int linux_sync_many(const int *fds, size_t n);
int linux_boot_id(char *to, size_t size);
int linux_reserve(int fd, int64_t len);
ssize_t linux_preadv_now(int fd, const struct iovec *iov, int n, int64_t off);
int linux_resident(int fd, int64_t off, size_t len);
ssize_t linux_copy_into(void *to, const struct iovec *from, int n, size_t len);
int linux_resident_by_reading(int fd, int64_t off, size_t len); /* before Linux 6.5 */

extern const struct sys_poller_ops linux_poller;
extern const struct sys_notify_ops linux_notify;

#endif
