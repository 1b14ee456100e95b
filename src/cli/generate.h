/* cli/generate: what is made of the table when tarn is built: manual pages (man(7)), completion for
 * bash, zsh and fish, and docs/commands.md. */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include "base/err.h"
#include "base/out.h"

/* what: "man" (verb: a verb's name, or NULL for tarn(1) itself), "bash", "zsh", "fish", "docs". */
bool cli_generate(struct tarn_out *o, const char *what, const char *verb, struct tarn_err *err)
    TARN_MUST;

#endif
