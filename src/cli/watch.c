/* cli/watch: see the header. */
#include "cli/watch.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/ask.h"
#include "cli/output.h"

#include <pthread.h>
#include <string.h>
#include <tarn/node.h>
#include <time.h>

enum { ROWS_MAX = 20, ROW_MAX = 600, SCREEN_MAX = 64 << 10, NAME_WIDTH = 24 };

struct cli_watch {
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows, and of the screen */
    pthread_cond_t wakes;
    bool ends;
    unsigned drawn;         /* lines on the screen that are ours */
    struct tarn_out screen; /* the next picture; the thread's own */
    unsigned lines, left_out;
    char *socket; /* owned */
};

/* A line of the picture, cut to the terminal: a line that wraps could not be drawn over. */
static void put_line(struct cli_watch *w, const char *text)
{
    unsigned columns = cli_columns(stdout) - 1;
    struct tarn_quote q;
    tarn_quote_str(&q, text);
    tarn_out_fmt(&w->screen, "\r\033[K%.*s\n", (int)columns, q.s);
    w->lines++;
}

static bool on_item(void *arg, const char *line, size_t len)
{
    struct cli_watch *w = arg;
    char row[ROW_MAX];
    struct tarn_size_text size, up;
    json_t *o = cli_answer(line, len);
    bool is_torrent = strcmp(cli_text_of(o, "type"), "torrent") == 0;
    uint64_t total = cli_number_of(o, is_torrent ? "total" : "bytes");
    uint64_t done = is_torrent ? cli_number_of(o, "done")
                               : total - tarn_min_u64(total, cli_number_of(o, "hashing_bytes"));
    unsigned percent = total == 0 ? 100 : (unsigned)((double)done * 100 / (double)total);
    snprintf(row, sizeof row, "%-*.*s %-10.10s %3u%% %9s  %3llu peers  up %s/s", NAME_WIDTH,
             NAME_WIDTH, cli_text_of(o, "name"), cli_text_of(o, "state"), percent,
             tarn_size_text(&size, total), (unsigned long long)cli_number_of(o, "peers"),
             tarn_size_text(&up, cli_number_of(o, "rate_up")));
    if (o != NULL && w->lines < ROWS_MAX)
        put_line(w, row);
    else if (o != NULL)
        w->left_out++;
    json_decref(o);
    return true;
}

static void put_scrub(struct cli_watch *w, const json_t *scrub)
{
    char row[ROW_MAX];
    struct tarn_out o;
    if (strcmp(cli_text_of(scrub, "state"), "running") != 0)
        return;
    tarn_out_fixed(&o, row, sizeof row - 1);
    tarn_out_str(&o, "scrub");
    cli_put_scrub(&o, scrub);
    row[o.len] = '\0';
    put_line(w, row);
}

static bool on_status(void *arg, const char *line, size_t len)
{
    struct cli_watch *w = arg;
    char row[ROW_MAX];
    struct tarn_size_text published, stored, sent;
    json_t *o = cli_answer(line, len);
    const json_t *c = json_object_get(o, "catalog"), *http = json_object_get(o, "http");
    snprintf(row, sizeof row, "%llu files, %s published, %s stored; web: %llu requests, %s sent",
             (unsigned long long)cli_number_of(c, "files"),
             tarn_size_text(&published, cli_number_of(c, "bytes_published")),
             tarn_size_text(&stored, cli_number_of(c, "bytes_stored")),
             (unsigned long long)cli_number_of(http, "requests"),
             tarn_size_text(&sent, cli_number_of(http, "bytes_sent")));
    if (o != NULL)
        put_line(w, row);
    put_scrub(w, json_object_get(o, "scrub"));
    json_decref(o);
    return true;
}

/* False: the node did not answer; the old picture stays. */
static bool ask(struct cli_watch *w, const char *target,
                bool (*on_line)(void *arg, const char *line, size_t len))
{
    struct tarn_call call = {
        .method = "GET", .target = target, .socket = w->socket, .on_line = on_line, .arg = w
    };
    return tarn_call(&call, NULL);
}

static bool make_picture(struct cli_watch *w)
{
    char more[64];
    tarn_out_clear(&w->screen);
    w->lines = w->left_out = 0;
    if (!ask(w, "/v1/items", on_item))
        return false;
    snprintf(more, sizeof more, "and %u more (tarn ls)", w->left_out);
    if (w->left_out > 0)
        put_line(w, more);
    return ask(w, "/v1/status", on_status) && tarn_out_ok(&w->screen);
}

/* Takes back what was drawn. With the lock. */
static void rewind_screen(struct cli_watch *w)
{
    if (w->drawn > 0)
        printf("\033[%uA", w->drawn);
    w->drawn = 0;
}

static void draw(struct cli_watch *w)
{
    rewind_screen(w);
    fwrite(w->screen.p, 1, w->screen.len, stdout);
    fputs("\033[J", stdout); /* what is left of a longer picture */
    fflush(stdout);
    w->drawn = w->lines;
}

static void *run(void *arg)
{
    struct cli_watch *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->ends) {
        pthread_mutex_unlock(&w->lock);
        bool ok = make_picture(w);
        pthread_mutex_lock(&w->lock);
        if (ok && !w->ends)
            draw(w);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        if (!w->ends)
            pthread_cond_timedwait(&w->wakes, &w->lock, &until);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct cli_watch *cli_watch_start(const char *socket, struct tarn_err *err)
{
    struct cli_watch *w = tarn_calloc(1, sizeof *w);
    char *copy = tarn_strndup(socket, strlen(socket));
    if (w != NULL && copy != NULL) {
        w->socket = copy;
        tarn_out_init(&w->screen, SCREEN_MAX);
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->wakes, NULL);
        if (pthread_create(&w->thread, NULL, run, w) == 0)
            return w;
        pthread_cond_destroy(&w->wakes);
        pthread_mutex_destroy(&w->lock);
    }
    tarn_free(copy);
    tarn_free(w);
    tarn_fail(err, TARN_E_NO_MEMORY, "cannot start the thread that draws the table");
    return NULL;
}

void cli_watch_stop(struct cli_watch *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->ends = true;
    pthread_cond_signal(&w->wakes);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wakes);
    pthread_mutex_destroy(&w->lock);
    tarn_out_release(&w->screen);
    tarn_free(w->socket);
    tarn_free(w);
}

void cli_watch_give_way(struct cli_watch *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    rewind_screen(w);
    fputs("\033[J", stdout);
    fflush(stdout);
}

void cli_watch_go_on(struct cli_watch *w)
{
    if (w != NULL)
        pthread_mutex_unlock(&w->lock);
}
