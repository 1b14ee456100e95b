/* node/metrics: counters and gauges as Prometheus reads them (text format 0.0.4). Pure.
 *
 * No label names an item, a file or a peer: the number of lines does not grow with what the node
 * holds. Bytes and seconds, as Prometheus wants them; counters end in _total. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include "base/out.h"
#include "bt/session.h"
#include "catalog/catalog.h"
#include "http/server.h"

struct node_metrics {
    const char *version;
    int64_t started_s;               /* since 1970 */
    struct http_counters web, admin; /* each summed over its loops */
    struct catalog_totals totals;
    struct catalog_progress progress;
    struct catalog_check_progress scrub;
    struct kv_stat index;
    bool has_bt;
    struct bt_session_stats bt; /* when has_bt */
    unsigned faults;            /* that stand now */
};

/* The Content-Type of it. */
#define NODE_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void node_metrics_write(struct tarn_out *o, const struct node_metrics *m);

#endif
