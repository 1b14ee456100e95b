/* cli/priv: what the files that generate share. */
#ifndef CLI_PRIV_H
#define CLI_PRIV_H

#include "base/out.h"

/* The next "what it does\tcommand\n" of a verb's examples. False: no more. */
bool cli_example_next(const char **examples, struct tarn_bytes *what, struct tarn_bytes *command);

/* complete.c: completion for a shell: "bash", "zsh", "fish". False: no such shell. */
bool cli_complete(struct tarn_out *o, const char *shell);

#endif
