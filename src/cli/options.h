/* cli/options: the one table of verbs and options. From it come the parser (parse.h), --help
 * (help.h), the manual pages, docs/commands.md and the completion of shells (generate.h), so that
 * they cannot disagree. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum cli_opt {
    CLI_END, /* ends a verb's list */
    CLI_AS,
    CLI_BT,
    CLI_COMMENT,
    CLI_CONFIG,
    CLI_DATE,
    CLI_EXTRA,
    CLI_FORCE,
    CLI_FORMAT,
    CLI_HELP,
    CLI_HTTP,
    CLI_IO,
    CLI_JOBS,
    CLI_JSON,
    CLI_LEAVES_IN,
    CLI_LEAVES_OUT,
    CLI_LISTEN,
    CLI_MEMORY,
    CLI_METADATA,
    CLI_NO_STATE,
    CLI_NO_TRACKER,
    CLI_NO_WEB_SEED,
    CLI_ONLY,
    CLI_ORIGIN,
    CLI_OUTPUT_FILE,
    CLI_OUTPUT_FOLDER,
    CLI_PATIENCE,
    CLI_PAUSED,
    CLI_PEER,
    CLI_PEERS,
    CLI_PIECE_LENGTH,
    CLI_POLICY,
    CLI_PRIVATE,
    CLI_PROGRESS,
    CLI_RATE_DOWN,
    CLI_RATE_UP,
    CLI_REQUESTS,
    CLI_SAVE_TORRENT,
    CLI_SEED_FOR,
    CLI_SEQUENTIAL,
    CLI_SET,
    CLI_SKIP_BAD_NAMES,
    CLI_SLOTS,
    CLI_SOURCE,
    CLI_STATE,
    CLI_STAY,
    CLI_TRACKER,
    CLI_TRUST,
    CLI_UPLINK,
    CLI_WAIT,
    CLI_WEB_SEED,
    CLI_OPTS,
};

/* What a shell offers in a place. */
enum cli_offer { CLI_OFFER_NOTHING, CLI_OFFER_FILE, CLI_OFFER_FOLDER, CLI_OFFER_TORRENT };

struct cli_option {
    const char *name; /* without its dashes */
    char letter;      /* or 0 */
    const char *arg;  /* what it takes, for people; NULL: nothing */
    bool is_arg_free; /* the argument may be left out (then it is given only as --name=arg) */
    bool repeats;
    bool is_rare; /* in the manual and the completion, but not on the screen of --help */
    enum cli_offer offer;
    const char *words; /* the only values it takes, with spaces between; or NULL */
    const char *help;  /* a few words */
    const char *more;  /* sentences for the manual, after the few words; or NULL */
};
extern const struct cli_option cli_options[CLI_OPTS];

struct cli_args;
enum { CLI_OPERANDS_MAX = 1000 }; /* where there may be any number */

struct cli_verb {
    const char *name;
    const char *operands; /* as people see them: "TORRENT PATH" */
    unsigned min, max;    /* how many of them */
    enum cli_offer offers[2];
    const char *help;       /* one line */
    const char *more;       /* the manual's description: paragraphs with an empty line between */
    const char *examples;   /* "what it does\tcommand\n" lines, or NULL */
    const uint8_t *options; /* enum cli_opt, in the order of --help, then CLI_END */
    int (*run)(const struct cli_args *args); /* returns the exit code */
};
extern const struct cli_verb cli_verbs[];
extern const unsigned cli_verbs_n;

const struct cli_verb *cli_verb_find(const char *name); /* NULL: there is none */

/* The exit codes, for the manual. */
struct cli_exit {
    int code;
    const char *meaning;
};
extern const struct cli_exit cli_exits[];
extern const unsigned cli_exits_n;

#endif
