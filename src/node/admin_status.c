/* node/admin_status: how the node is, what it was told, and the same for Prometheus. */
#include "node/admin_priv.h"

#include "sys/clock.h"
#include "sys/service.h"

static void put_list(struct json *j, const char *key, const char *const *texts, size_t n)
{
    json_key(j, key);
    json_open_array(j);
    for (size_t i = 0; i < n; i++)
        json_str(j, tarn_bytes_str(texts[i]));
    json_close_array(j);
}

static uint64_t answered(const struct http_counters *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 6; i++)
        n += h->requests[i];
    return n;
}

static void put_doors(struct admin_call *c, const struct admin_state *s)
{
    struct json *j = &c->json;
    json_key(j, "http");
    json_open_object(j);
    put_list(j, "urls", s->public_urls, s->n_public_urls);
    json_put_u64(j, "loops", s->loops);
    json_put_u64(j, "connections", s->web.connections);
    json_put_u64(j, "requests", answered(&s->web));
    json_put_u64(j, "bytes_sent", s->web.sent);
    json_close_object(j);
    json_key(j, "admin");
    json_open_object(j);
    json_put_str(j, "socket", s->socket);
    put_list(j, "urls", s->admin_urls, s->n_admin_urls);
    json_close_object(j);
}

static void put_bt(struct admin_call *c, const struct admin_state *state)
{
    struct json *j = &c->json;
    struct bt_session_stats s;
    json_key(j, "bt");
    if (c->admin->bt == NULL) {
        json_none(j);
        return;
    }
    bt_session_stats(c->admin->bt, &s);
    json_open_object(j);
    put_list(j, "addrs", state->bt_addrs, state->n_bt_addrs);
    json_put_u64(j, "torrents", s.torrents);
    json_put_u64(j, "peers", s.conns);
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
    json_put_u64(j, "bytes_left", p->bytes_waiting);
    json_close_object(j);
    json_close_object(j);
}

static void put_rest(struct admin_call *c, const struct admin_state *s,
                     const struct catalog_progress *p, const struct kv_stat *index)
{
    struct json *j = &c->json;
    json_key(j, "index");
    json_open_object(j);
    json_put_u64(j, "bytes", index->file_len);
    json_put_u64(j, "max_bytes", index->max_size);
    json_close_object(j);
    json_key(j, "scrub");
    json_open_object(j);
    json_put_str(j, "state", p->is_scrubbing ? "running" : "idle");
    json_close_object(j);
    json_key(j, "faults");
    json_open_array(j);
    for (size_t i = 0; i < s->n_faults; i++) {
        json_open_object(j);
        json_put_str(j, "about", s->faults[i].about);
        json_put_str(j, "message", s->faults[i].message);
        json_put_u64(j, "since_ms", (uint64_t)s->faults[i].since_ms);
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
    ok = ok && kv_stat(c->admin->kv, index, &err);
    if (!ok)
        admin_fail(c, &err);
    return ok;
}

void admin_status(struct admin_call *c)
{
    struct admin_state s = { 0 };
    struct catalog_totals totals;
    struct catalog_progress progress;
    struct kv_stat index;
    if (!read_index(c, &totals, &index))
        return;
    c->admin->ops->state(c->admin->arg, &s);
    catalog_progress(c->admin->catalog, &progress);
    struct json *j = admin_object(c, "status");
    json_put_str(j, "version", s.version);
    json_put_u64(j, "pid", (uint64_t)sys_pid());
    json_put_u64(j, "started_ms", (uint64_t)s.started_ms);
    json_put_u64(j, "now_ms", (uint64_t)sys_wall_ms());
    json_put_str(j, "state", s.word);
    json_put_u64(j, "seq", catalog_seq(c->admin->catalog));
    put_doors(c, &s);
    put_bt(c, &s);
    put_catalog(c, &totals, &progress);
    put_rest(c, &s, &progress, &index);
    admin_send(c, 200);
}

void admin_metrics(struct admin_call *c)
{
    struct admin_state s = { 0 };
    struct node_metrics m = { 0 };
    if (!read_index(c, &m.totals, &m.index))
        return;
    c->admin->ops->state(c->admin->arg, &s);
    m.version = s.version;
    m.started_s = s.started_ms / 1000;
    m.web = s.web;
    m.faults = (unsigned)s.n_faults;
    http_server_counters(c->admin->server, &m.admin);
    catalog_progress(c->admin->catalog, &m.progress);
    m.has_bt = c->admin->bt != NULL;
    if (m.has_bt)
        bt_session_stats(c->admin->bt, &m.bt);
    node_metrics_write(&c->out, &m);
    const struct http_answer a = { .status = 200, .type = NODE_METRICS_TYPE, .cache = "no-store" };
    http_answer_bytes(c->x, &a, tarn_out_bytes(&c->out));
}

static void all_settings(struct admin_call *c)
{
    const struct node_config *config = c->admin->ops->config(c->admin->arg);
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
