/* node/web_list: listings of folders and of the collections, from one snapshot of the index. */
#include "node/web_priv.h"

#include "codec/url.h"
#include "node/listing.h"

#include <stdio.h>

/* Why a file cannot be served now, in a word; NULL: it can. */
static const char *state_word(const struct catalog_entry *e)
{
    switch (e->state) {
    case CATALOG_HELD:
        return NULL;
    case CATALOG_WAITING:
        return "hashing";
    case CATALOG_CHANGED:
        return "changed";
    case CATALOG_DAMAGED:
        return "damaged";
    case CATALOG_MISSING:
        return "missing";
    case CATALOG_REFUSED:
        break;
    }
    return "refused";
}

static void finish(struct web_job *j)
{
    j->found = WEB_BYTES;
    j->type = j->wants_json ? "application/json" : "text/html; charset=utf-8";
    j->vary = j->was_told ? NULL : "Accept";
    j->cache = "no-cache";
    if (!tarn_out_ok(&j->body))
        web_refuse(j, 503, "The server is out of memory.");
}

static void put_row(struct node_listing *l, const struct catalog_collection *in,
                    const struct catalog_entry *e)
{
    struct node_row row = {
        .kind = e->kind == CATALOG_FOLDER ? NODE_ROW_FOLDER : NODE_ROW_FILE,
        .name = e->name,
        .mtime_ns = e->stat.mtime_ns,
        .has_torrent = in->bt != CATALOG_BT_OFF,
    };
    if (e->kind == CATALOG_FILE) {
        row.size = e->state == CATALOG_HELD ? e->identity.len : e->stat.size;
        row.state = state_word(e);
        if (row.state == NULL && e->identity.len > 0)
            row.root = e->identity.root;
    }
    node_listing_row(l, &row);
}

/* Rows from behind `after` on; *last is the last name, when there are more. */
static bool put_rows(struct catalog_read *r, struct node_listing *l,
                     const struct catalog_collection *in, const struct catalog_entry *folder,
                     struct tarn_out *last)
{
    struct tarn_err err;
    struct catalog_entry e;
    for (unsigned n = 0;; n++) {
        enum catalog_found found = catalog_next(r, folder->id, tarn_out_bytes(last), &e, &err);
        if (found == CATALOG_FAILED)
            return false;
        if (found == CATALOG_NOT_THERE) {
            tarn_out_clear(last);
            return true;
        }
        if (n == NODE_LISTING_ROWS)
            return tarn_out_ok(last);
        tarn_out_clear(last);
        tarn_out_put(last, e.name);
        if (e.state != CATALOG_MISSING)
            put_row(l, in, &e);
    }
}

void web_list(struct web_job *j, struct catalog_read *r, const struct catalog_collection *in,
              const struct catalog_entry *folder)
{
    struct node_listing l;
    struct tarn_out last;
    const struct node_listing_head head = { .collection = in->name,
                                            .path = j->route.path,
                                            .has_torrent =
                                                in->bt != CATALOG_BT_OFF && in->version > 0 };
    tarn_out_init(&last, CATALOG_NAME_MAX);
    url_unescape(&last, j->query.after, true);
    if (!tarn_out_ok(&last)) {
        tarn_out_release(&last);
        web_refuse(j, 400, "after= is the name of a file or folder of this page.");
        return;
    }
    node_listing_begin(&l, &j->body, j->wants_json, &head);
    bool ok = put_rows(r, &l, in, folder, &last);
    node_listing_end(&l, tarn_out_bytes(&last));
    tarn_out_release(&last);
    finish(j);
    if (!ok)
        web_refuse(j, 500, "The index cannot be read.");
}

void web_list_collections(struct web_job *j, struct catalog_read *r)
{
    struct node_listing l;
    struct tarn_err err;
    struct catalog_collection c = { 0 };
    const struct node_listing_head head = { 0 };
    node_listing_begin(&l, &j->body, j->wants_json, &head);
    enum catalog_found found;
    while ((found = catalog_collection_next(r, c.id, &c, &err)) == CATALOG_FOUND) {
        if (!web_is_shown(&c))
            continue;
        node_listing_row(&l, &(struct node_row){
                                 .kind = NODE_ROW_COLLECTION,
                                 .name = c.name,
                                 .size = c.bytes,
                                 .files = c.files,
                                 .state = c.phase == CATALOG_AWAY       ? "away"
                                          : c.phase == CATALOG_COMPLETE ? NULL
                                                                        : "hashing",
                                 .has_torrent = c.bt != CATALOG_BT_OFF,
                             });
    }
    node_listing_end(&l, tarn_bytes_of(NULL, 0));
    finish(j);
    if (found == CATALOG_FAILED)
        web_refuse(j, 500, "The index cannot be read.");
}
