/* node/metrics: see the header. One line says what a figure is, the next lines its values. */
#include "node/metrics.h"

static void head(struct tarn_out *o, const char *name, const char *kind, const char *help)
{
    tarn_out_fmt(o, "# HELP tarn_%s %s\n# TYPE tarn_%s %s\n", name, help, name, kind);
}

static void value(struct tarn_out *o, const char *name, const char *labels, uint64_t n)
{
    tarn_out_fmt(o, "tarn_%s%s %llu\n", name, labels, (unsigned long long)n);
}

static void gauge(struct tarn_out *o, const char *name, const char *help, uint64_t n)
{
    head(o, name, "gauge", help);
    value(o, name, "", n);
}

static void counter(struct tarn_out *o, const char *name, const char *help, uint64_t n)
{
    head(o, name, "counter", help);
    value(o, name, "", n);
}

/* The same figure of both doors. */
static void doors(struct tarn_out *o, const char *name, const char *kind, const char *help,
                  uint64_t web, uint64_t admin)
{
    head(o, name, kind, help);
    value(o, name, "{door=\"public\"}", web);
    value(o, name, "{door=\"admin\"}", admin);
}

static void requests(struct tarn_out *o, const struct node_metrics *m)
{
    static const char *const classes[] = { "cut", "1xx", "2xx", "3xx", "4xx", "5xx" };
    const struct http_counters *const door[] = { &m->web, &m->admin };
    head(o, "http_requests_total", "counter", "Requests answered, by class of status; cut: none.");
    for (unsigned d = 0; d < 2; d++)
        for (unsigned i = 0; i < 6; i++)
            tarn_out_fmt(o, "tarn_http_requests_total{door=\"%s\",class=\"%s\"} %llu\n",
                         d == 0 ? "public" : "admin", classes[i],
                         (unsigned long long)door[d]->requests[i]);
}

static void timeouts(struct tarn_out *o, const struct node_metrics *m)
{
    static const char *const kinds[] = { "head", "body", "write", "idle" };
    head(o, "http_timeouts_total", "counter", "Connections that were too slow, by what was late.");
    for (unsigned i = 0; i < 4; i++)
        tarn_out_fmt(o, "tarn_http_timeouts_total{late=\"%s\"} %llu\n", kinds[i],
                     (unsigned long long)m->web.timed_out[i] + m->admin.timed_out[i]);
}

static void put_http(struct tarn_out *o, const struct node_metrics *m)
{
    const struct http_counters *w = &m->web, *a = &m->admin;
    doors(o, "http_connections", "gauge", "Open now.", w->connections, a->connections);
    doors(o, "http_connections_idle", "gauge", "Of them, waiting for a request.", w->idle, a->idle);
    doors(o, "http_accepted_total", "counter", "Connections taken.", w->accepted, a->accepted);
    doors(o, "http_received_bytes_total", "counter", "From clients.", w->received, a->received);
    doors(o, "http_sent_bytes_total", "counter", "To clients.", w->sent, a->sent);
    requests(o, m);
    timeouts(o, m);
    counter(o, "http_refused_total", "Requests that limits or syntax refused.",
            w->refused + a->refused);
    counter(o, "http_evicted_total", "Connections closed to make room.", w->evicted + a->evicted);
    counter(o, "http_cut_total", "Answers cut because their file had changed or failed.",
            w->cut + a->cut);
    counter(o, "http_tls_failed_total", "TLS handshakes that failed.",
            w->tls_failed + a->tls_failed);
    counter(o, "http_log_dropped_total", "Lines of the access log for which there was no room.",
            w->log_dropped + a->log_dropped);
}

static void put_catalog(struct tarn_out *o, const struct node_metrics *m)
{
    const struct catalog_totals *t = &m->totals;
    const struct catalog_progress *p = &m->progress;
    gauge(o, "collections", "Published folders.", t->collections);
    gauge(o, "files", "Files held, each name counted.", t->files);
    gauge(o, "identities", "Different contents among them.", t->identities);
    gauge(o, "published_bytes", "Bytes under all names.", t->bytes_published);
    gauge(o, "stored_bytes", "Bytes on disk that these are.", t->bytes_stored);
    gauge(o, "hashing_files", "Files that wait to be read.", p->files_waiting);
    gauge(o, "hashing_bytes", "Bytes of them.", p->bytes_waiting);
    counter(o, "hashed_files_total", "Files read and hashed since the start.", p->files_done);
    counter(o, "hashed_bytes_total", "Bytes read and hashed since the start.", p->bytes_done);
    gauge(o, "hears_changes", "1 where the system tells of changes.", p->hears_changes);
}

/* 0 while none runs, but for the time of the last one. */
static void put_scrub(struct tarn_out *o, const struct catalog_check_progress *k)
{
    gauge(o, "scrub_running", "1 while files are read again and compared.", k->is_running);
    gauge(o, "scrub_files", "Files that this scrub is to read.", k->files);
    gauge(o, "scrub_done_files", "Of them, read.", k->files_done);
    gauge(o, "scrub_bytes", "Bytes that this scrub is to read.", k->bytes);
    gauge(o, "scrub_done_bytes", "Of them, read.", k->bytes_done);
    gauge(o, "scrub_damaged_files", "Of those read, files that hold other bytes.", k->bad);
    gauge(o, "scrub_ended_time_seconds", "When the last whole scrub ended, since 1970; 0: never.",
          (uint64_t)(k->ended_ms / 1000));
}

static void put_index(struct tarn_out *o, const struct kv_stat *s)
{
    gauge(o, "index_file_bytes", "Size of the index.", s->file_len);
    gauge(o, "index_used_bytes", "Of it, in use.", s->used_len);
    gauge(o, "index_max_bytes", "Most it may have.", s->max_size);
    gauge(o, "index_reads", "Snapshots open now.", s->reads);
    counter(o, "index_commits_total", "Since the start.", s->commits);
    counter(o, "index_writes_total", "Writes in those commits.", s->writes);
}

static void put_bt(struct tarn_out *o, const struct bt_session_stats *s)
{
    gauge(o, "bt_torrents", "In the session.", s->torrents);
    gauge(o, "bt_peers", "Connected now.", s->conns);
    gauge(o, "bt_unchoked", "Peers that are sent to now.", s->unchoked);
    counter(o, "bt_accepted_total", "Connections taken.", s->accepted);
    counter(o, "bt_dialled_total", "Connections begun.", s->dialled);
    counter(o, "bt_banned_total", "Peers.", s->banned);
    counter(o, "bt_downloaded_bytes_total", "Payload.", s->downloaded);
    counter(o, "bt_uploaded_bytes_total", "Payload.", s->uploaded);
    counter(o, "bt_wasted_bytes_total", "Of downloaded: what was here already.", s->wasted);
    counter(o, "bt_corrupt_bytes_total", "Of downloaded: what failed its hash.", s->corrupt);
    counter(o, "bt_pieces_failed_total", "Pieces that failed their hash.", s->pieces_failed);
    gauge(o, "bt_memory_bytes", "Payload that has arrived and is not written yet.", s->memory_used);
    gauge(o, "bt_memory_max_bytes", "Most of that (bt.memory).", s->memory);
    gauge(o, "bt_metadata_bytes", "What is kept about torrents and peers.", s->metadata_used);
    gauge(o, "bt_metadata_max_bytes", "Most of that (bt.metadata).", s->metadata);
}

void node_metrics_write(struct tarn_out *o, const struct node_metrics *m)
{
    head(o, "build_info", "gauge", "Always 1; the label says the version.");
    tarn_out_fmt(o, "tarn_build_info{version=\"%s\"} 1\n", m->version);
    gauge(o, "start_time_seconds", "When this process began, since 1970.", (uint64_t)m->started_s);
    gauge(o, "faults", "What is wrong just now: see /v1/status.", m->faults);
    put_catalog(o, m);
    put_scrub(o, &m->scrub);
    put_http(o, m);
    put_index(o, &m->index);
    if (m->has_bt)
        put_bt(o, &m->bt);
}
