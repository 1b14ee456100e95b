"""The bench's peer against tarn: what it counts was really there, and it cannot be told lies."""
import importlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from programs import PATIENCE, Program, TarnFetch, TarnSeed, tarn_create, tarn_fetch

PEER = os.path.abspath(os.environ.get("ENGINE_PEER", "build-test/bench/engine_peer"))
MANY = os.path.abspath(os.environ.get("ENGINE_MANY", "build-test/bench/engine_many"))
PIECE = 65536
LENGTH = 20 * PIECE + 16384 + 77  # the last piece and the last block are short
KINDS = ["v1", "v2", "hybrid"]


@pytest.fixture
def payload(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    data = home / "data.bin"
    data.write_bytes(os.urandom(LENGTH))
    return data


def torrent_of(data, kind):
    return tarn_create(data, data.parent.parent / f"{kind}.torrent", kind, "--piece-length", str(PIECE))


def peer(*words, code=0):
    done = subprocess.run([PEER, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=2 * PATIENCE)
    assert done.returncode == code, done.stderr + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else done.stderr


class Source(Program):
    """The bench's seeder."""

    def __init__(self, torrent, data, *options):
        super().__init__([PEER, "source", torrent, data, "--listen", "127.0.0.1:0", *options])
        self.port = self.wait_until(lambda: self.lines(), "the source listens")[0]["listening"]

    def lines(self):
        return [json.loads(line) for line in self.output().splitlines(True) if line.endswith("\n")]

    def result(self):
        self.process.wait(PATIENCE)
        assert self.process.returncode == 0, self.output()
        return self.lines()[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_sink_gets_every_piece_of_a_seed(payload, kind):
    torrent = torrent_of(payload, kind)
    with TarnSeed(torrent, payload) as seed:
        told = peer("sink", torrent, "--connect", f"127.0.0.1:{seed.port}", "--check",
                    "--outstanding", "8", "--bytes", LENGTH)
        assert told[0]["bytes"] == LENGTH
        assert told[0]["pieces_good"] == 21


def test_sink_asks_round_after_round(payload):
    """Several depths on one connection, each over more than the whole torrent, in order and not."""
    torrent = torrent_of(payload, "v1")
    with TarnSeed(torrent, payload) as seed:
        at = ["--connect", f"127.0.0.1:{seed.port}", "--watch", seed.process.pid]
        told = peer("sink", torrent, *at, "--check", "--outstanding", "1,4,64", "--bytes", 2 * LENGTH)
        assert [line["depth"] for line in told] == [1, 4, 64]
        assert all(line["bytes"] >= 2 * LENGTH for line in told)
        assert told[-1]["pieces_good"] >= 6 * 21 - 3
        assert all(line["watched_cpu_s"] > 0 for line in told)
        assert 0 < told[0]["p50_us"] <= told[0]["p99_us"] <= told[0]["max_us"]
        told = peer("sink", torrent, *at, "--check", "--random", "--bytes", LENGTH)
        assert told[0]["pieces_good"] >= 1
        told = peer("sink", torrent, *at, "--trunc", "--warm", LENGTH, "--bytes", LENGTH)
        assert told[0]["bytes"] >= LENGTH - 256 * 16384
        told = peer("sink", torrent, *at, "--seconds", "1", "--bytes", "1024G")
        assert told[0]["seconds"] >= 1 and told[0]["bytes"] > 0


def test_sink_believes_no_seed(payload):
    torrent = torrent_of(payload, "v1")
    with open(payload, "r+b") as f:
        f.seek(3 * PIECE + 5)
        byte = f.read(1)
        f.seek(3 * PIECE + 5)
        f.write(bytes([byte[0] ^ 1]))
    with TarnSeed(torrent, payload, "--trust") as seed:
        said = peer("sink", torrent, "--connect", f"127.0.0.1:{seed.port}", "--check", "--bytes", LENGTH,
                    code=1)
        assert "piece 3 is not what the torrent says" in said


def test_sink_takes_no_other_torrent(payload):
    with TarnSeed(torrent_of(payload, "v1"), payload) as seed:
        said = peer("sink", torrent_of(payload, "v2"), "--connect", f"127.0.0.1:{seed.port}", code=1)
        assert "before its handshake" in said


@pytest.mark.parametrize("io", ["writev", "sendfile"])
@pytest.mark.parametrize("kind", KINDS)
def test_fetch_from_the_source(payload, tmp_path, kind, io):
    torrent, into = torrent_of(payload, kind), tmp_path / "into"
    with Source(torrent, payload, "--io", io) as source:
        tarn_fetch(torrent, into, "--no-tracker", "--peer", f"127.0.0.1:{source.port}")
        assert (into / payload.name).read_bytes() == payload.read_bytes()
        assert source.result()["bytes"] >= LENGTH


def test_source_calls(payload, tmp_path):
    """Some programs cannot be told of a peer: then it calls them."""
    torrent, into = torrent_of(payload, "v1"), tmp_path / "into"
    with TarnFetch(torrent, into, "--no-tracker") as fetch:
        peer("source", torrent, payload, "--connect", f"127.0.0.1:{fetch.port}", "--watch",
             fetch.process.pid)
        assert fetch.wait() == 0, fetch.story()
        assert (into / payload.name).read_bytes() == payload.read_bytes()


def test_floor_against_itself(payload):
    torrent = torrent_of(payload, "v1")
    with Source(torrent, payload) as source:
        told = peer("sink", torrent, "--connect", f"127.0.0.1:{source.port}", "--check", "--bytes", LENGTH)
        assert told[0]["pieces_good"] == 21
        assert source.result()["bytes"] == LENGTH


def test_source_stays(payload):
    torrent = torrent_of(payload, "v1")
    with Source(torrent, payload, "--stay") as source:
        for _ in range(2):
            told = peer("sink", torrent, "--connect", f"127.0.0.1:{source.port}", "--bytes", LENGTH)
            assert told[0]["bytes"] == LENGTH
        assert source.process.poll() is None


def test_idle_callers_are_all_answered(payload):
    torrent = torrent_of(payload, "v1")
    with TarnSeed(torrent, payload) as seed:
        idle = subprocess.Popen([PEER, "idle", torrent, "--connect", f"127.0.0.1:{seed.port}",
                                 "--peers", "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        told = json.loads(idle.stdout.readline())
        assert told["called"] == 100 and told["answered"] == 100 and told["refused"] == 0
        seed.wait_for(lambda e: e.get("peers") == 100, "all are counted")
        idle.stdin.close()
        left = json.loads(idle.stdout.readline())
        assert idle.wait(PATIENCE) == 0 and left["answered"] == 100
        idle.stdout.close()


def many(folder, home, how):
    return subprocess.run([MANY, folder, home, how], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE)


def test_many_are_seeded(tmp_path):
    """A count that is right, and a folder with damaged data that is not counted as ready."""
    home, folder = tmp_path / "home", tmp_path / "torrents"
    home.mkdir()
    folder.mkdir()
    for number in range(20):
        data = home / f"{number}.bin"
        data.write_bytes(os.urandom(PIECE))
        tarn_create(data, folder / f"{number}.torrent", "v1")
    for how in ("trust", "check"):
        done = many(folder, home, how)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["torrents"] == 20
    (home / "7.bin").write_bytes(bytes(PIECE))
    assert many(folder, home, "trust").returncode == 0
    done = many(folder, home, "check")
    assert done.returncode == 1 and "engine_many: " in done.stderr


@pytest.mark.parametrize("words, said", [
    (["sink"], "how it is called"),
    (["sink", "nowhere.torrent", "--connect", "127.0.0.1:1"], "nowhere.torrent: No such file"),
    (["sink", "x", "--connect", "127.0.0.1:port"], "not a number"),
    (["sink", "x", "--connect", "localhost:1"], "is no IPv4 address"),
    (["sink", "x"], "--connect ADDR:PORT or --listen"),
    (["sink", "x", "--listen", "127.0.0.1:0", "--outstanding", "0"], "numbers above 0"),
    (["sink", "x", "--listen", "127.0.0.1:0", "--check", "--trunc"], "throws away"),
    (["source", "x", "y", "--listen", "127.0.0.1:0", "--io", "magic"], "neither writev nor sendfile"),
])
def test_wrong_words(words, said):
    assert said in peer(*words, code=1)


def test_report_of_all_works(monkeypatch):
    """Each work has floors and targets of its own kind: the report comes at the end of half an hour."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench" / "engine")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench")
    report = importlib.import_module("report")
    works = {work for work, *_ in report.target_rows(report.Figures({}))}
    results = {work: {program: [{key: 1.0 for key, *_ in report.COLUMNS[report.kind_of(work)]} | {"load": 0}]
                      for program in ("floor, automatic", "tarn", "tarn seeds", "aria2", "rtorrent")}
               for work in works}
    rows = list(report.targets(report.Figures(results)))
    assert all(any(row.startswith(f"| {work} |") for row in rows) for work in works)
    for work in works:
        assert len(list(report.table(results, work))) == 3 + 5
