/* api/node: a node in this process: tarn_node over node/node.h. */
#include "node/node.h"

#include "base/mem.h"

#include <tarn/node.h>
#include <tarn/torrent.h>

struct tarn_node {
    struct node *node;
    struct node_log log;
    void (*on_log)(void *arg, enum tarn_log_level level, const char *text);
    void *arg;
    char **set; /* owned, with its strings: for reloads */
    size_t n_set;
    char *file, *home; /* owned */
};

static void on_log(void *arg, enum node_level level, const char *text)
{
    struct tarn_node *n = arg;
    n->on_log(n->arg, (enum tarn_log_level)level, text);
}

/* NULL stays NULL. False: no memory. */
static bool copy(char **to, const char *from)
{
    *to = from == NULL ? NULL : tarn_strndup(from, strlen(from));
    return from == NULL || *to != NULL;
}

static bool copy_settings(struct tarn_node *n, const struct tarn_node_settings *set)
{
    n->set = tarn_calloc(set->config.n_set, sizeof *n->set);
    bool ok = n->set != NULL && copy(&n->file, set->config.file) && copy(&n->home, set->home);
    for (size_t i = 0; ok && i < set->config.n_set; i++) {
        ok = copy(&n->set[i], set->config.set[i]);
        n->n_set = i + 1;
    }
    return ok;
}

static bool open_node(struct tarn_node *n, const struct tarn_node_settings *set,
                      struct tarn_err *err)
{
    enum { STDERR = 2 };
    struct node_settings s = {
        .from = { .file = n->file,
                  .flags = (const char *const *)n->set,
                  .n_flags = n->n_set,
                  .is_system = set->config.is_system },
        .home = n->home,
        .publish = set->publish,
        .n_publish = set->n_publish,
        .is_system = set->config.is_system,
        .is_service = set->is_service,
        .catches_signals = set->catches_signals,
        .has_page = set->has_page,
        .version = tarn_version(),
        .log = &n->log,
    };
    node_log_init(&n->log, set->logs_to_stderr ? STDERR : -1, NODE_LOG_TEXT, NODE_INFO);
    n->on_log = set->on_log;
    n->arg = set->arg;
    if (set->on_log != NULL) {
        n->log.also = on_log;
        n->log.arg = n;
    }
    s.config = node_config_read(&s.from, NULL, err);
    n->node = s.config == NULL ? NULL : node_open(&s, err);
    return n->node != NULL;
}

struct tarn_node *tarn_node_open(const struct tarn_node_settings *set, struct tarn_err *err)
{
    struct tarn_node *n = tarn_calloc(1, sizeof *n);
    if (n == NULL || !copy_settings(n, set))
        tarn_fail_mem(err, "starting");
    else if (open_node(n, set, err))
        return n;
    tarn_node_close(n);
    return NULL;
}

bool tarn_node_step(struct tarn_node *n, int max_wait_ms, struct tarn_err *err)
{
    return node_step(n->node, max_wait_ms < 0 ? -1 : max_wait_ms * INT64_C(1000), err);
}

void tarn_node_stop(struct tarn_node *n)
{
    node_stop(n->node);
}

bool tarn_node_has_stopped(const struct tarn_node *n)
{
    return node_has_stopped(n->node);
}

bool tarn_node_reload(struct tarn_node *n, struct tarn_err *err)
{
    return node_reload(n->node, err);
}

void tarn_node_close(struct tarn_node *n)
{
    if (n == NULL)
        return;
    node_close(n->node);
    for (size_t i = 0; i < n->n_set; i++)
        tarn_free(n->set[i]);
    tarn_free(n->set);
    tarn_free(n->file);
    tarn_free(n->home);
    tarn_free(n);
}

const char *tarn_node_public_url(const struct tarn_node *n)
{
    return node_public_url(n->node);
}

const char *tarn_node_page_url(const struct tarn_node *n)
{
    return node_page_url(n->node);
}

const char *tarn_node_socket(const struct tarn_node *n)
{
    return node_socket(n->node);
}
