#include "cli/parse.h"

#include "base/out.h"
#include "base/test/test.h"

#include <string.h>

enum { WORDS_MAX = 16 };

/* A line of words with '|' between. */
static bool parse(struct cli_args *args, const char *verb, const char *line, struct tarn_err *err)
{
    static char text[256];
    static char *words[WORDS_MAX];
    int n = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok(text, "|"); w != NULL && n < WORDS_MAX; w = strtok(NULL, "|"))
        words[n++] = w;
    return cli_parse(args, cli_verb_find(verb), n, words, err);
}

/* What was understood, as text: "o=x,json [a b]" */
static void put_args(char *dst, size_t size, const struct cli_args *args)
{
    struct tarn_out o;
    tarn_out_fixed(&o, dst, size);
    for (unsigned i = 0; i < args->n_values; i++) {
        tarn_out_fmt(&o, "%s%s", i == 0 ? "" : ",", cli_options[args->values[i].opt].name);
        if (args->values[i].text != NULL)
            tarn_out_fmt(&o, "=%s", args->values[i].text);
    }
    tarn_out_str(&o, " [");
    for (unsigned i = 0; i < args->n_operands; i++)
        tarn_out_fmt(&o, "%s%s", i == 0 ? "" : " ", args->operands[i]);
    tarn_out_str(&o, "]");
    tarn_out_u8(&o, '\0');
}

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *line;
        const char *is;  /* understood so; NULL: refused */
        const char *why; /* part of the sentence */
    } cases[] = {
        { "show", "a.torrent", " [a.torrent]", NULL },
        { "show", "--json|a.torrent", "json [a.torrent]", NULL },
        { "show", "a.torrent|--json", "json [a.torrent]", NULL },
        { "show", "-", " [-]", NULL },
        { "show", "--|--json", " [--json]", NULL },
        { "show", "--|-", " [-]", NULL },
        { "create", "-o|x|d", "output=x [d]", NULL },
        { "create", "-ox|d", "output=x [d]", NULL },
        { "create", "-o-|d", "output=- [d]", NULL },
        { "create", "--output=x|d", "output=x [d]", NULL },
        { "create", "--output|x|d", "output=x [d]", NULL },
        { "create", "--output=|d", "output= [d]", NULL },
        { "create", "--output|--json|d", "output=--json [d]", NULL },
        { "create", "--comment=a=b|d", "comment=a=b [d]", NULL },
        { "create", "--date|d", "date [d]", NULL },
        { "create", "--date=7|d", "date=7 [d]", NULL },
        { "create", "--tracker|u|--tracker=v|d", "tracker=u,tracker=v [d]", NULL },
        { "create", "--format|v2|d", "format=v2 [d]", NULL },
        { "create", "-hj4|d", "help,jobs=4 [d]", NULL },
        { "create", "--help", "help []", NULL },
        { "create", "-h|a|b|c", "help [a b c]", NULL },
        { "version", "", " []", NULL },
        { "show", "", NULL, "wants TORRENT|MAGNET" },
        { "show", "a|b", NULL, "'b'" },
        { "verify", "a", NULL, "wants TORRENT PATH" },
        { "version", "a", NULL, "no operands" },
        { "show", "--jsn|a", NULL, "did you mean '--json'?" },
        { "create", "--peice-length=1|a", NULL, "did you mean '--piece-length'?" },
        { "create", "--piece|1|a", NULL, "did you mean '--piece-length'?" },
        { "create", "--xyzzy|a", NULL, "try 'tarn create --help'" },
        { "create", "--\x1b[31m|a", NULL, "--\\x1b[31m" },
        { "create", "-x|a", NULL, "no option '-x'" },
        { "create", "--json=1|a", NULL, "--json takes no value" },
        { "create", "a|--output", NULL, "--output wants FILE after it" },
        { "create", "a|-o", NULL, "--output wants FILE after it" },
        { "create", "--format=v3|a", NULL, "--format takes one of: hybrid v1 v2; not 'v3'" },
        { "create", "--format=v|a", NULL, "--format takes one of" },
        { "create", "--format=|a", NULL, "--format takes one of" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct cli_args args;
        struct tarn_err err = { 0 };
        char is[256];
        bool ok = parse(&args, cases[i].verb, cases[i].line, &err);
        if (ok != (cases[i].is != NULL))
            fail_msg("%s %s: %s", cases[i].verb, cases[i].line, err.msg);
        if (ok) {
            put_args(is, sizeof is, &args);
            assert_string_equal(is, cases[i].is);
        } else {
            assert_int_equal(err.code, TARN_E_USAGE);
            if (strstr(err.msg, cases[i].why) == NULL)
                fail_msg("'%s' is not in '%s'", cases[i].why, err.msg);
        }
        cli_args_release(&args);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct cli_args args;
    struct tarn_err err;
    const char **texts;
    size_t n;
    uint64_t value = 7;
    assert_true(parse(&args, "create", "-o|a|--tracker=u|-o|b|--tracker=v|d", &err));
    assert_string_equal(cli_text(&args, CLI_OUTPUT_FILE), "b");
    assert_null(cli_text(&args, CLI_COMMENT));
    assert_true(cli_texts(&args, CLI_TRACKER, &texts, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(texts[0], "u");
    assert_string_equal(texts[1], "v");
    tarn_free(texts);
    assert_true(cli_size(&args, CLI_PIECE_LENGTH, 10, &value, &err));
    assert_int_equal(value, 7);
    cli_args_release(&args);
}

static void test_numbers(void **state)
{
    (void)state;
    struct cli_args args;
    struct tarn_err err;
    uint64_t value = 0;
    assert_true(parse(&args, "create", "--piece-length=256K|-j|4|--date=x|d", &err));
    assert_true(cli_size(&args, CLI_PIECE_LENGTH, 1 << 20, &value, &err) && value == 256 << 10);
    assert_true(cli_number(&args, CLI_JOBS, 4, &value, &err) && value == 4);
    assert_false(cli_number(&args, CLI_JOBS, 3, &value, &err));
    assert_string_equal(err.msg, "--jobs is at most 3, not '4'");
    assert_false(cli_number(&args, CLI_DATE, 3, &value, &err));
    assert_string_equal(err.msg, "--date wants a number, not 'x'");
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_int_equal(value, 4);
    cli_args_release(&args);
    assert_true(parse(&args, "fetch", "--seed-for=2h|d", &err));
    assert_true(cli_seconds(&args, CLI_SEED_FOR, UINT32_MAX, &value, &err) && value == 7200);
    cli_args_release(&args);
}

static void test_near_verbs(void **state)
{
    (void)state;
    assert_string_equal(cli_near_verb("crate"), "create");
    assert_string_equal(cli_near_verb("cretae"), "create");
    assert_string_equal(cli_near_verb("verfy"), "verify");
    assert_string_equal(cli_near_verb("ver"), "verify");
    assert_null(cli_near_verb("zz"));
    assert_null(cli_near_verb(""));
    assert_null(cli_near_verb("a word that is far longer than any name in the table"));
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2; n++) {
        struct cli_args args;
        struct tarn_err err = { 0 };
        test_mem_fail_after(n);
        assert_false(parse(&args, "show", "a", &err));
        test_mem_normal();
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
        cli_args_release(&args);
    }
}

TEST_MAIN(cmocka_unit_test(test_lines), cmocka_unit_test(test_values),
          cmocka_unit_test(test_numbers), cmocka_unit_test(test_near_verbs),
          cmocka_unit_test(test_memory))
