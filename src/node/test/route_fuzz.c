/* Any bytes as a target of the public door, path and query: it goes the way that a request's goes,
 * and each part of the route lies within the path. */
#include "base/out.h"
#include "http/core/target.h"
#include "node/route.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct tarn_bytes part, struct tarn_bytes whole)
{
    if (part.len > 0 && (part.p < whole.p || part.len > whole.len ||
                         (size_t)(part.p - whole.p) > whole.len - part.len))
        abort();
}

static void check_route(struct tarn_bytes path)
{
    struct node_route r;
    struct tarn_bytes stem;
    uint64_t len;
    node_route(&r, path);
    check_inside(r.collection, path);
    check_inside(r.path, path);
    if (memchr(r.collection.p == NULL ? path.p : r.collection.p, '/', r.collection.len) != NULL)
        abort();
    if (r.path.len > 0 && (r.path.p[0] == '/' || r.path.p[r.path.len - 1] == '/'))
        abort();
    if (r.kind == NODE_ROUTE_ROOT && (r.len == 0 || r.len > INT64_MAX))
        abort();
    if (node_sibling_of(r.path, &stem) != NODE_NO_SIBLING) {
        check_inside(stem, r.path);
        if (stem.len == 0)
            abort();
    }
    if (node_padding(r.path, &len) && (len == 0 || len > INT64_MAX))
        abort();
}

static void check_query(struct tarn_bytes query)
{
    struct node_query q;
    node_query(&q, query);
    check_inside(q.after, query);
    if (q.is_plain && (q.as != NODE_NO_SIBLING || q.as_json || q.as_list || q.wants_proof ||
                       q.is_bad || q.after.len > 0))
        abort();
    if (q.is_bad && (q.as != NODE_NO_SIBLING || q.as_json || q.as_list))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *mark = size == 0 ? NULL : memchr(data, '?', size);
    size_t len = mark == NULL ? size : (size_t)(mark - data);
    struct tarn_out o;
    struct tarn_err err;
    tarn_out_init(&o, len + 1);
    if (http_path_plain(&o, tarn_bytes_of(data, len), &err))
        check_route(tarn_out_bytes(&o));
    tarn_out_release(&o);
    if (mark != NULL)
        check_query(tarn_bytes_of(mark + 1, size - len - 1));
    return 0;
}
