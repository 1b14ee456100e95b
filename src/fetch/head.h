/* fetch/head: what matters to us in the head of an answer: ranges, coding, who answers. Pure. */
#ifndef FETCH_HEAD_H
#define FETCH_HEAD_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum { FETCH_SERVER_MAX = 64 };

struct fetch_head {
    bool has_range;    /* Content-Range: bytes first-last/total */
    bool has_total;    /* the total was a number, not '*' */
    bool is_range_bad; /* there is one that makes no sense, or several that differ */
    bool is_coded;     /* Content-Encoding other than identity */
    bool has_length;   /* Content-Length */
    uint64_t first, last, total, length;
    uint32_t retry_after_s;        /* 0: not said */
    char server[FETCH_SERVER_MAX]; /* printable ASCII, cut to fit; "" when not said */
};

/* The next line of a head, with or without its CR LF. A status line begins anew: redirects and
 * 100 Continue have heads of their own. */
void fetch_head_line(struct fetch_head *h, struct tarn_bytes line);

#endif
