#include "cli/generate.h"
#include "cli/help.h"

#include "base/test/test.h"

#include <string.h>

static char *text_of(struct tarn_out *o)
{
    char *text = tarn_out_take_str(o);
    assert_non_null(text);
    return text;
}

/* At most 24 lines of 80 columns: a screen. */
static void check_screen(const char *text)
{
    unsigned lines = 0;
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        if (strcspn(at, "\n") > 80)
            fail_msg("too wide: %s", at);
        lines++;
    }
    if (lines > 24)
        fail_msg("%u lines: %s", lines, text);
}

static void test_screens(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 1 << 16);
    cli_help_all(&o);
    char *all = text_of(&o);
    check_screen(all);
    for (unsigned i = 0; i < cli_verbs_n; i++) {
        assert_non_null(strstr(all, cli_verbs[i].name));
        cli_help_verb(&o, &cli_verbs[i]);
        char *text = text_of(&o);
        check_screen(text);
        for (const uint8_t *id = cli_verbs[i].options; *id != CLI_END; id++)
            if (!cli_options[*id].is_rare)
                assert_non_null(strstr(text, cli_options[*id].name));
            else
                assert_non_null(strstr(text, "man tarn-"));
        tarn_free(text);
    }
    tarn_free(all);
}

/* Words stand apart by a space at least: no option's name runs into its help. */
static void test_columns(void **state)
{
    (void)state;
    for (unsigned i = CLI_END + 1; i < CLI_OPTS; i++) {
        const struct cli_option *opt = &cli_options[i];
        size_t width = strlen("  -x, --") + strlen(opt->name) +
                       (opt->arg == NULL ? 0 : strlen(opt->arg) + (opt->is_arg_free ? 3 : 1));
        if (opt->name == NULL || opt->help == NULL || width > 28)
            fail_msg("option %u: %s", i, opt->name);
    }
}

/* Everything that is generated names every verb and every option. */
static void test_all_named(void **state)
{
    (void)state;
    static const char *const whats[] = { "docs", "bash", "zsh", "fish" };
    struct tarn_out o;
    struct tarn_err err;
    tarn_out_init(&o, 1 << 20);
    for (size_t w = 0; w < TARN_COUNT_OF(whats); w++) {
        assert_true(cli_generate(&o, whats[w], NULL, &err));
        char *text = text_of(&o);
        for (unsigned i = 0; i < cli_verbs_n; i++) {
            assert_non_null(strstr(text, cli_verbs[i].name));
            for (const uint8_t *id = cli_verbs[i].options; *id != CLI_END; id++)
                assert_non_null(strstr(text, cli_options[*id].name));
        }
        tarn_free(text);
    }
    for (unsigned i = 0; i < cli_verbs_n; i++) {
        assert_true(cli_generate(&o, "man", cli_verbs[i].name, &err));
        char *text = text_of(&o);
        assert_non_null(strstr(text, ".SH DESCRIPTION"));
        tarn_free(text);
    }
    assert_false(cli_generate(&o, "man", "nonsense", &err));
    assert_false(cli_generate(&o, "nonsense", NULL, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    tarn_out_release(&o);
}

static void test_wrap(void **state)
{
    (void)state;
    static const struct {
        const char *text, *is;
    } cases[] = {
        { "one two three", "one two\nthree\n" },
        { "one", "one\n" },
        { "longer-than-it all", "longer-than-it\nall\n" },
        { "a b\n\nc", "a b\n\nc\n" },
        { "ab cd ef gh", "ab cd ef\ngh\n" },
    };
    struct tarn_out o;
    tarn_out_init(&o, 1 << 10);
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        cli_wrap(&o, cases[i].text, 0, 8);
        char *text = text_of(&o);
        assert_string_equal(text, cases[i].is);
        tarn_free(text);
    }
    tarn_out_release(&o);
}

TEST_MAIN(cmocka_unit_test(test_screens), cmocka_unit_test(test_columns),
          cmocka_unit_test(test_all_named), cmocka_unit_test(test_wrap))
