/* node/log: see the header. */
#include "node/log.h"

#include "base/out.h"
#include "codec/json.h"
#include "sys/clock.h"
#include "sys/ops.h"
#include "sys/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>

enum { TEXT_MAX = 1500, LINE_MAX_BYTES = 8192 };

static const struct {
    const char *name;
    char priority; /* of syslog, for the journal: sd-daemon(3) */
} levels[] = {
    [NODE_ERROR] = { "error", '3' },   [NODE_WARNING] = { "warning", '4' },
    [NODE_NOTICE] = { "notice", '5' }, [NODE_INFO] = { "info", '6' },
    [NODE_DEBUG] = { "debug", '7' },
};

void node_log_init(struct node_log *l, int fd, enum node_log_format format, enum node_level level)
{
    *l = (struct node_log){ .fd = fd, .level = level, .format = format };
    l->is_journal = sys_is_journal(fd);
}

/* RFC 3339, UTC, milliseconds. */
static void put_time(struct tarn_out *o, int64_t wall_ms)
{
    struct tm tm = { 0 };
    time_t s = (time_t)(wall_ms / 1000);
    gmtime_r(&s, &tm);
    tarn_out_fmt(o, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
}

/* Printable, in runs that a quote holds even when each byte becomes four. */
static void put_text(struct tarn_out *o, const char *text)
{
    enum { RUN = 60 };
    struct tarn_bytes rest = tarn_bytes_str(text);
    while (rest.len > 0) {
        size_t n = rest.len < RUN ? rest.len : RUN;
        while (n > 1 && n < rest.len && (rest.p[n] & 0xC0) == 0x80) /* between characters */
            n--;
        struct tarn_quote q;
        tarn_out_str(o, tarn_quote(&q, tarn_bytes_of(rest.p, n)));
        rest = tarn_bytes_of(rest.p + n, rest.len - n);
    }
}

void node_log_line(struct tarn_out *o, enum node_log_format format, bool is_journal,
                   enum node_level level, const char *about, const char *text, int64_t wall_ms)
{
    if (is_journal)
        tarn_out_fmt(o, "<%c>", levels[level].priority);
    if (format == NODE_LOG_JSON) {
        struct json j;
        char time_text[40];
        struct tarn_out t;
        json_init(&j, o);
        json_open_object(&j);
        json_put_u64(&j, "v", 1);
        if (wall_ms >= 0) {
            tarn_out_fixed(&t, time_text, sizeof time_text);
            put_time(&t, wall_ms);
            json_key(&j, "time");
            json_str(&j, tarn_out_bytes(&t));
        }
        json_put_str(&j, "level", levels[level].name);
        json_put_str(&j, "about", about);
        json_put_str(&j, "message", text);
        json_close_object(&j);
    } else {
        if (wall_ms >= 0 && !is_journal) {
            put_time(o, wall_ms);
            tarn_out_u8(o, ' ');
        }
        if (!is_journal)
            tarn_out_fmt(o, "%s ", levels[level].name);
        tarn_out_fmt(o, "%s: ", about);
        put_text(o, text);
    }
    tarn_out_u8(o, '\n');
}

void node_log(struct node_log *l, enum node_level level, const char *about, const char *fmt, ...)
{
    char text[TEXT_MAX], storage[LINE_MAX_BYTES];
    struct tarn_out line;
    va_list args;
    if (l == NULL || (int)level > atomic_load_explicit(&l->level, memory_order_relaxed))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (l->also != NULL)
        l->also(l->arg, level, text);
    if (l->fd < 0)
        return;
    tarn_out_fixed(&line, storage, sizeof storage);
    node_log_line(&line, (enum node_log_format)atomic_load(&l->format), l->is_journal, level, about,
                  text, sys_wall_ms());
    if (!tarn_out_ok(&line))
        return; /* TEXT_MAX bytes, each as four, and the rest fit */
    struct iovec all = { storage, line.len };
    (void)sys_ops->pwritev(l->fd, &all, 1, -1); /* one write: lines of threads do not mix. Where
                                                   could we say that it failed? */
}

void node_log_err(struct node_log *l, enum node_level level, const char *about,
                  const struct tarn_err *err)
{
    node_log(l, level, about, "%s", err->msg);
}
