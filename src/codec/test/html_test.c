/* Whatever a name holds, it stays text. */
#include "base/test/test.h"

#include "codec/html.h"

#include <string.h>

static const char *written(void (*put)(struct tarn_out *o, struct tarn_bytes b), const char *text)
{
    static char room[256];
    struct tarn_out o;
    tarn_out_fixed(&o, room, sizeof room - 1);
    put(&o, tarn_bytes_str(text));
    assert_true(tarn_out_ok(&o));
    room[o.len] = '\0';
    return room;
}

static void texts(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "plain \xc3\xa9", "plain \xc3\xa9" },
        { "<a href=\"x\" id='y'>&</a>",
          "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;&lt;/a&gt;" },
        { "a\x01\n\x7f", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xc2\x85", "\xef\xbf\xbd" }, /* a control character of Latin-1 */
        { "bad\xff!", "bad\xef\xbf\xbd!" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(written(html_text, cases[i][0]), cases[i][1]);
}

static void paths(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },       { "a/b c/d", "a/b%20c/d" }, { "a%2F/?#&\"<", "a%252F/%3F%23%26%22%3C" },
        { "/x/", "/x/" }, { "\xff", "%FF" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(written(html_path, cases[i][0]), cases[i][1]);
}

TEST_MAIN(cmocka_unit_test(texts), cmocka_unit_test(paths))
