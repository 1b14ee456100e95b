/* cli/progress: how far a command has come: a line that is drawn over on a terminal, or JSON Lines,
 * on standard error and at most five times a second. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/out.h"
#include "cli/parse.h"

enum cli_progress_mode { CLI_PROGRESS_OFF, CLI_PROGRESS_LINE, CLI_PROGRESS_JSON };

struct cli_progress {
    enum cli_progress_mode mode;
    bool is_drawn;
    int64_t shown_ms; /* 0: never */
    int64_t rate_ms;  /* when rate was measured */
    uint64_t rate_done;
    double rate; /* bytes a second; below 0: not known yet */
};

void cli_progress_init(struct cli_progress *p, const struct cli_args *args);

/* doing: one word for people and programs: "hashing". total 0: not known. more: added to the line,
 * may be "". rate below 0: measured here. */
struct cli_progress_now {
    const char *doing;
    uint64_t done, total;
    double rate;
    const char *more;
};
void cli_progress_show(struct cli_progress *p, const struct cli_progress_now *now);

/* Before anything else is written, and at the end. */
void cli_progress_clear(struct cli_progress *p);

/* Parts of it: "  35%  1.2 GiB of 3.4 GiB  12 MiB/s  1:02 left" (doing is not in it; rate below 0:
 * none), and "  1:02 left". For who writes such a line himself. */
void cli_progress_amounts(struct tarn_out *o, const struct cli_progress_now *now);
void cli_progress_put_time(struct tarn_out *o, uint64_t seconds);

/* The line itself, without ends: at most `columns` characters. For tests. */
void cli_progress_line(struct tarn_out *o, const struct cli_progress_now *now, unsigned columns);

#endif
