/* api/no_node: in place of node.c, config.c and call.c where the node is not built. */
#include "base/err.h"

#include <tarn/node.h>

static bool refuse(struct tarn_err *err)
{
    return tarn_fail(err, TARN_E_FAILED, "this tarn was built without the node (-Dnode)");
}

bool tarn_config_read(const struct tarn_config *config,
                      void (*on_setting)(void *arg, const struct tarn_setting *s),
                      void (*on_fault)(void *arg, const char *text), void *arg,
                      struct tarn_err *err)
{
    (void)config, (void)on_setting, (void)on_fault, (void)arg;
    return refuse(err);
}

bool tarn_config_key(size_t i, struct tarn_setting *s)
{
    (void)i, (void)s;
    return false;
}

bool tarn_config_docs(void (*put)(void *arg, const char *text, size_t len), void *arg,
                      struct tarn_err *err)
{
    (void)put, (void)arg;
    return refuse(err);
}

struct tarn_node *tarn_node_open(const struct tarn_node_settings *set, struct tarn_err *err)
{
    (void)set;
    refuse(err);
    return NULL;
}

/* There is no node that the rest could be called with. */

bool tarn_node_step(struct tarn_node *n, int max_wait_ms, struct tarn_err *err)
{
    (void)n, (void)max_wait_ms;
    return refuse(err);
}

void tarn_node_stop(struct tarn_node *n)
{
    (void)n;
}

bool tarn_node_has_stopped(const struct tarn_node *n)
{
    (void)n;
    return true;
}

bool tarn_node_reload(struct tarn_node *n, struct tarn_err *err)
{
    (void)n;
    return refuse(err);
}

void tarn_node_close(struct tarn_node *n)
{
    (void)n;
}

const char *tarn_node_public_url(const struct tarn_node *n)
{
    (void)n;
    return NULL;
}

const char *tarn_node_page_url(const struct tarn_node *n)
{
    (void)n;
    return NULL;
}

const char *tarn_node_socket(const struct tarn_node *n)
{
    (void)n;
    return NULL;
}

bool tarn_call(struct tarn_call *call, struct tarn_err *err)
{
    call->status = 0;
    return refuse(err);
}
