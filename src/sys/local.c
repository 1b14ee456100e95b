/* sys/local: which addresses are near: no public server has a business sending us there, and many
 * hosts may stand behind one.
 *
 * From the special-purpose registries of IANA (RFC 6890 and its updates). */
#include "sys/net.h"

struct net {
    uint8_t ip[16];
    uint8_t bits;
};

static const struct net nets_v4[] = {
    { { 0 }, 8 },          /* this network */
    { { 10 }, 8 },         /* private */
    { { 100, 64 }, 10 },   /* carrier NAT */
    { { 127 }, 8 },        /* this machine */
    { { 169, 254 }, 16 },  /* this link; clouds answer secrets here */
    { { 172, 16 }, 12 },   /* private */
    { { 192, 0, 0 }, 24 }, /* protocol assignments */
    { { 192, 168 }, 16 },  /* private */
    { { 198, 18 }, 15 },   /* benchmarks */
    { { 224 }, 3 },        /* multicast, reserved, broadcast */
};

static const struct net nets_v6[] = {
    { { 0 }, 127 },                        /* unspecified, this machine */
    { { 0xFC }, 7 },                       /* private */
    { { 0xFE, 0x80 }, 9 },                 /* this link, this site */
    { { 0xFF }, 8 },                       /* multicast */
    { { 0x01 }, 64 },                      /* discarded */
    { { 0, 0x64, 0xFF, 0x9B, 0, 1 }, 48 }, /* this site's NAT64 */
};

/* IPv6 that carries IPv4, and where in it. */
static const struct {
    struct net net;
    uint8_t at;
} carriers[] = {
    { { { 0 }, 96 }, 12 },                        /* compatible */
    { { { [10] = 0xFF, [11] = 0xFF }, 96 }, 12 }, /* mapped */
    { { { 0, 0x64, 0xFF, 0x9B }, 96 }, 12 },      /* NAT64 */
    { { { 0x20, 0x02 }, 16 }, 2 },                /* 6to4 */
};

static bool is_in(const uint8_t *ip, const struct net *net)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(ip, net->ip, whole) != 0)
        return false;
    return rest == 0 || (ip[whole] ^ net->ip[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const uint8_t *ip, const struct net *nets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_in(ip, &nets[i]))
            return true;
    return false;
}

bool sys_addr_is_local(const struct sys_addr *a)
{
    if (!a->is_v6)
        return is_in_any(a->ip, nets_v4, TARN_COUNT_OF(nets_v4));
    if (is_in_any(a->ip, nets_v6, TARN_COUNT_OF(nets_v6)))
        return true;
    for (size_t i = 0; i < TARN_COUNT_OF(carriers); i++)
        if (is_in(a->ip, &carriers[i].net))
            return is_in_any(a->ip + carriers[i].at, nets_v4, TARN_COUNT_OF(nets_v4));
    return false;
}
