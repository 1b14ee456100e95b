#include "node/home.h"

#include "base/test/folder.h"
#include "sys/file.h"
#include "sys/service.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char state[96];

static int setup(void **unused)
{
    (void)unused;
    snprintf(folder, sizeof folder, "/tmp/tarn-home-XXXXXX");
    snprintf(state, sizeof state, "%s/a/b", mkdtemp(folder));
    static const char *const names[] = { "TARN_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
                                         "RUNTIME_DIRECTORY" };
    for (size_t i = 0; i < TARN_COUNT_OF(names); i++)
        unsetenv(names[i]);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    test_folder_remove(folder);
    return 0;
}

static void put(const char *name, const char *text, unsigned mode)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", state, name);
    assert_true(sys_write_whole(path, tarn_bytes_str(text), NULL));
    assert_int_equal(chmod(path, mode), 0);
}

static void check_chosen(const char *given, bool is_system, const char *where, const char *socket)
{
    struct node_home h;
    struct tarn_err err;
    assert_true(node_home_choose(&h, given, is_system, &err));
    assert_string_equal(h.state, where);
    assert_string_equal(h.socket, socket);
    node_home_release(&h);
}

static void test_places(void **unused)
{
    (void)unused;
    setenv("HOME", "/home/x", 1);
    check_chosen(NULL, false, "/home/x/.local/state/tarn", "/home/x/.local/state/tarn/tarn.sock");
    setenv("XDG_STATE_HOME", "/s", 1);
    setenv("XDG_RUNTIME_DIR", "/r", 1);
    check_chosen(NULL, false, "/s/tarn", "/r/tarn/tarn.sock");
    check_chosen(NULL, true, "/var/lib/tarn", "/run/tarn/tarn.sock");
    setenv("RUNTIME_DIRECTORY", "/run/x:/run/y", 1);
    check_chosen(NULL, true, "/var/lib/tarn", "/run/x/tarn.sock");
    unsetenv("RUNTIME_DIRECTORY");
    char *first = node_home_socket(0), *second = node_home_socket(1);
    assert_string_equal(first, "/r/tarn/tarn.sock");
    assert_string_equal(second, "/run/tarn/tarn.sock");
    assert_null(node_home_socket(2));
    tarn_free(first);
    tarn_free(second);
    setenv("TARN_HOME", "/t", 1);
    check_chosen(NULL, true, "/t", "/t/tarn.sock");
    check_chosen("/g", true, "/g", "/g/tarn.sock");
    first = node_home_socket(0);
    assert_string_equal(first, "/t/tarn.sock");
    assert_null(node_home_socket(1));
    tarn_free(first);
    struct node_home h;
    struct tarn_err err;
    assert_false(node_home_choose(&h, "relative", true, &err));
    assert_string_equal(err.msg, "the state folder wants a path that begins with /");
}

static void open_home(struct node_home *h)
{
    struct tarn_err err = { 0 };
    assert_true(node_home_choose(h, state, false, &err));
    if (!node_home_open(h, "", &err))
        fail_msg("%s", err.msg);
}

static void refused(const char *token_file, const char *why)
{
    struct node_home h;
    struct tarn_err err = { 0 };
    assert_true(node_home_choose(&h, state, false, &err));
    assert_false(node_home_open(&h, token_file, &err));
    if (strstr(err.msg, why) == NULL)
        fail_msg("'%s' is not in: %s", why, err.msg);
    assert_int_equal(err.code, TARN_E_USAGE);
    node_home_release(&h);
}

static void test_open(void **unused)
{
    (void)unused;
    struct node_home a, b;
    struct stat st;
    char path[160], why[64];
    open_home(&a);
    assert_int_equal(strlen(a.token), NODE_TOKEN_LEN);
    assert_int_equal(stat(state, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/token", state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(why, sizeof why, "another node uses it: pid %llu", (unsigned long long)sys_pid());
    refused("", why);
    node_home_release(&a);
    open_home(&b); /* the lock went with its holder; the file is still there */
    char token[NODE_TOKEN_MAX + 1];
    memcpy(token, b.token, sizeof token);
    node_home_release(&b);
    open_home(&a);
    assert_string_equal(a.token, token);
    node_home_release(&a);
}

static void test_tokens(void **unused)
{
    (void)unused;
    struct node_home h;
    char path[160];
    open_home(&h);
    node_home_release(&h);
    put("token", "short", 0600);
    refused("", "wants one line of 16 to 256 letters, digits");
    put("token", "0123456789abcdef\nmore", 0600);
    refused("", "wants one line");
    put("token", "0123456789abcdef\n", 0640);
    refused("", "others may read the token");
    put("mine", "secret-secret-secret\r\n", 0400);
    snprintf(path, sizeof path, "%s/mine", state);
    struct tarn_err err;
    assert_true(node_home_choose(&h, state, false, &err));
    assert_true(node_home_open(&h, path, &err));
    assert_string_equal(h.token, "secret-secret-secret");
    node_home_release(&h);
    refused("/nonexistent/token", "admin.token_file");
}

static void test_unusable(void **unused)
{
    (void)unused;
    struct node_home h;
    open_home(&h);
    node_home_release(&h);
    assert_int_equal(chmod(state, 0770), 0);
    refused("", "others may write to it");
    snprintf(state, sizeof state, "%s/file", folder);
    assert_true(sys_write_whole(state, tarn_bytes_str("x"), NULL));
    refused("", "cannot use the state folder");
    snprintf(state, sizeof state, "/proc/tarn");
    refused("", "cannot use the state folder '/proc/tarn'");
}

static void test_socket_path(void **unused)
{
    (void)unused;
    char *at = state + strlen(state);
    memset(at, 'x', 20);
    at[0] = '/';
    at[20] = 0;
    struct node_home h;
    struct tarn_err err;
    char longer[400];
    snprintf(longer, sizeof longer, "%s/%0100d", state, 1);
    assert_true(node_home_choose(&h, longer, false, &err));
    assert_false(node_home_open(&h, "", &err));
    assert_non_null(strstr(err.msg, "the system takes 107: set TARN_HOME to a shorter one"));
    node_home_release(&h);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
TEST_MAIN(WITH_FOLDER(test_places), WITH_FOLDER(test_open), WITH_FOLDER(test_tokens),
          WITH_FOLDER(test_unusable), WITH_FOLDER(test_socket_path))
