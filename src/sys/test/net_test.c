/* Sockets over both tables: how they are made, what they carry, what their failures say. */
#include "sys/test/wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void sockets_are_tuned(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct wire w = wire_open(v6);
        int fds[] = { w.a, w.b };
        for (size_t i = 0; i < TARN_COUNT_OF(fds); i++) {
            assert_int_equal(option(fds[i], IPPROTO_TCP, TCP_NODELAY), 1);
            assert_true((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
            assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
        }
        sys_set_unsent_low(w.a, 16384);
#ifdef TCP_NOTSENT_LOWAT
        assert_int_equal(option(w.a, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16384);
#endif
        wire_close(&w);
    }
    struct sys_addr any = sys_addr_any(true, 0);
    int listener = sys_tcp_listen(&any, NULL);
    assert_int_equal(option(listener, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    sys_close(&listener);
}

static void receives_into_many_buffers(void **state)
{
    (void)state;
    static const size_t slices[] = { 1, 7, 0 };
    for (size_t s = 0; s < TARN_COUNT_OF(slices); s++) {
        struct sys_fake f;
        struct wire w = wire_open(false);
        sys_fake_install(&f, room_ops);
        f.short_io = slices[s];
        f.fail[SYS_FAKE_RECVV] = (struct sys_fault){ .after = 1, .error = EINTR };
        assert_int_equal(send(w.a, "hello world", 11, 0), 11);
        wire_wait(w.b, POLLIN);
        uint8_t all[20] = { 0 };
        size_t done = 0, got;
        while (done < 11) {
            size_t first = done < 5 ? 5 - done : 0; /* two buffers, and an empty one */
            struct sys_buf bufs[] = { { all + done, first },
                                      { NULL, 0 },
                                      { all + done + first, sizeof all - done - first } };
            assert_int_equal(sys_recv(w.b, bufs, 3, &got, NULL), SYS_IO_DONE);
            done += got;
        }
        assert_memory_equal(all, "hello world", 11);
        struct sys_buf buf = { all, sizeof all };
        assert_int_equal(sys_recv(w.b, &buf, 1, &got, NULL), SYS_IO_AGAIN);
        assert_int_equal(shutdown(w.a, SHUT_WR), 0);
        wire_wait(w.b, POLLIN);
        assert_int_equal(sys_recv(w.b, &buf, 1, &got, NULL), SYS_IO_END);
        sys_fake_remove(&f);
        wire_close(&w);
    }
}

static void a_peer_that_resets(void **state)
{
    (void)state;
    struct tarn_err err;
    struct wire w = wire_open(false);
    struct linger hard = { .l_onoff = 1 };
    assert_int_equal(setsockopt(w.b, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    sys_close(&w.b);
    uint8_t c;
    size_t n = 9;
    struct sys_buf buf = { &c, 1 };
    wire_wait(w.a, POLLIN);
    assert_int_equal(sys_recv(w.a, &buf, 1, &n, &err), SYS_IO_FAIL);
    assert_int_equal(err.code, TARN_E_NETWORK);
    assert_string_equal(err.msg, "cannot receive: Connection reset by peer");
    struct sys_span span = { .p = &c, .len = 1 };
    struct sys_sender by = { .scratch = buf };
    assert_int_equal(sys_send_spans(w.a, &span, 1, 1, &by, &n, &err), SYS_IO_FAIL); /* no SIGPIPE */
    assert_int_equal(n, 0);
    assert_int_equal(err.code, TARN_E_NETWORK);
    assert_string_equal(err.msg, "cannot send: Broken pipe");
    wire_close(&w);
}

static void listening_that_fails(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sys_addr at = { .ip = { 127, 0, 0, 1 } };
    int listener = sys_tcp_listen(&at, NULL);
    assert_true(sys_local_addr(listener, &at, NULL));
    assert_int_equal(sys_tcp_listen(&at, &err), -1);
    assert_non_null(strstr(err.msg, "(another program uses this port"));
    sys_close(&listener);
    struct sys_addr elsewhere = { .ip = { 192, 0, 2, 1 } };
    assert_int_equal(sys_tcp_listen(&elsewhere, &err), -1);
    assert_string_equal(err.msg, "cannot listen on 192.0.2.1:0 (no interface of this machine has "
                                 "this address): Cannot assign requested address");
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_SOCKET] = (struct sys_fault){ .error = EMFILE };
    assert_int_equal(sys_tcp_listen(&at, &err), -1);
    assert_int_equal(err.code, TARN_E_POLICY);
    sys_fake_remove(&f);
    assert_false(sys_local_addr(-1, &at, &err));
}

static void connecting_that_fails(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sys_addr at = { .ip = { 127, 0, 0, 1 } };
    int listener = sys_tcp_listen(&at, NULL);
    assert_true(sys_local_addr(listener, &at, NULL));
    sys_close(&listener); /* nobody is there now */
    int fd = sys_tcp_connect(&at, &err);
    if (fd >= 0) {
        wire_wait(fd, POLLOUT);
        assert_false(sys_connect_done(fd, &err));
        assert_string_equal(err.msg, "cannot connect: Connection refused");
    }
    assert_int_equal(err.code, TARN_E_NETWORK);
    sys_close(&fd);

    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_CONNECT] = (struct sys_fault){ .error = EAFNOSUPPORT };
    assert_int_equal(sys_tcp_connect(&at, &err), -1);
    assert_int_equal(err.code, TARN_E_NETWORK);
    f.fail[SYS_FAKE_CONNECT] = (struct sys_fault){ .after = 1, .error = EINTR };
    fd = sys_tcp_connect(&at, &err);
    assert_true(fd >= 0);
    sys_close(&fd);
    f.fail[SYS_FAKE_SOCKET] = (struct sys_fault){ .after = 2, .error = EMFILE };
    assert_int_equal(sys_tcp_connect(&at, &err), -1);
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "cannot connect to 127.0.0.1:"));
    assert_non_null(strstr(err.msg, "`ulimit -n`"));
    sys_fake_remove(&f);
}

static void accepting_that_fails(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum sys_io answer;
        enum tarn_code code;
    } rows[] = {
        { EINTR, SYS_IO_DONE, TARN_OK },         { EAGAIN, SYS_IO_AGAIN, TARN_OK },
        { ECONNABORTED, SYS_IO_AGAIN, TARN_OK }, { EPROTO, SYS_IO_AGAIN, TARN_OK },
        { EHOSTUNREACH, SYS_IO_AGAIN, TARN_OK }, { EMFILE, SYS_IO_FAIL, TARN_E_POLICY },
        { ENFILE, SYS_IO_FAIL, TARN_E_POLICY },  { ENOMEM, SYS_IO_FAIL, TARN_E_NO_MEMORY },
        { EBADF, SYS_IO_FAIL, TARN_E_NETWORK },
    };
    struct sys_addr at = { .ip = { 127, 0, 0, 1 } };
    int listener = sys_tcp_listen(&at, NULL);
    assert_true(sys_local_addr(listener, &at, NULL));
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        int out = sys_tcp_connect(&at, NULL);
        wire_wait(listener, POLLIN);
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.fail[SYS_FAKE_ACCEPT] = (struct sys_fault){ .error = rows[i].error };
        struct tarn_err err = { 0 };
        struct sys_addr from;
        int fd = -1;
        assert_int_equal(sys_tcp_accept(listener, &fd, &from, &err), rows[i].answer);
        assert_int_equal(err.code, rows[i].code);
        if (rows[i].code == TARN_E_POLICY)
            assert_non_null(strstr(err.msg, "`ulimit -n`"));
        assert_int_equal(fd >= 0, rows[i].answer == SYS_IO_DONE);
        if (fd < 0) /* the connection is still there to be taken */
            assert_int_equal(sys_tcp_accept(listener, &fd, &from, NULL), SYS_IO_DONE);
        sys_fake_remove(&f);
        sys_close(&fd);
        sys_close(&out);
    }
    sys_close(&listener);
}

static void resolves(void **state)
{
    (void)state;
    struct sys_addr addrs[4];
    struct tarn_err err;
    size_t n = 0;
    assert_true(sys_resolve("127.0.0.1", 6881, addrs, 4, &n, NULL));
    assert_int_equal(n, 1);
    struct sys_addr_text text;
    assert_string_equal(sys_addr_text(&text, &addrs[0]), "127.0.0.1:6881");
    assert_true(sys_resolve("::1", 1, addrs, 4, &n, NULL));
    assert_string_equal(sys_addr_text(&text, &addrs[0]), "[::1]:1");
    assert_true(sys_resolve("localhost", 6881, addrs, 4, &n, NULL));
    for (size_t i = 0; i < n; i++)
        assert_true(sys_addr_is_loopback(&addrs[i]));
    assert_false(sys_resolve("no such\nhost", 1, addrs, 4, &n, &err));
    assert_int_equal(err.code, TARN_E_NETWORK);
    assert_memory_equal(err.msg, "cannot look up the host 'no such\\x0ahost': ", 43);
}

static void tells_how_a_connection_goes(void **state)
{
    (void)state;
    struct sys_fake f;
    struct wire w = wire_open(false);
    sys_fake_install(&f, room_ops);
    struct sys_tcp_info info = { .rtt_us = 7 };
    if (room_ops == &sys_ops_plain) {
        assert_false(sys_tcp_info(w.a, &info));
        assert_int_equal(info.rtt_us, 7);
    } else {
        char got[11];
        assert_int_equal(send(w.a, "hello world", 11, 0), 11);
        wire_wait(w.b, POLLIN);
        assert_int_equal(recv(w.b, got, sizeof got, 0), 11);
        assert_true(sys_tcp_info(w.a, &info));
        assert_true(info.rtt_us > 0 && info.min_rtt_us > 0 && info.min_rtt_us < 1000000);
        assert_true(info.acked >= 11 && info.acked <= 12 && info.unsent == 0);
        assert_false(sys_tcp_info(-1, &info));
    }
    struct sys_tcp_info set = { .rtt_us = 1, .acked = 2 };
    f.tcp_info = &set;
    assert_true(sys_tcp_info(w.a, &info));
    assert_int_equal(info.acked, 2);
    f.fail[SYS_FAKE_TCP_INFO] = (struct sys_fault){ .error = EIO, .forever = true };
    assert_false(sys_tcp_info(w.a, &info));
    sys_fake_remove(&f);
    wire_close(&w);
}

TEST_MAIN(ON_BOTH(sockets_are_tuned), ON_BOTH(receives_into_many_buffers),
          ON_BOTH(a_peer_that_resets), ON_BOTH(listening_that_fails),
          ON_BOTH(connecting_that_fails), ON_BOTH(accepting_that_fails),
          ON_BOTH(tells_how_a_connection_goes), ON_BOTH(resolves))
