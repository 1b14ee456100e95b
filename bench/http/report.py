"""Tables and a picture out of what was measured."""
import shutil
from pathlib import Path

from common import GREENS, OTHERS, gnuplot, machine, middle, sh, spread

PACKAGES = ["nginx", "lighttpd", "libssl3"]
OURS = ("tarn up", "tarn")  # the whole node, else its server alone

# Columns of each kind of work: the figure's key, its heading, its format. The spread is of the first.
REQUESTS = [("cpu_us", "CPU us a request", ".2f"), ("per_s", "requests/s", ".0f"),
            ("own_us", "the load's CPU us", ".2f")]
BYTES = [("cpu", "CPU-s/GiB", ".3f"), ("mb_s", "MB/s", ".0f"), ("own", "the load's CPU-s/GiB", ".3f")]
IDLE = [("bytes_each", "bytes each", ".0f"), ("rss_mib", "RSS MiB, all of it", ".1f")]
COLUMNS = {"constant": REQUESTS, "file of 1 KiB": REQUESTS, "file of 100": BYTES,
           "TLS, constant": REQUESTS, "TLS, file": BYTES, "idle": IDLE}

HEADS = {
    "constant": "14 bytes, 64 kept connections. nginx answers by `return 200`, lighttpd from its cache of "
                "small files, tarn from C (`tarn up`: /healthz).",
    "file of 1 KiB": "64 connections, in the page cache.",
    "file of 100": "64 connections for 100 KiB, 4 for 100 MiB, in the page cache; the other side copies "
                   "what it receives.",
    "TLS": "TLS 1.3, AES-128-GCM; handshakes are not counted. No kernel TLS here.",
    "idle": "Each has asked once. Memory is the growth of RssAnon of the worker; the kernel's sockets are "
            "in nobody's figure.",
}


def columns_of(work):
    return next(c for kind, c in COLUMNS.items() if work.startswith(kind))


def medians(results, work, key):
    return {server: middle([f[key] for f in found]) for server, found in results.get(work, {}).items()}


def ours(found):
    return next((found[name] for name in OURS if name in found), None)


def paired(results, work, key, theirs):
    """The median of the ratios of the rounds: ours to the better of theirs in the same round."""
    found = results.get(work, {})
    others = [found[s] for s in found if s.startswith(theirs)]
    if ours(found) is None or not others:
        return None
    pairs = zip(ours(found), *others)
    return middle([mine[key] / min(f[key] for f in rest) for mine, *rest in pairs])


# Targets: work, what is wanted, what was seen, the most it may be.


def target_rows(results):
    yield ("constant answer", "not slower than nginx", paired(results, "constant answer", "cpu_us", "nginx"), 1)
    calls = ours(medians(results, "system calls, constant answer", "all"))
    yield "constant answer", "at most 2.2 system calls", calls, 2.2
    work = "constant answer, 16 pipelined"
    yield work, "at most half of nginx", paired(results, work, "cpu_us", "nginx"), 0.5
    yield ("file of 1 KiB", "not slower than lighttpd",
           paired(results, "file of 1 KiB", "cpu_us", "lighttpd"), 1)
    for work in ("file of 100 KiB", "file of 100 MiB"):
        yield work, "not slower than nginx", paired(results, work, "cpu", "nginx"), 1
    yield ("idle connections", "at most 600 bytes each",
           ours(medians(results, "idle connections", "bytes_each")), 600)


def targets(results):
    yield "| work | wanted | seen | |"
    yield "| --- | --- | --: | --- |"
    for work, sentence, seen, most in target_rows(results):
        if seen is None:
            yield f"| {work} | {sentence} | - | not measured |"
            continue
        verdict = "met" if seen <= most else "**missed**"
        yield f"| {work} | {sentence} | {seen:{'.0f' if most >= 100 else '.2f'}} | {verdict} |"


def name_of(server):
    return f"**{server}**" if server in OURS else server


def table(results, work):
    columns = columns_of(work)
    yield ""
    yield f"| {work} | " + " | ".join(head for _, head, _ in columns) + " | spread | load |"
    yield "| --- |" + " --: |" * (len(columns) + 2)
    for server, found in results[work].items():
        cells = [f"{middle([f[key] for f in found]):{digits}}" for key, _, digits in columns]
        first = [f[columns[0][0]] for f in found]
        busy = middle([f["load"] for f in found])
        yield f"| {name_of(server)} | {' | '.join(cells)} | {spread(first):.0%} | {busy:.1f} |"


def calls_table(results):
    works = [w for w in results if w.startswith("system calls")]
    if not works:
        return
    yield ""
    yield "## System calls for each request"
    yield ""
    yield "8 connections; counted by strace."
    for work in works:
        yield ""
        yield f"| {work.split(', ', 1)[1]} | all | which |"
        yield "| --- | --: | --- |"
        for server, found in results[work].items():
            which = {k: v for k, v in found[-1].items() if k not in ("all", "load")}
            words = ", ".join(f"{k} {v:.2f}" for k, v in which.items())
            yield f"| {name_of(server)} | {found[-1]['all']:.2f} | {words} |"


def plot(results, svg):
    """CPU of each work, in parts of nginx's."""
    works = [w for w in results if not w.startswith(("system", "idle"))]
    servers = list(dict.fromkeys(s for w in works for s in results[w]))
    keys = {w: columns_of(w)[0][0] for w in works}
    works = [w for w in works if "nginx" in results[w]]
    if not works or shutil.which("gnuplot") is None:
        return False
    rows = []
    for work in works:
        found = medians(results, work, keys[work])
        rows.append("\t".join([f'"{work}"'] + [
            f"{found[s] / found['nginx']:.4f}" if s in found else "-" for s in servers]))
    colours = {s: GREENS[OURS.index(s)] if s in OURS else OTHERS[i] for i, s in enumerate(servers)}
    data = "$data << EOD\n" + "\n".join(rows) + "\nEOD\n"
    lines = ", ".join(f"$data using {i + 2}:xtic(1) title '{s}' lc rgb '{colours[s]}'"
                      for i, s in enumerate(servers))
    gnuplot(data + f"""set title 'CPU of the server, nginx = 1 (less is better)'
set style data histogram
set style histogram cluster gap 1
set style fill solid
set yrange [0:*]
set xtics rotate by -20 left
set rmargin 12
set key outside top center horizontal
plot {lines}
""", svg, width=1000, height=480)
    return True


def write_report(bench, kept, load_before):
    results, docs = kept["results"], Path(bench.options.docs)
    packages = sh(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *PACKAGES]).rstrip(", ")
    count = max((len(f) for w in results.values() for f in w.values()), default=0)
    text = ["# The web server, measured", "",
            "Made by `./dev bench http`; `bench/http/README.md` says how. One worker on core 0, the load on "
            f"core 1; {count} rounds, turn about; medians, and as spread greatest less least over the median "
            "of the first column. Ratios are the median of the rounds' ratios.", "",
            f"{machine()}; {packages}; load before: {load_before:.1f}.", "", "## Targets", "",
            *targets(results)]
    has_plot = plot(results, docs / "bench-http.svg")
    if has_plot:
        text += ["", "![CPU of the server beside nginx's](bench-http.svg)"]
    for kind, sentence in HEADS.items():
        works = [w for w in results if w.startswith(kind)]
        if not works:
            continue
        text += ["", f"## {works[0][0].upper()}{works[0][1:]}", "", sentence]
        for work in works:
            text += table(results, work)
    text += calls_table(results)
    text += [f"\n{work}: {word}." for work, word in kept["words"].items()]
    path = docs / "bench-http.md"
    path.write_text("\n".join(text) + "\n")
    return path.read_text()
