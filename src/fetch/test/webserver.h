/* For tests of what fetches: a small web server on the loop under test. It takes one GET at a time
 * from a connection and keeps the connection; what is answered is each test's to say. */
#ifndef FETCH_TEST_WEBSERVER_H
#define FETCH_TEST_WEBSERVER_H

#include "base/test/test.h"
#include "loop/stream.h"

#include <string.h>

struct webserver {
    struct loop *loop;
    /* Write the answer to a request for `path`; false: close the connection. */
    bool (*serve)(struct webserver *s, struct tarn_out *o, const char *path);
    struct sys_addr at;
    bool holds;                   /* answer nobody yet */
    unsigned accepted, now, most; /* connections: ever, now, at a time */
    unsigned asked;               /* requests answered */
    char request[4000];           /* head of the last one */
    /* private */
    struct loop_watch listener;
    struct tarn_list visitors;
};

struct webserver_visitor {
    struct loop_stream stream;
    struct webserver *server;
    struct tarn_list node;
};

static inline void webserver_close(struct webserver_visitor *v)
{
    loop_stream_release(&v->stream);
    tarn_list_remove(&v->node);
    v->server->now--;
    tarn_free(v);
}

static inline void webserver_on_bytes(struct loop_stream *stream, size_t placed,
                                      struct tarn_cur *in)
{
    (void)placed;
    struct webserver_visitor *v = TARN_OUTER(stream, struct webserver_visitor, stream);
    struct webserver *s = v->server;
    struct tarn_bytes b = tarn_cur_rest(in);
    char path[300];
    const char *end = b.len == 0 ? NULL : memmem(b.p, b.len, "\r\n\r\n", 4);
    if (end == NULL || s->holds || b.len >= sizeof s->request)
        return;
    b = tarn_cur_take(in, (size_t)(end + 4 - (const char *)b.p));
    if (b.p != NULL)
        memcpy(s->request, b.p, b.len);
    s->request[b.len] = 0;
    assert_int_equal(sscanf(s->request, "GET %299s HTTP/1.1", path), 1);
    s->asked++;
    if (!s->serve(s, loop_stream_out(stream), path))
        webserver_close(v);
}

static inline void webserver_on_end(struct loop_stream *stream, const struct tarn_err *err)
{
    (void)err;
    webserver_close(TARN_OUTER(stream, struct webserver_visitor, stream));
}

static const struct loop_stream_ops webserver_ops = { .on_bytes = webserver_on_bytes,
                                                      .on_end = webserver_on_end };

static inline void webserver_on_visitor(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct webserver *s = TARN_OUTER(w, struct webserver, listener);
    int fd;
    struct sys_addr from;
    while (sys_tcp_accept(w->fd, &fd, &from, NULL) == SYS_IO_DONE) {
        struct webserver_visitor *v = tarn_calloc(1, sizeof *v);
        assert_non_null(v);
        v->server = s;
        tarn_list_push_back(&s->visitors, &v->node);
        s->accepted++;
        if (++s->now > s->most)
            s->most = s->now;
        assert_true(loop_stream_accept(&v->stream, s->loop, &webserver_ops, fd, &from, NULL));
    }
}

/* At a free port of every address, so that one of 127/8 can play another machine. */
static inline void webserver_begin(struct webserver *s, struct loop *l,
                                   bool (*serve)(struct webserver *, struct tarn_out *,
                                                 const char *))
{
    memset(s, 0, sizeof *s);
    s->loop = l;
    s->serve = serve;
    tarn_list_init(&s->visitors);
    s->at = sys_addr_any(false, 0);
    s->listener.fd = sys_tcp_listen(&s->at, NULL);
    assert_true(s->listener.fd >= 0);
    assert_true(sys_local_addr(s->listener.fd, &s->at, NULL));
    s->listener.on_ready = webserver_on_visitor;
    assert_true(loop_watch_set(l, &s->listener, SYS_READABLE, NULL));
}

/* Whoever connects now is refused. */
static inline void webserver_stop_listening(struct webserver *s)
{
    loop_watch_remove(s->loop, &s->listener);
    sys_close(&s->listener.fd);
}

static inline void webserver_end(struct webserver *s)
{
    while (!tarn_list_empty(&s->visitors))
        webserver_close(TARN_OUTER(s->visitors.next, struct webserver_visitor, node));
    webserver_stop_listening(s);
}

/* Answer also those that were held. */
static inline void webserver_go_on(struct webserver *s)
{
    s->holds = false;
    for (struct tarn_list *n = s->visitors.next; n != &s->visitors; n = n->next) {
        struct webserver_visitor *v = TARN_OUTER(n, struct webserver_visitor, node);
        v->stream.has_unread = true;
        loop_stream_resume(&v->stream);
    }
}

static inline void webserver_url(const struct webserver *s, char *url, size_t size,
                                 const char *host, const char *path)
{
    snprintf(url, size, "http://%s:%u%s", host, s->at.port, path);
}

/* The range that the request asks for; false: for none. */
static inline bool webserver_range(const struct webserver *s, uint64_t *first, uint64_t *last)
{
    unsigned long long from, to;
    const char *range = strstr(s->request, "Range: bytes=");
    if (range == NULL)
        return false;
    assert_int_equal(sscanf(range, "Range: bytes=%llu-%llu", &from, &to), 2);
    *first = from;
    *last = to;
    return true;
}

/* `fields`: further lines of the head, each with its end. */
static inline void webserver_answer(struct tarn_out *o, const char *status, const char *fields,
                                    const char *body)
{
    tarn_out_fmt(o, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), fields,
                 body);
}

static inline void webserver_redirect(struct tarn_out *o, const char *to)
{
    char field[300];
    snprintf(field, sizeof field, "Location: %s\r\n", to);
    webserver_answer(o, "302 Found", field, "moved");
}

static inline void webserver_redirect_here(const struct webserver *s, struct tarn_out *o,
                                           const char *host, const char *path)
{
    char to[200];
    webserver_url(s, to, sizeof to, host, path);
    webserver_redirect(o, to);
}

#endif
