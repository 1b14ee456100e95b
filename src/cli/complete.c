/* cli/complete: completion for shells, made from the table. Help texts contain no quote of the
 * shell's that could end a string early but ', which put_quoted doubles or escapes. */
#include "cli/options.h"
#include "cli/priv.h"

#include <string.h>

/* Inside '...' of sh, zsh and bash; fish takes \' there. */
static void put_quoted(struct tarn_out *o, const char *text, const char *special, bool is_fish)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            tarn_out_str(o, is_fish ? "\\'" : "'\\''");
            continue;
        }
        if (strchr(special, *text) != NULL)
            tarn_out_u8(o, '\\');
        tarn_out_u8(o, (uint8_t)*text);
    }
}

static bool takes_word(const struct cli_option *opt)
{
    return opt->arg != NULL && !opt->is_arg_free;
}

static void put_verbs(struct tarn_out *o)
{
    for (unsigned i = 0; i < cli_verbs_n; i++)
        tarn_out_fmt(o, "%s%s", i == 0 ? "" : " ", cli_verbs[i].name);
}

/* bash */

static const char *bash_offer(enum cli_offer offer)
{
    static const char *const flags[] = {
        [CLI_OFFER_NOTHING] = "-W ''",
        [CLI_OFFER_FILE] = "-f",
        [CLI_OFFER_FOLDER] = "-d",
        [CLI_OFFER_TORRENT] = "-f",
    };
    return flags[offer];
}

static void bash_value(struct tarn_out *o, const struct cli_verb *verb,
                       const struct cli_option *opt)
{
    tarn_out_fmt(o, "        %s:--%s", verb->name, opt->name);
    if (opt->letter != 0)
        tarn_out_fmt(o, " | %s:-%c", verb->name, opt->letter);
    if (opt->words != NULL)
        tarn_out_fmt(o, ") how=(-W '%s') ;;\n", opt->words);
    else
        tarn_out_fmt(o, ") how=(%s) ;;\n", bash_offer(opt->offer));
}

static void bash(struct tarn_out *o)
{
    tarn_out_str(o, "# bash completion for tarn\n"
                    "_tarn()\n"
                    "{\n"
                    "    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]}\n"
                    "    local verb=${COMP_WORDS[1]} how=(-f)\n"
                    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                    "        how=(-W '");
    put_verbs(o);
    tarn_out_str(o, " --help --version')\n"
                    "    elif [[ $word == -* ]]; then\n"
                    "        case $verb in\n");
    for (unsigned i = 0; i < cli_verbs_n; i++) {
        tarn_out_fmt(o, "        %s) how=(-W '", cli_verbs[i].name);
        for (const uint8_t *id = cli_verbs[i].options; *id != CLI_END; id++)
            tarn_out_fmt(o, "%s--%s", id == cli_verbs[i].options ? "" : " ", cli_options[*id].name);
        tarn_out_str(o, "') ;;\n");
    }
    tarn_out_str(o, "        esac\n"
                    "    else\n"
                    "        case $verb:$last in\n");
    for (unsigned i = 0; i < cli_verbs_n; i++)
        for (const uint8_t *id = cli_verbs[i].options; *id != CLI_END; id++)
            if (takes_word(&cli_options[*id]))
                bash_value(o, &cli_verbs[i], &cli_options[*id]);
    tarn_out_str(o, "        esac\n"
                    "    fi\n"
                    "    mapfile -t COMPREPLY < <(compgen \"${how[@]}\" -- \"$word\")\n"
                    "}\n"
                    "complete -o filenames -F _tarn tarn\n");
}

/* zsh */

static const char *zsh_offer(enum cli_offer offer)
{
    static const char *const actions[] = {
        [CLI_OFFER_NOTHING] = " ",
        [CLI_OFFER_FILE] = "_files",
        [CLI_OFFER_FOLDER] = "_files -/",
        [CLI_OFFER_TORRENT] = "_files -g \"*.torrent\"",
    };
    return actions[offer];
}

static void zsh_option(struct tarn_out *o, const struct cli_option *opt)
{
    tarn_out_fmt(o, " \\\n            '%s--%s%s[", opt->repeats ? "*" : "", opt->name,
                 opt->arg == NULL   ? ""
                 : opt->is_arg_free ? "=-"
                                    : "=");
    put_quoted(o, opt->help, "[]\\:", false);
    tarn_out_u8(o, ']');
    if (opt->arg != NULL) {
        tarn_out_fmt(o, "%s", opt->is_arg_free ? "::" : ":");
        put_quoted(o, opt->arg, "[]\\:", false);
        if (opt->words != NULL)
            tarn_out_fmt(o, ":(%s)", opt->words);
        else
            tarn_out_fmt(o, ":%s", zsh_offer(opt->offer));
    }
    tarn_out_u8(o, '\'');
}

static void zsh(struct tarn_out *o)
{
    tarn_out_str(o, "#compdef tarn\n"
                    "_tarn()\n"
                    "{\n"
                    "    local -a verbs=(\n");
    for (unsigned i = 0; i < cli_verbs_n; i++) {
        tarn_out_fmt(o, "        '%s:", cli_verbs[i].name);
        put_quoted(o, cli_verbs[i].help, "", false);
        tarn_out_str(o, "'\n");
    }
    tarn_out_str(o, "    )\n"
                    "    if (( CURRENT == 2 )); then\n"
                    "        _describe verb verbs\n"
                    "        return\n"
                    "    fi\n"
                    "    local verb=$words[2]\n"
                    "    shift words\n"
                    "    (( CURRENT-- ))\n"
                    "    case $verb in\n");
    for (unsigned i = 0; i < cli_verbs_n; i++) {
        tarn_out_fmt(o, "    %s)\n        _arguments", cli_verbs[i].name);
        for (const uint8_t *id = cli_verbs[i].options; *id != CLI_END; id++)
            zsh_option(o, &cli_options[*id]);
        const unsigned named = TARN_COUNT_OF(cli_verbs[i].offers);
        for (unsigned n = 0; n < cli_verbs[i].max && n < named; n++)
            tarn_out_fmt(o, " \\\n            '%u:operand:%s'", n + 1,
                         zsh_offer(cli_verbs[i].offers[n]));
        if (cli_verbs[i].max > named)
            tarn_out_fmt(o, " \\\n            '*:operand:%s'",
                         zsh_offer(cli_verbs[i].offers[named - 1]));
        tarn_out_str(o, "\n        ;;\n");
    }
    tarn_out_str(o, "    esac\n"
                    "}\n"
                    "_tarn \"$@\"\n");
}

/* fish */

static void fish_option(struct tarn_out *o, const struct cli_verb *verb,
                        const struct cli_option *opt)
{
    tarn_out_fmt(o, "complete -c tarn -n '__fish_seen_subcommand_from %s' -l %s", verb->name,
                 opt->name);
    if (opt->letter != 0)
        tarn_out_fmt(o, " -s %c", opt->letter);
    if (takes_word(opt) && opt->words != NULL)
        tarn_out_fmt(o, " -x -a '%s'", opt->words);
    else if (takes_word(opt) && opt->offer == CLI_OFFER_FOLDER)
        tarn_out_str(o, " -x -a '(__fish_complete_directories)'");
    else if (takes_word(opt))
        tarn_out_str(o, opt->offer == CLI_OFFER_NOTHING ? " -x" : " -r -F");
    tarn_out_str(o, " -d '");
    put_quoted(o, opt->help, "\\", true);
    tarn_out_str(o, "'\n");
}

static void fish(struct tarn_out *o)
{
    tarn_out_str(o, "# fish completion for tarn\n");
    for (unsigned i = 0; i < cli_verbs_n; i++) {
        tarn_out_fmt(o, "complete -c tarn -n __fish_use_subcommand -f -a %s -d '",
                     cli_verbs[i].name);
        put_quoted(o, cli_verbs[i].help, "\\", true);
        tarn_out_str(o, "'\n");
    }
    for (unsigned i = 0; i < cli_verbs_n; i++)
        for (const uint8_t *id = cli_verbs[i].options; *id != CLI_END; id++)
            fish_option(o, &cli_verbs[i], &cli_options[*id]);
}

bool cli_complete(struct tarn_out *o, const char *shell)
{
    static const struct {
        const char *name;
        void (*put)(struct tarn_out *o);
    } shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    for (size_t i = 0; i < TARN_COUNT_OF(shells); i++)
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].put(o);
            return true;
        }
    return false;
}
