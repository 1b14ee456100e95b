/* node/holdings: what a node has: the index, the catalog in it, and, when something needs it, a
 * BitTorrent session. They are joined here: the catalog's changes go to the torrents and to those
 * who watch. */
#include "base/mem.h"
#include "bt/resume.h"
#include "node/parts.h"
#include "node/ref.h"
#include "sys/file.h"

#include <stdio.h>

enum { BT_AGAIN_US = 60 * 1000 * 1000 }; /* a port that is taken is not tried at every change */

/* ---- the catalog's voice ---- */

static void on_changes(void *arg, uint64_t seq)
{
    struct node *n = arg;
    (void)seq;
    node_bt_look(n);
    if (n->seeding != NULL)
        node_seeding_look(n->seeding);
    if (n->singles != NULL)
        node_singles_look(n->singles);
    node_admin_changed(n);
}

static void on_hashes(void *arg)
{
    struct node *n = arg;
    if (n->seeding != NULL)
        node_seeding_again(n->seeding);
}

/* How fast files are read, over at least a second. */
static void on_progress(void *arg, const struct catalog_progress *p)
{
    struct node *n = arg;
    int64_t now_us = loop_now_us(n->loop), took_us = now_us - n->hashed_us;
    if (p->files_waiting > 0 && took_us < 1000000)
        return;
    n->hash_rate = p->files_waiting == 0 || n->hashed_us == 0 || p->bytes_done < n->hashed
                       ? 0
                       : (uint64_t)((double)(p->bytes_done - n->hashed) * 1e6 / (double)took_us);
    n->hashed = p->bytes_done;
    n->hashed_us = p->files_waiting == 0 ? 0 : now_us;
}

static void on_fault(void *arg, const char *sentence)
{
    struct node *n = arg;
    if (sentence != NULL) {
        node_fault_add(n, "index", sentence);
        return;
    }
    node_fault_cure(n, "index");
    node_log(n->log, NODE_NOTICE, "index", "what is found can be recorded again");
}

static void on_line(void *arg, bool is_warning, const char *line)
{
    node_log(((struct node *)arg)->log, is_warning ? NODE_WARNING : NODE_INFO, "catalog", "%s",
             line);
}

/* ---- the index ---- */

/* folder/name; tarn_free. NULL: no memory. */
static char *below(const char *folder, const char *name)
{
    struct tarn_out path;
    tarn_out_init(&path, CATALOG_PATH_MAX);
    tarn_out_fmt(&path, "%s/%s", folder, name);
    return tarn_out_take_str(&path);
}

static bool open_index(struct node *n, const char *folder, struct tarn_err *err)
{
    const char *names[NODE_TABLES];
    char *file = below(folder, "INDEX.mdb");
    if (file == NULL)
        return tarn_fail_mem(err, "opening the index");
    for (unsigned i = 0; i < CATALOG_TABLES; i++)
        names[i] = catalog_tables[i];
    names[NODE_TABLE_TORRENT] = NODE_TORRENTS_TABLE;
    names[NODE_TABLE_SEEDING] = NODE_SEEDING_TABLE;
    names[NODE_TABLE_SINGLE] = NODE_SINGLES_TABLE;
    n->kv = kv_open(
        &(struct kv_settings){ .path = file,
                               .kind = "tarn index",
                               .tables = names,
                               .n_tables = NODE_TABLES,
                               .schema = CATALOG_SCHEMA,
                               .max_size = node_config_number(n->config, NODE_INDEX_MAX_SIZE) },
        err);
    tarn_free(file);
    return n->kv != NULL;
}

static bool open_catalog(struct node *n, const char *folder, struct tarn_err *err)
{
    const struct node_config *c = n->config;
    uint64_t scrub_rate = node_config_number(c, NODE_SCRUB_RATE); /* 0: unlimited */
    char *leaves = below(folder, "leaves");
    if (leaves == NULL)
        return tarn_fail_mem(err, "opening the index");
    n->catalog = catalog_new(
        &(struct catalog_settings){
            .loop = n->loop,
            .kv = n->kv,
            .first_table = NODE_TABLE_CATALOG,
            .leaves_path = leaves,
            .state_path = n->home.state,
            .quiet_ms = (int64_t)node_config_number(c, NODE_CATALOG_QUIET) * 1000,
            .walk_anyway_ms = (int64_t)node_config_number(c, NODE_CATALOG_WALK_INTERVAL) * 1000,
            .scrub_every_ms = (int64_t)node_config_number(c, NODE_SCRUB_INTERVAL) * 1000,
            .scrub_rate_bps = scrub_rate > 0 ? scrub_rate : UINT64_MAX,
            .ops = { .on_changes = on_changes,
                     .on_progress = on_progress,
                     .on_hashes = on_hashes,
                     .on_fault = on_fault,
                     .on_line = on_line },
            .arg = n,
        },
        err);
    tarn_free(leaves);
    return n->catalog != NULL;
}

/* What torrents say of where we are: taken once, so that threads may read it without a lock. */
static bool take_from(struct node *n, struct tarn_err *err)
{
    const char *url = node_config_text(n->config, NODE_HTTP_PUBLIC_URL);
    const char *announce = node_config_text(n->config, NODE_BT_ANNOUNCE);
    struct tarn_out o;
    tarn_out_init(&o, 4096);
    if (*url != '\0')
        tarn_out_fmt(&o, "%s%s", url, url[strlen(url) - 1] == '/' ? "" : "/");
    n->public_base = tarn_out_take_str(&o);
    size_t cap = 0;
    bool ok = n->public_base != NULL;
    for (const char *at = announce; ok && *at != '\0';) {
        size_t len = strcspn(at, ", ");
        ok = len == 0 || TARN_GROW(n->trackers, n->from.n_trackers, cap);
        if (ok && len > 0) {
            n->trackers[n->from.n_trackers] = tarn_strndup(at, len);
            ok = n->trackers[n->from.n_trackers++] != NULL;
        }
        at += len + (at[len] != '\0');
    }
    n->from.public_url = n->public_base;
    n->from.trackers = (const char *const *)n->trackers;
    n->from.version = n->set.version;
    return ok || tarn_fail_mem(err, "starting");
}

/* ---- collections that are not in the index alone ---- */

struct publishing {
    struct tarn_list place; /* in the node's asks */
    struct node *node;
    /* One of these: a folder that was named at start, which fails without it; the configuration. */
    struct catalog_ask ask;
    struct catalog_configure_ask configure;
    bool is_wanted; /* counted in n_wanted */
};

static void on_published(struct catalog_ask *ask)
{
    struct publishing *p = TARN_OUTER(ask, struct publishing, ask);
    struct node *n = p->node;
    bool fails_start = n->state == NODE_STARTING;
    if (!ask->is_ok && !fails_start)
        node_fault_add(n, "publish", ask->err.msg); /* it names the folder */
    else if (!ask->is_ok && n->unpublished.code == TARN_OK)
        n->unpublished = ask->err;
    n->n_wanted -= p->is_wanted;
    tarn_list_remove(&p->place);
    tarn_free(p);
}

static void publish(struct node *n, const struct catalog_spec *spec, bool is_wanted)
{
    struct publishing *p = tarn_calloc(1, sizeof *p);
    if (p == NULL) {
        node_fault_add(n, "publish", "there is no memory to publish a folder");
        n->n_wanted -= is_wanted;
        return;
    }
    p->node = n;
    p->ask.done = on_published;
    p->is_wanted = is_wanted;
    tarn_list_push_back(&n->asks, &p->place);
    catalog_publish(n->catalog, spec, &p->ask);
}

/* What who starts the node named. At a reload only what the configuration says of it is new. */
static void publish_named(struct node *n)
{
    const unsigned keep =
        n->state == NODE_STARTING ? 0 : CATALOG_KEEP_ALL & ~(unsigned)CATALOG_KEEP_LINKS;
    for (size_t i = 0; i < n->set.n_publish; i++) {
        const struct catalog_spec spec = { .path = n->set.publish[i],
                                           .policy = CATALOG_PUBLIC,
                                           .bt = CATALOG_BT_HYBRID,
                                           .http = true,
                                           .links =
                                               node_config_on(n->config, NODE_CATALOG_SYMLINKS),
                                           .keep = keep };
        publish(n, &spec, n->state == NODE_STARTING);
    }
}

static void on_not_configured(struct catalog_configure_ask *ask, const struct tarn_err *why)
{
    struct publishing *p = TARN_OUTER(ask, struct publishing, configure);
    node_fault_add(p->node, "publish", why->msg); /* it names the folder */
}

static void on_configured(struct catalog_configure_ask *ask)
{
    struct publishing *p = TARN_OUTER(ask, struct publishing, configure);
    if (p->node->state < NODE_STOPPING)
        publish_named(p->node); /* now that what is configured no more is out of their way */
    tarn_list_remove(&p->place);
    tarn_free(p);
}

static struct catalog_spec configured_spec(const struct node *n,
                                           const struct node_config_collection *c)
{
    static const enum catalog_bt bts[] = { [NODE_BT_HYBRID] = CATALOG_BT_HYBRID,
                                           [NODE_BT_V1] = CATALOG_BT_V1,
                                           [NODE_BT_V2] = CATALOG_BT_V2,
                                           [NODE_BT_OFF] = CATALOG_BT_OFF };
    return (struct catalog_spec){ .path = c->path,
                                  .name = c->name,
                                  .policy = (enum catalog_policy)c->policy,
                                  .bt = bts[c->bt],
                                  .http = c->http,
                                  .hidden = c->hidden,
                                  .links = node_config_on(n->config, NODE_CATALOG_SYMLINKS),
                                  .origin = CATALOG_CONFIGURED };
}

/* Those that were in an older configuration, and are not in this one, go with it. */
static void publish_configured(struct node *n)
{
    size_t count = node_config_collections(n->config);
    struct publishing *p = tarn_calloc(1, sizeof *p);
    struct catalog_spec *specs = tarn_calloc(count > 0 ? count : 1, sizeof *specs);
    if (p == NULL || specs == NULL) {
        node_fault_add(n, "publish", "there is no memory to publish what is configured");
        tarn_free(p);
        publish_named(n);
    } else {
        for (size_t i = 0; i < count; i++)
            specs[i] = configured_spec(n, node_config_collection(n->config, i));
        p->node = n;
        p->configure.refused = on_not_configured;
        p->configure.done = on_configured;
        tarn_list_push_back(&n->asks, &p->place);
        catalog_configure(n->catalog, specs, count, &p->configure);
    }
    tarn_free(specs);
}

/* ---- BitTorrent ---- */

static void on_note(void *arg, struct bt_torrent *t, const char *text)
{
    (void)t;
    node_log(((struct node *)arg)->log, NODE_DEBUG, "bt", "%s", text);
}

static bool on_unknown(void *arg, const uint8_t hash[20], bool is_again)
{
    struct node *n = arg;
    return n->singles != NULL && (is_again ? node_singles_is_wanted(n->singles, hash)
                                           : node_singles_want(n->singles, hash));
}

static void on_want(struct node_wants *w, const uint8_t hash[SINGLES_HASH])
{
    (void)on_unknown(TARN_OUTER(w, struct node, wants), hash, false);
}

void node_want_single(struct node *n, const uint8_t hash[SINGLES_HASH])
{
    node_wants_put(&n->wants, hash);
}

static void on_trouble(void *arg, struct tarn_bytes collection, const struct tarn_err *err)
{
    struct node *n = arg;
    struct tarn_quote q;
    node_log(n->log, NODE_WARNING, "bt", "collection %s: %s", tarn_quote(&q, collection), err->msg);
}

/* Told to who watches the changes. That a torrent is complete is news only when it was not so at
 * the start already. */
static void note_torrent(struct node *n, const struct node_torrent *t, enum node_torrent_event e)
{
    static const char *const states[] = {
        [NODE_TORRENT_KNOWN] = "known",     [NODE_TORRENT_COMPLETE] = "seeding",
        [NODE_TORRENT_FAILED] = "failed",   [NODE_TORRENT_PAUSED] = "paused",
        [NODE_TORRENT_RESUMED] = "resumed",
    };
    struct bt_stats s = { 0 };
    if (t->bt != NULL)
        bt_torrent_stats(t->bt, &s);
    if (e == NODE_TORRENT_COMPLETE && s.downloaded == 0 && t->added_ms < n->started_ms)
        return;
    bool is_state = e != NODE_TORRENT_ADDED && e != NODE_TORRENT_REMOVED;
    catalog_note(n->catalog, node_id_of_torrent(t->id), tarn_bytes_str(t->name),
                 is_state                  ? "torrent-state"
                 : e == NODE_TORRENT_ADDED ? "torrent-added"
                                           : "torrent-removed",
                 tarn_bytes_str(is_state ? states[e] : ""));
}

static void on_torrent(void *arg, const struct node_torrent *t, enum node_torrent_event e)
{
    static const char *const words[] = {
        [NODE_TORRENT_ADDED] = "added",       [NODE_TORRENT_KNOWN] = "metadata are here",
        [NODE_TORRENT_COMPLETE] = "complete", [NODE_TORRENT_FAILED] = "failed",
        [NODE_TORRENT_PAUSED] = "paused",     [NODE_TORRENT_RESUMED] = "goes on",
        [NODE_TORRENT_REMOVED] = "removed",
    };
    struct node *n = arg;
    struct tarn_quote q;
    note_torrent(n, t, e);
    node_log(n->log, e == NODE_TORRENT_FAILED ? NODE_WARNING : NODE_INFO, "bt",
             "torrent %s: %s%s%s", tarn_quote_str(&q, t->name), words[e],
             e == NODE_TORRENT_FAILED ? ": " : "", e == NODE_TORRENT_FAILED ? t->failure : "");
}

static bool open_session(struct node *n, struct tarn_err *err)
{
    static const enum sys_file_way ways[] = { SYS_FILE_AUTO, SYS_FILE_MMAP, SYS_FILE_PREAD };
    const struct node_config *c = n->config;
    (void)snprintf(n->agent, sizeof n->agent, "tarn %s", n->set.version);
    char *state = node_home_path(&n->home, "resume");
    n->resume = state == NULL ? NULL : bt_resume_files_new(state, err);
    tarn_free(state);
    if (n->resume == NULL)
        return state != NULL || tarn_fail_mem(err, "opening BitTorrent");
    if (!bt_resume_files_hold_all(n->resume))
        node_log(n->log, NODE_NOTICE, "bt", "another program uses the node's folder 'resume'");
    struct bt_session_settings set = {
        .loop = n->loop,
        .fetcher = n->fetcher,
        .memory = node_config_number(c, NODE_BT_MEMORY),
        .metadata = node_config_number(c, NODE_BT_METADATA),
        .rate_down = node_config_number(c, NODE_BT_RATE_DOWN),
        .rate_up = node_config_number(c, NODE_BT_RATE_UP),
        .uplink_off = node_config_number(c, NODE_BT_UPLINK) == 1,
        .io = ways[node_config_number(c, NODE_BT_IO)],
        .max_peers = (uint32_t)node_config_number(c, NODE_BT_PEERS),
        .slots = (uint32_t)node_config_number(c, NODE_BT_SLOTS),
        .resume = &bt_resume_files_ops,
        .resume_arg = n->resume,
        .agent = n->agent,
        .on_note = on_note,
        .on_unknown = on_unknown,
        .arg = n,
    };
    set.listen = node_config_addrs(c, NODE_BT_LISTEN, &set.n_listen);
    n->bt = bt_session_new(&set, err);
    n->n_bt_addrs = set.n_listen;
    return n->bt != NULL;
}

static bool open_torrents(struct node *n, struct tarn_err *err)
{
    const char *configured = node_config_text(n->config, NODE_BT_DOWNLOADS);
    char *usual = node_home_path(&n->home, "downloads");
    if (usual == NULL)
        return tarn_fail_mem(err, "opening BitTorrent");
    n->torrents = node_torrents_new(
        &(struct node_torrents_settings){ .loop = n->loop,
                                          .kv = n->kv,
                                          .table = NODE_TABLE_TORRENT,
                                          .bt = n->bt,
                                          .fetcher = n->fetcher,
                                          .no_trackers =
                                              !node_config_on(n->config, NODE_BT_TRACKERS),
                                          .downloads = *configured != '\0' ? configured : usual,
                                          .on_event = on_torrent,
                                          .arg = n },
        err);
    tarn_free(usual);
    n->seeding =
        n->torrents == NULL
            ? NULL
            : node_seeding_new(&(struct node_seeding_settings){ .loop = n->loop,
                                                                .kv = n->kv,
                                                                .table = NODE_TABLE_SEEDING,
                                                                .catalog = n->catalog,
                                                                .bt = n->bt,
                                                                .no_trackers = !node_config_on(
                                                                    n->config, NODE_BT_TRACKERS),
                                                                .from = n->from,
                                                                .on_trouble = on_trouble,
                                                                .arg = n },
                               err);
    n->singles = n->seeding == NULL
                     ? NULL
                     : node_singles_new(
                           &(struct node_singles_settings){
                               .loop = n->loop,
                               .kv = n->kv,
                               .table = NODE_TABLE_SINGLE,
                               .catalog = n->catalog,
                               .bt = n->bt,
                               .no_trackers = !node_config_on(n->config, NODE_BT_TRACKERS),
                               .from = n->from,
                           },
                           err);
    atomic_store(&n->is_seeding, n->singles != NULL);
    return n->singles != NULL;
}

static void close_bt(struct node *n)
{
    atomic_store(&n->is_seeding, false);
    node_singles_free(n->singles);
    node_seeding_free(n->seeding);
    node_torrents_free(n->torrents);
    bt_session_free(n->bt);
    bt_resume_files_free(n->resume);
    n->singles = NULL;
    n->seeding = NULL;
    n->torrents = NULL;
    n->bt = NULL;
    n->resume = NULL;
}

bool node_bt_need(struct node *n, struct tarn_err *err)
{
    size_t n_listen;
    if (n->bt != NULL)
        return true;
    (void)node_config_addrs(n->config, NODE_BT_LISTEN, &n_listen);
    if (n_listen == 0)
        return tarn_fail(err, TARN_E_POLICY, "BitTorrent is off on this node: see bt.listen");
    if (open_session(n, err) && open_torrents(n, err))
        return true;
    close_bt(n);
    return false;
}

/* Is there a torrent, or a collection that is shared by BitTorrent? */
static bool is_bt_needed(struct node *n)
{
    struct catalog_read r;
    struct catalog_collection c = { 0 };
    struct tarn_err err;
    uint64_t records = 0;
    bool is = false;
    if (!catalog_read_begin(n->catalog, &r, &err))
        return false;
    is = kv_count(&r.kv, NODE_TABLE_TORRENT, &records, &err) && records > 0;
    while (!is && catalog_collection_next(&r, c.id, &c, &err) == CATALOG_FOUND)
        is = c.bt != CATALOG_BT_OFF && c.policy == CATALOG_PUBLIC;
    catalog_read_end(&r);
    return is;
}

void node_bt_look(struct node *n)
{
    struct tarn_err err;
    size_t n_listen;
    (void)node_config_addrs(n->config, NODE_BT_LISTEN, &n_listen);
    if (n->bt != NULL || n_listen == 0 || n->state == NODE_STOPPING ||
        loop_now_us(n->loop) < n->bt_again_us || !is_bt_needed(n))
        return;
    n->bt_again_us = loop_now_us(n->loop) + BT_AGAIN_US;
    if (node_bt_need(n, &err))
        node_fault_cure(n, "bt");
    else
        node_fault_add(n, "bt", err.msg);
}

/* ---- all of it ---- */

/* What somebody can put right at start is a matter of configuration. */
static bool cannot_use(const char *folder, struct tarn_err *err)
{
    struct tarn_quote q;
    if (err != NULL && err->code != TARN_E_NO_SPACE && err->code != TARN_E_NO_MEMORY &&
        err->code != TARN_E_INTEGRITY)
        err->code = TARN_E_USAGE;
    return tarn_fail_in(err, "cannot use the index in '%s' (index.path says where)",
                        tarn_quote_str(&q, folder));
}

bool node_holdings_open(struct node *n, struct tarn_err *err)
{
    const char *configured = node_config_text(n->config, NODE_INDEX_PATH);
    char *folder = *configured != '\0' ? tarn_strndup(configured, strlen(configured))
                                       : node_home_path(&n->home, "index");
    size_t n_listen;
    bool ok = folder != NULL || tarn_fail_mem(err, "opening the index");
    ok = ok && ((sys_make_folders(folder, err) && open_index(n, folder, err) &&
                 open_catalog(n, folder, err)) ||
                cannot_use(folder, err));
    ok = ok && take_from(n, err);
    node_wants_init(&n->wants, n->loop, on_want);
    tarn_free(folder);
    if (!ok)
        return false;
    (void)node_config_addrs(n->config, NODE_BT_LISTEN, &n_listen);
    if (n_listen > 0 &&
        (is_bt_needed(n) || node_config_collections(n->config) > 0 || n->set.n_publish > 0) &&
        !node_bt_need(n, err)) { /* a port that is taken is said at start */
        if (err != NULL)
            err->code = TARN_E_USAGE;
        return false;
    }
    n->n_wanted = (unsigned)n->set.n_publish;
    publish_configured(n);
    return true;
}

void node_holdings_reload(struct node *n)
{
    const struct node_config *c = n->config;
    node_fault_cure(n, "publish");
    publish_configured(n);
    if (n->bt != NULL)
        bt_session_set_rates(n->bt, node_config_number(c, NODE_BT_RATE_DOWN),
                             node_config_number(c, NODE_BT_RATE_UP));
}

static void on_goodbye(void *arg)
{
    node_part_stopped(arg);
}

void node_holdings_stop(struct node *n)
{
    if (n->bt == NULL)
        node_part_stopped(n);
    else
        bt_session_goodbye(n->bt, on_goodbye, n);
}

/* Everything that was asked of the index has been answered; the answers lie in the loop, which is
 * not run any more. */
static bool run_nothing(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    (void)w, (void)t, (void)err;
    return true;
}

void node_holdings_close(struct node *n)
{
    struct tarn_err err;
    struct kv_write last = { .run = run_nothing };
    if (n->kv != NULL && !kv_write_now(n->kv, &last, &err))
        node_log_err(n->log, NODE_ERROR, "index", &err);
    close_bt(n);
    catalog_free(n->catalog);
    kv_close(n->kv);
    for (uint32_t i = 0; i < n->from.n_trackers; i++)
        tarn_free(n->trackers[i]);
    tarn_free(n->trackers);
    tarn_free(n->public_base);
}

void node_holdings_forget(struct node *n)
{
    struct tarn_list *left;
    node_wants_release(&n->wants);
    while ((left = tarn_list_pop_front(&n->asks)) != NULL)
        tarn_free(TARN_OUTER(left, struct publishing, place));
}
