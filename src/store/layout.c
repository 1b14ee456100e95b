/* store/layout: see the header. Files do not overlap, so their ends are sorted as their starts are,
 * and a place in the address space is found by halving. */
#include "store/layout.h"

#include "base/mem.h"
#include "base/num.h"

/* The first file that ends after `at`; n_files when none does. */
static uint32_t first_after(const struct store_layout *l, uint64_t at)
{
    uint32_t low = 0, high = l->n_files;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (l->files[middle].off + l->files[middle].len > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void store_walk_begin(struct store_walk *w, const struct store_layout *l, uint64_t off,
                      uint64_t len)
{
    *w = (struct store_walk){
        .layout = l, .at = off, .end = off + len, .file = first_after(l, off)
    };
}

bool store_walk_next(struct store_walk *w, struct store_part *part)
{
    const struct store_layout *l = w->layout;
    if (w->at >= w->end)
        return false;
    while (w->file < l->n_files && l->files[w->file].off + l->files[w->file].len <= w->at)
        w->file++; /* done with, or empty */
    const struct store_file *f = w->file < l->n_files ? &l->files[w->file] : NULL;
    uint64_t end;
    if (f == NULL || f->off > w->at) { /* a gap */
        end = f == NULL ? w->end : tarn_min_u64(f->off, w->end);
        *part = (struct store_part){ .file = STORE_NO_FILE, .len = end - w->at };
    } else {
        end = tarn_min_u64(f->off + f->len, w->end);
        *part = (struct store_part){ .file = f->is_pad ? STORE_NO_FILE : w->file,
                                     .off = w->at - f->off,
                                     .len = end - w->at };
    }
    w->at = end;
    return true;
}

uint32_t store_piece_own_file(const struct store_layout *l, uint32_t piece, uint32_t *len)
{
    uint64_t at = (uint64_t)piece * l->piece_len;
    uint32_t i = first_after(l, at);
    *len = 0;
    if (i == l->n_files || l->files[i].is_pad || l->files[i].off > at)
        return STORE_NO_FILE;
    const struct store_file *f = &l->files[i];
    *len = (uint32_t)tarn_min_u64(f->off + f->len - at, l->piece_len);
    return i;
}

bool store_file_pieces(const struct store_layout *l, uint32_t file, uint32_t *first, uint32_t *last)
{
    const struct store_file *f = &l->files[file];
    if (f->len == 0)
        return false;
    *first = (uint32_t)(f->off / l->piece_len);
    *last = (uint32_t)((f->off + f->len - 1) / l->piece_len);
    return true;
}

void store_layout_release(struct store_layout *l)
{
    tarn_free(l->files);
    *l = (struct store_layout){ 0 };
}
