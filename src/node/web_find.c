/* node/web_find: from a route to an answer, on a thread of the pool: the index is read, files are
 * opened. One snapshot of the index per request. */
#include "node/web_priv.h"

#include "base/mem.h"
#include "base/text.h"
#include "codec/url.h"
#include "crypt/sha.h"
#include "http/core/media.h"

#include <stdio.h>

enum { TAG_LEN = 16 }; /* bytes of a digest in an ETag */

void web_refuse(struct web_job *j, unsigned status, const char *detail)
{
    j->found = WEB_REFUSE;
    j->status = status;
    j->detail = detail;
}

static void not_here(struct web_job *j)
{
    web_refuse(j, 404, "There is nothing published under this name.");
}

void web_refuse_err(struct web_job *j, const struct tarn_err *err)
{
    if (err->code == TARN_E_POLICY || err->code == TARN_E_DAEMON) {
        j->why = *err; /* of the file, not of this machine: it may be said */
        web_refuse(j, err->code == TARN_E_DAEMON ? 503 : 404, j->why.msg);
    } else if (err->code == TARN_E_NOT_FOUND) {
        not_here(j);
    } else {
        web_refuse(j, 500, "The index cannot be read.");
    }
}

bool web_is_shown(const struct catalog_collection *c)
{
    return c->policy == CATALOG_PUBLIC && c->http;
}

void web_id_text(char *dst, const struct catalog_identity *id)
{
    tarn_hex(dst, tarn_bytes_of(id->root, sizeof id->root));
    (void)snprintf(dst + 64, WEB_ID_TEXT + 1 - 64, "-%llu", (unsigned long long)id->len);
}

/* ---- files ---- */

/* Why an entry cannot be served; false: it can. */
static bool is_refused(struct web_job *j, const struct catalog_entry *e)
{
    switch (e->state) {
    case CATALOG_HELD:
        return false;
    case CATALOG_WAITING:
    case CATALOG_CHANGED:
        web_refuse(j, 503, "This file is new or has changed, and is being read. Try again soon.");
        return true;
    case CATALOG_DAMAGED:
        web_refuse(j, 503,
                   "This file holds other bytes than were published. It is not served "
                   "until it has been put right.");
        return true;
    case CATALOG_MISSING:
    case CATALOG_REFUSED:
        break;
    }
    not_here(j);
    return true;
}

static void fill_file(struct web_file *f, const struct catalog_entry *e, enum http_coding coding)
{
    char id[WEB_ID_TEXT + 1];
    f->coding = coding;
    f->entry = e->id;
    f->id = e->identity;
    f->modified_s = e->stat.mtime_ns / 1000000000;
    web_id_text(id, &e->identity);
    (void)snprintf(f->etag, sizeof f->etag, "\"%s\"", e->identity.len == 0 ? "empty" : id);
}

/* Read before the stat that is_same asks for: bytes that had changed by then are never sent. */
static void keep_short(struct web_file *f)
{
    size_t got, len = (size_t)f->id.len;
    if (f->id.len == 0 || f->id.len > WEB_SHORT_MAX)
        return;
    f->bytes = tarn_calloc(len, 1);
    if (f->bytes != NULL &&
        (!sys_read_at(f->file->fd, f->bytes, len, 0, &got, NULL) || got != len)) {
        tarn_free(f->bytes);
        f->bytes = NULL;
    }
}

static struct web_page *new_page(struct web_job *j, struct catalog_read *r)
{
    struct web_page *p = tarn_calloc(1, sizeof *p);
    char *path = tarn_strndup(j->path.p, j->path.len);
    if (p == NULL || path == NULL) {
        tarn_free(p);
        tarn_free(path);
        return NULL;
    }
    p->path = path;
    p->refs = 1;
    p->catalog = r->c;
    return p;
}

/* Open the entry as the next representation of the page. False: it was refused. */
static bool add_file(struct web_job *j, struct catalog_read *r, struct web_page *p,
                     const struct catalog_entry *e, enum http_coding coding)
{
    struct tarn_err err;
    struct web_file *f = &p->files[p->n];
    switch (catalog_open(r, e, &f->file, &err)) {
    case CATALOG_FOUND:
        break;
    case CATALOG_NOT_THERE:
        web_refuse(j, 503, "This file has just changed, and is being read. Try again soon.");
        return false;
    case CATALOG_FAILED:
        web_refuse(j, 500, "This file cannot be opened on the server.");
        return false;
    }
    fill_file(f, e, coding);
    keep_short(f);
    p->n++;
    return true;
}

/* The publisher's own compressed copies of a file beside it. */
static void add_codings(struct web_job *j, struct catalog_read *r, struct web_page *p,
                        const struct catalog_collection *in, struct tarn_bytes path)
{
    static const struct {
        const char *end;
        enum http_coding coding;
    } kinds[] = { { ".zst", HTTP_ZSTD }, { ".br", HTTP_BROTLI }, { ".gz", HTTP_GZIP } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[CATALOG_PATH_MAX + 1];
        struct catalog_entry e;
        struct tarn_err err;
        int len = snprintf(name, sizeof name, "%.*s%s", (int)path.len, (const char *)path.p,
                           kinds[i].end);
        if (len < 0 || (size_t)len >= sizeof name)
            continue;
        if (catalog_find(r, in, tarn_bytes_of(name, (size_t)len), &e, &err) == CATALOG_FOUND &&
            e.kind == CATALOG_FILE && e.state == CATALOG_HELD)
            (void)add_file(j, r, p, &e, kinds[i].coding); /* without it, then */
    }
}

/* in NULL: asked for by identity, which names these bytes and no other coding of them. */
static void find_file(struct web_job *j, struct catalog_read *r,
                      const struct catalog_collection *in, struct tarn_bytes path,
                      const struct catalog_entry *e)
{
    if (is_refused(j, e))
        return;
    uint64_t oldest, seq;
    struct tarn_err err;
    struct web_page *p = new_page(j, r);
    if (p == NULL || !catalog_journal_span(r, &oldest, &seq, &err)) {
        web_page_unref(p);
        web_refuse(j, 503, "The server is out of memory.");
        return;
    }
    p->seq = seq;
    p->is_by_id = in == NULL;
    p->type = http_media_type(e->name);
    if (!add_file(j, r, p, e, HTTP_IDENTITY)) {
        web_page_unref(p);
        return;
    }
    if (in != NULL)
        add_codings(j, r, p, in, path);
    j->found = WEB_PAGE;
    j->page = p;
}

/* ---- folders ---- */

/* A link to the same thing with a slash behind it; relative, for proxies that add a prefix. */
static void redirect_to_folder(struct web_job *j, struct tarn_bytes path)
{
    const uint8_t *name = path.p + path.len;
    while (name > path.p && name[-1] != '/')
        name--;
    tarn_out_str(&j->body, "./"); /* a name may hold a ':' */
    url_escape(&j->body, tarn_bytes_of(name, path.len - (size_t)(name - path.p)));
    tarn_out_u8(&j->body, '/');
    if (j->query_text.len > 0) {
        tarn_out_u8(&j->body, '?');
        tarn_out_put(&j->body, tarn_out_bytes(&j->query_text));
    }
    j->found = WEB_REDIRECT;
}

static bool find_index_html(struct web_job *j, struct catalog_read *r,
                            const struct catalog_collection *in)
{
    struct catalog_entry e;
    struct tarn_err err;
    char path[CATALOG_PATH_MAX + 16];
    if (j->was_told) /* a publisher's page is what the folder is, whatever Accept says */
        return false;
    int len = snprintf(path, sizeof path, "%.*s%sindex.html", (int)j->route.path.len,
                       (const char *)j->route.path.p, j->route.path.len > 0 ? "/" : "");
    if (catalog_find(r, in, tarn_bytes_of(path, (size_t)len), &e, &err) != CATALOG_FOUND ||
        e.kind != CATALOG_FILE || e.state == CATALOG_MISSING || e.state == CATALOG_REFUSED)
        return false;
    find_file(j, r, in, tarn_bytes_of(path, (size_t)len), &e);
    return true;
}

static void find_folder(struct web_job *j, struct catalog_read *r,
                        const struct catalog_collection *in, const struct catalog_entry *e)
{
    if (!j->route.is_folder) {
        redirect_to_folder(j, j->route.path);
        return;
    }
    if (j->query.as != NODE_NO_SIBLING && j->route.path.len == 0)
        web_sibling_of_collection(j, r, in, j->query.as);
    else if (j->query.as != NODE_NO_SIBLING)
        web_refuse(j, 404, "A folder has none of its own: its collection has, and its files.");
    else if (find_index_html(j, r, in))
        return;
    else if (!j->shows_folders)
        web_refuse(j, 404, "The contents of folders are not shown here.");
    else
        web_list(j, r, in, e);
}

/* ---- routes ---- */

/* False: refused. */
static bool find_collection(struct web_job *j, struct catalog_read *r, struct tarn_bytes name,
                            struct catalog_collection *c)
{
    struct tarn_err err;
    enum catalog_found found = catalog_collection_named(r, name, c, &err);
    if (found == CATALOG_FAILED)
        web_refuse(j, 500, "The index cannot be read.");
    else if (found == CATALOG_NOT_THERE || !web_is_shown(c))
        not_here(j);
    else if (c->phase == CATALOG_AWAY)
        web_refuse(j, 503, "The folder of this collection is not there just now.");
    else
        return true;
    return false;
}

static void find_sibling(struct web_job *j, struct catalog_read *r,
                         const struct catalog_collection *in, const struct catalog_entry *e,
                         struct tarn_bytes path, enum node_sibling kind)
{
    if (!is_refused(j, e))
        web_sibling_of_file(j, r, in, e, path, kind);
}

/* Clients that do not know padding when they see it (Transmission 3.00, aria2 1.36) fetch it from
 * web seeds as they fetch files. */
static bool is_padding(struct web_job *j, const struct catalog_collection *c)
{
    if (c->bt == CATALOG_BT_OFF || c->bt == CATALOG_BT_V2 || j->route.is_folder ||
        j->door->web->node->doors.zeros == NULL || !node_padding(j->route.path, &j->zeros) ||
        j->zeros >= c->piece_len || j->zeros > NODE_ZEROS)
        return false;
    j->found = WEB_ZEROS;
    return true;
}

static void find_path(struct web_job *j, struct catalog_read *r)
{
    struct catalog_collection c;
    struct catalog_entry e;
    struct tarn_err err;
    if (!find_collection(j, r, j->route.collection, &c))
        return;
    switch (catalog_find(r, &c, j->route.path, &e, &err)) {
    case CATALOG_FAILED:
        web_refuse(j, 500, "The index cannot be read.");
        return;
    case CATALOG_NOT_THERE:
        break;
    case CATALOG_FOUND:
        if (e.kind == CATALOG_FILE && e.state == CATALOG_MISSING)
            break;
        if (e.kind == CATALOG_FOLDER)
            find_folder(j, r, &c, &e);
        else if (j->route.is_folder)
            not_here(j);
        else if (j->query.as != NODE_NO_SIBLING)
            find_sibling(j, r, &c, &e, j->route.path, j->query.as);
        else
            find_file(j, r, &c, j->route.path, &e);
        return;
    }
    struct tarn_bytes stem;
    enum node_sibling kind = node_sibling_of(j->route.path, &stem);
    if (!j->route.is_folder && kind != NODE_NO_SIBLING &&
        catalog_find(r, &c, stem, &e, &err) == CATALOG_FOUND && e.kind == CATALOG_FILE)
        find_sibling(j, r, &c, &e, stem, kind);
    else if (!is_padding(j, &c))
        not_here(j);
}

/* /c/NAME: a folder, or a sibling of the collection; a collection of that very name wins. */
static void find_top(struct web_job *j, struct catalog_read *r)
{
    struct catalog_collection c;
    struct tarn_err err;
    struct tarn_bytes name = j->route.collection, stem;
    enum node_sibling kind = node_sibling_of(name, &stem);
    if (kind == NODE_NO_SIBLING ||
        (catalog_collection_named(r, name, &c, &err) == CATALOG_FOUND && web_is_shown(&c)))
        kind = j->query.as;
    else
        name = stem;
    if (!find_collection(j, r, name, &c))
        return;
    if (kind != NODE_NO_SIBLING)
        web_sibling_of_collection(j, r, &c, kind);
    else
        redirect_to_folder(j, name);
}

/* A held file with this identity that may be shown here. */
static bool find_shown(struct catalog_read *r, const struct catalog_identity *id,
                       struct catalog_entry *e)
{
    struct tarn_err err;
    struct catalog_collection c;
    e->id = 0;
    while (catalog_place_next(r, id, e->id, e, &err) == CATALOG_FOUND)
        if (e->state == CATALOG_HELD &&
            catalog_collection_get(r, e->collection, &c, &err) == CATALOG_FOUND &&
            web_is_shown(&c) && c.phase != CATALOG_AWAY)
            return true;
    return false;
}

static void find_root(struct web_job *j, struct catalog_read *r)
{
    struct catalog_identity id = { .len = j->route.len };
    struct catalog_entry e;
    memcpy(id.root, j->route.root, sizeof id.root);
    if (!find_shown(r, &id, &e))
        not_here(j);
    else if (j->query.wants_proof)
        web_proof(j, r, &e);
    else if (j->query.as != NODE_NO_SIBLING) /* not the file in place of its checksum */
        web_refuse(j, 404,
                   "What is asked for by its identity has no name to make this for: ask for it by "
                   "its name in a collection (or for ?proof).");
    else
        find_file(j, r, NULL, tarn_bytes_of(NULL, 0), &e);
}

/* What is made for the request is tagged by its own bytes: it is the same for all that they are,
 * whatever the index has seen meanwhile. */
static void tag_bytes(struct web_job *j)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    char hex[2 * TAG_LEN + 1];
    crypt_hash(CRYPT_SHA256, tarn_out_bytes(&j->body), digest);
    (void)snprintf(j->etag, sizeof j->etag, "\"%s\"",
                   tarn_hex(hex, tarn_bytes_of(digest, TAG_LEN)));
}

void web_find(struct web_job *j)
{
    struct catalog_read r;
    struct tarn_err err;
    if (!catalog_read_begin(j->door->catalog, &r, &err)) {
        web_refuse(j, 503, "The index cannot be read just now.");
        return;
    }
    switch (j->route.kind) {
    case NODE_ROUTE_INDEX:
        web_list_collections(j, &r);
        break;
    case NODE_ROUTE_COLLECTION:
        find_top(j, &r);
        break;
    case NODE_ROUTE_PATH:
        find_path(j, &r);
        break;
    case NODE_ROUTE_ROOT:
        find_root(j, &r);
        break;
    case NODE_ROUTE_NONE:
    case NODE_ROUTE_HEALTH:
        not_here(j);
        break;
    }
    catalog_read_end(&r);
    if (j->found == WEB_BYTES)
        tag_bytes(j);
    web_note_torrent(j);
}
