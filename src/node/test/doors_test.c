/* The doors of a whole node: how many loops, where they are, new configurations on all of them, and
 * their end. */
#include "node/test/whole.h"

static struct test_home home;

static struct node *begin(const char *conf)
{
    test_home_make(&home, conf);
    return test_node(&home);
}

static void end(struct node *n)
{
    test_node_end(n);
    test_home_remove(&home);
}

static void test_loops_and_places(void **state)
{
    (void)state;
    static const struct {
        const char *conf;
        unsigned loops;
        const char *begins; /* of the public URL; NULL: there is none */
    } cases[] = {
        { "[http]\nlisten = 127.0.0.1:0\nloops = 3\n[bt]\nlisten = off\n", 3, "http://127.0.0.1:" },
        { "[http]\nlisten = 0.0.0.0:0\nloops = 1\n[bt]\nlisten = off\n", 1, "http://127.0.0.1:" },
        { "[http]\nlisten = 127.0.0.1:0\nloops = 1\npublic_url = https://x.example/a\n"
          "[bt]\nlisten = off\n",
          1, "https://x.example/a/" },
        { "[http]\nlisten = off\nloops = 4\n[bt]\nlisten = off\n", 0, NULL },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct node *n = begin(cases[i].conf);
        struct http_counters web, admin;
        assert_int_equal(n->doors.n_webs, cases[i].loops);
        if (cases[i].begins == NULL)
            assert_null(node_public_url(n));
        else
            assert_true(strncmp(node_public_url(n), cases[i].begins, strlen(cases[i].begins)) == 0);
        assert_null(node_page_url(n)); /* nobody asked for one */
        assert_string_equal(node_socket(n), home.socket);
        node_doors_counters(n, &web, &admin);
        assert_int_equal(web.connections + admin.connections, 0);
        end(n);
        assert_int_equal(access(home.socket, F_OK), -1);
    }
}

static void test_page(void **state)
{
    (void)state;
    struct node *n = begin("[http]\nlisten = off\n[bt]\nlisten = off\n"
                           "[admin]\nlisten = 127.0.0.1:0\n");
    const char *url = node_page_url(n), *token = strstr(url, "/?token=");
    assert_true(strncmp(url, "http://127.0.0.1:", 17) == 0);
    assert_non_null(token);
    assert_string_equal(token + 8, n->home.token);
    end(n);
}

static bool all_have(const struct node *n, const struct node_config *config)
{
    for (unsigned i = 0; i < n->doors.n_webs; i++)
        if (n->doors.webs[i].config != config)
            return false;
    return true;
}

static void test_reload_reaches_all_loops(void **state)
{
    (void)state;
    struct tarn_err err;
    struct node *n = begin("[http]\nlisten = 127.0.0.1:0\nloops = 3\n[bt]\nlisten = off\n");
    const struct node_config *first = n->config;
    assert_true(all_have(n, first));
    test_write_conf(&home, "[http]\nlisten = 127.0.0.1:0\nloops = 3\nindex = off\n"
                           "public_url = http://new.example\n[bt]\nlisten = off\n");
    assert_true(node_reload(n, &err));
    assert_ptr_not_equal(n->config, first);
    assert_false(node_doors_can_reload(n)); /* the loops may have the old one */
    assert_true(node_reload(n, &err));      /* what is asked meanwhile is done behind it */
    assert_true(n->reloads_again);
    TEST_STEP_UNTIL(n, node_doors_can_reload(n) && !n->reloads_again);
    assert_true(all_have(n, n->config));
    assert_null(n->doors.old);
    assert_false(node_config_on(n->config, NODE_HTTP_INDEX));
    assert_true(test_said(&home, "http.public_url and what else is not marked HUP waits"));
    assert_true(strncmp(node_public_url(n), "http://127.0.0.1:", 17) == 0);
    end(n);
}

static void test_reload_of_nonsense_changes_nothing(void **state)
{
    (void)state;
    struct tarn_err err;
    struct node *n = begin("[http]\nlisten = 127.0.0.1:0\nloops = 2\n[bt]\nlisten = off\n");
    const struct node_config *first = n->config;
    static const char *const bad[] = {
        "[http]\nlisten = nowhere\n",
        "[http]\nlistn = 127.0.0.1:0\n",
        "[http]\nlisten = 127.0.0.1:0\ntls_cert = /nonexistent\ntls_key = /nonexistent\n",
    };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        test_write_conf(&home, bad[i]);
        assert_false(node_reload(n, &err));
        assert_non_null(strstr(err.msg, "the new configuration is not taken, the old one stays"));
        assert_ptr_equal(n->config, first);
        assert_true(all_have(n, first) && node_doors_can_reload(n));
    }
    assert_true(test_said(&home, "tarn.conf:2"));
    end(n);
}

static void assert_refused(const char *conf, enum tarn_code code, const char *words)
{
    struct tarn_err err = { 0 };
    test_home_make(&home, conf);
    struct node *n = test_try_node(&home, &err);
    assert_null(n);
    assert_int_equal(err.code, code);
    if (strstr(err.msg, words) == NULL)
        fail_msg("%s", err.msg);
    assert_int_equal(access(home.socket, F_OK), -1);
    test_home_remove(&home);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    assert_refused("[http]\nlisten = 127.0.0.1:0\naccess_log = /nonexistent/log\n"
                   "[bt]\nlisten = off\n",
                   TARN_E_USAGE, "http.access_log");
    assert_refused("[http]\nlisten = 127.0.0.1:0\ntls_cert = /nonexistent\ntls_key = /none\n"
                   "[bt]\nlisten = off\n",
                   TARN_E_USAGE, "http.tls_cert and http.tls_key");
}

/* The second time at once, whatever is still being sent. */
static void test_stops_twice(void **state)
{
    (void)state;
    struct node *n = begin("[http]\nlisten = 127.0.0.1:0\nloops = 2\n[bt]\nlisten = off\n");
    node_stop(n);
    assert_false(node_has_stopped(n));
    node_stop(n);
    assert_true(node_has_stopped(n));
    end(n);
    n = begin("[http]\nlisten = 127.0.0.1:0\nloops = 2\n[bt]\nlisten = off\n");
    node_close(n); /* without any goodbye */
    test_home_remove(&home);
}

static void test_counters_of_all_loops(void **state)
{
    (void)state;
    struct http_counters web, admin;
    struct sys_addr at;
    struct node *n = begin("[http]\nlisten = 127.0.0.1:0\nloops = 3\n[bt]\nlisten = off\n");
    int fds[9];
    assert_true(http_server_addr(n->doors.webs[0].server, 0, &at));
    for (unsigned i = 0; i < TARN_COUNT_OF(fds); i++)
        fds[i] = sys_tcp_connect(&at, NULL);
    for (web.accepted = 0; web.accepted < TARN_COUNT_OF(fds);) {
        assert_true(node_step(n, 10 * 1000, NULL));
        node_doors_counters(n, &web, &admin);
    }
    assert_int_equal(web.connections, TARN_COUNT_OF(fds));
    assert_int_equal(admin.accepted, 0);
    for (unsigned i = 0; i < TARN_COUNT_OF(fds); i++)
        sys_close(&fds[i]);
    end(n);
}

TEST_MAIN(cmocka_unit_test(test_loops_and_places), cmocka_unit_test(test_page),
          cmocka_unit_test(test_reload_reaches_all_loops),
          cmocka_unit_test(test_reload_of_nonsense_changes_nothing),
          cmocka_unit_test(test_what_cannot_be_opened), cmocka_unit_test(test_stops_twice),
          cmocka_unit_test(test_counters_of_all_loops))
