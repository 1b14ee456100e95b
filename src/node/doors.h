/* node/doors: the HTTP servers of a node: the web door, with a loop and a thread for each of
 * http.loops, and the admin door on the main loop. What they answer is in web.c and admin.c. */
#ifndef NODE_DOORS_H
#define NODE_DOORS_H

#include "crypt/tls.h"
#include "http/exchange.h"
#include "http/log.h"
#include "node/config.h"
#include "sys/thread.h"

struct node;

/* Most zeros of a file between files: a piece has at most 16 MiB. */
enum { NODE_ZEROS = 16 << 20 };

/* The web door on one loop. What it answers reads node (catalog, kv: any thread), and changes
 * nothing there but through loop_post. */
struct node_web {
    struct node *node;
    struct loop *loop;          /* owned, as server */
    struct http_server *server; /* on its loop; counters: any thread */
    /* As of the last reload that has reached this loop; lives at least until the next turn. */
    const struct node_config *config;
    void *door; /* web.c's own */
    /* private to doors.c */
    struct sys_thread thread;
    const struct node_config *next;
    struct crypt_tls *tls, *next_tls; /* counted; NULL: plain */
    struct loop_msg take, taken, drain, drained, end;
    bool is_drained;
};

/* web.c. arg: the struct node_web. */
extern const struct http_ops node_web_ops;
/* Before its loop runs, and after it has ended; from the main thread. */
bool node_web_open(struct node_web *w, struct tarn_err *err) TARN_MUST;
void node_web_close(struct node_web *w); /* accepts one that did not open */

/* admin.c. arg: the struct node. All on the main loop. */
extern const struct http_ops node_admin_ops;
bool node_admin_open(struct node *n, struct tarn_err *err) TARN_MUST;
void node_admin_close(struct node *n); /* accepts one that did not open */
/* The node stops: change streams end. */
void node_admin_drain(struct node *n);
/* When the loop has gone, in which answers to them may lie: calls whose clients had gone. */
void node_admin_forget(struct node *n);
/* The journal has grown: tell those who watch it. */
void node_admin_changed(struct node *n);

enum { NODE_WEBS_MAX = 64 };
struct node_doors {
    struct node_web *webs; /* owned array; none when http.listen is off */
    unsigned n_webs;
    struct http_server *admin;
    struct http_log *access_log; /* counted; NULL: none */
    struct sys_file *zeros;      /* counted; NODE_ZEROS of them; NULL: none */
    struct crypt_tls *tls;       /* counted; of the web door; NULL: plain */
    void *admin_door;            /* admin.c's own */
    struct node_config *old;     /* owned: until all webs have the new one */
    unsigned old_left;           /* webs that may still have it */
    unsigned drains_left;
};

/* Take the sockets over and serve. */
bool node_doors_open(struct node *n, struct tarn_err *err) TARN_MUST;
/* Read what a new configuration names (certificates); what n has stays until node_doors_reload.
 * *tls: counted, the caller's; NULL: none. */
bool node_doors_load_tls(const struct node_config *c, struct crypt_tls **tls, struct tarn_err *err)
    TARN_MUST;
/* n->config is a new one: it goes to the webs, and old is freed when none of them has it. False:
 * the last one has not gone everywhere yet. */
bool node_doors_can_reload(const struct node *n);
void node_doors_reload(struct node *n, struct node_config *old, struct crypt_tls *tls);
/* Finish what is being sent; then node_part_stopped. */
void node_doors_drain(struct node *n);
void node_doors_close(struct node *n);

/* All servers of the web door together, and the admin door's. */
void node_doors_counters(const struct node *n, struct http_counters *web,
                         struct http_counters *admin);

#endif
