/* catalog/index: changes of the index, each within one write (struct kv_txn). One function puts an
 * entry and keeps all that hangs on it: where identities lie, inodes, what waits, counters.
 *
 * Called on the store's writer thread; nothing here looks at a disk. */
#ifndef CATALOG_INDEX_H
#define CATALOG_INDEX_H

#include "catalog/row.h"

#define INDEX_LIMBO UINT64_MAX

struct index_write {
    struct kv_txn *t;
    unsigned base; /* number of the first table */
    uint64_t journal_max, versions_max;
    int64_t now_ms;
    struct row_head head;
    struct row_collection col; /* the one that is worked on */
    bool has_col;
    /* Runs of the sidecar that nothing refers to when this is committed. Owned. */
    struct catalog_run *given;
    size_t n_given, cap_given;
    struct tarn_out out; /* room for a record */
};

/* Load the counters. Start over with the same struct when the write is run again. */
bool index_begin(struct index_write *w, struct kv_txn *t, struct tarn_err *err) TARN_MUST;
/* Store counters and the collection. */
bool index_end(struct index_write *w, struct tarn_err *err) TARN_MUST;
void index_release(struct index_write *w); /* accepts a zeroed one */

/* Make it the collection that is worked on. CATALOG_NOT_THERE: no such one. */
enum catalog_found index_collection(struct index_write *w, uint32_t id, struct tarn_err *err)
    TARN_MUST;

/* An entry by its place, or by its number. */
enum catalog_found index_find(struct index_write *w, uint64_t parent, struct tarn_bytes name,
                              struct row_entry *out, struct tarn_err *err) TARN_MUST;
enum catalog_found index_get(struct index_write *w, uint64_t id, struct row_entry *out,
                             struct tarn_err *err) TARN_MUST;

/* old becomes fresh (either may be NULL: added, removed). Both are of the collection that is worked
 * on, and of the same place and number. known: of an identity that the index may not have yet. */
bool index_put(struct index_write *w, const struct row_entry *old, const struct row_entry *fresh,
               const struct catalog_known *known, struct tarn_err *err) TARN_MUST;
/* A number for a new entry. */
uint64_t index_new_id(struct index_write *w);

/* Note a change of an entry (NULL: of the collection). other may be empty. */
bool index_note(struct index_write *w, enum catalog_event event, const struct row_entry *of,
                struct tarn_bytes other, uint64_t number, struct tarn_err *err) TARN_MUST;

/* A note of the catalog's owner: catalog_note. */
bool index_note_own(struct index_write *w, uint64_t number, struct tarn_bytes name,
                    struct tarn_bytes word, struct tarn_bytes other, struct tarn_err *err)
    TARN_MUST;

/* A file that is gone: a held one is kept as missing, until index_forget; others are forgotten. */
bool index_lose(struct index_write *w, const struct row_entry *e, struct tarn_err *err) TARN_MUST;
bool index_forget(struct index_write *w, const struct row_entry *e, struct tarn_err *err) TARN_MUST;

/* A file whose name has another inode now may have moved: what it held is kept under a number of
 * its own, missing, below no folder (INDEX_LIMBO), with its path as the reason; index_forget tells
 * nobody. */
bool index_keep_lost(struct index_write *w, const struct row_entry *e, struct tarn_err *err)
    TARN_MUST;

/* Whether a folder has any entry. */
bool index_has_children(struct index_write *w, uint64_t folder, bool *has, struct tarn_err *err)
    TARN_MUST;
/* A new version of the collection, with the digest of what it holds. */
bool index_version(struct index_write *w, const uint8_t digest[32], struct tarn_err *err) TARN_MUST;

/* --- shared with readers: r is of a read or of a write --- */

bool index_path(const struct kv_read *r, unsigned base, uint64_t parent, struct tarn_bytes name,
                struct tarn_out *o, struct tarn_err *err) TARN_MUST;
/* What the store says of a record, in the catalog's words. */
enum catalog_found index_found(enum kv_got got);
/* A record; borrowed as kv_get's is. table: with the base in it. */
enum catalog_found index_value(const struct kv_read *r, unsigned table, struct tarn_bytes key,
                               struct tarn_bytes *value, struct tarn_err *err) TARN_MUST;
/* An entry by its number; a collection. */
enum catalog_found index_entry(const struct kv_read *r, unsigned base, uint64_t id,
                               struct row_entry *out, struct tarn_err *err) TARN_MUST;
enum catalog_found index_row(const struct kv_read *r, unsigned base, uint32_t collection,
                             struct row_collection *out, struct tarn_err *err) TARN_MUST;
/* What is known of an identity, with v1 pieces of this length or none (0: those that were known
 * first). */
enum catalog_found index_known(const struct kv_read *r, unsigned base,
                               const struct catalog_identity *id, uint32_t v1_len,
                               struct catalog_known *out, struct tarn_err *err) TARN_MUST;
enum catalog_found index_head(const struct kv_read *r, unsigned base, struct row_head *h,
                              struct tarn_err *err) TARN_MUST;
/* Cuts bytes into a reason that fits. Returns to. */
struct tarn_bytes index_reason(char to[ROW_REASON_MAX], const char *text);

#endif
