/* sys/file: files and folders.
 *
 * Descriptors are ints, negative when there is none. All calls may block and any thread may make
 * them. Paths are bytes; relative ones go from `dir`, where SYS_CWD is the current folder. */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include "base/err.h"
#include "sys/ops.h" /* SYS_CWD */

#include <stdatomic.h>

enum sys_kind { SYS_REGULAR, SYS_FOLDER, SYS_SYMLINK, SYS_OTHER };

/* What tells one state of a file from another. */
struct sys_stat {
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    uint64_t dev, ino;
    int64_t
        born_ns;    /* when the inode was made: nobody can set it; 0 where the system cannot tell */
    uint64_t links; /* names that it has */
    enum sys_kind kind;
    uint32_t owner, group;
    unsigned mode;      /* permissions */
    bool is_executable; /* by its owner */
};

enum sys_open_how {
    SYS_OPEN_READ,
    SYS_OPEN_WRITE,      /* read and write; must exist */
    SYS_OPEN_CREATE,     /* read and write; made when missing, kept when there */
    SYS_OPEN_CREATE_NEW, /* must not exist */
    SYS_OPEN_APPEND,     /* write at the end, whoever else does; made when missing (mode 0640) */
    SYS_OPEN_FOLDER,
};

/* Open for use; symlinks are followed (a user named this path). -1 on failure. */
int sys_open(const char *path, enum sys_open_how how, struct tarn_err *err) TARN_MUST;

/* Open a path that came from outside: below dir, through real folders only, and only a regular file
 * or a folder. A symlink anywhere in it is refused (TARN_E_POLICY), and so is a path with an empty
 * part, "." or "..". SYS_OPEN_CREATE* also make missing folders. */
int sys_open_beneath(int dir, const char *path, enum sys_open_how how, struct tarn_err *err)
    TARN_MUST;

void sys_close(int *fd);  /* sets it to -1; accepts -1 */
int sys_take_fd(int *fd); /* hand ownership on: returns *fd and sets it to -1 */
#define SYS_AUTO_FD __attribute__((cleanup(sys_close))) int

/* Read len bytes at off, fewer only at the end of the file; *got says how many. */
bool sys_read_at(int fd, void *buf, size_t len, uint64_t off, size_t *got, struct tarn_err *err)
    TARN_MUST;

/* The same without waiting for a disk: false when not all of it is in memory or the system cannot
 * tell (or the file is shorter, or cannot be read): then read it elsewhere. */
bool sys_read_now(int fd, void *buf, size_t len, uint64_t off) TARN_MUST;

/* Write all of it. */
bool sys_write_at(int fd, struct tarn_bytes data, uint64_t off, struct tarn_err *err) TARN_MUST;

/* Write all of it at the end of what SYS_OPEN_APPEND opened, or to where the descriptor stands. */
bool sys_append(int fd, struct tarn_bytes data, struct tarn_err *err) TARN_MUST;

/* Write n runs that follow each other in the file from off: one call where the system has it. */
bool sys_write_runs_at(int fd, const struct tarn_bytes *runs, size_t n, uint64_t off,
                       struct tarn_err *err) TARN_MUST;

/* The whole of a file of at most max bytes, to be freed with tarn_free. "-" is standard input. */
bool sys_read_whole(const char *path, size_t max, uint8_t **data, size_t *len, struct tarn_err *err)
    TARN_MUST;

/* Put a file in place whole or not at all: new file beside it (with the permissions of the one it
 * replaces), sync, rename, sync of the folder. "-" is standard output; devices and pipes are
 * written straight; a symlink is replaced, not followed. When only the last sync fails the new file
 * is in place, and the error says that it may not outlive a power cut. */
bool sys_write_whole(const char *path, struct tarn_bytes data, struct tarn_err *err) TARN_MUST;

/* Make room for size bytes, so that a full disk is an error now, and give a shorter file that size;
 * a longer one is not cut. Where the file system cannot reserve, the file is only given its size.
 */
bool sys_reserve(int fd, uint64_t size, struct tarn_err *err) TARN_MUST;
/* Cut or extend (with a hole). */
bool sys_truncate(int fd, uint64_t size, struct tarn_err *err) TARN_MUST;

bool sys_sync(int fd, struct tarn_err *err) TARN_MUST;
/* Names that were made, changed or removed in it; fine where a file system knows no such thing. */
bool sys_sync_folder(int fd, struct tarn_err *err) TARN_MUST;
/* sys_sync of n files. On failure nothing is said about any of them. */
bool sys_sync_many(const int *fds, size_t n, struct tarn_err *err) TARN_MUST;

/* Hold the byte at off for this open file until it is given back or closed: through another one
 * nobody can (TARN_E_POLICY). Nothing need be there. Fine where a file system has no locks. */
bool sys_lock_at(int fd, uint64_t off, struct tarn_err *err) TARN_MUST;
/* The same for all bytes at once: the kernel looks through all locks of a file at each. */
bool sys_lock_all(int fd, struct tarn_err *err) TARN_MUST;
void sys_unlock_at(int fd, uint64_t off);
/* Whoever may read it may run it too. */
bool sys_make_executable(int fd, struct tarn_err *err) TARN_MUST;
bool sys_stat(int dir, const char *path, bool follow, struct sys_stat *st, struct tarn_err *err)
    TARN_MUST;
bool sys_stat_fd(int fd, struct sys_stat *st, struct tarn_err *err) TARN_MUST;
/* Same size, times and inode: nobody has changed it since. */
bool sys_stat_same(const struct sys_stat *a, const struct sys_stat *b);

bool sys_rename(int from_dir, const char *from, int to_dir, const char *to, struct tarn_err *err)
    TARN_MUST;
/* A file, a symlink itself, or an empty folder. */
bool sys_remove(int dir, const char *path, struct tarn_err *err) TARN_MUST;
/* The folder and those above it; fine when it is there. */
bool sys_make_folders(const char *path, struct tarn_err *err) TARN_MUST;
/* The same, and nobody else may look into the last one if it is made here. */
bool sys_make_private_folder(const char *path, struct tarn_err *err) TARN_MUST;
/* The absolute path without symlinks of what is there; tarn_free. NULL on failure. */
char *sys_real_path(const char *path, struct tarn_err *err) TARN_MUST;
bool sys_make_symlink(int dir, const char *path, const char *target, struct tarn_err *err)
    TARN_MUST;

/* The names in the folder dir except "." and "..", sorted as bytes. names and the strings are in
 * one allocation: tarn_free(names). At most 256 MiB of them. */
bool sys_list_folder(int dir, const char ***names, size_t *n, struct tarn_err *err) TARN_MUST;

/* Free bytes for us on the file system that holds fd. */
bool sys_free_space(int fd, uint64_t *bytes, struct tarn_err *err) TARN_MUST;

/* Is all of [off, off + len) in memory? */
enum sys_residency { SYS_COLD, SYS_RESIDENT, SYS_UNKNOWN };
enum sys_residency sys_resident(int fd, uint64_t off, size_t len);

/* Advice: this run will be read soon / by nobody soon / once, in order. Never fails in a way that
 * matters. */
void sys_will_need(int fd, uint64_t off, size_t len);
void sys_wont_need(int fd, uint64_t off, size_t len);
void sys_read_in_order(int fd);

/* Bring a run into memory and wait until it is there. *got: how much of it the file has. */
bool sys_bring_in(int fd, uint64_t off, size_t len, size_t *got, struct tarn_err *err) TARN_MUST;

/* How the bytes of an open file are sent and written. */
enum sys_file_way {
    SYS_FILE_AUTO,  /* by what costs least: sendfile, or pread and one writev; pwrite */
    SYS_FILE_MMAP,  /* straight from and into a mapping, which only system calls touch */
    SYS_FILE_PREAD, /* pread and writev by way of a buffer; pwrite */
};

/* An open file that several hold: spans in send queues, jobs, the table of open files. */
struct sys_file {
    int fd;
    atomic_uint refs;
    struct sys_stat at_open;
    enum sys_file_way way;  /* set by who opens it, before anybody else has it */
    _Atomic(uint8_t *) map; /* private: owned; NULL until it is needed */
};
/* Takes fd over, with one reference. NULL (fd closed) when there is no memory. */
struct sys_file *sys_file_new(int fd);
struct sys_file *sys_file_ref(struct sys_file *f); /* returns f */
void sys_file_unref(struct sys_file *f);           /* closes with the last; accepts NULL */

/* A run in a mapping of the whole file, which is made when first asked for and kept as long as the
 * file. Give it to system calls only: where the file has been cut short, or its disk is full, they
 * answer EFAULT; touching it would raise SIGBUS. NULL when the run is beyond what the file had when
 * it was opened, or the file cannot be mapped. Any thread. */
uint8_t *sys_file_mapped(struct sys_file *f, uint64_t off, size_t len);

/* Write n runs that follow each other in the file from off, in the file's way. Into a mapping they
 * are copied by a system call; what that refuses (a full disk, a file cut short, a system that has
 * no such call) goes by pwrite, which says why. */
bool sys_file_write(struct sys_file *f, const struct tarn_bytes *runs, size_t n, uint64_t off,
                    struct tarn_err *err) TARN_MUST;

#endif
