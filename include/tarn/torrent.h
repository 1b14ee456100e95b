/* tarn/torrent: torrents: read them, show them, make them, check data against them.
 *
 * Covers BitTorrent v1 (BEP 3), v2 and hybrid (BEP 52), magnet links (BEP 9, 53).
 *
 * Threads: a struct tarn_torrent never changes after it was made, so any thread may read it. The
 * long calls (tarn_create, tarn_verify) block, use their own worker threads, and call the progress
 * function from the thread that made the call.
 *
 * Memory: create and verify use about 1 MiB for each worker and what the torrent itself takes,
 * whatever the size of the data.
 *
 * Caveats. Files are read with pread, never mapped: a file that is cut short while it is read is
 * reported, not a SIGBUS. A file that changes while tarn_create reads it makes the call fail: what
 * is hashed must stand still. */
#ifndef TARN_TORRENT_H
#define TARN_TORRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tarn/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How far a long call has come; false from the function cancels it (TARN_E_CANCELED). Called about
 * ten times a second, and at the end. */
struct tarn_progress {
    uint64_t done, total; /* bytes; total 0: not known yet */
};
typedef bool (*tarn_on_progress)(void *arg, const struct tarn_progress *p);

/* A torrent, or a magnet link (which says only hashes, name and where to ask). */
struct tarn_torrent;

/* From a .torrent file, "-" for standard input, or a magnet link. */
TARN_API struct tarn_torrent *tarn_torrent_open(const char *path_or_magnet, struct tarn_err *err);
TARN_API struct tarn_torrent *tarn_torrent_parse(const void *bytes, size_t len,
                                                 struct tarn_err *err);
/* From an http or https URL. tarn_transfer_stop ends it (TARN_E_CANCELED). */
TARN_API struct tarn_torrent *tarn_torrent_get(const char *url, struct tarn_err *err);
TARN_API void tarn_torrent_free(struct tarn_torrent *t); /* accepts NULL */

/* What it says. All pointers live as long as the torrent. Strings are UTF-8. */
struct tarn_torrent_info {
    const char *name;  /* safe as a file name; NULL for a magnet link without one */
    const uint8_t *v1; /* 20 bytes: SHA-1 of the info dictionary; NULL when there is no v1 side */
    const uint8_t *v2; /* 32 bytes: SHA-256 of it; NULL when there is no v2 side */
    bool is_magnet;    /* nothing below but trackers and web seeds is known */
    bool is_private, is_single_file;
    bool has_layers; /* v2: all piece layers are there */
    bool is_lax;     /* v1: not canonically bencoded; hashed as found */
    uint32_t piece_length, n_pieces;
    uint64_t length; /* bytes of all files, without padding */
    uint32_t n_files;
    uint32_t n_trackers, n_web_seeds, n_nodes;
    const char *comment, *created_by, *source; /* or NULL */
    int64_t created_at;                        /* seconds since 1970; negative: not said */
};
TARN_API const struct tarn_torrent_info *tarn_torrent_info(const struct tarn_torrent *t);

struct tarn_torrent_file {
    const char *path; /* safe and relative: name first, '/' between elements */
    uint64_t length;
    uint64_t offset;     /* in the piece space */
    const uint8_t *root; /* v2: 32 bytes, or NULL */
    bool is_executable, is_symlink;
};
/* Files without padding; index < n_files. */
TARN_API void tarn_torrent_file(const struct tarn_torrent *t, uint32_t index,
                                struct tarn_torrent_file *file);
/* index < n_trackers; tiers count from 0. */
TARN_API const char *tarn_torrent_tracker(const struct tarn_torrent *t, uint32_t index,
                                          unsigned *tier);
TARN_API const char *tarn_torrent_web_seed(const struct tarn_torrent *t, uint32_t index);
TARN_API const char *tarn_torrent_node(const struct tarn_torrent *t, uint32_t index);

/* The .torrent file's bytes (not for a magnet link: NULL). */
TARN_API const void *tarn_torrent_bytes(const struct tarn_torrent *t, size_t *len);
/* Its magnet link. */
TARN_API const char *tarn_torrent_magnet(const struct tarn_torrent *t);
/* Put the .torrent file in place, whole or not at all. */
TARN_API bool tarn_torrent_save(const struct tarn_torrent *t, const char *path,
                                struct tarn_err *err);

/* Make a torrent of a file or a folder. Zeroed is the default for each setting. */
enum tarn_format { TARN_HYBRID = 0, TARN_V1 = 1, TARN_V2 = 2 };
struct tarn_create {
    const char *path;
    enum tarn_format format;
    uint32_t piece_length;       /* 0: by size. v1 1 to 536854528; else a power of two from 16384 */
    const char *const *trackers; /* each is a tier of its own */
    size_t n_trackers;
    const char *const *web_seeds;
    size_t n_web_seeds;
    const char *source, *comment;
    bool is_private;
    bool has_date; /* then date is written: seconds since 1970 */
    int64_t date;
    bool skip_bad_names; /* leave out files whose names are not UTF-8, else they refuse */
    unsigned jobs;       /* worker threads; 0: as many as processors */
    const char *leaves;  /* v2: also write the 16 KiB leaf hashes there, for tarn_verify */
    tarn_on_progress on_progress;
    /* A file that was left out, and why (a symlink, not a regular file, a bad name). May be NULL.
     */
    void (*on_skipped)(void *arg, const char *path, const char *why);
    void *arg; /* for both */
};
TARN_API struct tarn_torrent *tarn_create(const struct tarn_create *c, struct tarn_err *err);

/* Check data against a torrent: path is the payload or the folder that holds it. */
enum tarn_damage {
    TARN_DAMAGE_MISSING, /* the file is not there */
    TARN_DAMAGE_SHORT,   /* the file ends early */
    TARN_DAMAGE_LONG,    /* the file is longer than it should be (its bytes may all be good) */
    TARN_DAMAGE_UNREADABLE,
    TARN_DAMAGE_BAD, /* bytes that do not match: [offset, offset + length) of the file */
    /* Bytes that cannot be judged, because other bytes of their piece are missing or cannot be
     * read; they may be good. */
    TARN_DAMAGE_UNSURE,
};
struct tarn_damaged {
    uint32_t file; /* index as of tarn_torrent_file */
    enum tarn_damage kind;
    uint64_t offset, length; /* in the file; to the precision that the torrent allows */
    uint32_t piece;          /* of TARN_DAMAGE_BAD and UNSURE: the first piece concerned */
    bool is_exact; /* true: to the 16 KiB block (v2 with leaves, or pieces of 16 KiB); else a whole
                      piece, of which not all may be bad */
    const char *why; /* of TARN_DAMAGE_UNREADABLE, else NULL */
};
struct tarn_verify {
    const struct tarn_torrent *torrent;
    const char *path;
    const char
        *leaves; /* leaf hashes written by tarn_create, or NULL; checked against the torrent */
    unsigned jobs;
    tarn_on_progress on_progress;
    /* Called at the end, in order of files and offsets, neighbouring ranges joined. May be NULL. */
    void (*on_damaged)(void *arg, const struct tarn_damaged *d);
    /* Called at the end for each file in the torrent's folder that the torrent does not know: path
     * begins with its name. That is no damage. May be NULL. */
    void (*on_extra)(void *arg, const char *path);
    void *arg;
};
struct tarn_verified {
    uint32_t pieces_good, pieces_bad; /* bad: not matching, missing, short, or not readable */
    uint32_t files_good, files_bad;
    uint64_t bytes_good;
};
/* False with TARN_E_INTEGRITY when anything is damaged, TARN_E_NOT_FOUND when nothing of it is
 * there; *result is set in those cases too. */
TARN_API bool tarn_verify(const struct tarn_verify *v, struct tarn_verified *result,
                          struct tarn_err *err);

/* "0.1.0", and a line about how this build hashes and what is in it. */
TARN_API const char *tarn_version(void);
TARN_API const char *tarn_build(void);

#ifdef __cplusplus
}
#endif
#endif
