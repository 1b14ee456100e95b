/* A long line in a box: two network namespaces, joined by a pair of TUN devices with a link between
 * them that has a delay, a rate, a queue and loss. For tests and benches that need a line which
 * loopback is not. Linux, as root (or in a user namespace that may make network namespaces).
 *
 *   wanlink [--delay-ms N] [--rate-mbit N] [--queue BYTES] [--loss PERCENT]
 *           [--back-rate-mbit N] [--back-queue BYTES] [--seed N] [--trace-ms N]
 *
 * Each direction has a line of its own: a packet leaves when the line is free, takes length * 8 /
 * rate on it, and arrives one delay (half a round trip) later. A packet that finds more than
 * --queue bytes waiting is dropped, as a plain router does. --loss drops at random, repeatably.
 * --back-* is the way from b to a where it differs.
 *
 * The namespaces have no names: they are descriptors of this process, told on standard output, and
 * end with it and with whoever is inside:
 *   {"pid": 123, "a": 3, "b": 5}          nsenter --net=/proc/123/fd/3 ip addr ...
 * The devices are called wan0; addresses are the caller's affair (tests/link.py). With --trace-ms
 * each direction's queue and the bytes that left it so far follow, a line every so often:
 *   {"at": 1.050, "a_queue": 3000, "a_bytes": 12000, "b_queue": 0, "b_bytes": 900}
 * and at the end, which comes with the end of standard input, the counts of packets. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    MTU = 1500,
    RING = 1 << 15, /* packets on the way in one direction */
    BURST = 64,     /* packets taken before others are let out */
    IDLE_MS = 200,
};

static const uint64_t NS_PER_S = 1000000000;

struct packet {
    uint64_t due_ns;
    uint16_t len;
    uint8_t data[MTU];
};

/* One direction. */
struct way {
    const char *name;
    int from, to;       /* TUN devices */
    double ns_per_byte; /* 0: as fast as can be */
    double loss;        /* 0 to 1 */
    uint64_t delay_ns, queue_max;
    uint64_t free_ns;                    /* when the line has sent what was taken */
    struct packet *ring;                 /* RING of them, own */
    uint32_t head, tail;                 /* packets let out, taken; they wrap */
    uint64_t bytes, lost, dropped, peak; /* taken; at random; for want of room; deepest queue */
    uint64_t packets;
};

struct settings {
    double delay_ms, rate_mbit, back_rate_mbit, loss;
    uint64_t queue, back_queue, seed, trace_ns;
};

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
    int error = errno;
    va_list args;
    va_start(args, fmt);
    fputs("wanlink: ", stderr);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, " (%s)\n", strerror(error));
    va_end(args);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* xorshift64*: repeatable. */
static double random_unit(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)(*state * 2685821657736338717ULL >> 11) * 0x1p-53;
}

/* --- the line --- */

static uint64_t waiting_bytes(const struct way *w, uint64_t now)
{
    if (w->free_ns <= now || w->ns_per_byte <= 0)
        return 0;
    return (uint64_t)((double)(w->free_ns - now) / w->ns_per_byte);
}

static void put_on_line(struct way *w, struct packet *p, uint16_t len, uint64_t now)
{
    uint64_t start = w->free_ns > now ? w->free_ns : now;
    w->free_ns = start + (uint64_t)(len * w->ns_per_byte);
    p->due_ns = w->free_ns + w->delay_ns;
    p->len = len;
    w->bytes += len;
    w->packets++;
    w->tail++;
}

/* Packets that have come to the near end. What finds no slot stays in the device. */
static void take_in(struct way *w, uint64_t *rng)
{
    for (int i = 0; i < BURST && w->tail - w->head < RING; i++) {
        struct packet *p = &w->ring[w->tail % RING];
        ssize_t n = read(w->from, p->data, MTU);
        if (n <= 0)
            return;
        uint64_t now = now_ns(), waiting = waiting_bytes(w, now);
        if (w->loss > 0 && random_unit(rng) < w->loss)
            w->lost++;
        else if (waiting + (uint64_t)n > w->queue_max)
            w->dropped++;
        else {
            put_on_line(w, p, (uint16_t)n, now);
            if (waiting + (uint64_t)n > w->peak)
                w->peak = waiting + (uint64_t)n;
        }
    }
}

static void let_out(struct way *w, uint64_t now)
{
    for (; w->head != w->tail; w->head++) {
        struct packet *p = &w->ring[w->head % RING];
        if (p->due_ns > now)
            return;
        if (write(w->to, p->data, p->len) < 0 && errno == EAGAIN)
            return;
    }
}

static uint64_t next_due(const struct way ways[2])
{
    uint64_t due = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        const struct way *w = &ways[i];
        if (w->head != w->tail && w->ring[w->head % RING].due_ns < due)
            due = w->ring[w->head % RING].due_ns;
    }
    return due;
}

/* --- namespaces and devices --- */

/* A new namespace with a device in it; *ns is what others enter it by. */
static int make_end(int *ns)
{
    struct ifreq want = { .ifr_name = "wan0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    if (unshare(CLONE_NEWNET) != 0)
        die("cannot make a network namespace; are you root?");
    *ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*ns < 0 || fd < 0)
        die("cannot open /dev/net/tun");
    if (ioctl(fd, TUNSETIFF, &want) != 0)
        die("cannot make the device wan0");
    return fd;
}

static void set_up(struct way ways[2], const struct settings *s)
{
    int ns[2], tun[2];
    for (int i = 0; i < 2; i++)
        tun[i] = make_end(&ns[i]);
    for (int i = 0; i < 2; i++) {
        double rate = i == 0 ? s->rate_mbit : s->back_rate_mbit;
        ways[i] = (struct way){
            .name = i == 0 ? "a" : "b",
            .from = tun[i],
            .to = tun[1 - i],
            .ns_per_byte = rate > 0 ? 8e3 / rate : 0,
            .loss = s->loss,
            .delay_ns = (uint64_t)(s->delay_ms * 1e6),
            .queue_max = i == 0 ? s->queue : s->back_queue,
            .ring = calloc(RING, sizeof *ways[i].ring),
        };
        if (ways[i].ring == NULL)
            die("no memory");
    }
    printf("{\"pid\": %d, \"a\": %d, \"b\": %d}\n", (int)getpid(), ns[0], ns[1]);
    fflush(stdout);
}

/* --- running --- */

/* What has left the queue; rounding may make what waits a byte more than all that came. */
static uint64_t sent_bytes(const struct way *w, uint64_t now)
{
    uint64_t waiting = waiting_bytes(w, now);
    return w->bytes > waiting ? w->bytes - waiting : 0;
}

static void trace(const struct way ways[2], uint64_t from, uint64_t now)
{
    printf("{\"at\": %.3f", (double)(now - from) / 1e9);
    for (int i = 0; i < 2; i++)
        printf(", \"%s_queue\": %llu, \"%s_bytes\": %llu", ways[i].name,
               (unsigned long long)waiting_bytes(&ways[i], now), ways[i].name,
               (unsigned long long)sent_bytes(&ways[i], now));
    puts("}");
    fflush(stdout);
}

static void print_counts(const struct way ways[2])
{
    printf("{\"done\": true");
    for (int i = 0; i < 2; i++) {
        const struct way *w = &ways[i];
        printf(
            ", \"%s_packets\": %llu, \"%s_bytes\": %llu, \"%s_dropped\": %llu, \"%s_lost\": %llu, "
            "\"%s_peak\": %llu",
            w->name, (unsigned long long)w->packets, w->name, (unsigned long long)w->bytes, w->name,
            (unsigned long long)w->dropped, w->name, (unsigned long long)w->lost, w->name,
            (unsigned long long)w->peak);
    }
    puts("}");
}

static bool is_over(const struct pollfd *input)
{
    char scrap[64];
    return input->revents != 0 && read(STDIN_FILENO, scrap, sizeof scrap) <= 0;
}

static void run(struct way ways[2], const struct settings *s)
{
    uint64_t rng = s->seed, from = now_ns(), next_trace = s->trace_ns > 0 ? from : UINT64_MAX;
    struct pollfd fds[3] = { { .fd = ways[0].from, .events = POLLIN },
                             { .fd = ways[1].from, .events = POLLIN },
                             { .fd = STDIN_FILENO, .events = POLLIN } };
    do {
        uint64_t now = now_ns();
        for (int i = 0; i < 2; i++) {
            let_out(&ways[i], now);
            take_in(&ways[i], &rng);
        }
        if (now >= next_trace) {
            trace(ways, from, now);
            next_trace += s->trace_ns;
        }
        uint64_t due = next_due(ways), most = (uint64_t)IDLE_MS * 1000000;
        if (next_trace < due)
            due = next_trace;
        now = now_ns();
        uint64_t wait = due <= now ? 0 : due - now < most ? due - now : most;
        struct timespec t = { (time_t)(wait / NS_PER_S), (long)(wait % NS_PER_S) };
        fds[2].revents = 0;
        if (ppoll(fds, 3, &t, NULL) < 0 && errno != EINTR)
            die("poll");
    } while (!is_over(&fds[2]));
}

/* --- the command line --- */

static double number(const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= 0 && v < 1e12)) {
        errno = EINVAL;
        die("'%s' is no number that fits", text);
    }
    return v;
}

static void read_settings(struct settings *s, int argc, char **argv)
{
    static const struct option longs[] = {
        { "delay-ms", required_argument, NULL, 'd' },
        { "rate-mbit", required_argument, NULL, 'r' },
        { "queue", required_argument, NULL, 'q' },
        { "loss", required_argument, NULL, 'l' },
        { "back-rate-mbit", required_argument, NULL, 'R' },
        { "back-queue", required_argument, NULL, 'Q' },
        { "seed", required_argument, NULL, 's' },
        { "trace-ms", required_argument, NULL, 't' },
        { 0 },
    };
    double v[128] = { ['d'] = 25, ['r'] = 100, ['q'] = -1, ['R'] = -1, ['Q'] = -1, ['s'] = 1 };
    int letter;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (letter == '?')
            die("see the head of tests/tools/wanlink.c for how it is called");
        v[letter] = number(optarg);
    }
    double rate = v['r'], back = v['R'] >= 0 ? v['R'] : rate;
    double whole_trip = rate * 1e6 / 8 * 2 * v['d'] / 1e3 + 20 * MTU; /* bytes; a usual queue */
    double queue = v['q'] >= 0 ? v['q'] : whole_trip;
    *s = (struct settings){
        .delay_ms = v['d'],
        .rate_mbit = rate,
        .back_rate_mbit = back,
        .loss = v['l'] / 100,
        .queue = (uint64_t)queue,
        .back_queue = (uint64_t)(v['Q'] >= 0 ? v['Q'] : queue),
        .seed = (uint64_t)v['s'] + 88172645463325252ULL,
        .trace_ns = (uint64_t)(v['t'] * 1e6),
    };
}

int main(int argc, char **argv)
{
    struct way ways[2];
    struct settings s;
    read_settings(&s, argc, argv);
    prctl(PR_SET_TIMERSLACK, 1UL);
    set_up(ways, &s);
    run(ways, &s);
    print_counts(ways);
    for (int i = 0; i < 2; i++)
        free(ways[i].ring);
    return 0;
}
