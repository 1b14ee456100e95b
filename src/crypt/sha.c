/* Messages: where they begin, how bytes become whole blocks, and how they end (FIPS 180-4,
 * section 5). The blocks themselves are hashed by lanes.c (many) and one.c (one).
 *
 * Each call for many messages is a source of jobs: lanes.c takes the next one when a lane is free.
 */
#include "crypt/sha.h"

#include "crypt/priv.h"

static const uint32_t start[2][SHA_WORDS] = {
    [CRYPT_SHA1] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 },
    [CRYPT_SHA256] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                       0x1f83d9ab, 0x5be0cd19 },
};

static size_t tail_len(uint64_t len)
{
    return (size_t)(len % CRYPT_SHA_BLOCK);
}

static void put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void put_digest(enum crypt_kind kind, const uint32_t h[SHA_WORDS], uint8_t *digest)
{
    for (size_t i = 0; i < crypt_digest_len(kind) / 4; i++)
        put_be32(digest + 4 * i, h[i]);
}

/* The run that ends a message of len bytes, of which tail are the last len % 64. */
static struct crypt_run pad_run(uint8_t pad[SHA_PAD_MAX], const uint8_t *tail, uint64_t len)
{
    size_t n = tail_len(len);
    size_t size = n + 1 + 8 <= CRYPT_SHA_BLOCK ? CRYPT_SHA_BLOCK : SHA_PAD_MAX;
    if (n > 0)
        memcpy(pad, tail, n);
    pad[n] = 0x80;
    memset(pad + n + 1, 0, size - n - 1 - 8);
    put_be32(pad + size - 8, (uint32_t)(len >> 29)); /* the length is in bits */
    put_be32(pad + size - 4, (uint32_t)(len << 3));
    return (struct crypt_run){ pad, size / CRYPT_SHA_BLOCK };
}

static struct crypt_run whole_blocks(struct tarn_bytes data)
{
    return (struct crypt_run){ data.p, data.len / CRYPT_SHA_BLOCK };
}

/* What is behind the whole blocks. */
static struct tarn_bytes behind_blocks(struct tarn_bytes data)
{
    size_t n = tail_len(data.len);
    return tarn_bytes_of(n == 0 ? NULL : data.p + (data.len - n), n);
}

static struct tarn_bytes without_first(struct tarn_bytes data, size_t n)
{
    return n == 0 ? data : tarn_bytes_of(data.p + n, data.len - n);
}

/* How many bytes of data go to the block begun in m's tail. */
static size_t head_len(const struct crypt_sha *m, size_t len)
{
    size_t n = tail_len(m->len);
    size_t missing = CRYPT_SHA_BLOCK - n;
    return n == 0 ? 0 : len < missing ? len : missing;
}

/* The blocks that data completes: the one begun in m's tail, then those in data. What is behind
 * them waits for end_update, when the tail is free again. */
static void begin_update(struct crypt_sha *m, struct tarn_bytes data, struct crypt_run run[2])
{
    size_t n = tail_len(m->len);
    size_t head = head_len(m, data.len);
    if (head > 0)
        memcpy(m->tail + n, data.p, head);
    run[0] = (struct crypt_run){ m->tail, n + head == CRYPT_SHA_BLOCK };
    run[1] = whole_blocks(without_first(data, head));
}

static void end_update(struct crypt_sha *m, struct tarn_bytes data)
{
    struct tarn_bytes rest = behind_blocks(without_first(data, head_len(m, data.len)));
    if (rest.len > 0)
        memcpy(m->tail, rest.p, rest.len);
    m->len += data.len;
}

void crypt_sha_init(struct crypt_sha *m, enum crypt_kind kind)
{
    memcpy(m->h, start[kind], sizeof m->h);
    m->len = 0;
    m->kind = kind;
}

void crypt_sha_update(struct crypt_sha *m, struct tarn_bytes data)
{
    struct crypt_run run[2];
    begin_update(m, data, run);
    crypt_blocks(m->kind, m->h, run[0].p, run[0].blocks);
    crypt_blocks(m->kind, m->h, run[1].p, run[1].blocks);
    end_update(m, data);
}

void crypt_sha_final(struct crypt_sha *m, uint8_t *digest)
{
    uint8_t pad[SHA_PAD_MAX];
    struct crypt_run run = pad_run(pad, m->tail, m->len);
    crypt_blocks(m->kind, m->h, run.p, run.blocks);
    put_digest(m->kind, m->h, digest);
}

void crypt_hash(enum crypt_kind kind, struct tarn_bytes data, uint8_t *digest)
{
    struct crypt_sha m;
    crypt_sha_init(&m, kind);
    crypt_sha_update(&m, data);
    crypt_sha_final(&m, digest);
}

/* The arguments of a call for many messages, as a source of jobs. */
struct many {
    struct crypt_source source;
    struct crypt_sha *const *m;
    const struct tarn_bytes *data;
    uint8_t *digests;
    size_t given; /* jobs handed out */
};

static struct many *many_of(struct crypt_source *s)
{
    return TARN_OUTER(s, struct many, source);
}

static bool next_index(struct many *many, struct crypt_job *job)
{
    if (many->given == many->source.n)
        return false;
    job->index = many->given++;
    return true;
}

static bool next_update(struct crypt_source *s, struct crypt_job *job)
{
    struct many *many = many_of(s);
    if (!next_index(many, job))
        return false;
    struct crypt_sha *m = many->m[job->index];
    begin_update(m, many->data[job->index], job->run);
    memcpy(job->h, m->h, sizeof job->h);
    return true;
}

static void update_done(struct crypt_source *s, struct crypt_job *job)
{
    struct many *many = many_of(s);
    struct crypt_sha *m = many->m[job->index];
    memcpy(m->h, job->h, sizeof m->h);
    end_update(m, many->data[job->index]);
}

void crypt_sha_update_many(struct crypt_sha *const m[], const struct tarn_bytes data[], size_t n)
{
    if (n == 0)
        return;
    struct many many = { { m[0]->kind, n, next_update, update_done }, m, data, NULL, 0 };
    crypt_run_all(&many.source);
}

static bool next_final(struct crypt_source *s, struct crypt_job *job)
{
    struct many *many = many_of(s);
    if (!next_index(many, job))
        return false;
    const struct crypt_sha *m = many->m[job->index];
    memcpy(job->h, m->h, sizeof job->h);
    job->run[0] = pad_run(job->pad, m->tail, m->len);
    job->run[1] = (struct crypt_run){ NULL, 0 };
    return true;
}

static void digest_done(struct crypt_source *s, struct crypt_job *job)
{
    put_digest(s->kind, job->h, many_of(s)->digests + job->index * crypt_digest_len(s->kind));
}

void crypt_sha_final_many(struct crypt_sha *const m[], size_t n, uint8_t *digests)
{
    if (n == 0)
        return;
    struct many many = { { m[0]->kind, n, next_final, digest_done }, m, NULL, digests, 0 };
    crypt_run_all(&many.source);
}

static bool next_hash(struct crypt_source *s, struct crypt_job *job)
{
    struct many *many = many_of(s);
    if (!next_index(many, job))
        return false;
    struct tarn_bytes data = many->data[job->index];
    memcpy(job->h, start[s->kind], sizeof job->h);
    job->run[0] = whole_blocks(data);
    job->run[1] = pad_run(job->pad, behind_blocks(data).p, data.len);
    return true;
}

void crypt_hash_many(enum crypt_kind kind, const struct tarn_bytes data[], size_t n,
                     uint8_t *digests)
{
    struct many many = { { kind, n, next_hash, digest_done }, NULL, data, digests, 0 };
    crypt_run_all(&many.source);
}
