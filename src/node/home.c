/* node/home: see the header. The lock is one byte of the file, held by the kernel for the open
 * file: it goes with the process however that ends, so a lock file that was left behind means
 * nothing. */
#include "node/home.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/service.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATH_LEN_MAX = 4000 };

static char *join(const char *folder, const char *name)
{
    struct tarn_out o;
    tarn_out_init(&o, PATH_LEN_MAX + 300);
    tarn_out_fmt(&o, "%s%s%s", folder, *name == '\0' ? "" : "/", name);
    return tarn_out_take_str(&o);
}

/* The variable's folder, when it says a whole path: a relative one means nothing, says XDG. */
static const char *folder_of(const char *variable)
{
    const char *path = getenv(variable);
    return path != NULL && path[0] == '/' && strlen(path) < PATH_LEN_MAX ? path : NULL;
}

static char *choose_state(const char *given, bool is_system)
{
    const char *path;
    if (given != NULL)
        return join(given, "");
    if ((path = folder_of("TARN_HOME")) != NULL)
        return join(path, "");
    if (is_system)
        return join("/var/lib/tarn", "");
    if ((path = folder_of("XDG_STATE_HOME")) != NULL)
        return join(path, "tarn");
    if ((path = folder_of("HOME")) != NULL)
        return join(path, ".local/state/tarn");
    return join("", "");
}

/* systemd's RuntimeDirectory=: the first of its names. */
static char *runtime_of_service(void)
{
    const char *paths = folder_of("RUNTIME_DIRECTORY");
    char first[PATH_LEN_MAX];
    if (paths == NULL)
        return NULL;
    snprintf(first, sizeof first, "%.*s", (int)strcspn(paths, ":"), paths);
    return join(first, "tarn.sock");
}

static char *choose_socket(const char *state, const char *given, bool is_system)
{
    const char *path;
    if (given != NULL || folder_of("TARN_HOME") != NULL)
        return join(state, "tarn.sock");
    char *service = runtime_of_service();
    if (service != NULL)
        return service;
    if (is_system)
        return join("/run/tarn", "tarn.sock");
    if ((path = folder_of("XDG_RUNTIME_DIR")) != NULL)
        return join(path, "tarn/tarn.sock");
    return join(state, "tarn.sock");
}

char *node_home_socket(size_t i)
{
    char *state = choose_state(NULL, false), *socket = NULL;
    if (state != NULL && i == 0 && *state != '\0')
        socket = choose_socket(state, NULL, false);
    else if (folder_of("TARN_HOME") == NULL && i == (state == NULL || *state == '\0' ? 0 : 1))
        socket = join("/run/tarn", "tarn.sock");
    tarn_free(state);
    return socket;
}

bool node_home_choose(struct node_home *h, const char *given, bool is_system, struct tarn_err *err)
{
    *h = (struct node_home){ .lock = -1 };
    if (given != NULL && (given[0] != '/' || strlen(given) >= PATH_LEN_MAX))
        return tarn_fail(err, TARN_E_USAGE, "the state folder wants a path that begins with /");
    h->state = choose_state(given, is_system);
    if (h->state != NULL && *h->state == '\0') {
        node_home_release(h);
        return tarn_fail(err, TARN_E_USAGE,
                         "there is no place for the state folder: set TARN_HOME or HOME");
    }
    h->socket = h->state == NULL ? NULL : choose_socket(h->state, given, is_system);
    if (h->socket == NULL) {
        node_home_release(h);
        return tarn_fail_mem(err, "choosing the state folder");
    }
    return true;
}

char *node_home_path(const struct node_home *h, const char *name)
{
    return join(h->state, name);
}

/* What somebody can put right at start is a matter of configuration, whatever the system calls it.
 */
static bool as_usage(struct tarn_err *err)
{
    if (err != NULL && err->code != TARN_E_NO_SPACE && err->code != TARN_E_NO_MEMORY)
        err->code = TARN_E_USAGE;
    return false;
}

static bool is_private(const char *path, struct tarn_err *err)
{
    struct sys_stat st;
    if (!sys_stat(SYS_CWD, path, true, &st, err))
        return false;
    if (st.kind != SYS_FOLDER)
        return tarn_fail(err, TARN_E_USAGE, "it is no folder");
    return (st.mode & 022) == 0 ||
           tarn_fail(err, TARN_E_USAGE, "others may write to it: try chmod go-w on it");
}

static bool fail_locked(int fd, struct tarn_err *err)
{
    char text[24] = "";
    size_t got = 0;
    uint64_t pid;
    if (sys_read_at(fd, text, sizeof text - 1, 0, &got, NULL) &&
        tarn_parse_u64(tarn_bytes_of(text, strcspn(text, "\n")), INT32_MAX, &pid))
        return tarn_fail(err, TARN_E_USAGE, "another node uses it: pid %llu",
                         (unsigned long long)pid);
    return tarn_fail(err, TARN_E_USAGE, "another node uses it, and is only just starting");
}

/* The pid is for people; the lock is what counts. */
static bool take_lock(struct node_home *h, struct tarn_err *err)
{
    struct tarn_err why;
    char text[24];
    char *path = join(h->state, "lock");
    if (path == NULL)
        return tarn_fail_mem(err, "locking the state folder");
    SYS_AUTO_FD fd = sys_open(path, SYS_OPEN_CREATE, err);
    tarn_free(path);
    if (fd < 0)
        return false;
    if (!sys_lock_at(fd, 0, &why))
        return why.code == TARN_E_POLICY ? fail_locked(fd, err)
                                         : tarn_fail(err, why.code, "%s", why.msg);
    int len = snprintf(text, sizeof text, "%llu\n", (unsigned long long)sys_pid());
    if (!sys_truncate(fd, 0, err) || !sys_write_at(fd, tarn_bytes_of(text, (size_t)len), 0, err))
        return false;
    h->lock = sys_take_fd(&fd);
    return true;
}

static bool read_token(struct node_home *h, const char *path, struct tarn_err *err)
{
    struct sys_stat st;
    struct tarn_quote q;
    uint8_t *data;
    size_t len;
    tarn_quote_str(&q, path);
    if (!sys_stat(SYS_CWD, path, true, &st, err) ||
        !sys_read_whole(path, NODE_TOKEN_MAX + 2, &data, &len, err))
        return false;
    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        len--;
    bool ok = len >= NODE_TOKEN_MIN && len <= NODE_TOKEN_MAX;
    for (size_t i = 0; ok && i < len; i++) /* what a URL and a cookie take as it is */
        ok = (data[i] >= 'a' && data[i] <= 'z') || (data[i] >= 'A' && data[i] <= 'Z') ||
             (data[i] >= '0' && data[i] <= '9') ||
             (data[i] != 0 && strchr("-._~", data[i]) != NULL);
    if (ok)
        memcpy(h->token, data, len), h->token[len] = 0;
    tarn_free(data);
    if (!ok)
        return tarn_fail(err, TARN_E_USAGE,
                         "the token in %s wants one line of %d to %d letters, digits and -._~", q.s,
                         NODE_TOKEN_MIN, NODE_TOKEN_MAX);
    return (st.mode & 077) == 0 ||
           tarn_fail(err, TARN_E_USAGE, "others may read the token in %s: try chmod 600 on it",
                     q.s);
}

static bool write_token(const char *path, const char *line, struct tarn_err *err)
{
    SYS_AUTO_FD fd = sys_open(path, SYS_OPEN_CREATE, err);
    return fd >= 0 && (sys_ops->set_mode(fd, 0600) == 0 || tarn_fail_sys(err, "chmod 600")) &&
           sys_truncate(fd, 0, err) && sys_write_at(fd, tarn_bytes_str(line), 0, err) &&
           sys_sync(fd, err);
}

/* Whole or not at all: a start that was cut short leaves no half token. */
static bool make_token(struct node_home *h, const char *path, struct tarn_err *err)
{
    uint8_t random[NODE_TOKEN_LEN / 2];
    char line[NODE_TOKEN_LEN + 2];
    char *fresh = join(h->state, "token.new");
    if (fresh == NULL)
        return tarn_fail_mem(err, "making the token");
    bool ok = sys_random(random, sizeof random, err);
    if (ok) {
        tarn_hex(h->token, tarn_bytes_of(random, sizeof random));
        snprintf(line, sizeof line, "%.*s\n", NODE_TOKEN_LEN, h->token);
        ok = write_token(fresh, line, err) && sys_rename(SYS_CWD, fresh, SYS_CWD, path, err);
    }
    tarn_free(fresh);
    return ok || tarn_fail_in(err, "making the token");
}

static bool get_token(struct node_home *h, const char *token_file, struct tarn_err *err)
{
    struct tarn_err why;
    if (*token_file != '\0')
        return read_token(h, token_file, err) || tarn_fail_in(err, "admin.token_file") ||
               as_usage(err);
    char *path = join(h->state, "token");
    if (path == NULL)
        return tarn_fail_mem(err, "reading the token");
    bool ok = read_token(h, path, &why);
    if (!ok && why.code == TARN_E_NOT_FOUND)
        ok = make_token(h, path, err);
    else if (!ok)
        tarn_fail(err, why.code, "%s", why.msg);
    tarn_free(path);
    return ok;
}

static bool make_runtime(const struct node_home *h, struct tarn_err *err)
{
    struct tarn_quote q;
    char folder[PATH_LEN_MAX + 300];
    size_t len = strlen(h->socket);
    if (len > NODE_SOCKET_PATH_MAX)
        return tarn_fail(err, TARN_E_USAGE,
                         "the path of the control socket has %zu bytes, the system takes %d: set "
                         "TARN_HOME to a shorter one (%s)",
                         len, NODE_SOCKET_PATH_MAX, tarn_quote_str(&q, h->socket));
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(h->socket, '/') - h->socket), h->socket);
    if (sys_make_private_folder(folder, err))
        return true;
    tarn_fail_in(err, "cannot make the folder of the control socket");
    return as_usage(err);
}

bool node_home_open(struct node_home *h, const char *token_file, struct tarn_err *err)
{
    struct tarn_quote q;
    if (!sys_make_private_folder(h->state, err) || !is_private(h->state, err) ||
        !take_lock(h, err)) {
        tarn_fail_in(err, "cannot use the state folder '%s' (TARN_HOME says which)",
                     tarn_quote_str(&q, h->state));
        return as_usage(err);
    }
    if (get_token(h, token_file, err) && make_runtime(h, err))
        return true;
    sys_close(&h->lock);
    return false;
}

void node_home_release(struct node_home *h)
{
    if (h->state != NULL) /* a zeroed one holds no descriptor */
        sys_close(&h->lock);
    tarn_free(h->state);
    tarn_free(h->socket);
    *h = (struct node_home){ .lock = -1 };
}
