/* How servers begin and end: sockets of all kinds, sharing, draining, and what an idle connection
 * costs. */
#include "http/test/site.h"

#include "sys/thread.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void set_drained(void *arg)
{
    ((struct site *)arg)->is_drained = true;
}

static void draining_lets_answers_leave(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client idle = client_open(s), busy = client_open(s), waiting;
    client_say(&idle, GET("/hello"));
    client_wait_for(&idle, "Hello");
    client_say(&busy, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    waiting = client_open(s); /* in the listener's queue, not taken yet */
    http_server_drain(s->server, set_drained, s);
    client_say(&waiting, GET("/hello"));
    client_wait_for(&waiting, "Connection: close"); /* taken all the same */
    client_wait_end(&waiting);
    assert_false(client_has_ended(&idle)); /* it may bring one more request ... */
    client_say(&idle, GET("/hello"));
    client_wait_for(&idle, "Connection: close");
    client_wait_end(&idle);
    struct http_answer a = { .status = 200 };
    assert_false(s->is_drained);
    http_answer_bytes(s->never, &a, tarn_bytes_str("at last"));
    client_wait_for(&busy, "at last");
    client_wait_end(&busy);
    client_close(&idle);
    client_close(&busy);
    client_close(&waiting);
    TURN_UNTIL(s->loop, s->is_drained);
    assert_int_equal(site_counters(s).connections, 0);
    site_close(s);
}

static void draining_ends(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client idle = client_open(s), busy = client_open(s);
    client_say(&idle, GET("/hello"));
    client_wait_for(&idle, "Hello");
    client_say(&busy, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    http_server_drain(s->server, set_drained, s);
    site_pass_ms(s, 1100); /* ... and is closed when it brings none */
    client_wait_end(&idle);
    site_pass_ms(s, 28000);
    assert_false(s->is_drained);
    site_pass_ms(s, 1000);
    TURN_UNTIL(s->loop, s->is_drained);
    assert_int_equal(s->over, 2);
    client_close(&idle);
    client_close(&busy);
    site_close(s);
}

static void a_server_without_connections_is_drained_at_once(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    http_server_drain(s->server, set_drained, s);
    assert_false(s->is_drained); /* never from inside a call */
    TURN_UNTIL(s->loop, s->is_drained);
    site_close(s);
}

static unsigned accepted_endlessly;

/* Somebody is always there, and gone at once. */
static int endless_accept(int fd, struct sockaddr *addr, unsigned *len)
{
    int ends[2];
    (void)fd;
    if (++accepted_endlessly > 100000 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    close(ends[1]);
    *(struct sockaddr_in *)(void *)addr = (struct sockaddr_in){ .sin_family = AF_INET };
    *len = sizeof(struct sockaddr_in);
    return ends[0];
}

static unsigned drain_under_flood(uint32_t max_connections)
{
    struct site *s = site_open(&(struct http_settings){ .max_connections = max_connections });
    const struct sys_ops *before = sys_ops;
    struct sys_ops table = *sys_ops;
    table.accept = endless_accept;
    accepted_endlessly = 0;
    sys_ops = &table;
    http_server_drain(s->server, set_drained, s);
    sys_ops = before;
    TURN_UNTIL(s->loop, s->is_drained);
    site_close(s);
    return accepted_endlessly;
}

/* A flood of connections does not keep a server from stopping. */
static void draining_does_not_take_connections_for_ever(void **state)
{
    (void)state;
    assert_int_equal(drain_under_flood(100), 100);
    /* until there are enough, or no descriptors */
    assert_in_range(drain_under_flood(20000), 200, 10000);
}

/* Clients that ask again as soon as they are answered: whenever the drain begins, every request
 * gets its answer. */
static void draining_under_load_loses_no_request(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    uint64_t seed = test_seed();
    for (int round = 0; round < 20; round++) {
        struct site *s = site_open(NULL);
        struct client c[CLIENTS];
        bool is_over[CLIENTS] = { false };
        unsigned asked = 0, answered = 0, left = CLIENTS;
        unsigned drain_at = 50 + (unsigned)test_rand_below(&seed, 50);
        for (int i = 0; i < CLIENTS; i++) {
            c[i] = client_open(s);
            client_say(&c[i], GET("/hello"));
            asked++;
        }
        while (left > 0) {
            assert_true(loop_turn(s->loop, 1000, NULL));
            for (int i = 0; i < CLIENTS; i++) {
                if (is_over[i] || !client_sees(&c[i], "Hello, world!\n"))
                    continue;
                answered++;
                is_over[i] = client_sees(&c[i], "Connection: close");
                left -= is_over[i];
                tarn_out_clear(&c[i].got);
                if (is_over[i] || answered % 3 == 0) /* some are slow to ask again */
                    assert_true(loop_turn(s->loop, 0, NULL));
                if (!is_over[i]) {
                    client_say(&c[i], GET("/hello"));
                    asked++;
                }
            }
            if (asked >= drain_at && !s->is_drained) {
                drain_at = UINT32_MAX;
                http_server_drain(s->server, set_drained, s);
            }
        }
        assert_int_equal(asked, answered);
        for (int i = 0; i < CLIENTS; i++)
            client_close(&c[i]);
        TURN_UNTIL(s->loop, s->is_drained);
        site_close(s);
    }
}

static struct client client_open_unix(struct site *s, const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return client_of(s, fd);
}

static void unix_sockets(void **state)
{
    (void)state;
    struct tarn_err err;
    struct stat st;
    struct site *s = site_open(NULL);
    assert_true(http_server_listen_unix(s->server, "door", 0600, NULL));
    assert_int_equal(stat("door", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct client c = client_open_unix(s, "door");
    client_say(&c, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    unsigned uid = 1, gid = 1;
    assert_true(http_peer_user(s->never, &uid, &gid));
    assert_int_equal(uid, getuid());
    assert_int_equal(gid, getgid());
    assert_true(s->never->peer->is_unix);
    http_answer_error(s->never, 404, NULL, NULL, 0);
    client_wait_for(&c, "404");
    client_close(&c);
    /* no second one while the first listens; a left over one is replaced */
    assert_false(http_server_listen_unix(s->server, "door", 0600, &err));
    assert_non_null(strstr(err.msg, "another program listens there"));
    http_server_free(s->server);
    struct http_settings set = { .ops = &site_ops, .arg = s };
    s->server = http_server_new(s->loop, &set, NULL);
    assert_true(http_server_listen_unix(s->server, "door", 0660, NULL));
    assert_int_equal(stat("door", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    struct sys_addr at;
    assert_false(http_server_addr(s->server, 0, &at));
    char path[200];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_false(http_server_listen_unix(s->server, path, 0600, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_false(http_server_listen_unix(s->server, "small", 0600, &err)); /* a file */
    assert_int_equal(stat("small", &st), 0);
    unlink("door");
    site_close(s);
}

static void inherited_sockets(void **state)
{
    (void)state;
    struct tarn_err err;
    struct site *s = site_open(NULL);
    struct sys_addr at = s->at;
    at.port = 0;
    int fd = sys_tcp_listen(&at, NULL);
    assert_true(sys_local_addr(fd, &at, NULL));
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    assert_true(http_server_adopt(s->server, fd, NULL, NULL));
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    s->at = at;
    assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    fd = open("small", O_RDONLY);
    assert_false(http_server_adopt(s->server, fd, NULL, &err));
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_false(http_server_adopt(s->server, fd, NULL, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    site_close(s);
}

/* Two loops, one listening socket. */
struct second {
    struct site site;
    struct sys_thread thread;
    struct loop_msg stop;
};

static void run_second(void *arg)
{
    struct second *second = arg;
    assert_true(loop_run(second->site.loop, NULL));
}

static void stop_second(struct loop_msg *m)
{
    loop_stop(TARN_OUTER(m, struct second, stop)->site.loop);
}

static struct second *second_open(struct site *with, const struct http_settings *limits)
{
    struct second *second = tarn_calloc(1, sizeof *second);
    struct http_settings set = *limits;
    set.ops = &site_ops;
    set.arg = &second->site;
    second->site.loop = turns_loop(1);
    second->site.server = http_server_new(second->site.loop, &set, NULL);
    second->stop.on_loop = stop_second;
    assert_true(http_server_share(second->site.server, with->server, NULL));
    return second;
}

static void second_start(struct second *second)
{
    assert_true(sys_thread_start(&second->thread, "second", run_second, second, NULL));
}

/* Returns how many connections it has taken. */
static uint64_t second_close(struct second *second)
{
    struct http_counters n;
    loop_post(second->site.loop, &second->stop);
    sys_thread_join(&second->thread);
    http_server_counters(second->site.server, &n);
    http_server_free(second->site.server);
    loop_free(second->site.loop);
    tarn_free(second);
    return n.accepted;
}

static void loops_share_sockets(void **state)
{
    (void)state;
    enum { MORE = 3, CALLS = 200 };
    struct site *s = site_open(NULL);
    struct second *more[MORE];
    for (int i = 0; i < MORE; i++)
        more[i] = second_open(s, &(struct http_settings){ 0 });
    for (int i = 0; i < MORE; i++)
        second_start(more[i]);
    for (int i = 0; i < CALLS; i++)
        assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    uint64_t accepted = site_counters(s).accepted;
    assert_true(accepted > 0); /* each has its turn */
    for (int i = 0; i < MORE; i++) {
        uint64_t n = second_close(more[i]);
        assert_true(n > 0);
        accepted += n;
    }
    assert_int_equal(accepted, CALLS);
    assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    site_close(s);
}

/* Who is woken and full has the others look: nobody waits while one of them has room. */
static void who_is_full_passes_on(void **state)
{
    (void)state;
    struct site *s = site_open(&(struct http_settings){ .max_connections = 1 });
    struct second *second = second_open(s, &(struct http_settings){ 0 });
    struct client busy = client_open(s);
    client_say(&busy, GET("/never")); /* the other loop does not run yet */
    TURN_UNTIL(s->loop, s->never != NULL);
    second_start(second);
    for (int i = 0; i < 50; i++)
        assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    assert_int_equal(site_counters(s).accepted, 1);
    assert_int_equal(second_close(second), 50);
    http_answer_error(s->never, 404, NULL, NULL, 0);
    client_wait_for(&busy, "404");
    client_close(&busy);
    site_close(s);
}

/* One ends, with connections and while others come; those that are left go on taking them. */
static void one_of_several_drains(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct second *second = second_open(s, &(struct http_settings){ 0 });
    second_start(second);
    struct client c[20];
    for (int i = 0; i < 20; i++) {
        c[i] = client_open(s);
        if (i == 10)
            http_server_drain(s->server, set_drained, s);
    }
    for (int i = 0; i < 20; i++) {
        client_say(&c[i], GET_CLOSE("/hello"));
        client_wait_for(&c[i], "Hello, world!\n");
        client_close(&c[i]);
    }
    TURN_UNTIL(s->loop, s->is_drained);
    for (int i = 0; i < 20; i++)
        assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    assert_int_equal(site_counters(s).accepted + second_close(second), 40);
    site_close(s);
}

static void a_server_may_go_at_any_time(void **state)
{
    (void)state;
    static const char *const requests[] = { GET("/never"),
                                            GET("/late"),
                                            GET("/big"),
                                            GET("/stream"),
                                            ("POST /echo HTTP/1.1\r\nHost: x\r\n"
                                             "Content-Length: 10\r\n\r\nabc"),
                                            "GET /he" };
    for (size_t i = 0; i < TARN_COUNT_OF(requests); i++)
        for (int turns = 0; turns < 6; turns++) {
            struct site *s = site_open(NULL);
            struct client c = client_open(s);
            size_t at = 0;
            (void)client_put(&c, tarn_bytes_str(requests[i]), &at);
            for (int k = 0; k < turns; k++)
                assert_true(loop_turn(s->loop, 0, NULL));
            site_close(s);
            client_close(&c);
        }
}

/* What an idle connection keeps in our memory, ten thousand of them. The sanitizers' allocators do
 * not count, so there only the connections are tried. */
static void idle_connections_cost_little(void **state)
{
    (void)state;
    struct rlimit lim;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
    rlim_t before_cur = lim.rlim_cur;
    lim.rlim_cur = lim.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
    size_t n = tarn_min_size(10000, ((size_t)lim.rlim_cur - 100) / 2);
    assert_true(n > 0);
    struct http_settings set = { .max_connections = 20000 };
    struct site *s = site_open(&set);
    int *fds = tarn_calloc(n, sizeof *fds);
    const char *warm = site_ask(s, GET_CLOSE("/hello"));
    has(warm, "Hello");
    TURN_UNTIL(s->loop, site_counters(s).connections == 0);
    struct mallinfo2 before = mallinfo2();
    for (size_t i = 0; i < n; i++) {
        fds[i] = sys_tcp_connect(&s->at, NULL);
        assert_true(fds[i] >= 0);
        assert_true(loop_turn(s->loop, 0, NULL));
        wire_wait(fds[i], POLLOUT);
        assert_int_equal(send(fds[i], GET("/small"), strlen(GET("/small")), 0),
                         strlen(GET("/small")));
    }
    TURN_UNTIL(s->loop, site_counters(s).requests[2] == n + 1 && site_counters(s).idle == n);
    struct mallinfo2 after = mallinfo2();
    size_t each = (after.uordblks - before.uordblks) / n;
    printf("# %zu idle connections: %zu bytes each\n", n, each);
    assert_true(each <= 600);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    TURN_UNTIL(s->loop, site_counters(s).connections == 0);
    tarn_free(fds);
    site_close(s);
    lim.rlim_cur = before_cur;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
}

TEST_MAIN(ON_BOTH(draining_lets_answers_leave), ON_BOTH(draining_ends),
          ON_BOTH(a_server_without_connections_is_drained_at_once),
          ON_BOTH(draining_does_not_take_connections_for_ever),
          ON_BOTH(draining_under_load_loses_no_request), ON_BOTH(unix_sockets),
          ON_BOTH(inherited_sockets), ON_BOTH(loops_share_sockets), ON_BOTH(who_is_full_passes_on),
          ON_BOTH(one_of_several_drains), ON_BOTH(a_server_may_go_at_any_time),
          { "idle_connections_cost_little", idle_connections_cost_little, room_enter, room_leave,
            &room_native })
