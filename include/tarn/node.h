/* tarn/node: a node: published folders served over HTTP and BitTorrent by one program that agrees
 * with itself; and the control of one that runs elsewhere.
 *
 * A node in this process: tarn_node_open, tarn_node_step again and again from one thread, then
 * tarn_node_stop, more steps until tarn_node_has_stopped, tarn_node_close. It has threads of its
 * own, and calls back from tarn_node_step alone, but for on_log.
 *
 * Where this libtarn was built without the node (-Dnode=disabled), the calls refuse with
 * TARN_E_FAILED and say so. */
#ifndef TARN_NODE_H
#define TARN_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tarn/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- configuration ---- */

/* Where a configuration comes from; docs/configuration.md says what is in it. Zeroed: the usual
 * places. Strings are borrowed for as long as what uses them. */
struct tarn_config {
    const char *file;       /* NULL: the usual one, which may be missing */
    const char *const *set; /* "http.listen=0.0.0.0:80": stronger than all else */
    size_t n_set;
    bool is_system; /* of the system's daemon: /etc/tarn, /var/lib/tarn, /run/tarn */
};

/* One setting. Strings live until the call that gives them returns. */
struct tarn_setting {
    const char *key;    /* "http.listen" */
    const char *value;  /* as written; NULL: a secret */
    const char *usual;  /* what is built in */
    const char *origin; /* "built-in", "/etc/tarn/tarn.conf:12", "TARN_HTTP_LISTEN", "flag" */
    const char *kind;   /* "switch", "number", "size", "rate", "time", "word", "path", "url",
                           "addresses", "text" */
    const char *words;  /* the only values it takes, or one word besides numbers, or NULL */
    const char *help;
    bool is_reloadable;
};

/* Read it and give each setting, then each [collection NAME] with its keys
 * ("collection.NAME.path"). False: it is not valid; err is the first fault, and on_fault (may be
 * NULL) gets each. */
TARN_API bool tarn_config_read(const struct tarn_config *config,
                               void (*on_setting)(void *arg, const struct tarn_setting *s),
                               void (*on_fault)(void *arg, const char *text), void *arg,
                               struct tarn_err *err);
/* The i-th key with what is built in; false: there are no more. Needs no file. */
TARN_API bool tarn_config_key(size_t i, struct tarn_setting *s);
/* docs/configuration.md: put is called with its parts. */
TARN_API bool tarn_config_docs(void (*put)(void *arg, const char *text, size_t len), void *arg,
                               struct tarn_err *err);

/* ---- a node in this process ---- */

struct tarn_node;

enum tarn_log_level {
    TARN_LOG_ERROR,
    TARN_LOG_WARNING,
    TARN_LOG_NOTICE,
    TARN_LOG_INFO,
    TARN_LOG_DEBUG
};

struct tarn_node_settings {
    struct tarn_config config;
    const char *home;           /* state folder; NULL: the usual one */
    const char *const *publish; /* folders to publish besides */
    size_t n_publish;
    /* systemd: take its sockets, tell it how things are. Only for programs. */
    bool is_service;
    /* While it is open HUP reloads, USR1 reopens logs, TERM and INT stop (the second one at once).
     * Only for programs; one node a process. */
    bool catches_signals;
    bool has_page; /* the admin door listens on TCP even when nothing is configured */
    bool logs_to_stderr;
    void (*on_log)(void *arg, enum tarn_log_level level,
                   const char *text); /* any thread; or NULL */
    void *arg;
};

/* Open and listen. TARN_E_USAGE for what somebody can put right: a bad line in the configuration, a
 * port that is taken, a state folder that cannot be written or that another node uses. */
TARN_API struct tarn_node *tarn_node_open(const struct tarn_node_settings *set,
                                          struct tarn_err *err);
/* Work, or wait for something at most max_wait_ms (negative: for ever) and do that. False when the
 * node cannot go on. */
TARN_API bool tarn_node_step(struct tarn_node *n, int max_wait_ms, struct tarn_err *err);
/* Begin to stop: step on until tarn_node_has_stopped, 5 s at most. Again: at once. */
TARN_API void tarn_node_stop(struct tarn_node *n);
TARN_API bool tarn_node_has_stopped(const struct tarn_node *n);
/* False: the new configuration is not valid, err says where; nothing has changed. */
TARN_API bool tarn_node_reload(struct tarn_node *n, struct tarn_err *err);
TARN_API void tarn_node_close(struct tarn_node *n); /* accepts NULL */

/* Borrowed until the next step; NULL where there is none. */
TARN_API const char *tarn_node_public_url(const struct tarn_node *n); /* "http://127.0.0.1:8880/" */
TARN_API const char *tarn_node_page_url(const struct tarn_node *n);   /* with its token */
TARN_API const char *tarn_node_socket(const struct tarn_node *n);     /* of the control API */

/* ---- control ---- */

/* One request to the /v1 API (docs/api.md) of the node that this user reaches: on the socket in
 * $TARN_HOME, or of the user's own node, or of the system's. */
struct tarn_call {
    const char *method, *target; /* "GET", "/v1/items?ref=www": percent-encoded */
    const char *body;            /* a JSON object, or NULL */
    const char *socket;          /* NULL: the usual places */
    unsigned silence_s;          /* the node may say nothing for so long; 0: 60 */
    /* Each line of the answer (an object that is not in lines is one line), without its end and
     * with a NUL behind it; false stops there, which is success. At most 16 MiB long. */
    bool (*on_line)(void *arg, const char *line, size_t len);
    void *arg;
    int status; /* out: of HTTP, when there was an answer */
    /* Asked about once a second while the node is silent, and more often else: false ends it with
     * TARN_E_CANCELED. NULL: as true. */
    bool (*goes_on)(void *arg);
};
/* False with the code and the sentence that the node gave; TARN_E_DAEMON when none can be reached,
 * TARN_E_POLICY when its socket is not ours to use. */
TARN_API bool tarn_call(struct tarn_call *call, struct tarn_err *err);

#ifdef __cplusplus
}
#endif
#endif
