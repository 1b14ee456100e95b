/* cli/output: results to standard output, words about them to standard error; for people or, with
 * --json, as JSON Lines. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli/parse.h"
#include "codec/json.h"

#include <stdio.h>
#include <tarn/tarn.h>

bool cli_is_terminal(FILE *to);
/* Columns of that terminal: COLUMNS, else what the terminal says, else 80; 20 to 500. */
unsigned cli_columns(FILE *to);

/* Text of unknown origin: what a terminal would obey is shown as \xNN. */
void cli_put_text(FILE *to, const char *text);

/* Bold, and back; nothing when NO_COLOR is set or this is no terminal. */
const char *cli_bold(FILE *to);
const char *cli_plain(FILE *to);

/* One line of JSON: {"v":1,"type":TYPE, what the caller writes between, }. */
struct cli_line {
    struct tarn_out out;
    struct json json;
};
void cli_line_begin(struct cli_line *l, const char *type);
void cli_line_end(struct cli_line *l, FILE *to);

/* Say an error; returns the exit code. */
int cli_fail(bool as_json, const struct tarn_err *err);

/* What was written to standard output has arrived. False: it was said, as an error. */
bool cli_flush(bool as_json);

/* A torrent's first JSON line (type "torrent"); path: where it was written, or NULL. */
void cli_line_torrent(const struct tarn_torrent *t, const char *path);

/* 7 -> "7 files", 1 -> "1 file" */
struct cli_count {
    char s[48];
};
const char *cli_count(struct cli_count *dst, uint64_t n, const char *noun);

/* As tarn_code_exit; stopped before the end is partly done. */
int cli_exit_of(enum tarn_code code);

#endif
