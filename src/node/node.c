/* node: opening the parts in order, one turn after the other, reloading, and stopping. */
#include "node/node.h"

#include "base/mem.h"
#include "node/parts.h"
#include "sys/clock.h"

#include <stdio.h>

/* Left of NODE_STOP_MS for closing what is still open. */
enum { LAST_MOMENT_MS = 500, ADMIN_PORT = 9091 };

/* For the folders of the configuration: a disk that answers at all, asleep or far away, has done so
 * by then. */
enum { START_PATIENCE_US = 15 * 1000 * 1000 };

void node_fault_add(struct node *n, const char *about, const char *text)
{
    node_fault_cure(n, about);
    node_log(n->log, NODE_ERROR, about, "%s", text);
    if (n->n_faults == NODE_FAULTS_MAX)
        return; /* it is in the log */
    struct node_fault *f = &n->faults[n->n_faults++];
    snprintf(f->about, sizeof f->about, "%s", about);
    snprintf(f->text, sizeof f->text, "%s", text);
    f->since_ms = sys_wall_ms();
}

void node_fault_cure(struct node *n, const char *about)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->n_faults; i++)
        if (strcmp(n->faults[i].about, about) != 0)
            n->faults[kept++] = n->faults[i];
    n->n_faults = kept;
}

static void take_log_settings(struct node *n)
{
    atomic_store(&n->log->level, (int)node_config_number(n->config, NODE_LOG_LEVEL));
    atomic_store(&n->log->format, (int)node_config_number(n->config, NODE_LOG_FORMAT));
}

/* ---- opening ---- */

static bool open_loop(struct node *n, struct tarn_err *err)
{
    struct loop_settings set = { 0 };
    char agent[64];
    snprintf(agent, sizeof agent, "tarn/%s", n->set.version);
    n->loop = loop_new(&set, err);
    if (n->loop == NULL)
        return false;
    n->fetcher = fetcher_new(n->loop, agent, err);
    return n->fetcher != NULL;
}

static bool open_parts(struct node *n, struct tarn_err *err)
{
    struct sys_addr page = { .ip = { 127, 0, 0, 1 }, .port = ADMIN_PORT };
    return node_home_choose(&n->home, n->set.home, n->set.is_system, err) &&
           node_home_open(&n->home, node_config_text(n->config, NODE_ADMIN_TOKEN_FILE), err) &&
           node_sockets_open(&n->sockets, n->config, n->set.is_service,
                             n->set.has_page ? &page : NULL, err) &&
           open_loop(n, err) && node_holdings_open(n, err) && node_doors_open(n, err) &&
           node_service_open(n, err);
}

/* What is to be published is, or why it cannot be: answers take as long as a commit. Where a disk
 * of the configuration hangs, what was published before is there all the same, and a start that
 * wants no folder of its own goes on without it. */
static bool await_published(struct node *n, struct tarn_err *err)
{
    int64_t until_us = sys_now_us() + START_PATIENCE_US;
    while (n->state == NODE_STARTING && !tarn_list_empty(&n->asks)) {
        int64_t left_us = until_us - sys_now_us();
        if (n->n_wanted == 0 && left_us <= 0) {
            node_log(n->log, NODE_WARNING, "publish",
                     "a folder of the configuration does not answer: starting without it");
            break;
        }
        if (!loop_turn(n->loop, n->n_wanted > 0 ? -1 : left_us, err))
            return false;
    }
    return n->state != NODE_STARTING || n->unpublished.code == TARN_OK ||
           tarn_fail(err, n->unpublished.code, "%s", n->unpublished.msg);
}

/* Everything is open. */
static void run(struct node *n)
{
    struct tarn_err err;
    n->state = NODE_RUNNING;
    node_log(n->log, NODE_NOTICE, "node", "tarn %s runs, pid %llu, state in %s", n->set.version,
             (unsigned long long)sys_pid(), n->home.state);
    node_service_tell(n, "READY=1");
    if (!n->reloads_again)
        return;
    n->reloads_again = false;
    if (!node_reload(n, &err))
        node_log_err(n->log, NODE_ERROR, "config", &err);
}

struct node *node_open(const struct node_settings *set, struct tarn_err *err)
{
    struct node *n = tarn_calloc(1, sizeof *n);
    if (n == NULL) {
        node_config_free(set->config);
        tarn_fail_mem(err, "starting");
        return NULL;
    }
    n->set = *set;
    n->config = set->config;
    n->set.config = NULL;
    n->log = set->log;
    n->signals = -1;
    tarn_list_init(&n->asks);
    tarn_list_init(&n->left_calls);
    n->started_ms = sys_wall_ms();
    take_log_settings(n);
    if (!open_parts(n, err) || !await_published(n, err)) {
        node_close(n);
        return NULL;
    }
    if (n->state == NODE_STARTING) /* nobody has stopped it meanwhile */
        run(n);
    return n;
}

bool node_step(struct node *n, int64_t max_wait_us, struct tarn_err *err)
{
    return node_has_stopped(n) || loop_turn(n->loop, max_wait_us, err);
}

/* ---- stopping ---- */

static void stopped(struct node *n)
{
    n->state = NODE_STOPPED;
    loop_timer_stop(n->loop, &n->last_moment);
}

static void on_last_moment(struct loop_timer *t)
{
    struct node *n = TARN_OUTER(t, struct node, last_moment);
    node_log(n->log, NODE_WARNING, "node", "stopping before all was finished: %d s are over",
             NODE_STOP_MS / 1000);
    stopped(n);
}

void node_part_stopped(struct node *n)
{
    if (--n->parts_left == 0)
        stopped(n);
}

void node_stop(struct node *n)
{
    if (n->state != NODE_RUNNING) { /* not yet, or the second time: at once */
        bool has_run = n->state != NODE_STARTING;
        stopped(n);
        if (!has_run) {
            node_log(n->log, NODE_NOTICE, "node", "stopping before it runs");
            node_service_tell(n, "STOPPING=1");
        }
        return;
    }
    n->state = NODE_STOPPING;
    n->parts_left = 2; /* the doors, the holdings */
    node_log(n->log, NODE_NOTICE, "node", "stopping");
    node_service_tell(n, "STOPPING=1");
    n->last_moment.on_time = on_last_moment;
    if (!loop_timer_set(n->loop, &n->last_moment,
                        sys_now_us() + (NODE_STOP_MS - LAST_MOMENT_MS) * INT64_C(1000)))
        stopped(n);
    else {
        node_doors_drain(n);
        node_holdings_stop(n);
    }
}

bool node_has_stopped(const struct node *n)
{
    return n->state == NODE_STOPPED;
}

void node_close(struct node *n)
{
    if (n == NULL)
        return;
    if (n->loop != NULL) {
        node_service_close(n);
        node_doors_close(n);
        node_holdings_close(n);
        fetcher_free(n->fetcher);
        loop_free(n->loop);
        node_admin_forget(n);
        node_holdings_forget(n);
    }
    node_sockets_release(&n->sockets);
    node_home_release(&n->home);
    node_config_free(n->config);
    tarn_free(n->public_url);
    tarn_free(n->page_url);
    tarn_free(n);
}

/* ---- reloading ---- */

static void tell_reloading(struct node *n)
{
    char text[80];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)sys_now_us());
    node_service_tell(n, text);
}

/* Each fault is a line of the log, behind the one that says that nothing has changed. */
static void tell_faults(struct node *n, struct tarn_out *faults)
{
    char *text = tarn_out_take_str(faults);
    for (char *line = text, *end; line != NULL && (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        *end = 0;
        node_log(n->log, NODE_ERROR, "config", "%s", line);
    }
    tarn_free(text);
}

/* The new configuration and what it names, or nothing. */
static struct node_config *read_anew(struct node *n, struct crypt_tls **tls, struct tarn_err *err)
{
    enum { FAULTS_LEN = 64 << 10 };
    struct tarn_out faults;
    tarn_out_init(&faults, FAULTS_LEN);
    struct node_config *fresh = node_config_read(&n->set.from, &faults, err);
    if (fresh == NULL)
        tell_faults(n, &faults);
    tarn_out_release(&faults);
    if (fresh != NULL && !node_doors_load_tls(fresh, tls, err)) {
        node_log_err(n->log, NODE_ERROR, "config", err);
        node_config_free(fresh);
        fresh = NULL;
    }
    return fresh;
}

static void take_config(struct node *n, struct node_config *fresh, struct crypt_tls *tls)
{
    struct node_key_text name;
    enum node_key waits = node_config_differs(n->config, fresh);
    struct node_config *old = n->config;
    if (waits != NODE_KEYS)
        node_log(n->log, NODE_WARNING, "config",
                 "%s and what else is not marked HUP waits for the next start",
                 node_key_text(&name, waits));
    n->config = fresh;
    take_log_settings(n);
    node_doors_reload(n, old, tls);
    node_holdings_reload(n);
}

bool node_reload(struct node *n, struct tarn_err *err)
{
    struct crypt_tls *tls = NULL;
    struct tarn_err why;
    bool can = n->state != NODE_STARTING && node_doors_can_reload(n);
    if (!can) { /* what the file says by then counts */
        n->reloads_again = true;
        return true;
    }
    tell_reloading(n);
    struct node_config *fresh = read_anew(n, &tls, &why);
    if (fresh == NULL) {
        node_service_tell(n, "READY=1");
        tarn_fail_in(&why, "the new configuration is not taken, the old one stays");
        return tarn_fail(err, why.code, "%s", why.msg);
    }
    take_config(n, fresh, tls);
    node_log(n->log, NODE_NOTICE, "config", "the configuration was read anew");
    node_service_tell(n, "READY=1");
    return true;
}

void node_reopen_logs(struct node *n)
{
    if (n->doors.access_log != NULL)
        http_log_reopen(n->doors.access_log);
    node_log(n->log, NODE_NOTICE, "node", "log files were opened anew");
}

struct loop *node_loop(struct node *n)
{
    return n->loop;
}

const char *node_public_url(const struct node *n)
{
    return n->public_url;
}

const char *node_page_url(const struct node *n)
{
    return n->page_url;
}

const char *node_socket(const struct node *n)
{
    return n->home.socket;
}
