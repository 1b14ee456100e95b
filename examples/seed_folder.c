/* Seed every torrent of a folder from one port: seed_folder TORRENTS DATA [LISTEN [STATE]]
 *
 * TORRENTS holds the .torrent files, DATA what they describe, STATE what was found good before, so
 * that it is not read again. Says when all are ready, and from
 * then on once a minute what was sent. Ends on Ctrl-C, after telling the trackers.
 *
 *     cc seed_folder.c $(pkg-config --cflags --libs tarn) */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <tarn/tarn.h>
#include <time.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

struct count {
    unsigned ready, failed;
};

static void on_event(void *arg, struct tarn_item *item, enum tarn_event e, const char *text)
{
    struct count *count = arg;
    const char *name = item != NULL ? tarn_item_name(item) : NULL;
    if (e == TARN_EVENT_COMPLETE)
        count->ready++;
    if (e == TARN_EVENT_FAILED)
        count->failed++;
    if (e == TARN_EVENT_FAILED || e == TARN_EVENT_LISTENING)
        fprintf(stderr, "%s: %s\n", name != NULL ? name : "listening", text);
}

static bool add(struct tarn_session *session, const char *path, const char *data,
                struct tarn_err *err)
{
    struct tarn_torrent *torrent = tarn_torrent_open(path, err);
    struct tarn_item_settings set = { .torrent = torrent, .path = data, .seed = true };
    bool ok = torrent != NULL && tarn_session_add(session, &set, err) != NULL;
    tarn_torrent_free(torrent); /* the session has what it needs */
    return ok;
}

/* How many were added; what could not be is said. */
static unsigned add_all(struct tarn_session *session, const char *folder, const char *data)
{
    DIR *torrents = opendir(folder);
    unsigned n = 0;
    if (torrents == NULL) {
        perror(folder);
        return 0;
    }
    for (struct dirent *e; (e = readdir(torrents)) != NULL;) {
        char path[4096];
        struct tarn_err err;
        const char *dot = strrchr(e->d_name, '.');
        if (dot == NULL || strcmp(dot, ".torrent") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (add(session, path, data, &err))
            n++;
        else
            fprintf(stderr, "%s: %s\n", e->d_name, err.msg);
    }
    closedir(torrents);
    return n;
}

static void report(const struct tarn_session *session)
{
    struct tarn_session_status s;
    tarn_session_status(session, &s);
    printf("%u torrents, %u peers, %llu bytes sent, %llu bytes of metadata\n", s.items, s.peers,
           (unsigned long long)s.uploaded, (unsigned long long)s.metadata_used);
    fflush(stdout);
}

static bool serve(struct tarn_session *session, const struct count *count, unsigned n,
                  struct tarn_err *err)
{
    bool is_ready = false;
    time_t told = time(NULL);
    while (!stopped) {
        if (!tarn_session_step(session, 1000, err))
            return false;
        bool all = count->ready + count->failed == n;
        if ((all && !is_ready) || time(NULL) - told >= 60) {
            is_ready = all;
            told = time(NULL);
            report(session);
        }
    }
    tarn_session_leave(session);
    while (!tarn_session_has_left(session) && tarn_session_step(session, 1000, err))
        ;
    report(session);
    return true;
}

int main(int argc, char **argv)
{
    struct tarn_err err;
    struct count count = { 0 };
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: seed_folder TORRENTS DATA [LISTEN [STATE]]\n");
        return 2;
    }
    const char *const listen[] = { argc > 3 ? argv[3] : NULL };
    struct tarn_session_settings set = { .listen = listen,
                                         .n_listen = argc > 3,
                                         .state = argc > 4 ? argv[4] : NULL,
                                         .on_event = on_event,
                                         .arg = &count };
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    struct tarn_session *session = tarn_session_open(&set, &err);
    bool ok = session != NULL;
    if (ok) {
        unsigned n = add_all(session, argv[1], argv[2]);
        ok = serve(session, &count, n, &err);
    }
    tarn_session_close(session);
    if (!ok)
        fprintf(stderr, "%s\n", err.msg);
    return ok ? 0 : tarn_code_exit(err.code);
}
