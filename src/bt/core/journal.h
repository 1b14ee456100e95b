/* bt/core/journal: what was written since the record (bt/core/resume), note by note.
 *
 * A note is one append: which pieces are about to be written, or how files look now that something
 * was. Each carries its length and a checksum that covers the generation, so what a power cut left
 * of a journal, or of an older one in its blocks, is never taken for a note: reading ends there. */
#ifndef BT_CORE_JOURNAL_H
#define BT_CORE_JOURNAL_H

#include "bt/core/resume.h"

enum {
    BT_JOURNAL_MAX = 64 << 20, /* bytes that are read; a record is due long before */
    BT_NOTE_MAX = 16 << 20,    /* bytes of one note */
};

/* A note is begun, filled and ended in o. */
struct bt_note_writer {
    struct tarn_out *o;
    size_t start;
};
void bt_note_begin(struct bt_note_writer *w, struct tarn_out *o);
void bt_note_piece(struct bt_note_writer *w, uint32_t piece);
void bt_note_file(struct bt_note_writer *w, uint32_t file, const struct bt_seen *seen);
void bt_note_end(struct bt_note_writer *w, uint64_t generation);

/* What the notes say of n_files files that look so now. */
struct bt_journal {
    const struct bt_seen *now; /* borrowed */
    uint32_t n_files;
    uint8_t *known;          /* borrowed; set to 1 where a note says what `now` says */
    struct tarn_bits *named; /* borrowed; pieces that notes name */
};
/* Returns the bytes read: all of in, or up to the first that is no note. */
size_t bt_journal_read(struct bt_journal *j, struct tarn_bytes in, uint64_t generation);

#endif
