/* base/heap: the textbook heap in an array; each node also knows its place, so that a timer can be
 * moved or taken out without a search. */
#include "base/heap.h"

#include "base/mem.h"

#include <assert.h>

void tarn_heap_release(struct tarn_heap *h)
{
    tarn_free(h->nodes);
    *h = (struct tarn_heap){ 0 };
}

static void stand(struct tarn_heap *h, struct tarn_heap_node *node, size_t i)
{
    h->nodes[i] = node;
    node->place = i + 1;
}

/* Put node at i or nearer to the top, moving greater ones down. Returns where it came to stand. */
static size_t rise(struct tarn_heap *h, struct tarn_heap_node *node, size_t i)
{
    while (i > 0 && node->key < h->nodes[(i - 1) / 2]->key) {
        stand(h, h->nodes[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    stand(h, node, i);
    return i;
}

/* Put node at i or further from the top, moving lesser ones up. */
static void sink(struct tarn_heap *h, struct tarn_heap_node *node, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (node->key <= h->nodes[child]->key)
            break;
        stand(h, h->nodes[child], i);
        i = child;
    }
    stand(h, node, i);
}

/* Whatever stood at i, node stands there now; restore the order around it. */
static void settle(struct tarn_heap *h, struct tarn_heap_node *node, size_t i)
{
    sink(h, node, rise(h, node, i));
}

bool tarn_heap_set(struct tarn_heap *h, struct tarn_heap_node *node, int64_t key)
{
    if (node->place == 0) {
        if (!TARN_GROW(h->nodes, h->n, h->cap))
            return false;
        stand(h, node, h->n++);
    }
    size_t i = node->place - 1;
    assert(i < h->n && h->nodes[i] == node); /* else it stands in another heap */
    node->key = key;
    settle(h, node, i);
    return true;
}

void tarn_heap_remove(struct tarn_heap *h, struct tarn_heap_node *node)
{
    if (node->place == 0)
        return;
    size_t i = node->place - 1;
    assert(i < h->n && h->nodes[i] == node);
    struct tarn_heap_node *last = h->nodes[--h->n];
    if (last != node)
        settle(h, last, i);
    node->place = 0;
}
