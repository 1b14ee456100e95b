/* node/keys: the table of keys, finding in it, and the page that is made of it. */
#include "base/near.h"
#include "node/config.h"

#include <stdio.h>

#define TIB ((uint64_t)1 << 40)
#define DAY ((uint64_t)24 * 60 * 60)

const struct node_key_info node_keys[NODE_KEYS] = {
    [NODE_HTTP_LISTEN] = { "http", "listen", NODE_ADDRS, "127.0.0.1:8880", .port = 8880,
                           .help = "where the web door listens" },
    [NODE_HTTP_PUBLIC_URL] = { "http", "public_url", NODE_URL, "",
                               .help = "how the web door is reached from outside: for links and "
                                       "the web seeds of torrents" },
    [NODE_HTTP_TLS_CERT] = { "http", "tls_cert", NODE_PATH, "", .is_reloadable = true,
                             .help = "certificate chain (PEM): the web door speaks TLS" },
    [NODE_HTTP_TLS_KEY] = { "http", "tls_key", NODE_PATH, "", .is_reloadable = true,
                            .help = "private key of the certificate (PEM)" },
    [NODE_HTTP_LOOPS] = { "http", "loops", NODE_COUNT, "auto", 0, 64, .words = "auto",
                          .help = "threads of the web door; auto: one less than processors" },
    [NODE_HTTP_CONNECTIONS] = { "http", "connections", NODE_COUNT, "10000", 1, 1000000,
                                .help = "connections at a time, over all loops" },
    [NODE_HTTP_LINE_MAX] = { "http", "line_max", NODE_SIZE, "8K", 1024, TARN_MIB,
                             .help = "longest first line of a request" },
    [NODE_HTTP_HEAD_MAX] = { "http", "head_max", NODE_SIZE, "32K", 1024, TARN_MIB,
                             .help = "longest head of a request behind that line" },
    [NODE_HTTP_FIELDS_MAX] = { "http", "fields_max", NODE_COUNT, "100", 10, 1000,
                               .help = "fields in the head of a request" },
    [NODE_HTTP_BODY_MAX] = { "http", "body_max", NODE_SIZE, "24M", 1024, TARN_GIB,
                             .help = "longest body of a request to the admin door" },
    [NODE_HTTP_HEAD_TIMEOUT] = { "http", "head_timeout", NODE_DURATION, "10", 1, DAY,
                                 .help = "for a request's head to arrive" },
    [NODE_HTTP_BODY_TIMEOUT] = { "http", "body_timeout", NODE_DURATION, "30", 1, DAY,
                                 .help = "for more of a request's body to arrive" },
    [NODE_HTTP_IDLE_TIMEOUT] = { "http", "idle_timeout", NODE_DURATION, "75", 1, DAY,
                                 .help = "how long a connection is kept between requests" },
    [NODE_HTTP_SEND_TIMEOUT] = { "http", "send_timeout", NODE_DURATION, "60", 1, DAY,
                                 .help = "for a client to take more of an answer" },
    [NODE_HTTP_ACCESS_LOG] = { "http", "access_log", NODE_PATH, "",
                               .help = "file with a line for each request; empty: none" },
    [NODE_HTTP_ACCESS_LOG_FORMAT] = { "http", "access_log_format", NODE_WORD, "combined",
                                      .words = "combined json", .help = "how its lines look" },
    [NODE_HTTP_INDEX] = { "http", "index", NODE_BOOL, "on", .is_reloadable = true,
                          .help = "list folders" },
    [NODE_ADMIN_LISTEN] = { "admin", "listen", NODE_ADDRS, "off", .port = 9091,
                            .help = "where the admin door listens besides its socket; a token is "
                                    "needed there. tarn up: 127.0.0.1:9091 unless configured" },
    [NODE_ADMIN_TOKEN_FILE] = { "admin", "token_file", NODE_PATH, "",
                                .help = "file with the token; empty: token in the state folder, "
                                        "made at the first start" },
    [NODE_ADMIN_HOSTS] = { "admin", "hosts", NODE_TEXT, "", .is_reloadable = true,
                           .help = "names of hosts, besides localhost and addresses, by which the "
                                   "admin door may be called" },
    [NODE_BT_LISTEN] = { "bt", "listen", NODE_ADDRS, "0.0.0.0:6881 [::]:6881", .port = 6881,
                         .help = "where BitTorrent peers reach us; opened when a collection needs "
                                 "it" },
    [NODE_BT_RATE_DOWN] = { "bt", "rate_down", NODE_RATE, "unlimited", 0, TIB, .words = "unlimited",
                            .is_reloadable = true, .help = "receive at most so much from peers" },
    [NODE_BT_RATE_UP] = { "bt", "rate_up", NODE_RATE, "unlimited", 0, TIB, .words = "unlimited",
                          .is_reloadable = true, .help = "send at most so much to peers" },
    [NODE_BT_PEERS] = { "bt", "peers", NODE_COUNT, "500", 1, 1000000,
                        .help = "connections with peers at a time" },
    [NODE_BT_SLOTS] = { "bt", "slots", NODE_COUNT, "auto", 0, 1000000, .words = "auto",
                        .help = "peers that are sent to at once; auto: by their rates" },
    [NODE_BT_MEMORY] = { "bt", "memory", NODE_SIZE, "64M", TARN_MIB, TIB,
                         .help = "memory for data that arrives from peers" },
    [NODE_BT_METADATA] = { "bt", "metadata", NODE_SIZE, "256M", TARN_MIB, TIB,
                           .help = "memory for what torrents and peers say" },
    [NODE_BT_IO] = { "bt", "io", NODE_WORD, "auto", .words = "auto mmap pread",
                     .help = "how files are sent and written" },
    [NODE_BT_UPLINK] = { "bt", "uplink", NODE_WORD, "auto", .words = "auto off",
                         .help = "keep the line's queue short by sending less" },
    [NODE_BT_TRACKERS] = { "bt", "trackers", NODE_BOOL, "on",
                           .help = "ask the trackers that torrents name" },
    [NODE_BT_ANNOUNCE] = { "bt", "announce", NODE_TEXT, "",
                           .help = "URLs of trackers for the torrents of collections, spaces "
                                   "between" },
    [NODE_BT_DOWNLOADS] = { "bt", "downloads", NODE_PATH, "",
                            .help = "folder for what is added; empty: downloads in the state "
                                    "folder" },
    [NODE_INDEX_PATH] = { "index", "path", NODE_PATH, "",
                          .help = "folder of the index; empty: index in the state folder" },
    [NODE_INDEX_MAX_SIZE] = { "index", "max_size", NODE_SIZE, "1T", 16 * TARN_MIB, 64 * TIB,
                              .help = "the index grows no further" },
    [NODE_SCRUB_INTERVAL] = { "scrub", "interval", NODE_DURATION, "30d", 0, 3650 * DAY,
                              .words = "never", .is_reloadable = true,
                              .help = "how often everything held is read again and compared" },
    [NODE_SCRUB_RATE] = { "scrub", "rate", NODE_RATE, "32M", 0, TIB, .words = "unlimited",
                          .is_reloadable = true, .help = "read at most so much for that" },
    [NODE_CATALOG_QUIET] = { "catalog", "quiet", NODE_DURATION, "3", 1, DAY, .is_reloadable = true,
                             .help = "a file is read when nobody has written to it for so long" },
    [NODE_CATALOG_SYMLINKS] = { "catalog", "symlinks", NODE_WORD, "skip", .words = "skip follow",
                                .help = "symbolic links in published folders; those that lead out "
                                        "of their folder are skipped in any case" },
    [NODE_CATALOG_WALK_INTERVAL] = { "catalog", "walk_interval", NODE_DURATION, "1d", 60,
                                     3650 * DAY, .is_reloadable = true,
                                     .help = "how often folders are looked through, besides being "
                                             "told of changes" },
    [NODE_LOG_FORMAT] = { "log", "format", NODE_WORD, "text", .words = "text json",
                          .is_reloadable = true, .help = "how lines on standard error look" },
    [NODE_LOG_LEVEL] = { "log", "level", NODE_WORD, "info",
                         .words = "error warning notice info debug", .is_reloadable = true,
                         .help = "the least important lines to write" },
};

const char *node_key_text(struct node_key_text *dst, enum node_key key)
{
    snprintf(dst->s, sizeof dst->s, "%s.%s", node_keys[key].section, node_keys[key].name);
    return dst->s;
}

enum node_key node_key_find(struct tarn_bytes name, enum node_key *near)
{
    unsigned best = TARN_NEAR_MAX;
    struct node_key_text text;
    char word[TARN_NEAR_MAX + 1];
    if (near != NULL)
        *near = NODE_KEYS;
    for (enum node_key key = 0; key < NODE_KEYS; key++)
        if (tarn_bytes_eq_str(name, node_key_text(&text, key)))
            return key;
    if (near == NULL || name.len > TARN_NEAR_MAX)
        return NODE_KEYS;
    memcpy(word, name.p, name.len);
    word[name.len] = 0;
    for (enum node_key key = 0; key < NODE_KEYS; key++)
        if (tarn_is_near(word, node_key_text(&text, key), &best))
            *near = key;
    return NODE_KEYS;
}

/* docs/configuration.md */

static const char about[] =
    "# Configuration\n\n"
    "Made from the table in `src/node/keys.c` by `tarnd --generate docs`; a test compares.\n\n"
    "The node reads `/etc/tarn/tarn.conf` as the system's daemon, else "
    "`$XDG_CONFIG_HOME/tarn/tarn.conf`\n"
    "(`~/.config/tarn/tarn.conf`), or the file that `--config` names; then the files `*.conf` in "
    "`conf.d`\n"
    "beside it, in the order of their names. It never writes them. A value comes from the "
    "strongest of: a\n"
    "flag (`tarnd --http-listen=...`, `tarn up --set http.listen=...`), the environment\n"
    "(`TARN_HTTP_LISTEN`), `conf.d`, the file, what is built in. `tarn config show --origin` says "
    "which.\n\n"
    "Files are INI: `[section]`, `key = value`, comments behind `#` or `;` at the start of a line "
    "or\n"
    "behind a space and `;`. A file has at most 1 MiB, a line 4096 bytes, `conf.d` 100 files. "
    "`tarnd\n"
    "--check-config` ends with 0, or with 2 after naming each fault with its file and line. HUP "
    "reads the\n"
    "configuration anew: when it is valid the keys marked *HUP* are taken at once and the others "
    "at the\n"
    "next start; when it is not, nothing changes.\n\n"
    "Sizes and rates are bytes, with K, M, G or T (powers of 1024); times are seconds, or have s, "
    "m, h or\n"
    "d. Addresses are `1.2.3.4:80` or `[::1]:80` with spaces between; without a port they have the "
    "usual\n"
    "one; `off` is none. Paths are absolute. Secrets are in files of their own.\n";

static const char collections[] =
    "\n## [collection NAME]\n\n"
    "A folder that is published as NAME (at most 38 bytes, no `/`); up to 1000 of them. `tarn "
    "publish`\n"
    "adds others, which are kept in the index; of one that is named in both the configuration "
    "wins.\n\n"
    "| key | value | built in | |\n| --- | --- | --- | --- |\n"
    "| `path` | a path | | the folder; must be given |\n"
    "| `bt` | hybrid, v1, v2, off | hybrid | its torrent |\n"
    "| `http` | on, off | on | whether the web door serves it |\n"
    "| `hidden` | on, off | off | names that begin with a dot, too |\n"
    "| `policy` | public, partners, mine | public | who may have it; the web door serves what is "
    "public |\n";

static const char example[] = "\n## An example\n\n"
                              "    [http]\n"
                              "    listen = 0.0.0.0:80 [::]:80\n"
                              "    public_url = http://files.example\n\n"
                              "    [bt]\n"
                              "    rate_up = 20M\n\n"
                              "    [collection www]\n"
                              "    path = /srv/www\n";

static void put_words(struct tarn_out *o, const char *words)
{
    for (; *words != '\0'; words++)
        if (*words == ' ')
            tarn_out_str(o, ", ");
        else
            tarn_out_u8(o, (uint8_t)*words);
}

static void put_kind(struct tarn_out *o, const struct node_key_info *k)
{
    static const char *const kinds[] = {
        [NODE_BOOL] = "on, off",         [NODE_COUNT] = "a number",
        [NODE_SIZE] = "a size",          [NODE_RATE] = "a size a second",
        [NODE_DURATION] = "a time",      [NODE_WORD] = "",
        [NODE_PATH] = "a path",          [NODE_URL] = "a URL",
        [NODE_ADDRS] = "addresses, off", [NODE_TEXT] = "words",
    };
    tarn_out_str(o, kinds[k->kind]);
    if (k->words != NULL) {
        tarn_out_str(o, k->kind == NODE_WORD ? "" : ", ");
        put_words(o, k->words);
    }
}

void node_config_docs(struct tarn_out *o)
{
    const char *section = "";
    tarn_out_str(o, about);
    for (enum node_key key = 0; key < NODE_KEYS; key++) {
        const struct node_key_info *k = &node_keys[key];
        if (strcmp(section, k->section) != 0)
            tarn_out_fmt(o,
                         "\n## [%s]\n\n| key | value | built in | |\n| --- | --- | --- | --- |\n",
                         k->section);
        section = k->section;
        tarn_out_fmt(o, "| `%s` | ", k->name);
        put_kind(o, k);
        tarn_out_fmt(o, " | %s | %s%s |\n", k->usual, k->help, k->is_reloadable ? " *HUP*" : "");
    }
    tarn_out_str(o, collections);
    tarn_out_str(o, example);
}
