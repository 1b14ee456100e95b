/* bt/core/addr: see the header. IP addresses in text are read here, because a core knows no system
 * calls: RFC 4291's forms, with "::" once and a dotted tail. */
#include "bt/core/addr.h"

#include "base/cur.h"

static bool is_end(const struct tarn_cur *c)
{
    return tarn_cur_left(c) == 0;
}

static int peek(const struct tarn_cur *c)
{
    return is_end(c) ? -1 : *c->p;
}

static bool take_char(struct tarn_cur *c, char want)
{
    if (peek(c) != want)
        return false;
    (void)tarn_cur_u8(c);
    return true;
}

static int digit_of(int ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return 99;
}

/* A number of that base with 1 to max_digits digits. */
static bool take_number(struct tarn_cur *c, int base, int max_digits, unsigned *out)
{
    unsigned v = 0;
    int n = 0;
    for (; n < max_digits && digit_of(peek(c)) < base; n++)
        v = v * (unsigned)base + (unsigned)digit_of(tarn_cur_u8(c));
    *out = v;
    return n > 0;
}

static bool read_v4(struct tarn_cur *c, uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned v;
        if ((i > 0 && !take_char(c, '.')) || !take_number(c, 10, 3, &v) || v > 255)
            return false;
        ip[i] = (uint8_t)v;
    }
    return is_end(c);
}

/* Groups up to the end or to "::"; a dotted tail counts as two. Returns how many, or -1. */
static int read_groups(struct tarn_cur *c, uint8_t *ip, int max, bool *gap)
{
    int n = 0;
    *gap = false;
    if (is_end(c))
        return 0;
    for (;;) {
        struct tarn_cur start = *c;
        unsigned v;
        if (n == max || !take_number(c, 16, 4, &v))
            return -1;
        if (peek(c) == '.')
            return n + 2 <= max && read_v4(&start, ip + (size_t)n * 2) ? n + 2 : -1;
        ip[n * 2] = (uint8_t)(v >> 8);
        ip[n * 2 + 1] = (uint8_t)v;
        n++;
        if (is_end(c))
            return n;
        if (!take_char(c, ':'))
            return -1;
        if (take_char(c, ':')) {
            *gap = true;
            return n;
        }
    }
}

static bool read_v6(struct tarn_cur *c, uint8_t ip[16])
{
    uint8_t tail[16] = { 0 };
    bool gap = false, again;
    int head = 0;
    memset(ip, 0, 16);
    if (take_char(c, ':')) {
        if (!take_char(c, ':'))
            return false;
        gap = true;
    } else {
        head = read_groups(c, ip, 8, &gap);
    }
    if (!gap)
        return head == 8;
    if (head < 0 || head > 7)
        return false;
    int n = read_groups(c, tail, 7 - head, &again);
    if (n < 0 || again)
        return false;
    memcpy(ip + 16 - (size_t)n * 2, tail, (size_t)n * 2);
    return true;
}

bool bt_addr_parse_ip(struct tarn_bytes text, struct bt_addr *a)
{
    uint8_t ip[16] = { 0 };
    bool is_v6 = text.len > 0 && memchr(text.p, ':', text.len) != NULL;
    struct tarn_cur c = tarn_cur_of(text);
    if (is_v6 ? !read_v6(&c, ip) : !read_v4(&c, ip))
        return false;
    memcpy(a->ip, ip, sizeof ip);
    a->is_v6 = is_v6;
    return true;
}

struct bt_addr bt_addr_of_compact(const uint8_t *p, bool is_v6)
{
    struct bt_addr a = { .is_v6 = is_v6 };
    size_t n = is_v6 ? 16 : 4;
    memcpy(a.ip, p, n);
    a.port = (uint16_t)(p[n] << 8 | p[n + 1]);
    return a;
}

bool bt_addr_is_usable(const struct bt_addr *a)
{
    if (a->port == 0)
        return false;
    if (a->is_v6) {
        static const uint8_t none[16];
        return a->ip[0] != 0xFF && memcmp(a->ip, none, sizeof none) != 0;
    }
    return a->ip[0] != 0 && a->ip[0] < 224; /* this network; multicast and above */
}

bool bt_addr_eq(const struct bt_addr *a, const struct bt_addr *b)
{
    return a->is_v6 == b->is_v6 && a->port == b->port &&
           memcmp(a->ip, b->ip, a->is_v6 ? 16 : 4) == 0;
}
