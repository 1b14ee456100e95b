/* node/admin_priv: the admin door: the /v1 API (docs/api.md), /metrics, /healthz and the page.
 *
 * It stands on the Unix socket, where the file's permissions decide who may, and where configured
 * on TCP, where a token is needed and Host and Origin are checked: a page of another site, or a
 * name that somebody points at us, must not control a node through its owner's browser. All of it
 * belongs to the main loop. */
#ifndef NODE_ADMIN_PRIV_H
#define NODE_ADMIN_PRIV_H

#include "codec/json.h"
#include "http/exchange.h"
#include "loop/pool.h"
#include "node/metrics.h"
#include "node/parts.h"
#include "node/ref.h"

enum {
    ADMIN_WAIT_MAX_S = 3600,  /* of a change stream */
    ADMIN_WATCHERS_MAX = 100, /* change streams open at a time */
};

struct node_admin {
    struct node *node;
    struct tarn_list watchers; /* admin_call: change streams that wait for more */
    unsigned n_watchers;
    struct loop_timer beat; /* keeps idle change streams alive, and ends them */
};

/* One request. It lives until the exchange is over and nothing that was asked is under way. */
struct admin_call {
    struct node_admin *admin;
    struct http_exchange *x; /* NULL: the client has gone */
    bool is_asking;          /* something below is under way */
    bool is_fetching;        /* ... and it may hold a torrent that is being fetched */
    /* Of the query, unescaped, in storage of ours; NULL: not given. */
    char *ref, *prefix, *state, *after, *since, *wait, *limit;
    struct node_path path;                /* owned: what a ref that is a path leads to */
    void (*answer)(struct admin_call *c); /* when that is known */
    struct tarn_out out;                  /* the answer, or its next part */
    struct json json;
    /* What was asked. */
    union {
        struct loop_job resolve;
        struct catalog_ask catalog;
        struct node_torrent_ask torrent;
        struct node_seeding_ask seeding;
    } ask;
    char *texts[4]; /* owned: what an ask borrows */
    size_t n_texts;
    uint8_t *bytes;          /* owned: likewise */
    uint32_t collection;     /* the answer is about */
    unsigned status;         /* of a good answer */
    char location[40];       /* of what was made; with 201 */
    struct tarn_bytes allow; /* with 405; borrowed during the call */
    /* A stream (admin_list, admin_changes). */
    struct tarn_list node;              /* in watchers, or in the node's left_calls */
    void (*more)(struct admin_call *c); /* writes the next part, or ends the stream */
    uint64_t at, left;
    uint32_t at_torrent;
    uint32_t torrent; /* the answer is about */
    bool is_sse, is_watching;
    int64_t ends_us;
    struct catalog_walk walk;
    uint32_t kinds; /* of items: 1 collections, 2 torrents */
    bool is_one;    /* of files: below is a file */
    char *below;    /* owned: of files: path of the file, or of the folder with a '/'; NULL: all */
    bool is_behind; /* of a torrent's files: the one that `after` names has been passed */
    size_t last_len;
    char last[CATALOG_PATH_MAX + 1]; /* of files: path of the last line */
};

/* Answers. All end the call's part in it. */
void admin_fail(struct admin_call *c, const struct tarn_err *err);
void admin_refuse(struct admin_call *c, unsigned status, enum tarn_code code, const char *detail);
/* One object: begin, the caller's keys, send. */
struct json *admin_object(struct admin_call *c, const char *type);
void admin_send(struct admin_call *c, unsigned status);
/* A stream of lines: more() is called at once, and again when the client has taken most of it. It
 * writes lines to c->out by admin_line and flushes; or ends. */
void admin_stream(struct admin_call *c, void (*more)(struct admin_call *c));
struct json *admin_line(struct admin_call *c, const char *type);
void admin_line_end(struct admin_call *c);
void admin_flush(struct admin_call *c);
void admin_stream_end(struct admin_call *c);

/* When an ask has been answered: false, the client has gone meanwhile and the call with it. */
bool admin_asked(struct admin_call *c);
/* A copy that the call owns; NULL: no memory. */
const char *admin_keep(struct admin_call *c, const char *text);

/* Resolve ?ref=; the read must be open. False: answered. */
bool admin_ref(struct admin_call *c, struct catalog_read *r, struct node_ref *ref);
bool admin_read(struct admin_call *c, struct catalog_read *r); /* false: answered */

/* The objects, as docs/api.md has them: keys of an open object. */
void admin_put_collection(struct admin_call *c, struct catalog_read *r,
                          const struct catalog_collection *k);
void admin_put_torrent(struct admin_call *c, const struct node_torrent *t);
void admin_put_entry(struct admin_call *c, struct catalog_read *r,
                     const struct catalog_collection *in, const struct catalog_entry *e,
                     struct tarn_bytes path);
void admin_put_scrub(struct admin_call *c);
void admin_put_identity(struct json *j, const char *key, const struct catalog_identity *id);
/* scheme://host/c/name/path, escaped; null when there is no public URL. */
void admin_put_url(struct admin_call *c, const char *key, struct tarn_bytes collection,
                   struct tarn_bytes path, const char *tail);

/* The resources. */
void admin_status(struct admin_call *c);
void admin_config(struct admin_call *c);
void admin_metrics(struct admin_call *c);
void admin_items(struct admin_call *c, uint32_t kinds);
void admin_files(struct admin_call *c);
void admin_peers(struct admin_call *c);
void admin_changes(struct admin_call *c);
void admin_publish(struct admin_call *c, struct tarn_bytes body);
void admin_add(struct admin_call *c, struct tarn_bytes body);
void admin_pause(struct admin_call *c, bool is_paused);
void admin_remove(struct admin_call *c);
void admin_scrub(struct admin_call *c);
void admin_scrub_look(struct admin_call *c);
void admin_reload(struct admin_call *c);

/* admin_changes.c */
void admin_forget_watcher(struct admin_call *c);
void admin_beat(struct loop_timer *t);

/* The page's files (made from web/ by the build). */
struct admin_asset {
    const char *path, *type;
    const uint8_t *bytes;
    size_t len;
};
extern const struct admin_asset admin_assets[];
extern const size_t admin_assets_n;

#endif
