#include "base/test/test.h"
#include "fetch/fetch.h"

static void test_refuses(void **state)
{
    (void)state;
    struct tarn_err err;
    assert_null(fetcher_new(NULL, "tarn", &err));
    assert_int_equal(err.code, TARN_E_FAILED);
    assert_string_equal(err.msg,
                        "HTTP trackers and URLs need libcurl, which this tarn was built without");
    fetcher_free(NULL);
    struct fetch f = { 0 };
    fetch_cancel(&f);
}

TEST_MAIN(cmocka_unit_test(test_refuses))
