/* cli/stop: SIGINT and SIGTERM ask a command to end well; the second one ends it at once. */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

void cli_stop_install(void); /* also: a closed pipe is an error of writing, not the end */
bool cli_stop_asked(void);

#endif
