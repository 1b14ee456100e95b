/* node/path: see the header. */
#include "node/path.h"

#include "base/mem.h"
#include "base/out.h"
#include "catalog/catalog.h"

#include <string.h>

/* Without its last name: the length of the folder's path ("/" at least), or 0 for no name left. */
static size_t above(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    return len;
}

/* folder/rest; NULL: no memory, or too long to be anything. */
static char *join(const char *folder, const char *rest)
{
    struct tarn_out o;
    tarn_out_init(&o, CATALOG_PATH_MAX + 1);
    rest += strspn(rest, "/");
    tarn_out_fmt(&o, "%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", rest);
    return tarn_out_take_str(&o);
}

static char *real_folders(const char *path)
{
    size_t len = strlen(path);
    char *named = NULL;
    for (unsigned up = 0; named == NULL && up < CATALOG_DEPTH_MAX; up++) {
        len = above(path, len);
        char *folder = len == 0 ? NULL : tarn_strndup(path, len);
        if (folder == NULL)
            break;
        char *real = sys_real_path(folder, NULL);
        if (real != NULL)
            named = join(real, path + len);
        tarn_free(real);
        tarn_free(folder);
    }
    return named;
}

void node_path_resolve(struct node_path *p, const char *path)
{
    p->named = real_folders(path);
    p->real = sys_real_path(path, NULL);
}

void node_path_release(struct node_path *p)
{
    tarn_free(p->named);
    tarn_free(p->real);
    *p = (struct node_path){ 0 };
}
