/* http/log: records into a buffer, and the job that writes them as lines.
 *
 * The loop copies what a line needs and no more: turning it into text is half of the work, and the
 * job's. Two buffers change places when a job begins, so neither needs a lock; the file has one,
 * since the jobs of several servers write to it. */
#include "http/log.h"

#include "base/mem.h"
#include "base/num.h"
#include "codec/json.h"
#include "http/priv.h"
#include "sys/clock.h"
#include "sys/thread.h"

#include <assert.h>
#include <time.h>

enum {
    BUFFER = 256 << 10, /* of records; two a server */
    TEXT_MAX = 8 << 20, /* of lines of one buffer: each byte escaped as four, and the rest */
    WRITE_US = 250 * 1000,
    FIELD_MAX = 2 << 10, /* of a text in a record: more is cut */
};

struct http_log {
    atomic_uint refs;
    atomic_bool is_reopen_wanted;
    char *path; /* owned */
    enum http_log_format format;
    struct sys_lock lock; /* guards fd, and writing to it */
    int fd;
    bool is_stderr;
};

static int open_log(const char *path, struct tarn_err *err)
{
    return sys_open(path, SYS_OPEN_APPEND, err);
}

struct http_log *http_log_open(const char *path, enum http_log_format format, struct tarn_err *err)
{
    struct http_log *log = tarn_calloc(1, sizeof *log);
    char *copy = tarn_strndup(path, strlen(path));
    if (log == NULL || copy == NULL) {
        tarn_free(log);
        tarn_free(copy);
        (void)tarn_fail_mem(err, "opening the access log");
        return NULL;
    }
    *log = (struct http_log){ .path = copy, .format = format, .fd = -1 };
    atomic_store(&log->refs, 1);
    log->is_stderr = strcmp(path, "-") == 0;
    sys_lock_init(&log->lock);
    log->fd = log->is_stderr ? 2 : open_log(path, err);
    if (log->fd >= 0)
        return log;
    (void)tarn_fail_in(err, "opening the access log");
    http_log_unref(log);
    return NULL;
}

struct http_log *http_log_ref(struct http_log *log)
{
    atomic_fetch_add(&log->refs, 1);
    return log;
}

void http_log_unref(struct http_log *log)
{
    if (log == NULL || atomic_fetch_sub(&log->refs, 1) > 1)
        return;
    if (!log->is_stderr)
        sys_close(&log->fd);
    sys_lock_release(&log->lock);
    tarn_free(log->path);
    tarn_free(log);
}

void http_log_reopen(struct http_log *log)
{
    atomic_store(&log->is_reopen_wanted, true);
}

static bool reopen(struct http_log *log, struct tarn_err *err)
{
    if (log->is_stderr || !atomic_exchange(&log->is_reopen_wanted, false))
        return true;
    int fd = open_log(log->path, err);
    if (fd < 0)
        return tarn_fail_in(err, "opening the access log anew");
    sys_close(&log->fd);
    log->fd = fd;
    return true;
}

/* All of text, and whether both this and opening it anew went well. */
static bool write_lines(struct http_log *log, struct tarn_bytes text, struct tarn_err *err)
{
    sys_lock_take(&log->lock);
    bool is_open = reopen(log, err);
    struct tarn_err why;
    bool is_written = sys_append(log->fd, text, &why) || tarn_fail_in(&why, "the access log");
    sys_lock_give(&log->lock);
    if (!is_written && is_open)
        *err = why;
    return is_open && is_written;
}

/* A record: this, then the texts in the order of their lengths. */
enum text { TEXT_PEER, TEXT_USER, TEXT_LINE, TEXT_REFERER, TEXT_AGENT, TEXT_COUNT };

struct record {
    int64_t wall_ms;
    uint64_t sent;
    int64_t took_us;
    struct sys_addr peer;
    uint16_t status;
    bool is_tls;
    uint16_t len[TEXT_COUNT];
};

struct log_writer {
    struct http_server *server;
    struct http_log *log; /* counted */
    struct tarn_out filling, writing;
    struct loop_job job;
    struct loop_timer timer;
    bool is_timed, is_out; /* the job */
    bool has_run;          /* set by the job when it has written */
    bool ok;
    struct tarn_err err;
    uint64_t dropped; /* not told of yet */
};

/* Lines. */

static void put_time(struct tarn_out *o, int64_t wall_ms, bool is_json)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t s = (time_t)(wall_ms / 1000);
    struct tm t;
    if (gmtime_r(&s, &t) == NULL)
        t = (struct tm){ .tm_mday = 1, .tm_year = 70 };
    if (is_json)
        tarn_out_fmt(o, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1,
                     t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)(wall_ms % 1000));
    else
        tarn_out_fmt(o, "%02d/%.3s/%04d:%02d:%02d:%02d +0000", t.tm_mday, months + 3 * t.tm_mon,
                     t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* The address without the port. */
static void put_peer(struct tarn_out *o, const struct sys_addr *peer)
{
    struct sys_addr_text text;
    const char *s = sys_addr_text(&text, peer);
    const char *end = strrchr(s, ':');
    size_t len = end == NULL ? strlen(s) : (size_t)(end - s);
    if (len > 1 && s[0] == '[') {
        s++;
        len -= 2;
    }
    tarn_out_put(o, tarn_bytes_of(s, len));
}

/* As nginx does: so that no request can make lines or end its quotes. */
static void put_quoted(struct tarn_out *o, struct tarn_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c < 0x20 || c >= 0x7F || c == '"' || c == '\\')
            tarn_out_fmt(o, "\\x%02X", c);
        else
            tarn_out_u8(o, c);
    }
}

static void put_or_dash(struct tarn_out *o, struct tarn_bytes text)
{
    put_quoted(o, text.len > 0 ? text : tarn_bytes_str("-"));
}

static void put_combined(struct tarn_out *o, const struct record *r, const struct tarn_bytes *text)
{
    if (text[TEXT_PEER].len > 0)
        put_quoted(o, text[TEXT_PEER]);
    else
        put_peer(o, &r->peer);
    tarn_out_str(o, " - ");
    put_or_dash(o, text[TEXT_USER]);
    tarn_out_str(o, " [");
    put_time(o, r->wall_ms, false);
    tarn_out_str(o, "] \"");
    put_quoted(o, text[TEXT_LINE]);
    tarn_out_fmt(o, "\" %u %llu \"", r->status, (unsigned long long)r->sent);
    put_or_dash(o, text[TEXT_REFERER]);
    tarn_out_str(o, "\" \"");
    put_or_dash(o, text[TEXT_AGENT]);
    tarn_out_fmt(o, "\" %lld.%06lld\n", (long long)(r->took_us / 1000000),
                 (long long)(r->took_us % 1000000));
}

static void put_json(struct tarn_out *o, const struct record *r, const struct tarn_bytes *text)
{
    char room[64];
    struct tarn_out part;
    struct json j;
    json_init(&j, o);
    json_open_object(&j);
    tarn_out_fixed(&part, room, sizeof room);
    put_time(&part, r->wall_ms, true);
    json_key(&j, "time");
    json_str(&j, tarn_out_bytes(&part));
    tarn_out_fixed(&part, room, sizeof room);
    put_peer(&part, &r->peer);
    json_key(&j, "peer");
    json_str(&j, text[TEXT_PEER].len > 0 ? text[TEXT_PEER] : tarn_out_bytes(&part));
    static const char *const keys[TEXT_COUNT] = { NULL, "user", "request", "referer", "agent" };
    for (int i = TEXT_USER; i < TEXT_COUNT; i++) {
        if (text[i].len == 0)
            continue;
        json_key(&j, keys[i]);
        json_str(&j, text[i]);
    }
    json_put_u64(&j, "status", r->status);
    json_put_u64(&j, "bytes", r->sent);
    json_put_u64(&j, "took_us", (uint64_t)r->took_us);
    json_put_bool(&j, "tls", r->is_tls);
    json_close_object(&j);
    tarn_out_u8(o, '\n');
}

static void put_lines(struct tarn_out *o, struct tarn_bytes records, enum http_log_format format)
{
    struct tarn_cur in = tarn_cur_of(records);
    while (tarn_cur_left(&in) > 0) {
        struct record r;
        struct tarn_bytes text[TEXT_COUNT];
        struct tarn_bytes first = tarn_cur_take(&in, sizeof r);
        assert(first.p != NULL); /* whole records are put */
        memcpy(&r, first.p, sizeof r);
        for (int i = 0; i < TEXT_COUNT; i++)
            text[i] = tarn_cur_take(&in, r.len[i]);
        if (format == HTTP_LOG_JSON)
            put_json(o, &r, text);
        else
            put_combined(o, &r, text);
    }
}

static void run(struct loop_job *j)
{
    struct log_writer *w = TARN_OUTER(j, struct log_writer, job);
    struct tarn_out lines;
    tarn_out_init(&lines, TEXT_MAX);
    put_lines(&lines, tarn_out_bytes(&w->writing), w->log->format);
    w->ok = tarn_out_ok(&lines) ? write_lines(w->log, tarn_out_bytes(&lines), &w->err)
                                : tarn_fail_mem(&w->err, "writing the access log");
    w->has_run = true;
    tarn_out_release(&lines);
}

static void give(struct log_writer *w)
{
    struct tarn_out full = w->filling;
    w->filling = w->writing;
    w->writing = full;
    tarn_out_clear(&w->filling);
    w->is_out = true;
    w->has_run = false;
    loop_pool_submit(w->server->loop, &w->job);
}

static void start_timer(struct log_writer *w)
{
    if (!w->is_timed)
        w->is_timed =
            loop_timer_set(w->server->loop, &w->timer, loop_now_us(w->server->loop) + WRITE_US);
}

static void done(struct loop_job *j)
{
    struct log_writer *w = TARN_OUTER(j, struct log_writer, job);
    w->is_out = false;
    if (!w->ok)
        server_trouble(w->server, TROUBLE_LOG, &w->err);
    if (w->filling.len > BUFFER / 2)
        give(w);
    else if (w->filling.len > 0)
        start_timer(w);
}

static void on_time(struct loop_timer *t)
{
    struct log_writer *w = TARN_OUTER(t, struct log_writer, timer);
    w->is_timed = false;
    if (w->dropped > 0) {
        struct tarn_err err;
        (void)tarn_fail(&err, TARN_E_POLICY,
                        "%llu lines of the access log were dropped: its disk is too slow",
                        (unsigned long long)w->dropped);
        server_trouble(w->server, TROUBLE_LOG, &err);
        w->dropped = 0;
    }
    if (!w->is_out && w->filling.len > 0)
        give(w);
}

/* Records. */

static struct tarn_bytes cut(struct tarn_bytes text)
{
    return tarn_bytes_of(text.p, tarn_min_size(text.len, FIELD_MAX));
}

static struct tarn_bytes text_of(const char *text)
{
    return text == NULL ? tarn_bytes_of(NULL, 0) : tarn_bytes_str(text);
}

static void gather(const struct exchange *x, struct tarn_bytes *text, struct tarn_out *line)
{
    const struct http_request *req = &x->req;
    text[TEXT_PEER] = text_of(x->log_peer);
    text[TEXT_USER] = text_of(x->log_user);
    text[TEXT_REFERER] = cut(http_value(req, HTTP_REFERER));
    text[TEXT_AGENT] = cut(http_value(req, HTTP_USER_AGENT));
    text[TEXT_LINE] = cut(http_text(req, req->line));
    if (x->log_target == NULL)
        return;
    tarn_out_put(line, cut(http_text(req, req->name)));
    tarn_out_fmt(line, " %s HTTP/1.%u", x->log_target, req->minor);
    text[TEXT_LINE] = tarn_out_bytes(line);
}

void log_writer_add(struct log_writer *w, const struct exchange *x, uint64_t sent)
{
    struct http_server *s = w->server;
    struct tarn_bytes text[TEXT_COUNT];
    struct tarn_out line;
    char room[FIELD_MAX + LOG_TEXT_MAX + 16];
    tarn_out_fixed(&line, room, sizeof room);
    gather(x, text, &line);
    int64_t took_us = loop_now_us(s->loop) - x->begun_us;
    struct record r = { .wall_ms = server_wall_s(s) * 1000,
                        .sent = sent,
                        .took_us = took_us,
                        .peer = *x->pub.peer,
                        .status = x->answer == ANSWER_NONE ? 499 : x->status,
                        .is_tls = x->pub.is_tls };
    size_t len = sizeof r;
    for (int i = 0; i < TEXT_COUNT; i++) {
        r.len[i] = (uint16_t)text[i].len;
        len += text[i].len;
    }
    struct tarn_out *o = &w->filling;
    uint8_t *to = len > BUFFER - o->len ? NULL : tarn_out_room(o, len);
    if (to == NULL) {
        o->failed = false; /* what is there is whole */
        w->dropped++;
        count(&s->n.log_dropped, 1);
    } else {
        memcpy(to, &r, sizeof r);
        to += sizeof r;
        for (int i = 0; i < TEXT_COUNT; to += text[i++].len)
            if (text[i].len > 0)
                memcpy(to, text[i].p, text[i].len);
    }
    if (o->len > BUFFER / 2 && !w->is_out)
        give(w);
    else
        start_timer(w);
}

struct log_writer *log_writer_new(struct http_server *s, struct http_log *log, struct tarn_err *err)
{
    struct log_writer *w = tarn_calloc(1, sizeof *w);
    if (w == NULL) {
        (void)tarn_fail_mem(err, "making an access log");
        return NULL;
    }
    w->server = s;
    w->log = http_log_ref(log);
    w->job.run = run;
    w->job.done = done;
    w->timer.on_time = on_time;
    tarn_out_init(&w->filling, BUFFER);
    tarn_out_init(&w->writing, BUFFER);
    return w;
}

/* Waits for the disk: the server ends. */
void log_writer_free(struct log_writer *w)
{
    if (w == NULL)
        return;
    loop_timer_stop(w->server->loop, &w->timer);
    if (w->is_out)
        loop_pool_cancel(w->server->loop, &w->job);
    if (w->is_out && !w->has_run)
        run(&w->job);
    tarn_out_release(&w->writing);
    w->writing = w->filling;
    if (w->writing.len > 0)
        run(&w->job);
    tarn_out_release(&w->writing);
    http_log_unref(w->log);
    tarn_free(w);
}
