/* A request made of a first line and field lines, for tests of what reads its fields. */
#ifndef HTTP_CORE_TEST_REQUEST_H
#define HTTP_CORE_TEST_REQUEST_H

#include "http/core/head.h"

struct test_request {
    char text[1000];
    struct http_field fields[HTTP_FIELDS_DEFAULT];
    struct http_request req;
};

/* lines: "" or field lines, each with its line end. */
static inline const struct http_request *test_request(struct test_request *t, const char *method,
                                                      const char *lines)
{
    struct http_scan scan = { 0 };
    int len =
        snprintf(t->text, sizeof t->text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, lines);
    assert_in_range(len, 0, sizeof t->text - 1);
    t->req.fields = t->fields;
    struct tarn_err err;
    if (http_head_next(&scan, &http_limits_default, tarn_bytes_of(t->text, (size_t)len), &t->req,
                       &err) != HTTP_DONE)
        fail_msg("%s: %s", t->text, err.msg);
    return &t->req;
}

#endif
