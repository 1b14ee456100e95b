/* bt/keep: a torrent's saved state while it lives: what the files share that keep it. bt/resume
 * says what is believed at the start, and notes writes; bt/save makes records.
 *
 * Who is where: opening, planning and noting happen on threads of the pool, saving too; deciding
 * when to save is the loop's. `lock` guards what notes and saves share. The order that makes it
 * safe: a record turns to a new generation of notes first, carries over the pieces that are named
 * but not known to be had, syncs the files, and only then is written. Whatever falls between two of
 * these steps stands in the notes of a generation that the next start reads. */
#ifndef BT_KEEP_H
#define BT_KEEP_H

#include "bt/core/journal.h"
#include "bt/priv.h"
#include "sys/clock.h"

/* A record that is being made, and what goes with it. */
struct bt_save {
    struct loop_job job;
    struct bt_keep *keep;
    struct tarn_bits have;   /* as it was when the save began */
    struct tarn_out torrent; /* of a magnet link, when that is not kept yet */
    bool is_clean, has_torrent, has_layers;
    bool is_interim; /* says less than is here: the next start checks what it does not say */
    bool synced, ok;
    uint64_t downloaded, uploaded;
    struct tarn_err err;
};

/* What the last run left, and what preparing found. */
struct bt_keep_past {
    struct bt_record old;
    uint8_t *old_bytes;
    struct tarn_bits named; /* by its notes */
    uint8_t *known;         /* of each file: it looks as it was left */
    uint8_t *fresh;         /* of each file: there is nothing of it */
    bool had_notes;
    struct tarn_err trouble; /* told when it can be */
};

struct bt_keep {
    struct bt_torrent *torrent;
    struct store_tree *tree; /* borrowed */
    const struct bt_resume_ops *ops;
    void *slot; /* NULL: nothing is kept */
    char *place;
    struct sys_boot boot;

    struct bt_keep_past *past; /* until the torrent runs */

    struct sys_lock lock;
    struct bt_seen *seen;   /* of each file, when its pieces were last known to be what they are */
    struct tarn_bits noted; /* pieces that are not in the last record, and may be written */
    struct tarn_out note;   /* being made */
    uint64_t generation;    /* of notes */
    uint64_t note_bytes;    /* since the last record */
    bool is_changed;        /* since the last record */
    bool lost_notes;        /* one could not be written */

    /* the loop's */
    bool is_begun, save_again, again_is_last, last_failed, told_lost, forgets;
    bool torrent_kept, layers_kept;
    int64_t saved_us;
    uint64_t saved_downloaded, saved_uploaded;
    uint64_t base_downloaded, base_uploaded; /* of earlier runs */
    struct bt_save *save;                    /* owned; under way, or NULL */
};

/* resume */
/* Append `note` to the notes of this generation; under the lock. */
void bt_keep_put_note(struct bt_keep *k);
void bt_keep_forget_past(struct bt_keep *k);

/* save */
/* On the disk when it returns. False: s->err says why. */
bool bt_save_write(struct bt_keep *k, struct bt_save *s) TARN_MUST;
void bt_save_free(struct bt_keep *k); /* the one under way, which nobody runs any more */

#endif
