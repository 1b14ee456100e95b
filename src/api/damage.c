/* api/damage: see the header. One range is held back until the next one shows whether they join. */
#include "api/damage.h"

#include "api/priv.h"
#include "base/num.h"

#include <stdlib.h>

struct teller {
    struct api_check *k;
    uint32_t file;  /* index as of tarn_torrent_file */
    uint32_t index; /* of the same file in meta and layout */
    size_t next;    /* stretch that has not been passed */
    bool is_bad;    /* anything was told about this file */
    bool has_held;
    struct tarn_damaged held;
};

static void flush(struct teller *t)
{
    const struct tarn_verify *v = t->k->v;
    if (t->has_held && v->on_damaged != NULL)
        v->on_damaged(v->arg, &t->held);
    t->has_held = false;
}

static bool joins(const struct tarn_damaged *a, const struct tarn_damaged *b)
{
    bool same_why =
        a->why == b->why || (a->why != NULL && b->why != NULL && strcmp(a->why, b->why) == 0);
    return a->kind == b->kind && a->is_exact == b->is_exact && same_why &&
           a->offset + a->length == b->offset;
}

static void tell(struct teller *t, struct tarn_damaged d)
{
    t->is_bad = true;
    d.file = t->file;
    if (t->has_held && joins(&t->held, &d)) {
        t->held.length += d.length;
        return;
    }
    flush(t);
    t->held = d;
    t->has_held = true;
}

/* The part of a file that lies in a piece. */
static struct tarn_damaged part_of(const struct teller *t, uint32_t piece)
{
    const struct store_file *f = &t->k->layout.files[t->index];
    uint64_t at = (uint64_t)piece * t->k->layout.piece_len;
    uint64_t from = tarn_max_u64(at, f->off);
    uint64_t to = tarn_min_u64(at + t->k->layout.piece_len, f->off + f->len);
    return (struct tarn_damaged){ .offset = from - f->off, .length = to - from, .piece = piece };
}

/* The first stretch of a piece; all are sorted by piece. */
static const struct api_stretch *stretch_of(struct teller *t, uint32_t piece)
{
    const struct api_check *k = t->k;
    while (t->next < k->n_stretches && k->stretches[t->next].piece < piece)
        t->next++;
    return t->next < k->n_stretches && k->stretches[t->next].piece == piece ? &k->stretches[t->next]
                                                                            : NULL;
}

static void tell_blocks(struct teller *t, uint32_t piece)
{
    const struct api_check *k = t->k;
    const struct api_stretch *s = stretch_of(t, piece);
    for (; s != NULL && s < k->stretches + k->n_stretches && s->piece == piece; s++)
        if (s->file == t->index)
            tell(t, (struct tarn_damaged){ .kind = TARN_DAMAGE_BAD,
                                           .offset = s->off,
                                           .length = s->len,
                                           .piece = piece,
                                           .is_exact = true });
}

/* size: what is there of the file. */
static void tell_piece(struct teller *t, uint32_t piece, uint64_t size)
{
    struct tarn_damaged d = part_of(t, piece);
    switch ((enum api_piece)t->k->pieces[piece]) {
    case API_PIECE_BAD:
        d.kind = TARN_DAMAGE_BAD;
        d.is_exact = t->k->layout.piece_len <= BT_BLOCK;
        tell(t, d);
        break;
    case API_PIECE_BLOCKS:
        tell_blocks(t, piece);
        break;
    case API_PIECE_UNREAD: {
        const struct api_stretch *s = stretch_of(t, piece);
        d.kind = TARN_DAMAGE_UNSURE;
        if (s != NULL && s->file == t->index) {
            d.kind = TARN_DAMAGE_UNREADABLE;
            d.why = s->why == NULL ? "out of memory" : s->why;
        }
        tell(t, d);
        break;
    }
    case API_PIECE_NEW:
    case API_PIECE_GONE: /* what is there of it cannot be judged without the rest */
        d.kind = TARN_DAMAGE_UNSURE;
        if (d.offset < size) {
            d.length = tarn_min_u64(d.length, size - d.offset);
            tell(t, d);
        }
        break;
    case API_PIECE_GOOD:
        break;
    }
}

static void tell_pieces(struct teller *t, uint64_t size)
{
    uint32_t first, last;
    if (!store_file_pieces(&t->k->layout, t->index, &first, &last))
        return;
    for (uint32_t i = first; i <= last; i++)
        tell_piece(t, i, size);
}

static void tell_size(struct teller *t, uint64_t size, uint64_t len)
{
    if (size < len)
        tell(t, (struct tarn_damaged){ .kind = TARN_DAMAGE_SHORT,
                                       .offset = size,
                                       .length = len - size,
                                       .is_exact = true });
    if (size > len)
        tell(t,
             (struct tarn_damaged){
                 .kind = TARN_DAMAGE_LONG, .offset = len, .length = size - len, .is_exact = true });
}

static void tell_file(struct teller *t)
{
    struct api_check *k = t->k;
    uint64_t len = k->layout.files[t->index].len;
    struct sys_stat st;
    struct tarn_err err;
    k->n_with_bytes += len > 0;
    if (!store_tree_stat(k->tree, t->index, &st, &err)) {
        bool is_missing = err.code == TARN_E_NOT_FOUND;
        k->n_missing += is_missing && len > 0;
        tell(t, (struct tarn_damaged){ .kind = is_missing ? TARN_DAMAGE_MISSING
                                                          : TARN_DAMAGE_UNREADABLE,
                                       .length = len,
                                       .is_exact = true,
                                       .why = is_missing ? NULL : err.msg });
    } else if (st.kind != SYS_REGULAR) {
        tell(t, (struct tarn_damaged){ .kind = TARN_DAMAGE_UNREADABLE,
                                       .length = len,
                                       .is_exact = true,
                                       .why = "not a regular file" });
    } else {
        tell_pieces(t, st.size);
        tell_size(t, st.size, len);
    }
    flush(t);
}

static uint64_t payload_of(const struct store_layout *l, uint32_t piece)
{
    struct store_walk w;
    struct store_part part;
    uint64_t sum = 0;
    store_walk_begin(&w, l, (uint64_t)piece * l->piece_len, store_piece_len(l, piece));
    while (store_walk_next(&w, &part))
        sum += part.file == STORE_NO_FILE ? 0 : part.len;
    return sum;
}

static int by_place(const void *a, const void *b)
{
    const struct api_stretch *x = a, *y = b;
    if (x->piece != y->piece)
        return x->piece < y->piece ? -1 : 1;
    return x->off < y->off ? -1 : x->off > y->off;
}

void api_damage_tell(struct api_check *k, struct tarn_verified *r)
{
    const struct tarn_torrent *torrent = k->v->torrent;
    if (k->n_stretches > 0)
        qsort(k->stretches, k->n_stretches, sizeof *k->stretches, by_place);
    struct teller t = { .k = k };
    for (t.file = 0; t.file < torrent->info.n_files; t.file++) {
        t.index = torrent->real[t.file];
        t.is_bad = false;
        if (k->meta->files[t.index].symlink_target != NULL)
            continue; /* holds nothing that hashes vouch for */
        tell_file(&t);
        r->files_bad += t.is_bad;
        r->files_good += !t.is_bad;
    }
    for (uint32_t i = 0; i < k->meta->n_pieces; i++) {
        bool is_good = k->pieces[i] == API_PIECE_GOOD;
        r->pieces_good += is_good;
        r->pieces_bad += !is_good;
        r->bytes_good += is_good ? payload_of(&k->layout, i) : 0;
    }
}
