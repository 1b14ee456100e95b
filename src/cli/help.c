/* cli/help: see the header. */
#include "cli/help.h"

#include <string.h>

enum { HELP_AT = 29 }; /* the column where the words about an option begin */

void cli_wrap(struct tarn_out *o, const char *text, unsigned indent, unsigned width)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " \n");
        if (column > 0 && column + 1 + len > width) {
            tarn_out_u8(o, '\n');
            column = 0;
        }
        if (column == 0) {
            tarn_out_fmt(o, "%*s", (int)indent, "");
            column = indent;
        } else {
            tarn_out_u8(o, ' ');
            column++;
        }
        tarn_out_put(o, tarn_bytes_of(text, len));
        column += len;
        text += len;
        if (*text == '\n') {
            tarn_out_str(o, "\n\n");
            column = 0;
        }
        text += strspn(text, " \n");
    }
    tarn_out_u8(o, '\n');
}

static void put_row(struct tarn_out *o, const char *left, const char *right)
{
    tarn_out_fmt(o, "  %-*s %s\n", HELP_AT - 3, left, right);
}

void cli_help_all(struct tarn_out *o)
{
    tarn_out_str(o, "Usage: tarn VERB [OPTION]... [OPERAND]...\n"
                    "Make torrents, check data against them, fetch them and seed them.\n\n");
    for (unsigned i = 0; i < cli_verbs_n; i++)
        put_row(o, cli_verbs[i].name, cli_verbs[i].help);
    tarn_out_str(o, "\n'tarn VERB --help' says more, 'man tarn-VERB' says all.\n");
}

static void put_option(struct tarn_out *o, const struct cli_option *opt)
{
    char left[64];
    struct tarn_out l;
    tarn_out_fixed(&l, left, sizeof left);
    if (opt->letter != 0)
        tarn_out_fmt(&l, "-%c, --%s", opt->letter, opt->name);
    else
        tarn_out_fmt(&l, "    --%s", opt->name);
    if (opt->arg != NULL)
        tarn_out_fmt(&l, opt->is_arg_free ? "[=%s]" : " %s", opt->arg);
    tarn_out_u8(&l, '\0');
    put_row(o, left, opt->help);
}

void cli_help_verb(struct tarn_out *o, const struct cli_verb *verb)
{
    tarn_out_fmt(o, "Usage: tarn %s [OPTION]...%s%s\n", verb->name,
                 *verb->operands == '\0' ? "" : " ", verb->operands);
    tarn_out_fmt(o, "%c%s.\n\n", verb->help[0] - ('a' - 'A'), verb->help + 1);
    bool has_rare = false;
    for (const uint8_t *id = verb->options; *id != CLI_END; id++) {
        has_rare = has_rare || cli_options[*id].is_rare;
        if (!cli_options[*id].is_rare)
            put_option(o, &cli_options[*id]);
    }
    if (has_rare)
        tarn_out_fmt(o, "      (rarer ones are in the manual: man tarn-%s)\n", verb->name);
    if (verb->examples != NULL) {
        const char *command = strchr(verb->examples, '\t') + 1;
        tarn_out_fmt(o, "\nExample: %.*s\n", (int)strcspn(command, "\n"), command);
    }
}
