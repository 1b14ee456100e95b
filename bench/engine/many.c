/* How long a session takes until a folder of torrents is being seeded, and what each costs.
 *
 *   engine_many FOLDER HOME trust|check [SECONDS]
 *
 * Every FOLDER/N.torrent is parsed and added with HOME as its data's folder; the clock runs from
 * before the session is opened until the last one is seeded. Then SECONDS (0) of doing nothing show
 * what idle torrents cost. Prints one line of JSON; a program of libtarn, as anybody could write.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <tarn/tarn.h>
#include <time.h>

enum { MANY_MAX = 100000, PATH_LEN = 4096 };

struct many {
    struct tarn_item **items;
    size_t n;
};

static void die(const char *what)
{
    fprintf(stderr, "engine_many: %s\n", what);
    exit(1);
}

static double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static long rss_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (f == NULL)
        die("/proc/self/status cannot be read");
    while (fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

static void add_one(struct many *m, struct tarn_session *s, const char *path, const char *home,
                    bool trust)
{
    struct tarn_err err = { 0 };
    struct tarn_torrent *torrent = tarn_torrent_open(path, &err);
    struct tarn_item_settings set = {
        .torrent = torrent, .path = home, .seed = true, .trust = trust, .no_trackers = true
    };
    if (m->n == MANY_MAX)
        die("too many torrents");
    if (torrent == NULL || (m->items[m->n] = tarn_session_add(s, &set, &err)) == NULL)
        die(err.msg);
    m->n++;
    tarn_torrent_free(torrent);
}

static void add_all(struct many *m, struct tarn_session *s, const char *folder, const char *home,
                    bool trust)
{
    DIR *d = opendir(folder);
    if (d == NULL)
        die("the folder of torrents cannot be read");
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[PATH_LEN];
        size_t len = strlen(e->d_name);
        if (len < 8 || strcmp(e->d_name + len - 8, ".torrent") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        add_one(m, s, path, home, trust);
    }
    closedir(d);
}

static void step(struct tarn_session *s, int wait_ms)
{
    struct tarn_err err = { 0 };
    if (!tarn_session_step(s, wait_ms, &err))
        die(err.msg);
}

/* Those that were ready are not asked again. */
static void wait_for_all(const struct many *m, struct tarn_session *s)
{
    for (size_t ready = 0; ready < m->n;) {
        struct tarn_transfer_status status;
        tarn_item_status(m->items[ready], &status);
        if (status.state == TARN_FAILED) {
            struct tarn_err err = { 0 };
            tarn_item_error(m->items[ready], &err);
            die(err.msg);
        }
        if (status.state == TARN_SEEDING)
            ready++;
        else
            step(s, 10);
    }
}

static double idle_cpu(struct tarn_session *s, double seconds)
{
    double from = cpu_s(), end = wall_s() + seconds;
    for (double now; (now = wall_s()) < end;)
        step(s, (int)((end - now) * 1000) + 1);
    return cpu_s() - from;
}

int main(int argc, char **argv)
{
    static const char *const listen[] = { "127.0.0.1:0" };
    struct tarn_session_settings set = { .listen = listen, .n_listen = 1, .no_trackers = true };
    struct tarn_err err = { 0 };
    struct many m = { .items = calloc(MANY_MAX, sizeof *m.items) };
    if (argc < 4 || m.items == NULL)
        die("usage: engine_many FOLDER HOME trust|check [SECONDS]");
    double seconds = argc > 4 ? atof(argv[4]) : 0;
    signal(SIGPIPE, SIG_IGN);
    double wall = wall_s(), cpu = cpu_s();
    long rss;
    struct tarn_session *s = tarn_session_open(&set, &err);
    if (s == NULL)
        die(err.msg);
    rss = rss_kib(); /* what a session costs by itself is no torrent's */
    add_all(&m, s, argv[1], argv[2], strcmp(argv[3], "trust") == 0);
    wait_for_all(&m, s);
    wall = wall_s() - wall;
    cpu = cpu_s() - cpu;
    rss = rss_kib() - rss;
    printf("{\"torrents\": %zu, \"wall\": %.6f, \"cpu\": %.6f, \"rss\": %ld, \"idle_cpu\": %.6f}\n",
           m.n, wall, cpu, rss * 1024, seconds > 0 ? idle_cpu(s, seconds) : 0);
    tarn_session_close(s);
    free(m.items);
    return 0;
}
