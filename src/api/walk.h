/* api/walk: everything below a folder, in the order of bt_create_order. */
#ifndef API_WALK_H
#define API_WALK_H

#include "sys/file.h"

struct api_walk {
    /* A name that was found: false in *take leaves it (and what is below it) out. May be NULL. */
    bool (*on_name)(void *arg, const char *path, struct tarn_bytes name, bool *take,
                    struct tarn_err *err);
    bool (*on_file)(void *arg, const char *path, const struct sys_stat *st, struct tarn_err *err);
    /* Neither a regular file nor a folder. */
    bool (*on_other)(void *arg, const char *path, enum sys_kind kind, struct tarn_err *err);
    void *arg;
};

/* Paths are below root, '/' between elements, and live only during the call. False when a folder
 * cannot be read, when they are nested deeper than a torrent can say, or as a function said. */
bool api_walk(const struct api_walk *w, const char *root, struct tarn_err *err) TARN_MUST;

#endif
