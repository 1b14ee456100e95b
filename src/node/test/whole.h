/* For tests of a whole node in this process: a state folder, its log as text, a node of some
 * settings. */
#ifndef NODE_TEST_WHOLE_H
#define NODE_TEST_WHOLE_H

#include "base/test/folder.h"
#include "node/parts.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/thread.h"

#include <string.h>
#include <unistd.h>

enum { TEST_LOG_LEN = 1 << 16, TEST_PATIENCE_US = 60 * 1000 * 1000 };

struct test_home {
    char folder[64], conf[96], socket[96];
    struct node_log log;
    struct sys_lock lock;  /* of said */
    struct sys_cond heard; /* more is said */
    char said[TEST_LOG_LEN];
    struct node_settings set;
};

static inline void test_hear(void *arg, enum node_level level, const char *text)
{
    struct test_home *h = arg;
    (void)level;
    sys_lock_take(&h->lock);
    size_t len = strlen(h->said);
    snprintf(h->said + len, sizeof h->said - len, "%s\n", text);
    sys_cond_broadcast(&h->heard);
    sys_lock_give(&h->lock);
}

static inline bool test_said(struct test_home *h, const char *words)
{
    sys_lock_take(&h->lock);
    bool is = strstr(h->said, words) != NULL;
    sys_lock_give(&h->lock);
    return is;
}

/* For another thread than the node's. */
static inline void test_await_said(struct test_home *h, const char *words)
{
    sys_lock_take(&h->lock);
    while (strstr(h->said, words) == NULL)
        sys_cond_wait(&h->heard, &h->lock);
    sys_lock_give(&h->lock);
}

static inline void test_write_conf(struct test_home *h, const char *text)
{
    assert_true(sys_write_whole(h->conf, tarn_bytes_str(text), NULL));
}

static inline void test_home_make(struct test_home *h, const char *conf)
{
    *h = (struct test_home){ 0 };
    strcpy(h->folder, "/tmp/tarn-node-XXXXXX");
    assert_non_null(mkdtemp(h->folder));
    snprintf(h->conf, sizeof h->conf, "%s/tarn.conf", h->folder);
    snprintf(h->socket, sizeof h->socket, "%s/home/tarn.sock", h->folder);
    setenv("TARN_HOME", h->folder, 1); /* nothing else of the machine is looked at */
    test_write_conf(h, conf);
    sys_lock_init(&h->lock);
    sys_cond_init(&h->heard);
    node_log_init(&h->log, -1, NODE_LOG_TEXT, NODE_INFO);
    h->log.also = test_hear;
    h->log.arg = h;
}

static inline void test_home_remove(struct test_home *h)
{
    test_folder_remove(h->folder);
    sys_cond_release(&h->heard);
    sys_lock_release(&h->lock);
}

/* NULL: err says why. h->set may say more before. */
static inline struct node *test_try_node(struct test_home *h, struct tarn_err *err)
{
    char home[96];
    snprintf(home, sizeof home, "%s/home", h->folder);
    setenv("TARN_HOME", home, 1);
    h->set.from = (struct node_config_from){ .file = h->conf };
    h->set.config = node_config_read(&h->set.from, NULL, err);
    h->set.version = "test";
    h->set.log = &h->log;
    return h->set.config == NULL ? NULL : node_open(&h->set, err);
}

static inline struct node *test_node(struct test_home *h)
{
    struct tarn_err err = { 0 };
    struct node *n = test_try_node(h, &err);
    if (n == NULL)
        fail_msg("%s", err.msg);
    return n;
}

#define TEST_STEP_UNTIL(n, condition) \
    do { \
        int64_t test_late = sys_now_us() + TEST_PATIENCE_US; \
        while (!(condition)) { \
            if (sys_now_us() > test_late) \
                fail_msg("waited too long for %s", #condition); \
            assert_true(node_step((n), 20 * 1000, NULL)); \
        } \
    } while (0)

static inline void test_node_end(struct node *n)
{
    if (n->state == NODE_RUNNING)
        node_stop(n);
    TEST_STEP_UNTIL(n, node_has_stopped(n));
    node_close(n);
}

#endif
