/* Web seeds: URLs, what lies where, what answers mean, when to ask again; and runs of the picker.
 */
#include "bt/core/webseed.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/test/test.h"
#include "bt/core/create.h"
#include "bt/core/picker.h"

enum { PIECE = 2 * BT_BLOCK, SECOND = 1000000 };

/* --- URLs --- */

static void expect_url(const struct bt_metainfo *m, const char *base, uint32_t file,
                       const char *wanted)
{
    struct tarn_out o;
    assert_true(bt_webseed_url(m, base, file, &o));
    assert_string_equal((const char *)o.p, wanted);
    tarn_out_release(&o);
}

static void test_urls(void **state)
{
    (void)state;
    struct bt_file single = { .path = "a b.iso", .len = 1 };
    struct bt_file several[] = {
        { .path = "top/a", .len = 1 },
        { .path = "top/\xC3\xBC 50%#?/b+c~d", .len = 1 },
        { .path = "top/safe", .web_path = "top%3A/odd%07", .len = 1 },
        { .path = "top/none", .web_path = "", .len = 1 },
    };
    struct bt_metainfo one = { .files = &single, .n_files = 1, .is_single_file = true };
    struct bt_metainfo many = { .files = several, .n_files = 4 };
    expect_url(&one, "http://h/x.iso", 0, "http://h/x.iso");
    expect_url(&one, "http://h/x.iso?key=1", 0, "http://h/x.iso?key=1");
    expect_url(&one, "http://h/", 0, "http://h/a%20b.iso");
    expect_url(&one, "http://h/#part", 0, "http://h/a%20b.iso");
    expect_url(&many, "http://h", 0, "http://h/top/a");
    expect_url(&many, "http://h/", 0, "http://h/top/a");
    expect_url(&many, "http://h/d", 1, "http://h/d/top/%C3%BC%2050%25%23%3F/b%2Bc~d");
    expect_url(&many, "http://h/d/", 2, "http://h/d/top%3A/odd%07");
    struct tarn_out o;
    assert_false(bt_webseed_url(&many, "http://h/", 3, &o));
}

static void test_usable(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_usable;
    } table[] = {
        { "http://h/", true },  { "https://h", true },     { "HTTP://h:81/x?y", true },
        { "ftp://h/", false },  { "http://", false },      { "http:///x", false },
        { "udp://h:1", false }, { "http://a b/", false },  { "", false },
        { "//h/", false },      { "http://[::1]/", true }, { "file:///etc/passwd", false },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(table); i++)
        if (bt_webseed_is_usable(table[i].url) != table[i].is_usable)
            fail_msg("%s", table[i].url);
    char *longest = tarn_calloc(BT_WEBSEED_URL_MAX + 1, 1);
    int len = snprintf(longest, BT_WEBSEED_URL_MAX + 1, "http://h/%0*d", BT_WEBSEED_URL_MAX - 9, 0);
    assert_int_equal(len, BT_WEBSEED_URL_MAX);
    assert_false(bt_webseed_is_usable(longest));
    tarn_free(longest);
}

static void test_shown(void **state)
{
    (void)state;
    char s[BT_WEBSEED_SHOWN];
    assert_string_equal(bt_webseed_show(s, "http://me:secret@h:80/a/b?key=secret#x"),
                        "http://h/a/b");
    assert_string_equal(bt_webseed_show(s, "https://h:8443"), "https://h:8443");
    assert_string_equal(bt_webseed_show(s, "http://[::1]:81/"), "http://[::1]:81/");
    assert_string_equal(bt_webseed_show(s, "no url ?secret"), "(no URL)");
    assert_string_equal(bt_webseed_host(s, "http://me:secret@h:81/a?b"), "h:81");
    assert_string_equal(bt_webseed_host(s, "https://h:443/"), "h");
}

/* What a torrent calls a file is what is asked for, whatever we have to call it. */
static void test_names_of_torrents(void **state)
{
    (void)state;
    static const char torrent[] =
        "d4:infod5:filesl"
        "d6:lengthi1e4:pathl3:sub4:nameee"
        "d6:lengthi1e4:pathl3:s\\b4:nameee"
        "d6:lengthi1e4:pathl3:s\\b4:nameee"
        "d6:lengthi1e4:pathl2:..4:nameee"
        "e4:name5:a\\b c12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
    struct bt_metainfo m;
    struct tarn_err err;
    if (!bt_metainfo_parse(&m, tarn_bytes_of(torrent, sizeof torrent - 1), &err))
        fail_msg("%s", err.msg);
    expect_url(&m, "http://h/", 0, "http://h/a%5Cb%20c/sub/name");
    expect_url(&m, "http://h/", 1, "http://h/a%5Cb%20c/s%5Cb/name");
    expect_url(&m, "http://h/", 2, "http://h/a%5Cb%20c/s%5Cb/name"); /* renamed beside the other */
    assert_string_not_equal(m.files[1].path, m.files[2].path);
    struct tarn_out o;
    assert_false(bt_webseed_url(&m, "http://h/", 3, &o));
    bt_metainfo_release(&m);

    static const char twice[] = "d4:infod5:filesl"
                                "d6:lengthi1e4:pathl3:a%beed6:lengthi1e4:pathl3:a%beee"
                                "4:name1:n12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
    if (!bt_metainfo_parse(&m, tarn_bytes_of(twice, sizeof twice - 1), &err))
        fail_msg("%s", err.msg);
    assert_null(m.files[0].web_path);
    expect_url(&m, "http://h/", 0, "http://h/n/a%25b");
    expect_url(&m, "http://h/", 1, "http://h/n/a%25b");
    bt_metainfo_release(&m);
}

/* --- what lies where --- */

/* Bit by bit, the slow way. */
static uint32_t file_at(const struct bt_metainfo *m, uint64_t at)
{
    for (uint32_t i = 0; i < m->n_files; i++)
        if (!m->files[i].is_pad && at >= m->files[i].off && at - m->files[i].off < m->files[i].len)
            return i;
    return BT_WEBSEED_NO_FILE;
}

static void test_parts(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 300; round++) {
        struct bt_file files[20];
        uint64_t end = 0;
        uint32_t n = 1 + (uint32_t)test_rand_below(&seed, 20);
        for (uint32_t i = 0; i < n; i++) {
            bool has_gap = test_rand_below(&seed, 4) == 0;
            end += has_gap ? test_rand_below(&seed, 50) : 0;
            uint64_t len = test_rand_below(&seed, 3) == 0 ? 0 : test_rand_below(&seed, 60);
            files[i] = (struct bt_file){ .path = "f", .off = end, .len = len };
            files[i].is_pad = test_rand_below(&seed, 4) == 0;
            end += len;
        }
        uint64_t total = end + 1 + test_rand_below(&seed, 20);
        struct bt_metainfo m = { .files = files, .n_files = n, .piece_len = 64, .total = total };
        uint64_t stop = 1 + test_rand_below(&seed, total);
        for (uint64_t at = test_rand_below(&seed, stop); at < stop;) {
            struct bt_webseed_part part = bt_webseed_part(&m, at, stop);
            assert_true(part.len > 0 && part.len <= stop - at);
            for (uint64_t i = 0; i < part.len; i++)
                assert_int_equal(file_at(&m, at + i), part.file);
            if (part.file != BT_WEBSEED_NO_FILE)
                assert_int_equal(part.off, at - files[part.file].off);
            at += part.len;
        }
    }
}

/* --- answers --- */

static void test_answers(void **state)
{
    (void)state;
    enum { OFF = 1000, LEN = 500, FILE_LEN = 9000 };
#define GOOD .has_range = true, .first = OFF, .last = OFF + LEN - 1
    static const struct {
        struct bt_webseed_answer a;
        uint64_t off;
        enum bt_webseed_verdict v;
        uint64_t take;
    } table[] = {
        { { .status = 206, GOOD }, OFF, BT_WEBSEED_TAKE, LEN },
        { { .status = 206, GOOD, .has_total = true, .total = FILE_LEN },
          OFF,
          BT_WEBSEED_TAKE,
          LEN },
        { { .status = 206, GOOD, .has_length = true, .length = LEN }, OFF, BT_WEBSEED_TAKE, LEN },
        { { .status = 206, .has_range = true, .first = OFF, .last = OFF + 9 },
          OFF,
          BT_WEBSEED_TAKE,
          10 },
        { { .status = 206, GOOD, .has_length = true, .length = LEN + 1 }, OFF, BT_WEBSEED_LIES, 0 },
        { { .status = 206, GOOD, .has_total = true, .total = FILE_LEN + 1 },
          OFF,
          BT_WEBSEED_GONE,
          0 },
        { { .status = 206 }, OFF, BT_WEBSEED_LIES, 0 },
        { { .status = 206, GOOD, .is_range_bad = true }, OFF, BT_WEBSEED_LIES, 0 },
        { { .status = 206, GOOD, .is_coded = true }, OFF, BT_WEBSEED_LIES, 0 },
        { { .status = 206, .has_range = true, .first = OFF + 1, .last = OFF + 9 },
          OFF,
          BT_WEBSEED_LIES,
          0 },
        { { .status = 206, .has_range = true, .first = OFF, .last = OFF + LEN },
          OFF,
          BT_WEBSEED_LIES,
          0 },
        { { .status = 206, .has_range = true, .first = OFF, .last = UINT64_MAX },
          OFF,
          BT_WEBSEED_LIES,
          0 },
        { { .status = 206, .has_range = true, .first = OFF, .last = 3 }, OFF, BT_WEBSEED_LIES, 0 },
        { { .status = 200 }, 0, BT_WEBSEED_TAKE, LEN },
        { { .status = 200, .has_length = true, .length = FILE_LEN }, 0, BT_WEBSEED_TAKE, LEN },
        { { .status = 200, .has_length = true, .length = LEN }, 0, BT_WEBSEED_GONE, 0 },
        { { .status = 200, .has_length = true, .length = FILE_LEN }, OFF, BT_WEBSEED_USELESS, 0 },
        { { .status = 200 }, OFF, BT_WEBSEED_USELESS, 0 },
        { { .status = 400 }, OFF, BT_WEBSEED_GONE, 0 },
        { { .status = 401 }, OFF, BT_WEBSEED_GONE, 0 },
        { { .status = 403 }, OFF, BT_WEBSEED_GONE, 0 },
        { { .status = 404 }, OFF, BT_WEBSEED_GONE, 0 },
        { { .status = 408 }, OFF, BT_WEBSEED_WAIT, 0 },
        { { .status = 410 }, OFF, BT_WEBSEED_GONE, 0 },
        { { .status = 416 }, OFF, BT_WEBSEED_GONE, 0 },
        { { .status = 425 }, OFF, BT_WEBSEED_WAIT, 0 },
        { { .status = 429 }, OFF, BT_WEBSEED_WAIT, 0 },
        { { .status = 500 }, OFF, BT_WEBSEED_WAIT, 0 },
        { { .status = 503 }, OFF, BT_WEBSEED_WAIT, 0 },
        { { .status = 999 }, OFF, BT_WEBSEED_WAIT, 0 },
        { { .status = 204 }, OFF, BT_WEBSEED_LIES, 0 },
        { { .status = 304 }, OFF, BT_WEBSEED_LIES, 0 },
    };
#undef GOOD
    for (size_t i = 0; i < TARN_COUNT_OF(table); i++) {
        struct tarn_err err = { .code = TARN_OK };
        uint64_t take;
        enum bt_webseed_verdict v =
            bt_webseed_judge(&table[i].a, table[i].off, LEN, FILE_LEN, &take, &err);
        if (v != table[i].v || take != table[i].take ||
            (v == BT_WEBSEED_TAKE) != (err.code == TARN_OK))
            fail_msg("row %zu: verdict %d, take %llu, '%s'", i, (int)v, (unsigned long long)take,
                     err.msg);
    }
}

/* --- the record --- */

static void test_waiting(void **state)
{
    (void)state;
    struct bt_webseed_record r = { 0 };
    int64_t wait_s = BT_WEBSEED_WAIT_S;
    for (int i = 0; i < 300; i++) {
        bt_webseed_failed(&r, BT_WEBSEED_WAIT, 0, 1000);
        assert_int_equal(r.next_us, 1000 + wait_s * SECOND);
        wait_s = wait_s * 2 > BT_WEBSEED_WAIT_MAX_S ? BT_WEBSEED_WAIT_MAX_S : wait_s * 2;
    }
    assert_false(r.is_dropped);
    bt_webseed_went_well(&r, 1 << 20, SECOND);
    assert_int_equal(r.fails, 0);
    bt_webseed_failed(&r, BT_WEBSEED_WAIT, 60, 0); /* Retry-After, longer than our own wait */
    assert_int_equal(r.next_us, (int64_t)60 * SECOND);
    bt_webseed_failed(&r, BT_WEBSEED_WAIT, 1, 0); /* and shorter */
    assert_int_equal(r.next_us, (int64_t)2 * BT_WEBSEED_WAIT_S * SECOND);
    bt_webseed_failed(&r, BT_WEBSEED_WAIT, UINT32_MAX, 0);
    assert_int_equal(r.next_us, (int64_t)BT_WEBSEED_RETRY_MAX_S * SECOND);
}

static void test_giving_up(void **state)
{
    (void)state;
    struct bt_webseed_record r = { 0 };
    for (int i = 0; i < BT_WEBSEED_GONE_MAX - 1; i++)
        bt_webseed_failed(&r, BT_WEBSEED_GONE, 0, 0);
    assert_int_equal(r.next_us, 0); /* other files may be there */
    bt_webseed_failed(&r, BT_WEBSEED_GONE, 0, 0);
    assert_true(r.next_us > 0);
    assert_false(r.is_dropped);
    for (int i = 0; i < BT_WEBSEED_BAD_MAX; i++) {
        assert_false(r.is_dropped);
        bt_webseed_sent_bad(&r);
    }
    assert_true(r.is_dropped);
    r = (struct bt_webseed_record){ 0 };
    for (int i = 0; i < BT_WEBSEED_BAD_MAX; i++) {
        assert_false(r.is_dropped);
        bt_webseed_failed(&r, BT_WEBSEED_LIES, 0, 0);
        bt_webseed_went_well(&r, 1 << 20, SECOND); /* does not undo it */
    }
    assert_true(r.is_dropped);
    r = (struct bt_webseed_record){ 0 };
    bt_webseed_failed(&r, BT_WEBSEED_USELESS, 0, 0);
    assert_true(r.is_dropped);
}

static void test_runs_by_rate(void **state)
{
    (void)state;
    struct bt_webseed_record r = { 0 };
    assert_int_equal(bt_webseed_run(&r), BT_WEBSEED_RUN_MIN);
    bt_webseed_went_well(&r, 2000000, SECOND);
    assert_int_equal(r.rate_bps, 2000000);
    assert_int_equal(bt_webseed_run(&r), 8000000);
    bt_webseed_went_well(&r, 1000, 1); /* says nothing about the rate */
    assert_int_equal(r.rate_bps, 2000000);
    bt_webseed_went_well(&r, UINT64_MAX / 4, 1);
    assert_int_equal(bt_webseed_run(&r), BT_WEBSEED_RUN_MAX);
    r.rate_bps = UINT64_MAX;
    assert_int_equal(bt_webseed_run(&r), BT_WEBSEED_RUN_MAX);
}

/* --- runs of the picker --- */

struct table {
    struct bt_file file;
    struct bt_metainfo m;
    struct tarn_bits have;
    struct bt_picker p;
};

static void table_init(struct table *t, uint32_t n)
{
    uint64_t total = (uint64_t)n * PIECE - 100;
    t->file = (struct bt_file){ .path = "f", .len = total };
    t->m = (struct bt_metainfo){
        .files = &t->file, .n_files = 1, .piece_len = PIECE, .n_pieces = n, .total = total
    };
    assert_true(tarn_bits_init(&t->have, n));
    assert_true(bt_picker_init(&t->p, &t->m, &t->have, 1, NULL));
}

static void table_release(struct table *t)
{
    bt_picker_release(&t->p);
    tarn_bits_release(&t->have);
}

static struct bt_pick_run asker(bt_peer_no peer, uint32_t pieces)
{
    return (struct bt_pick_run){ .peer = peer,
                                 .max_bytes = (uint64_t)pieces * PIECE,
                                 .max_pieces = SIZE_MAX,
                                 .near = UINT32_MAX };
}

static void expect_run(struct table *t, const struct bt_pick_run *who, uint64_t from, uint64_t to)
{
    uint64_t a, b;
    assert_true(bt_picker_pick_run(&t->p, who, &a, &b));
    assert_int_equal(a, from);
    assert_int_equal(b, to);
}

static void test_run_order(void **state)
{
    (void)state;
    struct table t;
    uint64_t a, b;
    table_init(&t, 100);
    struct bt_pick_run who = asker(1, 10);
    expect_run(&t, &who, 0, (uint64_t)10 * PIECE);
    who.near = 10;
    expect_run(&t, &who, (uint64_t)10 * PIECE, (uint64_t)20 * PIECE); /* where the last one ended */
    struct bt_pick_run other = asker(2, 10);
    expect_run(&t, &other, (uint64_t)60 * PIECE, (uint64_t)70 * PIECE); /* the gap's other half */
    other.max_pieces = 3;
    other.near = 70;
    expect_run(&t, &other, (uint64_t)70 * PIECE, (uint64_t)73 * PIECE);
    other.max_pieces = 0;
    assert_false(bt_picker_pick_run(&t.p, &other, &a, &b));
    other.max_pieces = 5;
    other.near = 73;
    other.max_bytes = 1; /* a whole piece all the same */
    expect_run(&t, &other, (uint64_t)73 * PIECE, (uint64_t)74 * PIECE);
    bt_picker_set_piece(&t.p, 50, BT_PRIORITY_TOP);
    expect_run(&t, &who, (uint64_t)50 * PIECE, (uint64_t)51 * PIECE); /* priorities come first */
    table_release(&t);

    table_init(&t, 100);
    bt_picker_set_sequential(&t.p, true, 0);
    who.near = 80;
    expect_run(&t, &who, 0, (uint64_t)10 * PIECE);
    expect_run(&t, &other, (uint64_t)10 * PIECE, (uint64_t)11 * PIECE);
    table_release(&t);
}

static void test_run_takes_what_was_left(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, 20);
    struct bt_pick_run who = asker(1, 4), other = asker(2, 4);
    expect_run(&t, &who, 0, (uint64_t)4 * PIECE);
    struct bt_request first = { 0, 0, BT_BLOCK };
    assert_true(bt_picker_got(&t.p, &first, 1).is_new);
    bt_picker_release_peer(&t.p, 1);                       /* it failed behind its first block */
    expect_run(&t, &other, BT_BLOCK, (uint64_t)4 * PIECE); /* gone on with, not begun elsewhere */
    table_release(&t);
}

static void test_run_leaves_the_end_to_the_fast(void **state)
{
    (void)state;
    struct table t;
    uint64_t a, b;
    table_init(&t, 2);
    struct bt_request asked[4];
    struct bt_pick fast = { .peer = 3, .speed = BT_SPEED_FAST };
    assert_int_equal(bt_picker_pick(&t.p, &fast, 4, asked), 4);
    struct bt_pick_run who = asker(1, 4);
    assert_false(bt_picker_pick_run(&t.p, &who, &a, &b));
    table_release(&t);

    table_init(&t, 2);
    struct bt_pick slow = { .peer = 3, .speed = BT_SPEED_SLOW };
    assert_int_equal(bt_picker_pick(&t.p, &slow, 4, asked), 4);
    assert_true(bt_picker_pick_run(&t.p, &who, &a, &b)); /* who is slow is helped */
    assert_true(b > a && b - a <= PIECE);
    bt_picker_release_peer(&t.p, 3);
    bt_picker_release_peer(&t.p, 1);
    assert_int_equal(t.p.n_partials, 0);
    table_release(&t);
}

/* Random sources, one of them by blocks: all arrives, nothing twice but in end game, and no run
 * holds what is here or what another was asked for. */
static void test_runs_complete(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 40; round++) {
        struct table t;
        uint32_t n = 1 + (uint32_t)test_rand_below(&seed, 60);
        table_init(&t, n);
        if (test_rand_below(&seed, 2) == 0)
            bt_picker_set_sequential(&t.p, true, 0);
        unsigned idle = 0;
        while (!bt_picker_done(&t.p)) {
            bt_peer_no peer = (bt_peer_no)test_rand_below(&seed, 3);
            struct bt_pick_run who = asker(peer, 1 + (uint32_t)test_rand_below(&seed, 8));
            uint64_t from, to;
            t.p.max_partials = t.p.n_partials + test_rand_below(&seed, 6);
            bool is_free = t.p.n_free > 0 || t.p.n_partials < t.p.need.count;
            if (!bt_picker_pick_run(&t.p, &who, &from, &to)) {
                assert_true(++idle < 1000);
                continue;
            }
            idle = 0;
            assert_true(from < to && to <= t.m.total);
            uint64_t stop = from + test_rand_below(&seed, to - from + 1);
            for (uint64_t at = from; at < to;) {
                uint32_t piece = (uint32_t)(at / PIECE), begin = (uint32_t)(at % PIECE);
                struct bt_request r = { piece, begin,
                                        bt_picker_block_len(&t.p, piece, begin / BT_BLOCK) };
                assert_int_equal(begin % BT_BLOCK, 0);
                assert_true(bt_picker_wants(&t.p, &r));
                if (at < stop) {
                    struct bt_block_got got = bt_picker_got(&t.p, &r, peer);
                    assert_true(got.is_new);
                    assert_true(!is_free || got.n_cancel == 0);
                    if (got.piece_full)
                        bt_picker_good(&t.p, piece);
                }
                at += r.len;
            }
            bt_picker_release_peer(&t.p, peer);
        }
        assert_int_equal(t.have.count, n);
        assert_int_equal(t.p.n_partials, 0);
        assert_int_equal(t.p.n_free, 0);
        table_release(&t);
    }
}

TEST_MAIN(cmocka_unit_test(test_urls), cmocka_unit_test(test_usable), cmocka_unit_test(test_shown),
          cmocka_unit_test(test_names_of_torrents), cmocka_unit_test(test_parts),
          cmocka_unit_test(test_answers), cmocka_unit_test(test_waiting),
          cmocka_unit_test(test_giving_up), cmocka_unit_test(test_runs_by_rate),
          cmocka_unit_test(test_run_order), cmocka_unit_test(test_run_takes_what_was_left),
          cmocka_unit_test(test_run_leaves_the_end_to_the_fast),
          cmocka_unit_test(test_runs_complete))
