/* A configuration that changes: what it wants is there afterwards, and nothing is read twice. */
#include "catalog/test/world.h"

enum { BYTES = 5 + 5 }; /* of the files below */

static struct world w;
static char one[128], two[128], three[128], link_[128];

struct answer {
    struct catalog_configure_ask ask;
    unsigned refused;
    struct tarn_err why; /* the last */
    bool is_done;
};

static void on_refused(struct catalog_configure_ask *a, const struct tarn_err *why)
{
    struct answer *answer = TARN_OUTER(a, struct answer, ask);
    assert_false(answer->is_done);
    answer->refused++;
    answer->why = *why;
}

static void on_done(struct catalog_configure_ask *a)
{
    TARN_OUTER(a, struct answer, ask)->is_done = true;
}

struct section {
    const char *name, *path; /* NULL: no more of them */
};

static struct answer configure(struct section a, struct section b)
{
    const struct section sections[] = { a, b };
    struct catalog_spec specs[2] = { { 0 } };
    struct answer answer = { .ask = { .refused = on_refused, .done = on_done } };
    size_t n = 0;
    for (size_t i = 0; i < 2; i++)
        if (sections[i].path != NULL)
            specs[n++] = (struct catalog_spec){ .path = sections[i].path,
                                                .name = sections[i].name,
                                                .bt = CATALOG_BT_HYBRID,
                                                .http = true };
    catalog_configure(w.catalog, specs, n, &answer.ask);
    assert_false(answer.is_done);
    WORLD_UNTIL(&w, answer.is_done);
    world_settle(&w);
    return answer;
}

static const struct section none;

static void expect_all(struct section a, struct section b)
{
    struct answer answer = configure(a, b);
    if (answer.refused != 0)
        fail_msg("%s", answer.why.msg);
}

/* The number of the collection of this name, and it is of this path; 0: there is none. */
static uint32_t number(const char *name, const char *path)
{
    struct catalog_read r;
    struct catalog_collection c;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    enum catalog_found found = catalog_collection_named(&r, tarn_bytes_str(name), &c, NULL);
    assert_int_not_equal(found, CATALOG_FAILED);
    uint32_t id = found == CATALOG_FOUND ? c.id : 0;
    if (id != 0) {
        assert_true(tarn_bytes_eq_str(c.name, name));
        if (!tarn_bytes_eq_str(c.path, path))
            fail_msg("'%s' is of '%.*s'", name, (int)c.path.len, (const char *)c.path.p);
        assert_int_equal(c.phase, CATALOG_COMPLETE);
        assert_int_equal(c.origin, CATALOG_CONFIGURED);
    }
    catalog_read_end(&r);
    return id;
}

static uint64_t collections(void)
{
    struct catalog_read r;
    struct catalog_totals t;
    struct catalog_collection c = { 0 };
    uint64_t n = 0;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_true(catalog_totals(&r, &t, NULL));
    while (catalog_collection_next(&r, c.id, &c, NULL) == CATALOG_FOUND)
        n++;
    catalog_read_end(&r);
    assert_int_equal(t.collections, n);
    return n;
}

static void make(char *path, size_t size, const char *name, const char *text)
{
    char file[64];
    snprintf(path, size, "%s/%s", w.tree, name);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(file, sizeof file, "%s/file", name);
    world_text(&w, file, text);
}

static int enter(void **state)
{
    (void)state;
    world_begin(&w);
    make(one, sizeof one, "one", "first");
    make(two, sizeof two, "two", "other");
    make(three, sizeof three, "three", "third");
    snprintf(link_, sizeof link_, "%s/link", w.folder);
    assert_int_equal(symlink(one, link_), 0);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    world_end(&w);
    return 0;
}

#define SECTION(name, path) ((struct section){ name, path })

static void test_a_path_is_changed(void **state)
{
    (void)state;
    expect_all(SECTION("www", one), none);
    uint32_t first = number("www", one);
    expect_all(SECTION("www", two), none);
    assert_int_not_equal(number("www", two), first);
    assert_int_equal(collections(), 1);
    assert_int_equal(world_bytes_read(&w), BYTES);
    expect_all(SECTION("www", w.tree), none); /* around it */
    assert_true(number("www", w.tree) != 0);
    expect_all(SECTION("www", one), none); /* and inside */
    assert_true(number("www", one) != 0);
    assert_int_equal(collections(), 1);
    expect_all(none, none);
    assert_int_equal(collections(), 0);
}

static void test_a_link_leads_elsewhere(void **state)
{
    (void)state;
    expect_all(SECTION("www", link_), none);
    assert_true(number("www", one) != 0);
    assert_int_equal(unlink(link_), 0);
    assert_int_equal(symlink(two, link_), 0);
    expect_all(SECTION("www", link_), none);
    assert_true(number("www", two) != 0);
    assert_int_equal(collections(), 1);
}

static bool is_told(const char *other)
{
    struct catalog_read r;
    struct catalog_change ch;
    uint64_t seq = 0;
    bool is = false;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    for (; catalog_change_next(&r, seq, &ch, NULL) == CATALOG_FOUND; seq = ch.seq)
        is |= ch.event == CATALOG_E_COLLECTION_CHANGED && tarn_bytes_eq_str(ch.other, other);
    catalog_read_end(&r);
    return is;
}

/* Also where the path is that of a link, and the folder was published by command. */
static void test_a_name_is_changed(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "b", "a" };
    struct catalog_spec spec = {
        .path = one, .name = "own", .bt = CATALOG_BT_HYBRID, .http = true
    };
    struct catalog_ask a;
    assert_true(world_try_publish(&w, &spec, &a));
    world_settle(&w);
    for (size_t i = 0; i < TARN_COUNT_OF(names); i++) {
        expect_all(SECTION(names[i], link_), none);
        assert_int_equal(number(names[i], one), a.collection);
        assert_int_equal(collections(), 1);
    }
    assert_true(is_told("own") && is_told("a") && is_told("b"));
    assert_int_equal(number("own", one), 0);
    assert_int_equal(world_bytes_read(&w), 5);
}

/* In any order: exchanged, and handed on. */
static void test_names_change_hands(void **state)
{
    (void)state;
    expect_all(SECTION("a", one), SECTION("b", two));
    uint32_t first = number("a", one), second = number("b", two);
    assert_true(first != 0 && second != 0);
    expect_all(SECTION("a", two), SECTION("b", one));
    assert_int_equal(number("b", one), first);
    assert_int_equal(number("a", two), second);
    expect_all(SECTION("a", one), SECTION("c", two));
    expect_all(SECTION("c", one), SECTION("d", two));
    expect_all(SECTION("e", two), SECTION("d", one));
    assert_int_equal(number("d", one), first);
    assert_int_equal(number("e", two), second);
    assert_int_equal(collections(), 2);
    assert_int_equal(world_bytes_read(&w), BYTES);
    expect_all(SECTION("e", one), SECTION("f", three)); /* and of one that goes */
    assert_int_equal(number("e", one), first);
    assert_true(number("f", three) != 0);
    assert_int_equal(collections(), 2);
    assert_int_equal(world_bytes_read(&w), BYTES + 5);
}

static void expect_refused(struct answer a, const char *why)
{
    assert_int_equal(a.refused, 1);
    if (strstr(a.why.msg, why) == NULL)
        fail_msg("%s", a.why.msg);
}

/* One that is refused is as it was, and the others are what they are to be. */
static void test_what_cannot_be_configured(void **state)
{
    (void)state;
    struct catalog_spec own = { .path = three, .name = "taken" };
    assert_true(world_try_publish(&w, &own, NULL));
    expect_all(SECTION("a", one), none);
    uint32_t first = number("a", one);
    expect_refused(configure(SECTION("taken", one), SECTION("b", two)), "belongs to");
    assert_int_equal(number("a", one), first);
    assert_true(number("b", two) != 0);
    expect_refused(configure(SECTION("a", one), SECTION("b", link_)), "already");
    assert_int_equal(number("a", one), first);
    assert_int_equal(collections(), 2);
    expect_refused(configure(SECTION("a", one), SECTION("b", w.tree)), "around");
    assert_int_equal(number("a", one), first);
    expect_refused(configure(SECTION(".x", one), SECTION("b", two)), "name of a collection");
    assert_int_equal(number("a", one), first);
    expect_refused(configure(SECTION("taken", one), SECTION("a", two)), "belongs to");
    assert_true(number("a", two) != 0); /* the other has no name that it may have */
    assert_int_equal(collections(), 2);
    expect_all(SECTION("b", one), SECTION("a", two));
    assert_true(number("b", one) != 0);
}

/* A disk that is not mounted, below a link or not: nothing is lost, whatever else changes. */
static void test_a_folder_that_is_away(void **state)
{
    (void)state;
    expect_all(SECTION("a", link_), SECTION("b", two));
    uint32_t first = number("a", one);
    world_run("mv %s %s/away", one, w.folder);
    expect_refused(configure(SECTION("a", link_), SECTION("c", two)), "cannot publish");
    assert_true(number("c", two) != 0);
    assert_int_equal(collections(), 2);
    w.collection = first;
    catalog_look(w.catalog, first);
    WORLD_UNTIL(&w, world_collection(&w).phase == CATALOG_AWAY);
    expect_refused(configure(SECTION("other", link_), SECTION("c", two)), "cannot publish");
    assert_int_equal(collections(), 2);
    world_run("mv %s/away %s", w.folder, one);
    expect_all(SECTION("other", link_), SECTION("c", two));
    assert_int_equal(number("other", one), first);
    assert_int_equal(world_bytes_read(&w), BYTES);
}

/* What was asked last is what holds, also when both are under way. */
static void test_the_newest_counts(void **state)
{
    (void)state;
    struct answer old = { .ask = { .refused = on_refused, .done = on_done } }, fresh = old;
    for (int i = 0; i < 20; i++) {
        const struct catalog_spec a = { .path = one, .name = "a" },
                                  b = { .path = two, .name = "b" };
        old.is_done = fresh.is_done = false;
        catalog_configure(w.catalog, &a, 1, &old.ask);
        catalog_configure(w.catalog, &b, 1, &fresh.ask);
        WORLD_UNTIL(&w, old.is_done && fresh.is_done);
        world_settle(&w);
        assert_int_equal(collections(), 1);
        assert_true(number("b", two) != 0);
    }
    assert_int_equal(old.refused + fresh.refused, 0);
}

static void test_without_memory(void **state)
{
    (void)state;
    enum { TAKES = 4 }; /* pieces of memory, before a job has it */
    for (size_t n = 0; n < TAKES; n++) {
        struct answer a = { .ask = { .refused = on_refused, .done = on_done } };
        const struct catalog_spec spec = { .path = one, .name = "a" };
        test_mem_fail_after(n);
        catalog_configure(w.catalog, &spec, 1, &a.ask);
        test_mem_normal();
        assert_false(a.is_done);
        WORLD_UNTIL(&w, a.is_done);
        assert_int_equal(a.refused, 1);
        assert_int_equal(a.why.code, TARN_E_NO_MEMORY);
        assert_int_equal(collections(), 0);
    }
    expect_all(SECTION("a", one), none);
    assert_true(number("a", one) != 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, enter, leave)
TEST_MAIN(WITH(test_a_path_is_changed), WITH(test_a_link_leads_elsewhere),
          WITH(test_a_name_is_changed), WITH(test_names_change_hands),
          WITH(test_what_cannot_be_configured), WITH(test_a_folder_that_is_away),
          WITH(test_the_newest_counts), WITH(test_without_memory))
