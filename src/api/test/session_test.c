/* The whole of tarn/session.h from outside: what a caller may do from on_event, and at odd times.
 */
#include "sys/fake.h"

#include "api/test/folder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <tarn/tarn.h>

enum { PIECE = 65536, STEPS_MAX = 2000, STEP_MS = 10, EVENTS = TARN_EVENT_FAILED + 1 };

struct party {
    struct folder folder;
    struct tarn_torrent *torrent;
    struct tarn_session *session;
    struct tarn_item *item;
    char target[96], address[64], state[96]; /* state "": none is kept */
    unsigned told[EVENTS];
    int removes_at; /* the event at which the item is removed; -1: none */
    bool is_stepping, told_outside;
    void (*at_metadata)(struct party *p);
};

static void on_event(void *arg, struct tarn_item *item, enum tarn_event e, const char *text)
{
    struct party *p = arg;
    p->told[e]++;
    p->told_outside = p->told_outside || (item != NULL && !p->is_stepping);
    if (e == TARN_EVENT_LISTENING)
        snprintf(p->address, sizeof p->address, "%s", text);
    if (e == TARN_EVENT_METADATA && p->at_metadata != NULL)
        p->at_metadata(p);
    if ((int)e == p->removes_at && item != NULL) {
        assert_ptr_equal(item, p->item);
        tarn_item_remove(item);
        p->item = NULL;
    }
}

static void open_session(struct party *p)
{
    static const char *const listen[] = { "127.0.0.1:0" };
    struct tarn_err err;
    struct tarn_session_settings set = { .listen = listen,
                                         .n_listen = 1,
                                         .threads = 2,
                                         .state = p->state[0] != 0 ? p->state : NULL,
                                         .on_event = on_event,
                                         .arg = p };
    p->removes_at = -1;
    p->session = tarn_session_open(&set, &err);
    if (p->session == NULL)
        fail_msg("%s", err.msg);
}

static void party_open(struct party *p)
{
    struct tarn_err err;
    memset(p, 0, sizeof *p);
    folder_make(&p->folder);
    struct tarn_create how = {
        .path = p->folder.tree, .piece_length = PIECE, .jobs = 1, .format = TARN_HYBRID
    };
    p->torrent = tarn_create(&how, &err);
    if (p->torrent == NULL)
        fail_msg("%s", err.msg);
    snprintf(p->target, sizeof p->target, "%s/got", p->folder.root);
    open_session(p);
}

static void party_close(struct party *p)
{
    tarn_session_close(p->session);
    tarn_torrent_free(p->torrent);
    folder_remove(&p->folder);
}

static struct tarn_item *add(struct party *p, struct tarn_item_settings set)
{
    struct tarn_err err;
    set.torrent = set.torrent != NULL ? set.torrent : p->torrent;
    set.path = set.seed ? p->folder.tree : p->target;
    p->item = tarn_session_add(p->session, &set, &err);
    if (p->item == NULL)
        fail_msg("%s", err.msg);
    return p->item;
}

static void step(struct party *p)
{
    p->is_stepping = true;
    assert_true(tarn_session_step(p->session, STEP_MS, NULL));
    p->is_stepping = false;
}

static bool step_until(struct party *p, enum tarn_event e)
{
    for (int i = 0; i < STEPS_MAX && p->told[e] == 0; i++)
        step(p);
    return p->told[e] > 0;
}

static struct tarn_transfer_status status_of(const struct party *p)
{
    struct tarn_transfer_status s;
    tarn_item_status(p->item, &s);
    return s;
}

/* A peer that greets as it should; without extensions. */
static int greet(struct party *p)
{
    uint8_t hello[68] = "\x13"
                        "BitTorrent protocol";
    memcpy(hello + 28, tarn_torrent_info(p->torrent)->v1, 20);
    memset(hello + 48, 'x', 20);
    const char *port = strrchr(p->address, ':');
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port + 1)) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(write(fd, hello, sizeof hello), sizeof hello);
    return fd;
}

static void test_removed_from_event(void **state)
{
    (void)state;
    static const int events[] = { TARN_EVENT_PEER, TARN_EVENT_COMPLETE, TARN_EVENT_FAILED };
    for (size_t i = 0; i < TARN_COUNT_OF(events); i++) {
        struct party p;
        struct tarn_session_status s;
        int fd = -1;
        party_open(&p);
        p.removes_at = events[i];
        if (events[i] == TARN_EVENT_FAILED)
            folder_put(p.folder.file, 1000); /* what is seeded does not match */
        add(&p, (struct tarn_item_settings){ .seed = true });
        if (events[i] == TARN_EVENT_PEER) {
            while (status_of(&p).state != TARN_SEEDING)
                step(&p);
            fd = greet(&p); /* and then breaks the protocol: told in the middle of reading */
            assert_int_equal(write(fd, "\xff\xff\xff\xff", 4), 4);
        }
        assert_true(step_until(&p, (enum tarn_event)events[i]));
        assert_true(fd < 0 || close(fd) == 0);
        assert_null(p.item);
        step(&p);
        tarn_session_status(p.session, &s);
        assert_int_equal(s.items, 0);
        assert_int_equal(s.peers, 0);
        assert_int_equal(s.metadata_used, 0);
        add(&p, (struct tarn_item_settings){ .seed = true }); /* nothing of it is left */
        party_close(&p);
    }
}

/* Nothing is told of an item before the caller has it, nor after it is gone. */
static void test_told_while_stepping(void **state)
{
    (void)state;
    static const char *const peers[] = { "no port" };
    struct party p;
    party_open(&p);
    add(&p, (struct tarn_item_settings){ .seed = true, .peers = peers, .n_peers = 1 });
    assert_int_equal(p.told[TARN_EVENT_PEER], 0);
    assert_true(step_until(&p, TARN_EVENT_PEER));
    assert_false(p.told_outside);
    tarn_item_remove(p.item);
    p.told[TARN_EVENT_PEER] = 0;
    add(&p, (struct tarn_item_settings){ .seed = true, .peers = peers, .n_peers = 1 });
    tarn_item_remove(p.item);
    for (int i = 0; i < 5; i++)
        step(&p);
    assert_int_equal(p.told[TARN_EVENT_PEER], 0);
    party_close(&p);
}

static void choose_first(struct party *p)
{
    uint8_t one[3] = { 4, 0, 0 };
    struct tarn_err err;
    assert_false(tarn_item_set_priorities(p->item, one, 2, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_true(tarn_item_set_priorities(p->item, one, 3, &err));
}

/* A magnet link: the session that seeds teaches the other. Returns the one that seeds. */
static void begin_magnet(struct party *p, struct party *seed, const char *const *only,
                         size_t n_only)
{
    struct tarn_err err;
    party_open(seed);
    party_open(p);
    add(seed, (struct tarn_item_settings){ .seed = true, .trust = true });
    while (status_of(seed).state != TARN_SEEDING)
        step(seed);
    struct tarn_torrent *magnet = tarn_torrent_open(tarn_torrent_magnet(p->torrent), &err);
    assert_non_null(magnet);
    add(p, (struct tarn_item_settings){ .torrent = magnet, .only = only, .n_only = n_only });
    tarn_torrent_free(magnet); /* nothing of it is needed any more */
    assert_null(tarn_item_name(p->item));
    assert_false(tarn_item_set_priorities(p->item, (const uint8_t *)"", 0, &err));
    assert_int_equal(err.code, TARN_E_FAILED);
    tarn_item_pause(p->item); /* while it knows nothing yet */
    step(p);
    assert_true(status_of(p).is_paused);
    tarn_item_resume(p->item);
    assert_true(tarn_item_add_peer(p->item, seed->address, &err));
}

static void step_both(struct party *p, struct party *seed, enum tarn_event e)
{
    for (int i = 0; i < STEPS_MAX && p->told[e] == 0; i++) {
        step(p);
        step(seed);
    }
    assert_true(p->told[e] > 0);
}

/* Priorities set as soon as the files are known hold from the start. */
static void test_priorities_at_metadata(void **state)
{
    (void)state;
    struct party p, seed;
    begin_magnet(&p, &seed, NULL, 0);
    p.at_metadata = choose_first;
    step_both(&p, &seed, TARN_EVENT_COMPLETE);
    char path[160];
    snprintf(path, sizeof path, "%s/tree/a", p.target);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/tree/b", p.target);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(status_of(&p).total, 20000);
    party_close(&p);
    party_close(&seed);
}

/* One of two patterns matches nothing: it fails, once, and no file is made for the other. */
static void test_only_matches_nothing(void **state)
{
    (void)state;
    static const char *const only[] = { "a", "no such file" };
    struct party p, seed;
    struct tarn_err err;
    begin_magnet(&p, &seed, only, 2);
    step_both(&p, &seed, TARN_EVENT_FAILED);
    tarn_item_resume(p.item); /* of no use */
    for (int i = 0; i < 20; i++)
        step(&p);
    assert_int_equal(p.told[TARN_EVENT_FAILED], 1);
    assert_int_equal(status_of(&p).state, TARN_FAILED);
    tarn_item_error(p.item, &err);
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_int_not_equal(access(p.target, F_OK), 0);
    party_close(&p);
    party_close(&seed);
}

/* What a peer tells of pieces before their number is known is bounded, in memory and in what is
 * counted as such. */
static void test_early_pieces(void **state)
{
    (void)state;
    struct party p;
    struct tarn_err err;
    struct tarn_session_status s;
    party_open(&p);
    struct tarn_torrent *magnet = tarn_torrent_open(tarn_torrent_magnet(p.torrent), &err);
    assert_non_null(magnet);
    add(&p, (struct tarn_item_settings){ .torrent = magnet });
    tarn_torrent_free(magnet);
    int fd = greet(&p);
    static uint8_t bits[5 + 64 * 1024] = { 0, 1, 0, 1, 5 };
    for (int i = 0; i < 8; i++)
        for (size_t at = 0; at < sizeof bits; at += 4096) {
            size_t n = sizeof bits - at < 4096 ? sizeof bits - at : 4096;
            assert_int_equal(write(fd, bits + at, n), n);
            step(&p);
        }
    for (int i = 0; i < 20; i++)
        step(&p);
    tarn_session_status(p.session, &s);
    assert_int_equal(s.peers, 1);
    assert_true(s.metadata_used > 64 * 1024); /* one */
    assert_true(s.metadata_used < 2 * 64 * 1024);
    assert_int_equal(close(fd), 0);
    party_close(&p);
}

/* An item that fails holds no memory that others need. */
static void test_failed_holds_nothing(void **state)
{
    (void)state;
    struct party p, seed;
    struct sys_fake fake;
    struct tarn_session_status s;
    struct tarn_err err;
    sys_fake_install(&fake, &sys_ops_native); /* while no thread works */
    fake.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ 0, ENOSPC, true };
    party_open(&seed);
    party_open(&p);
    add(&seed, (struct tarn_item_settings){ .seed = true, .trust = true });
    while (status_of(&seed).state != TARN_SEEDING)
        step(&seed);
    add(&p, (struct tarn_item_settings){ .rate_down = 100000 });
    while (status_of(&p).state != TARN_FETCHING)
        step(&p);
    assert_true(tarn_item_add_peer(p.item, seed.address, &err));
    step_both(&p, &seed, TARN_EVENT_FAILED);
    tarn_session_status(p.session, &s);
    assert_int_equal(s.memory_used, 0);
    tarn_item_error(p.item, &err);
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    party_close(&p);
    party_close(&seed);
    sys_fake_remove(&fake);
}

static void test_same_twice(void **state)
{
    (void)state;
    struct party p;
    struct tarn_err err;
    party_open(&p);
    add(&p, (struct tarn_item_settings){ .seed = true, .arg = &p });
    assert_ptr_equal(tarn_item_arg(p.item), &p);
    struct tarn_torrent *same = tarn_torrent_open(tarn_torrent_magnet(p.torrent), &err);
    assert_non_null(same);
    struct tarn_item_settings again = { .torrent = same, .path = p.target };
    assert_null(tarn_session_add(p.session, &again, &err));
    assert_int_equal(err.code, TARN_E_FAILED);
    again.seed = true;
    assert_null(tarn_session_add(p.session, &again, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    tarn_torrent_free(same);
    assert_true(step_until(&p, TARN_EVENT_COMPLETE)); /* the first is as it was */
    party_close(&p);
}

/* A tracker that never answers, and an item that is removed while it is waited for. */
static void test_removed_while_leaving(void **state)
{
    (void)state;
    struct party p;
    struct tarn_err err;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/announce", ntohs(at.sin_port));
    const char *urls[] = { url };
    party_open(&p);
    struct tarn_create how = {
        .path = p.folder.tree, .piece_length = PIECE, .jobs = 1, .trackers = urls, .n_trackers = 1
    };
    struct tarn_torrent *tracked = tarn_create(&how, &err);
    if (tracked == NULL)
        fail_msg("%s", err.msg);
    add(&p, (struct tarn_item_settings){ .seed = true, .torrent = tracked });
    assert_true(step_until(&p, TARN_EVENT_COMPLETE));
    struct pollfd heard = { .fd = fd, .events = POLLIN };
    for (int i = 0; i < STEPS_MAX && poll(&heard, 1, 0) == 0; i++)
        step(&p); /* until it announces */
    assert_true(heard.revents != 0);
    tarn_session_leave(p.session);
    for (int i = 0; i < 5; i++)
        step(&p);
    assert_false(tarn_session_has_left(p.session));
    tarn_item_remove(p.item);
    assert_false(tarn_session_has_left(p.session)); /* not from inside the call */
    for (int i = 0; i < 5 && !tarn_session_has_left(p.session); i++)
        step(&p);
    assert_true(tarn_session_has_left(p.session));
    tarn_torrent_free(tracked);
    close(fd);
    party_close(&p);
}

/* Saved when asked for; kept by a removal, and gone with the item that is forgotten. */
static void test_saved_and_forgotten(void **state)
{
    (void)state;
    for (int forgets = 0; forgets < 2; forgets++) {
        struct party p;
        party_open(&p);
        tarn_session_close(p.session);
        snprintf(p.state, sizeof p.state, "%s/state", p.folder.root);
        open_session(&p);
        add(&p, (struct tarn_item_settings){ .seed = true });
        tarn_item_save(p.item); /* there is nothing to say yet */
        assert_true(step_until(&p, TARN_EVENT_COMPLETE));
        unsigned before = folder_count(p.state);
        tarn_item_save(p.item);
        for (int i = 0; i < STEPS_MAX && tarn_item_is_saving(p.item); i++)
            step(&p);
        assert_false(tarn_item_is_saving(p.item));
        unsigned saved = folder_count(p.state);
        assert_true(saved > 0 && saved >= before);
        if (forgets != 0)
            tarn_item_forget(p.item);
        tarn_item_remove(p.item);
        assert_true(forgets != 0 ? folder_count(p.state) < saved : folder_count(p.state) == saved);
        party_close(&p);
    }
}

/* Leaving with nothing to tell is over soon; what is added then is closed with the rest. */
static void test_leaving(void **state)
{
    (void)state;
    struct party p;
    party_open(&p);
    tarn_session_leave(p.session);
    add(&p, (struct tarn_item_settings){ 0 });
    for (int i = 0; i < STEPS_MAX && !tarn_session_has_left(p.session); i++)
        step(&p);
    assert_true(tarn_session_has_left(p.session));
    party_close(&p);
}

TEST_MAIN(cmocka_unit_test(test_removed_from_event), cmocka_unit_test(test_told_while_stepping),
          cmocka_unit_test(test_priorities_at_metadata),
          cmocka_unit_test(test_only_matches_nothing), cmocka_unit_test(test_early_pieces),
          cmocka_unit_test(test_failed_holds_nothing), cmocka_unit_test(test_same_twice),
          cmocka_unit_test(test_saved_and_forgotten), cmocka_unit_test(test_removed_while_leaving),
          cmocka_unit_test(test_leaving))
