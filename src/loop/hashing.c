/* loop/hashing: requests gather by kind; a flight carries up to LOOP_HASH_BATCH of them to the
 * pool, cut in parts where there is work for more than one thread.
 *
 * A part is whole lanes: sixteen messages in sixteen lanes gain nothing from a second thread (a
 * wide kernel costs the same half empty), sixteen leaves neither, but the 64 leaves of a 1 MiB
 * piece do. There are two flights a thread: one in the air and one ready behind it. While all are
 * out, what comes in gathers, and the next flight is the fuller. */
#include "loop/hashing.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/merkle.h"
#include "loop/priv.h"

enum {
    FLIGHTS_A_THREAD = 2,
    PARTS_MAX = 8,
    /* Ours: 128 KiB take 60 us in one stream and 15 in sixteen lanes; handing a job over takes 10.
     */
    PART_BYTES = 128 << 10,
};

enum kind { KIND_SHA1, KIND_SHA256, KIND_LEAVES, KINDS };

struct part {
    struct loop_job job;
    struct flight *flight;
    size_t first, end; /* of the flight's messages or blocks */
};

struct flight {
    struct loop_hashing *service;
    struct flight *next; /* free ones */
    bool is_out;
    enum kind kind;
    struct loop_hash *requests[LOOP_HASH_BATCH]; /* NULL: taken back */
    size_t n;
    struct part parts[PARTS_MAX];
    size_t n_parts, parts_left;
};

/* Requests of one kind that wait. */
struct gather {
    struct loop_hashing *service;
    struct tarn_list requests;
    size_t lanes; /* messages, or blocks to make leaves of */
    bool is_due;  /* leave though not full */
    struct loop_timer timer;
};

struct loop_hashing {
    struct loop *loop;
    struct gather gathers[KINDS];
    struct flight *flights; /* owned */
    size_t n_flights;
    struct flight *free;
};

static enum kind kind_of(const struct loop_hash *h)
{
    if (h->message == NULL)
        return KIND_LEAVES;
    return h->message->kind == CRYPT_SHA1 ? KIND_SHA1 : KIND_SHA256;
}

static size_t blocks_of(const struct loop_hash *h)
{
    return (size_t)tarn_div_up_u64(h->data.len, MERKLE_BLOCK);
}

/* At least 1, so that a request for nothing is counted and answered too. */
static size_t lanes_of(const struct loop_hash *h)
{
    size_t lanes = h->message != NULL ? 1 : blocks_of(h);
    return lanes == 0 ? 1 : lanes;
}

/* The job of messages: feed them side by side, then finish those that end here. */
static void hash_messages(const struct flight *f, size_t first, size_t end)
{
    struct crypt_sha *messages[LOOP_HASH_BATCH];
    struct tarn_bytes data[LOOP_HASH_BATCH];
    uint8_t *to[LOOP_HASH_BATCH];
    uint8_t digests[LOOP_HASH_BATCH * CRYPT_SHA256_LEN];

    struct loop_hash *const *requests = f->requests + first;
    size_t n = end - first;
    for (size_t i = 0; i < n; i++) {
        messages[i] = requests[i]->message;
        data[i] = requests[i]->data;
    }
    if (n > 0)
        crypt_sha_update_many(messages, data, n);

    size_t finished = 0;
    for (size_t i = 0; i < n; i++)
        if (requests[i]->digest != NULL) {
            messages[finished] = requests[i]->message;
            to[finished++] = requests[i]->digest;
        }
    if (finished == 0)
        return;
    size_t len = crypt_digest_len(messages[0]->kind);
    crypt_sha_final_many(messages, finished, digests);
    for (size_t i = 0; i < finished; i++)
        memcpy(to[i], digests + i * len, len);
}

struct leaves {
    struct tarn_bytes data[LOOP_HASH_BATCH];
    uint8_t *to[LOOP_HASH_BATCH];
    size_t n;
};

static void hash_gathered(struct leaves *l)
{
    uint8_t digests[LOOP_HASH_BATCH * CRYPT_SHA256_LEN];
    if (l->n == 0)
        return;
    crypt_hash_many(CRYPT_SHA256, l->data, l->n, digests);
    for (size_t i = 0; i < l->n; i++)
        memcpy(l->to[i], digests + i * CRYPT_SHA256_LEN, CRYPT_SHA256_LEN);
    l->n = 0;
}

/* The job of leaves: blocks [first, end), counted over all requests of the flight. */
static void hash_leaves(const struct flight *f, size_t first, size_t end)
{
    struct leaves l = { .n = 0 };
    size_t before = 0; /* blocks of the requests already passed */
    for (size_t i = 0; i < f->n && before < end; i++) {
        const struct loop_hash *h = f->requests[i];
        size_t blocks = blocks_of(h);
        size_t from = first > before ? first - before : 0;
        size_t to = tarn_min_size(blocks, end - before);
        for (size_t b = from; b < to; b++) {
            size_t off = b * MERKLE_BLOCK;
            l.data[l.n] =
                tarn_bytes_of(h->data.p + off, tarn_min_size(MERKLE_BLOCK, h->data.len - off));
            l.to[l.n++] = h->leaves + b * CRYPT_SHA256_LEN;
            if (l.n == LOOP_HASH_BATCH)
                hash_gathered(&l);
        }
        before += blocks;
    }
    hash_gathered(&l);
}

static void run_part(struct loop_job *j)
{
    const struct part *p = TARN_OUTER(j, struct part, job);
    if (p->flight->kind == KIND_LEAVES)
        hash_leaves(p->flight, p->first, p->end);
    else
        hash_messages(p->flight, p->first, p->end);
}

static void leave_when_ready(struct loop_hashing *service);

static void part_done(struct loop_job *j)
{
    struct flight *f = TARN_OUTER(j, struct part, job)->flight;
    if (--f->parts_left > 0)
        return;
    for (size_t i = 0; i < f->n; i++) {
        struct loop_hash *h = f->requests[i];
        f->requests[i] = NULL;
        if (h != NULL) /* else taken back, perhaps by the one before */
            h->done(h);
    }
    struct loop_hashing *service = f->service;
    f->is_out = false;
    f->next = service->free;
    service->free = f;
    leave_when_ready(service);
}

static size_t lanes_a_kernel(void)
{
    switch (crypt_lanes_now()) {
    case CRYPT_LANES_AVX512:
        return 16;
    case CRYPT_LANES_AVX2:
        return 8;
    case CRYPT_LANES_OFF:
        break;
    }
    return 1;
}

/* Cut at whole kernels, in not more parts than threads and not smaller than is worth a job. */
static void cut(struct flight *f, size_t units, uint64_t bytes, unsigned threads)
{
    size_t width = lanes_a_kernel();
    size_t parts = tarn_min_size(threads, PARTS_MAX);
    parts = tarn_min_size(parts, units / width);
    parts = tarn_min_size(parts, (size_t)tarn_min_u64(bytes / PART_BYTES, PARTS_MAX));
    if (parts == 0)
        parts = 1;
    size_t first = 0;
    for (size_t i = 0; i < parts; i++) {
        size_t kernels = units / width * (i + 1) / parts;
        size_t end = i + 1 == parts ? units : kernels * width;
        f->parts[i].first = first;
        f->parts[i].end = first = end;
    }
    f->n_parts = f->parts_left = parts;
}

static void depart(struct gather *g)
{
    struct loop_hashing *service = g->service;
    struct flight *f = service->free;
    service->free = f->next;
    f->is_out = true;
    f->kind = (enum kind)(g - service->gathers);
    f->n = 0;

    size_t blocks = 0;
    uint64_t bytes = 0;
    while (f->n < LOOP_HASH_BATCH && !tarn_list_empty(&g->requests)) {
        struct tarn_list *node = tarn_list_pop_front(&g->requests);
        struct loop_hash *h = TARN_OUTER(node, struct loop_hash, node);
        f->requests[f->n++] = h;
        g->lanes -= lanes_of(h);
        blocks += blocks_of(h);
        bytes += h->data.len;
    }
    cut(f, f->kind == KIND_LEAVES ? blocks : f->n, bytes, service->loop->pool.n);
    for (size_t i = 0; i < f->n_parts; i++)
        loop_pool_submit(service->loop, &f->parts[i].job);
}

static void leave_when_ready(struct loop_hashing *service)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct gather *g = &service->gathers[k];
        while (!tarn_list_empty(&g->requests) && service->free != NULL &&
               (g->is_due || g->lanes >= LOOP_HASH_BATCH))
            depart(g);
        if (tarn_list_empty(&g->requests)) {
            g->is_due = false;
            loop_timer_stop(service->loop, &g->timer);
        }
    }
}

static void on_waited(struct loop_timer *t)
{
    struct gather *g = TARN_OUTER(t, struct gather, timer);
    g->is_due = true;
    leave_when_ready(g->service);
}

static int64_t wait_us(const struct loop_hash *h)
{
    uint64_t wait = h->data.len * (uint64_t)LOOP_HASH_WAIT_US >> 20;
    return (int64_t)tarn_min_u64(tarn_max_u64(wait, LOOP_HASH_WAIT_US), LOOP_HASH_WAIT_MAX_US);
}

void loop_hash_submit(struct loop *l, struct loop_hash *h)
{
    struct gather *g = &l->hashing->gathers[kind_of(h)];
    /* Without memory for a timer nothing waits. */
    if (tarn_list_empty(&g->requests) && !loop_timer_set(l, &g->timer, loop_now_us(l) + wait_us(h)))
        g->is_due = true;
    tarn_list_push_back(&g->requests, &h->node);
    g->lanes += lanes_of(h);
    leave_when_ready(l->hashing);
}

void loop_hash_flush(struct loop *l)
{
    for (size_t k = 0; k < KINDS; k++)
        l->hashing->gathers[k].is_due = !tarn_list_empty(&l->hashing->gathers[k].requests);
    leave_when_ready(l->hashing);
}

/* Others of the flight go on: the threads are only waited for. */
static void take_from_flight(struct flight *f, size_t at)
{
    for (size_t i = 0; i < f->n_parts; i++)
        loop_pool_settle(&f->parts[i].job);
    f->requests[at] = NULL;
}

void loop_hash_cancel(struct loop *l, struct loop_hash *h)
{
    if (tarn_list_is_in(&h->node)) {
        tarn_list_remove(&h->node);
        l->hashing->gathers[kind_of(h)].lanes -= lanes_of(h);
        leave_when_ready(l->hashing); /* nothing may wait: then the timer stops */
        return;
    }
    for (size_t i = 0; i < l->hashing->n_flights; i++) {
        struct flight *f = &l->hashing->flights[i];
        for (size_t at = 0; f->is_out && at < f->n; at++)
            if (f->requests[at] == h)
                take_from_flight(f, at);
    }
}

struct loop_hashing *loop_hashing_new(struct loop *l, struct tarn_err *err)
{
    struct loop_hashing *service = tarn_calloc(1, sizeof *service);
    size_t n = (size_t)l->pool.n * FLIGHTS_A_THREAD;
    struct flight *flights = tarn_calloc(n, sizeof *flights);
    if (service == NULL || flights == NULL) {
        tarn_free(service);
        tarn_free(flights);
        (void)tarn_fail_mem(err, "making the hashing service");
        return NULL;
    }
    *service = (struct loop_hashing){ .loop = l, .flights = flights, .n_flights = n };
    for (size_t i = 0; i < n; i++) {
        flights[i].service = service;
        flights[i].next = service->free;
        service->free = &flights[i];
        for (size_t p = 0; p < PARTS_MAX; p++) {
            flights[i].parts[p].flight = &flights[i];
            flights[i].parts[p].job.run = run_part;
            flights[i].parts[p].job.done = part_done;
        }
    }
    for (size_t k = 0; k < KINDS; k++) {
        service->gathers[k].service = service;
        service->gathers[k].timer.on_time = on_waited;
        tarn_list_init(&service->gathers[k].requests);
    }
    return service;
}

void loop_hashing_free(struct loop_hashing *service)
{
    if (service == NULL)
        return;
    tarn_free(service->flights);
    tarn_free(service);
}
