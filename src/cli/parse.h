/* cli/parse: from the words of a command line to a verb, its options and its operands.
 *
 * GNU style: --long=value, --long value, -o value, -ovalue, options and operands mixed, "--" ends
 * the options, "-" is an operand. An option that does not repeat may be given once more: the last
 * one counts. */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "base/err.h"
#include "cli/options.h"

struct cli_value {
    enum cli_opt opt;
    const char *text; /* borrowed from argv; NULL when it takes none */
};

struct cli_args {
    const struct cli_verb *verb;
    struct cli_value *values; /* owned; in the order given */
    unsigned n_values;
    const char **operands; /* owned array, its strings borrowed; NULL behind the last */
    unsigned n_operands;
};

/* words: what follows the verb. Numbers of operands and the words that options take are checked
 * here, but not when --help is among the options. False with TARN_E_USAGE. */
bool cli_parse(struct cli_args *args, const struct cli_verb *verb, int n, char *const *words,
               struct tarn_err *err) TARN_MUST;
void cli_args_release(struct cli_args *args); /* accepts a zeroed one */

bool cli_has(const struct cli_args *args, enum cli_opt opt);
const char *cli_text(const struct cli_args *args, enum cli_opt opt); /* the last one, or NULL */

/* All values of an option, in order, in an array to be freed with tarn_free. False: no memory. */
bool cli_texts(const struct cli_args *args, enum cli_opt opt, const char ***texts, size_t *n,
               struct tarn_err *err) TARN_MUST;

/* Values that are numbers; *out stays when the option is not there. False with TARN_E_USAGE. */
bool cli_size(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
              struct tarn_err *err) TARN_MUST;
bool cli_seconds(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
                 struct tarn_err *err) TARN_MUST;
bool cli_number(const struct cli_args *args, enum cli_opt opt, uint64_t max, uint64_t *out,
                struct tarn_err *err) TARN_MUST;

/* The verb for an unknown word, when one is near; else NULL. */
const char *cli_near_verb(const char *word);

#endif
