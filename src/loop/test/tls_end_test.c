/* How streams over TLS end: well, cut, refused, damaged, released, without memory; and what is said
 * about it at both ends. */
#include "loop/tls.h"

#include "loop/test/tls_scene.h"

/* Without a word: seen as such; also in the handshake. */
static void test_cut(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    say(&x, "half", 4);
    CARRY_UNTIL(&x, x.taker->stream.received == 4);
    sys_close(&x.far);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_E_NETWORK);
    assert_string_equal(x.taker->end.msg,
                        "the connection was cut: it ended without TLS's close_notify");
    scene_end(&x);

    scene_begin(&x, TLS1_3_VERSION);
    assert_int_equal(write(x.far, "\x16\x03\x01", 3), 3);
    sys_close(&x.far);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_string_equal(x.taker->end.msg, "the connection ended in the TLS handshake");
    assert_false(x.taker->is_open);
    scene_end(&x);
}

/* The end comes with bytes that the owner does not want yet: he gets them first. */
static void test_end_while_paused(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        shake(&x);
        turns_settle(x.loop);
        x.taker->pause_in = 1;
        say(&x, "the last words", 14);
        SSL_shutdown(x.client.ssl);
        CARRY_UNTIL(&x, x.taker->stream.received == 14);
        if (!stays)
            sys_close(&x.far);
        turns_settle(x.loop);
        assert_false(x.taker->has_ended);
        x.taker->pause_in = 0;
        loop_stream_resume(&x.taker->stream);
        TURN_UNTIL(x.loop, x.taker->has_ended);
        assert_int_equal(x.taker->end.code, TARN_OK);
        assert_in_range(x.taker->got.len, 13, 14);
        assert_memory_equal(x.taker->got.p, "the last words", x.taker->got.len);
        scene_end(&x);
    }
}

/* A client that has asked and says that it will say no more is answered all the same, and then told
 * that this was all: behind what the kernel still has, when it takes nothing more for now. */
static void test_half_closed(void **state)
{
    (void)state;
    for (int is_paused = 0; is_paused < 2; is_paused++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        x.taker->goes_on = true;
        shake(&x);
        turns_settle(x.loop);
        x.taker->pause_in = (unsigned)is_paused;
        say(&x, "a question", 10);
        SSL_shutdown(x.client.ssl);
        CARRY_UNTIL(&x, x.taker->stream.received == 10);
        turns_settle(x.loop);
        assert_int_equal(x.taker->has_finished, !is_paused);
        x.taker->pause_in = 0;
        loop_stream_resume(&x.taker->stream);
        TURN_UNTIL(x.loop, x.taker->has_finished);
        turns_settle(x.loop); /* and it is not told twice */
        assert_int_equal(shutdown(x.far, SHUT_WR), 0);
        put_run(x.taker, 0, FILE_LEN);
        CARRY_UNTIL(&x, (take(&x, 100000),
                         x.taker->stream.queued == 0 && x.taker->stream.sent == FILE_LEN));
        f.fail[SYS_FAKE_SENDV] = (struct sys_fault){ .error = EAGAIN }; /* the next call */
        f.calls[SYS_FAKE_SENDV] = 0;
        loop_stream_finish(&x.taker->stream);
        loop_stream_finish(&x.taker->stream); /* harmless */
        TAKE_ALL(&x);
        int said = SSL_ERROR_WANT_READ;
        CARRY_UNTIL(&x, (said = take(&x, SIZE_MAX), x.far_ended));
        assert_int_equal(said, SSL_ERROR_ZERO_RETURN);
        assert_true(f.calls[SYS_FAKE_SENDV] >= 2);
        assert_false(x.taker->has_ended);
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

/* Released: with close_notify when all has left, without when not. */
static void test_release(void **state)
{
    (void)state;
    for (int is_cut = 0; is_cut < 3; is_cut++) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        shake(&x);
        put_head(x.taker, "an answer", 9);
        TAKE_ALL(&x);
        turns_settle(x.loop);
        if (is_cut == 1)
            tarn_out_str(loop_stream_out(&x.taker->stream), "more");
        for (int i = 0; is_cut == 2 && i < 4; i++) { /* encrypted, and not taken by the socket */
            assert_true(loop_stream_send_file(&x.taker->stream, x.file, 0, FILE_LEN));
            turns_settle(x.loop);
        }
        tarn_out_release(&x.taker->want);
        tarn_out_init(&x.taker->want, 256 << 20);
        for (int i = 0; is_cut == 2 && i < 4; i++)
            tarn_out_put(&x.taker->want, tarn_bytes_of(pattern, FILE_LEN));
        x.arrived = 0;
        x.is_released = true;
        struct taker *t = x.taker;
        loop_stream_release(&t->stream);
        int said = SSL_ERROR_WANT_READ;
        CARRY_UNTIL(&x, (said = take(&x, SIZE_MAX), x.far_ended));
        said = take(&x, SIZE_MAX);
        assert_int_equal(said, is_cut ? SSL_ERROR_WANT_READ : SSL_ERROR_ZERO_RETURN);
        taker_free(t);
        scene_end(&x);
    }
}

static void test_no_tls_at_all(void **state)
{
    (void)state;
    static const char *const says[] = {
        "GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        "a plain HTTP request where TLS is spoken (the address begins with https://)",
        "\023BitTorrent protocol",
        "what came is no TLS, or older than TLS 1.2",
    };
    for (size_t i = 0; i < TARN_COUNT_OF(says); i += 2) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        tarn_out_str(loop_stream_out(&x.taker->stream), "a secret");
        assert_true(write(x.far, says[i], strlen(says[i])) > 0);
        TURN_UNTIL(x.loop, x.taker->has_ended);
        assert_string_equal(x.taker->end.msg, says[i + 1]);
        loop_stream_release(&x.taker->stream);
        char buf[100];
        ssize_t n = recv(x.far, buf, sizeof buf, 0);
        assert_true(n <= 0 || memmem(buf, (size_t)n, "secret", 6) == NULL);
        scene_end(&x);
    }
}

/* The client learns why: the alert leaves before the end. */
static void test_refused(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_1_VERSION);
    CARRY_UNTIL(&x, !shaken(&x) && ERR_peek_error() != 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_E_NETWORK);
    scene_end(&x);
}

static void test_renegotiation(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_2_VERSION);
    shake(&x);
    assert_int_equal(SSL_renegotiate(x.client.ssl), 1);
    CARRY_UNTIL(&x, !shaken(&x) && ERR_peek_error() != 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    CARRY_UNTIL(&x, x.taker->has_ended); /* the client has given up */
    scene_end(&x);
}

static void test_damaged(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    turns_settle(x.loop);
    say(&x, "good", 4);
    say(&x, "damaged", 7);
    char *p;
    long n = BIO_get_mem_data(x.client.out, &p);
    p[n - 1] ^= 1;
    CARRY_UNTIL(&x, x.taker->has_ended);
    assert_int_equal(x.taker->stream.received, 4); /* what was good has come */
    assert_string_equal(x.taker->end.msg,
                        "the TLS connection failed: decryption failed or bad record mac");
    scene_end(&x);
}

/* A file that has become shorter ends the connection without close_notify. */
static void test_shrunk_file(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    put_run(x.taker, 0, FILE_LEN);
    assert_int_equal(truncate("content", 1000000), 0);
    CARRY_UNTIL(&x, (take(&x, SIZE_MAX), x.taker->has_ended));
    assert_int_equal(x.taker->end.code, TARN_E_INTEGRITY);
    loop_stream_release(&x.taker->stream);
    CARRY_UNTIL(&x, (take(&x, SIZE_MAX), x.far_ended));
    assert_int_equal(take(&x, SIZE_MAX), SSL_ERROR_WANT_READ);
    assert_true(x.arrived <= 1000000);
    scene_end(&x);
}

static void test_released_in_callbacks(void **state)
{
    (void)state;
    for (int when = IN_PLACES; when <= IN_END; when++) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        x.taker->release = (unsigned)when;
        if (when == IN_OPEN || when == IN_DRAIN || when == IN_PLACES) {
            if (when == IN_DRAIN)
                tarn_out_str(loop_stream_out(&x.taker->stream), "hello");
            CARRY_UNTIL(&x, (shaken(&x), x.is_released));
        } else {
            shake(&x);
            say(&x, "bye", 3);
            SSL_shutdown(x.client.ssl);
            CARRY_UNTIL(&x, x.is_released);
        }
        turns_settle(x.loop);
        scene_end(&x);
    }
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

/* The nth allocation of ours fails: the stream does not begin, or ends and says why, until there
 * is enough to answer a hello. */
static void test_no_memory(void **state)
{
    (void)state;
    struct crypt_tls *tls = certs_tls("here");
    int refused = 0, ended = 0;
    for (size_t n = 0, answered = 0; answered == 0; n++) {
        struct loop *l = turns_loop(1);
        struct wire w = wire_open(false);
        struct sys_addr peer = { .port = 1 };
        struct taker *t = tarn_calloc(1, sizeof *t);
        struct tarn_err err = { .code = TARN_OK };
        struct client c;
        client_begin(&c, TLS1_3_VERSION, NULL);
        (void)SSL_do_handshake(c.ssl);
        char *p;
        long len = BIO_get_mem_data(c.out, &p);
        assert_int_equal(write(w.b, p, (size_t)len), len);
        test_mem_fail_after(n);
        if (loop_stream_accept_tls(&t->stream, l, &ops, w.a, &peer, tls, &err)) {
            TURN_UNTIL(l, t->has_ended || is_readable(w.b));
            answered += !t->has_ended;
            ended += t->has_ended;
            err = t->end;
        } else {
            refused++;
        }
        test_mem_normal();
        assert_int_equal(err.code, answered ? TARN_OK : TARN_E_NO_MEMORY);
        loop_stream_release(&t->stream);
        tarn_free(t);
        client_end(&c);
        sys_close(&w.b);
        loop_free(l);
    }
    assert_true(refused >= 2);
    assert_true(ended >= 1);
    crypt_tls_unref(tls);
}

TLS_TEST_MAIN(ON_BOTH(test_cut), ON_BOTH(test_end_while_paused), ON_BOTH(test_half_closed),
              ON_BOTH(test_release), ON_BOTH(test_no_tls_at_all), ON_BOTH(test_refused),
              ON_BOTH(test_renegotiation), ON_BOTH(test_damaged), ON_BOTH(test_shrunk_file),
              ON_BOTH(test_released_in_callbacks), ON_BOTH(test_no_memory))
