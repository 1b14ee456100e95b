"""Both directions against Transmission 3.00, as one daemon that lives through this file: its unchoke
tick comes every 10 s, and a new daemon has its first one late."""
import pytest
from peers import Opentracker, Transmission, old_clients_habit, reads_hybrids
from programs import TarnSeed, magnet_of, tarn_fetch

# Hybrids are beyond Transmission 3.00: see the last test.
KINDS = pytest.mark.parametrize("kind", ["v1"])
SHAPES = pytest.mark.parametrize("shape", ["folder", "single"])


@pytest.fixture(scope="module")
def daemon():
    with Transmission() as running:
        yield running


@pytest.fixture
def other(daemon):
    """Adds torrents for one test: all tests share the content and so the info-hashes."""
    numbers = []

    class Guest:
        port = daemon.port
        wait_for_seed = daemon.wait_for_seed
        wait_for_tracker = daemon.wait_for_tracker

        def add(self, what, folder):
            numbers.append(daemon.add(what, folder))
            return numbers[-1]

    yield Guest()
    for number in numbers:
        daemon.remove(number)


@KINDS
@SHAPES
def test_fetch(other, sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    other.wait_for_seed(other.add(s.torrent, s.home))
    tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


@KINDS
@SHAPES
def test_seed(other, sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    number = other.add(s.torrent, tmp_path / "got")
    with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
        other.wait_for_seed(number)
    s.assert_same(tmp_path / "got", old_clients_habit)


def test_fetch_by_magnet(other, sample, tmp_path):
    s = sample("folder", "v1")
    other.wait_for_seed(other.add(s.torrent, s.home))
    tarn_fetch(magnet_of(s.torrent), tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


def test_seed_to_magnet(other, sample, tmp_path):
    """It drops us when it has the metadata, so this also shows that we call again."""
    s = sample("folder", "v1")
    number = other.add(magnet_of(s.torrent), tmp_path / "got")
    with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
        other.wait_for_seed(number)
    s.assert_same(tmp_path / "got", old_clients_habit)


def test_fetch_through_tracker(other, sample, tmp_path):
    s = sample("folder", "v1")
    with Opentracker(*s.hashes()) as tracker:
        torrent = s.tracked(tracker.url)
        number = other.add(torrent, s.home)
        other.wait_for_seed(number)
        other.wait_for_tracker(number)
        tarn_fetch(torrent, tmp_path / "got")
    s.assert_same(tmp_path / "got")


def test_hybrids_are_beyond_it(sample):
    """When this fails, a newer version is installed: rejoice, and add "hybrid" to KINDS."""
    assert not reads_hybrids("transmission", sample("single", "hybrid").torrent)
