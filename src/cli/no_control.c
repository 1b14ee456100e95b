/* cli/no_control: in place of control.c and watch.c where the node is not built: the library says
 * so. */
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <tarn/node.h>

static int refuse(const struct cli_args *args)
{
    struct tarn_err err = { 0 };
    struct tarn_call call = { .method = "GET", .target = "/v1/status" };
    (void)tarn_call(&call, &err); /* refuses always */
    return cli_fail(cli_has(args, CLI_JSON), &err);
}

int cli_publish(const struct cli_args *args)
{
    return refuse(args);
}

int cli_add(const struct cli_args *args)
{
    return refuse(args);
}

int cli_ls(const struct cli_args *args)
{
    return refuse(args);
}

int cli_status(const struct cli_args *args)
{
    return refuse(args);
}

int cli_peers(const struct cli_args *args)
{
    return refuse(args);
}

int cli_pause(const struct cli_args *args)
{
    return refuse(args);
}

int cli_resume(const struct cli_args *args)
{
    return refuse(args);
}

int cli_rm(const struct cli_args *args)
{
    return refuse(args);
}

int cli_scrub(const struct cli_args *args)
{
    return refuse(args);
}

/* There is no node that could be watched. */

struct cli_watch *cli_watch_start(const char *socket, struct tarn_err *err)
{
    (void)socket;
    tarn_fail(err, TARN_E_FAILED, "there is no node");
    return NULL;
}

void cli_watch_stop(struct cli_watch *w)
{
    (void)w;
}

void cli_watch_give_way(struct cli_watch *w)
{
    (void)w;
}

void cli_watch_go_on(struct cli_watch *w)
{
    (void)w;
}
