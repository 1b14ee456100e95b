"""Web seeds: stock web servers have the files, and nobody else does; or both."""
import json
import urllib.parse

import pytest
from peers import Libtorrent
from programs import TarnFetch, TarnSeed, PATIENCE, magnet_of, tarn_create, tarn_fetch, tarn_run
from samples import PIECE, contents, fill
from webserver import Lighttpd, Nginx

KINDS = pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
SERVERS = pytest.mark.parametrize("server", [Nginx, Lighttpd], ids=["nginx", "lighttpd"])

# Names that have to be escaped, or that only look as if they were.
NAMES = {
    "plain.bin": 3_000_001,
    "with space and +plus.bin": 100_000,
    "50%41 percent.bin": 70_001,
    "hash#and?question&.bin": 40_000,
    "sub folder/ünïcode/日本.bin": 250_003,
    "sub folder/semi;colon,'quote'.bin": PIECE,
    "empty": 0,
    "z~tilde_(brackets)[x].bin": 1,
}


def tree(root, name="a folder, 100%"):
    for seed, (path, length) in enumerate(NAMES.items()):
        fill(root / name / path, length, seed)
    return root / name


def single(root, name="a file #1 ü 50%.bin"):
    fill(root / name, 5_000_011, 7)
    return root / name


@pytest.fixture
def www(tmp_path):
    (tmp_path / "www").mkdir()
    return tmp_path / "www"


def made(path, out, kind, *urls):
    options = [option for url in urls for option in ("--web-seed", url)]
    return tarn_create(path, out, kind, "--piece-length", str(PIECE), *options)


@SERVERS
@KINDS
@pytest.mark.parametrize("shape", ["folder", "file"])
def test_nobody_else_there(tmp_path, www, server, kind, shape):
    payload = tree(www) if shape == "folder" else single(www)
    with server(tmp_path, www) as web:
        torrent = made(payload, tmp_path / "t.torrent", kind, web.url)
        tarn_fetch(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


@pytest.mark.parametrize("kind", ["v1", "hybrid"])
def test_url_of_the_file_itself(tmp_path, www, kind):
    payload = single(www)
    with Nginx(tmp_path, www) as web:
        url = web.url + urllib.parse.quote(payload.name)
        tarn_fetch(made(payload, tmp_path / "t.torrent", kind, url), tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


def test_url_without_slash(tmp_path, www):
    """Of several files the name follows a '/', whether it is there or not."""
    payload = tree(www / "below")
    with Nginx(tmp_path, www) as web:
        torrent = made(payload, tmp_path / "t.torrent", "hybrid", web.url + "below")
        tarn_fetch(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www / "below")


@KINDS
def test_magnet_with_web_seed(tmp_path, www, kind):
    """A peer tells what it is, and then goes; the web seed has the rest. (v2's layers come from it, too.)"""
    payload = tree(www)
    with Nginx(tmp_path, www) as web, TarnSeed(
        made(payload, tmp_path / "t.torrent", kind, web.url), www, "--rate-up=20K"
    ) as seed:
        link = magnet_of(tmp_path / "t.torrent")
        assert "&ws=" in link
        tarn_fetch(link, tmp_path / "got", "--peer", seed.address)
    assert contents(tmp_path / "got") == contents(www)


@KINDS
def test_peer_and_web_seed(tmp_path, www, kind):
    """Both are used: each is too slow alone for the other to be left out."""
    payload = www / "two ways"
    fill(payload / "big", 24_000_000, 3)
    fill(payload / "small", 1000, 4)
    with Lighttpd(tmp_path, www) as web, TarnSeed(
        made(payload, tmp_path / "t.torrent", kind, web.url), www, "--rate-up=6M"
    ) as seed:
        events = tarn_fetch(
            tmp_path / "t.torrent", tmp_path / "got", "--peer", seed.address, "--rate-down=8M"
        )
        sent = max(e["uploaded"] for e in seed.events if e["type"] == "status")
    assert contents(tmp_path / "got") == contents(www)
    last = [e for e in events if e["type"] == "status"][-1]
    assert 0 < sent < 24_000_000, "the peer gave a part"
    assert last["wasted"] < 2_000_000, "little came twice"


def test_libtorrent_peer_beside(tmp_path, www):
    payload = tree(www)
    with Nginx(tmp_path, www) as web, Libtorrent() as other:
        torrent = made(payload, tmp_path / "t.torrent", "hybrid", web.url)
        other.add(torrent, www, seed=True)
        tarn_fetch(torrent, tmp_path / "got", "--peer", f"127.0.0.1:{other.port}")
    assert contents(tmp_path / "got") == contents(www)


@KINDS
def test_some_files(tmp_path, www, kind):
    payload = tree(www)
    with Nginx(tmp_path, www) as web:
        torrent = made(payload, tmp_path / "t.torrent", kind, web.url)
        tarn_fetch(torrent, tmp_path / "got", "--only", "*percent*")
    got = contents(tmp_path / "got")
    wanted = {p: b for p, b in contents(www).items() if "percent" in p}
    assert {p: b for p, b in got.items() if not p.endswith(".part")} == wanted


def test_private(tmp_path, www):
    payload = single(www)
    with Nginx(tmp_path, www) as web:
        torrent = tarn_create(payload, tmp_path / "t.torrent", "v1", "--private", "--web-seed", web.url)
        tarn_fetch(torrent, tmp_path / "got", "--sequential")
    assert contents(tmp_path / "got") == contents(www)


def test_not_asked_when_told_so(tmp_path, www):
    payload = single(www)
    with Nginx(tmp_path, www) as web:
        torrent = made(payload, tmp_path / "t.torrent", "v1", web.url)
        done = tarn_run("fetch", "--json", "--listen", "127.0.0.1:0", "--patience", "1",
                        "--no-web-seed", "-o", tmp_path / "got", torrent)
    assert done.returncode == 6, done.stdout + done.stderr


def test_rate_limit_holds(tmp_path, www):
    """A body is not read faster than the limit; seen in the figures it tells, not in time."""
    payload = www / "slow.bin"
    fill(payload, 6_000_000, 5)
    with Nginx(tmp_path, www) as web:
        torrent = made(payload, tmp_path / "t.torrent", "v1", web.url)
        with TarnFetch(torrent, tmp_path / "got", "--rate-down=1M") as run:
            assert run.wait(2 * PATIENCE) == 0, run.story()
            seen = [e["rate_down"] for e in run.events if e["type"] == "status"]
    assert contents(tmp_path / "got") == contents(www)
    assert len(seen) >= 4, "it took its seconds"
    assert max(seen) < 2_500_000, json.dumps(seen)
