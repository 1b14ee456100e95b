/* The neutral peer of the bench: what it was told, clocks, and how it gives up. See peer.h.
 *
 *   engine_peer sink   TORRENT --connect ADDR:PORT|--listen ADDR:PORT [--outstanding N[,N...]]
 *                      [--bytes N] [--seconds N] [--warm N] [--refill N] [--trunc] [--random]
 * [--check] engine_peer source TORRENT DATA --connect ADDR:PORT|--listen ADDR:PORT [--io
 * writev|sendfile] engine_peer idle   TORRENT --connect ADDR:PORT --peers N
 *
 * All: --watch PID tells that process's CPU time beside ours, --send-buffer N and --recv-buffer N
 * fix the socket's buffers. Results are JSON, a line each. --listen with port 0 takes a free one;
 * the first line tells which. */
#include "peer.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("engine_peer: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void die_sys(const char *what)
{
    die("%s: %s", what, strerror(errno));
}

void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        die("no memory for %zu times %zu bytes", n, size);
    return p;
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return -1;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double wall_s(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double cpu_s(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    if (pid != 0 && clock_getcpuclockid(pid, &clock) != 0)
        return -1;
    return seconds_of(clock);
}

void torrent_read(const char *path, struct bt_metainfo *m)
{
    struct tarn_err err = { 0 };
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die_sys(path);
    uint8_t *bytes = must_alloc(BT_TORRENT_MAX + 1, 1);
    size_t n = fread(bytes, 1, BT_TORRENT_MAX + 1, f);
    if (ferror(f) || n > BT_TORRENT_MAX)
        die("%s cannot be read, or is larger than %d bytes", path, BT_TORRENT_MAX);
    fclose(f);
    if (!bt_metainfo_parse(m, tarn_bytes_of(bytes, n), &err))
        die("%s: %s", path, err.msg);
    free(bytes);
}

/* --- the command line --- */

static uint64_t number(const char *text, uint64_t max, const char *what)
{
    uint64_t v;
    if (!tarn_parse_size(tarn_bytes_str(text), &v) || v > max)
        die("--%s %s: not a number up to %llu", what, text, (unsigned long long)max);
    return v;
}

static void read_address(struct options *o, const char *text)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    o->at = (struct sockaddr_in){ .sin_family = AF_INET };
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        die("%s is not ADDR:PORT", text);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (inet_pton(AF_INET, host, &o->at.sin_addr) != 1)
        die("%s is no IPv4 address", host);
    o->at.sin_port = htons((uint16_t)number(colon + 1, UINT16_MAX, "port"));
}

static void read_depths(struct options *o, char *text)
{
    char *rest = NULL;
    o->n_depths = 0;
    for (char *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        uint32_t depth = (uint32_t)number(word, DEPTH_MAX, "outstanding");
        if (depth == 0 || o->n_depths == DEPTHS_MAX)
            die("--outstanding takes 1 to %d numbers above 0", DEPTHS_MAX);
        o->depths[o->n_depths++] = depth;
    }
}

static enum io io_of(const char *word)
{
    if (strcmp(word, "writev") != 0 && strcmp(word, "sendfile") != 0)
        die("--io %s: neither writev nor sendfile", word);
    return word[0] == 'w' ? IO_WRITEV : IO_SENDFILE;
}

static void take_option(struct options *o, int letter, char *value)
{
    switch (letter) {
    case 'c':
    case 'l':
        read_address(o, value);
        o->is_listener = letter == 'l';
        return;
    case 'o':
        read_depths(o, value);
        return;
    case 'b':
        o->bytes = number(value, (uint64_t)1 << 50, "bytes");
        return;
    case 'w':
        o->warm = number(value, (uint64_t)1 << 50, "warm");
        return;
    case 's':
        o->seconds = (double)number(value, 3600, "seconds");
        return;
    case 'f':
        o->refill = (uint32_t)number(value, DEPTH_MAX, "refill");
        return;
    case 't':
        o->truncates = true;
        return;
    case 'r':
        o->is_random = true;
        return;
    case 'k':
        o->checks = true;
        return;
    case 'y':
        o->stays = true;
        return;
    case 'i':
        o->io = io_of(value);
        return;
    case 'S':
        o->send_buffer = (int)number(value, 1 << 30, "send-buffer");
        return;
    case 'R':
        o->recv_buffer = (int)number(value, 1 << 30, "recv-buffer");
        return;
    case 'n':
        o->peers = (uint32_t)number(value, 60000, "peers");
        return;
    case 'p':
        o->watched = (pid_t)number(value, INT32_MAX, "watch");
        return;
    default:
        die("see the head of bench/engine/peer.c for how it is called");
    }
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        { "connect", required_argument, NULL, 'c' },
        { "listen", required_argument, NULL, 'l' },
        { "outstanding", required_argument, NULL, 'o' },
        { "bytes", required_argument, NULL, 'b' },
        { "seconds", required_argument, NULL, 's' },
        { "warm", required_argument, NULL, 'w' },
        { "refill", required_argument, NULL, 'f' },
        { "trunc", no_argument, NULL, 't' },
        { "random", no_argument, NULL, 'r' },
        { "check", no_argument, NULL, 'k' },
        { "stay", no_argument, NULL, 'y' },
        { "io", required_argument, NULL, 'i' },
        { "send-buffer", required_argument, NULL, 'S' },
        { "recv-buffer", required_argument, NULL, 'R' },
        { "peers", required_argument, NULL, 'n' },
        { "watch", required_argument, NULL, 'p' },
        { 0 },
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1)
        take_option(o, letter, optarg);
    if (o->at.sin_family == 0)
        die("where? --connect ADDR:PORT or --listen ADDR:PORT");
    if (o->checks && o->truncates)
        die("--check needs the data that --trunc throws away");
}

int main(int argc, char **argv)
{
    struct options o = { .depths = { 256 }, .n_depths = 1, .bytes = (uint64_t)1 << 30, .peers = 1 };
    if (argc < 3)
        die("see the head of bench/engine/peer.c for how it is called");
    const char *mode = argv[1];
    read_options(&o, argc - 1, argv + 1);
    char **words = argv + 1 + optind;
    int n = argc - 1 - optind;
    o.torrent = n > 0 ? words[0] : NULL;
    o.data = n > 1 ? words[1] : NULL;
    if (strcmp(mode, "sink") == 0 && n == 1)
        run_sink(&o);
    else if (strcmp(mode, "source") == 0 && n == 2)
        run_source(&o);
    else if (strcmp(mode, "idle") == 0 && n == 1)
        run_idle(&o);
    else
        die("see the head of bench/engine/peer.c for how it is called");
    return 0;
}
