/* cli/help: --help, from the table. Lines have at most 80 columns, each verb at most 24 lines. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "base/out.h"
#include "cli/options.h"

void cli_help_all(struct tarn_out *o);
void cli_help_verb(struct tarn_out *o, const struct cli_verb *verb);

/* Text broken into lines of at most `width` columns, each behind `indent` spaces; an empty line
 * stays between paragraphs. For ASCII. */
void cli_wrap(struct tarn_out *o, const char *text, unsigned indent, unsigned width);

#endif
