/* cli/up: a node in the foreground: where it serves, and until stopped how it goes. */
#include "base/mem.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <stdlib.h>
#include <string.h>
#include <tarn/tarn.h>

struct upping {
    bool as_json;
    bool is_drawn;           /* a table, on a terminal */
    struct cli_watch *watch; /* NULL: not now */
};

/* Notes of the node; it stays silent about what is going well. */
static void on_log(void *arg, enum tarn_log_level level, const char *text)
{
    struct upping *x = arg;
    static const char *const names[] = { "error", "warning", "notice", "info", "debug" };
    if (x->as_json) {
        struct cli_line l;
        cli_line_begin(&l, "log");
        json_put_str(&l.json, "level", names[level]);
        json_put_str(&l.json, "text", text);
        cli_line_end(&l, stdout);
    } else if (level <= TARN_LOG_WARNING) {
        cli_watch_give_way(x->watch);
        fprintf(stderr, "%s: ", names[level]);
        cli_put_text(stderr, text);
        fputc('\n', stderr);
        cli_watch_go_on(x->watch);
    }
}

static void tell_places(const struct upping *x, const struct tarn_node *n)
{
    const struct {
        const char *key, *words, *text;
    } places[] = {
        { "url", "serving at ", tarn_node_public_url(n) },
        { "page", "its page   ", tarn_node_page_url(n) },
        { "socket", "control at ", tarn_node_socket(n) },
    };
    struct cli_line l;
    if (x->as_json)
        cli_line_begin(&l, "up");
    for (size_t i = 0; i < TARN_COUNT_OF(places); i++) {
        if (places[i].text == NULL)
            continue;
        if (x->as_json)
            json_put_str(&l.json, places[i].key, places[i].text);
        else
            printf("%s%s\n", places[i].words, places[i].text);
    }
    if (x->as_json)
        cli_line_end(&l, stdout);
    else
        puts("Ctrl-C stops it");
    fflush(stdout);
}

static bool run(struct upping *x, struct tarn_node *n, struct tarn_err *err)
{
    bool ok = true;
    tell_places(x, n);
    if (x->is_drawn)
        x->watch = cli_watch_start(tarn_node_socket(n), err); /* without it all else goes on */
    while (ok && !tarn_node_has_stopped(n))
        ok = tarn_node_step(n, -1, err);
    return ok;
}

/* The folders by their whole paths: whatever the node's own folder is. */
static bool whole_paths(const struct cli_args *args, char **paths, struct tarn_err *err)
{
    struct tarn_quote q;
    for (unsigned i = 0; i < args->n_operands; i++)
        if ((paths[i] = realpath(args->operands[i], NULL)) == NULL)
            return tarn_fail_sys(err, "cannot publish '%s'", tarn_quote_str(&q, args->operands[i]));
    return true;
}

int cli_up(const struct cli_args *args)
{
    struct upping x = { .as_json = cli_has(args, CLI_JSON) };
    struct tarn_err err;
    const char **set = NULL;
    char **paths = tarn_calloc(args->n_operands + 1, sizeof *paths);
    struct tarn_node_settings settings = {
        .config = { .file = cli_text(args, CLI_CONFIG) },
        .publish = (const char *const *)paths,
        .n_publish = args->n_operands,
        .catches_signals = true,
        .has_page = true,
        .on_log = on_log,
        .arg = &x,
    };
    struct tarn_node *n = NULL;
    const char *progress = cli_text(args, CLI_PROGRESS);
    x.is_drawn = !x.as_json && cli_is_terminal(stdout) &&
                 (progress == NULL || strcmp(progress, "auto") == 0);
    bool ok = paths != NULL ? whole_paths(args, paths, &err) : tarn_fail_mem(&err, "starting");
    if (ok && cli_texts(args, CLI_SET, &set, &settings.config.n_set, &err)) {
        settings.config.set = set;
        (void)tarn_raise_open_files(UINT32_MAX); /* what is refused is said when it is reached */
        n = tarn_node_open(&settings, &err);
    }
    ok = n != NULL && run(&x, n, &err);
    tarn_node_close(n); /* and with it a request of the table's that still waits */
    cli_watch_stop(x.watch);
    tarn_free(set);
    for (unsigned i = 0; paths != NULL && i < args->n_operands; i++)
        free(paths[i]);
    tarn_free(paths);
    return ok ? 0 : cli_fail(x.as_json, &err);
}
