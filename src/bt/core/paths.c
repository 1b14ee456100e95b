/* bt/core/paths: see the header.
 *
 * Every path that is taken stands in one table: first all folders, so that a file can never keep
 * the place of a folder that another file needs, then the files one by one. A hostile torrent can
 * make this slow in three ways, and each has its bound: files below folders of many elements (a
 * folder shared with the file before is not looked up again, and no path has more than 100
 * elements), equal paths (100 are renamed, each counting on from the last), and links through links
 * (a budget of bytes that may be looked up). */
#include "bt/core/paths.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "bt/core/reading.h"
#include "codec/url.h"

#include <stdio.h>

enum {
    NAME_BYTES_MAX = 255, /* NAME_MAX, with a counter in */
    HOPS_MAX = 40,        /* links that lead to links: what Linux follows */
};

/* Characters that show nothing, or that change the direction of what follows: a name with them can
 * look like another, or hide its extension. */
static bool is_unseen(uint32_t cp)
{
    return cp == 0x61C || (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x2064) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF;
}

static bool is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0);
}

/* A place at most at `most` where no character of s is cut in two. */
static size_t cut_at(const uint8_t *s, size_t most)
{
    while (most > 0 && (s[most] & 0xC0) == 0x80)
        most--;
    return most;
}

/* Cut what stands in o from `start` on to BT_ELEMENT_MAX bytes. */
static void shorten(struct tarn_out *o, size_t start)
{
    size_t len = o->len - start;
    if (len <= BT_ELEMENT_CUT)
        return;
    uint8_t *s = o->p + start;
    size_t dot = len;
    for (size_t i = len; i > len - BT_ELEMENT_EXTENSION && dot == len; i--)
        if (s[i - 1] == '.')
            dot = i - 1;
    size_t head = tarn_min_size(cut_at(s, BT_ELEMENT_CUT), dot);
    memmove(s + head, s + dot, len - dot);
    o->len = start + head + (len - dot);
}

/* As bt_safe_element, but may leave nothing, "." or "..". */
static void clean_element(struct tarn_out *o, struct tarn_bytes element)
{
    size_t start = o->len;
    while (element.len > 0) {
        uint8_t utf8[4];
        uint32_t cp = tarn_utf8_take(&element);
        if (cp == '/' || cp == '\\' || is_unseen(cp))
            continue;
        size_t n = tarn_utf8_put(cp == TARN_UTF8_BAD || is_control(cp) ? '_' : cp, utf8);
        tarn_out_put(o, tarn_bytes_of(utf8, n));
    }
    if (tarn_out_ok(o))
        shorten(o, start);
}

static bool is_no_name(struct tarn_bytes s)
{
    return s.len == 0 || tarn_bytes_eq_str(s, ".") || tarn_bytes_eq_str(s, "..");
}

static struct tarn_bytes text_from(const struct tarn_out *o, size_t start)
{
    return o->len == start ? tarn_bytes_of(NULL, 0) : tarn_bytes_of(o->p + start, o->len - start);
}

void bt_safe_element(struct tarn_out *o, struct tarn_bytes element)
{
    size_t start = o->len;
    clean_element(o, element);
    if (tarn_out_ok(o) && is_no_name(text_from(o, start))) {
        o->len = start;
        tarn_out_u8(o, '_');
    }
}

const char *bt_safe_name(struct tarn_arena *a, struct tarn_bytes name,
                         const struct bt_hashes *hashes)
{
    struct tarn_out o;
    tarn_out_init(&o, name.len + 1);
    clean_element(&o, name);
    char hex[2 * sizeof hashes->v2 + 1];
    struct tarn_bytes safe = tarn_out_bytes(&o);
    if (is_no_name(safe)) {
        struct tarn_bytes hash = hashes->has_v1 ? tarn_bytes_of(hashes->v1, sizeof hashes->v1)
                                                : tarn_bytes_of(hashes->v2, sizeof hashes->v2);
        safe = tarn_bytes_str(tarn_hex(hex, hash));
    }
    const char *kept = tarn_out_ok(&o) ? tarn_arena_strndup(a, safe) : NULL;
    tarn_out_release(&o);
    return kept;
}

void bt_path_init(struct bt_path *p)
{
    *p = (struct bt_path){ .depth = 0 };
    /* one element as long as the whole torrent may stand there for a moment, before it is cut */
    tarn_out_init(&p->text,
                  (size_t)BT_TORRENT_MAX + (BT_PATH_DEPTH_MAX + 2) * (BT_ELEMENT_MAX + 1));
}

void bt_path_release(struct bt_path *p)
{
    tarn_out_release(&p->text);
}

void bt_path_root(struct bt_path *p, const char *name)
{
    p->depth = p->n_odd = 0;
    p->has_root = name[0] != 0;
    p->text.len = 0;
    tarn_out_str(&p->text, name);
}

bool bt_path_push(struct bt_path *p, struct tarn_bytes element)
{
    if (p->depth == BT_PATH_DEPTH_MAX)
        return false;
    p->ends[p->depth] = (uint32_t)p->text.len;
    if (p->text.len > 0)
        tarn_out_u8(&p->text, '/');
    size_t start = p->text.len;
    bt_safe_element(&p->text, element);
    p->raw[p->depth] = element;
    p->is_odd[p->depth] = !tarn_bytes_eq(text_from(&p->text, start), element);
    p->n_odd += p->is_odd[p->depth++];
    return true;
}

void bt_path_pop(struct bt_path *p)
{
    p->text.len = p->ends[--p->depth];
    p->n_odd -= p->is_odd[p->depth];
}

bool bt_path_put_web(const struct bt_path *p, struct tarn_bytes root, struct tarn_out *o)
{
    bool is_possible = !p->has_root || !is_no_name(root);
    size_t len = p->has_root ? root.len : 0;
    for (uint32_t i = 0; i < p->depth; i++)
        len += p->raw[i].len + 1;
    if (len > BT_WEB_PATH_MAX)
        return false;
    if (p->has_root)
        url_escape(o, root);
    for (uint32_t i = 0; i < p->depth; i++) {
        if (i > 0 || p->has_root)
            tarn_out_u8(o, '/');
        url_escape(o, p->raw[i]);
        is_possible = is_possible && !is_no_name(p->raw[i]);
    }
    return is_possible;
}

void bt_path_escape(struct tarn_out *o, struct tarn_bytes path)
{
    while (path.len > 0) {
        const uint8_t *slash = memchr(path.p, '/', path.len);
        size_t n = slash == NULL ? path.len : (size_t)(slash - path.p);
        url_escape(o, tarn_bytes_of(path.p, n));
        if (slash != NULL)
            tarn_out_u8(o, '/');
        n += slash != NULL;
        path = tarn_bytes_of(path.p + n, path.len - n);
    }
}

/* What stands at a path. */
struct place {
    uint32_t file; /* it, or for a folder one of the files in it */
    uint32_t len;  /* of the path, without the torrent's name */
    bool is_folder;
};

static uint64_t pack(struct place at)
{
    return (uint64_t)at.file << 32 | (uint64_t)at.len << 1 | at.is_folder;
}

static struct place unpack(uint64_t v)
{
    return (struct place){ (uint32_t)(v >> 32), (uint32_t)v >> 1, (v & 1) != 0 };
}

enum link_state { LINK_NEW, LINK_BUSY, LINK_GOOD, LINK_BAD };

struct settling {
    struct bt_metainfo *m;
    const struct benc *b;
    struct bt_link *links;
    size_t n_links;
    struct tarn_map taken;   /* path below the name -> struct place */
    struct tarn_map counted; /* a path that was taken -> the last counter used for it */
    uint32_t skip;           /* bytes of the name and its '/' in front of each path */
    uint32_t n_renamed;
    uint64_t budget; /* bytes that following links may still look up */
    bool no_memory;
    struct tarn_err *err;
};

static struct tarn_bytes below_name(const struct settling *s, const char *path)
{
    return tarn_bytes_str(path + s->skip);
}

static bool take_folders(struct settling *s, uint32_t i, struct tarn_bytes before)
{
    struct tarn_bytes path = below_name(s, s->m->files[i].path);
    size_t at = 0;
    while (at < path.len && at < before.len && path.p[at] == before.p[at])
        at++; /* folders in common with the file before stand in the table */
    for (; at < path.len; at++) {
        struct tarn_bytes folder = tarn_bytes_of(path.p, at);
        if (path.p[at] != '/' || tarn_map_get(&s->taken, folder) != NULL)
            continue;
        struct place place = { .file = i, .len = (uint32_t)at, .is_folder = true };
        if (!tarn_map_put(&s->taken, folder, pack(place)))
            return false;
    }
    return true;
}

static bool take_all_folders(struct settling *s)
{
    struct tarn_bytes before = tarn_bytes_of(NULL, 0);
    for (uint32_t i = 0; i < s->m->n_files; i++) {
        if (s->m->files[i].is_pad)
            continue;
        if (!take_folders(s, i, before))
            return tarn_fail_mem(s->err, "listing the torrent's folders");
        before = below_name(s, s->m->files[i].path);
    }
    return true;
}

/* Write "folder/stem.N.extension", its last element not longer than a file system takes. */
static void put_numbered(struct tarn_out *o, struct tarn_bytes path, uint64_t number)
{
    size_t first = path.len; /* of the last element */
    while (first > 0 && path.p[first - 1] != '/')
        first--;
    size_t dot = path.len;
    for (size_t i = path.len; i > first + 1 && dot == path.len; i--)
        if (path.p[i - 1] == '.')
            dot = i - 1;
    if (path.len - dot > NAME_BYTES_MAX / 2)
        dot = path.len; /* hardly an extension: cut from it too */
    char count[24];
    int n = snprintf(count, sizeof count, ".%llu", (unsigned long long)number);
    size_t most = NAME_BYTES_MAX - (size_t)n - (path.len - dot);
    size_t stem = dot - first <= most ? dot - first : cut_at(path.p + first, most);
    tarn_out_put(o, tarn_bytes_of(path.p, first + stem));
    tarn_out_str(o, count);
    tarn_out_put(o, tarn_bytes_of(path.p + dot, path.len - dot));
}

/* The first path made from old that is free, in o. */
static bool find_free(struct settling *s, struct tarn_bytes old, struct tarn_out *o)
{
    const uint64_t *last = tarn_map_get(&s->counted, old);
    uint64_t number = last == NULL ? 0 : *last;
    do {
        tarn_out_clear(o);
        put_numbered(o, old, ++number);
    } while (tarn_out_ok(o) && tarn_map_get(&s->taken, tarn_out_bytes(o)) != NULL);
    return tarn_out_ok(o) && tarn_map_put(&s->counted, old, number);
}

/* Web seeds know it by the path that it cannot have. */
static bool keep_web_path(struct settling *s, struct bt_file *f)
{
    struct tarn_out o;
    if (f->web_path != NULL)
        return true;
    tarn_out_init(&o, 3 * (size_t)BT_TORRENT_MAX);
    bt_path_escape(&o, tarn_bytes_str(f->path));
    f->web_path = tarn_out_ok(&o) ? tarn_arena_strndup(&s->m->arena, tarn_out_bytes(&o)) : NULL;
    tarn_out_release(&o);
    return f->web_path != NULL;
}

/* Give file i, whose path is taken, another one. */
static bool rename_file(struct settling *s, uint32_t i)
{
    struct bt_file *f = &s->m->files[i];
    struct tarn_bytes old = below_name(s, f->path);
    struct tarn_quote q;
    if (++s->n_renamed > BT_RENAMES_MAX)
        return tarn_fail(s->err, TARN_E_FAILED,
                         "more than %d files have a path that another file or folder has "
                         "(the last: '%s')",
                         BT_RENAMES_MAX, tarn_quote(&q, old));
    struct tarn_out free_path;
    tarn_out_init(&free_path, old.len + 32);
    char *path = NULL;
    bool ok = find_free(s, old, &free_path);
    if (ok)
        path = tarn_arena_alloc(&s->m->arena, s->skip + free_path.len + 1, 1);
    if (path != NULL) {
        memcpy(path, f->path, s->skip);
        memcpy(path + s->skip, free_path.p, free_path.len);
        ok = keep_web_path(s, f);
        f->path = path;
    }
    tarn_out_release(&free_path);
    if (!ok)
        return tarn_fail_mem(s->err, "renaming files");
    return path != NULL || bt_fail_arena(&s->m->arena, s->skip + old.len + 32, s->err);
}

static bool take_files(struct settling *s)
{
    for (uint32_t i = 0; i < s->m->n_files; i++) {
        struct bt_file *f = &s->m->files[i];
        if (f->is_pad)
            continue;
        if (tarn_map_get(&s->taken, below_name(s, f->path)) != NULL && !rename_file(s, i))
            return false;
        struct tarn_bytes path = below_name(s, f->path);
        struct place place = { .file = i, .len = (uint32_t)path.len };
        if (!tarn_map_put(&s->taken, path, pack(place)))
            return tarn_fail_mem(s->err, "listing the torrent's files");
    }
    return true;
}

static struct bt_link *link_of(const struct settling *s, uint32_t file)
{
    size_t low = 0, high = s->n_links;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->links[mid].file < file)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->n_links && s->links[low].file == file ? &s->links[low] : NULL;
}

/* Look up a path below the name, paying for it. */
static bool look_up(struct settling *s, struct tarn_bytes path, struct place *at)
{
    if (path.len >= s->budget)
        return false;
    s->budget -= path.len;
    const uint64_t *v = tarn_map_get(&s->taken, path);
    if (v == NULL)
        return false;
    *at = unpack(*v);
    return true;
}

static bool follow(struct settling *s, struct bt_link *l, unsigned hops);

/* Step from a folder into element: *walk is the path so far, without links in it. */
static bool step(struct settling *s, struct bt_path *walk, benc_val element, unsigned hops,
                 struct place *at)
{
    struct tarn_bytes name = benc_str(s->b, element);
    if (!benc_is(s->b, element, BENC_STR) || is_no_name(name) || !bt_path_push(walk, name))
        return false;
    if (!tarn_out_ok(&walk->text)) {
        s->no_memory = true;
        return false;
    }
    if (!look_up(s, tarn_out_bytes(&walk->text), at))
        return false;
    struct bt_link *l = at->is_folder ? NULL : link_of(s, at->file);
    if (l == NULL)
        return true;
    if (!follow(s, l, hops + 1))
        return false;
    *at = (struct place){ l->end_file, l->end_len, l->end_is_folder };
    /* a copy of the path's beginning; how deep it is does not matter any more */
    walk->text.len = 0;
    tarn_out_put(&walk->text, tarn_bytes_of(s->m->files[at->file].path + s->skip, at->len));
    return true;
}

static bool walk_target(struct settling *s, const struct bt_link *l, struct bt_path *walk,
                        unsigned hops, struct place *at)
{
    *at = (struct place){ .is_folder = true };
    benc_val e = benc_first(s->b, l->target);
    if (e == BENC_NONE)
        return false;
    for (; e != BENC_NONE; e = benc_next(s->b, l->target, e))
        if (!at->is_folder || !step(s, walk, e, hops, at))
            return false;
    return true;
}

/* Where a link leads, found once: later links that lead through it need not walk again. */
static bool follow(struct settling *s, struct bt_link *l, unsigned hops)
{
    if (l->state == LINK_NEW && hops <= HOPS_MAX) {
        l->state = LINK_BUSY; /* met again while it is followed, it leads in a circle */
        struct bt_path walk;
        struct place at;
        bt_path_init(&walk);
        bool good = walk_target(s, l, &walk, hops, &at);
        bt_path_release(&walk);
        l->state = good ? LINK_GOOD : LINK_BAD;
        if (good) {
            l->end_file = at.file;
            l->end_len = at.len;
            l->end_is_folder = at.is_folder;
        }
    }
    return l->state == LINK_GOOD;
}

/* The target as the torrent says it, made safe, below the name. */
static bool set_target(struct settling *s, const struct bt_link *l)
{
    struct bt_path p;
    bt_path_init(&p);
    bt_path_root(&p, s->m->name);
    bool fits = true;
    for (benc_val e = benc_first(s->b, l->target); e != BENC_NONE && fits;
         e = benc_next(s->b, l->target, e))
        fits = bt_path_push(&p, benc_str(s->b, e));
    const char *target = NULL;
    if (fits && tarn_out_ok(&p.text))
        target = tarn_arena_strndup(&s->m->arena, tarn_out_bytes(&p.text));
    size_t len = p.text.len;
    bt_path_release(&p);
    if (fits && target == NULL)
        return bt_fail_arena(&s->m->arena, len, s->err);
    s->m->files[l->file].symlink_target = target;
    return true;
}

static bool settle_links(struct settling *s)
{
    for (size_t i = 0; i < s->n_links; i++) {
        bool good = follow(s, &s->links[i], 0);
        if (s->no_memory)
            return tarn_fail_mem(s->err, "following symlinks");
        if (good && !set_target(s, &s->links[i]))
            return false;
    }
    return true;
}

bool bt_paths_settle(struct bt_metainfo *m, const struct benc *b, struct bt_link *links,
                     size_t n_links, const uint8_t seed[16], struct tarn_err *err)
{
    if (m->is_single_file)
        return true;
    struct settling s = {
        .m = m,
        .b = b,
        .links = links,
        .n_links = n_links,
        .skip = (uint32_t)strlen(m->name) + 1,
        .budget = 64 * TARN_MIB + 16 * (uint64_t)b->in.len,
        .err = err,
    };
    tarn_map_init(&s.taken, seed);
    tarn_map_init(&s.counted, seed);
    bool ok = take_all_folders(&s) && take_files(&s) && settle_links(&s);
    tarn_map_release(&s.taken);
    tarn_map_release(&s.counted);
    return ok;
}
