/* What the tests of this room share: a loop with a fetcher and a web server on it, for each test
 * anew and over both tables of the system. */
#ifndef FETCH_TEST_ROOM_H
#define FETCH_TEST_ROOM_H

#include "fetch/priv.h"
#include "fetch/test/webserver.h"
#include "loop/test/turns.h"
#include "sys/signals.h"

static struct loop *loop;
static struct fetcher *fetcher;
static struct webserver server;

static bool serve(struct webserver *s, struct tarn_out *o, const char *path); /* each test's own */

/* In 127/8, 127.0.0.2 plays the public server. */
static inline bool is_local_here(const struct sys_addr *a)
{
    return a->ip[3] != 2;
}

static inline int enter(void **state)
{
    sys_ignore_sigpipe();
    setenv("no_proxy", "*", 1);
    if (room_enter(state) != 0)
        return -1;
    loop = turns_loop(1);
    fetcher = fetcher_new(loop, "tarn/test", NULL);
    assert_non_null(fetcher);
    webserver_begin(&server, loop, serve);
    return 0;
}

static inline int leave(void **state)
{
    fetcher_free(fetcher);
    webserver_end(&server);
    loop_free(loop);
    return room_leave(state);
}

#define HERE(test) \
    { #test " (native)", test, enter, leave, &room_native }, \
    { \
#test " (plain)", test, enter, leave, &room_plain \
    }

#endif
