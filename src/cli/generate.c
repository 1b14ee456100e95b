/* cli/generate: see the header. Completion is in complete.c. */
#include "cli/generate.h"

#include "cli/help.h"
#include "cli/options.h"
#include "cli/priv.h"

#include <string.h>
#include <tarn/tarn.h>

/* Text for roff: '-' is a hyphen-minus, '\' is itself, and no line begins with a control
 * character. */
static void put_roff(struct tarn_out *o, const char *text)
{
    bool at_start = true;
    for (; *text != '\0'; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            tarn_out_str(o, "\\&");
        at_start = *text == '\n';
        if (*text == '-')
            tarn_out_str(o, "\\-");
        else if (*text == '\\')
            tarn_out_str(o, "\\e");
        else if (*text == '\n')
            tarn_out_str(o, "\n.PP\n"), text += strspn(text, "\n") - 1;
        else
            tarn_out_u8(o, (uint8_t)*text);
    }
    tarn_out_u8(o, '\n');
}

static void put_title(struct tarn_out *o, const char *name, const char *help)
{
    tarn_out_str(o, ".TH \"");
    for (const char *p = name; *p != '\0'; p++)
        tarn_out_u8(o, (uint8_t)(*p >= 'a' && *p <= 'z' ? *p - ('a' - 'A') : *p));
    tarn_out_fmt(o, "\" 1 \"\" \"tarn %s\" \"tarn\"\n.nh\n.SH NAME\n", tarn_version());
    put_roff(o, name);
    tarn_out_str(o, "\\- ");
    put_roff(o, help);
}

static void put_exits(struct tarn_out *o)
{
    tarn_out_str(o, ".SH EXIT STATUS\n");
    for (unsigned i = 0; i < cli_exits_n; i++)
        tarn_out_fmt(o, ".TP 4\n.B %d\n%s\n", cli_exits[i].code, cli_exits[i].meaning);
}

static void man_option(struct tarn_out *o, const struct cli_option *opt)
{
    tarn_out_str(o, ".TP\n");
    if (opt->letter != 0)
        tarn_out_fmt(o, "\\fB\\-%c\\fR, ", opt->letter);
    tarn_out_str(o, "\\fB\\-\\-");
    for (const char *p = opt->name; *p != '\0'; p++)
        tarn_out_fmt(o, *p == '-' ? "\\%c" : "%c", *p);
    tarn_out_str(o, "\\fR");
    if (opt->arg != NULL)
        tarn_out_fmt(o, opt->is_arg_free ? "[=\\fI%s\\fR]" : " \\fI%s\\fR", opt->arg);
    tarn_out_u8(o, '\n');
    put_roff(o, opt->help);
    if (opt->more != NULL) {
        tarn_out_str(o, ".br\n");
        put_roff(o, opt->more);
    }
    if (opt->repeats)
        tarn_out_str(o, ".br\nMay be given several times.\n");
}

static void man_examples(struct tarn_out *o, const char *examples)
{
    tarn_out_str(o, ".SH EXAMPLES\n");
    struct tarn_bytes what, command;
    while (cli_example_next(&examples, &what, &command)) {
        char text[256];
        struct tarn_out t;
        tarn_out_str(o, ".TP\n");
        tarn_out_put(o, what);
        tarn_out_str(o, "\n.B ");
        tarn_out_fixed(&t, text, sizeof text);
        tarn_out_put(&t, command);
        tarn_out_u8(&t, '\0');
        put_roff(o, text);
    }
}

static void man_verb(struct tarn_out *o, const struct cli_verb *verb)
{
    char name[32];
    struct tarn_out n;
    tarn_out_fixed(&n, name, sizeof name);
    tarn_out_fmt(&n, "tarn-%s", verb->name);
    put_title(o, name, verb->help);
    tarn_out_fmt(o, ".SH SYNOPSIS\n.B tarn %s\n[\\fIOPTION\\fR]... \\fI%s\\fR\n", verb->name,
                 verb->operands);
    tarn_out_str(o, ".SH DESCRIPTION\n");
    put_roff(o, verb->more);
    tarn_out_str(o, ".SH OPTIONS\n");
    for (const uint8_t *id = verb->options; *id != CLI_END; id++)
        man_option(o, &cli_options[*id]);
    if (verb->examples != NULL)
        man_examples(o, verb->examples);
    put_exits(o);
    tarn_out_str(o, ".SH SEE ALSO\n.BR tarn (1)\n");
}

static const char about[] =
    "tarn makes torrents, checks data against them, fetches them from peers and seeds them: "
    "BitTorrent v1, v2 and hybrid, and magnet links.\n\n"
    "Sizes are numbers of bytes, or numbers with K, M, G or T (powers of 1024) behind them. Times "
    "are numbers of seconds, or numbers with s, m, h or d behind them.\n\n"
    "Results go to standard output; progress, notes and errors go to standard error. Progress is "
    "shown on a terminal, at most five times a second. With --json each line of standard output "
    "is a JSON object, and so is an error.";

static const char lines[] =
    "With --json each line has a \"type\". create: skipped (a file left out), torrent. show: "
    "torrent "
    "or magnet, then file for each file. verify: damage (kind: missing, short, long, unreadable, "
    "bad, unsure), extra, verified. fetch and seed: event (listening, metadata, tracker, peer, "
    "complete), status (state: metadata, preparing, checking, fetching, seeding, failed; when it "
    "changes, "
    "else once a second), fetched or seeded. version: version. error: the last line of a command "
    "that failed. progress: on standard error with --progress=json. Lengths, offsets and rates are "
    "in bytes; [offset, offset + length) is a range. New keys may be added.";

static const char environment[] =
    "NO_COLOR: when set and not empty, nothing is coloured. COLUMNS: the width to use in place of "
    "the terminal's. TARN_LANES: auto, avx512, avx2 or off: how hashes are computed, for "
    "measuring. http_proxy, https_proxy and no_proxy are obeyed for trackers and URLs.";

static void man_all(struct tarn_out *o)
{
    put_title(o, "tarn", "make, check, fetch and seed torrents");
    tarn_out_str(o, ".SH SYNOPSIS\n.B tarn\n\\fIVERB\\fR [\\fIOPTION\\fR]... "
                    "[\\fIOPERAND\\fR]...\n.SH DESCRIPTION\n");
    put_roff(o, about);
    tarn_out_str(o, ".SH VERBS\n");
    for (unsigned i = 0; i < cli_verbs_n; i++)
        tarn_out_fmt(o, ".TP 10\n.B %s\n%s: see\n.BR tarn\\-%s (1)\n", cli_verbs[i].name,
                     cli_verbs[i].help, cli_verbs[i].name);
    tarn_out_str(o, ".SH JSON LINES\n");
    put_roff(o, lines);
    put_exits(o);
    tarn_out_str(o, ".SH ENVIRONMENT\n");
    put_roff(o, environment);
}

/* docs/commands.md */

static void docs_option(struct tarn_out *o, const struct cli_option *opt)
{
    tarn_out_str(o, "- `");
    if (opt->letter != 0)
        tarn_out_fmt(o, "-%c, ", opt->letter);
    tarn_out_fmt(o, "--%s", opt->name);
    if (opt->arg != NULL)
        tarn_out_fmt(o, opt->is_arg_free ? "[=%s]" : " %s", opt->arg);
    tarn_out_fmt(o, "`%s: %s", opt->repeats ? " (as often as needed)" : "", opt->help);
    if (opt->more != NULL)
        tarn_out_fmt(o, ". %s", opt->more);
    tarn_out_u8(o, '\n');
}

static void docs_verb(struct tarn_out *o, const struct cli_verb *verb)
{
    tarn_out_fmt(o, "\n## tarn %s\n\n    tarn %s [OPTION]...%s%s\n\n", verb->name, verb->name,
                 *verb->operands == '\0' ? "" : " ", verb->operands);
    cli_wrap(o, verb->more, 0, 100);
    tarn_out_u8(o, '\n');
    for (const uint8_t *id = verb->options; *id != CLI_END; id++)
        docs_option(o, &cli_options[*id]);
    const char *examples = verb->examples;
    struct tarn_bytes what, command;
    while (examples != NULL && cli_example_next(&examples, &what, &command))
        tarn_out_fmt(o, "\n%c%.*s:\n\n    %.*s\n", what.p[0] - ('a' - 'A'), (int)what.len - 1,
                     (const char *)what.p + 1, (int)command.len, (const char *)command.p);
}

static void docs_all(struct tarn_out *o)
{
    tarn_out_str(o, "# Commands\n\nMade from the table in `src/cli/options.c` by "
                    "`tarn --generate docs`; a test compares.\n\n");
    cli_wrap(o, about, 0, 100);
    for (unsigned i = 0; i < cli_verbs_n; i++)
        docs_verb(o, &cli_verbs[i]);
    tarn_out_str(o, "\n## Exit codes\n\n");
    for (unsigned i = 0; i < cli_exits_n; i++)
        tarn_out_fmt(o, "- %d: %s\n", cli_exits[i].code, cli_exits[i].meaning);
    tarn_out_str(o, "\n## JSON Lines\n\n");
    cli_wrap(o, lines, 0, 100);
    tarn_out_str(o, "\n## Environment\n\n");
    cli_wrap(o, environment, 0, 100);
}

bool cli_example_next(const char **examples, struct tarn_bytes *what, struct tarn_bytes *command)
{
    const char *tab = strchr(*examples, '\t');
    if (tab == NULL)
        return false;
    size_t len = strcspn(tab + 1, "\n");
    *what = tarn_bytes_of(*examples, (size_t)(tab - *examples));
    *command = tarn_bytes_of(tab + 1, len);
    *examples = tab + 1 + len + (tab[1 + len] == '\n');
    return true;
}

bool cli_generate(struct tarn_out *o, const char *what, const char *verb, struct tarn_err *err)
{
    const struct cli_verb *v = verb == NULL ? NULL : cli_verb_find(verb);
    if (verb != NULL && v == NULL)
        return tarn_fail(err, TARN_E_USAGE, "there is no verb '%s'", verb);
    if (strcmp(what, "man") == 0 && v != NULL)
        man_verb(o, v);
    else if (strcmp(what, "man") == 0)
        man_all(o);
    else if (strcmp(what, "docs") == 0)
        docs_all(o);
    else if (!cli_complete(o, what))
        return tarn_fail(err, TARN_E_USAGE, "--generate takes man, docs, bash, zsh or fish");
    return tarn_out_ok(o) || tarn_fail_mem(err, "generating");
}
