"""What a node publishes, fetched by other programs: from its web door alone, and from its peer port
alone. Each gets every byte."""
import threading
from pathlib import Path

import libtorrent as lt
import pytest
from nodes import Node
from peers import Aria2, Libtorrent, Transmission, old_clients_habit
from programs import PATIENCE, free_port, tarn_fetch
from samples import contents, make_folder
from webserver import WebServer


class Tracker(WebServer):
    """Names one peer to whoever asks, as soon as there is one: old clients cannot be told of a peer
    on loopback, so the node has to be told of them."""

    def __init__(self):
        self.port_of_peer = None
        self.is_there = threading.Event()
        super().__init__("/nonexistent", Tracker.tell)

    def introduce(self, port):
        self.port_of_peer = port
        self.is_there.set()

    def tell(self):
        """A request's answer; self is its handler."""
        tracker = self.server
        if not tracker.is_there.wait(PATIENCE):
            return False
        peer = bytes([127, 0, 0, 1]) + tracker.port_of_peer.to_bytes(2, "big")
        return self.say("200 OK", lt.bencode({b"interval": 1800, b"peers": peer}))


class Published:
    """A folder that a node publishes, the torrents that it hands out, and who fetches them."""

    def __init__(self, folder, home, kind, *options):
        self.folder = folder
        self.root = make_folder(folder, "www")
        self.node = Node(home, *options)
        self.has_peers = "--bt-listen=off" not in options
        try:
            self.node.wait_runs()
            self.node.publish(self.root, bt=kind)
            self.node.wait_complete("www", self.has_peers)
        except BaseException:
            self.node.stop()
            raise

    def torrent(self, path):
        """Of the collection (""), or of one of its files."""
        out = self.folder / f"{Path(path).name}.torrent"
        out.write_bytes(self.node.get(f"/c/www/{path}?as=torrent"))
        return out

    def magnet(self, path):
        return self.node.get(f"/c/www/{path}?as=magnet").decode().strip()

    @property
    def peer(self):
        host, port = self.node.address().rsplit(":", 1)
        return host, int(port)

    def assert_same(self, into, path, ignore=lambda path, data: False):
        got = {p: b for p, b in contents(into).items() if not ignore(p, b)}
        if path:
            wanted = {Path(path).name: (self.root / path).read_bytes()}
        else:
            wanted = {f"www/{p}": b for p, b in contents(self.root).items() if not ignore(p, b)}
        assert sorted(got) == sorted(wanted)
        for name, data in wanted.items():
            assert got[name] == data, f"{name} differs"


@pytest.fixture
def published(tmp_path, short_home):
    opened = []

    def make(kind, way, *options):
        """way: "web" has no peer port, "peers" names no web seed."""
        if way == "web":
            port = free_port()
            options += (f"--http-listen=127.0.0.1:{port}", "--bt-listen=off",
                        f"--http-public-url=http://127.0.0.1:{port}")
        opened.append(Published(tmp_path, short_home, kind, *options))
        return opened[-1]

    yield make
    for p in opened:
        p.node.stop()


@pytest.fixture
def tracker():
    with Tracker() as running:
        yield running


WAYS = pytest.mark.parametrize("way", ["web", "peers"])
# v1 is for those that know nothing else: aria2 1.36 and Transmission 3.00.
KINDS = pytest.mark.parametrize("kind", ["v2", "hybrid"])
# The collection, and one of its files: larger than a piece, with a name that URLs must escape.
PATHS = pytest.mark.parametrize("path", ["", "ünïcode/日本.bin"], ids=["collection", "file"])


def told_by(tracker):
    return f"--bt-announce={tracker.url}announce", "--bt-trackers=on"


@KINDS
@WAYS
@PATHS
def test_libtorrent(published, tmp_path, kind, way, path):
    p = published(kind, way)
    with Libtorrent() as other:
        handle = other.add(p.torrent(path), tmp_path / "got")
        if way == "peers":
            handle.connect_peer(p.peer)
        other.wait_for_seed(handle)
    p.assert_same(tmp_path / "got", path)


@KINDS
@WAYS
@PATHS
def test_tarn(published, tmp_path, kind, way, path):
    p = published(kind, way)
    calls = ["--peer", "{}:{}".format(*p.peer)] if way == "peers" else []
    events = tarn_fetch(p.torrent(path), tmp_path / "got", "--no-tracker", *calls)
    p.assert_same(tmp_path / "got", path)
    assert events[-1]["downloaded"] > 0


@PATHS
def test_aria2_by_web(published, tmp_path, path):
    p = published("v1", "web")
    with Aria2(p.torrent(path), tmp_path / "got") as other:
        other.wait_until_done()
    p.assert_same(tmp_path / "got", path, old_clients_habit)


@PATHS
def test_aria2_by_peer(published, tracker, tmp_path, path):
    p = published("v1", "peers", *told_by(tracker))
    with Aria2(p.torrent(path), tmp_path / "got") as other:
        tracker.introduce(other.port)
        other.wait_until_done()
    p.assert_same(tmp_path / "got", path, old_clients_habit)


@PATHS
def test_transmission_by_web(published, tmp_path, path):
    p = published("v1", "web")
    with Transmission() as other:
        other.wait_for_seed(other.add(p.torrent(path), tmp_path / "got"))
    p.assert_same(tmp_path / "got", path, old_clients_habit)


@PATHS
def test_transmission_by_peer(published, tracker, tmp_path, path):
    p = published("v1", "peers", *told_by(tracker))
    with Transmission() as other:
        number = other.add(p.torrent(path), tmp_path / "got")
        tracker.introduce(other.port)
        other.wait_for_seed(number)
    p.assert_same(tmp_path / "got", path, old_clients_habit)


@KINDS
@PATHS
def test_libtorrent_by_magnet(published, tmp_path, kind, path):
    p = published(kind, "peers")
    with Libtorrent() as other:
        handle = other.add_magnet(p.magnet(path), tmp_path / "got")
        handle.connect_peer(p.peer)
        other.wait_for_seed(handle)
    p.assert_same(tmp_path / "got", path)


@KINDS
@PATHS
def test_tarn_by_magnet(published, tmp_path, kind, path):
    p = published(kind, "peers")
    tarn_fetch(p.magnet(path), tmp_path / "got", "--no-tracker", "--peer", "{}:{}".format(*p.peer))
    p.assert_same(tmp_path / "got", path)
