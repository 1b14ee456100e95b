"""What is measured: each work is a function that drives the programs and notes what it cost them."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clients import Job, Libtorrent, Raw, Rtorrent, Source, Tarn, Transmission, others, sink
from common import GIB, KIB, MIB, PYTHON, ROOT, Child, load, make_file, run_child, say, sh, warm

sys.path.insert(0, str(ROOT / "tests"))
from link import Link, why_not  # noqa: E402

HERE = Path(__file__).resolve().parent
PIECE = 1 << 20
BLOCK = 16384
DEPTH = 256
SEEDER, SAME, APART = 0, 0, 1  # cores: the program's own, and where the peer runs
NO_END = "1024G"
MTUS = (65536, 1500)
DEPTHS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 1000, 2000]
TORRENTS = 1000
TORRENT_LEN = 64 * KIB
# The lines: one way half of the round trip.
LONG = {"delay_ms": 25, "rate_mbit": 500}
HOME = {"delay_ms": 10, "rate_mbit": 20, "queue": 1_000_000, "back_rate_mbit": 100}


class Bench:
    def __init__(self, options, folder, into):
        self.options = options
        self.build = Path(options.build).resolve()
        self.tarn = self.build / "tarn"
        self.wanlink = self.build / "tests/wanlink"
        self.folder, self.work, self.into = folder, folder / "work", into
        self.data = folder / "data" / "one"
        self.small = folder / "data" / "small"
        self.results = {}  # work: {program: [{figure: number}]}, an entry a round
        self.words = {}  # work: sentences on what could not be measured
        self.quick = options.quick
        self.torrents = 100 if self.quick else TORRENTS

    def prepare(self):
        self.work.mkdir()
        os.environ["TARN_HOME"] = str(self.work / "state")  # nothing that an earlier run remembers
        self.data.parent.mkdir()
        make_file(self.data, self.options.mib)
        make_file(self.small, max(1, self.options.mib // 16))
        for data in (self.data, self.small):
            warm(data)
            for kind in ("v1", "v2", "hybrid"):
                run_child([self.tarn, "create", data, "--format", kind, "--piece-length",
                           str(PIECE), "-o", self.torrent(data, kind)])

    def torrent(self, data, kind):
        return self.work / f"{data.name}-{kind}.torrent"

    def job(self, client=None, kind="v1", **more):
        data = self.small if getattr(client, "is_slow", False) else self.data
        return Job(self.build, self.torrent(data, kind), data, self.work, self.into, **more)

    def note(self, work, program, **figures):
        figures["load"] = load()
        self.results.setdefault(work, {}).setdefault(program, []).append(figures)
        plain = {k: v for k, v in figures.items() if not isinstance(v, list)}
        say(f"  {work}: {program}: " + ", ".join(f"{k} {v:.4g}" for k, v in plain.items()))

    def word(self, work, sentence):
        say(f"  {work}: {sentence}")
        if sentence not in self.words.setdefault(work, []):
            self.words[work].append(sentence)

    def wanted(self, clients):
        names = self.options.programs
        return [c for c in clients if not names or any(c.name.startswith(n) for n in names)]

    def attempt(self, work, name, once):
        """A measurement that fails is told in the report; the others go on."""
        try:
            once()
        except (RuntimeError, OSError) as failed:
            self.word(work, f"{name}: {str(failed).strip().splitlines()[-1]}")

    def rounds(self, work, clients, visit, rounds=None):
        """A B C A B C: what disturbs the machine disturbs all alike."""
        for _ in range(rounds or self.options.rounds):
            for client in self.wanted(clients):
                self.attempt(work, client.name, lambda: visit(client))


def cost(told, key="watched_cpu_s"):
    return told[key] * GIB / told["bytes"]


# Seeding and fetching.


def seed(bench):
    """One seeder, the peer on its core and then on the other. The torrent once before, unmeasured."""

    def visit(client):
        for work, core in (("seed, same core", SAME), ("seed, apart", APART)):
            job = bench.job(client)
            size = job.data.stat().st_size
            depth = getattr(client, "depth", DEPTH)
            with client.seed(job, SEEDER) as program:
                told = sink(job, program.port, "--outstanding", depth, "--warm", size, "--bytes",
                            size, core=core, pid=program.pid)[0]
            bench.note(work, client.name, cpu=cost(told), mb_s=told["mb_s"], sink=cost(told, "cpu_s"))

    bench.rounds("seed, same core", [Raw("sendfile"), Raw("writev"), Tarn(), *others()], visit)


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


class Kind:
    """A program with torrents of one kind."""

    def __init__(self, client, kind):
        self.client, self.kind = client, kind
        self.name = client.name if kind == "v1" else f"{client.name}, {kind}"
        self.is_slow = getattr(client, "is_slow", False)


class Part:
    """A part of fetching that nobody can leave out, alone: together they are the floor."""

    def __init__(self, name, measure):
        self.name, self.measure = f"floor, {name} alone", measure


def receive(job, size):
    with Raw("writev").seed(job) as program:
        told = sink(job, program.port, "--outstanding", DEPTH, "--bytes", size)[0]
    return {"cpu": told["cpu_s"], "wall": told["seconds"]}


def store(job, size):
    """Room for the file, then runs of 128 KiB: a call each, so that Python costs next to nothing."""
    run = os.urandom(128 * KIB)
    began, used = time.monotonic(), time.process_time()
    file = os.open(job.into / "floor", os.O_CREAT | os.O_RDWR, 0o600)
    os.posix_fallocate(file, 0, size)
    for at in range(0, size, len(run)):
        os.pwrite(file, run, at)
    os.close(file)
    return {"cpu": time.process_time() - used, "wall": time.monotonic() - began}


def hash_pieces(job, size):
    """tarn verify on one thread: sixteen pieces abreast, with the reading of the page cache in it."""
    return run_child([job.tarn, "verify", "--jobs", "1", job.torrent, job.data])[0]


def leech(bench):
    """One fetch to a tmpfs, every piece verified, then compared. Nobody is pinned."""

    def visit(it):
        job = bench.job(it, getattr(it, "kind", "v1"))
        size = job.data.stat().st_size
        clear(bench.into)
        if isinstance(it, Part):
            found = it.measure(job, size)
            clear(bench.into)
            bench.note("leech", it.name, cpu=found["cpu"] * GIB / size, mb_s=size / found["wall"] / 1e6)
            return
        found = it.client.fetch(job)
        fetched = bench.into / job.data.name
        if subprocess.run(["cmp", "-s", fetched, job.data]).returncode != 0:
            sys.exit(f"{it.name} fetched other bytes than were served")
        clear(bench.into)
        bench.note("leech", it.name, cpu=found["cpu"] * GIB / size, mb_s=size / found["wall"] / 1e6)

    floors = [Part("receiving", receive), Part("making room and writing", store),
              Part("hashing", hash_pieces)]
    quick, slow = [], []
    for client in others():
        (slow if getattr(client, "is_slow", False) else quick).append(Kind(client, "v1"))
    ours = [Kind(Tarn(), kind) for kind in ("v1", "v2", "hybrid")]
    bench.rounds("leech", [*floors, *ours, *quick], visit)
    bench.rounds("leech", slow, visit, 1)


# One request at a time, and other depths.


def set_mtu(mtu):
    return subprocess.run(["ip", "link", "set", "lo", "mtu", str(mtu)]).returncode == 0


def ping(bench):
    """One request outstanding: how long each takes. Both on one core."""
    seconds = 1 if bench.quick else 3

    def visit(client, mtu):
        job = bench.job(client)
        with client.seed(job, SEEDER) as program:
            told = sink(job, program.port, "--outstanding", 1, "--warm", 4 * BLOCK, "--bytes", NO_END,
                        "--seconds", seconds, core=SAME, pid=program.pid)[0]
        requests = told["bytes"] / BLOCK
        bench.note(f"one at a time, MTU {mtu}", client.name, per_s=requests / told["seconds"],
                   cpu_us=told["watched_cpu_s"] / requests * 1e6, p50_us=told["p50_us"],
                   p99_us=told["p99_us"])

    for mtu in MTUS:
        if not bench.options.is_alone and mtu != MTUS[0]:
            bench.word(f"one at a time, MTU {mtu}", "needs root: a network of its own")
            continue
        if bench.options.is_alone:
            set_mtu(mtu)
        bench.rounds(f"one at a time, MTU {mtu}",
                     [Raw("writev"), Raw("sendfile"), Tarn(), *others()],
                     lambda client: visit(client, mtu))
    if bench.options.is_alone:
        set_mtu(MTUS[0])


def depth(bench):
    """From one request outstanding to more than anybody keeps, on one connection, both on one core."""

    def visit(client):
        job = bench.job(client)
        size = job.data.stat().st_size
        most = getattr(client, "depth_max", DEPTHS[-1])
        depths = [d for d in DEPTHS if d <= most]
        with client.seed(job, SEEDER) as program:
            sink(job, program.port, "--bytes", size, core=SAME)  # all of it once, unmeasured
            for told in sink(job, program.port, "--outstanding", ",".join(map(str, depths)), "--warm",
                             64 * BLOCK, "--bytes", size, "--seconds", 2, core=SAME, pid=program.pid):
                bench.note("depth", f"{client.name}, {told['depth']}", depth=told["depth"],
                           cpu=cost(told), mb_s=told["mb_s"])

    clients = [c for c in others() if not isinstance(c, Transmission)
               and c.name not in ("libtorrent", "rtorrent")]  # 22 requests a second at depth 1
    bench.rounds("depth", [Raw("writev"), Tarn(), *clients], visit)


# Many peers, many torrents.


def idle(bench):
    """Peers that shake hands and say no more: memory of each, and CPU while nothing happens."""
    quiet = 3 if bench.quick else 15

    def visit(client, n):
        job = bench.job(client, peers=n + 100)
        with client.seed(job) as program:
            sink(job, program.port, "--bytes", BLOCK)  # so that the first of all is not among them
            time.sleep(0.5)
            before, used = program.memory("VmRSS")[0], program.cpu()
            callers = Child([job.peer, "idle", job.torrent, "--connect", f"127.0.0.1:{program.port}",
                             "--peers", n], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            with callers:
                told = json.loads(callers.process.stdout.readline() or "{}")
                if told.get("answered", 0) < n:
                    bench.word("idle", f"{client.name} took {told.get('answered', 0)} of {n} peers")
                    return
                accepting = program.cpu() - used
                time.sleep(1)
                grown = program.memory("VmRSS")[0] - before
                used = program.cpu()
                time.sleep(quiet)
                used = program.cpu() - used
                callers.process.stdin.close()
                left = json.loads(callers.process.stdout.readline())["answered"]
                if left < n:
                    bench.word("idle", f"{client.name} kept {left} of {n} peers")
            bench.note(f"idle, {n} peers", client.name, kib_each=grown / n / KIB,
                       idle_percent=used / quiet * 100, accept_us=accepting / n * 1e6)

    for n in ((100, 1000) if bench.quick else (1000, 5000, 10000)):
        clients = [c for c in others() if c.can_idle and c.name != "libtorrent, high_performance_seed"
                   and (n <= 1000 or not isinstance(c, Transmission))]
        bench.rounds(f"idle, {n} peers", [Tarn(), *clients], lambda client: visit(client, n),
                     1 if n > 1000 else None)


def make_many(bench):
    """Torrents of one small file each."""
    folder, home = bench.folder / "many", bench.folder / "many-data"
    if not folder.exists():
        folder.mkdir()
        home.mkdir()
        for number in range(bench.torrents):
            data = home / f"{number:04}.bin"
            data.write_bytes(os.urandom(TORRENT_LEN))
            run_child([bench.tarn, "create", data, "--format", "v1", "-o",
                       folder / f"{number:04}.torrent"])
    return folder, home


def many_of_tarn(bench, folder, home, how):
    return json.loads(run_child([bench.build / "bench/engine_many", folder, home, how])[1])


def many_of_libtorrent(bench, folder, home, how):
    return json.loads(run_child([PYTHON, HERE / "lt.py", "many", "default", folder, home, how])[1])


class ManyOfTransmission:
    """It is told of all, checks them, and is started again: then it believes what it saved."""

    def __init__(self, bench, folder, home):
        self.client, self.n = Transmission(), bench.torrents
        with self.client.start(bench.work / "transmission-many", home) as child:
            for torrent in sorted(folder.glob("*.torrent")):
                self.client.call(child, "torrent-add", filename=str(torrent))
            self.wait(child, 120)
        self.home = bench.work / "transmission-many"

    def wait(self, child, seconds):
        def all_seed():
            found = self.client.call(child, "torrent-get", fields=["status"])["torrents"]
            return len(found) == self.n and all(t["status"] == self.client.SEED for t in found)

        child.wait_for(all_seed, "seeds all", seconds)

    def __call__(self, bench, folder, home, how):
        began = time.monotonic()
        with self.client.start(self.home, home, keep=True) as child:
            self.wait(child, 60)
            return {"wall": time.monotonic() - began, "cpu": child.cpu(),
                    "rss": child.memory("VmRSS")[0]}


def many(bench):
    """A thousand small torrents, complete: how long until all are seeded."""
    folder, home = make_many(bench)
    ways = [("tarn", "trust", many_of_tarn), ("tarn, checking", "check", many_of_tarn)]
    names = {c.name for c in bench.wanted(others())}
    if "libtorrent" in names:
        ways += [("libtorrent", "trust", many_of_libtorrent),
                 ("libtorrent, checking", "check", many_of_libtorrent)]
    if "transmission" in names:
        ways.append(("transmission, restart", "", ManyOfTransmission(bench, folder, home)))
    for _ in range(bench.options.rounds):
        for name, how, once in ways:
            def measure():
                told = once(bench, folder, home, how)
                bench.note("many torrents", name, seconds=told["wall"], cpu=told["cpu"],
                           kib_each=told["rss"] / bench.torrents / KIB)

            bench.attempt("many torrents", name, measure)


# Lines.


def line_or_word(bench, work):
    why = why_not(bench.wanlink)
    if why:
        bench.word(work, why)
    return not why


def rate_of(trace, way, skip):
    """Mbit/s of one way of the line while it was in use, without the first part of that time."""
    key = f"{way}_bytes"
    last = next((i for i, t in enumerate(trace) if t[key] >= 0.99 * trace[-1][key]), 0)
    first = next((i for i, t in enumerate(trace) if t[key] > 100_000), last)
    used = [t for t in trace[first:last + 1]
            if t["at"] >= trace[first]["at"] + skip * (trace[last]["at"] - trace[first]["at"])]
    if len(used) < 4:
        raise RuntimeError(f"the line was hardly used: {len(trace)} samples until "
                           f"{trace[-1]['at'] if trace else 0} s, {trace[-1][key] if trace else 0} bytes")
    return (used[-1][key] - used[0][key]) * 8 / 1e6 / (used[-1]["at"] - used[0]["at"])


def upload_over(bench, link, start_seed, seconds, *sink_options, depth=1000):
    """Seed at end a, take at end b for so long."""
    job = bench.job()
    with start_seed(job, link.a) as program:
        return sink(job, program.port, "--outstanding", depth, "--bytes", NO_END, "--seconds",
                    seconds, *sink_options, host=link.a.address, before=link.b.enter)[0]


def tarn_at(job, end, *options):
    return Tarn(options=options).seed(job, host=end.address, before=end.enter)


def source_at(job, end, *options):
    return Source(job, *options, host=end.address, before=end.enter)


KIB64 = 64 * KIB


def long_line(bench):
    """How much of a long fat line one connection fills."""
    work = "long line"
    if not line_or_word(bench, work):
        return
    seconds = 4 if bench.quick else 8

    def up(program, start_seed, *sink_options):
        bench.attempt(work, program, lambda: up_once(program, start_seed, *sink_options))

    def up_once(program, start_seed, *sink_options):
        with Link(bench.wanlink, trace_ms=50, congestion="cubic", **LONG) as link:
            upload_over(bench, link, start_seed, seconds, *sink_options)
            trace = link.trace()
        bench.note(work, program, mbit_s=rate_of(trace, "a", 0.5))

    def down():
        """tarn fetches over it: its own depth of requests must cover the line."""
        job = bench.job()
        clear(bench.into)
        with Link(bench.wanlink, trace_ms=50, congestion="cubic", **LONG) as link, \
                source_at(job, link.a) as source:
            fetch = Child([*link.b.enter, job.tarn, "fetch", "--json", "--no-tracker", "--listen",
                           f"{link.b.address}:0", "--peer", f"{link.a.address}:{source.port}", "-o",
                           bench.into, job.torrent])
            with fetch:
                time.sleep(seconds)
                trace = link.trace()
        clear(bench.into)
        bench.note(work, "tarn fetches", mbit_s=rate_of(trace, "a", 0.5))

    for _ in range(bench.options.rounds):
        up("floor, automatic", source_at)
        up("tarn seeds", tarn_at)
        if "--uplink" in sh([bench.tarn, "seed", "--help"]):
            up("tarn seeds, --uplink off", lambda job, end: tarn_at(job, end, "--uplink", "off"))
        bench.attempt(work, "tarn fetches", down)
        up("floor, SO_SNDBUF 64 KiB", lambda job, end: source_at(job, end, "--send-buffer", KIB64))
        up("floor, SO_RCVBUF 64 KiB", source_at, "--recv-buffer", KIB64)
        up("floor, both 64 KiB",
           lambda job, end: source_at(job, end, "--send-buffer", KIB64), "--recv-buffer", KIB64)
        up("floor, SO_SNDBUF 1 MiB", lambda job, end: source_at(job, end, "--send-buffer", MIB))


def home_line(bench):
    """What an upload does to the round trip of a home line: its queue, as the line itself tells it."""
    work = "home line"
    if not line_or_word(bench, work):
        return
    seconds = 8 if bench.quick else 30
    per_ms = HOME["rate_mbit"] * 1e6 / 8 / 1e3  # bytes that leave in a millisecond

    def up(program, congestion, *options):
        bench.attempt(work, program, lambda: up_once(program, congestion, *options))

    def up_once(program, congestion, *options):
        with Link(bench.wanlink, trace_ms=100, congestion=congestion, **HOME) as link:
            upload_over(bench, link, lambda job, end: tarn_at(job, end, *options), seconds, depth=256)
            trace = [t for t in link.trace() if t["at"] <= seconds]
        trips = [2 * HOME["delay_ms"] + t["a_queue"] / per_ms for t in trace]
        late = [r for t, r in zip(trace, trips) if t["at"] >= seconds / 3]
        bench.note(work, program, mbit_s=rate_of(trace, "a", 1 / 3),
                   trip_ms=sum(late) / len(late), trip_max_ms=max(late),
                   curve=[[t["at"], round(r, 1)] for t, r in zip(trace, trips)])

    can = "--uplink" in sh([bench.tarn, "seed", "--help"])
    if not can:
        bench.word(work, "this tarn has no --uplink: the limiter is not measured")
    for _ in range(max(1, bench.options.rounds // 2)):
        up("tarn, CUBIC, limiter off", "cubic", *(["--uplink", "off"] if can else []))
        if can:
            up("tarn, CUBIC, limiter on", "cubic", "--uplink", "auto")
        up("tarn, CUBIC, --rate-up 2200K", "cubic", "--rate-up", "2200K")
        up("tarn, BBR, limiter off", "bbr", *(["--uplink", "off"] if can else []))


WORKS = {
    "seed": seed,
    "leech": leech,
    "ping": ping,
    "depth": depth,
    "idle": idle,
    "many": many,
    "long": long_line,
    "home": home_line,
}
