/* cli/progress: see the header. */
#include "cli/progress.h"

#include "base/num.h"
#include "cli/output.h"

#include <string.h>
#include <time.h>

enum {
    SHOW_MS = 200,              /* five times a second */
    RATE_MS = 1000,             /* a rate is measured over at least so long */
    BAR_MAX = 30,               /* columns */
    DAYS_FROM_S = 48 * 3600,    /* so long that hours do not matter */
    ETA_MAX_S = 99 * 24 * 3600, /* beyond it nobody plans */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void cli_progress_init(struct cli_progress *p, const struct cli_args *args)
{
    const char *when = cli_text(args, CLI_PROGRESS);
    *p = (struct cli_progress){ .rate = -1 };
    if (when != NULL && strcmp(when, "json") == 0)
        p->mode = CLI_PROGRESS_JSON;
    else if ((when == NULL || strcmp(when, "auto") == 0) && cli_is_terminal(stderr))
        p->mode = CLI_PROGRESS_LINE;
}

/* A moving average. */
static void measure(struct cli_progress *p, uint64_t done, int64_t now)
{
    if (p->rate_ms == 0 || done < p->rate_done) {
        p->rate_ms = now;
        p->rate_done = done;
        p->rate = -1;
        return;
    }
    if (now - p->rate_ms < RATE_MS)
        return;
    double rate = (double)(done - p->rate_done) * 1000 / (double)(now - p->rate_ms);
    p->rate = p->rate < 0 ? rate : p->rate * 0.7 + rate * 0.3;
    p->rate_ms = now;
    p->rate_done = done;
}

/* Seconds to go; below 0: nobody knows. */
static int64_t eta(const struct cli_progress_now *now)
{
    if (now->rate < 1 || now->total <= now->done)
        return -1;
    double s = (double)(now->total - now->done) / now->rate;
    return s > ETA_MAX_S ? -1 : (int64_t)s;
}

void cli_progress_put_time(struct tarn_out *o, uint64_t seconds)
{
    unsigned long long s = seconds;
    if (s > ETA_MAX_S)
        return;
    if (s >= DAYS_FROM_S)
        tarn_out_fmt(o, "  %llu days left", s / (24 * 3600));
    else if (s >= 3600)
        tarn_out_fmt(o, "  %llu:%02llu:%02llu left", s / 3600, s / 60 % 60, s % 60);
    else
        tarn_out_fmt(o, "  %llu:%02llu left", s / 60, s % 60);
}

void cli_progress_amounts(struct tarn_out *o, const struct cli_progress_now *now)
{
    struct tarn_size_text size;
    if (now->total > 0)
        tarn_out_fmt(o, "  %u%%", (unsigned)((double)now->done * 100 / (double)now->total));
    tarn_out_fmt(o, "  %s", tarn_size_text(&size, now->done));
    if (now->total > 0)
        tarn_out_fmt(o, " of %s", tarn_size_text(&size, now->total));
    if (now->rate >= 0)
        tarn_out_fmt(o, "  %s/s", tarn_size_text(&size, (uint64_t)now->rate));
    if (eta(now) >= 0)
        cli_progress_put_time(o, (uint64_t)eta(now));
    if (*now->more != '\0')
        tarn_out_fmt(o, "  %s", now->more);
}

static void put_bar(struct tarn_out *o, const struct cli_progress_now *now, unsigned width)
{
    unsigned full = (unsigned)((double)now->done / (double)now->total * width);
    full = full > width ? width : full;
    tarn_out_str(o, "  [");
    for (unsigned i = 0; i < width; i++)
        tarn_out_u8(o, i < full ? '#' : '.');
    tarn_out_u8(o, ']');
}

void cli_progress_line(struct tarn_out *o, const struct cli_progress_now *now, unsigned columns)
{
    char text[256];
    struct tarn_out t;
    tarn_out_fixed(&t, text, sizeof text);
    cli_progress_amounts(&t, now);
    size_t start = o->len, used = strlen(now->doing) + t.len;
    tarn_out_str(o, now->doing);
    if (now->total > 0 && used + 4 + 8 <= columns)
        put_bar(o, now, (unsigned)tarn_min_size(columns - used - 4, BAR_MAX));
    tarn_out_put(o, tarn_out_bytes(&t));
    if (o->len - start > columns)
        o->len = start + columns;
}

static void draw(struct cli_progress *p, const struct cli_progress_now *now)
{
    char text[512];
    struct tarn_out o;
    tarn_out_fixed(&o, text, sizeof text);
    cli_progress_line(&o, now, cli_columns(stderr) - 1); /* a full line would wrap on some */
    fprintf(stderr, "\r%.*s\033[K", (int)o.len, text);
    fflush(stderr);
    p->is_drawn = true;
}

static void write_json(const struct cli_progress_now *now)
{
    struct cli_line l;
    cli_line_begin(&l, "progress");
    json_put_str(&l.json, "doing", now->doing);
    json_put_u64(&l.json, "done", now->done);
    json_put_u64(&l.json, "total", now->total);
    json_key(&l.json, "rate");
    if (now->rate < 0)
        json_none(&l.json);
    else
        json_u64(&l.json, (uint64_t)now->rate);
    json_key(&l.json, "eta");
    if (eta(now) < 0)
        json_none(&l.json);
    else
        json_i64(&l.json, eta(now));
    cli_line_end(&l, stderr);
}

void cli_progress_show(struct cli_progress *p, const struct cli_progress_now *now)
{
    int64_t at = now_ms();
    struct cli_progress_now shown = *now;
    if (p->mode == CLI_PROGRESS_OFF)
        return;
    measure(p, now->done, at);
    bool is_last = now->total > 0 && now->done == now->total;
    if (p->shown_ms != 0 && at - p->shown_ms < SHOW_MS &&
        !(is_last && p->mode == CLI_PROGRESS_JSON))
        return;
    p->shown_ms = at;
    if (shown.rate < 0)
        shown.rate = p->rate;
    if (p->mode == CLI_PROGRESS_JSON)
        write_json(&shown);
    else
        draw(p, &shown);
}

void cli_progress_clear(struct cli_progress *p)
{
    if (!p->is_drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    p->is_drawn = false;
}
