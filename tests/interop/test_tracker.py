"""opentracker brings peers together: us and us, us and libtorrent, both ways."""
import pytest
from peers import Libtorrent, Opentracker
from programs import TarnSeed, magnet_of, tarn_fetch

KINDS = pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])


def tracked_seed(torrent, home):
    us = TarnSeed(torrent, home)
    us.wait_for(lambda e: e.get("event") == "tracker", "the tracker has answered")
    return us


@KINDS
def test_us_and_us(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Opentracker(*s.hashes()) as tracker:
        torrent = s.tracked(tracker.url)
        with tracked_seed(torrent, s.home):
            tarn_fetch(torrent, tmp_path / "got")
    s.assert_same(tmp_path / "got")


@KINDS
def test_us_and_us_by_magnet(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Opentracker(*s.hashes()) as tracker:
        torrent = s.tracked(tracker.url)
        with tracked_seed(torrent, s.home):
            tarn_fetch(magnet_of(torrent), tmp_path / "got")
    s.assert_same(tmp_path / "got")


@KINDS
def test_libtorrent_finds_us(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Opentracker(*s.hashes()) as tracker:
        torrent = s.tracked(tracker.url)
        with tracked_seed(torrent, s.home), Libtorrent() as other:
            other.wait_for_seed(other.add(torrent, tmp_path / "got"))
    s.assert_same(tmp_path / "got")


@KINDS
def test_we_find_libtorrent(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Opentracker(*s.hashes()) as tracker, Libtorrent() as other:
        torrent = s.tracked(tracker.url)
        other.wait_for_tracker(other.add(torrent, s.home, seed=True))
        tarn_fetch(torrent, tmp_path / "got")
    s.assert_same(tmp_path / "got")
