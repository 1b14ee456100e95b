"""tarn fetch and tarn seed, between themselves: how they begin, end and fail."""
import functools
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time

import libtorrent as lt
import pytest
from faults import small_disk
from program import (INTEGRITY, NETWORK, NOT_FOUND, NO_SPACE, PARTIAL, PATIENCE, TARN, TREE,
                     USAGE, damage, fill, huge, run)
from programs import SLOWNESS


class Background:
    """A tarn that goes on until it is told to stop; its JSON lines are read meanwhile."""

    def __init__(self, *words):
        self.lines = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen([TARN, *map(str, words), "--json"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, holds=lambda line: True, **wanted):
        """The first line of which this and all of these hold."""
        def look():
            for line in self.lines:
                if holds(line) and all(line.get(key) == value for key, value in wanted.items()):
                    return line
            return None

        with self.changed:
            self.changed.wait_for(lambda: look() or not self.reader.is_alive(), PATIENCE)
            assert look(), (wanted, self.lines)
            return look()

    @property
    def address(self):
        return self.wait_for(event="listening")["text"]

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)
        self.reader.join(30)
        words = self.process.stderr.read()
        assert "Sanitizer" not in words and "runtime error" not in words, words
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def seed(torrent, path, *options):
    there = Background("seed", torrent, path, "--listen=127.0.0.1:0", *options)
    there.wait_for(state="seeding")
    return there


def fetch(what, into, *options, code=0, json=True):
    return run("fetch", what, "-o", into, "--listen=127.0.0.1:0", *options,
               *(["--json"] if json else []), code=code)


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_folder(tree, tmp_path, create, kind):
    (tree / "z").chmod(0o755)
    torrent = create(tree, "--format", kind, "--piece-length", "32K")
    into = tmp_path / "new" / "folder"
    with seed(torrent, tree) as there:
        done = fetch(torrent, into, "--peer", there.address)
        assert there.stop() == 0
    assert contents(into / "tree") == contents(tree)
    assert os.access(into / "tree" / "z", os.X_OK)
    assert not os.access(into / "tree" / "a.bin", os.X_OK)
    assert done.of("event")[-1]["event"] == "complete"
    assert done.lines[-1]["type"] == "fetched" and done.lines[-1]["complete"] is True
    assert done.lines[-1]["downloaded"] >= sum(TREE.values())
    last = there.lines[-1]
    assert last["type"] == "seeded" and last["uploaded"] >= sum(TREE.values())


def test_words(tree, tmp_path, create):
    torrent = create(tree)
    with seed(torrent, tree.parent) as there:
        done = fetch(torrent, tmp_path / "got", "--peer", there.address, json=False)
    assert done.text == "done: received 404.9 KiB, sent 0 B\n"
    assert done.words.startswith("listening: 127.0.0.1:") and "complete: tree\n" in done.words


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_magnet_link(tree, tmp_path, create, kind):
    torrent = create(tree, "--format", kind, "--piece-length", "16K")
    magnet = run("show", "--json", torrent).lines[0]["magnet"]
    kept = tmp_path / "kept.torrent"
    with seed(torrent, tree) as there:
        done = fetch(f"{magnet}&x.pe={there.address}", tmp_path / "got", "--save-torrent", kept)
    assert contents(tmp_path / "got" / "tree") == contents(tree)
    assert {"event": "metadata", "text": "tree"}.items() <= done.of("event")[1].items()
    assert lt.torrent_info(str(kept)).info_hashes() == lt.torrent_info(str(torrent)).info_hashes()
    run("verify", kept, tree)


def test_only_some(tree, tmp_path, create):
    torrent = create(tree, "--piece-length", "16K")
    with seed(torrent, tree) as there:
        fetch(torrent, tmp_path / "got", "--peer", there.address, "--only", "b/*", "--only=*/z")
        found = {p for p in contents(tmp_path / "got" / "tree") if not p.endswith(".part")}
        assert found == {"b/empty", "b/exactly", "b/one", "z"}
        refused = fetch(torrent, tmp_path / "none", "--only", "*.iso", code=NOT_FOUND)
        assert "*.iso" in refused.error["message"]
        magnet = run("show", "--json", torrent).lines[0]["magnet"]
        refused = fetch(magnet, tmp_path / "none", "--peer", there.address, "--only", "*.iso",
                        code=NOT_FOUND)


def test_everything_is_there_already(tree, create):
    torrent = create(tree)
    before = {p: p.stat().st_mtime_ns for p in tree.rglob("*")}
    done = fetch(torrent, tree.parent, "--no-tracker")
    assert done.lines[-1]["downloaded"] == 0
    assert {p: p.stat().st_mtime_ns for p in tree.rglob("*")} == before


def test_goes_on_where_it_was(tmp_path, create):
    file = fill(tmp_path / "home" / "big", 8 << 20)
    torrent = create(file, "--piece-length", "64K")
    into = tmp_path / "got"
    with seed(torrent, file, "--rate-up=1M") as there:
        here = Background("fetch", torrent, "-o", into, "--listen=127.0.0.1:0", "--peer",
                          there.address)
        here.wait_for(lambda line: line.get("done", 0) > 1 << 20)
        assert here.stop() == PARTIAL
        assert here.lines[-1]["error"]["code"] == "canceled"
    assert not (into / "big").exists() and (into / "big.part").exists()
    with seed(torrent, file) as there:
        done = fetch(torrent, into, "--peer", there.address)
    assert done.lines[-1]["downloaded"] < 7 << 20
    assert (into / "big").read_bytes() == file.read_bytes()
    assert not (into / "big.part").exists()


def test_rate_is_kept(tmp_path, create):
    file = fill(tmp_path / "home" / "some", 3 << 20)
    torrent = create(file)
    for up, down in [("1M", "0"), ("0", "1M")]:
        with seed(torrent, file, f"--rate-up={up}") as there:
            begin = time.monotonic()
            fetch(torrent, tmp_path / f"got{up}", "--peer", there.address, f"--rate-down={down}")
            assert time.monotonic() - begin > 2


def test_seeds_afterwards(tree, tmp_path, create):
    torrent = create(tree)
    with seed(torrent, tree) as there:
        begin = time.monotonic()
        fetch(torrent, tmp_path / "a", "--peer", there.address, "--seed-for=2s")
        assert time.monotonic() - begin > 1.9
        with Background("fetch", torrent, "-o", tmp_path / "b", "--stay", "--listen=127.0.0.1:0",
                        "--peer", there.address) as staying:
            staying.wait_for(event="complete")
            there.stop()
            fetch(torrent, tmp_path / "c", "--peer", staying.address)
            assert staying.stop(signal.SIGTERM) == 0
    assert contents(tmp_path / "c") == contents(tmp_path / "a")


def test_nobody_to_ask(tree, tmp_path, create):
    torrent = create(tree)
    begin = time.monotonic()
    done = fetch(torrent, tmp_path / "got", "--peer", f"127.0.0.1:{closed_port()}",
                 "--patience=1", code=NETWORK)
    assert done.error["code"] == "network" and "--peer" in done.error["message"]
    assert 0.9 < time.monotonic() - begin < 30 * SLOWNESS


def test_port_that_is_taken(tree, create):
    torrent = create(tree)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        address = f"127.0.0.1:{s.getsockname()[1]}"
        done = run("seed", torrent, tree, "--listen", address, code=USAGE)
        assert address in done.words and "using the port" in done.words
    for nonsense in ["localhost:1", "1.2.3.4:99999", "::1:1", "x"]:
        run("seed", torrent, tree, "--listen", nonsense, code=USAGE)


def test_usual_ports(tree, create):
    torrent = create(tree)
    with Background("seed", torrent, tree) as one, Background("seed", torrent, tree) as two:
        one.wait_for(state="seeding")
        two.wait_for(state="seeding")
        ports = {one.address.rsplit(":", 1)[1], two.address.rsplit(":", 1)[1]}
        assert len(ports) == 2
        assert one.stop() == 0 and two.stop(signal.SIGTERM) == 0


def test_seeding_what_is_not_so(tree, tmp_path, create):
    torrent = create(tree, "--piece-length", "16K")
    damage(tree / "a.bin", 50_000)
    done = run("seed", "--json", torrent, tree, "--listen=127.0.0.1:0", code=INTEGRITY)
    assert done.error["code"] == "integrity"
    with seed(torrent, tree, "--trust") as there:
        assert there.stop() == 0
    os.remove(tree / "a.bin")
    run("seed", torrent, tree, "--listen=127.0.0.1:0", code=INTEGRITY)
    run("seed", torrent, tmp_path / "nowhere", "--listen=127.0.0.1:0", code=NOT_FOUND)
    magnet = run("show", "--json", torrent).lines[0]["magnet"]
    run("seed", magnet, tree, code=USAGE)


@pytest.fixture
def web(tmp_path):
    """A web server over tmp_path."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_url(tree, tmp_path, create, web):
    torrent = create(tree)
    with seed(torrent, tree) as there:
        fetch(f"{web}/out.torrent", tmp_path / "got", "--peer", there.address)
    assert contents(tmp_path / "got" / "tree") == contents(tree)
    done = fetch(f"{web}/nowhere.torrent", tmp_path / "none", code=None)
    assert done.code != 0 and "nowhere.torrent" in done.error["message"]
    assert "404" in done.error["message"]
    fetch(f"http://127.0.0.1:{closed_port()}/x", tmp_path / "none", code=NETWORK)
    fill(tmp_path / "garbage", 1000)
    fetch(f"{web}/garbage", tmp_path / "none", code=1)


def test_full_disk(tmp_path, create):
    file = fill(tmp_path / "home" / "big", 4 << 20)
    torrent = create(file)
    with small_disk(tmp_path / "disk", "1m") as disk, seed(torrent, file) as there:
        done = fetch(torrent, disk, "--peer", there.address, code=NO_SPACE)
    assert done.error["code"] == "no-space"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_before_anything(tree, tmp_path, create, number):
    torrent = create(tree)
    here = Background("fetch", torrent, "-o", tmp_path / "got", "--listen=127.0.0.1:0",
                      "--no-tracker", "--peer", f"127.0.0.1:{closed_port()}")
    here.wait_for(state="fetching")
    begin = time.monotonic()
    assert here.stop(number) == PARTIAL
    assert time.monotonic() - begin < 8 * SLOWNESS
    assert "goes on from there" in here.lines[-1]["error"]["message"]


def test_sequential(tmp_path, create):
    file = fill(tmp_path / "home" / "big", 2 << 20)
    torrent = create(file, "--piece-length", "16K")
    with seed(torrent, file) as there:
        fetch(torrent, tmp_path / "got", "--peer", there.address, "--sequential", "--memory=1M")
    assert (tmp_path / "got" / "big").read_bytes() == file.read_bytes()


def test_lines_say_how_it_stands(tmp_path, create):
    huge(tmp_path / "home" / "big", 64 << 20)
    torrent = create(tmp_path / "home" / "big")
    with seed(torrent, tmp_path / "home", "--rate-up=20M") as there:
        done = fetch(torrent, tmp_path / "got", "--peer", there.address)
    stands = done.of("status")
    assert all(s["done"] <= s["total"] == 64 << 20 for s in stands)
    assert {"state", "peers", "seeds", "rate_down", "rate_up", "wasted"} <= stands[-1].keys()
    assert stands[-1]["done"] == 64 << 20
