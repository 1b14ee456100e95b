/* catalog/disk: what lies on disk under an entry's name, and when a file is believed to hold the
 * bytes that it held before. Calls block; any thread.
 *
 * A file whose size, mtime, ctime and inode are what they were is unchanged: nobody can set a
 * ctime. When only the ctime moved, something did happen to the inode, and what it was has to be
 * seen elsewhere: its name (a move), its number of names (a hard link made or removed), its mode or
 * its owner. Then, if the inode is as old as it was (numbers are used again) and a few of its 16
 * KiB leaves are what they were, it is believed, without reading it; else it is read.
 * docs/decisions.md says what this keeps out and what not. */
#ifndef CATALOG_DISK_H
#define CATALOG_DISK_H

#include "catalog/priv.h"

/* Open the file (or, with is_folder, the folder) at path below root. No symlink is followed, but
 * with is_link the last part may be one that leads to a place below root. */
bool disk_open(const char *root, const char *path, bool is_link, bool is_folder, int *fd,
               struct tarn_err *err) TARN_MUST;
/* Where the symlink at path below root leads, below root: tarn_free. NULL: nowhere, or elsewhere.
 */
char *disk_resolve(const char *root, const char *path, struct tarn_err *err) TARN_MUST;

/* The collection's row and the path (with a NUL) of an entry; TARN_E_NOT_FOUND when either is gone.
 */
struct disk_place {
    struct row_collection col;
    char path[CATALOG_PATH_MAX + 1];
};
bool disk_place(const struct kv_read *r, unsigned base, const struct catalog_entry *e,
                struct disk_place *to, struct tarn_err *err) TARN_MUST;

/* The same but for its ctime, and mode, owner or number of names say why. */
bool disk_is_explained(const struct sys_stat *then, const struct sys_stat *now);

/* A few leaves of the file are those of the identity. Reads 64 KiB at most. */
bool disk_spot_check(struct catalog *c, int fd, const struct catalog_identity *id,
                     const struct catalog_known *known);

/* Another entry whose bytes the file with this stat is sure to hold: another name of the inode, or
 * the name that it had. skip: the entry itself. piece_len: v1 pieces of this length must be known
 * (0: none needed). fd: the file, to be looked into; -1: at root/path. */
struct disk_match {
    uint64_t id;
    struct catalog_identity identity;
    struct sys_stat stat; /* as the index has it: it must still have that when this is used */
    bool is_moved;        /* its own name is gone */
    uint64_t folder;      /* where that was */
    uint8_t name_len, name[CATALOG_NAME_MAX];
};
bool disk_find_match(struct catalog *c, const struct sys_stat *st, const char *root,
                     const char *path, bool is_link, uint64_t skip, uint32_t piece_len,
                     struct disk_match *out);

/* A file with several names looks so now: entries of the others that have not been seen so are
 * looked at again. The system tells of a write by the name that was written to only. */
void disk_report_links(struct catalog *c, const struct sys_stat *st, uint64_t skip);

/* When a match was recorded: the name that was gone is looked at again. Its folder may only have
 * been elsewhere for a moment, and nothing would tell of the file itself when that comes back. */
void disk_report_moved(struct catalog *c, const struct disk_match *m);

/* v1 pieces that files of this collection need: their length, or 0. */
uint32_t disk_v1_len(const struct row_collection *col);

#endif
