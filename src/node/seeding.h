/* node/seeding: published collections as torrents of the bt session.
 *
 * Each time a collection is complete in a new version, its torrent is made from the hashes in the
 * catalog (nothing is read again) and takes the place of the one before. Between two versions the
 * old torrent goes on with what has not changed: the session is told which files are no longer what
 * they were, and offers their pieces no more. That a version can have no torrent (too many files, a
 * name that none has) is kept too, and nothing is seeded then. Whether a collection is paused is
 * kept in the index.
 *
 * All calls belong to the loop's thread; torrents are made by jobs. */
#ifndef NODE_SEEDING_H
#define NODE_SEEDING_H

#include "bt/session.h"
#include "catalog/catalog.h"
#include "node/derived.h"
#include "node/write.h"

struct node_seeding;

struct node_seeding_settings {
    struct loop *loop;
    struct kv *kv;
    unsigned table; /* of ours in it: NODE_SEEDING_TABLE */
    struct catalog *catalog;
    struct bt_session *bt;
    bool no_trackers;         /* none is asked */
    size_t torrent_max;       /* bytes of a torrent; 0: as many as a value of the index has */
    struct derived_from from; /* borrowed */
    /* A sentence about a collection whose torrent could not be made, or cannot be seeded. */
    void (*on_trouble)(void *arg, struct tarn_bytes collection, const struct tarn_err *err);
    void *arg;
};
#define NODE_SEEDING_TABLE "seeding"

struct node_seed {
    uint32_t collection;
    bool is_paused;
    bool is_making;                 /* its torrent is being made */
    uint64_t version;               /* of the collection that the torrent is of; 0: none */
    struct bt_torrent *bt;          /* NULL: there is none, or it failed */
    const struct bt_metainfo *meta; /* NULL: there is no torrent */
    const char *failure;            /* or NULL */
    const char *note;               /* what is not in the torrent, and why; or NULL */
};

struct node_seeding *node_seeding_new(const struct node_seeding_settings *set, struct tarn_err *err)
    TARN_MUST;
/* Takes the torrents out of the session; waits for jobs. No ask may be under way. Accepts NULL. */
void node_seeding_free(struct node_seeding *s);

/* The catalog's journal has grown: look at what it says. */
void node_seeding_look(struct node_seeding *s);

/* Hashes of held files are there that were lost or not known (the catalog's on_hashes): torrents
 * that could not be made for want of them are tried once more. Cheap; the tries themselves are some
 * seconds apart. */
void node_seeding_again(struct node_seeding *s);

/* NULL: it is not to be seeded (bt is off), or there is no such collection. */
const struct node_seed *node_seeding_get(const struct node_seeding *s, uint32_t collection);
/* Bytes a second that all of them send. */
uint64_t node_seeding_rate_up(const struct node_seeding *s);
/* By v1 (20 bytes) or v2 (32 bytes) info-hash. */
const struct node_seed *node_seeding_hashed(const struct node_seeding *s, struct tarn_bytes hash);
/* The torrent of a collection (of the same snapshot), as it was last made, appended to o. Any
 * thread. TARN_E_DAEMON when there is none yet; TARN_E_POLICY, and why, when this version can have
 * none. */
bool node_seeding_torrent(const struct kv_read *r, unsigned table,
                          const struct catalog_collection *of, struct tarn_out *o,
                          struct tarn_err *err) TARN_MUST;
size_t node_seeding_count(const struct node_seeding *s);

struct node_seeding_ask {
    void (*done)(struct node_seeding_ask *a); /* later, on the loop */
    bool is_ok;
    struct tarn_err err;
    /* private */
    struct node_seeding *seeding;
    struct node_write write;
    uint32_t collection;
    bool is_paused;
};
void node_seeding_pause(struct node_seeding *s, uint32_t collection, bool is_paused,
                        struct node_seeding_ask *a);

#endif
