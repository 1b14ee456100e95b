/* cli/table: rows of cells: columns below a heading on a terminal, else lines with tabs between,
 * for programs that cut and count. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/out.h"

#include <stdbool.h>

enum { CLI_TABLE_COLUMNS = 8, CLI_TABLE_WIDTHS = 10000 };

/* The first rows decide how wide columns are: what comes after CLI_TABLE_WIDTHS of them is not held
 * back. */
struct cli_table {
    const char *const *heads; /* n of them; one that begins with '>' stands to the right */
    unsigned n;
    bool is_plain;         /* tabs */
    struct tarn_out cells; /* of the rows so far, a NUL behind each */
    unsigned rows;
    unsigned widths[CLI_TABLE_COLUMNS];
    bool has_begun; /* the heading is out */
};

/* heads: borrowed. */
void cli_table_init(struct cli_table *t, const char *const *heads, unsigned n);
/* n cells of unknown origin. */
void cli_table_row(struct cli_table *t, const char *const *cells);
void cli_table_end(struct cli_table *t); /* writes what is left, and releases */

#endif
