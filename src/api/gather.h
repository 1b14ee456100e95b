/* api/gather: what a new torrent will hold: the files below a path, checked and in order. */
#ifndef API_GATHER_H
#define API_GATHER_H

#include "base/arena.h"
#include "store/layout.h"
#include "sys/file.h"

#include <tarn/torrent.h>

struct api_source {
    const char *path;    /* below the name; "" for a single file */
    const char *on_disk; /* the same below "./": for the layout */
    struct sys_stat st;
};

struct api_gathered {
    struct tarn_arena arena;  /* owns all strings */
    struct api_source *files; /* owned; in the order of bt_create_order */
    size_t n, cap;
    const char *root; /* as the caller gave it: borrowed */
    const char *name; /* of the torrent */
    bool is_single_file;
    uint64_t total; /* bytes */
};

/* False when there is nothing, or a name that no torrent can hold and that is not to be skipped. */
bool api_gather(struct api_gathered *g, const struct tarn_create *c, struct tarn_err *err)
    TARN_MUST;
void api_gathered_release(struct api_gathered *g); /* accepts a zeroed one */

/* All files are as they were. False (TARN_E_FAILED) names the first that is not. */
bool api_gathered_same(const struct api_gathered *g, struct tarn_err *err) TARN_MUST;

/* A file's path as the user would write it, quoted. Returns q->s. */
const char *api_source_quote(const struct api_gathered *g, size_t i, struct tarn_quote *q);

#endif
