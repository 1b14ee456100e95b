/* node/admin: the admin door: the /v1 API (docs/api.md), /metrics, /healthz and the page.
 *
 * It stands on the Unix socket, where the file's permissions decide who may, and where configured
 * on TCP, where a token is needed and Host and Origin are checked: a page of another site, or a
 * name that somebody points at us, must not control a node through its owner's browser.
 *
 * One on the main loop; all calls belong to its thread. */
#ifndef NODE_ADMIN_H
#define NODE_ADMIN_H

#include "http/server.h"
#include "node/config.h"
#include "node/metrics.h"
#include "node/seeding.h"
#include "node/torrents.h"

enum {
    ADMIN_BODY_MAX = 24 << 20, /* a torrent of 16 MiB in base64 */
    ADMIN_WAIT_MAX_S = 3600,   /* of a change stream */
    ADMIN_WATCHERS_MAX = 100,  /* change streams open at a time */
    ADMIN_FAULTS_MAX = 20,
};

/* What is wrong just now. */
struct admin_fault {
    const char *about, *message; /* borrowed during the call */
    int64_t since_ms;
};

/* How the node is: filled in by its owner for each question. Strings are borrowed until the next
 * turn of the loop. */
struct admin_state {
    const char *version, *word; /* "starting", "running", "reloading", "stopping" */
    int64_t started_ms;         /* since 1970 */
    const char *socket;         /* path of the control socket */
    const char *const *public_urls, *const *admin_urls, *const *bt_addrs;
    size_t n_public_urls, n_admin_urls, n_bt_addrs;
    unsigned loops;           /* of the public door */
    struct http_counters web; /* summed over them */
    struct admin_fault faults[ADMIN_FAULTS_MAX];
    size_t n_faults;
    bool is_stopping;
};

struct node_admin_ops {
    void (*state)(void *arg, struct admin_state *out);
    const struct node_config *(*config)(void *arg);
    /* As SIGHUP. */
    bool (*reload)(void *arg, struct tarn_err *err);
};

struct node_admin_settings {
    struct loop *loop;
    const struct http_settings *http; /* limits, log, name; ops and arg are set here */
    const char *token;                /* for TCP; copied */
    const char *hosts;                /* names that Host may have besides addresses; copied */
    const char *public_url;           /* of the public door, for links: "" when not known; copied */
    struct kv *kv;
    struct catalog *catalog;
    struct node_torrents *torrents; /* these three NULL: BitTorrent is not in use */
    struct node_seeding *seeding;
    struct bt_session *bt;
    const struct node_admin_ops *ops;
    void *arg; /* for ops */
};

struct node_admin;
struct node_admin *node_admin_new(const struct node_admin_settings *set, struct tarn_err *err)
    TARN_MUST;
/* Connections are cut. What was asked of the catalog must have been answered, or the catalog be
 * gone. Accepts NULL. */
void node_admin_free(struct node_admin *a);
struct http_server *node_admin_server(struct node_admin *a);

/* The journal has grown: tell those who watch it. */
void node_admin_changed(struct node_admin *a);

#endif
