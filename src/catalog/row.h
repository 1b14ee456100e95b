/* catalog/row: the records of the index as structs, and their bytes. Pure.
 *
 * Every record begins with a version byte (ROW_VERSION); one that we cannot read is an error
 * (TARN_E_INTEGRITY), never skipped. README.md lists the tables. */
#ifndef CATALOG_ROW_H
#define CATALOG_ROW_H

#include "catalog/catalog.h"
#include "kv/key.h"

enum { ROW_VERSION = 1, ROW_REASON_MAX = 240 };

/* The tables, in the order of catalog_tables. */
enum {
    T_FIXED,       /* "head" -> struct row_head */
    T_COLLECTIONS, /* be32 number -> struct row_collection */
    T_NAMES,       /* collection name -> be32 number */
    T_ENTRIES,     /* be64 parent, name -> struct row_entry */
    T_PARENTS,     /* be64 entry -> be64 parent, name */
    T_IDENTITIES,  /* root, be64 length -> struct row_known */
    T_PLACES,      /* root, be64 length, be64 entry -> nothing */
    T_INODES,      /* be64 inode, be64 entry -> nothing; files only */
    T_WAITING,     /* be64 entry -> nothing: to be read */
    T_GONE,        /* be64 entry -> nothing: missing */
    T_JOURNAL,     /* be64 seq -> a change */
    T_VERSIONS,    /* be32 collection, be64 number -> a version */
    T_GIVEN,       /* be64 off -> be64 len: runs of the sidecar that nothing refers to any more */
    T_V1,          /* identity, be32 piece length -> v1 pieces of other lengths than its record's */
};

/* Counters and totals: one record, so that they are always of one state. */
struct row_head {
    uint64_t next_entry;
    uint32_t next_collection;
    uint64_t seq, oldest; /* the journal: newest, and the oldest kept (seq + 1 when none is) */
    struct catalog_totals totals;
};

struct row_collection {
    struct catalog_collection c;
    bool is_listed;                           /* a first walk has come to its end */
    uint64_t waiting;                         /* files to be read */
    uint64_t missing;                         /* entries that are */
    uint64_t edits;                           /* goes up with each change of what is held */
    uint64_t edits_versioned;                 /* of the newest version */
    uint64_t added, removed, replaced, moved; /* since then */
    uint64_t root_ino;                        /* of its folder when last walked */
    char name[CATALOG_NAME_MAX + 1],
        path[CATALOG_PATH_MAX + 1]; /* what c.name and c.path point to */
};

struct row_entry {
    struct catalog_entry e;
    bool is_closed;  /* its writer closed it in just this state: need not wait to be quiet */
    bool wants_v1;   /* held; read once more, for v1 pieces that were not asked for before */
    bool has_lost;   /* held; read once more, because its hashes are not in the sidecar any more */
    int64_t seen_ms; /* when we first saw it in this state, wall clock */
    uint8_t name[CATALOG_NAME_MAX];
    char reason[ROW_REASON_MAX];
};

struct row_known {
    struct catalog_known k;
    uint64_t places; /* entries that have the identity */
};

void row_put_head(struct tarn_out *o, const struct row_head *h);
bool row_take_head(struct tarn_bytes b, struct row_head *h, struct tarn_err *err) TARN_MUST;

void row_put_collection(struct tarn_out *o, const struct row_collection *c);
bool row_take_collection(struct tarn_bytes b, uint32_t id, struct row_collection *c,
                         struct tarn_err *err) TARN_MUST;

void row_put_entry(struct tarn_out *o, const struct row_entry *e);
/* key: be64 parent, name. */
bool row_take_entry(struct tarn_bytes key, struct tarn_bytes b, struct row_entry *e,
                    struct tarn_err *err) TARN_MUST;
/* The same without copying: name and reason point into key and b. */
bool row_view_entry(struct tarn_bytes key, struct tarn_bytes b, struct catalog_entry *e,
                    struct tarn_err *err) TARN_MUST;
void row_copy_entry(struct row_entry *to, const struct row_entry *from);

void row_put_known(struct tarn_out *o, const struct row_known *k);
/* The v1 part of it alone. */
void row_put_v1(struct tarn_out *o, const struct catalog_known *k);
bool row_take_v1(struct tarn_bytes b, uint32_t piece_len, struct catalog_known *k,
                 struct tarn_err *err) TARN_MUST;
void row_copy_v1(struct catalog_known *to, const struct catalog_known *from);
bool row_take_known(struct tarn_bytes b, struct row_known *k, struct tarn_err *err) TARN_MUST;

void row_put_change(struct tarn_out *o, const struct catalog_change *c);
bool row_take_change(uint64_t seq, struct tarn_bytes b, struct catalog_change *c,
                     struct tarn_err *err) TARN_MUST;

void row_put_version(struct tarn_out *o, const struct catalog_version *v);
bool row_take_version(uint64_t number, struct tarn_bytes b, struct catalog_version *v,
                      struct tarn_err *err) TARN_MUST;

/* Keys. */
void row_key_entry(struct kv_key *k, uint64_t parent, struct tarn_bytes name);
void row_key_identity(struct kv_key *k, const struct catalog_identity *id);
bool row_same_identity(const struct catalog_identity *a, const struct catalog_identity *b);

#endif
