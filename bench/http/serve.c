/* bench/http/serve: the server room alone: a constant answer, what was sent back, and the files of
 * a folder. For the request cases, for measuring beside other servers, and to try things by hand.
 *
 *     serve [-a ADDR:PORT] [-u SOCKET] [-t ADDR:PORT -c CHAIN -k KEY] [-n LOOPS] [-l LOG] [-j]
 * FOLDER
 *
 *     /hello    "Hello, world!\n"
 *     /echo     the request's body, at most 1 MiB
 *     /stream   1000 lines, one chunk each
 *     /late     "late\n", answered in a later turn
 *     else      a file below FOLDER, with a strong ETag of its size, time and inode
 *
 * Prints "port N" when it listens. INT or TERM drains and ends it; with -l, HUP opens the log anew.
 * Files stay open between requests and are looked up again after a second, as nginx's
 * open_file_cache does; that they are the same is asked each time. */
#include "base/mem.h"
#include "base/num.h"
#include "http/core/target.h"
#include "http/exchange.h"
#include "http/log.h"
#include "loop/loop.h"
#include "loop/tls.h"
#include "sys/clock.h"
#include "sys/signals.h"
#include "sys/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOPS_MAX = 64,
    FILES = 64, /* kept open, by a hash of their path */
    KEEP_US = 1000 * 1000,
    SHORT_MAX = 4 << 10,
    ECHO_MAX = 1 << 20,
    LINES = 1000,
    PATH_ROOM = 8 << 10,
};

struct kept {
    char path[256];
    char etag[80];
    struct sys_file *file; /* counted */
    uint8_t *bytes;        /* owned: what is in it, when it is short */
    int64_t looked_us;
};

struct door {
    struct loop *loop;
    struct http_server *server;
    struct sys_thread thread;
    struct kept kept[FILES];
    struct loop_msg stop;
    bool is_stopping;
};

static int folder;
static struct door doors[LOOPS_MAX];
static unsigned n_doors = 1;

static void fail(const struct tarn_err *err)
{
    fprintf(stderr, "serve: %s\n", err->msg);
    exit(1);
}

/* Files. */

static unsigned hash(struct tarn_bytes path)
{
    uint32_t h = 2166136261U; /* FNV-1a: nobody attacks a bench */
    for (size_t i = 0; i < path.len; i++)
        h = (h ^ path.p[i]) * 16777619U;
    return h % FILES;
}

/* As the node's door does it. */
static void keep_short(struct kept *k, uint64_t size)
{
    size_t got;
    tarn_free(k->bytes);
    k->bytes = size == 0 || size > SHORT_MAX ? NULL : tarn_calloc((size_t)size, 1);
    if (k->bytes != NULL &&
        (!sys_read_at(k->file->fd, k->bytes, (size_t)size, 0, &got, NULL) || got != size)) {
        tarn_free(k->bytes);
        k->bytes = NULL;
    }
}

static bool look_up(struct kept *k, const char *path, struct tarn_err *err)
{
    struct sys_stat now;
    if (k->file != NULL && strcmp(k->path, path) == 0 && sys_stat(folder, path, false, &now, err) &&
        sys_stat_same(&now, &k->file->at_open))
        return true;
    sys_file_unref(k->file);
    k->file = NULL;
    int fd = sys_open_beneath(folder, path, SYS_OPEN_READ, err);
    k->file = fd < 0 ? NULL : sys_file_new(fd);
    if (k->file == NULL)
        return false;
    snprintf(k->path, sizeof k->path, "%s", path);
    const struct sys_stat *st = &k->file->at_open;
    keep_short(k, st->size);
    snprintf(k->etag, sizeof k->etag, "\"%llx-%llx-%llx\"", (unsigned long long)st->size,
             (unsigned long long)st->mtime_ns, (unsigned long long)st->ino);
    return true;
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = { { ".html", "text/html; charset=utf-8" },
                                            { ".txt", "text/plain; charset=utf-8" },
                                            { ".css", "text/css" },
                                            { ".js", "text/javascript" },
                                            { ".png", "image/png" } };
    size_t len = strlen(path);
    for (size_t i = 0; i < TARN_COUNT_OF(types); i++) {
        size_t n = strlen(types[i][0]);
        if (len > n && strcmp(path + len - n, types[i][0]) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

static void answer_file(struct door *d, struct http_exchange *x)
{
    char room[PATH_ROOM];
    struct tarn_out o;
    struct tarn_err err;
    tarn_out_fixed(&o, room, sizeof room - 1);
    if (!http_path_plain(&o, http_text(x->request, x->request->path), &err)) {
        http_answer_error(x, 400, err.msg, NULL, 0);
        return;
    }
    room[o.len] = '\0';
    const char *path = room + 1;
    struct kept *k = &d->kept[hash(tarn_bytes_str(path))];
    bool is_fresh = k->file != NULL && strcmp(k->path, path) == 0 &&
                    loop_now_us(d->loop) - k->looked_us < KEEP_US;
    if (!is_fresh && (strlen(path) >= sizeof k->path || !look_up(k, path, &err))) {
        http_answer_error(x, 404, "There is no such file.", NULL, 0);
        return;
    }
    if (!is_fresh)
        k->looked_us = loop_now_us(d->loop);
    const struct sys_stat *st = &k->file->at_open;
    struct http_file f = { .file = k->file,
                           .len = st->size,
                           .bytes = k->bytes,
                           .etag = k->etag,
                           .modified_s = st->mtime_ns / 1000000000,
                           .type = type_of(path) };
    http_answer_file(x, &f);
}

/* The others. */

static void answer_text(struct http_exchange *x, struct tarn_bytes text)
{
    struct http_answer a = { .status = 200, .type = "text/plain; charset=utf-8" };
    http_answer_bytes(x, &a, text);
}

static void answer_echo(struct http_exchange *x, struct tarn_bytes body)
{
    struct http_answer a = { .status = 200, .type = "application/octet-stream" };
    http_answer_bytes(x, &a, body);
}

static void go_on(struct http_exchange *x)
{
    uintptr_t line = (uintptr_t)x->arg;
    char text[64];
    for (; line < LINES && http_stream_waits(x) < HTTP_STREAM_HIGH; line++) {
        int len = snprintf(text, sizeof text, "line %u of a body whose length is not known\n",
                           (unsigned)line);
        http_stream_put(x, tarn_bytes_of(text, (size_t)len));
    }
    x->arg = (void *)line;
    if (line == LINES)
        http_stream_end(x);
}

struct late {
    struct loop_msg msg;
    struct http_exchange *x; /* NULL: over */
};

static void answer_late(struct loop_msg *m)
{
    struct late *l = TARN_OUTER(m, struct late, msg);
    if (l->x != NULL) {
        l->x->arg = NULL;
        answer_text(l->x, tarn_bytes_str("late\n"));
    }
    tarn_free(l);
}

static void defer(struct door *d, struct http_exchange *x)
{
    struct late *l = tarn_calloc(1, sizeof *l);
    if (l == NULL) {
        http_answer_error(x, 503, NULL, NULL, 0);
        return;
    }
    *l = (struct late){ .msg.on_loop = answer_late, .x = x };
    x->arg = l;
    loop_post(d->loop, &l->msg);
}

static void on_request(void *arg, struct http_exchange *x)
{
    struct tarn_bytes path = http_text(x->request, x->request->path);
    unsigned methods = HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD) | HTTP_ALLOW(HTTP_OPTIONS);
    bool is_echo = tarn_bytes_eq_str(path, "/echo");
    if (is_echo)
        methods |= HTTP_ALLOW(HTTP_POST) | HTTP_ALLOW(HTTP_PUT);
    if (http_refuse_method(x, methods))
        return;
    if (is_echo)
        http_body_read(x, ECHO_MAX, answer_echo);
    else if (tarn_bytes_eq_str(path, "/hello"))
        answer_text(x, tarn_bytes_str("Hello, world!\n"));
    else if (tarn_bytes_eq_str(path, "/late"))
        defer(arg, x);
    else if (tarn_bytes_eq_str(path, "/stream")) {
        struct http_answer a = { .status = 200, .type = "text/plain" };
        struct http_stream st = { .on_drain = go_on };
        http_answer_stream(x, &a, &st);
        go_on(x);
    } else
        answer_file(arg, x);
}

static void on_over(void *arg, struct http_exchange *x)
{
    (void)arg;
    if (tarn_bytes_eq_str(http_text(x->request, x->request->path), "/late") && x->arg != NULL)
        ((struct late *)x->arg)->x = NULL;
}

static void on_trouble(void *arg, const struct tarn_err *err)
{
    (void)arg;
    fprintf(stderr, "serve: %s\n", err->msg);
}

static const struct http_ops ops = { on_request, on_over, on_trouble };

/* Loops. */

static void drained(void *arg)
{
    loop_stop(((struct door *)arg)->loop);
}

static void stop(struct loop_msg *m)
{
    struct door *d = TARN_OUTER(m, struct door, stop);
    http_server_drain(d->server, drained, d);
}

static void run(void *arg)
{
    struct door *d = arg;
    struct tarn_err err;
    if (!loop_run(d->loop, &err))
        fail(&err);
}

static void stop_all(void)
{
    for (unsigned i = 0; i < n_doors; i++)
        if (!doors[i].is_stopping) {
            doors[i].is_stopping = true;
            doors[i].stop.on_loop = stop;
            loop_post(doors[i].loop, &doors[i].stop);
        }
}

struct signals {
    struct loop_watch watch;
    struct http_log *log;
};

static void on_signal(struct loop_watch *w, unsigned events)
{
    struct signals *s = TARN_OUTER(w, struct signals, watch);
    (void)events;
    int number = sys_signals_read(w->fd);
    if (number == 1 && s->log != NULL) /* SIGHUP */
        http_log_reopen(s->log);
    else if (number != 0)
        stop_all();
}

/* TLS, beside: at an address of its own. */
struct secret {
    const char *at, *chain, *key;
};

static void listen_tls(struct http_server *server, const struct secret *secret)
{
    struct tarn_err err;
    struct sys_addr addr;
    if (!sys_addr_parse(tarn_bytes_str(secret->at), 0, &addr)) {
        (void)tarn_fail(&err, TARN_E_USAGE, "'%s' is no address and port", secret->at);
        fail(&err);
    }
    struct crypt_tls *tls = loop_tls_load(secret->chain, secret->key, &err);
    if (tls == NULL || !http_server_listen(server, &addr, tls, &err))
        fail(&err);
    crypt_tls_unref(tls);
}

static void make_doors(const char *at, const char *socket, const struct secret *secret,
                       struct http_log *log)
{
    struct tarn_err err;
    struct sys_addr addr;
    struct loop_settings loop_set = { .threads = 2 };
    if (!sys_addr_parse(tarn_bytes_str(at), 0, &addr)) {
        (void)tarn_fail(&err, TARN_E_USAGE, "'%s' is no address and port", at);
        fail(&err);
    }
    for (unsigned i = 0; i < n_doors; i++) {
        struct door *d = &doors[i];
        struct http_settings set = {
            .ops = &ops, .arg = d, .log = log, .name = "tarn", .max_connections = 100000
        };
        d->loop = loop_new(&loop_set, &err);
        if (d->loop == NULL || (d->server = http_server_new(d->loop, &set, &err)) == NULL)
            fail(&err);
        if (i > 0 ? !http_server_share(d->server, doors[0].server, &err)
                  : !http_server_listen(d->server, &addr, NULL, &err))
            fail(&err);
        if (i == 0 && secret->at != NULL)
            listen_tls(d->server, secret);
        if (i == 0 && socket != NULL && !http_server_listen_unix(d->server, socket, 0600, &err))
            fail(&err);
    }
    if (http_server_addr(doors[0].server, 0, &addr))
        printf("port %u\n", (unsigned)addr.port);
    fflush(stdout);
}

static void free_doors(void)
{
    for (unsigned i = 0; i < n_doors; i++) {
        http_server_free(doors[i].server);
        loop_free(doors[i].loop);
        for (size_t f = 0; f < FILES; f++) {
            sys_file_unref(doors[i].kept[f].file);
            tarn_free(doors[i].kept[f].bytes);
        }
    }
}

static void usage(void)
{
    fputs("usage: serve [-a ADDR:PORT] [-u SOCKET] [-t ADDR:PORT -c CHAIN -k KEY] [-n LOOPS] [-l "
          "LOG] "
          "[-j] FOLDER\n",
          stderr);
    exit(2);
}

struct options {
    const char *at, *socket, *log_path, *folder;
    enum http_log_format format;
    struct secret secret;
};

static struct options options(int argc, char **argv)
{
    struct options o = { .at = "127.0.0.1:0", .format = HTTP_LOG_COMBINED };
    for (int c; (c = getopt(argc, argv, "a:u:t:c:k:n:l:j")) != -1;)
        switch (c) {
        case 'a':
            o.at = optarg;
            break;
        case 'u':
            o.socket = optarg;
            break;
        case 't':
            o.secret.at = optarg;
            break;
        case 'c':
            o.secret.chain = optarg;
            break;
        case 'k':
            o.secret.key = optarg;
            break;
        case 'n':
            n_doors = (unsigned)atoi(optarg);
            break;
        case 'l':
            o.log_path = optarg;
            break;
        case 'j':
            o.format = HTTP_LOG_JSON;
            break;
        default:
            usage();
        }
    if ((o.secret.at != NULL) != (o.secret.chain != NULL && o.secret.key != NULL))
        usage();
    if (optind + 1 != argc || n_doors == 0 || n_doors > LOOPS_MAX)
        usage();
    o.folder = argv[optind];
    return o;
}

int main(int argc, char **argv)
{
    struct options o = options(argc, argv);
    struct signals signals = { .watch = { .fd = -1, .on_ready = on_signal } };
    struct tarn_err err;
    sys_ignore_sigpipe();
    folder = sys_open(o.folder, SYS_OPEN_FOLDER, &err);
    if (folder < 0 || !sys_signals_open(&signals.watch.fd, &err))
        fail(&err);
    if (o.log_path != NULL && (signals.log = http_log_open(o.log_path, o.format, &err)) == NULL)
        fail(&err);
    make_doors(o.at, o.socket, &o.secret, signals.log);
    if (!loop_watch_set(doors[0].loop, &signals.watch, SYS_READABLE, &err))
        fail(&err);
    for (unsigned i = 1; i < n_doors; i++)
        if (!sys_thread_start(&doors[i].thread, "serve", run, &doors[i], &err))
            fail(&err);
    run(&doors[0]);
    stop_all();
    loop_watch_remove(doors[0].loop, &signals.watch);
    for (unsigned i = 0; i < n_doors; i++)
        sys_thread_join(&doors[i].thread);
    free_doors();
    http_log_unref(signals.log);
    sys_signals_close(&signals.watch.fd);
    return 0;
}
