"""tarn to tarn."""
import pytest
from programs import TarnFetch, TarnSeed, magnet_of, tarn_create, tarn_fetch, tarn_run
from samples import contents, make_file

KINDS = pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
SHAPES = pytest.mark.parametrize("shape", ["folder", "single"])


@KINDS
@SHAPES
def test_fetch(sample, tmp_path, shape, kind):
    s = sample(shape, kind)
    with TarnSeed(s.torrent, s.payload) as us:
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", us.address)
    s.assert_same(tmp_path / "got")
    assert tarn_run("verify", s.torrent, tmp_path / "got").returncode == 0


@KINDS
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_fetch_by_magnet(sample, tmp_path, kind, host):
    s = sample("folder", kind)
    with TarnSeed(s.torrent, s.home, host=host) as us:
        tarn_fetch(magnet_of(s.torrent), tmp_path / "got", "--peer", us.address)
    s.assert_same(tmp_path / "got")


def test_fetch_only_some(sample, tmp_path):
    s = sample("folder", "hybrid")
    with TarnSeed(s.torrent, s.home) as us:
        tarn_fetch(s.torrent, tmp_path / "got", "--peer", us.address, "--only", "*/sub/*")
    got = contents(tmp_path / "got")
    wanted = {p: b for p, b in contents(s.home).items() if p.startswith("payload/sub/")}
    assert sorted(got) == sorted(wanted)
    assert got == wanted


def test_fetch_goes_on_where_it_was(sample, tmp_path):
    """A file and a half are there already: they are checked, not asked for again."""
    s = sample("folder", "hybrid")
    there = tmp_path / "got" / "payload"
    there.mkdir(parents=True)
    (there / "a.bin").write_bytes((s.payload / "a.bin").read_bytes())
    (there / "zz.bin.part").write_bytes((s.payload / "zz.bin").read_bytes()[:2_000_000])
    with TarnSeed(s.torrent, s.home) as us:
        events = tarn_fetch(s.torrent, tmp_path / "got", "--peer", us.address)
    s.assert_same(tmp_path / "got")
    arrived = max(e.get("downloaded", 0) for e in events)
    assert 0 < arrived < 3_300_000


def test_chain(sample, tmp_path):
    """The second one serves the third while it is still fetching."""
    s = sample("single", "hybrid")
    with TarnSeed(s.torrent, s.home, "--rate-up", "2M") as first:
        with TarnFetch(s.torrent, tmp_path / "two", "--peer", first.address, "--stay") as second:
            tarn_fetch(s.torrent, tmp_path / "three", "--peer", f"127.0.0.1:{second.port}")
    s.assert_same(tmp_path / "three")


@KINDS
@pytest.mark.parametrize("memory", ["256K", "8M"])
def test_pieces_too_long_for_the_memory(tmp_path, kind, memory):
    """They are written as they come, and read back to be hashed; from two seeds at once."""
    home = tmp_path / "home"
    home.mkdir()
    payload = make_file(home, "long.bin", 20_000_003)
    torrent = tarn_create(payload, tmp_path / "t", kind, "--piece-length", "4M")
    with TarnSeed(torrent, home) as one, TarnSeed(torrent, home) as two:
        peers = ["--peer", one.address, "--peer", two.address]
        tarn_fetch(torrent, tmp_path / "got", "--memory", memory, *peers)
    assert contents(tmp_path / "got") == contents(home)
