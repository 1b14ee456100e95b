/* node/admin_status: how the node is, what it was told, and the same for Prometheus. */
#include "node/admin_priv.h"

#include "base/num.h"
#include "sys/clock.h"
#include "sys/service.h"

static void put_url(struct json *j, const char *url)
{
    json_key(j, "urls");
    json_open_array(j);
    if (url != NULL)
        json_str(j, tarn_bytes_str(url));
    json_close_array(j);
}

static uint64_t answered(const struct http_counters *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 6; i++)
        n += h->requests[i];
    return n;
}

static void put_doors(struct admin_call *c)
{
    struct json *j = &c->json;
    const struct node *n = c->admin->node;
    struct http_counters web, admin;
    node_doors_counters(n, &web, &admin);
    json_key(j, "http");
    json_open_object(j);
    put_url(j, n->public_url);
    json_put_u64(j, "loops", n->doors.n_webs);
    json_put_u64(j, "connections", web.connections);
    json_put_u64(j, "requests", answered(&web));
    json_put_u64(j, "bytes_sent", web.sent);
    json_close_object(j);
    json_key(j, "admin");
    json_open_object(j);
    json_put_str(j, "socket", n->home.socket);
    put_url(j, n->page_url);
    json_close_object(j);
}

/* Of all that is shared and fetched. */
static void sum_rates(const struct node *n, uint64_t *down, uint64_t *up)
{
    struct bt_stats s;
    *down = *up = 0;
    for (const struct node_torrent *t = node_torrents_next(n->torrents, 0); t != NULL;
         t = node_torrents_next(n->torrents, t->id))
        if (t->bt != NULL) {
            bt_torrent_stats(t->bt, &s);
            *down += s.rate_down;
            *up += s.rate_up;
        }
    *up += node_seeding_rate_up(n->seeding);
}

static void put_bt(struct admin_call *c)
{
    struct json *j = &c->json;
    struct bt_session_stats s;
    uint64_t down, up;
    json_key(j, "bt");
    if (c->admin->node->bt == NULL) {
        json_none(j);
        return;
    }
    bt_session_stats(c->admin->node->bt, &s);
    sum_rates(c->admin->node, &down, &up);
    json_open_object(j);
    json_key(j, "addrs");
    json_open_array(j);
    for (size_t i = 0; i < c->admin->node->n_bt_addrs; i++) {
        struct sys_addr at = bt_session_addr(c->admin->node->bt, i);
        struct sys_addr_text text;
        json_str(j, tarn_bytes_str(sys_addr_text(&text, &at)));
    }
    json_close_array(j);
    json_put_u64(j, "torrents", s.torrents);
    json_put_u64(j, "peers", s.conns);
    json_put_u64(j, "rate_down", down);
    json_put_u64(j, "rate_up", up);
    json_put_u64(j, "downloaded", s.downloaded);
    json_put_u64(j, "uploaded", s.uploaded);
    json_put_u64(j, "memory", s.memory);
    json_put_u64(j, "memory_used", s.memory_used);
    json_close_object(j);
}

static void put_catalog(struct admin_call *c, const struct catalog_totals *t,
                        const struct catalog_progress *p)
{
    struct json *j = &c->json;
    json_key(j, "catalog");
    json_open_object(j);
    json_put_u64(j, "collections", t->collections);
    json_put_u64(j, "files", t->files);
    json_put_u64(j, "bytes_published", t->bytes_published);
    json_put_u64(j, "bytes_stored", t->bytes_stored);
    json_key(j, "hashing");
    json_open_object(j);
    json_put_u64(j, "files", p->files_waiting);
    uint64_t read = catalog_read_so_far(c->admin->node->catalog, 0);
    json_put_u64(j, "bytes_left", p->bytes_waiting - tarn_min_u64(p->bytes_waiting, read));
    json_put_u64(j, "rate", p->files_waiting == 0 ? 0 : c->admin->node->hash_rate);
    json_close_object(j);
    json_close_object(j);
}

/* The file under way of a scrub: an object, or null between two files. */
static void put_scrubbed_file(struct json *j, const struct catalog_check_progress *k)
{
    json_key(j, "file");
    if (k->path == NULL) {
        json_none(j);
        return;
    }
    json_open_object(j);
    json_put_u64(j, "item", node_id_of_collection(k->path_collection));
    json_put_bytes(j, "path", tarn_bytes_str(k->path));
    json_put_u64(j, "bytes", k->file_bytes);
    json_put_u64(j, "bytes_done", k->file_done);
    json_close_object(j);
}

static void put_round(struct json *j, const struct catalog_check_progress *k)
{
    if (k->collection != 0)
        json_put_u64(j, "id", node_id_of_collection(k->collection));
    json_put_u64(j, "files", k->files);
    json_put_u64(j, "files_done", k->files_done);
    json_put_u64(j, "bytes", k->bytes);
    json_put_u64(j, "bytes_done", k->bytes_done);
    json_put_u64(j, "damaged", k->bad);
    json_put_u64(j, "rate", k->rate);
    json_put_u64(j, "started_ms", (uint64_t)k->started_ms);
    put_scrubbed_file(j, k);
}

void admin_put_scrub(struct admin_call *c)
{
    struct json *j = &c->json;
    struct catalog_check_progress k;
    catalog_check_progress(c->admin->node->catalog, &k);
    json_put_str(j, "state", k.is_running ? "running" : "idle");
    if (k.is_running)
        put_round(j, &k);
    json_key(j, "ended_ms");
    if (k.ended_ms == 0)
        json_none(j);
    else
        json_i64(j, k.ended_ms);
}

static void put_rest(struct admin_call *c, const struct kv_stat *index)
{
    struct json *j = &c->json;
    const struct node *n = c->admin->node;
    json_key(j, "index");
    json_open_object(j);
    json_put_u64(j, "bytes", index->file_len);
    json_put_u64(j, "max_bytes", index->max_size);
    json_close_object(j);
    json_key(j, "scrub");
    json_open_object(j);
    admin_put_scrub(c);
    json_close_object(j);
    json_key(j, "faults");
    json_open_array(j);
    for (size_t i = 0; i < n->n_faults; i++) {
        json_open_object(j);
        json_put_str(j, "about", n->faults[i].about);
        json_put_str(j, "message", n->faults[i].text);
        json_put_u64(j, "since_ms", (uint64_t)n->faults[i].since_ms);
        json_close_object(j);
    }
    json_close_array(j);
}

/* What the index says. False: answered. */
static bool read_index(struct admin_call *c, struct catalog_totals *t, struct kv_stat *index)
{
    struct catalog_read r;
    struct tarn_err err;
    if (!admin_read(c, &r))
        return false;
    bool ok = catalog_totals(&r, t, &err);
    catalog_read_end(&r);
    ok = ok && kv_stat(c->admin->node->kv, index, &err);
    if (!ok)
        admin_fail(c, &err);
    return ok;
}

void admin_status(struct admin_call *c)
{
    static const char *const states[] = { "starting", "running", "stopping", "stopped" };
    const struct node *n = c->admin->node;
    struct catalog_totals totals;
    struct catalog_progress progress;
    struct kv_stat index;
    if (!read_index(c, &totals, &index))
        return;
    catalog_progress(c->admin->node->catalog, &progress);
    struct json *j = admin_object(c, "status");
    json_put_str(j, "version", n->set.version);
    json_put_u64(j, "pid", (uint64_t)sys_pid());
    json_put_u64(j, "started_ms", (uint64_t)n->started_ms);
    json_put_u64(j, "now_ms", (uint64_t)sys_wall_ms());
    json_put_str(j, "state", states[n->state]);
    json_put_u64(j, "seq", catalog_seq(c->admin->node->catalog));
    put_doors(c);
    put_bt(c);
    put_catalog(c, &totals, &progress);
    put_rest(c, &index);
    admin_send(c, 200);
}

void admin_metrics(struct admin_call *c)
{
    const struct node *n = c->admin->node;
    struct node_metrics m = { .version = n->set.version,
                              .started_s = n->started_ms / 1000,
                              .faults = (unsigned)n->n_faults };
    if (!read_index(c, &m.totals, &m.index))
        return;
    node_doors_counters(n, &m.web, &m.admin);
    catalog_progress(n->catalog, &m.progress);
    catalog_check_progress(n->catalog, &m.scrub);
    m.has_bt = n->bt != NULL;
    if (m.has_bt)
        bt_session_stats(n->bt, &m.bt);
    node_metrics_write(&c->out, &m);
    const struct http_answer a = { .status = 200, .type = NODE_METRICS_TYPE, .cache = "no-store" };
    http_answer_bytes(c->x, &a, tarn_out_bytes(&c->out));
}

static void all_settings(struct admin_call *c)
{
    const struct node_config *config = c->admin->node->config;
    for (unsigned key = 0; key < NODE_KEYS; key++) {
        const struct node_key_info *info = &node_keys[key];
        struct node_key_text name;
        struct json *j = admin_line(c, "setting");
        json_put_str(j, "key", node_key_text(&name, (enum node_key)key));
        json_key(j, "value");
        if (info->is_secret)
            json_none(j);
        else
            json_str(j, tarn_bytes_str(node_config_text(config, (enum node_key)key)));
        json_put_str(j, "origin", node_config_origin_text(config, (enum node_key)key));
        json_put_bool(j, "reloadable", info->is_reloadable);
        json_put_str(j, "help", info->help);
        admin_line_end(c);
    }
    admin_stream_end(c);
}

void admin_config(struct admin_call *c)
{
    admin_stream(c, all_settings);
}
