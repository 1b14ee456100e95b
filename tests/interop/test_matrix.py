"""Both directions against every program we can get: the same bytes arrive, verified."""
import subprocess

import pytest
from peers import Aria2, Libtorrent, Opentracker, TarnSeed, Transmission, tarn_fetch, wait_for_seed, wait_until

KINDS = ["v1", "v2", "hybrid"]
SHAPES = ["folder", "single"]


def is_pad(path):
    """Transmission 3 and aria2 write padding out as files; libtorrent and we do not."""
    return "/.pad/" in path or path.startswith(".pad/")


def magnet_of(torrent):
    from peers import TARN
    import json

    out = subprocess.run([TARN, "show", "--json", str(torrent)], capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[0])["magnet"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_fetch_from_libtorrent(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with Libtorrent() as other:
        other.add(s.torrent, s.home, seed=True)
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_libtorrent_fetches_from_us(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with TarnSeed(s.torrent, s.home) as us, Libtorrent() as other:
        handle = other.add(s.torrent, tmp_path / "got")
        handle.connect_peer(("127.0.0.1", us.port))
        wait_for_seed(handle, other)
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
def test_we_call_libtorrent_and_it_fetches(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Libtorrent() as other:
        handle = other.add(s.torrent, tmp_path / "got")
        with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
            wait_for_seed(handle, other)
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
def test_magnet_from_libtorrent(sample, tmp_path, kind):
    s = sample("folder", kind)
    with Libtorrent() as other:
        other.add(s.torrent, s.home, seed=True)
        peer = f"127.0.0.1:{other.port}"
        tarn_fetch(magnet_of(s.torrent) + f"&x.pe={peer}", tmp_path / "got")
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
def test_libtorrent_gets_magnet_from_us(sample, tmp_path, kind):
    s = sample("folder", kind)
    with TarnSeed(s.torrent, s.home) as us, Libtorrent() as other:
        handle = other.add_magnet(magnet_of(s.torrent), tmp_path / "got")
        handle.connect_peer(("127.0.0.1", us.port))
        wait_for_seed(handle, other)
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", ["v1", "hybrid"])
@pytest.mark.parametrize("shape", SHAPES)
def test_fetch_from_transmission(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with Transmission(s.home) as other:
        other.wait_for_seed(other.add(s.torrent, s.home))
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", ["v1", "hybrid"])
@pytest.mark.parametrize("shape", SHAPES)
def test_transmission_fetches_from_us(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with Transmission(tmp_path / "got") as other:
        number = other.add(s.torrent, tmp_path / "got")
        with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
            other.wait_for_seed(number)
    s.assert_same(tmp_path / "got", is_pad)


def test_magnet_from_transmission(sample, tmp_path):
    s = sample("folder", "v1")
    with Transmission(s.home) as other:
        other.wait_for_seed(other.add(s.torrent, s.home))
        peer = f"127.0.0.1:{other.port}"
        tarn_fetch(magnet_of(s.torrent), tmp_path / "got", "--peer", peer)
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("shape", SHAPES)
def test_fetch_from_aria2(sample, tmp_path, shape):
    s = sample(shape, "v1")
    with Aria2(s.torrent, s.home, seed=True) as other:
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("shape", SHAPES)
def test_aria2_fetches_from_us(sample, tmp_path, shape):
    s = sample(shape, "v1")
    with Aria2(s.torrent, tmp_path / "got") as other:
        with TarnSeed(s.torrent, s.home, "--peer", f"127.0.0.1:{other.port}"):
            other.wait_until_done()
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
def test_tracker_brings_us_together(tmp_path, sample, kind):
    """opentracker knows only whitelisted hashes, so the torrent comes first and its URL by option."""
    bare = sample("folder", kind)
    with Opentracker(*bare.hashes()) as tracker:
        torrent = tmp_path / "tracked.torrent"
        from conftest import tarn_create

        tarn_create(bare.payload, torrent, "--format", kind, "--piece-length", "32768", "--tracker", tracker.url)
        with TarnSeed(torrent, bare.home) as us:
            wait_until(
                lambda: any(e.get("event") == "tracker" for e in us.events), "the tracker has answered"
            )
            tarn_fetch(torrent, tmp_path / "got")
    bare.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
def test_from_us_to_us_over_ipv6(sample, tmp_path, kind):
    s = sample("folder", kind)
    with TarnSeed(s.torrent, s.home, host="[::1]") as us:
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", f"[::1]:{us.port}")
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("kind", KINDS)
def test_magnet_from_us_to_us(sample, tmp_path, kind):
    s = sample("folder", kind)
    with TarnSeed(s.torrent, s.home) as us:
        tarn_fetch(magnet_of(s.torrent), tmp_path / "got", "--peer", f"127.0.0.1:{us.port}")
    s.assert_same(tmp_path / "got")
