/* bt/core/webseed: using a web server as a source (BEP 19, GetRight style): which URL and range to
 * ask for, what an answer means, when to ask again and when to give up.
 *
 * URLs: of a single file the seed's own, with the name behind it when it ends in '/'; of several
 * files URL '/' name '/' path, each element percent-encoded. Padding is in no file and is never
 * asked for.
 *
 * Pure; time is an argument. */
#ifndef BT_CORE_WEBSEED_H
#define BT_CORE_WEBSEED_H

#include "bt/core/metainfo.h"

enum {
    BT_WEBSEED_URL_MAX = 8000, /* bytes: what servers take at least (RFC 9110 advises 8000) */
    BT_WEBSEEDS_AT_ONCE = 4,   /* of one torrent: as Transmission */
    BT_WEBSEEDS_A_HOST = 2,    /* connections to one host, over all torrents: what browsers had */
    BT_WEBSEEDS_SESSION = 24,  /* of all torrents: half of what fetch does at a time */
    BT_WEBSEED_BAD_MAX = 3,    /* pieces that failed their hash, or answers that lie: dropped */
    BT_WEBSEED_GONE_MAX = 8,   /* missing files in a row, before it is left alone for a while */
    BT_WEBSEED_RUN_MIN = 1 << 20,          /* bytes of a request, at first and of slow ones */
    BT_WEBSEED_RUN_MAX = 16 << 20,         /* as libtorrent's urlseed_max_request_bytes */
    BT_WEBSEED_RUN_S = 4,                  /* a request is for so many seconds of its rate */
    BT_WEBSEED_STALL_MS = 20 * 1000,       /* nothing comes: libtorrent's urlseed_timeout */
    BT_WEBSEED_SLOW_US = 20 * 1000 * 1000, /* so long for each 16 KiB: BT_SNUB_US of peers */
    BT_WEBSEED_WAIT_S = 5,                 /* after a failure, doubled with each in a row ... */
    BT_WEBSEED_WAIT_MAX_S = 30 * 60,       /* ... up to libtorrent's wait after a failed look-up */
    BT_WEBSEED_RETRY_MAX_S = 3600,         /* the longest Retry-After that is obeyed */
    BT_WEBSEED_SHOWN = 200,
};
#define BT_WEBSEED_NO_FILE UINT32_MAX

/* http or https, and short enough for a path behind it. */
bool bt_webseed_is_usable(const char *base);

/* The URL of a file, NUL-ended. False: no URL can name it, or there is no memory. */
bool bt_webseed_url(const struct bt_metainfo *m, const char *base, uint32_t file,
                    struct tarn_out *o) TARN_MUST;

/* For people: scheme, host, port and path; never a user, a password, a query or a fragment. */
const char *bt_webseed_show(char shown[BT_WEBSEED_SHOWN], const char *url);
/* The host with its port, as connections are counted. */
const char *bt_webseed_host(char host[BT_WEBSEED_SHOWN], const char *url);

/* What lies at `at` in the piece space, up to `end` or where its file ends: bytes of a file, or
 * padding (BT_WEBSEED_NO_FILE). */
struct bt_webseed_part {
    uint32_t file;
    uint64_t off; /* in the file */
    uint64_t len;
};
struct bt_webseed_part bt_webseed_part(const struct bt_metainfo *m, uint64_t at, uint64_t end);

/* The pieces that hold bytes of a file, both included; false: it has no bytes. */
bool bt_webseed_pieces(const struct bt_metainfo *m, uint32_t file, uint32_t *first, uint32_t *last);

/* An answer's head, as far as it matters. */
struct bt_webseed_answer {
    int status;
    bool has_range, is_range_bad, has_total, has_length, is_coded;
    uint64_t first, last, total, length;
    uint32_t retry_after_s;
};

enum bt_webseed_verdict {
    BT_WEBSEED_TAKE, /* the body is what was asked for, or the beginning of it */
    BT_WEBSEED_GONE, /* this file is not there, or is another one: its pieces are not asked for */
    BT_WEBSEED_WAIT, /* not now */
    BT_WEBSEED_LIES, /* the answer contradicts itself or the question */
    BT_WEBSEED_USELESS, /* it cannot do what is needed: dropped at once */
};
/* `len` bytes from `off` on of a file of file_len bytes were asked for. *take: how many bytes of
 * the body are good for that. The sentence says what the server did; it does not name it. */
enum bt_webseed_verdict bt_webseed_judge(const struct bt_webseed_answer *a, uint64_t off,
                                         uint64_t len, uint64_t file_len, uint64_t *take,
                                         struct tarn_err *err);

/* One seed's record. Zeroed is a new one. */
struct bt_webseed_record {
    bool is_dropped;
    uint8_t fails; /* in a row */
    uint8_t gone;  /* missing files in a row */
    uint8_t bad;
    int64_t next_us; /* not before */
    uint64_t rate_bps;
};
/* A request ended well after `bytes` in `took_us`, in which nothing of ours held it up. */
void bt_webseed_went_well(struct bt_webseed_record *r, uint64_t bytes, int64_t took_us);
/* An answer was no good. */
void bt_webseed_failed(struct bt_webseed_record *r, enum bt_webseed_verdict v,
                       uint32_t retry_after_s, int64_t now_us);
/* A piece of it failed its hash. */
void bt_webseed_sent_bad(struct bt_webseed_record *r);
/* How much to ask for in one run. */
uint64_t bt_webseed_run(const struct bt_webseed_record *r);

#endif
