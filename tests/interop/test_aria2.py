"""Both directions against aria2 1.36."""
import pytest
from peers import Aria2, old_clients_habit, reads_hybrids
from programs import TarnSeed, magnet_of, tarn_fetch

# Hybrids are beyond aria2 1.36: see the last test.
KINDS = pytest.mark.parametrize("kind", ["v1"])
SHAPES = pytest.mark.parametrize("shape", ["folder", "single"])


@KINDS
@SHAPES
def test_fetch(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with Aria2(s.torrent, s.home, seed=True) as other:
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


@KINDS
@SHAPES
def test_seed(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with Aria2(s.torrent, tmp_path / "got") as other:
        with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
            other.wait_until_done()
    s.assert_same(tmp_path / "got", old_clients_habit)


def test_fetch_by_magnet(sample, tmp_path):
    s = sample("folder", "v1")
    with Aria2(s.torrent, s.home, seed=True) as other:
        tarn_fetch(magnet_of(s.torrent), tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


def test_seed_to_magnet(sample, tmp_path):
    s = sample("folder", "v1")
    with Aria2(magnet_of(s.torrent), tmp_path / "got") as other:
        with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
            other.wait_until_done()
    s.assert_same(tmp_path / "got", old_clients_habit)


def test_hybrids_are_beyond_it(sample):
    """When this fails, a newer version is installed: rejoice, and add "hybrid" to KINDS."""
    assert not reads_hybrids("aria2", sample("single", "hybrid").torrent)
