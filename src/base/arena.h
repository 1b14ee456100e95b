/* base/arena: memory that is freed all at once, and is born with a limit.
 *
 * One arena serves one lifetime: a request, a connection, a torrent. Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/attr.h"
#include "base/bytes.h"

struct tarn_arena_chunk;

struct tarn_arena {
    struct tarn_arena_chunk *chunks; /* owned; the first is being filled */
    size_t used;                     /* bytes handed out, with padding */
    size_t limit;                    /* never more than this is handed out */
};

void tarn_arena_init(struct tarn_arena *a, size_t limit);
void tarn_arena_release(struct tarn_arena *a); /* frees everything; accepts a zeroed one */

/* Zeroed, aligned for any object. NULL when the limit or the memory is reached. */
void *tarn_arena_alloc(struct tarn_arena *a, size_t count, size_t size) TARN_MUST;

/* A copy with a NUL behind it. */
char *tarn_arena_strndup(struct tarn_arena *a, struct tarn_bytes b) TARN_MUST;

#endif
