/* node/html: the look of the public door: one style, no script, nothing from elsewhere. */
#include "node/html.h"

#include "base/text.h"
#include "codec/html.h"
#include "crypt/sha.h"

/* Light and dark follow the reader's system. */
static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d2329;--soft:#66707a;--line:#dde2e7;--paper:#fbfcfd;"
    "--link:#0b5cad;--mark:#9a5b00}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#97a1ab;--line:#333b43;"
    "--paper:#171b1f;--link:#7db7f0;--mark:#e0a951}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:66rem;padding:2rem 1.2rem;background:var(--paper);"
    "color:var(--ink);font:16px/1.5 system-ui,sans-serif}"
    "a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}"
    "h1{font-size:1.5rem;font-weight:600;margin:0 0 .2rem;overflow-wrap:anywhere}"
    "p{margin:.2rem 0 1.2rem;color:var(--soft)}p a{margin-right:1em}"
    ".wide{overflow-x:auto}"
    "table{width:100%;border-collapse:collapse}"
    "th{font-weight:500;color:var(--soft);text-align:left}"
    "th,td{padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);white-space:nowrap}"
    "td:first-child{white-space:normal;overflow-wrap:anywhere;width:100%}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td.s a{margin-right:.6em;font-size:.85em;display:inline-block}"
    /* on a phone a row is two lines: name and figures, then the siblings */
    "@media(max-width:44rem){.t{display:none}tr{display:flex;flex-wrap:wrap;"
    "border-bottom:1px solid var(--line)}th,td{border:0}"
    "td:first-child,th:first-child{flex:1 1 8rem}td.n,th.n{flex:none;width:5.5rem}"
    "td.s{flex:1 0 100%;padding-top:0}td.s:empty,th:empty{display:none}}"
    "em{font-style:normal;color:var(--mark);font-size:.85em}"
    "footer{margin-top:2rem;color:var(--soft);font-size:.85em}";

void html_size(struct tarn_out *o, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    unsigned unit = 0;
    double n = (double)bytes;
    for (; n >= 1023.95 && unit < 6; unit++)
        n /= 1024;
    if (unit == 0)
        tarn_out_fmt(o, "%u B", (unsigned)bytes);
    else
        tarn_out_fmt(o, n < 9.995 ? "%.2f %s" : n < 99.95 ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

void html_begin(struct tarn_out *o, struct tarn_bytes title)
{
    tarn_out_str(o, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                    "<title>");
    html_text(o, title);
    tarn_out_str(o, "</title><style>");
    tarn_out_str(o, style);
    tarn_out_str(o, "</style><main>");
}

void html_end(struct tarn_out *o)
{
    tarn_out_str(o, "</main><footer>Each file is also a torrent, a magnet link and a checksum; the "
                    "ETag is its BitTorrent v2 root.</footer></html>\n");
}

void html_policy(struct tarn_out *o)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    char text[4 * ((CRYPT_SHA256_LEN + 2) / 3) + 1];
    crypt_hash(CRYPT_SHA256, tarn_bytes_str(style), digest);
    tarn_out_fmt(o,
                 "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
                 "form-action 'none'; frame-ancestors 'none'",
                 tarn_base64(text, tarn_bytes_of(digest, sizeof digest)));
}
