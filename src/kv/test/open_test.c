/* Which files are opened, which are not, and what is said then. */
#include "kv/test/room.h"
#include "sys/file.h"

#include <inttypes.h>
#include <lmdb.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void test_one_process_opens_a_file_once(void **state)
{
    (void)state;
    char other[128];
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    room_refuse(&set, TARN_E_POLICY, "open already in this process");
    snprintf(other, sizeof other, "%s/link", room_folder);
    assert_int_equal(symlink(room_path, other), 0);
    set.path = other;
    room_refuse(&set, TARN_E_POLICY, "open already in this process");
    set.is_read_only = true;
    room_refuse(&set, TARN_E_POLICY, "open already in this process");
    kv_close(kv);
    set = room_settings();
    kv_close(room_open(&set)); /* and after it was closed, again */
}

static void test_what_is_not_a_store_is_refused(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.is_read_only = true;
    room_refuse(&set, TARN_E_NOT_FOUND, "index");
    set.is_read_only = false;
    set.path = room_folder;
    room_refuse(&set, TARN_E_USAGE, "not a file");
    char missing[128];
    snprintf(missing, sizeof missing, "%s/none/index", room_folder);
    set.path = missing;
    room_refuse(&set, TARN_E_NOT_FOUND, "none/index");
    set = room_settings();
    uint8_t text[5000];
    memset(text, 'x', sizeof text);
    assert_true(sys_write_whole(room_path, tarn_bytes_of(text, sizeof text), NULL));
    room_refuse(&set, TARN_E_INTEGRITY, "no store of ours, or damaged");
    assert_true(sys_write_whole(room_path, tarn_bytes_of(text, 10), NULL));
    room_refuse(&set, TARN_E_INTEGRITY, "ends in its header");
    /* An empty file is one that was never begun. */
    assert_true(sys_write_whole(room_path, tarn_bytes_of(text, 0), NULL));
    kv_close(room_open(&set));
}

/* A file of LMDB's that is not ours. */
static void test_another_programs_file_is_refused(void **state)
{
    (void)state;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val v = { 2, room_path };
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, room_path, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &v, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    struct kv_settings set = room_settings();
    set.is_read_only = true;
    room_refuse(&set, TARN_E_USAGE, "is not a test index");
    set.is_read_only = false;
    room_refuse(&set, TARN_E_USAGE, "is not a test index");
}

static void test_a_store_of_another_kind_is_refused(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    kv_close(room_open(&set));
    set.kind = "mail index";
    room_refuse(&set, TARN_E_USAGE, "is not a mail index but a test index");
}

static void test_reading_only(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    struct tarn_err err = { 0 };
    room_put(kv, WORDS, "a", "one");
    kv_close(kv);
    set.is_read_only = true;
    kv = room_open(&set);
    room_expect(kv, WORDS, "a", "one");
    assert_false(room_try_put(kv, WORDS, tarn_bytes_str("b"), tarn_bytes_str("c"), &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "reading only"));
    kv_close(kv);
    static const char *const more[] = { "words", "numbers", "news" };
    set.tables = more;
    set.n_tables = 3;
    room_refuse(&set, TARN_E_USAGE, "no table 'news'");
    set.is_read_only = false; /* then it is made */
    kv_close(room_open(&set));
}

/* A file system that refuses: root may write to any other folder. */
static void test_a_folder_that_cannot_be_written_to(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    if (geteuid() != 0) {
        test_left_out("only root mounts");
        return;
    }
    if (mount("tmpfs", room_folder, "tmpfs", 0, "size=8m") != 0) {
        test_left_out("no mounting here");
        return;
    }
    struct kv *kv = room_open(&set);
    room_put(kv, WORDS, "a", "one");
    kv_close(kv);
    assert_int_equal(mount("tmpfs", room_folder, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=8m"), 0);
    room_refuse(&set, TARN_E_POLICY, "opening for writing");
    set.is_read_only = true;
    kv = room_open(&set);
    room_expect(kv, WORDS, "a", "one");
    kv_close(kv);
    assert_int_equal(umount(room_folder), 0);
}

/* With so little address space that the usual map does not fit: a smaller one, which then cannot
 * grow, and says so. In a process of its own, which cannot take the limit back. */
static void test_little_address_space(void **state)
{
    (void)state;
    uint64_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%" SCNu64, &pages) != 1 || pages > (TARN_GIB >> 12)) {
        test_left_out("a sanitizer has taken address space for itself");
        if (f != NULL)
            fclose(f);
        return;
    }
    fclose(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = { TARN_GIB, TARN_GIB };
        struct kv_settings set = room_settings();
        struct tarn_err err = { 0 };
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(2);
        struct kv *kv = kv_open(&set, &err);
        if (kv == NULL)
            _exit(3);
        struct kv_stat st = room_stat(kv);
        if (st.map_len < 64 * TARN_MIB || st.map_len > TARN_GIB)
            _exit(4);
        uint8_t *value = tarn_calloc(KV_VALUE_MAX, 1);
        bool ok = value != NULL;
        for (uint32_t i = 0; ok && i < 100; i++) {
            struct kv_key k = { 0 };
            kv_key_be32(&k, i);
            ok =
                room_try_put(kv, WORDS, kv_key_bytes(&k), tarn_bytes_of(value, KV_VALUE_MAX), &err);
        }
        if (ok || err.code != TARN_E_NO_MEMORY || strstr(err.msg, "ulimit -v") == NULL)
            _exit(5);
        if (room_count(kv, WORDS) == 0) /* the old map is still there */
            _exit(6);
        kv_close(kv);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Versions. */

static bool fill(struct kv_txn *t, void *arg, struct tarn_err *err)
{
    unsigned *calls = arg;
    (*calls)++;
    /* Much of it, so that a small map has to grow and all is run again. */
    for (uint32_t i = 0; i < 2000; i++) {
        struct kv_key k = { 0 };
        kv_key_be32(&k, i);
        if (!kv_txn_put(t, NUMBERS, kv_key_bytes(&k), tarn_bytes_str("one to two, one to two"),
                        err))
            return false;
    }
    return true;
}

static bool drop_half(struct kv_txn *t, void *arg, struct tarn_err *err)
{
    (void)arg;
    struct tarn_bytes got;
    if (kv_get(&t->read, WORDS, tarn_bytes_str("a"), &got, err) != KV_FOUND)
        return tarn_fail(err, TARN_E_FAILED, "no 'a'");
    for (uint32_t i = 0; i < 1000; i++) {
        struct kv_key k = { 0 };
        kv_key_be32(&k, i);
        if (kv_txn_del(t, NUMBERS, kv_key_bytes(&k), err) != KV_FOUND)
            return false;
    }
    return true;
}

static bool refuse(struct kv_txn *t, void *arg, struct tarn_err *err)
{
    (void)arg;
    return kv_txn_put(t, WORDS, tarn_bytes_str("half"), tarn_bytes_str("done"), err) &&
           tarn_fail(err, TARN_E_FAILED, "cannot be");
}

static void test_migrations_run_in_order_all_or_nothing(void **state)
{
    (void)state;
    static kv_migration *const two[] = { fill, drop_half };
    static kv_migration *const bad[] = { fill, refuse };
    static kv_migration *const none[] = { NULL, NULL, NULL };
    unsigned calls = 0;
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    room_put(kv, WORDS, "a", "one");
    kv_close(kv);
    set.schema = 3;
    room_refuse(&set, TARN_E_USAGE, "has schema 1, and this program has no way");
    set.migrations = bad;
    set.arg = &calls;
    room_refuse(&set, TARN_E_FAILED, "from schema 2 to 3: cannot be");
    set.is_read_only = true;
    room_refuse(&set, TARN_E_USAGE, "opened for writing once");
    set = room_settings();
    kv = room_open(&set); /* as it was */
    room_expect(kv, WORDS, "half", NULL);
    assert_int_equal(room_count(kv, NUMBERS), 0);
    kv_close(kv);
    set.schema = 3;
    set.migrations = two;
    set.arg = &calls;
    set.map_size = 96 * TARN_KIB;
    calls = 0;
    kv = room_open(&set);
    assert_true(calls > 1);
    assert_int_equal(room_count(kv, NUMBERS), 1000);
    kv_close(kv);
    calls = 0;
    kv_close(room_open(&set));
    assert_int_equal(calls, 0); /* once is enough */
    set.schema = 2;
    room_refuse(&set, TARN_E_USAGE, "has schema 3 and this program knows up to 2");
    set.schema = 4;
    set.migrations = none;
    kv_close(room_open(&set)); /* a number only */
}

static void test_a_new_file_needs_no_migration(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.schema = 7;
    kv_close(room_open(&set));
    set.schema = 6;
    room_refuse(&set, TARN_E_USAGE, "has schema 7 and this program knows up to 6");
}

/* Damage. */

static void put_many(struct kv *kv, uint32_t n, size_t len)
{
    uint8_t *value = tarn_calloc(len, 1);
    for (uint32_t i = 0; i < n; i++) {
        struct kv_key k = { 0 };
        kv_key_be32(&k, i * 2654435761U);
        assert_true(room_try_put(kv, NUMBERS, kv_key_bytes(&k), tarn_bytes_of(value, len), NULL));
    }
    tarn_free(value);
}

static void test_a_file_cut_short_is_refused(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    put_many(kv, 200, 1000);
    put_many(kv, 3, 50000);
    kv_close(kv);
    uint8_t *whole;
    size_t len;
    assert_true(sys_read_whole(room_path, TARN_GIB, &whole, &len, NULL));
    unsigned refused = 0, opened = 0;
    for (size_t cut = 1; cut <= len; cut += cut < 10000 ? 997 : 9973) {
        struct tarn_err err = { 0 };
        assert_true(sys_write_whole(room_path, tarn_bytes_of(whole, len - cut), NULL));
        kv = kv_open(&set, &err);
        if (kv == NULL) {
            assert_int_equal(err.code, TARN_E_INTEGRITY);
            refused++;
            continue;
        }
        /* What was cut off was in use by nobody: then all is there. */
        opened++;
        assert_int_equal(room_count(kv, NUMBERS), 200);
        kv_close(kv);
    }
    assert_true(refused > 20);
    printf("# %u refused, %u had lost free pages only\n", refused, opened);
    tarn_free(whole);
}

/* The header, byte by byte: no value of any makes the process fall. */
static void test_a_damaged_header_is_a_sentence(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    put_many(kv, 50, 1000);
    kv_close(kv);
    uint8_t *whole;
    size_t len, refused = 0;
    assert_true(sys_read_whole(room_path, TARN_GIB, &whole, &len, NULL));
    for (size_t page = 0; page < 2; page++)
        for (size_t at = 0; at < 152; at++) {
            struct tarn_err err = { 0 };
            uint8_t *byte = whole + page * 4096 + at, was = *byte;
            *byte ^= 0xFF;
            int fd = open(room_path, O_WRONLY);
            assert_int_equal(pwrite(fd, whole, 8192, 0), 8192);
            close(fd);
            *byte = was;
            kv = kv_open(&set, &err);
            refused += kv == NULL;
            if (kv == NULL && err.code != TARN_E_INTEGRITY && err.code != TARN_E_USAGE)
                fail_msg("byte %zu: %s", at, err.msg);
            kv_close(kv);
            assert_true(sys_write_whole(room_path, tarn_bytes_of(whole, len), NULL));
        }
    assert_true(refused > 20);
    kv_close(room_open(&set));
    tarn_free(whole);
}

/* The last pages were taken and given back in one transaction: never written. */
static bool run_in_vain(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    (void)w;
    static uint8_t big[300000];
    struct tarn_bytes key = tarn_bytes_str("big"), small = tarn_bytes_str("small");
    return kv_txn_put(t, WORDS, small, small, err) &&
           kv_txn_put(t, WORDS, key, tarn_bytes_of(big, sizeof big), err) &&
           kv_txn_del(t, WORDS, key, err) == KV_FOUND;
}

static void test_a_file_may_lack_pages_that_nobody_uses(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    struct kv_write w = { .run = run_in_vain };
    struct stat st;
    uint64_t used = 0;
    put_many(kv, 40, 1000); /* so that there are free pages, and the last ones are not needed */
    assert_true(kv_write_now(kv, &w, NULL));
    kv_close(kv);
    assert_int_equal(stat(room_path, &st), 0);
    assert_true(st.st_size > 300000); /* it was given its length */
    /* As a process leaves it that was killed before that. */
    uint8_t *whole;
    size_t len;
    assert_true(sys_read_whole(room_path, TARN_GIB, &whole, &len, NULL));
    for (size_t i = 0; i < len; i += 4096)
        for (size_t b = 0; b < 4096 && i + b < len; b++)
            if (whole[i + b] != 0) {
                used = i + 4096;
                break;
            }
    tarn_free(whole);
    assert_true(used + 200000 < len);
    assert_int_equal(truncate(room_path, (off_t)used), 0);
    set.is_read_only = true;
    kv = room_open(&set);
    room_expect(kv, WORDS, "small", "small");
    kv_close(kv);
    set.is_read_only = false;
    kv = room_open(&set);
    room_expect(kv, WORDS, "small", "small");
    put_many(kv, 100, 5000);
    room_expect(kv, WORDS, "small", "small");
    kv_close(kv);
    assert_int_equal(truncate(room_path, (off_t)used - 4096), 0);
    room_refuse(&set, TARN_E_INTEGRITY, "is damaged");
}

static void test_without_memory(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    kv_close(room_open(&set));
    bool opened = false;
    for (size_t n = 0; !opened; n++) {
        struct tarn_err err = { 0 };
        test_mem_fail_after(n);
        struct kv *kv = kv_open(&set, &err);
        opened = kv != NULL;
        if (!opened)
            assert_int_equal(err.code, TARN_E_NO_MEMORY);
        if (opened && !kv_copy(kv, "copy-without-memory", &err))
            assert_int_equal(err.code, TARN_E_NO_MEMORY);
        kv_close(kv);
        test_mem_normal();
        assert_true(n < 100);
    }
    kv_close(room_open(&set)); /* none of them is still held to be open */
}

/* Copies. */

static void test_a_copy_is_a_store_without_free_pages(void **state)
{
    (void)state;
    char path[128];
    struct tarn_err err = { 0 };
    struct kv_settings set = room_settings();
    struct kv *kv = room_open(&set);
    put_many(kv, 300, 3000);
    for (uint32_t i = 0; i < 300; i++)
        if (i % 10 != 0) {
            struct kv_key k = { 0 };
            kv_key_be32(&k, i * 2654435761U);
            assert_true(room_try_put(kv, NUMBERS, kv_key_bytes(&k), tarn_bytes_of(NULL, 0), NULL));
        }
    room_put(kv, WORDS, "a", "one");
    struct kv_stat before = room_stat(kv);
    assert_true(before.used_len < before.file_len / 2);
    assert_false(kv_copy(kv, room_path, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    snprintf(path, sizeof path, "%s/none/copy", room_folder);
    assert_false(kv_copy(kv, path, &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    snprintf(path, sizeof path, "%s/copy", room_folder);
    assert_true(kv_copy(kv, path, &err));
    assert_true(kv_copy(kv, path, &err)); /* over the last one */
    room_put(kv, WORDS, "a", "two");
    set.path = path;
    struct kv *copy = room_open(&set); /* beside the first: it is another file */
    room_expect(copy, WORDS, "a", "one");
    assert_int_equal(room_count(copy, NUMBERS), 30);
    struct kv_stat after = room_stat(copy);
    assert_true(after.file_len < before.file_len / 2);
    kv_close(copy);
    kv_close(kv);
}

TEST_MAIN(IN_ROOM(test_one_process_opens_a_file_once), IN_ROOM(test_what_is_not_a_store_is_refused),
          IN_ROOM(test_another_programs_file_is_refused),
          IN_ROOM(test_a_store_of_another_kind_is_refused), IN_ROOM(test_reading_only),
          IN_ROOM(test_a_folder_that_cannot_be_written_to), IN_ROOM(test_little_address_space),
          IN_ROOM(test_migrations_run_in_order_all_or_nothing),
          IN_ROOM(test_a_new_file_needs_no_migration), IN_ROOM(test_a_file_cut_short_is_refused),
          IN_ROOM(test_a_damaged_header_is_a_sentence),
          IN_ROOM(test_a_file_may_lack_pages_that_nobody_uses), IN_ROOM(test_without_memory),
          IN_ROOM(test_a_copy_is_a_store_without_free_pages))
