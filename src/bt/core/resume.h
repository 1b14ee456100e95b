/* bt/core/resume: what is kept of a torrent between two runs, and what of it may be believed.
 *
 * Two things are kept. The record says which pieces were verified and how each file looked then; it
 * is written now and then, safely, after the data that it speaks of was synced. The journal
 * (bt/core/journal) says what we wrote since; it is appended to and not synced, so it outlives the
 * process but perhaps not the machine.
 *
 * A file is KNOWN when it looks now, to the nanosecond and the inode, as the record or any note of
 * the journal says: then nobody has changed it since we looked, and before that only we had, whose
 * writes never touch a verified piece. All files of a piece must be known for the piece to be
 * believed.
 *
 *   the piece's files  the record says  the journal  since then           so it is
 *   one is not known   anything         anything     anything             checked
 *   known              verified         anything     anything             believed
 *   known              not verified     names it     anything             checked
 *   known              not verified     is silent    the same boot        missing
 *   known              not verified     is silent    a boot, clean stop   missing
 *   known              not verified     is silent    a boot, no clean     checked: the journal may
 *                                                    stop                 have been lost with the
 *                                                                         machine
 *   no record, or one that is wrong in any way: all of it is checked.
 *
 * So after kill -9 only the pieces since the last record are read. When the blow falls between a
 * write and its note, the file that was being written is not known, and all of it is read: our own
 * write cannot be told from a stranger's, and reading costs less than belief. What can not be told:
 * an edit between two writes of ours to the same file while we run, and one that leaves size, times
 * and inode alike (by the clock's granularity, or by going round the file system).
 *
 * Notes vouch for a file only together with the record before them. When a start finds a file that
 * is not known, its own notes therefore go beyond the generations that are read with the old
 * record, until there is a new one: else a note would make that file known again, and the old
 * record, which an edit has made false, would be believed.
 *
 * Device numbers are not kept: they change from boot to boot, and ctime, which nobody can set, says
 * more. */
#ifndef BT_CORE_RESUME_H
#define BT_CORE_RESUME_H

#include "base/bits.h"
#include "base/out.h"
#include "bt/core/metainfo.h"

enum {
    BT_RECORD_MAX = 256 << 20, /* bytes; 34 a file and a bit a piece: seven million files */
    BT_PLACE_MAX = 8192,       /* bytes of a path: twice what a system takes */
    BT_BOOT_MAX = 64,
};

enum bt_where { BT_NOWHERE, BT_AT_FINAL, BT_AT_PART };

/* How a file looked. Nowhere: nothing is said about it. */
struct bt_seen {
    uint64_t size, ino;
    int64_t mtime_ns, ctime_ns;
    uint8_t where;   /* enum bt_where: the name that it stood under */
    bool is_tainted; /* not kept: others changed it while we ran, and nothing is said about it */
};

/* Both are somewhere, and nothing tells them apart. */
bool bt_seen_same(const struct bt_seen *a, const struct bt_seen *b);

struct bt_record {
    struct bt_hashes hashes;
    uint32_t piece_len, n_pieces, n_files;
    uint64_t total;
    struct tarn_bytes place;       /* borrowed: the absolute path of the payload */
    struct tarn_bytes boot;        /* borrowed: which start of the machine; empty: nobody knows */
    uint64_t generation;           /* 1 and up; notes of this and later ones belong to the record */
    bool is_clean;                 /* written at the end, with nothing under way */
    uint64_t downloaded, uploaded; /* payload bytes of all runs */
    struct tarn_bits have;         /* owned when read */
    struct bt_seen *files;         /* n_files, in the torrent's order; owned when read */
};

/* Bencoded, and 32 bytes of SHA-256 over that. */
void bt_record_write(const struct bt_record *r, struct tarn_out *o);
/* in must outlive it. False, with nothing to release, when anything about it is wrong. */
bool bt_record_read(struct bt_record *r, struct tarn_bytes in, struct tarn_err *err) TARN_MUST;
void bt_record_release(struct bt_record *r); /* of one that was read; accepts a zeroed one */

/* Is it about this torrent at this place? */
bool bt_record_fits(const struct bt_record *r, const struct bt_metainfo *m, struct tarn_bytes place,
                    struct tarn_err *err) TARN_MUST;

enum bt_belief { BT_CHECK, BT_GOOD, BT_MISSING };

/* One line of the table. */
struct bt_evidence {
    bool files_known, in_record, in_journal;
    bool same_boot, clean_stop;
};
enum bt_belief bt_believe(const struct bt_evidence *e);

#endif
