/* node/listing: what a folder holds, as a page for people or JSON for programs. Pure.
 *
 * Written row by row into the caller's buffer, a bounded number of rows at a time; what follows is
 * reached by a link. */
#ifndef NODE_LISTING_H
#define NODE_LISTING_H

#include "base/out.h"
#include "codec/json.h"

enum { NODE_LISTING_ROWS = 1000 }; /* on one page */

enum node_row_kind { NODE_ROW_FOLDER, NODE_ROW_FILE, NODE_ROW_COLLECTION };

struct node_row {
    enum node_row_kind kind;
    struct tarn_bytes name;
    uint64_t size;       /* of a file, or of all files of a collection */
    uint64_t files;      /* of a collection */
    int64_t mtime_ns;    /* since 1970; 0: not said */
    const uint8_t *root; /* of a file that can be served and is not empty; else NULL */
    const char *state;   /* why it cannot be served: "hashing", "missing"; NULL: it can */
    bool has_torrent;    /* of a collection, or its files */
};

struct node_listing {
    struct tarn_out *out; /* borrowed */
    struct json json;
    bool as_json;
};

struct node_listing_head {
    struct tarn_bytes collection; /* empty: this is the list of collections */
    struct tarn_bytes path;       /* of the folder below the collection, "" for its top */
    bool has_torrent;
};

void node_listing_begin(struct node_listing *l, struct tarn_out *o, bool as_json,
                        const struct node_listing_head *head);
void node_listing_row(struct node_listing *l, const struct node_row *r);
/* next: the last name on this page when there are more, else empty. */
void node_listing_end(struct node_listing *l, struct tarn_bytes next);

#endif
