/* http/core/date: see the header. Days are counted without tables, by years that begin in March. */
#include "http/core/date.h"

#include "http/core/priv.h"

enum { DAY_S = 24 * 60 * 60 };

static const char day_names[7][10] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

struct civil {
    int64_t year;
    int month, day; /* from 1 */
};

/* Days since 1970 of a day of the Gregorian calendar. A year that begins in March ends with the
 * leap day, and its months have 153 days in five: so both counts are plain divisions. 719468: days
 * from March 1st of year 0 to 1970. */
static int64_t days_of(struct civil c)
{
    int64_t y = c.year - (c.month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static struct civil civil_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t in_era = days - era * 146097;
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * in_year + 2) / 153;
    struct civil c = { y + era * 400, (int)(m < 10 ? m + 3 : m - 9),
                       (int)(in_year - (153 * m + 2) / 5 + 1) };
    c.year += c.month <= 2;
    return c;
}

static char *put_digits(char *dst, int64_t n, int digits)
{
    for (int i = digits - 1; i >= 0; i--, n /= 10)
        dst[i] = (char)('0' + n % 10);
    return dst + digits;
}

static char *put_text(char *dst, const char *text, size_t len)
{
    memcpy(dst, text, len);
    return dst + len;
}

char *http_date(char dst[HTTP_DATE_LEN + 1], int64_t s)
{
    const int64_t first = days_of((struct civil){ 0, 1, 1 }) * DAY_S;
    const int64_t last = days_of((struct civil){ 10000, 1, 1 }) * DAY_S - 1;
    s = s < first ? first : s > last ? last : s;
    int64_t days = s / DAY_S - (s % DAY_S < 0), rest = s - days * DAY_S;
    struct civil c = civil_of(days);
    char *p = put_text(dst, day_names[((days + 4) % 7 + 7) % 7], 3); /* 1970 began on a Thursday */
    p = put_text(p, ", ", 2);
    p = put_digits(p, c.day, 2);
    *p++ = ' ';
    p = put_text(p, month_names[c.month - 1], 3);
    *p++ = ' ';
    p = put_digits(p, c.year, 4);
    *p++ = ' ';
    p = put_digits(p, rest / 3600, 2);
    *p++ = ':';
    p = put_digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, rest % 60, 2);
    put_text(p, " GMT", 5);
    return dst;
}

/* What a form of date says. */
struct reading {
    struct tarn_bytes rest;
    bool is_bad;
    int month, day, hour, minute, second;
    int64_t year;
};

static void expect(struct reading *r, const char *text)
{
    size_t len = strlen(text);
    r->is_bad |= r->rest.len < len || memcmp(r->rest.p, text, len) != 0;
    if (!r->is_bad)
        r->rest = http_from(r->rest, len);
}

static int digits(struct reading *r, size_t n)
{
    int value = 0;
    if (r->rest.len < n)
        r->is_bad = true;
    for (size_t i = 0; i < n && !r->is_bad; i++) {
        r->is_bad |= !http_is_digit(r->rest.p[i]);
        value = value * 10 + (r->rest.p[i] - '0');
    }
    if (!r->is_bad)
        r->rest = http_from(r->rest, n);
    return value;
}

static int month(struct reading *r)
{
    for (int m = 0; m < 12; m++) {
        if (r->rest.len >= 3 && memcmp(r->rest.p, month_names[m], 3) == 0) {
            r->rest = http_from(r->rest, 3);
            return m + 1;
        }
    }
    r->is_bad = true;
    return 1;
}

static void time_of_day(struct reading *r)
{
    r->hour = digits(r, 2);
    expect(r, ":");
    r->minute = digits(r, 2);
    expect(r, ":");
    r->second = digits(r, 2);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static void read_fixed(struct reading *r)
{
    r->day = digits(r, 2);
    expect(r, " ");
    r->month = month(r);
    expect(r, " ");
    r->year = digits(r, 4);
    expect(r, " ");
    time_of_day(r);
    expect(r, " GMT");
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static void read_rfc850(struct reading *r, int64_t now_s)
{
    r->day = digits(r, 2);
    expect(r, "-");
    r->month = month(r);
    expect(r, "-");
    r->year = digits(r, 2);
    expect(r, " ");
    time_of_day(r);
    expect(r, " GMT");
    /* The last year with these digits that is no more than 50 after this one. */
    int64_t latest = civil_of(now_s / DAY_S).year + 50;
    r->year += (latest - r->year) / 100 * 100;
}

/* Sun Nov  6 08:49:37 1994 */
static void read_asctime(struct reading *r)
{
    r->month = month(r);
    expect(r, " ");
    bool is_short = r->rest.len > 0 && r->rest.p[0] == ' ';
    if (is_short)
        expect(r, " ");
    r->day = digits(r, is_short ? 1 : 2);
    expect(r, " ");
    time_of_day(r);
    expect(r, " ");
    r->year = digits(r, 4);
}

/* Take "Sun, ", "Sunday, " or "Sun " from the front. The length of the day's name, 0: none. Which
 * day it names is not compared with the date: the date says it. */
static size_t take_day_name(struct reading *r, bool *has_comma)
{
    for (int d = 0; d < 7; d++) {
        size_t full = strlen(day_names[d]);
        size_t len = r->rest.len > full && memcmp(r->rest.p, day_names[d], full) == 0 ? full : 3;
        if (r->rest.len <= len + 2 || memcmp(r->rest.p, day_names[d], len) != 0)
            continue;
        *has_comma = r->rest.p[len] == ',';
        r->rest = http_from(r->rest, len);
        expect(r, *has_comma ? ", " : " ");
        return len;
    }
    return 0;
}

bool http_date_parse(struct tarn_bytes text, int64_t now_s, int64_t *s)
{
    struct reading r = { .rest = text };
    bool has_comma = false;
    size_t name_len = take_day_name(&r, &has_comma);
    if (name_len == 3 && has_comma)
        read_fixed(&r);
    else if (name_len == 3)
        read_asctime(&r);
    else if (name_len > 3 && has_comma)
        read_rfc850(&r, now_s);
    else
        return false;
    if (r.is_bad || r.rest.len > 0 || r.hour > 23 || r.minute > 59 || r.second > 60)
        return false;
    struct civil c = { r.year, r.month, r.day };
    int64_t days = days_of(c);
    if (r.day < 1 || civil_of(days).day != r.day) /* no such day in that month */
        return false;
    *s = days * DAY_S + r.hour * 3600 + r.minute * 60 + r.second;
    return true;
}
