/* Unix sockets, and sockets that somebody else made or holds too. */
#include "sys/net.h"
#include "sys/service.h"
#include "sys/test/wire.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Connect as any program does; -1: nobody listens. */
static int dial(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

static int take(int listener, struct sys_addr *from)
{
    int fd = -1;
    wire_wait(listener, POLLIN);
    assert_int_equal(sys_tcp_accept(listener, &fd, from, NULL), SYS_IO_DONE);
    return fd;
}

static void assert_refused(const char *path, enum tarn_code code, const char *words)
{
    struct tarn_err err = { 0 };
    assert_int_equal(sys_unix_listen(path, 0600, &err), -1);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, words));
    assert_non_null(strstr(err.msg, "cannot listen on the Unix socket"));
    assert_int_equal(sys_unix_listen(path, 0600, NULL), -1);
}

static void listens(void **state)
{
    (void)state;
    struct stat st;
    struct sys_addr from;
    unsigned uid = 1, gid = 1;
    mode_t mask = umask(0);
    int listener = sys_unix_listen("s", 0660, NULL);
    umask(mask);
    assert_true(listener >= 0);
    assert_int_equal(stat("s", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    int fd = -1;
    assert_int_equal(sys_tcp_accept(listener, &fd, &from, NULL), SYS_IO_AGAIN);
    int far = dial("s");
    fd = take(listener, &from);
    assert_true(from.is_unix);
    assert_true(sys_peer_user(fd, &uid, &gid));
    assert_int_equal(uid, geteuid());
    assert_int_equal(gid, getegid());
    assert_int_equal(write(far, "x", 1), 1);
    close(far);
    close(fd);
    sys_close(&listener);
    assert_int_equal(access("s", F_OK), 0); /* who made it removes it */
}

static void old_socket_files(void **state)
{
    (void)state;
    struct sys_addr from;
    int first = sys_unix_listen("s", 0600, NULL);
    assert_true(first >= 0);
    assert_refused("s", TARN_E_FAILED, "another program listens there");
    sys_close(&first); /* as one that was killed leaves it */
    int second = sys_unix_listen("s", 0600, NULL);
    assert_true(second >= 0);
    int far = dial("s"), fd = take(second, &from);
    close(far);
    close(fd);
    sys_close(&second);
    /* what is no socket of ours to replace */
    room_put("file", "precious", 8);
    assert_refused("file", TARN_E_FAILED, "it is no socket");
    room_expect("file", "precious", 8);
    assert_int_equal(symlink("s", "link"), 0);
    assert_refused("link", TARN_E_FAILED, "it is no socket");
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_refused("folder", TARN_E_FAILED, "it is no socket");
}

static void places_that_cannot_be(void **state)
{
    (void)state;
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_refused(path, TARN_E_USAGE, "choose a shorter folder");
    assert_refused("", TARN_E_USAGE, "1 to");
    assert_refused("none/s", TARN_E_NOT_FOUND, "No such file");
    path[sizeof path - 2] = '\0'; /* the longest */
    int listener = sys_unix_listen(path, 0600, NULL);
    assert_true(listener >= 0);
    sys_close(&listener);
    struct sys_fake f;
    struct tarn_err err;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_SOCKET] = (struct sys_fault){ .error = EMFILE };
    assert_int_equal(sys_unix_listen("t", 0600, &err), -1);
    assert_non_null(strstr(err.msg, "open"));
    sys_fake_remove(&f);
    assert_int_equal(access("t", F_OK), -1);
}

static bool is_ours(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void assert_not_adopted(int fd, const char *words)
{
    struct tarn_err err = { 0 };
    assert_false(sys_adopt_listener(fd, &err));
    assert_non_null(strstr(err.msg, words));
    assert_false(sys_adopt_listener(fd, NULL));
}

static void sockets_that_are_handed_over(void **state)
{
    (void)state;
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "given" };
    int named = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(named, (struct sockaddr *)&at, sizeof at), 0);
    assert_not_adopted(named, "listens"); /* not yet */
    assert_int_equal(listen(named, 5), 0);
    assert_false(is_ours(named));
    assert_true(sys_adopt_listener(named, NULL));
    assert_true(is_ours(named));
    close(named);
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listen(tcp, 5), 0);
    assert_true(sys_adopt_listener(tcp, NULL));
    assert_true(is_ours(tcp));
    close(tcp);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    assert_not_adopted(udp, "no TCP or Unix socket");
    assert_false(is_ours(udp));
    close(udp);
    room_put("file", "", 0);
    int file = open("file", O_RDONLY);
    assert_not_adopted(file, "is no socket");
    close(file);
    assert_not_adopted(file, "is no socket"); /* nor open */
    assert_not_adopted(-1, "is no socket");
    struct wire w = wire_open(false);
    assert_not_adopted(w.a, "listens");
    wire_close(&w);
}

static void one_socket_twice(void **state)
{
    (void)state;
    struct wire w = wire_open(false);
    struct tarn_err err = { 0 };
    unsigned uid = 7, gid = 7;
    char got[4] = { 0 };
    int other = sys_dup(w.a, NULL);
    assert_true(other >= 0 && other != w.a);
    assert_true((fcntl(other, F_GETFD) & FD_CLOEXEC) != 0);
    sys_close(&w.a);
    assert_int_equal(write(other, "abc", 3), 3); /* it is the same one, and still open */
    wire_wait(w.b, POLLIN);
    assert_int_equal(read(w.b, got, 3), 3);
    assert_string_equal(got, "abc");
    assert_false(sys_peer_user(w.b, &uid, &gid)); /* TCP says nothing of users */
    assert_int_equal(uid, 7);
    sys_close(&other);
    assert_int_equal(sys_dup(-1, &err), -1);
    assert_non_null(strstr(err.msg, "cannot share a socket"));
    assert_false(sys_peer_user(-1, &uid, &gid));
    wire_close(&w);
}

static void an_end_that_is_said(void **state)
{
    (void)state;
    struct wire w = wire_open(false);
    uint8_t room[8];
    struct sys_buf buf = { room, sizeof room };
    size_t got = 0;
    assert_int_equal(write(w.a, "last", 4), 4);
    sys_shutdown_write(w.a);
    sys_shutdown_write(w.a); /* is no fault */
    wire_wait(w.b, POLLIN);
    assert_int_equal(sys_recv(w.b, &buf, 1, &got, NULL), SYS_IO_DONE);
    assert_int_equal(got, 4);
    wire_wait(w.b, POLLIN);
    assert_int_equal(sys_recv(w.b, &buf, 1, &got, NULL), SYS_IO_END);
    assert_int_equal(write(w.b, "back", 4), 4); /* the other way is open */
    wire_wait(w.a, POLLIN);
    assert_int_equal(sys_recv(w.a, &buf, 1, &got, NULL), SYS_IO_DONE);
    assert_int_equal(got, 4);
    wire_close(&w);
    sys_shutdown_write(-1);
}

TEST_MAIN(ON_BOTH(listens), ON_BOTH(old_socket_files), ON_BOTH(places_that_cannot_be),
          ON_BOTH(sockets_that_are_handed_over), ON_BOTH(one_socket_twice),
          ON_BOTH(an_end_that_is_said))
