/* node/route: what a path of the public door asks for. Pure.
 *
 *     /                                 the public collections
 *     /healthz
 *     /c/NAME/PATH                      a file, or a folder when PATH is empty or ends in '/'
 *     /c/NAME.torrent .magnet .meta4 .sha256, and behind a file's path: a sibling, unless there is
 *                                       a collection or a file of that very name
 *     /root/<64 hex>-<length>           a file by its identity
 *
 * Which names there are is the catalog's affair: a route says what was written. */
#ifndef NODE_ROUTE_H
#define NODE_ROUTE_H

#include "base/attr.h"
#include "base/bytes.h"

enum node_route_kind {
    NODE_ROUTE_NONE, /* 404 */
    NODE_ROUTE_INDEX,
    NODE_ROUTE_HEALTH,
    NODE_ROUTE_COLLECTION, /* /c/NAME, without a '/': the collection itself */
    NODE_ROUTE_PATH,       /* something in a collection */
    NODE_ROUTE_ROOT,
};

enum node_sibling { NODE_NO_SIBLING, NODE_TORRENT, NODE_MAGNET, NODE_META4, NODE_SHA256 };

struct node_route {
    enum node_route_kind kind;
    struct tarn_bytes collection; /* both borrowed from the decoded path */
    struct tarn_bytes path;       /* below the collection; no '/' at either end */
    bool is_folder;               /* written with a '/' behind it, or the collection's top */
    uint8_t root[32];             /* NODE_ROUTE_ROOT */
    uint64_t len;
};

/* path: decoded, dot segments removed, beginning with '/'. */
void node_route(struct node_route *r, struct tarn_bytes path);

/* The sibling that a name asks for by how it ends; *stem is the name without that. */
enum node_sibling node_sibling_of(struct tarn_bytes name, struct tarn_bytes *stem);

/* ".pad/N": a file of N zeros, which torrents with v1 hashes have between files (BEP 47). False: it
 * is none. */
bool node_padding(struct tarn_bytes path, uint64_t *len) TARN_MUST;

/* What the query asks for besides. */
struct node_query {
    enum node_sibling as;    /* ?as=torrent|magnet|meta4|sha256 */
    bool as_json, as_list;   /* ?as=json, ?as=list: of a folder, also where it has an index.html */
    bool wants_proof;        /* ?proof */
    bool is_bad;             /* ?as=something else */
    bool is_plain;           /* nothing of all this */
    struct tarn_bytes after; /* ?after=NAME: of a listing; still escaped, borrowed from the query */
};
void node_query(struct node_query *q, struct tarn_bytes query);

/* "torrent" and so on; the word of a URL. */
const char *node_sibling_word(enum node_sibling s);

#endif
