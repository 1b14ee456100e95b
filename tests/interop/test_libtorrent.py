"""Both directions against libtorrent 2: the same bytes arrive, verified."""
import pytest
from peers import Libtorrent
from programs import TarnSeed, magnet_of, tarn_fetch

KINDS = pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
SHAPES = pytest.mark.parametrize("shape", ["folder", "single"])


@KINDS
@SHAPES
def test_fetch(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with Libtorrent() as other:
        other.add(s.torrent, s.home, seed=True)
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


@KINDS
@SHAPES
def test_seed(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with TarnSeed(s.torrent, s.home) as us, Libtorrent() as other:
        handle = other.add(s.torrent, tmp_path / "got")
        handle.connect_peer(("127.0.0.1", us.port))
        other.wait_for_seed(handle)
    s.assert_same(tmp_path / "got")


@KINDS
def test_seed_that_calls(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Libtorrent() as other:
        handle = other.add(s.torrent, tmp_path / "got")
        with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
            other.wait_for_seed(handle)
    s.assert_same(tmp_path / "got")


@KINDS
def test_fetch_by_magnet(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Libtorrent() as other:
        other.add(s.torrent, s.home, seed=True)
        tarn_fetch(f"{magnet_of(s.torrent)}&x.pe=127.0.0.1:{other.port}", tmp_path / "got")
    s.assert_same(tmp_path / "got")


@KINDS
def test_seed_to_magnet(sample, tmp_path, kind):
    s = sample("folder", kind)
    with TarnSeed(s.torrent, s.home) as us, Libtorrent() as other:
        handle = other.add_magnet(magnet_of(s.torrent), tmp_path / "got")
        handle.connect_peer(("127.0.0.1", us.port))
        other.wait_for_seed(handle)
    s.assert_same(tmp_path / "got")


def test_fetch_from_two(sample, tmp_path):
    s = sample("single", "hybrid")
    with Libtorrent() as one, Libtorrent() as two:
        calls = []
        for other in (one, two):
            other.add(s.torrent, s.home, seed=True)
            calls += ["--peer", f"127.0.0.1:{other.port}"]
        tarn_fetch(s.torrent, tmp_path / "got", *calls)
    s.assert_same(tmp_path / "got")


def test_two_fetch_from_us_and_each_other(sample, tmp_path):
    s = sample("folder", "hybrid")
    with TarnSeed(s.torrent, s.home) as us, Libtorrent() as one, Libtorrent() as two:
        handles = [
            (other, other.add(s.torrent, tmp_path / name))
            for other, name in ((one, "one"), (two, "two"))
        ]
        for other, handle in handles:
            handle.connect_peer(("127.0.0.1", us.port))
        handles[0][1].connect_peer(("127.0.0.1", two.port))
        for other, handle in handles:
            other.wait_for_seed(handle)
    for name in ("one", "two"):
        s.assert_same(tmp_path / name)
