/* Paths as people write them, with links, and as they are. */
#include "node/path.h"

#include "base/mem.h"
#include "base/test/test.h"
#include "base/text.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64]; /* real, and holds tree/sub/file, link -> tree, tree/alias -> sub/file */

static char *below(char to[PATH_MAX], const char *name)
{
    snprintf(to, PATH_MAX, "%s%s", top, name);
    return to;
}

static int enter(void **state)
{
    char at[PATH_MAX], *real;
    (void)state;
    snprintf(top, sizeof top, "/tmp/tarn-path-XXXXXX");
    assert_non_null(mkdtemp(top));
    real = realpath(top, NULL);
    snprintf(top, sizeof top, "%s", real);
    free(real);
    assert_int_equal(mkdir(below(at, "/tree"), 0700), 0);
    assert_int_equal(mkdir(below(at, "/tree/sub"), 0700), 0);
    FILE *f = fopen(below(at, "/tree/sub/file"), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(symlink("tree", below(at, "/link")), 0);
    assert_int_equal(symlink("sub/file", below(at, "/tree/alias")), 0);
    assert_int_equal(symlink("round", below(at, "/round")), 0);
    return 0;
}

static int leave(void **state)
{
    static const char *const names[] = { "/round",    "/tree/alias", "/link", "/tree/sub/file",
                                         "/tree/sub", "/tree",       "" };
    char at[PATH_MAX];
    (void)state;
    for (size_t i = 0; i < TARN_COUNT_OF(names); i++)
        assert_int_equal(remove(below(at, names[i])), 0);
    return 0;
}

/* Both ways to write it; NULL: there is none. */
static void assert_resolved(const char *path, const char *named, const char *real)
{
    char whole[PATH_MAX], want[PATH_MAX];
    struct node_path p = { 0 };
    node_path_resolve(&p, below(whole, path));
    assert_non_null(p.named);
    assert_string_equal(p.named, below(want, named));
    if (real == NULL)
        assert_null(p.real);
    else
        assert_string_equal(p.real, below(want, real));
    node_path_release(&p);
    assert_null(p.named);
    assert_null(p.real);
}

static void test_links(void **state)
{
    (void)state;
    assert_resolved("/tree/sub/file", "/tree/sub/file", "/tree/sub/file");
    assert_resolved("/link/sub/file", "/tree/sub/file", "/tree/sub/file");
    assert_resolved("//link//sub", "/tree/sub", "/tree/sub");
    assert_resolved("/link", "/link", "/tree");
    assert_resolved("/link/", "/link/", "/tree");
    assert_resolved("/link/alias", "/tree/alias",
                    "/tree/sub/file"); /* the name of the link stays */
    assert_resolved("/tree/sub/../../link/sub", "/tree/sub", "/tree/sub");
}

static void test_what_is_gone(void **state)
{
    (void)state;
    assert_resolved("/link/gone", "/tree/gone", NULL);
    assert_resolved("/link/gone/and/gone/", "/tree/gone/and/gone/", NULL);
    assert_resolved("/round", "/round", NULL);
    assert_resolved("/round/x", "/round/x", NULL);
    assert_resolved("/link/sub/file/x", "/tree/sub/file/x", NULL); /* below a file is nothing */
}

static void test_ends(void **state)
{
    (void)state;
    struct node_path p = { 0 };
    node_path_resolve(&p, "/");
    assert_string_equal(p.real, "/");
    assert_null(p.named);
    node_path_release(&p);
    node_path_resolve(&p, "/no such name");
    assert_string_equal(p.named, "/no such name");
    assert_null(p.real);
    node_path_release(&p);
    node_path_release(&p);
}

/* Longer than a path can be, and deeper than anything that is published: no answer is an answer. */
static void test_limits(void **state)
{
    (void)state;
    struct node_path p = { 0 };
    char *path = tarn_calloc(1, 20001);
    assert_non_null(path);
    for (size_t i = 0; i < 20000; i++)
        path[i] = i % 2 == 0 ? '/' : 'a';
    node_path_resolve(&p, path);
    assert_null(p.named);
    assert_null(p.real);
    node_path_release(&p);
    memset(path + 1, 'a', 19999);
    node_path_resolve(&p, path);
    assert_null(p.named); /* "/" is there, but the whole would be too long */
    assert_null(p.real);
    node_path_release(&p);
    tarn_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_what_is_gone),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_limits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, enter, leave);
}
