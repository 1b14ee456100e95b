/* cli/verbs: what each verb does. All return the exit code; errors have been said. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/parse.h"

int cli_create(const struct cli_args *args);
int cli_show(const struct cli_args *args);
int cli_verify(const struct cli_args *args);
int cli_fetch(const struct cli_args *args);
int cli_seed(const struct cli_args *args);
int cli_up(const struct cli_args *args);
int cli_publish(const struct cli_args *args);
int cli_add(const struct cli_args *args);
int cli_ls(const struct cli_args *args);
int cli_status(const struct cli_args *args);
int cli_peers(const struct cli_args *args);
int cli_pause(const struct cli_args *args);
int cli_resume(const struct cli_args *args);
int cli_rm(const struct cli_args *args);
int cli_scrub(const struct cli_args *args);
int cli_config(const struct cli_args *args);
int cli_version(const struct cli_args *args);

#endif
