/* catalog/publish: one collection comes, is changed, or goes: what publish.c does by itself and
 * configure.c for many at once. */
#ifndef CATALOG_PUBLISH_H
#define CATALOG_PUBLISH_H

#include "catalog/index.h"

/* A folder that somebody wants published. */
struct publish {
    struct catalog_spec spec; /* its path and name are these, owned: */
    char *path, *name;
    uint64_t ino;
    /* Of a write, which may be run again: */
    const char *as; /* the name: the one above, or: */
    char kept[CATALOG_NAME_MAX + 1];
    char was[CATALOG_NAME_MAX + 1]; /* the name that it gave up before, or "" */
    uint32_t collection;            /* out */
    bool is_new, is_refused;        /* refused: nothing was written, and err says why */
};

/* False: no memory. Zeroed before; released in any case. */
bool publish_init(struct publish *p, const struct catalog_spec *spec) TARN_MUST;
void publish_release(struct publish *p);

/* The folder's true path, and its own name where none was given. Looks at the disk. */
bool publish_resolve(struct publish *p, struct tarn_err *err) TARN_MUST;

/* Record it; same is the collection of its path, 0 for none. */
bool publish_put(struct index_write *w, struct publish *p, uint32_t same, struct tarn_err *err)
    TARN_MUST;
bool publish_remove(struct index_write *w, uint32_t collection, enum catalog_origin by,
                    struct tarn_err *err) TARN_MUST;

/* The names of collections: *id is of the collection that has this one, 0 for none. */
bool publish_name_find(struct index_write *w, struct tarn_bytes name, uint32_t *id,
                       struct tarn_err *err) TARN_MUST;
bool publish_name_put(struct index_write *w, struct tarn_bytes name, uint32_t id,
                      struct tarn_err *err) TARN_MUST;
/* Of this collection alone: another's of that name stays. */
bool publish_name_del(struct index_write *w, struct tarn_bytes name, uint32_t id,
                      struct tarn_err *err) TARN_MUST;

#endif
