/* node/core/meta4: see the header. */
#include "node/core/meta4.h"

#include "base/num.h"
#include "base/text.h"

bool meta4_can_name(struct tarn_bytes path)
{
    size_t from = 0;
    if (path.len == 0 || !tarn_utf8_valid(path))
        return false;
    for (size_t at = 0; at <= path.len; at++) {
        if (at < path.len && path.p[at] < ' ')
            return false;
        if (at < path.len && path.p[at] != '/')
            continue;
        struct tarn_bytes element = tarn_bytes_of(path.p + from, at - from);
        if (element.len == 0 || tarn_bytes_eq_str(element, ".") || tarn_bytes_eq_str(element, ".."))
            return false;
        from = at + 1;
    }
    /* U+FFFE and U+FFFF are UTF-8, and no characters of XML */
    for (size_t i = 0; i + 2 < path.len; i++)
        if (path.p[i] == 0xEF && path.p[i + 1] == 0xBF && path.p[i + 2] >= 0xBE)
            return false;
    return true;
}

static void put_text(struct tarn_out *o, struct tarn_bytes text)
{
    size_t from = 0;
    for (size_t at = 0; at < text.len; at++) {
        uint8_t c = text.p[at];
        const char *as = c == '&'   ? "&amp;"
                         : c == '<' ? "&lt;"
                         : c == '>' ? "&gt;"
                         : c == '"' ? "&quot;"
                                    : NULL;
        if (as == NULL)
            continue;
        tarn_out_put(o, tarn_bytes_of(text.p + from, at - from));
        tarn_out_str(o, as);
        from = at + 1;
    }
    if (from < text.len)
        tarn_out_put(o, tarn_bytes_of(text.p + from, text.len - from));
}

static void put_hex(struct tarn_out *o, const uint8_t *p, size_t len)
{
    char hex[2 * 32 + 1];
    tarn_out_str(o, tarn_hex(hex, tarn_bytes_of(p, len)));
}

void meta4_begin(struct tarn_out *o, const char *generator)
{
    tarn_out_str(o, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                    "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n  <generator>");
    put_text(o, tarn_bytes_str(generator));
    tarn_out_str(o, "</generator>\n");
}

bool meta4_wants_pieces(const struct meta4_file *f)
{
    return f->piece_len > 0 && f->len > 0 &&
           tarn_div_up_u64(f->len, f->piece_len) <= META4_PIECES_MAX;
}

void meta4_file_begin(struct tarn_out *o, const struct meta4_file *f)
{
    tarn_out_str(o, "  <file name=\"");
    put_text(o, f->path);
    tarn_out_fmt(o, "\">\n    <size>%llu</size>\n    <hash type=\"sha-256\">",
                 (unsigned long long)f->len);
    put_hex(o, f->sha256, 32);
    tarn_out_str(o, "</hash>\n");
    if (meta4_wants_pieces(f))
        tarn_out_fmt(o, "    <pieces length=\"%u\" type=\"sha-1\">\n", (unsigned)f->piece_len);
}

void meta4_pieces(struct tarn_out *o, const uint8_t *hashes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tarn_out_str(o, "      <hash>");
        put_hex(o, hashes + i * 20, 20);
        tarn_out_str(o, "</hash>\n");
    }
}

void meta4_file_end(struct tarn_out *o, const struct meta4_file *f)
{
    if (meta4_wants_pieces(f))
        tarn_out_str(o, "    </pieces>\n");
    for (size_t i = 0; i < f->n_urls; i++) {
        tarn_out_fmt(o, "    <url priority=\"%zu\">", i + 1);
        put_text(o, tarn_bytes_str(f->urls[i]));
        tarn_out_str(o, "</url>\n");
    }
    if (f->torrent != NULL) {
        tarn_out_str(o, "    <metaurl mediatype=\"torrent\" priority=\"1\"");
        if (f->torrent_path.len > 0) {
            tarn_out_str(o, " name=\"");
            put_text(o, f->torrent_path);
            tarn_out_str(o, "\"");
        }
        tarn_out_str(o, ">");
        put_text(o, tarn_bytes_str(f->torrent));
        tarn_out_str(o, "</metaurl>\n");
    }
    tarn_out_str(o, "  </file>\n");
}

void meta4_end(struct tarn_out *o)
{
    tarn_out_str(o, "</metalink>\n");
}

/* GNU: a line whose name had to be quoted begins with a backslash. */
void sha256_line(struct tarn_out *o, struct tarn_bytes path, const uint8_t sha256[32])
{
    bool is_quoted = false;
    for (size_t i = 0; i < path.len; i++)
        is_quoted = is_quoted || path.p[i] == '\\' || path.p[i] == '\n';
    if (is_quoted)
        tarn_out_str(o, "\\");
    put_hex(o, sha256, 32);
    tarn_out_str(o, "  ");
    for (size_t i = 0; i < path.len; i++)
        if (path.p[i] == '\\')
            tarn_out_str(o, "\\\\");
        else if (path.p[i] == '\n')
            tarn_out_str(o, "\\n");
        else
            tarn_out_u8(o, path.p[i]);
    tarn_out_str(o, "\n");
}
