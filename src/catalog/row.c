/* catalog/row: records to bytes and back. Fields follow each other, big-endian; what grows with
 * time gets another version byte. */
#include "catalog/row.h"

#include "base/cur.h"

const char *const catalog_tables[CATALOG_TABLES] = {
    "fixed",  "collections", "names", "entries", "parents",  "identities", "places",
    "inodes", "waiting",     "gone",  "journal", "versions", "given",      "v1",
};

static bool bad(struct tarn_err *err, const char *what)
{
    return tarn_fail(err, TARN_E_INTEGRITY,
                     "a record of the index cannot be read (%s): it is damaged, or of another "
                     "version; move it away and publish again",
                     what);
}

/* The version byte is checked here; the end by tarn_cur_done. */
static struct tarn_cur begin(struct tarn_bytes b)
{
    struct tarn_cur c = tarn_cur_of(b);
    if (tarn_cur_u8(&c) != ROW_VERSION)
        c.bad = true;
    return c;
}

/* One of an enumeration whose last is this: names of them are looked up by their number. */
static unsigned take_one_of(struct tarn_cur *c, unsigned last)
{
    unsigned n = tarn_cur_u8(c);
    if (n > last)
        c->bad = true;
    return n;
}

static void take_to(struct tarn_cur *c, void *to, size_t len)
{
    struct tarn_bytes b = tarn_cur_take(c, len);
    if (b.len == len)
        memcpy(to, b.p, len);
}

/* --- the head --- */

void row_put_head(struct tarn_out *o, const struct row_head *h)
{
    tarn_out_u8(o, ROW_VERSION);
    tarn_out_be64(o, h->next_entry);
    tarn_out_be32(o, h->next_collection);
    tarn_out_be64(o, h->seq);
    tarn_out_be64(o, h->oldest);
    tarn_out_be64(o, h->totals.collections);
    tarn_out_be64(o, h->totals.files);
    tarn_out_be64(o, h->totals.bytes_published);
    tarn_out_be64(o, h->totals.identities);
    tarn_out_be64(o, h->totals.bytes_stored);
    tarn_out_be64(o, h->totals.waiting);
    tarn_out_be64(o, h->totals.waiting_bytes);
}

bool row_take_head(struct tarn_bytes b, struct row_head *h, struct tarn_err *err)
{
    struct tarn_cur c = begin(b);
    *h = (struct row_head){ .next_entry = tarn_cur_be64(&c) };
    h->next_collection = tarn_cur_be32(&c);
    h->seq = tarn_cur_be64(&c);
    h->oldest = tarn_cur_be64(&c);
    h->totals.collections = tarn_cur_be64(&c);
    h->totals.files = tarn_cur_be64(&c);
    h->totals.bytes_published = tarn_cur_be64(&c);
    h->totals.identities = tarn_cur_be64(&c);
    h->totals.bytes_stored = tarn_cur_be64(&c);
    h->totals.waiting = tarn_cur_be64(&c);
    h->totals.waiting_bytes = tarn_cur_be64(&c);
    return tarn_cur_done(&c) || bad(err, "counters");
}

/* --- collections --- */

enum { HAS_HTTP = 1, HAS_HIDDEN = 2, HAS_LINKS = 4, IS_LISTED = 8 };

void row_put_collection(struct tarn_out *o, const struct row_collection *r)
{
    const struct catalog_collection *c = &r->c;
    tarn_out_u8(o, ROW_VERSION);
    tarn_out_be64(o, c->folder);
    tarn_out_u8(o, (uint8_t)c->policy);
    tarn_out_u8(o, (uint8_t)c->bt);
    tarn_out_u8(o, (uint8_t)c->origin);
    tarn_out_u8(o, (uint8_t)c->phase);
    tarn_out_u8(o, (uint8_t)((c->http ? HAS_HTTP : 0) | (c->hidden ? HAS_HIDDEN : 0) |
                             (c->links ? HAS_LINKS : 0) | (r->is_listed ? IS_LISTED : 0)));
    tarn_out_be32(o, c->piece_len);
    const uint64_t numbers[] = {
        c->version, c->files,         c->bytes,           c->held_files,      c->held_bytes,
        c->refused, c->skipped_links, c->skipped_special, c->skipped_hidden,  (uint64_t)c->added_ms,
        r->waiting, r->missing,       r->edits,           r->edits_versioned, r->added,
        r->removed, r->replaced,      r->moved,           r->root_ino
    };
    for (size_t i = 0; i < TARN_COUNT_OF(numbers); i++)
        tarn_out_be64(o, numbers[i]);
    tarn_out_put(o, tarn_bytes_of(c->digest, sizeof c->digest));
    tarn_out_be16(o, (uint16_t)c->name.len);
    tarn_out_put(o, c->name);
    tarn_out_be16(o, (uint16_t)c->path.len);
    tarn_out_put(o, c->path);
}

static struct tarn_bytes take_text(struct tarn_cur *c, char *to, size_t max)
{
    struct tarn_bytes text = tarn_cur_take(c, tarn_cur_be16(c));
    if (text.len > max) {
        c->bad = true;
        text.len = 0;
    }
    if (text.len > 0)
        memcpy(to, text.p, text.len);
    to[text.len] = 0;
    return tarn_bytes_of(to, text.len);
}

bool row_take_collection(struct tarn_bytes b, uint32_t id, struct row_collection *r,
                         struct tarn_err *err)
{
    struct tarn_cur c = begin(b);
    struct catalog_collection *to = &r->c;
    *to = (struct catalog_collection){ .id = id };
    to->folder = tarn_cur_be64(&c);
    to->policy = (enum catalog_policy)take_one_of(&c, CATALOG_MINE);
    to->bt = (enum catalog_bt)take_one_of(&c, CATALOG_BT_HYBRID);
    to->origin = (enum catalog_origin)take_one_of(&c, CATALOG_CONFIGURED);
    to->phase = (enum catalog_phase)take_one_of(&c, CATALOG_AWAY);
    unsigned flags = tarn_cur_u8(&c);
    to->http = (flags & HAS_HTTP) != 0;
    to->hidden = (flags & HAS_HIDDEN) != 0;
    to->links = (flags & HAS_LINKS) != 0;
    r->is_listed = (flags & IS_LISTED) != 0;
    to->piece_len = tarn_cur_be32(&c);
    uint64_t added_ms;
    uint64_t *const numbers[] = { &to->version,       &to->files,           &to->bytes,
                                  &to->held_files,    &to->held_bytes,      &to->refused,
                                  &to->skipped_links, &to->skipped_special, &to->skipped_hidden,
                                  &added_ms,          &r->waiting,          &r->missing,
                                  &r->edits,          &r->edits_versioned,  &r->added,
                                  &r->removed,        &r->replaced,         &r->moved,
                                  &r->root_ino };
    for (size_t i = 0; i < TARN_COUNT_OF(numbers); i++)
        *numbers[i] = tarn_cur_be64(&c);
    to->added_ms = (int64_t)added_ms;
    take_to(&c, to->digest, sizeof to->digest);
    to->name = take_text(&c, r->name, CATALOG_NAME_MAX);
    to->path = take_text(&c, r->path, CATALOG_PATH_MAX);
    if (!tarn_cur_done(&c))
        return bad(err, "a collection");
    if (to->phase != CATALOG_AWAY) /* the others follow from the counters */
        to->phase = !r->is_listed                      ? CATALOG_LISTING
                    : r->waiting > 0 || r->missing > 0 ? CATALOG_READING
                                                       : CATALOG_COMPLETE;
    return true;
}

/* --- entries --- */

enum { HAS_IDENTITY = 1, IS_LINK = 2, IS_CLOSED = 4, WANTS_V1 = 8, HAS_LOST = 16 };

static void put_identity(struct tarn_out *o, const struct catalog_identity *id)
{
    tarn_out_put(o, tarn_bytes_of(id->root, sizeof id->root));
    tarn_out_be64(o, id->len);
}

static void take_identity(struct tarn_cur *c, struct catalog_identity *id)
{
    take_to(c, id->root, sizeof id->root);
    id->len = tarn_cur_be64(c);
}

static void put_stat(struct tarn_out *o, const struct sys_stat *s)
{
    const uint64_t numbers[] = {
        s->size, (uint64_t)s->mtime_ns, (uint64_t)s->ctime_ns, s->dev, s->ino, (uint64_t)s->born_ns,
        s->links
    };
    for (size_t i = 0; i < TARN_COUNT_OF(numbers); i++)
        tarn_out_be64(o, numbers[i]);
    tarn_out_be32(o, s->owner);
    tarn_out_be32(o, s->group);
    tarn_out_be16(o, (uint16_t)s->mode);
}

static void take_stat(struct tarn_cur *c, enum catalog_kind kind, struct sys_stat *s)
{
    *s = (struct sys_stat){ .kind = kind == CATALOG_FOLDER ? SYS_FOLDER : SYS_REGULAR };
    s->size = tarn_cur_be64(c);
    s->mtime_ns = (int64_t)tarn_cur_be64(c);
    s->ctime_ns = (int64_t)tarn_cur_be64(c);
    s->dev = tarn_cur_be64(c);
    s->ino = tarn_cur_be64(c);
    s->born_ns = (int64_t)tarn_cur_be64(c);
    s->links = tarn_cur_be64(c);
    s->owner = tarn_cur_be32(c);
    s->group = tarn_cur_be32(c);
    s->mode = tarn_cur_be16(c);
    s->is_executable = (s->mode & 0100) != 0;
}

void row_put_entry(struct tarn_out *o, const struct row_entry *r)
{
    const struct catalog_entry *e = &r->e;
    tarn_out_u8(o, ROW_VERSION);
    tarn_out_be64(o, e->id);
    tarn_out_be32(o, e->collection);
    tarn_out_u8(o, (uint8_t)e->kind);
    tarn_out_u8(o, (uint8_t)e->state);
    tarn_out_u8(o, (uint8_t)((e->has_identity ? HAS_IDENTITY : 0) | (e->is_link ? IS_LINK : 0) |
                             (r->is_closed ? IS_CLOSED : 0) | (r->wants_v1 ? WANTS_V1 : 0) |
                             (r->has_lost ? HAS_LOST : 0)));
    put_stat(o, &e->stat);
    tarn_out_be64(o, (uint64_t)r->seen_ms);
    if (e->has_identity)
        put_identity(o, &e->identity);
    tarn_out_put(o, e->reason);
}

/* What only the room itself must know of an entry. */
struct inner {
    bool is_closed, wants_v1, has_lost;
    int64_t seen_ms;
};

static bool view_entry(struct tarn_bytes key, struct tarn_bytes b, struct catalog_entry *e,
                       struct inner *in, struct tarn_err *err)
{
    struct tarn_cur c = begin(b), k = tarn_cur_of(key);
    *e = (struct catalog_entry){ .id = tarn_cur_be64(&c), .parent = tarn_cur_be64(&k) };
    e->name = tarn_cur_rest(&k);
    e->collection = tarn_cur_be32(&c);
    e->kind = (enum catalog_kind)take_one_of(&c, CATALOG_FOLDER);
    e->state = (enum catalog_state)take_one_of(&c, CATALOG_DAMAGED);
    unsigned flags = tarn_cur_u8(&c);
    e->has_identity = (flags & HAS_IDENTITY) != 0;
    e->is_link = (flags & IS_LINK) != 0;
    in->is_closed = (flags & IS_CLOSED) != 0;
    in->wants_v1 = (flags & WANTS_V1) != 0;
    in->has_lost = (flags & HAS_LOST) != 0;
    take_stat(&c, e->kind, &e->stat);
    in->seen_ms = (int64_t)tarn_cur_be64(&c);
    if (e->has_identity)
        take_identity(&c, &e->identity);
    e->reason = tarn_cur_rest(&c);
    if (c.bad || k.bad || e->name.len > CATALOG_NAME_MAX || e->reason.len > ROW_REASON_MAX)
        return bad(err, "an entry");
    return true;
}

bool row_view_entry(struct tarn_bytes key, struct tarn_bytes b, struct catalog_entry *e,
                    struct tarn_err *err)
{
    struct inner in;
    return view_entry(key, b, e, &in, err);
}

/* Name and reason into the row itself. */
static void own(struct row_entry *r)
{
    if (r->e.name.len > 0)
        memmove(r->name, r->e.name.p, r->e.name.len);
    if (r->e.reason.len > 0)
        memmove(r->reason, r->e.reason.p, r->e.reason.len);
    r->e.name.p = r->name;
    r->e.reason.p = (const uint8_t *)r->reason;
}

bool row_take_entry(struct tarn_bytes key, struct tarn_bytes b, struct row_entry *r,
                    struct tarn_err *err)
{
    struct inner in;
    if (!view_entry(key, b, &r->e, &in, err))
        return false;
    r->is_closed = in.is_closed;
    r->wants_v1 = in.wants_v1;
    r->has_lost = in.has_lost;
    r->seen_ms = in.seen_ms;
    own(r);
    return true;
}

void row_copy_entry(struct row_entry *to, const struct row_entry *from)
{
    to->e = from->e;
    to->is_closed = from->is_closed;
    to->wants_v1 = from->wants_v1;
    to->has_lost = from->has_lost;
    to->seen_ms = from->seen_ms;
    own(to);
}

/* --- identities --- */

static void put_run(struct tarn_out *o, struct catalog_run run)
{
    tarn_out_be64(o, run.off);
    tarn_out_be64(o, run.len);
}

static struct catalog_run take_run(struct tarn_cur *c)
{
    uint64_t off = tarn_cur_be64(c);
    return (struct catalog_run){ off, tarn_cur_be64(c) };
}

static void put_pieces(struct tarn_out *o, const struct catalog_known *k)
{
    put_run(o, k->pieces);
    tarn_out_u8(o, k->has_tail);
    tarn_out_put(o, tarn_bytes_of(k->tail, sizeof k->tail));
    tarn_out_put(o, tarn_bytes_of(k->tail_padded, sizeof k->tail_padded));
}

static void take_pieces(struct tarn_cur *c, struct catalog_known *k)
{
    k->pieces = take_run(c);
    k->has_tail = tarn_cur_u8(c) != 0;
    take_to(c, k->tail, sizeof k->tail);
    take_to(c, k->tail_padded, sizeof k->tail_padded);
}

void row_put_known(struct tarn_out *o, const struct row_known *r)
{
    const struct catalog_known *k = &r->k;
    tarn_out_u8(o, ROW_VERSION);
    tarn_out_be64(o, r->places);
    tarn_out_put(o, tarn_bytes_of(k->sha256, sizeof k->sha256));
    put_run(o, k->leaves);
    tarn_out_be32(o, k->v1_piece_len);
    put_pieces(o, k);
}

bool row_take_known(struct tarn_bytes b, struct row_known *r, struct tarn_err *err)
{
    struct tarn_cur c = begin(b);
    *r = (struct row_known){ .places = tarn_cur_be64(&c) };
    take_to(&c, r->k.sha256, sizeof r->k.sha256);
    r->k.leaves = take_run(&c);
    r->k.v1_piece_len = tarn_cur_be32(&c);
    take_pieces(&c, &r->k);
    return tarn_cur_done(&c) || bad(err, "an identity");
}

void row_put_v1(struct tarn_out *o, const struct catalog_known *k)
{
    tarn_out_u8(o, ROW_VERSION);
    put_pieces(o, k);
}

bool row_take_v1(struct tarn_bytes b, uint32_t piece_len, struct catalog_known *k,
                 struct tarn_err *err)
{
    struct tarn_cur c = begin(b);
    k->v1_piece_len = piece_len;
    take_pieces(&c, k);
    return tarn_cur_done(&c) || bad(err, "v1 pieces");
}

void row_copy_v1(struct catalog_known *to, const struct catalog_known *from)
{
    struct catalog_known copy = *from;
    memcpy(copy.sha256, to->sha256, sizeof copy.sha256);
    copy.leaves = to->leaves;
    *to = copy;
}

/* --- the journal --- */

void row_put_change(struct tarn_out *o, const struct catalog_change *c)
{
    tarn_out_u8(o, ROW_VERSION);
    tarn_out_be64(o, (uint64_t)c->at_ms);
    tarn_out_u8(o, (uint8_t)c->event);
    tarn_out_be32(o, c->collection);
    tarn_out_be64(o, c->entry);
    tarn_out_u8(o, c->has_identity);
    put_identity(o, &c->identity);
    tarn_out_be64(o, c->number);
    tarn_out_be16(o, (uint16_t)c->name.len);
    tarn_out_put(o, c->name);
    tarn_out_be16(o, (uint16_t)c->path.len);
    tarn_out_put(o, c->path);
    tarn_out_put(o, c->other);
}

bool row_take_change(uint64_t seq, struct tarn_bytes b, struct catalog_change *to,
                     struct tarn_err *err)
{
    struct tarn_cur c = begin(b);
    *to = (struct catalog_change){ .seq = seq, .at_ms = (int64_t)tarn_cur_be64(&c) };
    to->event = (enum catalog_event)take_one_of(&c, CATALOG_E_NOTE);
    to->collection = tarn_cur_be32(&c);
    to->entry = tarn_cur_be64(&c);
    to->has_identity = tarn_cur_u8(&c) != 0;
    take_identity(&c, &to->identity);
    to->number = tarn_cur_be64(&c);
    to->name = tarn_cur_take(&c, tarn_cur_be16(&c));
    to->path = tarn_cur_take(&c, tarn_cur_be16(&c));
    to->other = tarn_cur_rest(&c);
    return !c.bad || bad(err, "a change");
}

/* --- versions --- */

void row_put_version(struct tarn_out *o, const struct catalog_version *v)
{
    const uint64_t numbers[] = { (uint64_t)v->at_ms, v->files,    v->bytes, v->added,
                                 v->removed,         v->replaced, v->moved };
    tarn_out_u8(o, ROW_VERSION);
    for (size_t i = 0; i < TARN_COUNT_OF(numbers); i++)
        tarn_out_be64(o, numbers[i]);
    tarn_out_put(o, tarn_bytes_of(v->digest, sizeof v->digest));
}

bool row_take_version(uint64_t number, struct tarn_bytes b, struct catalog_version *v,
                      struct tarn_err *err)
{
    struct tarn_cur c = begin(b);
    *v = (struct catalog_version){ .number = number, .at_ms = (int64_t)tarn_cur_be64(&c) };
    v->files = tarn_cur_be64(&c);
    v->bytes = tarn_cur_be64(&c);
    v->added = tarn_cur_be64(&c);
    v->removed = tarn_cur_be64(&c);
    v->replaced = tarn_cur_be64(&c);
    v->moved = tarn_cur_be64(&c);
    take_to(&c, v->digest, sizeof v->digest);
    return tarn_cur_done(&c) || bad(err, "a version");
}

/* --- keys --- */

void row_key_entry(struct kv_key *k, uint64_t parent, struct tarn_bytes name)
{
    k->len = 0;
    kv_key_be64(k, parent);
    kv_key_put(k, name);
}

void row_key_identity(struct kv_key *k, const struct catalog_identity *id)
{
    k->len = 0;
    kv_key_put(k, tarn_bytes_of(id->root, sizeof id->root));
    kv_key_be64(k, id->len);
}

bool row_same_identity(const struct catalog_identity *a, const struct catalog_identity *b)
{
    return a->len == b->len && memcmp(a->root, b->root, sizeof a->root) == 0;
}
