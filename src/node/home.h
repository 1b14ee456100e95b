/* node/home: where a node keeps what it knows, and what shows that it is running.
 *
 *     STATE/               0700; $TARN_HOME, $XDG_STATE_HOME/tarn, ~/.local/state/tarn, or
 *                          /var/lib/tarn for the system's daemon
 *         lock             held by the kernel for as long as the daemon lives; says its pid
 *         token            0600; 64 hex digits, made at the first start
 *         index/           the index: INDEX.mdb and leaves
 *         resume/          of the bt session
 *         zeros            a hole of 16 MiB: padding for clients that fetch it by HTTP
 *         downloads/       what was added, unless bt.downloads says where
 *     RUNTIME/tarn.sock    the control socket: $TARN_HOME, $RUNTIME_DIRECTORY, /run/tarn for the
 *                          system's daemon, $XDG_RUNTIME_DIR/tarn, else STATE */
#ifndef NODE_HOME_H
#define NODE_HOME_H

#include "base/err.h"
#include "base/out.h"

enum {
    NODE_TOKEN_LEN = 64, /* of one that is made here */
    NODE_TOKEN_MIN = 16, /* of one that somebody else wrote: bytes */
    NODE_TOKEN_MAX = 256,
    NODE_SOCKET_PATH_MAX = 107, /* bytes: sun_path of Linux, without its NUL */
};

struct node_home {
    char *state;  /* owned, absolute */
    char *socket; /* owned: the path of tarn.sock */
    char token[NODE_TOKEN_MAX + 1];
    int lock; /* descriptor; -1: not locked */
};

/* Names alone: nothing is made, nothing is opened. given: NULL, or the state folder that was asked
 * for. */
bool node_home_choose(struct node_home *h, const char *given, bool is_system, struct tarn_err *err)
    TARN_MUST;
/* Make the folder, lock it, read or make the token (token_file "": STATE/token). A folder that
 * another daemon holds is TARN_E_USAGE, and says which pid. */
bool node_home_open(struct node_home *h, const char *token_file, struct tarn_err *err) TARN_MUST;
void node_home_release(struct node_home *h); /* accepts a zeroed one; gives the lock back */

/* Where a client of this user looks for the socket, the i-th place (from 0): tarn_free. NULL: no
 * more, or no memory. */
char *node_home_socket(size_t i) TARN_MUST;

/* STATE/name in a string of the caller's (tarn_free); NULL: no memory. */
char *node_home_path(const struct node_home *h, const char *name) TARN_MUST;

#endif
