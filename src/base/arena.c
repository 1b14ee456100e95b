/* base/arena: chunks of zeroed memory, handed out from their front.
 *
 * The first chunk is the one being filled. A request too big for what is left of it gets a new
 * chunk, and whichever of the two then has more room stands first, so that one big object does not
 * waste the rest of a chunk of small ones. */
#include "base/arena.h"

#include "base/mem.h"
#include "base/num.h"

enum {
    ALIGN = _Alignof(max_align_t),
    CHUNK_MIN = 1024,      /* most requests and connections need no second chunk */
    CHUNK_MAX = 64 * 1024, /* beyond, fewer calls no longer pay for unused memory */
};

struct tarn_arena_chunk {
    struct tarn_arena_chunk *next; /* owned */
    size_t size, used;             /* of data */
    _Alignas(max_align_t) uint8_t data[];
};

void tarn_arena_init(struct tarn_arena *a, size_t limit)
{
    *a = (struct tarn_arena){ .limit = limit };
}

void tarn_arena_release(struct tarn_arena *a)
{
    struct tarn_arena_chunk *next;
    for (struct tarn_arena_chunk *c = a->chunks; c != NULL; c = next) {
        next = c->next;
        tarn_free(c);
    }
    tarn_arena_init(a, a->limit);
}

static size_t room_in(const struct tarn_arena_chunk *c)
{
    return c == NULL ? 0 : c->size - c->used;
}

/* A new chunk for need bytes and what may follow them. Chunks grow with what is already in use, but
 * never past the limit: an arena of 200 bytes costs about 200. */
static struct tarn_arena_chunk *add_chunk(struct tarn_arena *a, size_t need)
{
    size_t size = a->used < CHUNK_MIN ? CHUNK_MIN : tarn_min_size(a->used, CHUNK_MAX);
    size = tarn_min_size(size, a->limit - a->used);
    if (size < need)
        size = need;
    struct tarn_arena_chunk *c = tarn_calloc(1, sizeof *c + size);
    if (c == NULL)
        return NULL;
    c->size = size;
    if (size - need >= room_in(a->chunks)) {
        c->next = a->chunks;
        a->chunks = c;
    } else {
        c->next = a->chunks->next;
        a->chunks->next = c;
    }
    return c;
}

void *tarn_arena_alloc(struct tarn_arena *a, size_t count, size_t size)
{
    size_t need;
    if (__builtin_mul_overflow(count, size, &need) || need > PTRDIFF_MAX / 2)
        return NULL;
    if (need == 0)
        need = 1; /* NULL means failure, so even nothing has an address */
    need = (need + ALIGN - 1) / ALIGN * ALIGN;
    if (need > a->limit - a->used)
        return NULL;
    struct tarn_arena_chunk *c = need <= room_in(a->chunks) ? a->chunks : add_chunk(a, need);
    if (c == NULL)
        return NULL;
    void *p = c->data + c->used;
    c->used += need;
    a->used += need;
    return p;
}

char *tarn_arena_strndup(struct tarn_arena *a, struct tarn_bytes b)
{
    if (b.len >= PTRDIFF_MAX)
        return NULL;
    char *copy = tarn_arena_alloc(a, b.len + 1, 1);
    if (copy != NULL && b.len > 0)
        memcpy(copy, b.p, b.len);
    return copy;
}
