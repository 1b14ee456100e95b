/* store/names: what unfinished files are called. Only names that end in ".part" can be in the way
 * of ours, and a layout seldom has any, so the usual case costs one look at each path. */
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/priv.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_BYTES = 255, /* of one element: NAME_MAX of every file system we know */
    K_MAX = 100,      /* tries; the layout would have to be made to use them up */
};

static const char suffix[] = ".part";
#define SUFFIX_LEN (sizeof suffix - 1)

static bool ends_in_part(struct tarn_bytes name)
{
    return name.len >= SUFFIX_LEN &&
           memcmp(name.p + name.len - SUFFIX_LEN, suffix, SUFFIX_LEN) == 0;
}

static size_t name_at(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* The names that a file or folder of the layout has and that ours must not have. */
struct taken {
    struct tarn_map parts; /* paths, also of folders, whose last element ends in ".part" */
    struct tarn_map files; /* all paths of files; filled when the first name is in the way */
    bool has_files;
};

static bool is_named(const struct store_file *f)
{
    return !f->is_pad;
}

/* Every leading part of path that ends an element with ".part". */
static bool note_parts(struct taken *t, const char *path)
{
    for (size_t len = 0;; len++) {
        len += strcspn(path + len, "/");
        struct tarn_bytes head = tarn_bytes_of(path, len);
        if (ends_in_part(head) && !tarn_map_put(&t->parts, head, 0))
            return false;
        if (path[len] == '\0')
            return true;
    }
}

static bool note_files(struct taken *t, const struct store_layout *l)
{
    for (uint32_t i = 0; i < l->n_files; i++)
        if (is_named(&l->files[i]) && !tarn_map_put(&t->files, tarn_bytes_str(l->files[i].path), 0))
            return false;
    t->has_files = true;
    return true;
}

static bool part_name(const char *path, uint32_t file, unsigned k, struct store_path *dst)
{
    char end[32];
    size_t at = name_at(path);
    size_t keep = strlen(path) - at;
    if (k == 0)
        memcpy(end, suffix, sizeof suffix);
    else
        snprintf(end, sizeof end, ".%u-%u%s", file, k, suffix);
    size_t room = NAME_BYTES - strlen(end);
    if (keep > room) {
        if (k == 0)
            return false;
        keep = room;
        while (keep > 0 && ((uint8_t)path[at + keep] & 0xC0) == 0x80)
            keep--; /* not inside a character of UTF-8 */
    }
    if (at + keep + strlen(end) >= sizeof dst->s)
        return false;
    memcpy(dst->s, path, at + keep);
    memcpy(dst->s + at + keep, end, strlen(end) + 1);
    return true;
}

static bool is_free(const struct taken *t, const struct store_path *path, unsigned k)
{
    struct tarn_bytes whole = tarn_bytes_str(path->s);
    if (tarn_map_get(&t->parts, whole) != NULL)
        return false;
    /* `a.7-1.part` is also the usual name of a file called `a.7-1`. */
    return k == 0 ||
           tarn_map_get(&t->files, tarn_bytes_of(path->s, whole.len - SUFFIX_LEN)) == NULL;
}

static bool choose(struct store_names *n, struct taken *t, const struct store_layout *l,
                   uint32_t file, struct tarn_err *err)
{
    struct store_path path;
    const char *own = l->files[file].path;
    if (strlen(own) + SUFFIX_LEN >= sizeof path.s)
        return true; /* nobody can open it anyway: told when it is tried */
    if (part_name(own, file, 0, &path) && is_free(t, &path, 0))
        return true;
    if (n->k == NULL)
        n->k = tarn_calloc(l->n_files, 1);
    if (n->k == NULL || (!t->has_files && !note_files(t, l)))
        return tarn_fail_mem(err, "naming unfinished files");
    for (unsigned k = 1; k <= K_MAX; k++)
        if (part_name(own, file, k, &path) && is_free(t, &path, k)) {
            n->k[file] = (uint8_t)k;
            return true;
        }
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_POLICY,
                     "no name is left for '%s' while it is unfinished: the content has files of "
                     "all the names that would do",
                     tarn_quote_str(&q, own));
}

bool store_names_init(struct store_names *n, const struct store_layout *l, struct tarn_err *err)
{
    uint8_t seed[16];
    struct taken t = { 0 };
    *n = (struct store_names){ 0 };
    bool ok = sys_random(seed, sizeof seed, err);
    if (!ok)
        return false;
    tarn_map_init(&t.parts, seed);
    tarn_map_init(&t.files, seed);
    for (uint32_t i = 0; i < l->n_files && ok; i++)
        if (is_named(&l->files[i]) && !note_parts(&t, l->files[i].path))
            ok = tarn_fail_mem(err, "naming unfinished files");
    for (uint32_t i = 0; i < l->n_files && ok; i++)
        if (store_has_bytes(&l->files[i]))
            ok = choose(n, &t, l, i, err);
    tarn_map_release(&t.parts);
    tarn_map_release(&t.files);
    if (!ok)
        store_names_release(n);
    return ok;
}

void store_names_release(struct store_names *n)
{
    tarn_free(n->k);
    n->k = NULL;
}

bool store_names_part(const struct store_names *n, const struct store_layout *l, uint32_t file,
                      struct store_path *path)
{
    return part_name(l->files[file].path, file, n->k == NULL ? 0 : n->k[file], path);
}
