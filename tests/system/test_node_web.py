"""The public door: files, folders, siblings, identities; and that nothing else is behind it."""
import base64
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import quote

import libtorrent as lt
import pytest
from fakepeer import BITFIELD, CHOKE, PLAIN, UNCHOKE, Content, bdecode, call
from door import BLOCK, Node, Slow, identity, settle, v2_root
from programs import PATIENCE, free_port, wait_until
from proof import check as check_proof

ODD = ["a b.txt", "50%.txt", "a#b.txt", "what?.txt", "Ünïcödé ☃.txt", "a:b.txt", "a+b&c=d.txt",
       "<b>'\".txt", "%41.txt", "x" * 255, "a\\b.txt", "new\nline.txt"]
EMPTY = hashlib.sha256(b"").hexdigest()


def noise(length, seed=0):
    return random.Random(seed).randbytes(length)


BIG = noise(1_000_000, 1)


@pytest.fixture
def home():
    with tempfile.TemporaryDirectory(prefix="tarn-web-") as folder:
        yield Path(folder) / "home"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    www = root / "www"
    (www / "sub" / "deep").mkdir(parents=True)
    (www / "big.bin").write_bytes(BIG)
    (www / "empty").touch()
    (www / "one").write_bytes(b"x")
    (www / "sub" / "text.txt").write_bytes(b"hello\n")
    (www / "sub" / "deep" / "same.bin").write_bytes(BIG)
    (www / ".hidden").write_bytes(b"secret")
    odd = root / "odd" / "odd"
    odd.mkdir(parents=True)
    for name in ODD:
        (odd / name).write_bytes(name.encode())
    Path(os.fsdecode(os.fsencode(odd) + b"/\xff\xfe.bin")).write_bytes(b"bytes")
    (www / "page").mkdir()
    (www / "page" / "index.html").write_bytes(b"<h1>own</h1>")
    (www / "own.txt").write_bytes(b"own\n")
    (www / "own.txt.sha256").write_bytes(b"mine\n")
    text = b"compress me " * 1000
    (www / "app.js").write_bytes(text)
    (www / "app.js.gz").write_bytes(gzip.compress(text))
    (www / "app.js.br").write_bytes(b"as if by brotli")
    (www / "app.js.zst").write_bytes(b"as if by zstd")
    many = root / "many"
    many.mkdir()
    for i in range(2345):
        (many / f"{i:05}.txt").write_bytes(b"%d" % (i % 7))
    for name in ("partners", "mine", "off", "other"):
        (root / name).mkdir()
        (root / name / "f").write_bytes(name.encode() * 9)
    (root / "off" / "big.bin").write_bytes(noise(70000, 9))
    (root / "other" / "f").write_bytes(BIG)
    (root / "other" / "g").write_bytes(b"g")
    return root


@pytest.fixture(scope="module")
def node(site):
    with tempfile.TemporaryDirectory(prefix="tarn-web-") as folder:
        publish = {
            "www": (site / "www", {}),
            "many": (site / "many", {"bt": "off"}),
            "partners": (site / "partners", {"policy": "partners"}),
            "mine": (site / "mine", {"policy": "mine"}),
            "off": (site / "off", {"http": "off"}),
            "other": (site / "other", {"bt": "v2"}),
            "odd": (site / "odd", {}),
        }
        with Node(Path(folder) / "home", publish,
                  settings="[http]\npublic_url = http://files.example/x\n") as n:
            n.wait_complete("odd", "partners", "mine", torrent=False)
            yield n.wait_complete("www", "many", "off", "other")


# Files


def test_whole_file(node):
    got = node.get("/c/www/big.bin")
    assert got.status == 200 and got.body == BIG
    assert got["ETag"] == f'"{v2_root(BIG).hex()}-{len(BIG)}"'
    assert got["Accept-Ranges"] == "bytes" and got["Last-Modified"]
    assert got["X-Content-Type-Options"] == "nosniff"
    again = node.get("/c/www/big.bin")
    assert again.body == BIG and again["ETag"] == got["ETag"]
    assert node.get("/c/www/big.bin?v=2").body == BIG
    head = node.get("/c/www/big.bin", "HEAD")
    assert head.status == 200 and head.body == b"" and head["Content-Length"] == str(len(BIG))
    assert head["ETag"] == got["ETag"]


def test_names_are_one_identity(node):
    tags = {node.get(path)["ETag"] for path in
            ("/c/www/big.bin", "/c/www/sub/deep/same.bin", "/c/other/f")}
    assert tags == {f'"{identity(BIG)}"'}
    published, stored = (node.status()["catalog"][key] for key in ("bytes_published",
                                                                  "bytes_stored"))
    assert published >= 3 * len(BIG) and stored <= published


@pytest.mark.parametrize("asked, off, end", [
    ("0-0", 0, 1), ("5-9", 5, 10), ("999990-", 999990, 1000000), ("-10", 999990, 1000000),
    ("16000-17000", 16000, 17001), ("0-99999999", 0, 1000000), ("-99999999", 0, 1000000),
])
def test_range(node, asked, off, end):
    got = node.get("/c/www/big.bin", Range=f"bytes={asked}")
    assert got.status == 206 and got.body == BIG[off:end]
    assert got["Content-Range"] == f"bytes {off}-{end - 1}/{len(BIG)}"
    assert got["ETag"] == f'"{identity(BIG)}"'


def test_ranges_in_parts(node):
    got = node.get("/c/www/big.bin", Range="bytes=0-9,100000-100099,-5")
    assert got.status == 206 and got["Content-Type"].startswith("multipart/byteranges")
    message = BytesParser().parsebytes(b"Content-Type: " + got["Content-Type"].encode()
                                       + b"\r\n\r\n" + got.body)
    parts = [(p["Content-Range"], p.get_payload(decode=True)) for p in message.get_payload()]
    assert [where for where, _ in parts] == [
        "bytes 0-9/1000000", "bytes 100000-100099/1000000", "bytes 999995-999999/1000000"]
    # The parser takes bytes for text: the raw ones are there between the boundaries.
    for data in (BIG[:10], BIG[100000:100100], BIG[-5:]):
        assert data in got.body


def test_range_that_cannot_be(node):
    got = node.get("/c/www/big.bin", Range="bytes=1000000-")
    assert got.status == 416 and got["Content-Range"] == "bytes */1000000"
    assert node.get("/c/www/empty", Range="bytes=0-0").status in (200, 416)
    assert node.get("/c/www/big.bin", Range="pages=1-2").body == BIG  # not a unit of ours


def test_conditionals(node):
    tag = f'"{identity(BIG)}"'
    date = node.get("/c/www/big.bin", "HEAD")["Last-Modified"]
    for fields in ({"If_None_Match": tag}, {"If_None_Match": "*"}, {"If_None_Match": f'"x", W/{tag}'},
                   {"If_Modified_Since": date}):
        got = node.get("/c/www/big.bin", **fields)
        assert got.status == 304 and got.body == b"" and got["ETag"] == tag, fields
    assert node.get("/c/www/big.bin", If_None_Match='"x"', If_Modified_Since=date).status == 200
    assert node.get("/c/www/big.bin", If_Match='"x"').status == 412
    assert node.get("/c/www/big.bin", If_Match=tag).status == 200
    assert node.get("/c/www/big.bin", If_Range=tag, Range="bytes=1-2").status == 206
    for other in ('"x"', f"W/{tag}"):
        got = node.get("/c/www/big.bin", If_Range=other, Range="bytes=1-2")
        assert got.status == 200 and got.body == BIG


def test_empty_file(node):
    got = node.get("/c/www/empty")
    assert got.status == 200 and got.body == b"" and got["ETag"] == '"empty"'
    assert node.get("/c/www/empty", If_None_Match='"empty"').status == 304
    assert node.get("/c/www/empty?as=sha256").text == f"{EMPTY}  empty\n"


def test_head_says_what_get_says(node):
    """All fields of each kind of answer; and no body."""
    by_id = f"/root/{identity(BIG)}"
    tag = f'"{identity(BIG)}"'
    for target, fields in [
            ("/", {}), ("/healthz", {}), ("/c/www/", {}), ("/c/www/?as=json", {}), ("/c/www", {}),
            ("/c/www/sub/text.txt", {}), ("/c/www/empty", {}), ("/c/www/big.bin", {}), (by_id, {}),
            ("/c/www/app.js", {"Accept_Encoding": "gzip"}), ("/c/www/page/", {}),
            ("/c/www/big.bin?as=torrent", {}), ("/c/www.sha256", {}), ("/c/www.magnet", {}),
            ("/c/www/big.bin.meta4", {}), (f"{by_id}?proof", {}),
            (f"{by_id}?proof", {"Range": "bytes=5-70000"}),
            ("/c/www/big.bin", {"If_None_Match": tag}), ("/c/www/big.bin", {"If_Match": '"x"'}),
            ("/c/nothing", {}), ("/c/nothing", {"Accept": "application/json"}),
            ("/c/www/%00", {}), ("/c/www/one?as=x", {}), ("/c/www/?" + "q" * 8200, {})]:
        get, head = node.get(target, **fields), node.get(target, "HEAD", **fields)
        told, heard = dict(get.fields.items()), dict(head.fields.items())
        assert told.pop("Date") and heard.pop("Date")
        assert (head.status, heard, head.body) == (get.status, told, b""), target


def test_methods(node):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        got = node.get("/c/www/one", method)
        assert got.status in (405, 501), method
        if got.status == 405:
            assert set(got["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    got = node.get("/c/www/one", "OPTIONS")
    assert got.status == 204 and "GET" in got["Allow"]


# Names


@pytest.mark.parametrize("name", ODD)
def test_odd_name(node, name):
    path = f"/c/odd/odd/{quote(name, safe='')}"
    got = node.get(path)
    assert got.status == 200 and got.body == name.encode()
    assert got["ETag"] == f'"{identity(name.encode())}"'


def test_name_that_is_not_utf8(node):
    assert node.get("/c/odd/odd/%FF%FE.bin").body == b"bytes"
    entry = next(e for e in node.get("/c/odd/odd/?as=json").json["entries"] if "name_b64" in e)
    assert base64.b64decode(entry["name_b64"]) == b"\xff\xfe.bin" and "\ufffd" in entry["name"]
    page = node.get("/c/odd/odd/").text
    assert "%FF%FE.bin" in page
    # A torrent's names are UTF-8: this file has none, and says why; the collection neither.
    got = node.get("/c/odd/odd/%FF%FE.bin?as=torrent")
    assert got.status == 404 and "torrent" in got.text
    assert node.get("/c/odd.torrent").status == 200  # without it
    assert "not in its torrent" in node.item("odd")["error"]
    assert node.get("/c/odd/odd/a%20b.txt.torrent").status == 200


def test_ways_out(node, site):
    secret = site / "secret"
    secret.write_text("secret")
    for path in ("/c/www/../../secret", "/c/www/%2e%2e/%2e%2e/secret", "/c/../secret",
                 "/c/www/%2e%2e%2f%2e%2e%2fsecret", "/c/www/..%5c..%5csecret", "/../etc/passwd",
                 "//etc/passwd", "/c//etc/passwd", "/c/www/./././../../secret",
                 "/c/www/one%00.txt", "/c/www/sub%2Ftext.txt", f"/c/www/{'a/' * 200}x",
                 "/c/www/" + "y" * 300, "/c/www/one/", "/c/www/one/x", "/c/www/.hidden", "/c/nothing",
                 "/c/", "/c", "/v1/status", "/v1/items", "/metrics", "/transmission/rpc", "/page.js",
                 "/etc/passwd", "/c/www/%", "/c/www/%zz", "/c/www/big.bin%20"):
        got = node.get(path)
        assert got.status in (400, 404), (path, got.status)
        assert b"secret" not in got.body.replace(path.encode(), b"") and b"root:" not in got.body
    assert node.get("/c/www/" + "z" * 9000).status == 414
    assert node.get("/c/www/sub/../one").body == b"x"  # as RFC 3986 has it
    assert node.get("/c/www/one?" + "q" * 9000).status == 414


def test_no_answer_says_where_the_files_are(node, site):
    for target in ("/c/www/", "/c/www/none", "/", "/c/www/?as=json", "/c/www.meta4", "/c/www.torrent",
                   "/c/www/big.bin?as=nonsense", "/c/www/big.bin?as=meta4"):
        got = node.get(target)
        assert str(site).encode() not in got.body, target
        assert str(node.home).encode() not in got.body, target


# What is not public


@pytest.mark.parametrize("name", ["partners", "mine", "off"])
def test_not_public(node, name):
    for target in (f"/c/{name}", f"/c/{name}/", f"/c/{name}/f", f"/c/{name}.torrent",
                   f"/c/{name}?as=sha256", f"/c/{name}/f.sha256", f"/c/{name}/f?as=magnet"):
        got = node.get(target)
        assert got.status == 404 and got.body == node.get("/c/nothing").body, target
    assert name not in [c["name"] for c in node.get("/?as=json").json["collections"]]
    assert f"c/{name}" not in node.get("/").text


def test_identity_of_what_is_not_shown(node):
    for data in (b"partners" * 9, b"mine" * 9, b"off" * 9, noise(70000, 9)):
        wait_until(lambda: node.call(f"/v1/items?ref={identity(data)}").status == 200, "it is held")
        assert node.get(f"/root/{identity(data)}").status == 404
        assert node.get(f"/root/{identity(data)}?proof").status == 404


# Folders


def test_folders(node):
    got = node.get("/c/www")
    assert got.status == 301 and got["Location"] == "./www/"
    got = node.get("/c/www/sub?x=1")
    assert got.status == 301 and got["Location"] == "./sub/?x=1"
    page = node.get("/c/www/sub/")
    assert page.status == 200 and page["Content-Type"].startswith("text/html")
    assert 'href="./text.txt"' in page.text and 'href="./deep/"' in page.text
    assert "default-src 'none'" in page["Content-Security-Policy"]
    style = re.search("<style>(.*?)</style>", page.text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page["Content-Security-Policy"]
    assert "<script" not in page.text
    assert ".hidden" not in node.get("/c/www/").text
    assert node.get("/c/www/.hidden").status == 404


def test_folder_as_json(node):
    for got in (node.get("/c/www/sub/?as=json"), node.get("/c/www/sub/", Accept="application/json")):
        assert got["Content-Type"] == "application/json"
        told = got.json
        assert told["collection"] == "www" and told["path"] == "sub"
        assert [(e["kind"], e["name"]) for e in told["entries"]] == [
            ("folder", "deep"), ("file", "text.txt")]
        file = told["entries"][1]
        assert file["size"] == 6 and file["id"] == identity(b"hello\n") and "state" not in file
    assert node.get("/c/www/sub/")["Vary"] == "Accept"
    assert node.get("/c/www/sub/?as=json")["Vary"] is None


def test_own_index_page(node):
    for _ in range(2):  # looked up, and remembered
        for accept in ("text/html", "application/json", "*/*"):
            got = node.get("/c/www/page/", Accept=accept)
            assert got.body == b"<h1>own</h1>" and got["Content-Type"].startswith("text/html")
            assert got["ETag"] == f'"{identity(got.body)}"'
    assert node.get("/c/www/page/?as=json").json["entries"][0]["name"] == "index.html"
    assert "index.html" in node.get("/c/www/page/?as=list").text


def test_listing_is_tagged_by_what_it_says(node):
    html, json_ = node.get("/c/www/"), node.get("/c/www/?as=json")
    assert html["ETag"] != json_["ETag"]
    assert node.get("/c/www/", If_None_Match=html["ETag"]).status == 304
    assert node.get("/c/www/", If_None_Match=json_["ETag"]).status == 200


def test_hostile_names_stay_text(node):
    page = node.get("/c/odd/odd/").text
    assert "<b>" not in page and "&lt;b&gt;" in page
    for href in re.findall('href="([^"]*)"', page):
        assert re.match(r"^(\./|\.\./|\?)", href), href


def test_index_of_collections(node):
    told = node.get("/?as=json").json["collections"]
    assert sorted(c["name"] for c in told) == ["many", "odd", "other", "www"]
    page = node.get("/")
    assert page.status == 200 and 'href="c/www/"' in page.text
    assert node.get("/healthz").body == b"ok\n"


def test_pages_of_a_long_folder(node):
    names, after = [], ""
    for _ in range(4):
        told = node.get(f"/c/many/?as=json{after}").json
        assert len(told["entries"]) <= 1000
        names += [e["name"] for e in told["entries"]]
        if "next" not in told:
            break
        after = "&after=" + quote(told["next"])
    assert names == [f"{i:05}.txt" for i in range(2345)]
    page = node.get("/c/many/").text
    more = re.search(r'href="(\?as=list&amp;after=[^"]*)"', page)[1].replace("&amp;", "&")
    assert "01000.txt" in node.get("/c/many/" + more).text
    assert node.get("/c/many/?as=json&after=" + "x" * 300).status == 400


# Codings


def test_precompressed_siblings(node, site):
    for accept, coding in (("gzip", "gzip"), ("br, gzip", "br"), ("gzip, br, zstd", "zstd"),
                           ("gzip;q=0.5, br;q=0", "gzip"), ("identity", None), ("", None)):
        got = node.get("/c/www/app.js", Accept_Encoding=accept)
        end = {"gzip": ".gz", "br": ".br", "zstd": ".zst", None: ""}[coding]
        data = (site / "www" / f"app.js{end}").read_bytes()
        assert got["Content-Encoding"] == coding and got.body == data, accept
        assert got["ETag"] == f'"{identity(data)}"' and got["Vary"] == "Accept-Encoding"
        assert "javascript" in got["Content-Type"]
        part = node.get("/c/www/app.js", Accept_Encoding=accept, Range="bytes=3-7")
        assert part.status == 206 and part.body == data[3:8]
    assert node.get("/c/www/big.bin")["Vary"] is None
    by_id = identity((site / "www" / "app.js").read_bytes())
    assert node.get(f"/root/{by_id}", Accept_Encoding="gzip")["Content-Encoding"] is None


# Siblings


def test_torrent_of_a_file(node, site, create):
    got = node.get("/c/www/big.bin.torrent")
    assert got.status == 200 and got["Content-Type"] == "application/x-bittorrent"
    assert got.body == node.get("/c/www/big.bin?as=torrent").body
    assert node.get("/c/www/big.bin.torrent", If_None_Match=got["ETag"]).status == 304
    told, _ = bdecode(got.body)
    info = lt.torrent_info(lt.bdecode(got.body))
    assert info.num_files() == 1 and info.name() == "big.bin" and info.total_size() == len(BIG)
    own = create(site / "www" / "big.bin", "--piece-length", info.piece_length(),
                 "--web-seed", "http://files.example/x/c/www/big.bin")
    assert own.read_bytes() == got.body
    assert info.web_seeds()[0]["url"] == "http://files.example/x/c/www/big.bin"
    assert told[b"info"][b"file tree"][b"big.bin"][b""][b"pieces root"] == v2_root(BIG)


def test_torrents_that_are_asked_for_again(home, tmp_path):
    """Of a file with a twin under another path: it is seeded once, and noted once."""
    folder = tmp_path / "pub"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "LICENSE").write_bytes(b"do what you like\n")
    with Node(home, {"pub": (folder, {})}) as n:
        n.wait_complete("pub")

        def value(name):
            return int(re.search(rf"^tarn_{name} (\d+)$", n.call("/metrics").text, re.M)[1])

        links = {n.get("/c/pub/a/LICENSE?as=magnet").text}
        wait_until(lambda: value("bt_torrents") == 2, n.output)  # the collection's and this one
        writes = value("index_writes_total")
        for _ in range(20):
            links |= {n.get(f"/c/pub/{name}/LICENSE?as=magnet").text for name in ("b", "a")}
        assert len({re.search(r"btih:\w+", link)[0] for link in links}) == 1
        assert value("index_writes_total") - writes < 20  # the catalog may have one of its own
        assert value("bt_torrents") == 2


def test_torrent_of_a_collection(node, site, create):
    for name in ("other",):
        got = node.get(f"/c/{name}.torrent")
        info = lt.torrent_info(lt.bdecode(got.body))
        assert info.name() == name and got.body == node.get(f"/c/{name}/?as=torrent").body
        assert got.body == node.get(f"/c/{name}?as=torrent").body
        assert info.web_seeds()[0]["url"] == "http://files.example/x/c/"
        item = node.item(name)
        assert str(info.info_hashes().v2) == item["v2"]
    own = create(site / "other", "--format", "v2", "--piece-length", info.piece_length(),
                 "--web-seed", "http://files.example/x/c/")
    assert own.read_bytes() == got.body


def test_magnet(node):
    link = node.get("/c/www/big.bin.magnet").text.strip()
    told = lt.parse_magnet_uri(link)
    torrent = lt.torrent_info(lt.bdecode(node.get("/c/www/big.bin.torrent").body))
    assert str(told.info_hashes.v1) == str(torrent.info_hashes().v1)
    assert str(told.info_hashes.v2) == str(torrent.info_hashes().v2)
    assert told.name == "big.bin"
    assert node.get("/c/other.magnet").text.startswith("magnet:?xt=urn:btmh:1220")


def test_sha256(node, site):
    line = node.get("/c/www/big.bin.sha256").text
    assert line == f"{hashlib.sha256(BIG).hexdigest()}  big.bin\n"
    for name in ("www", "odd"):
        done = subprocess.run(["sha256sum", "-c", "--strict"], cwd=site / name,
                              input=node.get(f"/c/{name}.sha256").body, capture_output=True)
        assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == len(ODD) + 1


def test_own_file_of_that_name_wins(node):
    assert node.get("/c/www/own.txt.sha256").body == b"mine\n"
    told = node.get("/c/www/own.txt?as=sha256").text
    assert told == f"{hashlib.sha256(b'own' + bytes([10])).hexdigest()}  own.txt\n"


def test_siblings_that_are_not(node):
    assert node.get("/c/many.torrent").status == 404  # bt = off
    assert node.get("/c/many/00001.txt.torrent").status == 404
    assert node.get("/c/many/00001.txt.sha256").status == 200
    assert node.get("/c/www/sub?as=torrent").status in (301, 404)
    assert node.get("/c/www/sub/?as=torrent").status == 404
    assert node.get("/c/www/big.bin?as=nonsense").status == 400
    assert node.get("/c/www/none.torrent").status == 404
    assert node.get("/c/www/.torrent").status == 404


def test_metalink(home, site, tmp_path):
    (tmp_path / "pub").mkdir()
    shutil.copy(site / "www" / "big.bin", tmp_path / "pub")
    (tmp_path / "pub" / "small").write_bytes(b"small")
    port = free_port()
    with Node(home, {"pub": (tmp_path / "pub", {})}, f"--http-listen=127.0.0.1:{port}",
              settings=f"[http]\npublic_url = http://127.0.0.1:{port}/\n") as n:
        n.web_port = port
        n.wait_complete("pub")
        for name, out in (("/c/pub/big.bin.meta4", "big.bin"), ("/c/pub.meta4", "pub/big.bin")):
            to = tmp_path / name.replace("/", "_")
            to.mkdir()
            (to / "x.meta4").write_bytes(n.get(name).body)
            done = subprocess.run(["aria2c", "--no-conf", "-d", to, "--follow-metalink=true",
                                   "--enable-dht=false", "--bt-enable-lpd=false",
                                   "--seed-time=0", "-M", to / "x.meta4"],
                                  capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout
            assert (to / out).read_bytes() == BIG


def test_errors_have_one_shape(node):
    """On the admin door even for what is no request; here for who accepts JSON."""
    def raw(request):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(node.home / "tarn.sock"))
            s.sendall(request)
            answer = b""
            while part := s.recv(1 << 16):
                answer += part
        head, body = answer.split(b"\r\n\r\n", 1)
        assert b"\r\nContent-Type: application/problem+json\r\n" in head, head
        return json.loads(body)

    long = b"x" * 40000
    told = {
        400: raw(b"GET /v1/status HTTP/1.1\r\nHost : x\r\n\r\n"),
        404: node.call("/v1/nothing").json,
        413: raw(b"POST /v1/collections HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n"
                 b"Content-Type: application/json\r\n\r\n"),
        414: raw(b"GET /" + long + b" HTTP/1.1\r\n\r\n"),
        431: raw(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + long + b"\r\n\r\n"),
        501: raw(b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    }
    told[0] = node.get("/c/nothing", Accept="application/json").json | {"status": 0}
    for status, error in told.items():
        assert set(error) == {"type", "title", "status", "detail", "code", "exit"}, error
        assert error["status"] == status
        assert (error["code"], error["exit"]) == (("not-found", 5) if status in (0, 404)
                                                  else ("usage", 2)), error


# Identities and proofs


def test_by_identity(node):
    target = f"/root/{identity(BIG)}"
    got = node.get(target)
    assert got.body == BIG and got["ETag"] == f'"{identity(BIG)}"'
    assert "immutable" in got["Cache-Control"] and "max-age=31536000" in got["Cache-Control"]
    assert node.get(target, Range="bytes=7-8").body == BIG[7:9]
    for kind in ("torrent", "magnet", "meta4", "sha256"):  # made of names, which it has not
        got = node.get(f"{target}?as={kind}")
        assert got.status == 404 and "name" in got.text
    root = v2_root(BIG).hex()
    for bad in (f"{root}-{len(BIG) + 1}", f"{root}-0", f"{root}-01000000", root, f"{root}-",
                f"{root.upper()}-x", "empty", f"{root}-{2**64}", f"{root}-1000000/"):
        assert node.get(f"/root/{bad}").status == 404, bad


@pytest.mark.parametrize("asked", [None, "bytes=0-0", "bytes=16384-32767", "bytes=50000-400000",
                                   "bytes=-1", "bytes=999999-"])
def test_proof(node, asked):
    fields = {"Range": asked} if asked else {}
    got = node.get(f"/root/{identity(BIG)}?proof", **fields)
    assert got.status == 200 and got["Content-Type"] == "application/json"
    proof = got.json
    first, end = proof["first"] * BLOCK, (proof["first"] + proof["count"]) * BLOCK
    assert check_proof(proof, BIG[first:end], v2_root(BIG).hex(), len(BIG)) is None
    wrong = bytearray(BIG[first:end])
    wrong[-1] ^= 1
    assert check_proof(proof, bytes(wrong), v2_root(BIG).hex(), len(BIG))
    if asked is None:
        assert proof["first"] == 0 and proof["uncles"] == []


def test_proof_of_a_file_whose_hashes_were_lost(home, tmp_path):
    """It says what is the matter and when to ask again, has the file read again, and then it is there."""
    folder = tmp_path / "pub"
    folder.mkdir()
    (folder / "big.bin").write_bytes(BIG)
    with Node(home, {"pub": (folder, {})}) as n:
        n.wait_complete("pub")
        target = f"/root/{identity(BIG)}?proof"
        before = n.get(target).json
        with open(home / "index" / "leaves", "r+b") as leaves:
            length = leaves.seek(0, os.SEEK_END) - 64  # behind its head
            leaves.seek(64)
            leaves.write(noise(length, 3))
        got = n.get(target, Accept="application/json")
        assert got.status == 503 and int(got["Retry-After"]) > 0, got.text
        assert "hashes" in got.text and "again" in got.text and "no-store" in got["Cache-Control"]
        assert n.get("/c/pub/big.bin").body == BIG  # it is held all the while

        def is_back():
            got = n.get(target)
            assert got.status in (200, 503), got.text
            return got.status == 200 and got.json == before

        wait_until(is_back, n.output)
        assert n.get("/c/pub/big.bin?as=torrent").status == 200


# While it is served


def edit_in_place(path, data):
    with open(path, "r+b") as f:
        f.seek(len(data) // 2)
        f.write(b"EDITED")


def replace(path, data):
    other = path.with_name(".tmp")
    other.write_bytes(noise(len(data), 77))
    os.replace(other, path)


def truncate(path, data):
    os.truncate(path, len(data) // 3)


def append(path, data):
    with open(path, "ab") as f:
        f.write(b"more")


def remove(path, data):
    path.unlink()


def edit_with_old_times(path, data):
    stat = path.stat()
    edit_in_place(path, data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


EDITS = [edit_in_place, replace, truncate, append, remove, edit_with_old_times]


@pytest.fixture
def mine(home, tmp_path):
    """A node with one collection that a test may harm."""
    folder = tmp_path / "pub"
    folder.mkdir()
    data = noise(24 << 20, 5)
    (folder / "big.bin").write_bytes(data)
    (folder / "small.txt").write_bytes(b"small\n")
    with Node(home, {"pub": (folder, {})}) as n:
        n.wait_complete("pub")
        n.folder, n.data = folder, data
        yield n


@pytest.mark.parametrize("edit", EDITS)
def test_edit_during_a_transfer(mine, edit):
    """The old identity is never completed, and the new one appears by itself."""
    slow = Slow(mine, "/c/pub/big.bin")
    assert identity(mine.data) in slow.head and slow.length == len(mine.data)
    settle()
    edit(mine.folder / "big.bin", mine.data)
    got = slow.rest()
    assert len(got) < slow.length, "the old identity was completed"
    if edit is remove:
        wait_until(lambda: mine.get("/c/pub/big.bin").status == 404, "it is gone")
    else:
        mine.wait_serves("/c/pub/big.bin", (mine.folder / "big.bin").read_bytes())
    mine.wait_complete("pub")
    assert mine.get("/c/pub/small.txt").body == b"small\n"


@pytest.mark.parametrize("edit", EDITS)
def test_edit_between_requests(mine, edit):
    """A file that the door holds open is not answered with its old identity again."""
    tag = mine.get("/c/pub/big.bin", "HEAD")["ETag"]
    settle()
    edit(mine.folder / "big.bin", mine.data)
    got = mine.get("/c/pub/big.bin", Range="bytes=0-99")
    assert got.status in (404, 503) or got["ETag"] != tag
    if got.status == 503:
        assert int(got["Retry-After"]) > 0
    assert mine.get("/c/pub/big.bin", If_None_Match=tag).status != 304
    assert mine.get(f"/root/{tag[1:-1]}").status in (404, 503)
    if edit is not remove:
        mine.wait_serves("/c/pub/big.bin", (mine.folder / "big.bin").read_bytes())


def offered(n, torrent, home):
    """Which pieces a new peer is told of."""
    content = Content(torrent, home)
    with call(n.status()["bt"]["addrs"][0], content, PLAIN) as wire:
        kind, payload = wire.get()
    assert kind in (BITFIELD, None, CHOKE, UNCHOKE)
    bits = "".join(f"{byte:08b}" for byte in payload) if kind == BITFIELD else ""
    return [bit == "1" for bit in bits[:content.n_pieces].ljust(content.n_pieces, "0")]


def test_edited_files_pieces_are_not_offered(home, tmp_path):
    """Between an edit and the next version the old torrent goes on with what is left of it."""
    folder, copy = tmp_path / "pub", tmp_path / "copy" / "pub"
    folder.mkdir()
    for i, name in enumerate(("a.bin", "b.bin")):
        (folder / name).write_bytes(noise(300000, i))
    shutil.copytree(folder, copy)
    torrent = tmp_path / "pub.torrent"
    with Node(home, {"pub": (folder, {"bt": "v2"})}) as n:
        n.wait_complete("pub")
        torrent.write_bytes(n.get("/c/pub.torrent").body)
    with Node(home, {"pub": (folder, {"bt": "v2"})}, "--catalog-quiet=3600") as n:
        n.wait_complete("pub")  # as it was, and no edit will be read in this run
        wait_until(lambda: all(offered(n, torrent, copy.parent)), "all pieces are offered")
        settle()
        edit_in_place(folder / "a.bin", noise(300000, 0))
        wait_until(lambda: n.get("/c/pub/a.bin").status == 503, "the edit is known")
        info = lt.torrent_info(str(torrent))
        second = info.map_file(1, 0, 1).piece

        def look():
            pieces = offered(n, torrent, copy.parent)
            return not any(pieces[:second]) and all(pieces[second:])

        wait_until(look, "the edited file's pieces are not offered, the others are")
        assert n.get("/c/pub/b.bin").status == 200
        entry = n.get("/c/pub/?as=json").json["entries"][0]
        assert entry["name"] == "a.bin" and entry["state"] in ("changed", "hashing")
        assert n.get("/c/pub/a.bin.torrent").status == 503


def test_folder_that_vanishes(mine):
    away = mine.folder.with_name("away")
    mine.folder.rename(away)
    wait_until(lambda: mine.get("/c/pub/").status == 503, "it is away")
    for target in ("/c/pub/", "/c/pub.torrent", "/c/pub/small.txt.sha256", "/c/pub/?as=torrent",
                   "/c/pub?as=magnet"):
        assert mine.get(target).status == 503, target
    assert mine.get(f"/root/{identity(mine.data)}").status == 404
    assert mine.get("/?as=json").json["collections"][0]["state"] == "away"
    assert mine.item("pub")["state"] == "missing"
    read = mine.call("/metrics").text
    away.rename(mine.folder)
    mine.wait_serves("/c/pub/big.bin", mine.data)
    count = re.compile(r"^tarn_hashed_bytes_total (\d+)", re.M)
    assert count.search(read)[1] == count.search(mine.call("/metrics").text)[1], "nothing is read"
    mine.wait_complete("pub")


def test_new_files_appear(mine):
    (mine.folder / "new").mkdir()
    (mine.folder / "new" / "x.txt").write_bytes(b"new")
    (mine.folder / ".hidden").write_bytes(b"no")
    mine.wait_serves("/c/pub/new/x.txt", b"new")
    (mine.folder / "small.txt").rename(mine.folder / "renamed.txt")
    mine.wait_serves("/c/pub/renamed.txt", b"small\n")
    assert mine.get("/c/pub/small.txt").status == 404
    assert mine.get("/c/pub/.hidden").status == 404
    os.link(mine.folder / "renamed.txt", mine.folder / "linked.txt")
    mine.wait_serves("/c/pub/linked.txt", b"small\n")
    mine.wait_serves("/c/pub/renamed.txt", b"small\n")


def test_unpublished_while_it_is_sent(home, tmp_path):
    folder = tmp_path / "pub"
    folder.mkdir()
    data = noise(24 << 20, 5)
    (folder / "big.bin").write_bytes(data)
    with Node(home) as n:
        n.call("/v1/collections", "POST", {"path": str(folder)})
        n.wait_complete("pub")
        slow = Slow(n, "/c/pub/big.bin")
        assert n.call("/v1/items?ref=pub", "DELETE").status == 200
        assert len(slow.rest()) < len(data)
        assert n.get("/c/pub/big.bin").status == 404


def test_settings_of_the_door(home, tmp_path):
    folder = tmp_path / "pub"
    (folder / "page").mkdir(parents=True)
    (folder / "page" / "index.html").write_bytes(b"own")
    (folder / ".dot").write_bytes(b"dot")
    with Node(home, {"pub": (folder, {"hidden": "on"})}, settings="[http]\nindex = off\n") as n:
        n.wait_complete("pub")
        assert n.get("/c/pub/").status == 404 and n.get("/c/pub/?as=json").status == 404
        assert n.get("/c/pub/page/").body == b"own"
        assert n.get("/c/pub/.dot").body == b"dot"


def test_tls(home, tmp_path, site):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "k.pem",
                    "-out", tmp_path / "c.pem"], check=True, capture_output=True)
    with Node(home, {"www": (site / "other", {})}, f"--http-tls-cert={tmp_path / 'c.pem'}",
              f"--http-tls-key={tmp_path / 'k.pem'}") as n:
        n.wait_complete("www")
        url = f"https://localhost:{n.web_port}/c/www/f"
        curl = ["curl", "-sS", "--cacert", tmp_path / "c.pem", "--ipv4"]
        done = subprocess.run([*curl, url], capture_output=True)
        assert done.stdout == BIG, done.stderr
        done = subprocess.run([*curl, "-r", "100-199", url], capture_output=True)
        assert done.stdout == BIG[100:200], done.stderr


def test_many_heavy_requests_do_not_hold_up_the_rest(node):
    """Siblings that strangers ask for are made one at a time on a loop; files go on leaving."""
    slow = [Slow(node, f"/c/www.sha256?{i}") for i in range(40)]
    assert node.get("/c/www/sub/text.txt").body == b"hello\n"
    whole = node.get("/c/www.sha256").body
    assert all(s.rest() == whole for s in slow)


def test_heavy_requests_leave_places_for_the_rest(home, tmp_path):
    """However many wait for proofs: what is not heavy is looked up. Who has gone keeps no place."""
    folder = tmp_path / "pub"
    folder.mkdir()
    with open(folder / "large", "wb") as large:
        large.truncate(256 << 20)
    with Node(home, {"pub": (folder, {})}, "--http-loops=1") as n:
        n.wait_complete("pub")
        identity_ = n.get("/c/pub/large", "HEAD")["ETag"].strip('"')
        request = f"GET /root/{identity_}?proof HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        (folder / "mine.sha256").write_text("my own\n")
        wait_until(lambda: n.get("/c/pub/mine.sha256").status == 200, "it is there")
        for _ in range(2):
            waiting = [socket.create_connection(("127.0.0.1", n.web_port), PATIENCE)
                       for _ in range(700)]
            for s in waiting:
                s.sendall(request.encode())
            for i in range(20):
                assert n.get(f"/c/pub/none{i}").status == 404
            # A file with the name of a sibling waits for none of them, nor does what is not there.
            (folder / "other").write_text("what was found before is looked for again")
            wait_until(lambda: n.get("/c/pub/none.torrent").status == 404, "it is looked for")
            wait_until(lambda: n.get("/c/pub/mine.sha256").body == b"my own\n", "it is served")
            for s in waiting[100:]:
                s.close()
        answers = []
        for s in waiting[:100]:
            answer = b""
            while part := s.recv(1 << 16):
                answer += part
            s.close()
            answers.append(answer)
        for answer in answers:
            assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")), answer
            assert answer.startswith(b"HTTP/1.1 200 ") or b"\r\nRetry-After: " in answer
        assert any(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


def test_clients_that_go_away(node):
    for i in range(60):
        with socket.create_connection(("127.0.0.1", node.web_port)) as s:
            s.sendall(f"GET /c/www.sha256?{i} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert node.get("/c/www/one").body == b"x"
    assert json.loads(node.get("/?as=json").body)["v"] == 1
