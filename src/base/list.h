/* base/list: a ring of nodes that live inside other structs. A zeroed node is in no list. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/attr.h"

#include <stdbool.h>

struct tarn_list {
    struct tarn_list *next, *prev;
};

static inline void tarn_list_init(struct tarn_list *head)
{
    head->next = head->prev = head;
}

static inline bool tarn_list_empty(const struct tarn_list *head)
{
    return head->next == head;
}

static inline bool tarn_list_is_in(const struct tarn_list *node)
{
    return node->next != NULL;
}

static inline void tarn_list_push_back(struct tarn_list *head, struct tarn_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Harmless for a node that is in no list. */
static inline void tarn_list_remove(struct tarn_list *node)
{
    if (node->next == NULL)
        return;
    node->next->prev = node->prev;
    node->prev->next = node->next;
    node->next = node->prev = NULL;
}

static inline struct tarn_list *tarn_list_pop_front(struct tarn_list *head)
{
    struct tarn_list *node = head->next;
    if (node == head)
        return NULL;
    tarn_list_remove(node);
    return node;
}

#endif
