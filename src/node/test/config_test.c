#include "node/config.h"

#include "base/test/folder.h"
#include "sys/file.h"

#include <sys/stat.h>
#include <unistd.h>

static struct node_config *parse(const char *text, struct tarn_err *err)
{
    return node_config_parse(tarn_bytes_str(text), "x.conf", NULL, err);
}

static struct node_config *good(const char *text)
{
    struct tarn_err err = { 0 };
    struct node_config *c = parse(text, &err);
    if (c == NULL)
        fail_msg("%s: %s", text, err.msg);
    return c;
}

static void test_built_in(void **state)
{
    (void)state;
    struct node_config *c = good("");
    size_t n;
    const struct sys_addr *addrs = node_config_addrs(c, NODE_HTTP_LISTEN, &n);
    assert_int_equal(n, 1);
    assert_int_equal(addrs->port, 8880);
    assert_true(sys_addr_is_loopback(addrs));
    assert_int_equal(node_config_number(c, NODE_HTTP_LOOPS), 0);
    assert_int_equal(node_config_number(c, NODE_SCRUB_INTERVAL), 30 * 24 * 3600);
    assert_string_equal(node_config_text(c, NODE_ADMIN_LISTEN), "off");
    (void)node_config_addrs(c, NODE_ADMIN_LISTEN, &n);
    assert_int_equal(n, 0);
    assert_int_equal(node_config_origin(c, NODE_LOG_LEVEL), NODE_BUILT_IN);
    assert_string_equal(node_config_origin_text(c, NODE_LOG_LEVEL), "built-in");
    assert_int_equal(node_config_collections(c), 0);
    node_config_free(c);
}

static void test_values(void **state)
{
    (void)state;
    struct node_config *c = good("\xEF\xBB\xBF# a comment\n"
                                 "  [http]\r\n"
                                 "  listen = 0.0.0.0:80, [::]:80 [::1]\n"
                                 "public_url = https://x.example/a/ ; of a kind\n"
                                 "\tindex=off\n"
                                 "loops : 3\n"
                                 "; another\n"
                                 "[bt]\nrate_up = 2M\nrate_down=unlimited\n"
                                 "[scrub]\ninterval = 2h\n"
                                 "[log]\nlevel=debug\nformat = json\n"
                                 "[collection www files]\npath = /srv/www = x\n"
                                 "[collection b]\npath=/b\npolicy=mine\nbt=v2\nhttp=no");
    size_t n;
    const struct sys_addr *addrs = node_config_addrs(c, NODE_HTTP_LISTEN, &n);
    assert_int_equal(n, 3);
    assert_true(addrs[1].is_v6 && addrs[1].port == 80 && addrs[2].port == 8880);
    assert_string_equal(node_config_text(c, NODE_HTTP_PUBLIC_URL), "https://x.example/a");
    assert_false(node_config_on(c, NODE_HTTP_INDEX));
    assert_int_equal(node_config_number(c, NODE_HTTP_LOOPS), 3);
    assert_int_equal(node_config_number(c, NODE_BT_RATE_UP), 2 << 20);
    assert_int_equal(node_config_number(c, NODE_BT_RATE_DOWN), 0);
    assert_int_equal(node_config_number(c, NODE_SCRUB_INTERVAL), 7200);
    assert_int_equal(node_config_number(c, NODE_LOG_LEVEL), 4);
    assert_int_equal(node_config_number(c, NODE_LOG_FORMAT), 1);
    assert_string_equal(node_config_origin_text(c, NODE_HTTP_LOOPS), "x.conf:6");
    assert_int_equal(node_config_collections(c), 2);
    const struct node_config_collection *w = node_config_collection(c, 0);
    assert_string_equal(w->name, "www files");
    assert_string_equal(w->path, "/srv/www = x");
    assert_true(w->http && w->policy == NODE_PUBLIC && w->bt == NODE_BT_HYBRID && w->line == 16);
    w = node_config_collection(c, 1);
    assert_true(!w->http && w->policy == NODE_MINE && w->bt == NODE_BT_V2);
    node_config_free(c);
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "listen = x", "x.conf:1: a [section] must come before the first setting" },
        { "[htpp]\na=b", "x.conf:1: there is no section [htpp]; did you mean [http]?" },
        { "[nonsense]",
          "x.conf:1: there is no section [nonsense] (http, admin, bt, index, scrub, catalog, log, "
          "collection NAME)" },
        { "[http\nloops=1", "x.conf:1: a section ends in ]" },
        { "\n[http]\nlisten", "x.conf:3: this is neither [section] nor key = value" },
        { "[http]\nlisen = 1.2.3.4:80",
          "x.conf:2: there is no setting http.lisen; did you mean http.listen?" },
        { "[http]\nqwertzuiop = 1", "x.conf:2: there is no setting http.qwertzuiop" },
        { "[http]\nloops = 1\nloops = 2", "x.conf:3: http.loops is set in line 2 already" },
        { "[http]\nloops = 65",
          "x.conf:2: http.loops wants a number from 0 to 64, or auto, not '65'" },
        { "[http]\nloops = -1",
          "x.conf:2: http.loops wants a number from 0 to 64, or auto, not '-1'" },
        { "[http]\nloops =", "x.conf:2: http.loops wants a number from 0 to 64, or auto, not ''" },
        { "[http]\nindex = maybe", "x.conf:2: http.index wants on or off, not 'maybe'" },
        { "[http]\nlisten = localhost:80",
          "x.conf:2: http.listen wants addresses like 127.0.0.1:8880 or [::1]:8880, or off, not "
          "'localhost:80'" },
        { "[http]\nlisten = ,",
          "x.conf:2: http.listen wants addresses like 127.0.0.1:8880 or [::1]:8880, or off, not "
          "','" },
        { "[http]\nlisten = 1.2.3.4:80 1.2.3.4:80",
          "x.conf:2: http.listen wants each address once, not '1.2.3.4:80'" },
        { "[http]\npublic_url = ftp://x",
          "x.conf:2: http.public_url wants a URL like https://files.example, not 'ftp://x'" },
        { "[http]\npublic_url = http://x/?a",
          "x.conf:2: http.public_url wants a URL like https://files.example, not 'http://x/?a'" },
        { "[http]\naccess_log = log",
          "x.conf:2: http.access_log wants a path that begins with /, not 'log'" },
        { "[http]\naccess_log = /a/../b",
          "x.conf:2: http.access_log wants a path without .., not '/a/../b'" },
        { "[http]\naccess_log = /a\033b",
          "x.conf:2: http.access_log wants a path without control characters, not '/a\\x1bb'" },
        { "[log]\nlevel = loud",
          "x.conf:2: log.level wants one of: error warning notice info debug, not 'loud'" },
        { "[bt]\nmemory = 1K",
          "x.conf:2: bt.memory wants a size like 1000, 256K or 4M from 1048576 to 1099511627776, "
          "not '1K'" },
        { "[bt]\nrate_up = fast",
          "x.conf:2: bt.rate_up wants a size a second like 256K or 4M from 0 to 1099511627776, or "
          "unlimited, not 'fast'" },
        { "[scrub]\ninterval = soon",
          "x.conf:2: scrub.interval wants a time like 90, 30m, 2h or 7d from 0 to 315360000, or "
          "never, not 'soon'" },
        { "[http]\ntls_cert = /c",
          "http.tls_cert and http.tls_key belong together: http.tls_key is missing" },
        { "[collection]\npath=/a", "x.conf:1: a collection has a name: [collection NAME]" },
        { "[collection a/b]",
          "x.conf:1: a collection's name is UTF-8 without control characters, and no '/' is in it: "
          "'a/b'" },
        { "[collection ..]",
          "x.conf:1: a collection's name may not begin with a dot or a blank, nor end in a blank: "
          "'..'" },
        { "[collection 123456789012345678901234567890123456789]",
          "x.conf:1: the name of a section has at most 49 bytes, and that of a collection 38" },
        { "[collection a]\nhttp=on", "x.conf:1: collection 'a' has no path" },
        { "[collection a]\npath=/a\n[collection a]\npath=/a",
          "x.conf:3: collection 'a' is in line 1 already" },
        { "[collection a]\npath=/a\npath=/b", "x.conf:3: path is set in line 2 already" },
        { "[collection a]\npath=a", "x.conf:2: path wants a path that begins with /, not 'a'" },
        { "[collection a]\npath=/a\npolcy=mine",
          "x.conf:3: a collection has no 'polcy'; did you mean 'policy'?" },
        { "[collection a]\npath=/a\nsize=1",
          "x.conf:3: a collection has no 'size' (path, policy, bt, http, hidden)" },
        { "[collection a]\npath=/a\npolicy=all",
          "x.conf:3: policy wants one of: public partners mine, not 'all'" },
        { "[collection a]\npath=/a\nbt=on",
          "x.conf:3: bt wants one of: hybrid v1 v2 off, not 'on'" },
        { "[collection a]\npath=/a\nhttp=2", "x.conf:3: http wants on or off, not '2'" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct tarn_err err = { 0 };
        struct node_config *c = parse(cases[i].text, &err);
        if (c != NULL)
            fail_msg("taken: %s", cases[i].text);
        assert_string_equal(err.msg, cases[i].message);
        assert_int_equal(err.code, TARN_E_USAGE);
    }
}

/* A section that is refused is one fault, not one a line; all faults are told. */
static void test_all_faults(void **state)
{
    (void)state;
    struct tarn_out all;
    struct tarn_err err;
    tarn_out_init(&all, 1 << 16);
    assert_null(node_config_parse(tarn_bytes_str("[htpp]\nloops=x\nlisten=y\n[log]\nlevel=z\n"
                                                 "nonsense\n[bt]\npeers=0\n"),
                                  "x.conf", &all, &err));
    char *text = tarn_out_take_str(&all);
    assert_string_equal(
        text, "x.conf:1: there is no section [htpp]; did you mean [http]?\n"
              "x.conf:5: log.level wants one of: error warning notice info debug, not 'z'\n"
              "x.conf:8: bt.peers wants a number from 1 to 1000000, not '0'\n"
              "x.conf:6: this is neither [section] nor key = value\n");
    tarn_free(text);
    assert_string_equal(err.msg, "x.conf:1: there is no section [htpp]; did you mean [http]?");
}

static void test_limits(void **state)
{
    (void)state;
    struct tarn_out o;
    struct tarn_err err;
    tarn_out_init(&o, 4 << 20);
    tarn_out_str(&o, "[http]\naccess_log = /");
    for (int i = 0; i < NODE_CONFIG_LINE_MAX; i++)
        tarn_out_u8(&o, 'x');
    assert_null(node_config_parse(tarn_out_bytes(&o), "x.conf", NULL, &err));
    assert_string_equal(err.msg, "x.conf:2: the line has 4110 bytes, at most 4096 are taken");
    tarn_out_clear(&o);
    tarn_out_put(&o, tarn_bytes_of("[http]\nloops = 1\0002\n", 19));
    assert_null(node_config_parse(tarn_out_bytes(&o), "x.conf", NULL, &err));
    assert_string_equal(err.msg, "x.conf:2: the line has a zero byte: this is no text");
    /* the longest line there may be is taken whole */
    tarn_out_clear(&o);
    tarn_out_str(&o, "[http]\naccess_log=/");
    while (o.len < 7 + NODE_CONFIG_LINE_MAX)
        tarn_out_u8(&o, 'x');
    struct node_config *c = node_config_parse(tarn_out_bytes(&o), "x.conf", NULL, &err);
    assert_non_null(c);
    assert_int_equal(strlen(node_config_text(c, NODE_HTTP_ACCESS_LOG)), NODE_CONFIG_LINE_MAX - 11);
    node_config_free(c);
    tarn_out_clear(&o);
    for (int i = 0; i <= NODE_CONFIG_COLLECTIONS_MAX; i++)
        tarn_out_fmt(&o, "[collection c%d]\npath=/c\n", i);
    assert_null(node_config_parse(tarn_out_bytes(&o), "x.conf", NULL, &err));
    assert_string_equal(err.msg, "x.conf:2001: a configuration has at most 1000 collections; "
                                 "publish others by tarn publish");
    tarn_out_release(&o);
}

/* Layers, on disk. */

static char folder[] = "/tmp/tarn-config-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(sys_write_whole(path, tarn_bytes_str(text), NULL));
}

static struct node_config *read_layers(const char *const *env, const char *const *flags, size_t n,
                                       struct tarn_err *err)
{
    static const char *const none[] = { NULL };
    char path[128];
    snprintf(path, sizeof path, "%s/tarn.conf", folder);
    struct node_config_from from = {
        .file = path, .environ_ = env == NULL ? none : env, .flags = flags, .n_flags = n
    };
    return node_config_read(&from, NULL, err);
}

static void check(struct node_config *c, enum node_key key, const char *value, const char *origin)
{
    assert_non_null(c);
    assert_string_equal(node_config_text(c, key), value);
    assert_non_null(strstr(node_config_origin_text(c, key), origin));
    node_config_free(c);
}

static void test_layers(void **state)
{
    (void)state;
    const char *env[] = { "TARN_HTTP_LOOPS=4", "TARN_HTTP_LOOPSY=x", "TARN_HOME=/x", NULL };
    const char *flags[] = { "http.loops=5", "http.loops=6" };
    char dir[128];
    struct tarn_err err;
    assert_non_null(mkdtemp(folder));
    put("tarn.conf", "[http]\nloops=1\n[collection a]\npath=/one\nhttp=off\n");
    check(read_layers(NULL, NULL, 0, &err), NODE_HTTP_LOOPS, "1", "/tarn.conf:2");
    snprintf(dir, sizeof dir, "%s/conf.d", folder);
    assert_int_equal(mkdir(dir, 0700), 0);
    put("conf.d/20.conf", "[http]\nloops=3\n");
    put("conf.d/10.conf", "[http]\nloops=2\nindex=off\n[collection a]\npath=/two\n");
    put("conf.d/30.conf~", "nonsense");
    put("conf.d/.40.conf", "nonsense");
    check(read_layers(NULL, NULL, 0, &err), NODE_HTTP_LOOPS, "3", "/conf.d/20.conf:2");
    struct node_config *c = read_layers(NULL, NULL, 0, &err);
    assert_int_equal(node_config_collections(c), 1);
    assert_string_equal(node_config_collection(c, 0)->path, "/two");
    assert_true(node_config_collection(c, 0)->http);
    check(c, NODE_HTTP_INDEX, "off", "10.conf:3");
    check(read_layers(env, NULL, 0, &err), NODE_HTTP_LOOPS, "4", "TARN_HTTP_LOOPS");
    check(read_layers(env, flags, 2, &err), NODE_HTTP_LOOPS, "6", "flag");
    env[0] = "TARN_HTTP_LOOPS=many";
    assert_null(read_layers(env, flags, 2, &err));
    assert_string_equal(err.msg, "TARN_HTTP_LOOPS in the environment: http.loops wants a number "
                                 "from 0 to 64, or auto, not 'many'");
    flags[0] = "http.loop=1";
    assert_null(read_layers(NULL, flags, 2, &err));
    assert_string_equal(err.msg, "there is no setting http.loop; did you mean http.loops?");
    flags[0] = "http.loops";
    assert_null(read_layers(NULL, flags, 2, &err));
    assert_string_equal(err.msg, "a setting is given as section.key=value, not 'http.loops'");
    /* a secondary file's fault names that file */
    put("conf.d/20.conf", "[http]\nloops=x\n");
    assert_null(read_layers(NULL, NULL, 0, &err));
    assert_non_null(strstr(err.msg, "/conf.d/20.conf:2: http.loops wants"));
    test_folder_remove(folder);
}

static void test_files_that_are_missing(void **state)
{
    (void)state;
    struct tarn_err err;
    struct node_config_from from = { .file = "/nonexistent/tarn.conf" };
    assert_null(node_config_read(&from, NULL, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_non_null(strstr(err.msg, "cannot read the configuration /nonexistent/tarn.conf"));
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    from.file = NULL;
    struct node_config *c = node_config_read(&from, NULL, &err);
    assert_non_null(c);
    assert_string_equal(node_config_path(c), "/nonexistent/tarn/tarn.conf");
    node_config_free(c);
}

static void test_reload(void **state)
{
    (void)state;
    struct node_config *a = good(""), *b = good("[bt]\nrate_up=1M\n[log]\nlevel=debug");
    struct node_config *c = good("[http]\nloops=3\n[bt]\npeers=7");
    assert_int_equal(node_config_differs(a, b), NODE_KEYS);
    assert_int_equal(node_config_differs(a, c), NODE_HTTP_LOOPS);
    node_config_free(a);
    node_config_free(b);
    node_config_free(c);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_err err;
    for (size_t n = 0;; n++) {
        test_mem_fail_after(n);
        struct node_config *c = parse("[http]\nloops=2\n[collection a]\npath=/a\n", &err);
        test_mem_normal();
        if (c != NULL) {
            node_config_free(c);
            assert_true(n > 2);
            return;
        }
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    }
}

static void test_docs(void **state)
{
    (void)state;
    struct tarn_out o;
    struct node_key_text name;
    enum node_key near;
    tarn_out_init(&o, 1 << 20);
    node_config_docs(&o);
    assert_true(tarn_out_ok(&o));
    tarn_out_release(&o);
    for (enum node_key key = 0; key < NODE_KEYS; key++) {
        assert_non_null(node_keys[key].section);
        assert_non_null(node_keys[key].help);
        assert_int_equal(node_key_find(tarn_bytes_str(node_key_text(&name, key)), &near), key);
    }
}

TEST_MAIN(cmocka_unit_test(test_built_in), cmocka_unit_test(test_values),
          cmocka_unit_test(test_messages), cmocka_unit_test(test_all_faults),
          cmocka_unit_test(test_limits), cmocka_unit_test(test_layers),
          cmocka_unit_test(test_files_that_are_missing), cmocka_unit_test(test_reload),
          cmocka_unit_test(test_no_memory), cmocka_unit_test(test_docs))
