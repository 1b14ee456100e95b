/* store/tree: the files of one layout on disk.
 *
 * Any thread may call; calls block, so on a loop they are jobs. Files are opened when first needed
 * and a bounded number stays open; who needs one for longer holds it counted (sys_file).
 *
 * For reading, the user's own tree is taken as it is (symlinks are followed). For writing nothing a
 * torrent says can leave the folder: no symlink is followed, and every element is opened below the
 * one before. A file being written is called `<path>.part` until store_tree_finish (or, when that
 * name is too long or is in the layout itself, another that ends in .part: names.c). */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "store/layout.h"
#include "sys/file.h"

/* So many stay open for all trees, at most a quarter of what the process may open; and a sixteenth
 * of that for each tree that is in use, whatever others have. */
enum { STORE_OPEN_FILES = 256 };

struct store_tree;

enum store_where {
    STORE_WHERE_UNKNOWN, /* not looked yet */
    STORE_WHERE_FINAL,   /* whole, under its own name */
    STORE_WHERE_PART,    /* under its temporary name */
};

/* path is the payload itself (the file, or the folder that bears the content's name) or the folder
 * that holds it; what is there decides. TARN_E_NOT_FOUND when neither is. The layout is borrowed.
 */
struct store_tree *store_tree_open(const struct store_layout *l, const char *path,
                                   struct tarn_err *err) TARN_MUST;

/* Below dir, which is made when missing. Nothing is made in it yet. */
struct store_tree *store_tree_create(const struct store_layout *l, const char *dir,
                                     struct tarn_err *err) TARN_MUST;
void store_tree_free(struct store_tree *t); /* accepts NULL */
/* How files are sent and written, from the next one that is opened on. Before others have it. */
void store_tree_set_way(struct store_tree *t, enum sys_file_way way);

/* Make one file ready for writing: reserve its space as `<path>.part`, so that a full disk is an
 * error now (TARN_E_NO_SPACE says how much was asked and how much is free). Content that is there
 * already, under either name, stays: *had says whether there was any. A file under its final name
 * with the right size is left so and is written in place only where a piece of it proves bad; a
 * shorter one becomes the .part; a longer one, or one beside a .part, is somebody else's and is
 * refused (TARN_E_POLICY). Nothing happens for padding, symlinks and empty files. What is written
 * without this call is found or made in the same way, without room reserved. */
bool store_tree_prepare(struct store_tree *t, uint32_t file, bool *had, struct tarn_err *err)
    TARN_MUST;

/* In place of store_tree_prepare, for a file that was prepared in an earlier run and is unchanged
 * since: nothing is touched, neither its room nor its times. */
void store_tree_take(struct store_tree *t, uint32_t file, enum store_where where);

/* All pieces of these files are verified: sync them, give them their names (and modes), and sync
 * the folders that hold them, each once; makes empty files. On success all of it outlives a power
 * cut. Refused when something else has taken either name of one meanwhile; others may have their
 * names then. */
bool store_tree_finish(struct store_tree *t, const uint32_t *files, size_t n, struct tarn_err *err)
    TARN_MUST;

/* Read a run of the address space. Zeros for padding. False with TARN_E_NOT_FOUND when a file is
 * missing, TARN_E_INTEGRITY when it is too short. */
bool store_tree_read(struct store_tree *t, uint64_t off, struct tarn_bytes_mut into,
                     struct tarn_err *err) TARN_MUST;

/* Write runs of memory that follow each other in the address space from off (one pwritev per file
 * where it can); bytes that fall on padding are dropped. */
bool store_tree_write(struct store_tree *t, uint64_t off, const struct tarn_bytes *runs, size_t n,
                      struct tarn_err *err) TARN_MUST;

/* The open file, counted: the caller unrefs. For spans that the kernel sends. */
struct sys_file *store_tree_file(struct store_tree *t, uint32_t file, struct tarn_err *err)
    TARN_MUST;
/* The same if it is open already, else NULL: for threads that must not wait for a disk. */
struct sys_file *store_tree_file_open(struct store_tree *t, uint32_t file) TARN_MUST;
/* Of a tree opened for reading: is the open file still what it was when it was opened? If not, it
 * is closed, and the next store_tree_file says so. One fstat; true of a tree that we write, whose
 * files change by ourselves. */
bool store_tree_file_is_same(struct store_tree *t, uint32_t file, struct sys_file *f);

/* What is there under the file's name (or its .part name when writing). */
bool store_tree_stat(struct store_tree *t, uint32_t file, struct sys_stat *st, struct tarn_err *err)
    TARN_MUST;

/* While nobody uses it: close its files and its folder. They are opened again when needed. */
void store_tree_rest(struct store_tree *t);

/* Has something else changed this file, which we do not write: is it gone, of another length, or
 * (of a tree opened for reading) another one than was opened first? Then what is open of it is
 * given up, and from now on it is taken as it is. */
bool store_tree_changed(struct store_tree *t, uint32_t file);

/* The same, and which name that is. Of a file that is open, what is open is looked at. */
bool store_tree_look(struct store_tree *t, uint32_t file, struct sys_stat *st,
                     enum store_where *where, struct tarn_err *err) TARN_MUST;

/* The absolute path of the payload (the file, or the folder of its name), by which this tree and
 * another can be told to be of the same files; tarn_free. NULL on failure. */
char *store_tree_place(const struct store_tree *t, struct tarn_err *err) TARN_MUST;

/* The file's path as the user would write it, cut to fit. Its bytes are as they are: messages quote
 * them. Returns dst. */
const char *store_tree_path(const struct store_tree *t, uint32_t file, char *dst, size_t size);

/* Sync everything written since the last call. */
bool store_tree_sync(struct store_tree *t, struct tarn_err *err) TARN_MUST;

#endif
