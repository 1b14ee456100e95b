/* node: one running node: rooms joined on their loops.
 *
 *     main loop     bt session, the catalog's actor, the admin door, signals, what is told to
 *                   systemd; runs in the thread that calls node_step
 *     web loops     the public door; http.loops threads, each with a loop and an http_server of
 *                   its own
 *     kv's writer   commits groups of writes
 *
 * What a node is made of is in node/parts.h, for the files of this room. All calls here belong to
 * the main loop's thread. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "node/config.h"
#include "node/home.h"
#include "node/log.h"

struct node;

struct node_settings {
    struct node_config *config;   /* the node's from here on, also when opening fails */
    struct node_config_from from; /* where a reload reads it anew; strings are borrowed */
    const char *home;             /* state folder; NULL: node_home_choose */
    const char *const *publish;   /* folders to publish besides those of the configuration */
    size_t n_publish;
    bool is_system;       /* root's daemon: /var/lib/tarn, /run/tarn */
    bool is_service;      /* takes systemd's sockets and tells it how things are */
    bool catches_signals; /* HUP, USR1, TERM, INT: only for programs */
    bool has_page;        /* `tarn up`: admin.listen is opened when nothing is configured */
    const char *version;
    struct node_log *log; /* borrowed */
};

/* TARN_E_USAGE for what somebody can put right: a port taken, a folder that cannot be written,
 * another daemon in it. The folders of `publish` are published when it returns, and those of the
 * configuration but for disks that do not answer. A signal that stops it before it runs: it has
 * stopped already (node_has_stopped). */
struct node *node_open(const struct node_settings *set, struct tarn_err *err) TARN_MUST;

/* One turn of the main loop, at most max_wait_us (-1: until something happens). False when the node
 * cannot go on. */
bool node_step(struct node *n, int64_t max_wait_us, struct tarn_err *err) TARN_MUST;

/* Begin to stop: doors finish what they are sending, state is saved; at most NODE_STOP_MS. Called a
 * second time: at once. */
enum { NODE_STOP_MS = 5000 };
void node_stop(struct node *n);
bool node_has_stopped(const struct node *n);

/* Read the configuration anew; while it starts: when it runs. False: nothing has changed, err says
 * which line is bad. */
bool node_reload(struct node *n, struct tarn_err *err);
/* Open log files anew. */
void node_reopen_logs(struct node *n);

/* Waits for work on disk that runs; accepts NULL. */
void node_close(struct node *n);

struct loop *node_loop(struct node *n);

/* "http://127.0.0.1:8880/", and the page's URL with its token (NULL: no admin door on TCP):
 * borrowed until the next reload. */
const char *node_public_url(const struct node *n);
const char *node_page_url(const struct node *n);
/* The path of the control socket. */
const char *node_socket(const struct node *n);

#endif
