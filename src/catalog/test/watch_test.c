/* What happens to files while the catalog runs. */
#include "catalog/test/world.h"

static struct world w;

static uint64_t changes_of(enum catalog_event event)
{
    struct catalog_read r;
    struct catalog_change ch;
    uint64_t n = 0, seq = 0;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    while (catalog_change_next(&r, seq, &ch, NULL) == CATALOG_FOUND) {
        seq = ch.seq;
        n += ch.event == event;
    }
    catalog_read_end(&r);
    return n;
}

static void begin(void)
{
    world_begin(&w);
    world_run("mkdir -p %s/a/b %s/c", w.tree, w.tree);
    world_text(&w, "one", "first");
    world_text(&w, "a/two", "second");
    world_run("head -c 100000 /dev/urandom > %s/a/b/long", w.tree);
    world_publish(&w, CATALOG_BT_V2);
    world_agree(&w);
}

static void test_new_changed_and_removed_files(void **state)
{
    (void)state;
    begin();
    uint64_t before = world_bytes_read(&w);
    world_text(&w, "c/new", "new one");
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 7);
    world_text(&w, "one", "other"); /* same length */
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 12);
    assert_int_equal(changes_of(CATALOG_E_CHANGED), 1);
    assert_int_equal(changes_of(CATALOG_E_REPLACED), 1);
    world_run("rm %s/a/two", w.tree);
    world_agree(&w);
    assert_false(world_has(&w, "a/two"));
    assert_int_equal(changes_of(CATALOG_E_REMOVED), 1);
    world_run("rm -r %s/a", w.tree);
    world_agree(&w);
    assert_false(world_has(&w, "a"));
    world_run("mkdir -p %s/x/y/z; echo hello > %s/x/y/z/f", w.tree, w.tree);
    world_agree(&w);
    assert_true(world_has(&w, "x/y/z/f"));
    assert_int_equal(world_bytes_read(&w) - before, 18);
    world_end(&w);
}

static void test_a_changed_file_is_not_held(void **state)
{
    (void)state;
    begin();
    struct catalog_identity old = world_identity(&w, "one");
    char path[128];
    snprintf(path, sizeof path, "%s/one", w.tree);
    int fd = open(path, O_WRONLY | O_CLOEXEC); /* and it stays open: nothing says that it is done */
    assert_int_equal(pwrite(fd, "F", 1, 0), 1);
    WORLD_UNTIL(&w, !world_is(&w, "one", CATALOG_HELD) ||
                        memcmp(world_identity(&w, "one").root, old.root, 32) != 0);
    struct catalog_read r;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_find_identity(&r, &old, CATALOG_MINE, &e, NULL), CATALOG_NOT_THERE);
    catalog_read_end(&r);
    world_agree(&w);
    close(fd);
    world_end(&w);
}

static void test_moves_cost_no_reading(void **state)
{
    (void)state;
    begin();
    uint64_t before = world_bytes_read(&w);
    world_run("mv %s/a/b/long %s/c/longer", w.tree, w.tree);
    world_agree(&w);
    world_run("mv %s/a %s/c/moved", w.tree, w.tree);
    world_agree(&w);
    world_run("mv %s/c/moved/two %s/one", w.tree, w.tree); /* over another */
    world_agree(&w);
    world_run("mv %s/c %s/d && mkdir %s/c && mv %s/d/longer %s/c/long", w.tree, w.tree, w.tree,
              w.tree, w.tree);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), before);
    assert_int_equal(changes_of(CATALOG_E_MOVED), 4);
    world_end(&w);
}

static void test_hard_links_and_equal_files(void **state)
{
    (void)state;
    begin();
    uint64_t before = world_bytes_read(&w);
    world_run("ln %s/a/b/long %s/c/again", w.tree, w.tree);
    world_agree(&w);
    world_run("chmod 600 %s/a/b/long; chmod 755 %s/one", w.tree, w.tree);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), before);
    world_run("ln %s/one %s/x; ln %s/one %s/y; echo twins > %s/t1; ln %s/t1 %s/t2", w.tree, w.tree,
              w.tree, w.tree, w.tree, w.tree, w.tree);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 6); /* the new one, once */
    world_run("cp %s/a/b/long %s/c/copy", w.tree, w.tree);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 100006);
    struct catalog_read r;
    struct catalog_totals t;
    struct catalog_identity id = world_identity(&w, "c/copy");
    struct catalog_entry e;
    uint64_t places = 0, after = 0;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_true(catalog_totals(&r, &t, NULL));
    while (catalog_place_next(&r, &id, after, &e, NULL) == CATALOG_FOUND) {
        after = e.id;
        places++;
    }
    catalog_read_end(&r);
    assert_int_equal(places, 3);
    assert_int_equal(t.bytes_published, 3 * 100000 + 3 * 5 + 6 + 2 * 6);
    assert_int_equal(t.bytes_stored, 2 * 100000 + 5 + 6 + 6);
    assert_int_equal(t.identities, 4);
    world_run("rm %s/a/b/long %s/x", w.tree, w.tree);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 100006);
    world_end(&w);
}

/* The mtime is put back: only the ctime tells, and it is read again. */
static void test_an_edit_that_hides_is_seen(void **state)
{
    (void)state;
    begin();
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/one", w.tree);
    assert_int_equal(stat(path, &st), 0);
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    for (int round = 0; round < 2; round++) {
        if (round == 1) { /* and when nobody watches */
            world_close(&w);
        }
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, round == 0 ? "X" : "Y", 1, 1), 1);
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
        if (round == 1)
            world_open(&w);
        world_agree(&w);
    }
    /* ... and it is moved, under the eyes of the catalog: what was written to is not believed */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "Z", 1, 1), 1);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    world_run("mv %s %s/elsewhere", path, w.tree);
    world_agree(&w);
    world_end(&w);
}

static void test_a_file_becomes_a_folder_and_back(void **state)
{
    (void)state;
    begin();
    world_run("rm %s/one; mkdir %s/one; echo in > %s/one/f", w.tree, w.tree, w.tree);
    world_agree(&w);
    world_run("rm -r %s/one; echo file > %s/one; rm -r %s/a; echo a > %s/a", w.tree, w.tree, w.tree,
              w.tree);
    world_agree(&w);
    assert_true(world_is(&w, "a", CATALOG_HELD));
    world_end(&w);
}

static void test_what_is_not_published(void **state)
{
    (void)state;
    world_make(&w);
    world_run("mkdir -p %s/.git %s/state %s/sub; echo x > %s/.git/x; echo y > %s/.htpasswd; echo z "
              "> %s/state/z; "
              "echo real > %s/real; ln -s real %s/link; ln -s /etc/passwd %s/out; ln -s sub "
              "%s/dir; mkfifo %s/pipe",
              w.tree, w.tree, w.tree, w.tree, w.tree, w.tree, w.tree, w.tree, w.tree, w.tree,
              w.tree);
    snprintf(w.state, sizeof w.state, "%s/state", w.tree);
    w.set.state_path = w.state;
    world_open(&w);
    world_publish(&w, CATALOG_BT_V2);
    world_settle(&w);
    struct catalog_collection c = world_collection(&w);
    assert_int_equal(c.files, 1);
    assert_int_equal(c.skipped_hidden, 2);
    assert_int_equal(c.skipped_links, 3);
    assert_int_equal(c.skipped_special, 1);
    assert_true(world_said(&w, "3 symbolic links"));
    struct catalog_spec spec = { .path = w.tree, .hidden = true, .links = true };
    assert_true(world_try_publish(&w, &spec, NULL));
    world_settle(&w);
    c = world_collection(&w);
    assert_int_equal(c.files, 4);
    assert_int_equal(c.held_files, 4);
    assert_true(world_is(&w, ".git/x", CATALOG_HELD));
    assert_true(world_is(&w, "link", CATALOG_HELD));
    assert_false(world_has(&w, "out"));
    assert_false(world_has(&w, "state"));
    assert_int_equal(world_bytes_read(&w), 5 + 2 + 2);
    world_end(&w);
}

static void test_names_are_bytes(void **state)
{
    (void)state;
    begin();
    world_text(&w, "c/\xff\xfe\x01 \n\"'", "odd");
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    world_text(&w, name, "long name");
    world_agree(&w);
    assert_true(world_is(&w, "c/\xff\xfe\x01 \n\"'", CATALOG_HELD));
    assert_true(world_is(&w, name, CATALOG_HELD));
    world_end(&w);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    if (geteuid() == 0) { /* root may read all */
        print_message("# skipped: run as root\n");
        skip();
    }
    begin();
    world_text(&w, "secret", "s");
    world_run("chmod 0 %s/secret", w.tree);
    WORLD_UNTIL(&w, world_is(&w, "secret", CATALOG_REFUSED));
    world_run("chmod 644 %s/secret", w.tree);
    world_agree(&w);
    world_end(&w);
}

static void test_a_folder_that_goes_away_and_comes_back(void **state)
{
    (void)state;
    begin();
    uint64_t before = world_bytes_read(&w);
    world_run("mv %s %s.off", w.tree, w.tree);
    WORLD_UNTIL(&w, world_collection(&w).phase == CATALOG_AWAY);
    world_settle(&w);
    struct catalog_identity id = world_identity(&w, "one");
    struct catalog_read r;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_MINE, &e, NULL), CATALOG_NOT_THERE);
    catalog_read_end(&r);
    /* An empty folder in its place: the mount point of a disk that is not mounted. Also at start.
     */
    world_run("mkdir %s", w.tree);
    world_close(&w);
    world_open(&w);
    world_settle(&w);
    assert_int_equal(world_collection(&w).phase, CATALOG_AWAY);
    assert_int_equal(world_collection(&w).files, 3);
    assert_int_equal(changes_of(CATALOG_E_REMOVED), 0);
    world_run("rmdir %s; mv %s.off %s", w.tree, w.tree, w.tree);
    WORLD_UNTIL(&w, world_collection(&w).phase == CATALOG_COMPLETE);
    world_agree(&w);
    assert_int_equal(changes_of(CATALOG_E_COLLECTION_BACK), 1);
    assert_true(world_said(&w, "is away"));
    world_text(&w, "c/later", "is heard of again");
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), 17);
    (void)before;
    world_end(&w);
}

static void test_a_door_reports_a_change(void **state)
{
    (void)state;
    begin();
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    struct sys_file *f;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w.collection, &c, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str("one"), &e, NULL), CATALOG_FOUND);
    world_text(&w, "one", "FIRST"); /* the loop has not turned since */
    assert_int_equal(catalog_open(&r, &e, &f, NULL), CATALOG_NOT_THERE);
    world_run("rm %s/one", w.tree);
    assert_int_equal(catalog_open(&r, &e, &f, NULL), CATALOG_NOT_THERE);
    catalog_read_end(&r);
    world_agree(&w);
    world_end(&w);
}

TEST_MAIN(cmocka_unit_test(test_new_changed_and_removed_files),
          cmocka_unit_test(test_a_changed_file_is_not_held),
          cmocka_unit_test(test_moves_cost_no_reading),
          cmocka_unit_test(test_hard_links_and_equal_files),
          cmocka_unit_test(test_an_edit_that_hides_is_seen),
          cmocka_unit_test(test_a_file_becomes_a_folder_and_back),
          cmocka_unit_test(test_what_is_not_published), cmocka_unit_test(test_names_are_bytes),
          cmocka_unit_test(test_a_file_that_cannot_be_read),
          cmocka_unit_test(test_a_folder_that_goes_away_and_comes_back),
          cmocka_unit_test(test_a_door_reports_a_change))
