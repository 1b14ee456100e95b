/* cli/parse: see the header. Words that are near (one of the table's names within a few typing
 * slips) are offered in place of unknown ones. */
#include "cli/parse.h"

#include "base/mem.h"
#include "base/near.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

const char *cli_near_verb(const char *word)
{
    const char *near = NULL;
    unsigned best = TARN_NEAR_MAX;
    for (unsigned i = 0; i < cli_verbs_n; i++)
        if (tarn_is_near(word, cli_verbs[i].name, &best))
            near = cli_verbs[i].name;
    return near;
}

static bool fail_unknown(const struct cli_verb *verb, const char *word, struct tarn_err *err)
{
    struct tarn_quote q;
    const char *near = NULL;
    unsigned best = TARN_NEAR_MAX;
    for (const uint8_t *o = verb->options; *o != CLI_END; o++)
        if (tarn_is_near(word, cli_options[*o].name, &best))
            near = cli_options[*o].name;
    tarn_quote_str(&q, word);
    if (near != NULL)
        return tarn_fail(err, TARN_E_USAGE, "%s has no option '--%s'; did you mean '--%s'?",
                         verb->name, q.s, near);
    return tarn_fail(err, TARN_E_USAGE, "%s has no option '--%s'; try 'tarn %s --help'", verb->name,
                     q.s, verb->name);
}

static enum cli_opt find_long(const struct cli_verb *verb, const char *name, size_t len)
{
    for (const uint8_t *o = verb->options; *o != CLI_END; o++)
        if (strlen(cli_options[*o].name) == len && memcmp(cli_options[*o].name, name, len) == 0)
            return (enum cli_opt) * o;
    return CLI_END;
}

static enum cli_opt find_letter(const struct cli_verb *verb, char letter)
{
    for (const uint8_t *o = verb->options; *o != CLI_END; o++)
        if (cli_options[*o].letter == letter)
            return (enum cli_opt) * o;
    return CLI_END;
}

/* One of the words with spaces between. */
static bool is_among(const char *words, const char *text)
{
    size_t len = strlen(text);
    for (const char *w = words; *w != '\0'; w += strcspn(w, " "), w += *w == ' ')
        if (strcspn(w, " ") == len && memcmp(w, text, len) == 0)
            return true;
    return false;
}

static bool add(struct cli_args *args, enum cli_opt opt, const char *text, struct tarn_err *err)
{
    const struct cli_option *o = &cli_options[opt];
    struct tarn_quote q;
    if (o->words != NULL && text != NULL && !is_among(o->words, text))
        return tarn_fail(err, TARN_E_USAGE, "--%s takes one of: %s; not '%s'", o->name, o->words,
                         tarn_quote_str(&q, text));
    args->values[args->n_values++] = (struct cli_value){ opt, text };
    return true;
}

/* The words still to be read. */
struct line {
    int n;
    char *const *words;
};

static bool take_value(struct cli_args *args, struct line *line, enum cli_opt opt,
                       struct tarn_err *err)
{
    if (line->n == 0)
        return tarn_fail(err, TARN_E_USAGE, "--%s wants %s after it", cli_options[opt].name,
                         cli_options[opt].arg);
    line->n--;
    return add(args, opt, *line->words++, err);
}

static bool take_long(struct cli_args *args, struct line *line, const char *word,
                      struct tarn_err *err)
{
    size_t len = strcspn(word, "=");
    enum cli_opt opt = find_long(args->verb, word, len);
    if (opt == CLI_END) {
        char name[TARN_NEAR_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)tarn_min_size(len, TARN_NEAR_MAX), word);
        return fail_unknown(args->verb, name, err);
    }
    const struct cli_option *o = &cli_options[opt];
    if (o->arg == NULL && word[len] == '=')
        return tarn_fail(err, TARN_E_USAGE, "--%s takes no value", o->name);
    if (word[len] == '=')
        return add(args, opt, word + len + 1, err);
    if (o->arg == NULL || o->is_arg_free)
        return add(args, opt, NULL, err);
    return take_value(args, line, opt, err);
}

/* -h, -o FILE, -oFILE, and letters that take nothing in front of others: -ho. */
static bool take_letters(struct cli_args *args, struct line *line, const char *word,
                         struct tarn_err *err)
{
    for (const char *p = word; *p != '\0'; p++) {
        enum cli_opt opt = find_letter(args->verb, *p);
        struct tarn_quote q;
        if (opt == CLI_END)
            return tarn_fail(err, TARN_E_USAGE, "%s has no option '-%s'; try 'tarn %s --help'",
                             args->verb->name, tarn_quote(&q, tarn_bytes_of(p, 1)),
                             args->verb->name);
        if (cli_options[opt].arg == NULL) {
            if (!add(args, opt, NULL, err))
                return false;
            continue;
        }
        return p[1] != '\0' ? add(args, opt, p + 1, err) : take_value(args, line, opt, err);
    }
    return true;
}

static bool check_operands(const struct cli_args *args, struct tarn_err *err)
{
    const struct cli_verb *verb = args->verb;
    struct tarn_quote q;
    if (args->n_operands < verb->min)
        return tarn_fail(err, TARN_E_USAGE, "%s wants %s; try 'tarn %s --help'", verb->name,
                         verb->operands, verb->name);
    if (args->n_operands > verb->max)
        return tarn_fail(err, TARN_E_USAGE, "%s does not know what to do with '%s'; it wants %s",
                         verb->name, tarn_quote_str(&q, args->operands[verb->max]),
                         verb->max == 0 ? "no operands" : verb->operands);
    return true;
}

static bool take_words(struct cli_args *args, struct line *line, struct tarn_err *err)
{
    bool only_operands = false;
    while (line->n > 0) {
        const char *word = *line->words++;
        line->n--;
        bool ok = true;
        if (only_operands || word[0] != '-' || word[1] == '\0')
            args->operands[args->n_operands++] = word;
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else if (word[1] == '-')
            ok = take_long(args, line, word + 2, err);
        else
            ok = take_letters(args, line, word + 1, err);
        if (!ok)
            return false;
    }
    return cli_has(args, CLI_HELP) || check_operands(args, err);
}

/* How many options the words can hold at most: letters may stand together. */
static size_t count_room(const struct line *line)
{
    size_t room = 1;
    for (int i = 0; i < line->n; i++)
        room += strlen(line->words[i]) + 1;
    return room;
}

bool cli_parse(struct cli_args *args, const struct cli_verb *verb, int n, char *const *words,
               struct tarn_err *err)
{
    struct line line = { n, words };
    *args = (struct cli_args){ .verb = verb };
    args->values = tarn_calloc(count_room(&line), sizeof *args->values);
    args->operands = tarn_calloc((size_t)n + 1, sizeof *args->operands);
    if (args->values == NULL || args->operands == NULL)
        return tarn_fail_mem(err, "reading the command line");
    return take_words(args, &line, err);
}

void cli_args_release(struct cli_args *args)
{
    tarn_free(args->values);
    tarn_free(args->operands);
    *args = (struct cli_args){ 0 };
}

bool cli_has(const struct cli_args *args, enum cli_opt opt)
{
    for (unsigned i = 0; i < args->n_values; i++)
        if (args->values[i].opt == opt)
            return true;
    return false;
}

const char *cli_text(const struct cli_args *args, enum cli_opt opt)
{
    for (unsigned i = args->n_values; i > 0; i--)
        if (args->values[i - 1].opt == opt)
            return args->values[i - 1].text;
    return NULL;
}

bool cli_texts(const struct cli_args *args, enum cli_opt opt, const char ***texts, size_t *n,
               struct tarn_err *err)
{
    const char **all = tarn_calloc(args->n_values, sizeof *all);
    if (all == NULL)
        return tarn_fail_mem(err, "reading the command line");
    size_t found = 0;
    for (unsigned i = 0; i < args->n_values; i++)
        if (args->values[i].opt == opt)
            all[found++] = args->values[i].text;
    *texts = all;
    *n = found;
    return true;
}

typedef bool (*parse_fn)(struct tarn_bytes text, uint64_t *out);

static bool parse_any(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
                      parse_fn parse, const char *like, struct tarn_err *err)
{
    const char *text = cli_text(args, opt);
    uint64_t value;
    struct tarn_quote q;
    if (text == NULL)
        return true;
    if (!parse(tarn_bytes_str(text), &value))
        return tarn_fail(err, TARN_E_USAGE, "--%s wants %s, not '%s'", cli_options[opt].name, like,
                         tarn_quote_str(&q, text));
    if (value > max)
        return tarn_fail(err, TARN_E_USAGE, "--%s is at most %llu, not '%s'", cli_options[opt].name,
                         (unsigned long long)max, tarn_quote_str(&q, text));
    *out = value;
    return true;
}

static bool parse_plain(struct tarn_bytes text, uint64_t *out)
{
    return tarn_parse_u64(text, UINT64_MAX, out);
}

bool cli_size(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
              struct tarn_err *err)
{
    return parse_any(args, opt, max, out, tarn_parse_size, "a size like 1000, 256K or 4M", err);
}

bool cli_seconds(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
                 struct tarn_err *err)
{
    return parse_any(args, opt, max, out, tarn_parse_seconds, "a time like 90, 30m or 2h", err);
}

bool cli_number(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
                struct tarn_err *err)
{
    return parse_any(args, opt, max, out, parse_plain, "a number", err);
}
