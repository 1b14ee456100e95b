"""The others among themselves. When one of these fails, the fault is in the tests, not in tarn."""
import pytest
from peers import Aria2, Libtorrent, Opentracker, Transmission, old_clients_habit
from samples import with_libtorrent

import libtorrent as lt


@pytest.fixture
def v1(sample):
    return sample("folder", "v1", with_libtorrent)


def test_libtorrent_to_transmission(v1, tmp_path):
    with Libtorrent() as here, Transmission() as there:
        handle = here.add(v1.torrent, v1.home, seed=True)
        number = there.add(v1.torrent, tmp_path / "got")
        handle.connect_peer(("127.0.0.1", there.port))
        there.wait_for_seed(number)
    v1.assert_same(tmp_path / "got", old_clients_habit)


def test_transmission_to_libtorrent_by_magnet(v1, tmp_path):
    with Libtorrent() as here, Transmission() as there:
        there.wait_for_seed(there.add(v1.torrent, v1.home))
        handle = here.add_magnet(lt.make_magnet_uri(v1.info), tmp_path / "got")
        handle.connect_peer(("127.0.0.1", there.port))
        here.wait_for_seed(handle)
    v1.assert_same(tmp_path / "got")


def test_libtorrent_to_aria2_and_back(v1, tmp_path):
    with Libtorrent() as here:
        handle = here.add(v1.torrent, v1.home, seed=True)
        with Aria2(v1.torrent, tmp_path / "got") as there:
            handle.connect_peer(("127.0.0.1", there.port))
            there.wait_until_done()
    v1.assert_same(tmp_path / "got")
    with Libtorrent() as here, Aria2(v1.torrent, v1.home, seed=True) as there:
        handle = here.add(v1.torrent, tmp_path / "back")
        handle.connect_peer(("127.0.0.1", there.port))
        here.wait_for_seed(handle)
    v1.assert_same(tmp_path / "back")


@pytest.mark.parametrize("kind", ["v1", "hybrid"])
def test_opentracker_introduces(sample, tmp_path, kind):
    s = sample("folder", kind, with_libtorrent)
    with Opentracker(*s.hashes()) as tracker, Libtorrent() as one, Libtorrent() as two:
        torrent = s.tracked(tracker.url)
        one.wait_for_tracker(one.add(torrent, s.home, seed=True))
        two.wait_for_seed(two.add(torrent, tmp_path / "got"))
    s.assert_same(tmp_path / "got")
