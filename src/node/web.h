/* node/web: the public door on one loop: published files, their folders, their siblings.
 *
 *     /                          the public collections (HTML or JSON)
 *     /c/NAME/PATH               a file, or a folder's index.html, or its listing
 *     ?as=torrent and so on      what derives from a file or a collection (node/route.h)
 *     /root/HEX-LENGTH           a file by its identity; ?proof: the hashes that lead to its root
 *     /healthz
 *
 * It serves bytes only as long as the catalog says that they have the identity that stands in the
 * ETag: asked before each answer, and again while a body leaves. What is being hashed is answered
 * by 503 with Retry-After, what is not public by 404, as if it were not there.
 *
 * Files that were asked for lately stay open (WEB_PAGES of them), so that the next answer needs no
 * disk and no thread. What has to be looked for is a job on the loop's pool.
 *
 * All calls belong to the loop's thread. */
#ifndef NODE_WEB_H
#define NODE_WEB_H

#include "catalog/catalog.h"
#include "http/server.h"

enum {
    WEB_PAGES = 256, /* kept open, each with up to four codings */
    WEB_JOBS = 512,  /* requests that wait for the pool at a time; more are answered by 503 */
};

struct node_web;

struct node_web_settings {
    struct loop *loop;
    struct catalog *catalog;          /* borrowed */
    const struct http_settings *http; /* limits, log, name; ops and arg are set here */
    const char *public_url; /* where the world reaches this door: for links that go into torrents
                               and metalinks; "": not known. Copied */
    bool has_index;         /* a folder without an index.html is listed; else 404 */
    void (*on_trouble)(void *arg, const struct tarn_err *err); /* as http_ops; from the loop */
    void *arg;
};

struct node_web *node_web_new(const struct node_web_settings *set, struct tarn_err *err) TARN_MUST;
/* Connections are cut, jobs waited for. Accepts NULL. */
void node_web_free(struct node_web *w);
/* To listen with, to drain, to count. */
struct http_server *node_web_server(struct node_web *w);

#endif
