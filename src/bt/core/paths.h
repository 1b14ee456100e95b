/* bt/core/paths: from names that strangers chose to paths that are safe to create. Private to the
 * reading of torrents.
 *
 * Three steps. Each element is made harmless on its own (bt_safe_element). Elements are joined
 * below the torrent's name (struct bt_path). When all files are known, those whose path is taken
 * get another one, and symlinks are followed inside the torrent to see that they lead somewhere
 * (bt_paths_settle).
 *
 * Paths are compared byte by byte: a folder that folds case or normalises is the business of
 * whoever creates files in it. So are names that only Windows minds. */
#ifndef BT_CORE_PATHS_H
#define BT_CORE_PATHS_H

#include "base/out.h"
#include "bt/core/metainfo.h"

enum {
    BT_ELEMENT_MAX = 250,      /* bytes: leaves room below NAME_MAX (255) for a counter */
    BT_ELEMENT_CUT = 240,      /* where an element that is too long is cut ... */
    BT_WEB_PATH_MAX = 1024,    /* bytes, before they are percent-encoded: servers take 8 KiB */
    BT_ELEMENT_EXTENSION = 10, /* ... keeping an extension of so many bytes, its point included */
};

/* Append the element as it may stand in a path: valid UTF-8 without '/', controls and characters
 * that nobody sees; 1 to BT_ELEMENT_MAX bytes; never "." or "..". */
void bt_safe_element(struct tarn_out *o, struct tarn_bytes element);

/* A path that grows and shrinks an element at a time. */
struct bt_path {
    struct tarn_out text;
    uint32_t ends[BT_PATH_DEPTH_MAX + 1];         /* text's length before each push */
    struct tarn_bytes raw[BT_PATH_DEPTH_MAX + 1]; /* borrowed: the elements as they were pushed */
    bool is_odd[BT_PATH_DEPTH_MAX + 1];           /* that one had to be changed */
    uint32_t depth, n_odd;
    bool has_root; /* it stands below a name */
};
void bt_path_init(struct bt_path *p);
void bt_path_release(struct bt_path *p);                /* accepts a zeroed one */
void bt_path_root(struct bt_path *p, const char *name); /* start below name; "": below nothing */
/* False, changing nothing, when the path is BT_PATH_DEPTH_MAX elements deep. Being out of memory
 * shows in p->text. */
bool bt_path_push(struct bt_path *p, struct tarn_bytes element) TARN_MUST;
void bt_path_pop(struct bt_path *p);
/* The path as whoever made the torrent has it, percent-encoded element by element, below his name
 * for it when there is a root. False: an element is "", "." or "..", which no URL can have, or all
 * of it is longer than BT_WEB_PATH_MAX. */
bool bt_path_put_web(const struct bt_path *p, struct tarn_bytes root, struct tarn_out *o) TARN_MUST;

/* A symlink that was met while files were listed. */
struct bt_link {
    uint32_t file;     /* index of it */
    benc_val target;   /* list of elements; BENC_NONE: it has none */
    uint8_t state;     /* paths.c's */
    uint32_t end_file; /* where it leads: the first end_len bytes of this file's path, ... */
    uint32_t end_len;  /* ... not counting the torrent's name */
    bool end_is_folder;
};

/* Percent-encode a path, its '/' apart. */
void bt_path_escape(struct tarn_out *o, struct tarn_bytes path);

/* Give every file (pads apart: they are never created) a path of its own and every good link its
 * target. links are in the order of files. seed: 16 bytes for the tables' hash. */
bool bt_paths_settle(struct bt_metainfo *m, const struct benc *b, struct bt_link *links,
                     size_t n_links, const uint8_t seed[16], struct tarn_err *err) TARN_MUST;

#endif
