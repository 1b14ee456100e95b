/* node/config: what a node is told to do: files, environment, flags; one table of keys.
 *
 * A value comes from the strongest of: a flag, the environment (TARN_SECTION_KEY), a file in
 * conf.d (the last in the order of names), the main file, what is built in. Files are INI. The
 * table (node_keys) holds every key with its kind, range and words; from it come parsing, messages,
 * `tarn config`, flags of tarnd and docs/configuration.md, so they cannot disagree.
 *
 * A struct node_config never changes after it was read: any thread may read it, and a reload makes
 * a new one. Errors name file, line and key, and say what is allowed (TARN_E_USAGE). */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "base/out.h"
#include "sys/net.h"

enum {
    NODE_CONFIG_FILE_MAX = 1 << 20, /* bytes of one file */
    NODE_CONFIG_FILES_MAX = 100,    /* in conf.d */
    NODE_CONFIG_LINE_MAX = 4096,    /* bytes of a line: a path fits */
    NODE_CONFIG_COLLECTIONS_MAX = 1000,
    NODE_CONFIG_ADDRS_MAX = 16, /* addresses of one key */
    NODE_CONFIG_NAME_MAX = 38,  /* bytes of a collection's name here: inih's sections have 49 */
};

enum node_key {
    NODE_HTTP_LISTEN,
    NODE_HTTP_PUBLIC_URL,
    NODE_HTTP_TLS_CERT,
    NODE_HTTP_TLS_KEY,
    NODE_HTTP_LOOPS, /* 0: auto */
    NODE_HTTP_CONNECTIONS,
    NODE_HTTP_LINE_MAX,
    NODE_HTTP_HEAD_MAX,
    NODE_HTTP_FIELDS_MAX,
    NODE_HTTP_BODY_MAX,
    NODE_HTTP_HEAD_TIMEOUT,
    NODE_HTTP_BODY_TIMEOUT,
    NODE_HTTP_IDLE_TIMEOUT,
    NODE_HTTP_SEND_TIMEOUT,
    NODE_HTTP_ACCESS_LOG, /* "": none */
    NODE_HTTP_ACCESS_LOG_FORMAT,
    NODE_HTTP_INDEX,
    NODE_ADMIN_LISTEN,
    NODE_ADMIN_TOKEN_FILE, /* "": token in the state folder */
    NODE_ADMIN_HOSTS,      /* names besides addresses that Host may have */
    NODE_BT_LISTEN,
    NODE_BT_RATE_DOWN,
    NODE_BT_RATE_UP,
    NODE_BT_PEERS,
    NODE_BT_SLOTS,
    NODE_BT_MEMORY,
    NODE_BT_METADATA,
    NODE_BT_IO,
    NODE_BT_UPLINK,
    NODE_BT_TRACKERS,
    NODE_BT_ANNOUNCE,
    NODE_BT_DOWNLOADS, /* "": downloads in the state folder */
    NODE_INDEX_PATH,   /* "": index in the state folder */
    NODE_INDEX_MAX_SIZE,
    NODE_SCRUB_INTERVAL, /* 0: never */
    NODE_SCRUB_RATE,     /* 0: no limit */
    NODE_CATALOG_QUIET,
    NODE_CATALOG_SYMLINKS,
    NODE_CATALOG_WALK_INTERVAL,
    NODE_LOG_FORMAT,
    NODE_LOG_LEVEL,
    NODE_KEYS,
};

enum node_kind {
    NODE_BOOL,     /* on off, yes no, true false, 1 0 */
    NODE_COUNT,    /* a number */
    NODE_SIZE,     /* 1000, 256K, 4M: bytes */
    NODE_RATE,     /* the same, a second */
    NODE_DURATION, /* 90, 30m, 2h, 1d: seconds */
    NODE_WORD,     /* one of a few */
    NODE_PATH,     /* absolute; or empty where the built-in value is empty */
    NODE_URL,      /* http or https; or empty */
    NODE_ADDRS,    /* addresses with ports, spaces or commas between; or "off" */
    NODE_TEXT,     /* words without control characters */
};

struct node_key_info {
    const char *section, *name;
    enum node_kind kind;
    const char *usual;  /* the built-in value, as it would be written */
    uint64_t min, max;  /* of numbers */
    const char *words;  /* of NODE_WORD, with spaces between; of numbers: one word that means 0 */
    uint16_t port;      /* of NODE_ADDRS: when none is written */
    bool is_reloadable; /* HUP takes a new value; else it waits for the next start */
    bool is_secret;     /* never shown */
    const char *help;   /* one line, for config show, --help and the docs */
};
extern const struct node_key_info node_keys[NODE_KEYS];

enum node_origin { NODE_BUILT_IN, NODE_FROM_FILE, NODE_FROM_ENVIRONMENT, NODE_FROM_FLAG };

/* A [collection NAME] section. */
enum node_bt_kind { NODE_BT_HYBRID, NODE_BT_V1, NODE_BT_V2, NODE_BT_OFF };
enum node_policy { NODE_PUBLIC, NODE_PARTNERS, NODE_MINE };
struct node_config_collection {
    const char *name, *path; /* owned by the config */
    enum node_bt_kind bt;
    enum node_policy policy;
    bool http, hidden;
    const char *file; /* where the section begins, or "" */
    unsigned line;
};

struct node_config;

/* Where to read. Zeroed: the usual places and the real environment. */
struct node_config_from {
    const char *file;            /* the main file; conf.d lies beside it. NULL: the usual place,
                                    where it may be missing */
    const char *const *environ_; /* "NAME=value", NULL behind the last; NULL: this process's */
    const char *const *flags;    /* "section.key=value": the strongest; the last one counts */
    size_t n_flags;
    bool is_system; /* the usual place is /etc/tarn/tarn.conf: root's daemon. Else that is
                       $XDG_CONFIG_HOME/tarn/tarn.conf or ~/.config/tarn/tarn.conf */
};

/* NULL with the first fault; all of them, one a line, in *faults when that is not NULL (a
 * tarn_out of the caller's). To be freed with node_config_free. */
struct node_config *node_config_read(const struct node_config_from *from, struct tarn_out *faults,
                                     struct tarn_err *err) TARN_MUST;
/* The same of one text over what is built in, and nothing else: pure. path: what messages call it.
 */
struct node_config *node_config_parse(struct tarn_bytes text, const char *path,
                                      struct tarn_out *faults, struct tarn_err *err) TARN_MUST;
void node_config_free(struct node_config *c); /* accepts NULL */

/* Values. Text is as written (or built in), borrowed; numbers are in bytes, bytes a second,
 * seconds, or the place in `words` of a NODE_WORD, or 0 and 1. */
const char *node_config_text(const struct node_config *c, enum node_key key);
uint64_t node_config_number(const struct node_config *c, enum node_key key);
bool node_config_on(const struct node_config *c, enum node_key key);
/* Addresses; *n is 0 for "off". Borrowed. */
const struct sys_addr *node_config_addrs(const struct node_config *c, enum node_key key, size_t *n);
enum node_origin node_config_origin(const struct node_config *c, enum node_key key);
/* "built-in", "/etc/tarn/tarn.conf:12", "TARN_HTTP_LISTEN", "flag": borrowed. */
const char *node_config_origin_text(const struct node_config *c, enum node_key key);

size_t node_config_collections(const struct node_config *c);
const struct node_config_collection *node_config_collection(const struct node_config *c, size_t i);

/* The main file as it was looked for (it may not exist). */
const char *node_config_path(const struct node_config *c);

/* The first key, in the order of the table, whose value differs and which cannot be taken while
 * running; NODE_KEYS: none. */
enum node_key node_config_differs(const struct node_config *a, const struct node_config *b);

/* The key of "section.key", or NODE_KEYS. near: when not NULL, the nearest one for a typo, or
 * NODE_KEYS. */
enum node_key node_key_find(struct tarn_bytes name, enum node_key *near);

/* "http.listen" */
struct node_key_text {
    char s[64];
};
const char *node_key_text(struct node_key_text *dst, enum node_key key);

/* docs/configuration.md. */
void node_config_docs(struct tarn_out *o);

#endif
