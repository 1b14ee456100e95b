/* sys/posix: opening below a folder by walking, one part at a time, following no symlink. Between
 * two steps others may rename folders, but a descriptor stays on the folder that it was opened on,
 * so the walk never leaves what was below dir when it passed. */
#include "sys/posix/priv.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* To pass through a folder needs no right to list it, where the system has a way to say so. */
#if defined(O_PATH)
#define PASS O_PATH
#elif defined(O_SEARCH)
#define PASS O_SEARCH
#else
#define PASS O_RDONLY
#endif

/* Systems name the refusal of a symlink differently: ELOOP, ENOTDIR, EMLINK, EFTYPE. */
static int open_part(int dir, const char *name, int flags, unsigned mode)
{
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd >= 0 || errno == ENOENT)
        return fd;
    int number = errno;
    struct stat st;
    bool is_link = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    errno = is_link ? ELOOP : number;
    return -1;
}

/* The next part of *path, which is moved past it. False with errno when there is none that leads
 * down. */
static bool take_part(const char **path, char name[NAME_MAX + 1], bool *is_last)
{
    size_t len = strcspn(*path, "/");
    if (len > NAME_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (len == 0 || (len == 2 && memcmp(*path, "..", 2) == 0)) {
        errno = EXDEV;
        return false;
    }
    memcpy(name, *path, len);
    name[len] = '\0';
    *is_last = (*path)[len] == '\0';
    *path += *is_last ? len : len + 1;
    return true;
}

int posix_open_beneath(int dir, const char *path, int flags, unsigned mode)
{
    int here = posix_dir(dir); /* the caller's, until the first step */
    bool is_ours = false;
    bool is_last = false;
    while (!is_last) {
        char name[NAME_MAX + 1];
        int next = -1;
        if (take_part(&path, name, &is_last))
            next = is_last ? open_part(here, name, flags, mode)
                           : open_part(here, name, PASS | O_DIRECTORY, 0);
        int number = errno;
        if (is_ours)
            close(here);
        errno = number;
        if (next < 0)
            return -1;
        here = next;
        is_ours = true;
    }
    return here;
}
