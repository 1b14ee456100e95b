/* sim/disk: a file system in memory for each node, that knows what would be left of it.
 *
 * Everything exists twice: as the running system sees it, and as it has been synced. sync_data
 * makes a file's bytes and size safe, sync_folder the names in a folder; neither does the other's
 * work. When the power is cut each page that was written since is there, is not, or is there in
 * part; of the changes to the names in a folder the first few are there; size and times of a file
 * are the new or the old ones whatever became of its bytes. That is less than most file systems
 * promise, and what POSIX does. A process that is killed loses nothing.
 *
 * Pages with the same bytes are kept once for all nodes: a swarm of hundreds shares the payload. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "descr.h"
#include "sys/file.h"

struct iovec;

struct fs *fs_new(struct node *n);
void fs_free(struct fs *f);
void fs_power_cut(struct fs *f);

/* As the calls of POSIX. dir is NULL for the root: simulated processes stand there. */
struct descr *fs_open(struct node *n, struct inode *dir, const char *path, int flags);
int fs_stat(struct inode *dir, struct node *n, const char *path, struct sys_stat *st);
void inode_stat(const struct inode *i, struct sys_stat *st);
int fs_rename(struct node *n, struct inode *from_dir, const char *from, struct inode *to_dir,
              const char *to);
int fs_unlink(struct node *n, struct inode *dir, const char *path, bool is_folder);
int fs_mkdir(struct node *n, struct inode *dir, const char *path);

ssize_t inode_read(struct node *n, struct inode *i, const struct iovec *iov, int n_iov,
                   uint64_t off);
ssize_t inode_write(struct node *n, struct inode *i, const struct iovec *iov, int n_iov,
                    uint64_t off);
void inode_copy(const struct inode *i, uint64_t off, uint8_t *to, size_t len); /* zeros behind it */
int inode_reserve(struct node *n, struct inode *i, uint64_t len);
int inode_truncate(struct node *n, struct inode *i, uint64_t len);
int inode_sync(struct node *n, struct inode *i);
bool inode_is_warm(const struct inode *i, uint64_t off, size_t len);
void inode_unref(struct inode *i);
uint64_t inode_size(const struct inode *i);
void inode_set_mode(struct inode *i, unsigned mode);
bool inode_is_folder(const struct inode *i);
uint64_t fs_free_bytes(const struct fs *f);

/* For tests, past the process: no cost, no faults, and as good as synced. */
void fs_put(struct node *n, const char *path,
            struct tarn_bytes data); /* and the folders above it */
/* Borrowed; NULL: not there. */
struct inode *fs_look(struct node *n, const char *path);
struct inode *fs_look_in(struct node *n, struct inode *dir, const char *path);

#endif
