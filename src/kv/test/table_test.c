/* What is in the tables: examples, limits, and a long random run beside a plain sorted array. */
#include "base/cur.h"
#include "kv/key.h"
#include "kv/test/room.h"

static struct tarn_bytes str(const char *s)
{
    return tarn_bytes_str(s);
}

static void test_what_was_written_is_there_after_opening_again(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    room_expect(kv, WORDS, "a", NULL);
    room_put(kv, WORDS, "a", "one");
    room_put(kv, WORDS, "b", "");
    room_put(kv, NUMBERS, "a", "1");
    room_expect(kv, WORDS, "a", "one");
    uint64_t seq = kv_seq(kv);
    kv_close(kv);
    kv = room_open_usual();
    assert_int_equal(kv_seq(kv), seq); /* opening writes nothing */
    room_expect(kv, WORDS, "a", "one");
    room_expect(kv, WORDS, "b", "");
    room_expect(kv, NUMBERS, "a", "1");
    room_expect(kv, NUMBERS, "b", NULL);
    room_put(kv, WORDS, "a", NULL);
    assert_true(kv_seq(kv) > seq);
    seq = kv_seq(kv);
    room_put(kv, WORDS, "a", NULL); /* fine when there is none, and no commit */
    assert_int_equal(kv_seq(kv), seq);
    room_expect(kv, WORDS, "a", NULL);
    assert_int_equal(room_count(kv, WORDS), 1);
    kv_close(kv);
    kv_close(NULL);
}

static void test_a_read_sees_one_state(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct tarn_bytes got;
    room_put(kv, WORDS, "a", "old");
    struct kv_read r = { 0 };
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_int_equal(kv_read_seq(&r), kv_seq(kv));
    assert_int_equal(kv_get(&r, WORDS, str("a"), &got, NULL), KV_FOUND);
    struct kv_stat st = room_stat(kv);
    assert_int_equal(st.reads, 1);
    /* Harmless here: the map need not grow. */
    room_put(kv, WORDS, "a", "new");
    assert_true(tarn_bytes_eq_str(got, "old"));
    assert_int_equal(kv_get(&r, WORDS, str("a"), &got, NULL), KV_FOUND);
    assert_true(tarn_bytes_eq_str(got, "old"));
    assert_true(kv_read_seq(&r) < kv_seq(kv));
    kv_read_end(&r);
    kv_read_end(&r);
    room_expect(kv, WORDS, "a", "new");
    kv_close(kv);
}

/* Cursors. */

static void expect_at(const struct kv_cursor *c, enum kv_got got, const char *key)
{
    assert_int_equal(got, key == NULL ? KV_NONE : KV_FOUND);
    if (key != NULL)
        assert_true(tarn_bytes_eq_str(c->key, key));
}

static void test_cursors_go_both_ways_and_turn_at_the_ends(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct kv_read r = { 0 };
    struct kv_cursor c = { 0 };
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_true(kv_cursor_open(&r, WORDS, &c, NULL));
    expect_at(&c, kv_next(&c, NULL), NULL); /* of an empty table */
    expect_at(&c, kv_prev(&c, NULL), NULL);
    expect_at(&c, kv_seek_before(&c, str("x"), NULL), NULL);
    kv_cursor_close(&c);
    kv_cursor_close(&c);
    kv_read_end(&r);
    room_put(kv, WORDS, "b", "2");
    room_put(kv, WORDS, "d", "4");
    room_put(kv, WORDS, "bb", "3");
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_true(kv_cursor_open(&r, WORDS, &c, NULL));
    expect_at(&c, kv_prev(&c, NULL), NULL); /* at first it stands before all */
    expect_at(&c, kv_next(&c, NULL), "b");
    expect_at(&c, kv_next(&c, NULL), "bb");
    expect_at(&c, kv_next(&c, NULL), "d");
    expect_at(&c, kv_next(&c, NULL), NULL);
    expect_at(&c, kv_next(&c, NULL), NULL);
    expect_at(&c, kv_prev(&c, NULL), "d");
    expect_at(&c, kv_prev(&c, NULL), "bb");
    expect_at(&c, kv_prev(&c, NULL), "b");
    expect_at(&c, kv_prev(&c, NULL), NULL);
    expect_at(&c, kv_next(&c, NULL), "b");
    expect_at(&c, kv_last(&c, NULL), "d");
    expect_at(&c, kv_first(&c, NULL), "b");
    expect_at(&c, kv_seek(&c, str(""), NULL), "b");
    expect_at(&c, kv_seek(&c, str("b"), NULL), "b");
    expect_at(&c, kv_seek(&c, str("bc"), NULL), "d");
    expect_at(&c, kv_seek(&c, str("e"), NULL), NULL);
    expect_at(&c, kv_prev(&c, NULL), "d");
    expect_at(&c, kv_seek_before(&c, str("d"), NULL), "bb");
    expect_at(&c, kv_seek_before(&c, str("b"), NULL), NULL);
    expect_at(&c, kv_next(&c, NULL), "b");
    expect_at(&c, kv_seek_before(&c, str("z"), NULL), "d");
    kv_cursor_close(&c);
    kv_read_end(&r);
    kv_close(kv);
}

/* Limits. */

static void test_the_longest_key_fits_and_a_longer_one_is_refused(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct tarn_err err = { 0 };
    uint8_t bytes[KV_KEY_MAX + 1];
    memset(bytes, 'k', sizeof bytes);
    assert_true(room_try_put(kv, WORDS, tarn_bytes_of(bytes, KV_KEY_MAX), str("v"), &err));
    assert_false(room_try_put(kv, WORDS, tarn_bytes_of(bytes, KV_KEY_MAX + 1), str("v"), &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "511"));
    assert_false(room_try_put(kv, WORDS, str(""), str("v"), &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "empty"));
    KV_AUTO_READ r = { 0 };
    struct tarn_bytes got;
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_int_equal(kv_get(&r, WORDS, tarn_bytes_of(bytes, KV_KEY_MAX), &got, NULL), KV_FOUND);
    assert_int_equal(kv_get(&r, WORDS, tarn_bytes_of(bytes, KV_KEY_MAX + 1), &got, NULL), KV_NONE);
    assert_int_equal(kv_get(&r, WORDS, str(""), &got, NULL), KV_NONE);
    kv_read_end(&r);
    kv_close(kv);
}

static void test_the_longest_value_fits_and_a_longer_one_is_refused(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct tarn_err err = { 0 };
    struct tarn_bytes got;
    uint8_t *bytes = tarn_calloc(KV_VALUE_MAX + 1, 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < KV_VALUE_MAX; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 12));
    assert_true(room_try_put(kv, WORDS, str("a"), tarn_bytes_of(bytes, KV_VALUE_MAX), &err));
    assert_false(room_try_put(kv, WORDS, str("b"), tarn_bytes_of(bytes, KV_VALUE_MAX + 1), &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "16777216"));
    assert_non_null(strstr(err.msg, "16777217"));
    struct kv_read r = { 0 };
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_int_equal(kv_get(&r, WORDS, str("a"), &got, NULL), KV_FOUND);
    assert_true(tarn_bytes_eq(got, tarn_bytes_of(bytes, KV_VALUE_MAX)));
    kv_read_end(&r);
    kv_close(kv);
    tarn_free(bytes);
}

static void test_appending_needs_the_order(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct tarn_err err = { 0 };
    struct room_put p = {
        .w.run = room_run_put, .table = NUMBERS, .value = str("v"), .is_append = true
    };
    p.key = str("b");
    assert_true(kv_write_now(kv, &p.w, &err));
    p.key = str("c");
    assert_true(kv_write_now(kv, &p.w, &err));
    p.key = str("a");
    assert_false(kv_write_now(kv, &p.w, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    p.key = str("c");
    assert_false(kv_write_now(kv, &p.w, &err));
    assert_int_equal(room_count(kv, NUMBERS), 2);
    kv_close(kv);
}

static void test_keys_sort_as_their_numbers(void **state)
{
    (void)state;
    static const uint64_t numbers[] = { 0, 1, 255, 256, 65536, UINT32_MAX, 1ULL << 32, UINT64_MAX };
    struct kv_key before = { 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(numbers); i++) {
        struct kv_key k = { 0 };
        kv_key_u8(&k, 7);
        kv_key_be64(&k, numbers[i]);
        kv_key_be32(&k, 9);
        assert_true(tarn_bytes_cmp(kv_key_bytes(&before), kv_key_bytes(&k)) < 0);
        struct tarn_cur c = tarn_cur_of(kv_key_bytes(&k));
        assert_int_equal(tarn_cur_u8(&c), 7);
        assert_int_equal(tarn_cur_be64(&c), numbers[i]);
        assert_int_equal(tarn_cur_be32(&c), 9);
        assert_true(tarn_cur_done(&c));
        before = k;
    }
    uint8_t long_name[KV_KEY_MAX] = { 0 };
    struct kv_key k = { 0 };
    kv_key_put(&k, tarn_bytes_of(long_name, KV_KEY_MAX - 4));
    kv_key_be32(&k, 1);
    assert_int_equal(kv_key_bytes(&k).len, KV_KEY_MAX);
    kv_key_u8(&k, 1); /* from here on it is too long, whatever follows */
    kv_key_put(&k, tarn_bytes_of(NULL, 0));
    kv_key_put(&k, tarn_bytes_of(long_name, KV_KEY_MAX));
    assert_true(kv_key_bytes(&k).len > KV_KEY_MAX);
}

/* Scans. */

struct seen {
    char keys[64];
    size_t n, most;
};

static bool note_key(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    struct seen *s = arg;
    (void)value;
    size_t len = strlen(s->keys);
    snprintf(s->keys + len, sizeof s->keys - len, "%.*s ", (int)key.len, (const char *)key.p);
    return ++s->n < s->most;
}

static void test_scans_keep_to_their_range(void **state)
{
    (void)state;
    static const struct {
        const char *from, *prefix;
        size_t most;
        const char *seen;
    } cases[] = {
        { "", "", 99, "a b/1 b/2 b0 c " },
        { "", "b/", 99, "b/1 b/2 " },
        { "b/2", "b/", 99, "b/2 " },
        { "a", "b/", 99, "b/1 b/2 " },
        { "c", "b/", 99, "" },
        { "b", "", 99, "b/1 b/2 b0 c " },
        { "", "d", 99, "" },
        { "", "", 2, "a b/1 " },
    };
    struct kv *kv = room_open_usual();
    room_put(kv, WORDS, "a", "");
    room_put(kv, WORDS, "b/1", "");
    room_put(kv, WORDS, "b/2", "");
    room_put(kv, WORDS, "b0", "");
    room_put(kv, WORDS, "c", "");
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct seen s = { .most = cases[i].most };
        struct kv_range range = { WORDS, str(cases[i].from), str(cases[i].prefix) };
        assert_true(kv_scan(kv, &range, note_key, &s, NULL));
        assert_string_equal(s.keys, cases[i].seen);
    }
    kv_close(kv);
}

/* Beside a sorted array. */

enum { MODEL_MAX = 4000, OPS_MAX = 60, WRITES = 6, ROUNDS = 400 };

struct record {
    uint16_t key_len;
    uint32_t value_len;
    uint8_t key[KV_KEY_MAX];
    uint8_t seed; /* of the value's bytes */
};

struct model {
    size_t n;
    struct record at[MODEL_MAX];
};

enum kind { PUT, APPEND, DEL, DEL_PREFIX, THIN_OUT, KINDS };

struct op {
    enum kind kind;
    struct record rec;
};

struct batch {
    struct kv_write w;
    struct op ops[OPS_MAX];
    size_t n;
    bool fails, ran;
    struct tarn_err err;
};

static struct tarn_bytes key_of(const struct record *r)
{
    return tarn_bytes_of(r->key, r->key_len);
}

static uint8_t value_bytes[20000 + 256];

static struct tarn_bytes value_of(const struct record *r)
{
    return tarn_bytes_of(value_bytes + r->seed, r->value_len);
}

static size_t model_find(const struct model *m, struct tarn_bytes key)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (tarn_bytes_cmp(key_of(&m->at[mid]), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool model_has(const struct model *m, size_t i, struct tarn_bytes key)
{
    return i < m->n && tarn_bytes_eq(key_of(&m->at[i]), key);
}

static void model_drop(struct model *m, size_t i)
{
    memmove(&m->at[i], &m->at[i + 1], (m->n - i - 1) * sizeof m->at[0]);
    m->n--;
}

static void model_put(struct model *m, const struct record *r)
{
    size_t i = model_find(m, key_of(r));
    if (!model_has(m, i, key_of(r))) {
        assert_true(m->n < MODEL_MAX);
        memmove(&m->at[i + 1], &m->at[i], (m->n - i) * sizeof m->at[0]);
        m->n++;
    }
    m->at[i] = *r;
}

/* Of all records with the prefix every third stays. */
static bool is_thinned(size_t i)
{
    return i % 3 != 0;
}

static void model_do(struct model *m, const struct op *op)
{
    struct tarn_bytes key = key_of(&op->rec);
    size_t i = model_find(m, key);
    switch (op->kind) {
    case PUT:
        model_put(m, &op->rec);
        break;
    case APPEND:
        if (i == m->n)
            model_put(m, &op->rec);
        break;
    case DEL:
        if (model_has(m, i, key))
            model_drop(m, i);
        break;
    case DEL_PREFIX:
        while (i < m->n && kv_has_prefix(key_of(&m->at[i]), key))
            model_drop(m, i);
        break;
    case THIN_OUT:
        for (size_t n = 0; i < m->n && kv_has_prefix(key_of(&m->at[i]), key); n++)
            if (is_thinned(n))
                model_drop(m, i);
            else
                i++;
        break;
    case KINDS:
        break;
    }
}

static bool thin_out(struct kv_txn *t, struct tarn_bytes prefix, struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    if (!kv_cursor_open(&t->read, WORDS, &c, err))
        return false;
    enum kv_got got = kv_seek(&c, prefix, err);
    for (size_t n = 0; got == KV_FOUND && kv_has_prefix(c.key, prefix); n++) {
        if (is_thinned(n) && !kv_txn_del_at(t, &c, err))
            return false;
        got = kv_next(&c, err);
    }
    return got != KV_FAILED;
}

static bool run_op(struct kv_txn *t, const struct op *op, struct tarn_err *err)
{
    struct tarn_bytes key = key_of(&op->rec);
    switch (op->kind) {
    case PUT:
        return kv_txn_put(t, WORDS, key, value_of(&op->rec), err);
    case APPEND:
        return kv_txn_append(t, WORDS, key, value_of(&op->rec), err) || err->code == TARN_E_USAGE;
    case DEL:
        return kv_txn_del(t, WORDS, key, err) != KV_FAILED;
    case DEL_PREFIX:
        return kv_txn_del_prefix(t, WORDS, key, err);
    case THIN_OUT:
        return thin_out(t, key, err);
    case KINDS:
        break;
    }
    return false;
}

static bool run_batch(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct batch *b = TARN_OUTER(w, struct batch, w);
    for (size_t i = 0; i < b->n; i++)
        if (!run_op(t, &b->ops[i], err))
            return false;
    return !b->fails || tarn_fail(err, TARN_E_CANCELED, "as told");
}

static void batch_done(struct kv_write *w, const struct tarn_err *err)
{
    struct batch *b = TARN_OUTER(w, struct batch, w);
    if (err != NULL)
        b->err = *err;
    b->ran = true;
}

static void make_record(struct record *r, uint64_t *chance, size_t least)
{
    *r = (struct record){ 0 };
    size_t len = least + test_rand_below(chance, 4);
    if (test_rand_below(chance, 30) == 0)
        len = KV_KEY_MAX - test_rand_below(chance, 30);
    r->key_len = (uint16_t)len;
    memset(r->key, 'x', len);
    for (size_t i = 0; i < len && i < 4; i++)
        r->key[i] = (uint8_t)("\0abcdefg\xff"[test_rand_below(chance, 9)]);
    r->value_len = (uint32_t)test_rand_below(chance, 60);
    if (test_rand_below(chance, 20) == 0)
        r->value_len = (uint32_t)test_rand_below(chance, 20000); /* a few pages */
    r->seed = (uint8_t)test_rand(chance);
}

static void make_batch(struct batch *b, uint64_t *chance)
{
    *b = (struct batch){ .w = { .run = run_batch, .done = batch_done } };
    b->n = 1 + test_rand_below(chance, OPS_MAX);
    b->fails = test_rand_below(chance, 5) == 0;
    for (size_t i = 0; i < b->n; i++) {
        uint64_t roll = test_rand_below(chance, 100);
        b->ops[i].kind = roll < 60   ? PUT
                         : roll < 70 ? APPEND
                         : roll < 92 ? DEL
                         : roll < 98 ? THIN_OUT
                                     : DEL_PREFIX;
        make_record(&b->ops[i].rec, chance, b->ops[i].kind == DEL_PREFIX ? 2 : 1);
    }
}

static void expect_record(const struct kv_cursor *c, enum kv_got got, const struct model *m,
                          size_t i)
{
    assert_int_equal(got, i < m->n ? KV_FOUND : KV_NONE);
    if (i >= m->n)
        return;
    assert_true(tarn_bytes_eq(c->key, key_of(&m->at[i])));
    assert_true(tarn_bytes_eq(c->value, value_of(&m->at[i])));
}

static void compare(struct kv *kv, const struct model *m, uint64_t *chance)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR c = { 0 };
    uint64_t n;
    assert_true(kv_read_begin(kv, &r, NULL) && kv_cursor_open(&r, WORDS, &c, NULL));
    assert_true(kv_count(&r, WORDS, &n, NULL));
    assert_int_equal(n, m->n);
    for (size_t i = 0; i <= m->n; i++)
        expect_record(&c, kv_next(&c, NULL), m, i);
    for (size_t i = m->n; i-- > 0;)
        expect_record(&c, kv_prev(&c, NULL), m, i);
    assert_int_equal(kv_prev(&c, NULL), KV_NONE);
    for (int i = 0; i < 20; i++) {
        struct record rec;
        struct tarn_bytes value;
        make_record(&rec, chance, 1);
        size_t at = model_find(m, key_of(&rec));
        bool is_there = model_has(m, at, key_of(&rec));
        assert_int_equal(kv_get(&r, WORDS, key_of(&rec), &value, NULL),
                         is_there ? KV_FOUND : KV_NONE);
        expect_record(&c, kv_seek(&c, key_of(&rec), NULL), m, at);
        expect_record(&c, kv_seek_before(&c, key_of(&rec), NULL), m, at == 0 ? m->n : at - 1);
    }
}

static void test_random_writes_beside_a_sorted_array(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.map_size = 256 * TARN_KIB; /* so that it also grows, in the middle of a group */
    struct kv *kv = room_open(&set);
    struct model *m = tarn_calloc(1, sizeof *m);
    struct batch *batches = tarn_calloc(WRITES, sizeof *batches);
    uint64_t chance = test_seed();
    for (size_t i = 0; i < sizeof value_bytes; i++)
        value_bytes[i] = (uint8_t)test_rand(&chance);
    for (int round = 0; round < ROUNDS; round++) {
        struct room_gate gate;
        size_t n = 1 + test_rand_below(&chance, WRITES);
        for (size_t i = 0; i < n; i++)
            make_batch(&batches[i], &chance);
        room_gate_shut(&gate, kv);
        for (size_t i = 0; i < n; i++)
            kv_submit(kv, &batches[i].w);
        room_gate_open(&gate);
        room_put(kv, NUMBERS, "round", "over"); /* behind all the others */
        for (size_t i = 0; i < n; i++) {
            assert_true(batches[i].ran);
            if (batches[i].err.code != (batches[i].fails ? TARN_E_CANCELED : TARN_OK))
                fail_msg("round %d: %d %s", round, (int)batches[i].err.code, batches[i].err.msg);
            for (size_t o = 0; !batches[i].fails && o < batches[i].n; o++)
                model_do(m, &batches[i].ops[o]);
        }
        compare(kv, m, &chance);
        if (round % 100 == 99) {
            kv_close(kv);
            kv = room_open(&set);
            compare(kv, m, &chance);
        }
    }
    assert_true(m->n > 100);
    kv_close(kv);
    tarn_free(batches);
    tarn_free(m);
}

TEST_MAIN(IN_ROOM(test_what_was_written_is_there_after_opening_again),
          IN_ROOM(test_a_read_sees_one_state),
          IN_ROOM(test_cursors_go_both_ways_and_turn_at_the_ends),
          IN_ROOM(test_the_longest_key_fits_and_a_longer_one_is_refused),
          IN_ROOM(test_the_longest_value_fits_and_a_longer_one_is_refused),
          IN_ROOM(test_appending_needs_the_order), IN_ROOM(test_keys_sort_as_their_numbers),
          IN_ROOM(test_scans_keep_to_their_range),
          IN_ROOM(test_random_writes_beside_a_sorted_array))
