/* cli/main: tarn: find the verb, read its options, run it. */
#include "cli/generate.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/stop.h"

#include <string.h>

enum { TEXT_MAX = 1 << 20 };

static int put_text(struct tarn_out *o)
{
    struct tarn_err err;
    bool ok = tarn_out_ok(o);
    if (ok)
        fwrite(o->p, 1, o->len, stdout);
    tarn_out_release(o);
    if (ok)
        return 0;
    tarn_fail_mem(&err, "writing help");
    return cli_fail(false, &err);
}

static int help(const struct cli_verb *verb)
{
    struct tarn_out o;
    tarn_out_init(&o, TEXT_MAX);
    if (verb == NULL)
        cli_help_all(&o);
    else
        cli_help_verb(&o, verb);
    return put_text(&o);
}

static int generate(const char *what, const char *verb)
{
    struct tarn_out o;
    struct tarn_err err;
    tarn_out_init(&o, TEXT_MAX);
    if (cli_generate(&o, what == NULL ? "" : what, verb, &err))
        return put_text(&o);
    tarn_out_release(&o);
    return cli_fail(false, &err);
}

/* Somebody who asked for JSON gets it, whatever is wrong with the rest of the line. */
static bool wants_json(int n, char *const *words)
{
    for (int i = 0; i < n && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "--json") == 0)
            return true;
    return false;
}

static int fail_verb(const char *word, bool as_json)
{
    struct tarn_err err;
    struct tarn_quote q;
    char all[256];
    struct tarn_out o;
    const char *near = cli_near_verb(word);
    tarn_out_fixed(&o, all, sizeof all);
    for (unsigned i = 0; i < cli_verbs_n; i++)
        tarn_out_fmt(&o, "%s%s", i == 0 ? "" : ", ", cli_verbs[i].name);
    tarn_quote_str(&q, word);
    if (near != NULL)
        tarn_fail(&err, TARN_E_USAGE, "there is no verb '%s'; did you mean '%s'? (verbs: %.*s)",
                  q.s, near, (int)o.len, all);
    else
        tarn_fail(&err, TARN_E_USAGE, "there is no verb '%s'; verbs: %.*s", q.s, (int)o.len, all);
    return cli_fail(as_json, &err);
}

static int run_verb(const struct cli_verb *verb, int n, char *const *words)
{
    struct cli_args args;
    struct tarn_err err;
    int code;
    bool as_json = wants_json(n, words);
    if (!cli_parse(&args, verb, n, words, &err))
        code = cli_fail(as_json, &err);
    else if (cli_has(&args, CLI_HELP))
        code = help(verb);
    else
        code = verb->run(&args);
    cli_args_release(&args);
    return cli_flush(as_json) || code != 0 ? code : tarn_code_exit(TARN_E_FAILED);
}

int main(int argc, char **argv)
{
    cli_stop_install();
    const char *word = argc < 2 ? NULL : argv[1];
    const char *next = argc < 3 ? NULL : argv[2];
    if (word == NULL) {
        help(NULL);
        return tarn_code_exit(TARN_E_USAGE);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return help(NULL);
    if (strcmp(word, "help") == 0) {
        const struct cli_verb *verb = next == NULL ? NULL : cli_verb_find(next);
        return next != NULL && verb == NULL ? fail_verb(next, false) : help(verb);
    }
    if (strcmp(word, "--generate") == 0)
        return generate(next, argc < 4 ? NULL : argv[3]);
    if (strcmp(word, "--version") == 0)
        word = "version";
    const struct cli_verb *verb = cli_verb_find(word);
    if (verb == NULL)
        return fail_verb(word, wants_json(argc - 2, argv + 2));
    return run_verb(verb, argc - 2, argv + 2);
}
