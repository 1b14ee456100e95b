/* node/listing: see the header. Links are relative, so that the page also works behind a proxy that
 * serves it below another path. */
#include "node/listing.h"

#include "base/text.h"
#include "codec/html.h"
#include "codec/url.h"
#include "http/core/date.h"
#include "node/html.h"
#include "node/route.h"

#include <stdio.h>

/* "Collections / name / folder": each but the last a link upward. */
static void heading(struct tarn_out *o, const struct node_listing_head *head)
{
    unsigned above = 1;
    for (size_t i = 0; i < head->path.len; i++)
        above += head->path.p[i] == '/';
    above += head->path.len > 0;
    struct tarn_bytes rest = head->path, name = head->collection;
    tarn_out_str(o, "<h1><a href=\"");
    for (unsigned i = 0; i <= above; i++)
        tarn_out_str(o, "../");
    tarn_out_str(o, "\">/</a> ");
    for (; above > 0; above--) {
        if (above > 1) {
            tarn_out_str(o, "<a href=\"");
            for (unsigned i = 1; i < above; i++)
                tarn_out_str(o, "../");
            tarn_out_str(o, "\">");
        }
        html_text(o, name);
        tarn_out_str(o, above > 1 ? "</a> / " : "");
        const uint8_t *slash = rest.len == 0 ? NULL : memchr(rest.p, '/', rest.len);
        size_t n = slash == NULL ? rest.len : (size_t)(slash - rest.p);
        name = tarn_bytes_of(rest.p, n);
        rest = slash == NULL ? tarn_bytes_of(NULL, 0) : tarn_bytes_of(slash + 1, rest.len - n - 1);
    }
    tarn_out_str(o, "</h1>");
}

/* Links to the siblings of what is called name, relative to the page. rel: more attributes of each
 * link. */
static void siblings(struct tarn_out *o, const char *up, struct tarn_bytes name, bool has_torrent,
                     const char *rel)
{
    for (enum node_sibling s = has_torrent ? NODE_TORRENT : NODE_META4; s <= NODE_SHA256; s++) {
        tarn_out_fmt(o, "<a href=\"%s", up);
        url_escape(o, name);
        tarn_out_fmt(o, "?as=%s\"%s>%s</a>", node_sibling_word(s), rel, node_sibling_word(s));
    }
}

static void begin_page(struct tarn_out *o, const struct node_listing_head *head)
{
    bool is_list = head->collection.len == 0;
    html_begin(o, is_list ? tarn_bytes_str("Collections") : head->collection);
    if (is_list) {
        tarn_out_str(o, "<h1>Collections</h1>");
    } else {
        heading(o, head);
        tarn_out_str(o, "<p>");
        if (head->path.len == 0)
            siblings(o, "../", head->collection, head->has_torrent, "");
        tarn_out_str(o, "<a href=\"?as=json\">json</a></p>");
    }
    tarn_out_fmt(o,
                 "<div class=\"wide\"><table><tr><th>%s<th class=\"n\">%s<th class=\"%s<th></tr>",
                 is_list ? "Collection" : "Name", "Size", is_list ? "n\">Files" : "t\">Modified");
}

static void begin_json(struct json *j, const struct node_listing_head *head)
{
    json_open_object(j);
    json_put_u64(j, "v", 1);
    if (head->collection.len > 0) {
        json_put_bytes(j, "collection", head->collection);
        json_put_bytes(j, "path", head->path);
    }
    json_key(j, head->collection.len > 0 ? "entries" : "collections");
    json_open_array(j);
}

void node_listing_begin(struct node_listing *l, struct tarn_out *o, bool as_json,
                        const struct node_listing_head *head)
{
    *l = (struct node_listing){ .out = o, .as_json = as_json };
    json_init(&l->json, o);
    if (as_json)
        begin_json(&l->json, head);
    else
        begin_page(o, head);
}

static void put_time(struct tarn_out *o, int64_t ns)
{
    char d[HTTP_DATE_LEN + 1]; /* "Sun, 06 Nov 1994 08:49:37 GMT" */
    if (ns <= 0)
        return;
    (void)http_date(d, ns / 1000000000);
    tarn_out_fmt(o, "%.11s %.5s", d + 5, d + 17);
}

/* A file's torrent is seeded from when it is asked for: a search engine that goes through the links
 * of a listing is not to have that of every file. */
static void row_siblings(struct tarn_out *o, const struct node_row *r)
{
    if (r->kind == NODE_ROW_COLLECTION)
        siblings(o, "c/", r->name, r->has_torrent, "");
    else
        siblings(o, "./", r->name, r->has_torrent, " rel=\"nofollow\"");
}

static void row_html(struct tarn_out *o, const struct node_row *r)
{
    bool is_folder = r->kind != NODE_ROW_FILE;
    tarn_out_str(o, "<tr><td><a href=\"");
    tarn_out_str(o, r->kind == NODE_ROW_COLLECTION ? "c/" : "./");
    url_escape(o, r->name);
    tarn_out_str(o, is_folder ? "/\">" : "\">");
    html_text(o, r->name);
    tarn_out_str(o, is_folder ? "/</a>" : "</a>");
    if (r->state != NULL)
        tarn_out_fmt(o, " <em>%s</em>", r->state);
    tarn_out_str(o, "<td class=\"n\">");
    if (r->kind != NODE_ROW_FOLDER)
        html_size(o, r->size);
    if (r->kind == NODE_ROW_COLLECTION) {
        tarn_out_fmt(o, "<td class=\"n\">%llu", (unsigned long long)r->files);
    } else {
        tarn_out_str(o, "<td class=\"t\">");
        put_time(o, r->mtime_ns);
    }
    tarn_out_str(o, "<td class=\"s\">");
    if (r->kind != NODE_ROW_FOLDER && r->state == NULL)
        row_siblings(o, r);
    tarn_out_str(o, "</tr>");
}

static void put_identity(struct json *j, const struct node_row *r)
{
    char text[64 + 1 + 20 + 1], hex[65];
    tarn_hex(hex, tarn_bytes_of(r->root, 32));
    (void)snprintf(text, sizeof text, "%s-%llu", hex, (unsigned long long)r->size);
    json_put_str(j, "id", text);
}

static void row_json(struct json *j, const struct node_row *r)
{
    static const char *const kinds[] = { "folder", "file", "collection" };
    json_open_object(j);
    json_put_str(j, "kind", kinds[r->kind]);
    json_put_bytes(j, "name", r->name);
    if (r->kind != NODE_ROW_FOLDER)
        json_put_u64(j, "size", r->size);
    if (r->kind == NODE_ROW_COLLECTION)
        json_put_u64(j, "files", r->files);
    if (r->kind == NODE_ROW_FILE && r->mtime_ns != 0) {
        json_key(j, "mtime_ns");
        json_i64(j, r->mtime_ns);
    }
    if (r->root != NULL)
        put_identity(j, r);
    if (r->state != NULL)
        json_put_str(j, "state", r->state);
    json_close_object(j);
}

void node_listing_row(struct node_listing *l, const struct node_row *r)
{
    if (l->as_json)
        row_json(&l->json, r);
    else
        row_html(l->out, r);
}

void node_listing_end(struct node_listing *l, struct tarn_bytes next)
{
    struct tarn_out *o = l->out;
    if (l->as_json) {
        json_close_array(&l->json);
        if (next.len > 0)
            json_put_bytes(&l->json, "next", next);
        json_close_object(&l->json);
        tarn_out_u8(o, '\n');
        return;
    }
    tarn_out_str(o, "</table></div>");
    if (next.len > 0) {
        tarn_out_str(o, "<p><a href=\"?as=list&amp;after=");
        url_escape(o, next);
        tarn_out_str(o, "\">more</a></p>");
    }
    html_end(o);
}
