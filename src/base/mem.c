/* base/mem: the one door to malloc. Sizes are checked here, once, so that no caller multiplies. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

bool (*tarn_mem_may)(size_t bytes);

/* The bytes to ask for; false when they cannot be had. More than PTRDIFF_MAX is refused before
 * malloc sees it: sanitizers treat such a request as a bug. Never 0: what malloc(0) and
 * realloc(p, 0) do differs between systems. */
static bool want(size_t count, size_t size, size_t *bytes)
{
    if (__builtin_mul_overflow(count, size, bytes) || *bytes > PTRDIFF_MAX)
        return false;
    if (*bytes == 0)
        *bytes = 1;
    return tarn_mem_may == NULL || tarn_mem_may(*bytes);
}

void *tarn_calloc(size_t count, size_t size)
{
    size_t bytes;
    return want(count, size, &bytes) ? calloc(1, bytes) : NULL;
}

void *tarn_realloc(void *p, size_t count, size_t size)
{
    size_t bytes;
    return want(count, size, &bytes) ? realloc(p, bytes) : NULL;
}

char *tarn_strndup(const void *p, size_t len)
{
    if (len >= PTRDIFF_MAX)
        return NULL;
    char *copy = tarn_calloc(len + 1, 1);
    if (copy != NULL && len > 0)
        memcpy(copy, p, len);
    return copy;
}

void tarn_free(void *p)
{
    free(p);
}

/* The caller's variable is a T *, and we see it as a void *: memcpy, because reading it as the
 * other type would break the aliasing rules, which link-time optimisation holds us to. */
bool tarn_grow(void **items, size_t size, size_t *cap)
{
    size_t more;
    if (__builtin_mul_overflow(*cap, (size_t)2, &more))
        return false;
    if (more == 0)
        more = 8; /* below that, doubling only makes more calls */
    void *p;
    memcpy(&p, items, sizeof p);
    p = tarn_realloc(p, more, size);
    if (p == NULL)
        return false;
    memcpy(items, &p, sizeof p);
    *cap = more;
    return true;
}
