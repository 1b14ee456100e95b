/* http/core/date: dates of HTTP (RFC 9110 section 5.6.7). Times are seconds since 1970, UTC. Pure.
 */
#ifndef HTTP_CORE_DATE_H
#define HTTP_CORE_DATE_H

#include "base/attr.h"
#include "base/bytes.h"

enum { HTTP_DATE_LEN = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. Times outside the years 0 to 9999 become the nearest
 * one inside. Returns dst. */
char *http_date(char dst[HTTP_DATE_LEN + 1], int64_t s);

/* Read that form, and the two old ones: "Sunday, 06-Nov-94 08:49:37 GMT" and "Sun Nov  6 08:49:37
 * 1994". A year of two digits is the one that is no more than 50 years after now_s. False when it
 * is anything else. */
bool http_date_parse(struct tarn_bytes text, int64_t now_s, int64_t *s) TARN_MUST;

#endif
