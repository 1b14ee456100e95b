/* cli/watch: what a node of this process does, as a table that is drawn over once a second on a
 * terminal. It asks the control API like anybody else, from a thread of its own, so that it shows
 * what tarn ls would. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "base/err.h"

#include <stdbool.h>

struct cli_watch;

/* socket: the node's; copied. */
struct cli_watch *cli_watch_start(const char *socket, struct tarn_err *err);
/* Waits for it; the table stays on the screen. While the node still answers, or is gone: both are
 * fine. Accepts NULL. */
void cli_watch_stop(struct cli_watch *w);
/* Before something else is written; what is drawn next stands below that. Any thread. */
void cli_watch_give_way(struct cli_watch *w);
void cli_watch_go_on(struct cli_watch *w);

#endif
