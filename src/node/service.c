/* node/service: signals, and what the service manager hears of us (sd_notify(3)). */
#include "node/parts.h"
#include "sys/clock.h"
#include "sys/signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { TICK_US = 5 * 1000 * 1000 }; /* how often the status line is made anew */

static const char *const states[] = { "starting", "running", "stopping", "stopped" };

static void tell(struct node *n, const char *text)
{
    struct tarn_err err;
    if (n->is_told && !sys_notify(text, &err)) {
        node_log_err(n->log, NODE_WARNING, "service", &err);
        n->is_told = false; /* once is enough */
    }
}

/* One line; the part before it is a protocol, so nothing of a stranger is in it. */
static void status_line(const struct node *n, char *to, size_t size)
{
    const char *fault = n->n_faults == 0 ? "" : "; something is wrong: see tarn status";
    snprintf(to, size, "STATUS=%s%s%s%s", states[n->state], n->public_url == NULL ? "" : ", at ",
             n->public_url == NULL ? "" : n->public_url, fault);
}

void node_service_tell(struct node *n, const char *what)
{
    char text[sizeof n->told + 128];
    status_line(n, n->told, sizeof n->told);
    snprintf(text, sizeof text, "%s\n%s\n", what, n->told);
    tell(n, text);
}

static void on_tick(struct loop_timer *t)
{
    struct node *n = TARN_OUTER(t, struct node, tick);
    char line[sizeof n->told];
    int64_t now = loop_now_us(n->loop), every = TICK_US;
    if (n->watchdog_us > 0) {
        tell(n, "WATCHDOG=1\n");
        if (every > n->watchdog_us / 2) /* as its manual advises */
            every = n->watchdog_us / 2;
    }
    status_line(n, line, sizeof line);
    if (strcmp(line, n->told) != 0) {
        snprintf(n->told, sizeof n->told, "%s", line);
        tell(n, line);
    }
    if (n->is_told && !loop_timer_set(n->loop, t, now + every))
        node_log(n->log, NODE_ERROR, "service", "out of memory: the watchdog is told no more");
}

static void reload(struct node *n)
{
    struct tarn_err err;
    if (n->state < NODE_STOPPING && !node_reload(n, &err))
        node_log_err(n->log, NODE_ERROR, "config", &err);
}

static void on_signal(struct loop_watch *w, unsigned events)
{
    struct node *n = TARN_OUTER(w, struct node, signals_watch);
    (void)events;
    int number;
    while ((number = sys_signals_read(n->signals)) != 0)
        if (number == SIGHUP)
            reload(n);
        else if (number == SIGUSR1)
            node_reopen_logs(n);
        else
            node_stop(n);
}

static bool catch_signals(struct node *n, struct tarn_err *err)
{
    if (!sys_signals_open(&n->signals, err))
        return false;
    sys_ignore_sigpipe();
    n->signals_watch = (struct loop_watch){ .fd = n->signals, .on_ready = on_signal };
    return loop_watch_set(n->loop, &n->signals_watch, SYS_READABLE, err);
}

bool node_service_open(struct node *n, struct tarn_err *err)
{
    if (n->set.catches_signals && !catch_signals(n, err))
        return false;
    n->is_told = n->set.is_service && getenv("NOTIFY_SOCKET") != NULL;
    n->watchdog_us = n->is_told ? sys_watchdog_us() : 0;
    n->tick.on_time = on_tick;
    return !n->is_told || loop_timer_set(n->loop, &n->tick, sys_now_us()) ||
           tarn_fail_mem(err, "starting");
}

void node_service_close(struct node *n)
{
    loop_timer_stop(n->loop, &n->tick);
    loop_watch_remove(n->loop, &n->signals_watch);
    sys_signals_close(&n->signals);
}
