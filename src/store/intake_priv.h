/* store/intake_priv: what the two halves of intake share: intake.c (the loop's thread: who reads
 * what, when) and intake_read.c (jobs on the pool: files to hashes).
 *
 * A group belongs to the loop's thread while none of its jobs is out, and to its jobs while one is;
 * the pool's and the loop's locks carry it from one to the other. Of two jobs of one group that run
 * at once, one (line) touches only the windows of the bank it was given and the SHA-256 states of
 * their tracks, and the other (bulk) never those. */
#ifndef STORE_INTAKE_PRIV_H
#define STORE_INTAKE_PRIV_H

#include "loop/pool.h"
#include "store/intake.h"

enum {
    TRACKS = CRYPT_LANES_MAX, /* files abreast */
    SMALL = 1 << 20,          /* of all tracks in one turn: what the second-level cache holds */
    CHUNK = 64 << 10,         /* of one message at a time where a turn is longer than that */
    PAIRED = 4 << 20,         /* at least this for each of two threads */
    SEGMENTS = PAIRED / MERKLE_BLOCK + TRACKS, /* of a turn: pieces may be as short as a leaf */
};

/* One file that is being read. */
struct track {
    struct store_intake_file *f; /* borrowed; NULL: the track is free */
    int fd;
    uint64_t at;           /* read up to here */
    uint64_t hinted;       /* the kernel was told up to here */
    bool is_cold;          /* it comes from the disk */
    bool has_failed;       /* f->err says why */
    struct crypt_sha line; /* SHA-256 of the file up to where line_job has come */
    struct crypt_sha v1;   /* the piece in which `at` lies */
    struct merkle_sum sum;
    uint64_t leaves_out, pieces_out; /* handed to the caller */
    size_t n_leaves, n_pieces;       /* gathered to be handed on */
    uint8_t leaves[STORE_INTAKE_HASHES * MERKLE_HASH];
    uint8_t pieces[STORE_INTAKE_HASHES * CRYPT_SHA1_LEN];
};

/* What was read of each track in one turn, and where it lies. */
struct window {
    struct track *track;
    uint8_t *p;      /* borrowed: in the bank */
    uint8_t *hashes; /* borrowed: room for its leaves, in the group */
    uint64_t off;    /* in the file */
    size_t len;      /* 0: it could not be read */
};

/* Memory for one long turn, and what is in it. */
struct bank {
    uint8_t *buf; /* owned; NULL: none */
    size_t size;
    struct window windows[TRACKS];
    size_t n; /* windows whose SHA-256 is still to be made */
};

/* A part of a window that is one message for v1 (a piece, or what the window has of it). */
struct segment {
    struct window *window;
    uint64_t off; /* in the file */
    size_t len;
    bool is_whole; /* it ends a piece; never without v1 */
    struct crypt_sha v1;
};

struct store_group {
    struct store_intake *in; /* borrowed; the loop's thread only */
    struct loop_job bulk_job, line_job;
    unsigned n_out; /* of the two jobs */

    struct tarn_list incoming; /* to be opened */
    struct tarn_list ended;    /* done() is due */
    size_t n_incoming;
    struct track tracks[TRACKS];
    size_t n_live;

    struct bank banks[2]; /* loop's thread: given when files are long */
    unsigned turn;        /* the bank that bulk fills next */
    bool is_paired;       /* this round: line in a job of its own */

    struct bank small; /* always there */
    struct segment segments[SEGMENTS];
    size_t n_segments;
    uint8_t *hashes; /* owned: leaves of one turn */
    uint8_t *zeros;  /* owned: CHUNK of them */
    uint64_t bytes_read;
    size_t n_ended; /* files of this job */
};

/* intake_read.c */

/* One job's worth: files are opened, read and finished until STORE_INTAKE_STEP is done. */
void store_group_step(struct store_group *g);
/* The two halves of a longer one, for two threads: read the next window of the tracks into
 * banks[turn], and make the SHA-256 of what is in the other bank. */
void store_group_bulk(struct store_group *g);
void store_group_line(struct store_group *g);
/* Close what is open. */
void store_group_drop(struct store_group *g);

#endif
