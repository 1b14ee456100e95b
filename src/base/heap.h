/* base/heap: a binary heap of nodes that live inside other structs, least key first; what timers
 * stand in. A zeroed node is in no heap. Not thread-safe. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/attr.h"
#include "base/bytes.h"

struct tarn_heap_node {
    int64_t key;
    size_t place; /* index in the heap + 1; 0 when in none */
};

struct tarn_heap {
    struct tarn_heap_node **nodes; /* the array is owned, the nodes are borrowed */
    size_t n, cap;
};

/* Accepts a zeroed one. Nodes still in are not touched: they may be gone already. */
void tarn_heap_release(struct tarn_heap *h);

/* Put a node in, or move it when it is in already. False when there is no memory: a node that was
 * in stays in and always moves. */
bool tarn_heap_set(struct tarn_heap *h, struct tarn_heap_node *node, int64_t key) TARN_MUST;
void tarn_heap_remove(struct tarn_heap *h, struct tarn_heap_node *node); /* harmless when not in */

/* The node with the least key, or NULL. */
static inline struct tarn_heap_node *tarn_heap_first(const struct tarn_heap *h)
{
    return h->n == 0 ? NULL : h->nodes[0];
}

#endif
