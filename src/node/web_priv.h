/* node/web_priv: the public door: published files, their folders, their siblings.
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
 * Files that were asked for lately stay open (WEB_PAGES of them, on each loop), so that the next
 * answer needs no disk and no thread. What has to be looked for is a job on the loop's pool. */
#ifndef NODE_WEB_PRIV_H
#define NODE_WEB_PRIV_H

#include "base/map.h"
#include "http/core/accept.h"
#include "http/core/range.h"
#include "http/exchange.h"
#include "loop/pool.h"
#include "node/parts.h"
#include "node/route.h"

enum {
    WEB_PAGES = 256, /* kept open, each with up to four codings */
    WEB_JOBS = 512,  /* requests that wait for the pool at a time; more are answered by 503 */
    WEB_LINE = 128,  /* of these heavy ones, so that they never take all places */
    WEB_MAYBE = 256, /* and of those that may turn out to be heavy */
    WEB_ID_TEXT = 64 + 1 + 20, /* <64 hex>-<length> */
    WEB_CODINGS = 4,
    WEB_PATH_MAX = 8 << 10,  /* of a request, unescaped */
    WEB_SHORT_MAX = 4 << 10, /* files up to here are kept in memory as long as they are kept open */
};

/* One representation of a file: itself, or a precompressed sibling. */
struct web_file {
    enum http_coding coding;
    struct sys_file *file; /* counted */
    uint8_t *bytes;        /* owned: what is in it, when it is short; else NULL */
    uint64_t entry;
    struct catalog_identity id;
    char etag[WEB_ID_TEXT + 3];
    int64_t modified_s;
};

/* A path that leads to a file, looked up: counted, so that a body under way outlives its place in
 * the cache. All on the loop's thread once it is made. */
struct web_page {
    struct tarn_list node;
    struct catalog *catalog;
    char *path; /* owned: the key */
    unsigned refs;
    bool is_kept;         /* in the cache */
    bool is_by_id;        /* asked for by identity: it never changes */
    _Atomic uint64_t seq; /* the catalog's number when it was last known to be right */
    const char *type;
    unsigned n;
    struct web_file files[WEB_CODINGS];
};
void web_page_unref(struct web_page *p); /* accepts NULL */

/* The door on one loop: node_web's own. All on that loop's thread. */
struct web_door {
    struct node_web *web; /* borrowed: its loop, server and configuration */
    struct catalog *catalog;
    char *policy; /* owned: Content-Security-Policy of our own pages */
    struct tarn_map pages;
    struct tarn_list latest; /* web_page, the latest used at the end */
    size_t n_pages;
    struct tarn_list jobs; /* web_job: on the pool, and of these one heavy one at most */
    struct tarn_list line; /* web_job: heavy ones that wait for it */
    bool is_heavy_out;
    size_t n_jobs, n_heavy, n_maybe; /* on the pool and in line; of these heavy ones, and such as
                                        may become so */
};

/* What a job has found out: how to answer. */
enum web_found {
    WEB_REFUSE, /* status, detail */
    WEB_PAGE,
    WEB_BYTES,    /* 200, body */
    WEB_REDIRECT, /* 301, body is the place */
    WEB_ZEROS,    /* so many of them */
    WEB_HEAVY,    /* nothing yet: to be looked for once more, when it is its turn */
};

struct web_job {
    struct loop_job job;
    struct tarn_list node;
    struct web_door *door;
    struct http_exchange *x; /* NULL: the client has gone */
    /* In. */
    struct tarn_out path; /* unescaped, with a NUL behind */
    struct node_route route;
    struct node_query query;
    struct tarn_out query_text;
    bool wants_json; /* listings as JSON; by Accept unless was_told */
    bool was_told;
    bool shows_folders; /* http.index, as it was then: a job may not look into a configuration */
    bool is_maybe; /* a proof or a sibling by its name, which a file of the publisher's may have */
    bool is_heavy; /* it is one, has been looked for once, and may cost seconds: one at a time on
                      each loop */
    struct http_range part; /* of a proof */
    /* Out. */
    enum web_found found;
    unsigned status;
    const char *detail; /* static, or in why */
    struct tarn_err why;
    struct web_page *page;
    uint64_t zeros;
    struct tarn_out body;
    const char *type, *cache, *vary; /* static */
    char etag[96];
    struct bt_hashes hashes; /* of a file's own torrent that was handed out; none: none was */
    uint32_t collection;     /* where that file is, and its path: in `path` or route */
    struct tarn_bytes handed;
    struct tarn_out disposition; /* Content-Disposition; empty: none */
};

/* Pool: find out what the route of the job leads to. */
void web_find(struct web_job *j);
void web_list(struct web_job *j, struct catalog_read *r, const struct catalog_collection *in,
              const struct catalog_entry *folder);
void web_list_collections(struct web_job *j, struct catalog_read *r);

void web_sibling_of_file(struct web_job *j, struct catalog_read *r,
                         const struct catalog_collection *in, const struct catalog_entry *e,
                         struct tarn_bytes path, enum node_sibling kind);
void web_sibling_of_collection(struct web_job *j, struct catalog_read *r,
                               const struct catalog_collection *c, enum node_sibling kind);
void web_note_torrent(struct web_job *j); /* when no read is open any more */
void web_proof(struct web_job *j, struct catalog_read *r, const struct catalog_entry *e);

void web_refuse(struct web_job *j, unsigned status, const char *detail);
/* The same for what went wrong below. */
void web_refuse_err(struct web_job *j, const struct tarn_err *err);

/* May this door show the collection at all? Its folder may be away all the same. */
bool web_is_shown(const struct catalog_collection *c);
/* "<64 hex>-<length>" of an identity that is not empty. dst: WEB_ID_TEXT + 1 bytes. */
void web_id_text(char *dst, const struct catalog_identity *id);

#endif
