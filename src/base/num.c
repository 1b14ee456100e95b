/* base/num: numbers from text and back. The parsers know no spaces, signs or fractions: a setting
 * that is not exactly what the manual says is more likely a mistake than a wish. */
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>

bool tarn_parse_u64(struct tarn_bytes text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        if (!tarn_mul_u64(value, 10, &value) || !tarn_add_u64(value, text.p[i] - '0', &value))
            return false;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Digits, then one of the units' names. */
static bool parse_with_unit(struct tarn_bytes text, const struct unit *units, size_t count,
                            uint64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    uint64_t number;
    if (!tarn_parse_u64(tarn_bytes_of(text.p, digits), UINT64_MAX, &number))
        return false;
    struct tarn_bytes name = tarn_bytes_of(text.p + digits, text.len - digits);
    for (size_t i = 0; i < count; i++)
        if (tarn_bytes_eq_str(name, units[i].name))
            return tarn_mul_u64(number, units[i].factor, out);
    return false;
}

bool tarn_parse_size(struct tarn_bytes text, uint64_t *out)
{
    static const struct unit units[] = {
        { "", 1 },
        { "K", (uint64_t)1 << 10 },
        { "KiB", (uint64_t)1 << 10 },
        { "M", (uint64_t)1 << 20 },
        { "MiB", (uint64_t)1 << 20 },
        { "G", (uint64_t)1 << 30 },
        { "GiB", (uint64_t)1 << 30 },
        { "T", (uint64_t)1 << 40 },
        { "TiB", (uint64_t)1 << 40 },
    };
    return parse_with_unit(text, units, TARN_COUNT_OF(units), out);
}

bool tarn_parse_seconds(struct tarn_bytes text, uint64_t *out)
{
    static const struct unit units[] = {
        { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 },
    };
    return parse_with_unit(text, units, TARN_COUNT_OF(units), out);
}

/* Rounded down, so that 1023.99 KiB is never shown as 1024 KiB, nor 99.99% of a file as all. */
const char *tarn_size_text(struct tarn_size_text *dst, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    unsigned unit = bytes == 0 ? 0 : tarn_log2_u64(bytes) / 10;
    uint64_t whole = bytes >> (10 * unit);
    uint64_t rest = bytes - (whole << (10 * unit));
    uint64_t tenths = rest * 10 >> (10 * unit); /* rest < 2^60: no overflow */
    if (tenths == 0 || whole >= 1000)
        snprintf(dst->s, sizeof dst->s, "%" PRIu64 " %s", whole, units[unit]);
    else
        snprintf(dst->s, sizeof dst->s, "%" PRIu64 ".%u %s", whole, (unsigned)tenths, units[unit]);
    return dst->s;
}
