/* cli/verbs: what each verb does. All return the exit code; errors have been said. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/parse.h"

int cli_create(const struct cli_args *args);
int cli_show(const struct cli_args *args);
int cli_verify(const struct cli_args *args);
int cli_fetch(const struct cli_args *args);
int cli_seed(const struct cli_args *args);
int cli_version(const struct cli_args *args);

#endif
