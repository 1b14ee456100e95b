/* cli/transfer: tarn fetch and tarn seed: settings, and what is told while they run. With --json a
 * status line is written when the state changes and else once a second. */
#include "base/mem.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "cli/verbs.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

enum {
    PEERS_MAX = 1000000,
    FILES_AND_MORE = 512, /* descriptors besides those of peers */
};

struct transferring {
    const struct cli_args *args;
    bool as_json, is_seed;
    struct cli_progress progress;
    struct tarn_torrent *torrent;
    struct tarn_transfer t;
    const char **listen, **peers, **only; /* owned */
    struct tarn_out state;                /* the path of the state folder */
    int last_state;                       /* -1: none yet */
    time_t last_line;
    uint64_t downloaded, uploaded;
};

static const char *const states[] = {
    [TARN_GETTING_METADATA] = "metadata", [TARN_PREPARING] = "preparing",
    [TARN_CHECKING] = "checking",         [TARN_FETCHING] = "fetching",
    [TARN_SEEDING] = "seeding",           [TARN_FAILED] = "failed",
};

static void status_line(struct transferring *x, const struct tarn_transfer_status *s)
{
    struct timespec now;
    struct cli_line l;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (x->last_state == (int)s->state && x->last_line == now.tv_sec)
        return;
    x->last_line = now.tv_sec;
    cli_line_begin(&l, "status");
    json_put_str(&l.json, "state", states[s->state]);
    json_put_u64(&l.json, "done", s->done);
    json_put_u64(&l.json, "total", s->total);
    json_put_u64(&l.json, "downloaded", s->downloaded);
    json_put_u64(&l.json, "uploaded", s->uploaded);
    json_put_u64(&l.json, "wasted", s->wasted);
    json_put_u64(&l.json, "rate_down", s->rate_down);
    json_put_u64(&l.json, "rate_up", s->rate_up);
    json_put_u64(&l.json, "uplink", s->uplink);
    json_put_u64(&l.json, "uplink_delay_us", s->uplink_delay_us);
    json_put_u64(&l.json, "pieces_failed", s->pieces_failed);
    json_put_u64(&l.json, "peers", s->peers);
    json_put_u64(&l.json, "seeds", s->seeds);
    if (s->tracker_error != NULL)
        json_put_str(&l.json, "tracker_error", s->tracker_error);
    cli_line_end(&l, stdout);
}

static void show_progress(struct transferring *x, const struct tarn_transfer_status *s)
{
    char more[96];
    struct tarn_size_text up;
    struct cli_count peers;
    snprintf(more, sizeof more, "%s, up %s/s", cli_count(&peers, s->peers, "peer"),
             tarn_size_text(&up, s->rate_up));
    bool is_fetching = s->state == TARN_FETCHING;
    cli_progress_show(&x->progress, &(struct cli_progress_now){
                                        .doing = states[s->state],
                                        .done = s->done,
                                        .total = s->total,
                                        .rate = is_fetching ? (double)s->rate_down : -1,
                                        .more = s->state == TARN_CHECKING ? "" : more,
                                    });
}

static bool on_status(void *arg, const struct tarn_transfer_status *s)
{
    struct transferring *x = arg;
    x->downloaded = s->downloaded;
    x->uploaded = s->uploaded;
    if (x->as_json)
        status_line(x, s);
    else if (x->is_seed && s->state == TARN_SEEDING && x->last_state != TARN_SEEDING) {
        cli_progress_clear(&x->progress);
        fputs("seeding ", stdout);
        cli_put_text(stdout, tarn_torrent_info(x->torrent)->name);
        puts(" until stopped (Ctrl-C)");
        fflush(stdout);
    }
    x->last_state = (int)s->state;
    show_progress(x, s);
    return !cli_stop_asked();
}

static void on_event(void *arg, enum tarn_event e, const char *text)
{
    static const char *const events[] = {
        [TARN_EVENT_LISTENING] = "listening", [TARN_EVENT_METADATA] = "metadata",
        [TARN_EVENT_TRACKER] = "tracker",     [TARN_EVENT_PEER] = "peer",
        [TARN_EVENT_COMPLETE] = "complete",   [TARN_EVENT_STATE] = "state",
    };
    struct transferring *x = arg;
    if (x->as_json) {
        struct cli_line l;
        cli_line_begin(&l, "event");
        json_put_str(&l.json, "event", events[e]);
        json_put_str(&l.json, "text", text);
        cli_line_end(&l, stdout);
        return;
    }
    if (x->is_seed && e == TARN_EVENT_COMPLETE)
        return;
    cli_progress_clear(&x->progress);
    fprintf(stderr, "%s: ", events[e]);
    cli_put_text(stderr, text);
    fputc('\n', stderr);
}

static bool read_numbers(struct transferring *x, struct tarn_err *err)
{
    const struct cli_args *args = x->args;
    struct tarn_transfer *t = &x->t;
    uint64_t seed_seconds = 0, patience = 0, peers = 0, slots = 0, requests = 0;
    if (!cli_size(args, CLI_MEMORY, UINT64_MAX, &t->memory, err) ||
        !cli_size(args, CLI_METADATA, UINT64_MAX, &t->metadata, err) ||
        !cli_size(args, CLI_RATE_DOWN, UINT64_MAX, &t->rate_down, err) ||
        !cli_size(args, CLI_RATE_UP, UINT64_MAX, &t->rate_up, err) ||
        !cli_number(args, CLI_PEERS, PEERS_MAX, &peers, err) ||
        !cli_number(args, CLI_SLOTS, PEERS_MAX, &slots, err) ||
        !cli_number(args, CLI_REQUESTS, UINT32_MAX, &requests, err) ||
        !cli_seconds(args, CLI_SEED_FOR, UINT32_MAX, &seed_seconds, err) ||
        !cli_seconds(args, CLI_PATIENCE, UINT32_MAX, &patience, err))
        return false;
    t->max_peers = (uint32_t)peers;
    t->slots = (uint32_t)slots;
    t->max_requests = (uint32_t)requests;
    t->seed_seconds = (uint32_t)seed_seconds;
    t->patience_seconds = (uint32_t)patience;
    return true;
}

/* Where state is kept: as asked, else as the environment says. NULL: nowhere. */
static bool choose_state(struct transferring *x, struct tarn_err *err)
{
    static const struct {
        const char *variable, *below;
    } places[] = { { "TARN_HOME", "resume" },
                   { "XDG_STATE_HOME", "tarn/resume" },
                   { "HOME", ".local/state/tarn/resume" } };
    const char *asked = cli_text(x->args, CLI_STATE);
    if (cli_has(x->args, CLI_NO_STATE))
        return asked == NULL ||
               tarn_fail(err, TARN_E_USAGE, "--state and --no-state contradict each other");
    tarn_out_init(&x->state, 4096);
    for (size_t i = 0; asked == NULL && i < TARN_COUNT_OF(places) && x->state.len == 0; i++) {
        const char *root = getenv(places[i].variable);
        if (root != NULL && root[0] == '/') /* a relative one means nothing, says XDG */
            tarn_out_fmt(&x->state, "%s/%s", root, places[i].below);
    }
    if (asked == NULL && x->state.len == 0)
        return true;
    if (asked != NULL)
        tarn_out_str(&x->state, asked);
    tarn_out_u8(&x->state, 0);
    if (!tarn_out_ok(&x->state))
        return tarn_fail(err, TARN_E_USAGE, "the path of the state folder is too long");
    x->t.state = (const char *)x->state.p;
    return true;
}

static bool read_settings(struct transferring *x, struct tarn_err *err)
{
    const struct cli_args *args = x->args;
    struct tarn_transfer *t = &x->t;
    const char *folder = cli_text(args, CLI_OUTPUT_FOLDER);
    if (!read_numbers(x, err) || !choose_state(x, err) ||
        !cli_texts(args, CLI_LISTEN, &x->listen, &t->n_listen, err) ||
        !cli_texts(args, CLI_PEER, &x->peers, &t->n_peers, err) ||
        !cli_texts(args, CLI_ONLY, &x->only, &t->n_only, err))
        return false;
    t->listen = x->listen;
    t->peers = x->peers;
    t->only = x->only;
    t->path = x->is_seed ? args->operands[1] : folder == NULL ? "." : folder;
    t->no_trackers = cli_has(args, CLI_NO_TRACKER);
    t->no_web_seeds = cli_has(args, CLI_NO_WEB_SEED);
    const char *uplink = cli_text(args, CLI_UPLINK);
    t->uplink_off = uplink != NULL && strcmp(uplink, "off") == 0;
    const char *io = cli_text(args, CLI_IO);
    if (io != NULL)
        t->io = strcmp(io, "mmap") == 0    ? TARN_IO_MMAP
                : strcmp(io, "pread") == 0 ? TARN_IO_PREAD
                                           : TARN_IO_AUTO;
    t->trust = cli_has(args, CLI_TRUST);
    t->stay = cli_has(args, CLI_STAY);
    t->sequential = cli_has(args, CLI_SEQUENTIAL);
    t->save_torrent = cli_text(args, CLI_SAVE_TORRENT);
    t->on_status = on_status;
    t->on_event = on_event;
    t->arg = x;
    return true;
}

static bool is_url(const char *text)
{
    return strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;
}

static void tell_end(const struct transferring *x, bool is_done)
{
    struct tarn_size_text down, up;
    if (x->as_json) {
        struct cli_line l;
        cli_line_begin(&l, x->is_seed ? "seeded" : "fetched");
        json_put_bool(&l.json, "complete", is_done);
        json_put_u64(&l.json, "downloaded", x->downloaded);
        json_put_u64(&l.json, "uploaded", x->uploaded);
        cli_line_end(&l, stdout);
        return;
    }
    if (is_done)
        printf("%s: received %s, sent %s\n", x->is_seed ? "stopped" : "done",
               tarn_size_text(&down, x->downloaded), tarn_size_text(&up, x->uploaded));
}

static bool transfer(struct transferring *x, struct tarn_err *err)
{
    const char *what = x->args->operands[0];
    if (!read_settings(x, err))
        return false;
    x->torrent =
        !x->is_seed && is_url(what) ? tarn_torrent_get(what, err) : tarn_torrent_open(what, err);
    if (x->torrent == NULL)
        return false;
    x->t.torrent = x->torrent;
    (void)tarn_raise_open_files(x->t.max_peers + FILES_AND_MORE); /* what is refused is said then */
    bool ok = x->is_seed ? tarn_seed(&x->t, err) : tarn_fetch(&x->t, err);
    cli_progress_clear(&x->progress);
    tell_end(x, ok);
    return ok;
}

static int run(const struct cli_args *args, bool is_seed)
{
    struct transferring x = {
        .args = args,
        .as_json = cli_has(args, CLI_JSON),
        .is_seed = is_seed,
        .last_state = -1,
    };
    struct tarn_err err;
    cli_progress_init(&x.progress, args);
    bool ok = transfer(&x, &err);
    tarn_torrent_free(x.torrent);
    tarn_free(x.listen);
    tarn_free(x.peers);
    tarn_free(x.only);
    tarn_out_release(&x.state);
    return ok ? 0 : cli_fail(x.as_json, &err);
}

int cli_fetch(const struct cli_args *args)
{
    return run(args, false);
}

int cli_seed(const struct cli_args *args)
{
    return run(args, true);
}
