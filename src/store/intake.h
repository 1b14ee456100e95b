/* store/intake: files that are new or changed, each read exactly once.
 *
 * From the same bytes come the v2 leaves and root, the SHA-256 of the file and, when asked for, the
 * v1 hashes of its pieces. A file is looked at when it is opened and again (the open file, and what
 * bears its name) when its last byte was read: any difference in size, times or inode means that
 * the hashes are of no file that ever was, and it fails.
 *
 * What waits is read up to sixteen files abreast, so that the lanes of crypt/sha are full: a long
 * message each for SHA-256 and v1, and leaves of all of them. A file that is alone is read several
 * pieces at a time, and where there is a second thread its SHA-256 (one long message: the slowest
 * part) is made there, one window behind. README has the figures.
 *
 * Memory does not grow with the size of a file: leaves and piece hashes leave through the caller's
 * functions as they are made. All of an intake is within `memory` for windows, plus 1.5 MiB for
 * each group of files that is under way (one for each thread of the pool, STORE_INTAKE_GROUPS at
 * most), and with nothing to do it holds no window.
 *
 * The work is done by short jobs on the loop's pool (STORE_INTAKE_STEP bytes and
 * STORE_INTAKE_STEP_FILES files at most, some ms each), so that other jobs get their turn, and
 * everything else belongs to the loop's thread. Nothing here drops pages from the page cache: what
 * has just been written is what will be asked for first, and the kernel lets a run that is read
 * once go before what is used again and again. */
#ifndef STORE_INTAKE_H
#define STORE_INTAKE_H

#include "base/list.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "loop/loop.h"
#include "sys/file.h"

enum {
    STORE_INTAKE_MEMORY = 32 << 20,     /* for windows, unless set: 16 pieces of 1 MiB, twice */
    STORE_INTAKE_MEMORY_MIN = 2 << 20,  /* a smaller setting is taken as this */
    STORE_INTAKE_STEP = 8 << 20,        /* bytes of a job; a window where that is more */
    STORE_INTAKE_STEP_FILES = 256,      /* of a job */
    STORE_INTAKE_STEP_US = 20 * 1000,   /* no new turn of a job after that: slow disks */
    STORE_INTAKE_GROUPS = 4,            /* groups of files at a time */
    STORE_INTAKE_HASHES = 256,          /* handed to the caller at a time, at most */
    STORE_INTAKE_PIECE_MIN = 16 << 10,  /* v1: a power of two from here */
    STORE_INTAKE_PIECE_MAX = 128 << 20, /* to here */
};

/* One file: the caller's storage, zeroed before it is filled in, and left alone from the submit to
 * done(). It is 1.5 KiB: submit some hundreds at a time; more make nothing faster. */
struct store_intake_file {
    /* In. The file is opened below dir as sys_open_beneath does: no symlink, no other kind. Both
     * are borrowed until done(). */
    int dir;
    const char *path;
    uint32_t piece_len; /* v1 too, pieces of so many bytes, the first at the file's; 0: no v1 */

    /* Leaves and v1 hashes of whole pieces (32 and 20 bytes each) in their order, n of them at a
     * time, `first` the number of those before. From any thread of the pool, one at a time for a
     * file; stat, len, n_leaves and n_pieces are set. False with err: the file fails with that.
     * Not called for a file of one leaf, which is the root; nor, with NULL, at all. */
    bool (*on_leaves)(struct store_intake_file *f, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err);
    bool (*on_pieces)(struct store_intake_file *f, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err);
    /* On the loop's thread, once, never from within a call of ours. May free or submit f. */
    void (*done)(struct store_intake_file *f);

    /* Out. With err.code TARN_OK all of it is so; TARN_E_FAILED "changed while it was read" when
     * it was (try again when it is quiet), TARN_E_NOT_FOUND when it is not there,
     * TARN_E_CANCELED, ... */
    struct tarn_err err;
    struct sys_stat stat; /* before and after; all 0 when it could not be opened */
    uint64_t len;
    uint64_t n_leaves; /* of 16 KiB; 0: an empty file, which has no root */
    uint8_t root[MERKLE_HASH];
    uint8_t sha256[CRYPT_SHA256_LEN];
    uint64_t n_pieces;            /* v1: whole ones */
    bool has_tail;                /* v1: there are bytes behind the last whole piece; their hash: */
    uint8_t tail[CRYPT_SHA1_LEN]; /* of those bytes alone */
    uint8_t tail_padded[CRYPT_SHA1_LEN]; /* filled up with zeros to a whole piece */
    uint64_t bytes_read; /* from the file, for it; for progress it may be read at any time on the
                            loop's thread: it is brought up to date when a job ends */

    /* private */
    struct tarn_list node;
    uint64_t bytes_now; /* read; the jobs' own */
    atomic_bool is_canceled;
    enum { STORE_INTAKE_OUT, STORE_INTAKE_WAITS, STORE_INTAKE_TAKEN } place;
};

struct store_intake_settings {
    struct loop *loop;
    size_t memory;   /* for windows, bytes; 0: STORE_INTAKE_MEMORY */
    unsigned groups; /* at a time; 0: as the loop's pool has threads */
};

struct store_intake;
struct store_intake *store_intake_new(const struct store_intake_settings *set, struct tarn_err *err)
    TARN_MUST;
/* Jobs that run are waited for (some ms); nothing is called back for files that are in. Accepts
 * NULL. */
void store_intake_free(struct store_intake *in);

void store_intake_submit(struct store_intake *in, struct store_intake_file *f);
/* done() will come with TARN_E_CANCELED, soon, also in the middle of a big file; with its result
 * when that was there already. Harmless for one that is not in. */
void store_intake_cancel(struct store_intake *in, struct store_intake_file *f);

/* How it stands. */
struct store_intake_counts {
    size_t waiting, under_way; /* files */
    uint64_t files_done;       /* with their hashes */
    uint64_t bytes_read;       /* in all, also of files that failed */
};
struct store_intake_counts store_intake_counts(const struct store_intake *in);

#endif
