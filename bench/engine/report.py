"""Tables and pictures out of what was measured."""
import shutil
from pathlib import Path

from common import GREENS, OTHERS, gnuplot, machine, middle, sh, spread, versions

PACKAGES = ["python3-libtorrent", "aria2", "rtorrent", "transmission-daemon"]

# Columns of each kind of work: the figure's key, its heading, its format. The spread is of the first.
COLUMNS = {
    "seed": [("cpu", "CPU-s/GiB", ".3f"), ("mb_s", "MB/s", ".0f"), ("sink", "the peer's CPU-s/GiB", ".3f")],
    "leech": [("cpu", "CPU-s/GiB", ".3f"), ("mb_s", "MB/s", ".0f")],
    "one at a time": [("cpu_us", "CPU us each", ".1f"), ("per_s", "requests/s", ".0f"),
                      ("p50_us", "median us", ".1f"), ("p99_us", "99 % within us", ".0f")],
    "idle": [("kib_each", "KiB each", ".2f"), ("idle_percent", "CPU % of a core while idle", ".3f"),
             ("accept_us", "CPU us to accept one", ".0f")],
    "many": [("seconds", "s until all are ready", ".3f"), ("cpu", "CPU-s", ".3f"),
             ("kib_each", "KiB each", ".1f")],
    "long line": [("mbit_s", "Mbit/s", ".0f")],
    "home line": [("trip_ms", "round trip ms, mean", ".0f"), ("trip_max_ms", "greatest", ".0f"),
                  ("mbit_s", "Mbit/s", ".1f")],
}

HEADS = {
    "seed": ("Seeding", "One peer keeps 256 requests of 16 KiB outstanding (500 for transmission, whose "
             "queue is answered twice a second). `same core`: both processes on one; `apart`: one each. "
             "The floors are the bench's own peer at both ends."),
    "leech": ("Fetching with verification", "From one neutral source to a tmpfs, until every piece is "
              "verified and, where the program ends then, its end. Not pinned. The result is compared with "
              "the original. The floors are its three parts, each alone on one thread: no fetch can cost "
              "less than their sum."),
    "one at a time": ("One request at a time", "Both processes on one core."),
    "depth": ("Requests outstanding", "One connection, both processes on one core."),
    "idle": ("Idle peers", "Handshake, nothing to offer, then silence. Memory is the growth of the "
             "process (RSS); the kernel's sockets are not in it."),
    "many": ("Many torrents", "1000 torrents of 64 KiB, added as complete and believed, or checked: "
             "from an empty session until all are seeded. transmission: from its start, with what it "
             "saved. Memory is the growth over an empty session; all of the process for transmission."),
    "long line": ("A long fat line", "500 Mbit/s, 50 ms, one bandwidth-delay product of queue, CUBIC, one "
                  "connection; the rate of the second half. `floor` is the bench's own peer at both ends, "
                  "with the socket buffers that its name says."),
    "home line": ("A home line", "20 Mbit/s up, 20 ms, a queue of 1 MB in the router. The round trip is "
                  "what the line itself says: both delays and what waits in its queue."),
}


def kind_of(work):
    return next((kind for kind in HEADS if work.startswith(kind)), None)


class Figures:
    def __init__(self, results):
        self.results = results

    def of(self, work, program, key):
        """The median, or None when it was not measured."""
        found = self.results.get(work, {}).get(program)
        return middle([f[key] for f in found]) if found else None

    def others(self, work, key):
        return [self.of(work, p, key) for p in self.results.get(work, {})
                if not p.startswith(("tarn", "floor"))]


# Targets: what is said, the figure, what it must be, and whether less is better.


def ratio(ours, theirs):
    return ours / theirs if ours is not None and theirs else None


def target_rows(f):
    for work, least, times in (("seed, same core", 0.09, 0.45), ("seed, apart", 0.19, 0.7)):
        ours = f.of(work, "tarn", "cpu")
        yield work, f"at most {least} CPU-s/GiB", ours, least, True
        yield work, f"at most {times} of rtorrent", ratio(ours, f.of(work, "rtorrent", "cpu")), times, True
    ours, speed = f.of("leech", "tarn", "cpu"), f.of("leech", "tarn", "mb_s")
    yield "leech", "at most 0.6 CPU-s/GiB", ours, 0.6, True
    yield "leech", "at most 0.5 of aria2", ratio(ours, f.of("leech", "aria2", "cpu")), 0.5, True
    yield "leech", "at least 2000 MB/s", speed, 2000, False
    fastest = max(f.others("leech", "mb_s"), default=None)
    yield "leech", "at least twice the fastest other", ratio(speed, fastest), 2, False
    for mtu in (65536, 1500):
        work = f"one at a time, MTU {mtu}"
        yield (work, "at least aria2's rate",
               ratio(f.of(work, "tarn", "per_s"), f.of(work, "aria2", "per_s")), 1, False)
        yield (work, "at most 0.8 of aria2's CPU",
               ratio(f.of(work, "tarn", "cpu_us"), f.of(work, "aria2", "cpu_us")), 0.8, True)
        yield work, "no stall: 99 % within 10 ms (in us)", f.of(work, "tarn", "p99_us"), 10000, True
    work = "idle, 10000 peers"
    yield work, "at most 1.9 KiB each", f.of(work, "tarn", "kib_each"), 1.9, True
    yield work, "at most 0.015 % CPU", f.of(work, "tarn", "idle_percent"), 0.015, True
    yield "many torrents", "at most 0.1 s", f.of("many torrents", "tarn", "seconds"), 0.1, True
    yield "many torrents", "at most 8 KiB each", f.of("many torrents", "tarn", "kib_each"), 8, True
    work, auto = "long line", f.of("long line", "floor, automatic", "mbit_s")
    for program in ("tarn seeds", "tarn fetches"):
        yield (work, f"{program}: at least 0.95 of automatic",
               ratio(f.of(work, program, "mbit_s"), auto), 0.95, False)


def floor_of(figures, work, sentence):
    """What the system alone costs here, where a target was set in CPU-seconds of another machine."""
    if "CPU-s/GiB" not in sentence:
        return ""
    floors = [figures.of(work, p, "cpu") for p in figures.results.get(work, {}) if p.startswith("floor")]
    if not floors:
        return ""
    floor = sum(floors) if work == "leech" else min(floors)  # its floors are parts, the others' are ways
    return f" (the floor here: {floor:.3f})"


def targets(figures):
    yield "| work | wanted | seen | |"
    yield "| --- | --- | --: | --- |"
    for work, sentence, seen, wanted, less in target_rows(figures):
        if seen is None:
            yield f"| {work} | {sentence} | - | not measured |"
            continue
        met = seen <= wanted if less else seen >= wanted
        digits = ".0f" if wanted >= 100 else ".3f" if wanted < 0.5 else ".2f"
        sentence += floor_of(figures, work, sentence)
        yield f"| {work} | {sentence} | {seen:{digits}} | {'met' if met else '**missed**'} |"


# Tables.


def table(results, work):
    columns = COLUMNS[kind_of(work)]
    yield ""
    yield f"| {work} | " + " | ".join(head for _, head, _ in columns) + " | spread | load |"
    yield "| --- |" + " --: |" * (len(columns) + 2)
    for program, found in results[work].items():
        strong = "**" if program == "tarn" else ""
        cells = [f"{middle([f[key] for f in found]):{digits}}" for key, _, digits in columns]
        first = [f[columns[0][0]] for f in found]
        busy = middle([f["load"] for f in found])
        yield (f"| {strong}{program}{strong} | " + " | ".join(cells) +
               f" | {spread(first):.0%} | {busy:.1f} |")


def depth_programs(found):
    """{program: {depth: figures of all rounds}}"""
    programs = {}
    for name, rounds in found.items():
        program, depth = name.rsplit(", ", 1)
        programs.setdefault(program, {})[int(depth)] = rounds
    return programs


def depth_table(found):
    programs = depth_programs(found)
    depths = sorted({d for found in programs.values() for d in found})
    for key, digits, what in (("mb_s", ".0f", "MB/s"), ("cpu", ".3f", "CPU-s/GiB")):
        yield ""
        yield f"| {what}, requests outstanding | " + " | ".join(map(str, depths)) + " |"
        yield "| --- |" + " --: |" * len(depths)
        for program, by_depth in programs.items():
            cells = [f"{middle([f[key] for f in by_depth[d]]):{digits}}" if d in by_depth else "-"
                     for d in depths]
            yield f"| {program} | " + " | ".join(cells) + " |"


def sections(kept, pictures):
    results, words = kept["results"], kept["words"]
    for kind, (title, sentence) in HEADS.items():
        works = [w for w in results if kind_of(w) == kind]
        said = [s for w, found in words.items() if kind_of(w) == kind for s in found]
        if not works and not said:
            continue
        yield ""
        yield f"## {title}"
        yield ""
        yield sentence
        if kind in pictures:
            yield ""
            yield f"![{title}]({pictures[kind]})"
        for work in works:
            yield from depth_table(results[work]) if kind == "depth" else table(results, work)
        if said:
            yield ""
            yield "Not as it should be:"
            yield ""
            yield from (f"- {s}" for s in said)


# Pictures.


FLOORS = ["#d0d0d0", "#9a9a9a"]


def colors_of(programs):
    """tarn is green, the floors are grey, whoever is beside them has the rest."""
    left = {"tarn": list(GREENS), "floor": list(FLOORS), "": list(OTHERS)}
    return [left[next(kind for kind in left if p.startswith(kind))].pop(0) for p in programs]


def bars(results, works, key, label, svg):
    """A group of bars a work, a bar a program."""
    programs = list(dict.fromkeys(p for w in works for p in results[w]))
    rows = ["work\t" + "\t".join(programs)]
    for work in works:
        cells = [f"{middle([f[key] for f in results[work][p]]):.5g}" if p in results[work] else "-"
                 for p in programs]
        rows.append("\t".join([work, *cells]))
    data = "$data << EOD\n" + "\n".join(rows) + "\nEOD\n"
    colors = colors_of(programs)
    parts = ", ".join(f"$data using {n + 2}:xtic(1) lc rgb '{c}'" for n, c in enumerate(colors))
    gnuplot(f"""set key autotitle columnheader noenhanced outside right top reverse Left
set xtics noenhanced
set style data histogram
set style histogram cluster gap 1.5
set style fill solid border rgb 'white'
set ylabel '{label}'
set yrange [0:*]
{data}plot {parts}
""", svg)


def lying_bars(found, key, label, svg):
    """One work: a bar a program, from the top, with its figure at its end."""
    rows = [(p, middle([f[key] for f in rounds])) for p, rounds in found.items()]
    kinds = {"tarn": GREENS[0], "floor": FLOORS[1], "": OTHERS[0]}
    colors = [next(int(c[1:], 16) for kind, c in kinds.items() if p.startswith(kind)) for p, _ in rows]
    data = "\n".join(f"{-n}\t{value:.5g}\t{color}\t{p}"
                     for n, ((p, value), color) in enumerate(zip(rows, colors)))
    most = max(value for _, value in rows)
    gnuplot(f"""unset key
set xlabel '{label}'
set xrange [0:{most * 1.12:.5g}]
set yrange [{0.6 - len(rows)}:0.6]
set style fill solid border rgb 'white'
unset grid
set grid xtics lc rgb '#dddddd'
set ytics noenhanced scale 0
$data << EOD
{data}
EOD
plot $data using 2:1:(0):2:($1-0.35):($1+0.35):3:ytic(4) with boxxyerror lc rgb variable, \\
     $data using 2:1:(sprintf(' %.3g', $2)) with labels left
""", svg, height=60 + 28 * len(rows))


def curves(series, xlabel, ylabel, svg, extra=""):
    """series: {name: [(x, y)]}"""
    data = parts = ""
    for n, (name, points) in enumerate(series.items()):
        rows = "\n".join(f"{x}\t{y}" for x, y in points)
        data += f"$s{n} << EOD\n{rows}\nEOD\n"
        color = GREENS[0] if n == 0 else OTHERS[(n - 1) % len(OTHERS)]
        parts += (", " if n else "") + f"$s{n} using 1:2 with LINES lw 2 lc rgb '{color}' title '{name}'"
    with_ = "linespoints pt 7 ps 0.5" if "logscale" in extra else "lines"
    gnuplot(f"""set key noenhanced outside right top reverse Left
set xlabel '{xlabel}'
set ylabel '{ylabel}'
set yrange [0:*]
{extra}
{data}plot {parts.replace('LINES', with_)}
""", svg)


def draw(results, docs):
    """The names of the pictures, by kind of work."""
    made = {}

    def svg(kind):
        made[kind] = f"bench-engine-{kind.replace(' ', '-')}.svg"
        return Path(docs, made[kind])

    seeds = [w for w in results if w.startswith("seed")]
    if seeds:
        fast = {w: {p: f for p, f in results[w].items()} for w in seeds}
        bars(fast, seeds, "cpu", "CPU-seconds per GiB (less is better)", svg("seed"))
    if "leech" in results:
        quick = {p: f for p, f in results["leech"].items() if p != "transmission"}
        lying_bars(quick, "cpu", "CPU-seconds per GiB (less is better)", svg("leech"))
    if "depth" in results:
        series = {p: [(d, middle([f["mb_s"] for f in by_depth[d]])) for d in sorted(by_depth)]
                  for p, by_depth in sorted(depth_programs(results["depth"]).items(),
                                            key=lambda item: item[0] != "tarn")}
        curves(series, "requests outstanding", "MB/s", svg("depth"), "set logscale x 2")
    if "long line" in results:
        lying_bars(results["long line"], "mbit_s", "Mbit/s (more is better)", svg("long line"))
    if "home line" in results:
        series = {p: found[-1]["curve"] for p, found in sorted(
            results["home line"].items(), key=lambda item: not item[0].endswith("on"))}
        curves(series, "seconds", "round trip, ms", svg("home line"))
    return made


def rounds_of(results):
    found = {len(rounds) for programs in results.values() for rounds in programs.values()}
    least, most = min(found, default=0), max(found, default=0)
    return str(least) if least == most else f"{least} to {most}"


def busy(results):
    """A warning where one is due."""
    loads = [f["load"] for programs in results.values() for rounds in programs.values() for f in rounds]
    if loads and middle(loads) > 1.5:
        yield (f"- **The machine was busy** (load {min(loads):.0f} to {max(loads):.0f} on its processors): "
               "rates and times are worse than they would be, CPU-seconds somewhat; compare programs of one "
               "table with each other.")


def write_report(bench, kept, before):
    results = kept["results"]
    docs = bench.options.docs
    pictures = draw(results, docs) if shutil.which("gnuplot") else {}
    lines = [
        "# The engine, measured",
        "",
        "Written by `./dev bench engine`; the method is in [bench/engine](../bench/engine/README.md).",
        "",
        f"- Machine: {machine()}. Load before the run: {before:.2f}; the load at each measurement is in "
        "the tables.",
        f"- Programs: {versions(bench.tarn, PACKAGES)}.",
        f"- tarn says of itself: {sh([bench.tarn, 'version']).splitlines()[1]}.",
        f"- Data: {bench.options.mib / 1024:g} GiB of random bytes as one file in the page cache (a "
        "sixteenth of it for transmission), pieces of 1 MiB, plain TCP. Medians of "
        f"{rounds_of(results)} rounds; spread is greatest less least over the median of the first "
        "column.",
        *busy(results),
        "",
        *targets(Figures(results)),
        *sections(kept, pictures),
    ]
    text = "\n".join(lines) + "\n"
    Path(docs, "bench-engine.md").write_text(text)
    return text
