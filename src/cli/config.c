/* cli/config: tarn config show and check. */
#include "base/mem.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/verbs.h"

#include <string.h>
#include <tarn/node.h>
#include <unistd.h>

struct showing {
    bool as_json, has_origin;
    struct cli_table table;
};

static void on_setting(void *arg, const struct tarn_setting *s)
{
    struct showing *x = arg;
    const char *cells[] = { s->key, s->value == NULL ? "(secret)" : s->value, s->origin };
    if (!x->as_json) {
        cli_table_row(&x->table, cells);
        return;
    }
    struct cli_line l;
    cli_line_begin(&l, "setting");
    json_put_str(&l.json, "key", s->key);
    json_key(&l.json, "value");
    if (s->value == NULL)
        json_none(&l.json);
    else
        json_str(&l.json, tarn_bytes_str(s->value));
    json_put_str(&l.json, "origin", s->origin);
    json_put_str(&l.json, "kind", s->kind);
    json_put_bool(&l.json, "reloadable", s->is_reloadable);
    json_put_str(&l.json, "help", s->help);
    cli_line_end(&l, stdout);
}

static void on_fault(void *arg, const char *text)
{
    const struct showing *x = arg;
    struct cli_line l;
    if (!x->as_json) {
        cli_put_text(stdout, text);
        putchar('\n');
        return;
    }
    cli_line_begin(&l, "fault");
    json_put_str(&l.json, "message", text);
    cli_line_end(&l, stdout);
}

static int show(struct showing *x, const struct tarn_config *config)
{
    static const char *const heads[] = { "SETTING", "VALUE", "FROM" };
    struct tarn_err err;
    cli_table_init(&x->table, heads, x->has_origin ? 3 : 2);
    bool ok = tarn_config_read(config, on_setting, NULL, x, &err);
    cli_table_end(&x->table);
    return ok ? 0 : cli_fail(x->as_json, &err);
}

/* Each fault goes to standard output: finding them is what was asked for. */
static int check(struct showing *x, const struct tarn_config *config)
{
    struct tarn_err err;
    struct cli_line l;
    if (!tarn_config_read(config, NULL, on_fault, x, &err))
        return cli_fail(x->as_json, &err);
    if (x->as_json) {
        cli_line_begin(&l, "valid");
        cli_line_end(&l, stdout);
    } else {
        puts("the configuration is valid");
    }
    return 0;
}

int cli_config(const struct cli_args *args)
{
    const char *what = args->operands[0];
    struct showing x = { .as_json = cli_has(args, CLI_JSON),
                         .has_origin = cli_has(args, CLI_ORIGIN) };
    struct tarn_config config = { .file = cli_text(args, CLI_CONFIG), .is_system = geteuid() == 0 };
    struct tarn_err err;
    struct tarn_quote q;
    const char **set = NULL;
    int code;
    if (strcmp(what, "show") != 0 && strcmp(what, "check") != 0)
        tarn_fail(&err, TARN_E_USAGE, "config takes show or check, not '%s'",
                  tarn_quote_str(&q, what));
    else if (cli_texts(args, CLI_SET, &set, &config.n_set, &err)) {
        config.set = set;
        code = strcmp(what, "show") == 0 ? show(&x, &config) : check(&x, &config);
        tarn_free(set);
        return code;
    }
    return cli_fail(x.as_json, &err);
}
