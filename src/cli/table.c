/* cli/table: see the header. */
#include "cli/table.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/output.h"

#include <string.h>

enum { CELLS_MAX = 64 << 20 };

void cli_table_init(struct cli_table *t, const char *const *heads, unsigned n)
{
    *t = (struct cli_table){ .heads = heads, .n = n, .is_plain = !cli_is_terminal(stdout) };
    tarn_out_init(&t->cells, CELLS_MAX);
    for (unsigned i = 0; i < n; i++)
        t->widths[i] = (unsigned)strlen(heads[i] + (heads[i][0] == '>'));
}

/* Characters, as good as columns for what is not East Asian. */
static unsigned width_of(const char *text)
{
    unsigned n = 0;
    struct tarn_bytes rest = tarn_bytes_str(text);
    while (rest.len > 0) {
        uint32_t c = tarn_utf8_take(&rest);
        n += c < 0x20 || c == 0x7F || c == TARN_UTF8_BAD ? 4 : 1;
    }
    return n;
}

static void put_cell(const struct cli_table *t, unsigned i, const char *text)
{
    bool is_right = t->heads[i][0] == '>', is_last = i + 1 == t->n;
    unsigned w = width_of(text), pad = t->widths[i] > w ? t->widths[i] - w : 0;
    if (is_right)
        printf("%*s", (int)pad, "");
    cli_put_text(stdout, text);
    if (!is_last)
        printf("%*s", (int)(is_right ? 2 : pad + 2), "");
}

static void put_heading(struct cli_table *t)
{
    fputs(cli_bold(stdout), stdout);
    for (unsigned i = 0; i < t->n; i++)
        put_cell(t, i, t->heads[i] + (t->heads[i][0] == '>'));
    fputs(cli_plain(stdout), stdout);
    putchar('\n');
    t->has_begun = true;
}

static void flush(struct cli_table *t)
{
    const char *at = (const char *)t->cells.p;
    if (!tarn_out_ok(&t->cells))
        fputs("(out of memory: rows are missing)\n", stderr);
    else if (t->rows > 0 && !t->has_begun)
        put_heading(t);
    for (unsigned row = 0; tarn_out_ok(&t->cells) && row < t->rows; row++) {
        for (unsigned i = 0; i < t->n; i++, at += strlen(at) + 1)
            put_cell(t, i, at);
        putchar('\n');
    }
    tarn_out_clear(&t->cells);
    t->rows = 0;
}

void cli_table_row(struct cli_table *t, const char *const *cells)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (t->is_plain) {
            cli_put_text(stdout, cells[i]);
            putchar(i + 1 == t->n ? '\n' : '\t');
            continue;
        }
        unsigned w = width_of(cells[i]);
        if (!t->has_begun && w > t->widths[i])
            t->widths[i] = w;
        tarn_out_put(&t->cells, tarn_bytes_of(cells[i], strlen(cells[i]) + 1));
    }
    t->rows++;
    if (!t->is_plain && (t->rows >= CLI_TABLE_WIDTHS || t->has_begun))
        flush(t);
}

void cli_table_end(struct cli_table *t)
{
    if (!t->is_plain)
        flush(t);
    tarn_out_release(&t->cells);
}
