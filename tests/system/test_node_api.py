"""The control API (docs/api.md): each resource, who may, and what is refused; changes; metrics."""
import base64
import json
import re
import signal
import socket
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import libtorrent as lt
import pytest
from door import Node, ask, identity
from program import fill
from programs import PATIENCE, free_port, wait_until
from webserver import WebServer

COLLECTION_KEYS = {"v", "type", "id", "name", "path", "policy", "bt", "http", "from", "state", "files",
                   "bytes", "hashing_files", "hashing_bytes", "refused", "skipped", "piece_length",
                   "version", "url", "is_paused", "v1", "v2", "magnet", "torrent_url", "peers",
                   "rate_up", "uploaded"}


SCRUB_KEYS = {"v", "type", "state", "ended_ms", "files", "files_done", "bytes", "bytes_done",
              "damaged", "rate", "started_ms", "file"}


@pytest.fixture
def home():
    with tempfile.TemporaryDirectory(prefix="tarn-api-") as folder:
        yield Path(folder) / "home"


@pytest.fixture
def www(tmp_path):
    root = tmp_path / "www"
    fill(root / "a.bin", 300000, 1)
    fill(root / "sub" / "b.bin", 20000, 2)
    fill(root / "sub" / "b.bin.sig", 10, 3)
    fill(root / "sub2" / "c.bin", 100, 4)
    (root / "empty").touch()
    return root


@pytest.fixture
def node(home, www):
    """With a page, and www published by its configuration."""
    port = free_port()
    with Node(home, {"www": (www, {})}, f"--admin-listen=127.0.0.1:{port}",
              "--admin-hosts=node.example, other.example") as n:
        n.page_port, n.token = port, (home / "token").read_text().strip()
        yield n.wait_complete("www")


def refused(answer, status, code, *words):
    assert answer.status == status, (answer.status, answer.text)
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json
    assert told["status"] == status and told["code"] == code and told["type"] == "about:blank"
    assert all(word in told["detail"] for word in words), told
    return told


# Who may


def page(n, target="/v1/status", method="GET", body=None, **fields):
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    connection = HTTPConnection("127.0.0.1", n.page_port, timeout=PATIENCE)
    try:
        return ask(connection, method, target, body, fields)
    finally:
        connection.close()


def test_token(node):
    bearer = {"Authorization": f"Bearer {node.token}"}
    basic = base64.b64encode(f"anyone:{node.token}".encode()).decode()
    assert page(node, **bearer).status == 200
    assert page(node, Authorization=f"Basic {basic}").status == 200
    assert page(node, Cookie=f"a=b; tarn={node.token}; c=d").status == 200
    wrong = "x" * len(node.token)
    for fields in ({}, {"Authorization": "Bearer " + wrong}, {"Authorization": "Bearer"},
                   {"Authorization": node.token}, {"Authorization": f"Bearer {node.token}x"},
                   {"Authorization": "Basic " + base64.b64encode(node.token.encode()).decode()},
                   {"Authorization": "Basic !!!"}, {"Cookie": f"tarn={wrong}"},
                   {"Cookie": f"xtarn={node.token}"}, {"Cookie": "tarn="}):
        for target in ("/v1/status", "/metrics", "/", "/page.js", "/v1/none"):
            got = page(node, target, **fields)
            assert got["WWW-Authenticate"].startswith("Basic"), (target, fields)
            refused(got, 401, "policy", "token")
    assert page(node, "/v1/status?token=" + node.token).status == 401
    assert page(node, "/healthz").body == b"ok\n"


def test_first_visit(node):
    assert page(node, "/?token=wrong").status == 401
    got = page(node, f"/?token={node.token}")
    assert got.status == 303 and got["Location"] == "/" and got["Referrer-Policy"] == "no-referrer"
    cookie = got["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    sent = cookie.split(";")[0]
    assert page(node, "/", Cookie=sent).status == 200
    # The same link once more: the address bar shall not keep it.
    assert page(node, f"/?token={node.token}", Cookie=sent).status == 303
    assert node.token not in node.output()
    assert f"?token={node.token}" in node.status()["admin"]["urls"][0]


def test_host_and_origin(node):
    may = {"Authorization": f"Bearer {node.token}"}
    here = f"127.0.0.1:{node.page_port}"
    for host in (here, f"localhost:{node.page_port}", "node.example", "OTHER.example:9", "[::1]:7"):
        assert page(node, Host=host, **may).status == 200, host
    for host in ("evil.example", "node.example.evil", "localhost.evil:1"):
        refused(page(node, Host=host, **may), 421, "usage")
        assert page(node, Host=host).status == 421
    assert page(node, Origin=f"http://{here}", Host=here, **may).status == 200
    for origin in ("http://evil.example", "null", f"https://{here}", f"http://{here}0",
                   f"http://127.0.0.1:{node.web_port}"):
        refused(page(node, Origin=origin, Host=here, **may), 403, "policy")
        refused(page(node, "/v1/pause?ref=www", "POST", Origin=origin, Host=here, **may), 403,
                "policy")
    got = node.call("/v1/status", Host="anything.example")  # on the socket
    assert got.status == 200 and got["X-Content-Type-Options"] == "nosniff"


def test_what_is_not(node):
    refused(node.call("/v1/nothing"), 404, "not-found")
    refused(node.call("/v1"), 404, "not-found")
    got = node.call("/v1/status", "POST", b"")
    refused(got, 405, "usage")
    assert set(got["Allow"].split(", ")) == {"GET", "HEAD"}
    assert set(node.call("/v1/items", "PUT", b"")["Allow"].split(", ")) == {"GET", "HEAD", "DELETE"}
    assert node.call("/v1/items", "OPTIONS").status == 204
    assert node.call("/page.css", "DELETE").status == 405
    for target in ("/v1/status", "/v1/items", "/v1/files?ref=www", "/v1/config", "/metrics", "/",
                   "/v1/changes?since=0&wait=3600"):
        got = node.call(target, "HEAD")
        assert got.status == 200 and got.body == b"", target


def test_page_and_its_files(node):
    page_ = node.call("/")
    policy = page_["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    names = re.findall(r'(?:src|href)="([^"]+)"', page_.text)
    assert set(names) == {"page.css", "icon.svg", "page.js"}
    for name in names:
        got = node.call(f"/{name}")
        assert got.status == 200 and got["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"https?://(?!www\.w3\.org)", got.text), name
    assert "<style" not in page_.text and "onclick" not in page_.text


# Status, configuration, metrics


def test_status(node):
    told = node.status()
    assert told["v"] == 1 and told["type"] == "status" and told["state"] == "running"
    assert told["pid"] == node.process.pid and told["seq"] > 0
    assert told["started_ms"] <= told["now_ms"]
    assert told["http"]["loops"] == 2 and told["http"]["connections"] >= 0
    assert told["admin"]["socket"] == str(node.home / "tarn.sock")
    assert {"rate_up", "rate_down", "peers", "uploaded", "downloaded", "memory",
            "memory_used"} <= set(told["bt"]) and told["bt"]["torrents"] == 1
    assert told["catalog"]["files"] == 5 and told["catalog"]["bytes_published"] == 320110
    assert told["catalog"]["hashing"] == {"files": 0, "bytes_left": 0, "rate": 0}
    assert told["index"]["bytes"] > 0 and told["scrub"]["state"] == "idle" and told["faults"] == []


def test_node_without_doors(home, www):
    """No public door, no BitTorrent: everything that would say where they are says nothing."""
    with Node(home, {"www": (www, {})}, "--http-listen=off", "--bt-listen=off") as n:
        n.wait_complete("www", torrent=False)
        assert n.item("www")["url"] is None and n.status()["bt"] is None
        assert n.status()["http"]["urls"] == []
        assert n.call("/v1/files?ref=www").status == 200
        refused(n.call("/v1/pause?ref=www", "POST"), 409, "policy", "bt.listen")
        refused(n.call("/v1/torrents", "POST", {"magnet": "magnet:?xt=urn:btih:" + "0" * 40}), 409,
                "policy", "bt.listen")
        assert "tarn_bt_" not in n.call("/metrics").text


def test_config(node):
    lines = node.call("/v1/config").lines
    assert all(line["type"] == "setting" and {"key", "value", "origin", "reloadable", "help"}
               <= set(line) for line in lines)
    told = {line["key"]: line for line in lines}
    assert told["admin.hosts"]["value"] == "node.example, other.example"
    assert told["admin.hosts"]["origin"] == "flag" and told["http.head_max"]["origin"] == "built-in"


NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{({NAME}="[^"\\\n]*"(?:,{NAME}="[^"\\\n]*")*)\}})? (\d+)')


def parse_metrics(text):
    """The text format of Prometheus, strictly: HELP and TYPE before the samples of each name, all of
    a name together, no sample twice."""
    assert text.endswith("\n")
    values, kinds, now = {}, {}, None
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        help_ = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", lines[at])
        kind = re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", lines[at + 1])
        assert help_ and kind and help_[1] == kind[1] and kind[1] not in kinds, lines[at:at + 2]
        now, kinds[kind[1]] = kind[1], kind[2]
        assert (kind[2] == "counter") == now.endswith("_total"), now
        at += 2
        first = at
        while at < len(lines) and not lines[at].startswith("#"):
            sample = SAMPLE.fullmatch(lines[at])
            assert sample and sample[1] == now, lines[at]
            assert (now, sample[2]) not in values
            values[now, sample[2]] = int(sample[3])
            at += 1
        assert at > first, now
    return values


def test_metrics(node):
    got = node.call("/metrics")
    assert got["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    before = parse_metrics(got.text)
    assert before["tarn_files", None] == 5 and before["tarn_collections", None] == 1
    assert before["tarn_published_bytes", None] == 320110
    assert before["tarn_hashed_bytes_total", None] == 320110  # each file is read once
    for _ in range(3):
        assert node.get("/c/www/a.bin").status == 200
    node.get("/c/www/none")

    def look():
        now = parse_metrics(node.call("/metrics").text)
        sent = now["tarn_http_sent_bytes_total", 'door="public"'] \
            - before["tarn_http_sent_bytes_total", 'door="public"']
        return (now['tarn_http_requests_total', 'door="public",class="2xx"']
                - before['tarn_http_requests_total', 'door="public",class="2xx"'] == 3
                and now['tarn_http_requests_total', 'door="public",class="4xx"'] == 1
                and sent > 900000)

    wait_until(look, "requests are counted")
    assert "www" not in got.text and node.token not in got.text


# Items


def test_collection(node, www):
    told = node.item("www")
    assert set(told) == COLLECTION_KEYS, set(told) ^ COLLECTION_KEYS
    assert told["type"] == "collection" and told["from"] == "config" and told["state"] == "ok"
    assert told["path"] == str(www) and told["files"] == 5 and told["version"] == 1
    assert told["url"] == f"http://127.0.0.1:{node.web_port}/c/www/"
    assert node.call("/v1/items").lines == node.call("/v1/collections").lines
    assert node.call("/v1/torrents").lines == []
    assert node.call("/v1/items")["Content-Type"] == "application/jsonl"


def test_each_kind_of_ref(node, www):
    told = node.item("www")
    number = told["id"]
    for ref in (number, told["v1"], told["v2"], told["v1"].upper(), www, f"{www}/", told["url"],
                told["url"].rstrip("/"), told["magnet"], "www", "www/", told["torrent_url"]):
        got = node.call(f"/v1/items?ref={quote(str(ref), safe='')}")
        assert got.status == 200 and got.json["id"] == number, (ref, got.text)
    data = (www / "sub" / "b.bin").read_bytes()
    for ref in ("www/sub/b.bin", www / "sub" / "b.bin", identity(data), told["url"] + "sub/b.bin",
                f"http://127.0.0.1:{node.web_port}/root/{identity(data)}",
                told["url"] + "sub/b.bin?as=torrent"):
        got = node.call(f"/v1/items?ref={quote(str(ref), safe='')}").json
        assert got["type"] == "file" and got["path"] == "sub/b.bin", ref
        assert got["id"] == identity(data) and got["state"] == "held" and got["length"] == 20000
    assert node.call("/v1/items?ref=www%2Fsub").json["type"] == "folder"
    assert node.call("/v1/items?ref=www%2Fempty").json["id"] == "empty"
    for ref in ("nothing", "999", "www/none", "/nonexistent", str(www) + "x", "0" * 40, "0" * 64,
                "http://evil.example/c/www/", "magnet:?xt=urn:btih:" + "0" * 40, "www/../www", "",
                f"{'0' * 64}-1", "99999999999999999999", "www/%2e%2e"):
        refused(node.call(f"/v1/items?ref={quote(ref, safe='')}"), 404, "not-found")
    refused(node.call("/v1/pause", "POST"), 400, "usage", "?ref=")
    refused(node.call("/v1/items?ref=a%00b"), 400, "usage")
    refused(node.call("/v1/items?ref=" + "x" * 5000), 404, "not-found")


def test_paths_through_links(node, www, tmp_path):
    data = (www / "sub" / "b.bin").read_bytes()
    (tmp_path / "way").symlink_to(www.parent)
    (tmp_path / "www2").symlink_to(www)
    (tmp_path / "one").symlink_to(www / "sub" / "b.bin")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "away").symlink_to(tmp_path / "nothing")

    def ask(ref):
        return node.call(f"/v1/items?ref={quote(str(ref), safe='')}")

    for ref in (tmp_path / "way" / "www", tmp_path / "www2", f"{tmp_path}/www2/", f"{www}/sub/..",
                f"{tmp_path}//way/./www"):
        assert ask(ref).json["name"] == "www", ref
    for ref in (tmp_path / "way" / "www" / "sub" / "b.bin", tmp_path / "www2" / "sub" / "b.bin",
                tmp_path / "one", f"{www}/sub/../sub/b.bin"):
        assert ask(ref).json["id"] == identity(data), ref
    for ref in (tmp_path / "www2" / "none", tmp_path / "round", tmp_path / "away",
                tmp_path / "away" / "x", tmp_path / "way", "/" + "a/" * 1500, "/proc/self/root/x"):
        refused(ask(ref), 404, "not-found")
    lines = node.call(f"/v1/files?ref={quote(str(tmp_path / 'www2' / 'sub'), safe='')}").lines
    assert [line["path"] for line in lines] == ["sub/b.bin", "sub/b.bin.sig"]
    assert node.call(f"/v1/pause?ref={quote(str(tmp_path / 'www2'), safe='')}",
                     "POST").json["is_paused"]
    refused(node.call("/v1/scrub?ref=%2Fnothing", "POST"), 404, "not-found")
    assert node.call(f"/v1/items?ref={quote(str(tmp_path / 'www2'), safe='')}",
                     "HEAD").status == 200


def test_files(node):
    lines = node.call("/v1/files?ref=www").lines
    assert [line["path"] for line in lines] == ["a.bin", "empty", "sub/b.bin", "sub/b.bin.sig",
                                                "sub2/c.bin"]
    assert all(line["type"] == "file" and line["state"] == "held" for line in lines)

    def paths(query):
        return [line.get("path") for line in node.call(f"/v1/files?{query}").lines]

    assert paths("ref=www%2Fsub") == ["sub/b.bin", "sub/b.bin.sig"]
    assert paths("ref=www%2Fsub%2Fb.bin") == ["sub/b.bin"]
    assert paths("ref=www&prefix=sub") == ["sub/b.bin", "sub/b.bin.sig", "sub2/c.bin"]
    assert paths("ref=www%2Fsub&prefix=sub/b.bin.") == ["sub/b.bin.sig"]
    assert paths("ref=www&state=refused") == [] and len(paths("ref=www&state=held")) == 5
    refused(node.call("/v1/files"), 400, "usage")
    refused(node.call("/v1/files?ref=none"), 404, "not-found")


def pages(node, target, limit):
    """All lines, page by page; the last page says nothing of more."""
    lines, after, n = [], "", 0
    while True:
        got = node.call(f"{target}limit={limit}{after}").lines
        n += 1
        assert n < 100
        if not got or got[-1]["type"] != "more":
            return lines + got, n
        assert len(got) == limit + 1
        lines += got[:-1]
        after = "&after=" + quote(str(got[-1]["after"]), safe="")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_pages_of_files(node, limit):
    whole = node.call("/v1/files?ref=www").lines
    lines, n = pages(node, "/v1/files?ref=www&", limit)
    assert lines == whole and n == max(1, -(-5 // limit))


def test_pages_of_items(node, www, tmp_path):
    for i in range(3):
        (tmp_path / f"more{i}").mkdir()
        node.call("/v1/collections", "POST", {"path": str(tmp_path / f"more{i}"), "bt": "off"})
        node.call("/v1/torrents", "POST", {"magnet": "magnet:?xt=urn:btih:" + f"{i + 1:040x}"})
    for target in ("/v1/items?", "/v1/collections?", "/v1/torrents?"):
        whole = [line["id"] for line in node.call(target).lines]
        assert len(whole) == {"items": 7, "collections": 4, "torrents": 3}[target[4:-1]]
        for limit in range(1, 9):
            lines, n = pages(node, target, limit)
            assert [line["id"] for line in lines] == whole and n == -(-len(whole) // limit)
    for bad in ("limit=0", "limit=x", "limit=-1", "after=x", "limit=99999999999999999999"):
        refused(node.call(f"/v1/items?{bad}"), 400, "usage")


def test_a_file_after_which_a_page_goes_on_is_gone(node, www):
    for gone in ("sub/aaa", "sub/b.bin.", "sub", "nothing/there", "b"):
        lines = node.call(f"/v1/files?ref=www&after={quote(gone)}").lines
        paths = [line["path"] for line in lines]
        order = [line["path"] for line in node.call("/v1/files?ref=www").lines]
        assert paths == order[len(order) - len(paths):] if paths else True
    assert [line["path"] for line in node.call("/v1/files?ref=www&after=sub/b.bin.").lines] == [
        "sub/b.bin.sig", "sub2/c.bin"]


# Collections


def test_publish(node, tmp_path):
    folder = tmp_path / "other"
    fill(folder / "x", 1000, 1)
    want = {"path": str(folder), "name": "there", "bt": "v2", "http": True, "policy": "public"}
    got = node.call("/v1/collections", "POST", want)
    assert got.status == 201 and got.json["name"] == "there" and got.json["from"] == "index"
    number = got.json["id"]
    assert got["Location"] == f"/v1/items?ref={number}"
    assert node.call(got["Location"]).json["id"] == number
    for path in (str(folder), f"{folder}/", f"{folder}/../other"):
        again = node.call("/v1/collections", "POST", {**want, "path": path})
        assert again.status == 200 and again.json["id"] == number and again["Location"] is None
    assert node.call("/v1/collections", "POST", {**want, "policy": "mine"}).json["policy"] == "mine"
    assert node.get("/c/there/").status == 404
    (tmp_path / "third").mkdir()
    refused(node.call("/v1/collections", "POST", {**want, "path": str(tmp_path / "third")}), 400,
            "usage", "there")


def test_published_again_it_keeps_what_is_not_said(node, tmp_path):
    folder = tmp_path / "private"
    fill(folder / "x", 1000, 1)
    fill(folder / ".hidden", 1000, 2)
    (folder / "link").symlink_to("x")
    (tmp_path / "way").symlink_to(folder)
    got = node.call("/v1/collections", "POST", {"path": str(folder), "name": "own", "policy": "mine", "bt": "v2",
                                                "http": False, "hidden": True, "links": True})
    assert got.status == 201
    wait_until(lambda: node.item("own")["files"] == 3 and node.item("own")["state"] == "ok", "it is read")
    keys = ("id", "name", "path", "policy", "bt", "http", "files", "skipped")
    first = [node.item("own")[key] for key in keys]
    assert first[1:6] == ["own", str(folder), "mine", "v2", False]
    for path in (folder, f"{folder}/", f"{tmp_path}//private", f"{folder}/../private", tmp_path / "way",
                 f"{tmp_path}/way/"):
        again = node.call("/v1/collections", "POST", {"path": str(path)})
        assert again.status == 200, (path, again.text)
        node.call("/v1/collections", "POST", {"path": str(path)})
        wait_until(lambda: node.item("own")["state"] == "ok", "it is walked")
        assert [node.item("own")[key] for key in keys] == first, path
    assert node.get("/c/own/").status == node.get("/c/private/").status == 404
    again = node.call("/v1/collections", "POST", {"path": f"{tmp_path}/way/", "http": True}).json
    assert again["http"] and again["policy"] == "mine" and again["name"] == "own"
    again = node.call("/v1/collections", "POST", {"path": f"{folder}/", "policy": "public"}).json
    assert again["policy"] == "public" and again["bt"] == "v2" and again["name"] == "own"


@pytest.mark.parametrize("body, words", [
    (b"", []), (b"{", ["JSON"]), (b"[]", ["JSON"]), (b"null", ["JSON"]), (b'"x"', ["JSON"]),
    (b'{"path":"/x","path":"/y"}', ["JSON"]), (b"\xff\xfe", ["JSON"]),
    (b'{"path":"/a\\u0000b"}', []), (b'{"path":7}', ["path"]), (b'{"path":"relative"}', ["absolute"]),
    (b"{}", ["path"]), (b'{"pth":"/x"}', ["pth", "path"]), (b'{"path":"/tmp","polcy":"x"}', ["policy"]),
    (b'{"path":"/tmp","policy":"x"}', ["public", "partners", "mine"]),
    (b'{"path":"/tmp","bt":true}', ["hybrid"]), (b'{"path":"/tmp","http":"on"}', ["true or false"]),
    (b'{"path":"/tmp","zzzzzz":1}', ["zzzzzz"]), (b"[" * 100000, ["JSON"]),
    (b'{"path":"/tmp"}trailing', ["JSON"]),
])
def test_bodies_that_are_refused(node, body, words):
    refused(node.call("/v1/collections", "POST", body), 400, "usage", *words)


def test_other_bodies(node, www):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        refused(node.call("/v1/collections", "POST", b"{}", Content_Type=kind), 415, "usage")
    good = json.dumps({"path": str(www.parent / "new")}).encode()
    (www.parent / "new").mkdir()
    got = node.call("/v1/collections", "POST", good, Content_Type="application/json; charset=utf-8")
    assert got.status == 201
    for path in ("/nonexistent/x", "/etc/passwd"):
        got = node.call("/v1/collections", "POST", {"path": path})
        assert got.status in (400, 404) and path in got.json["detail"]
    got = node.call("/v1/collections", "POST", {"path": str(www / "sub")})
    assert got.status in (400, 409)  # inside another one


def test_a_body_that_is_too_long(node):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(str(node.home / "tarn.sock"))
        s.sendall(b"POST /v1/torrents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 30000000\r\n\r\n")
        assert b" 413 " in s.recv(4096)


def test_remove(node, tmp_path):
    folder = tmp_path / "other"
    fill(folder / "x", 1000, 1)
    number = node.call("/v1/collections", "POST", {"path": str(folder)}).json["id"]
    node.wait_complete("other")
    got = node.call(f"/v1/items?ref={number}", "DELETE")
    assert got.status == 200
    assert got.json == {"v": 1, "type": "removed", "id": number, "name": "other"}
    refused(node.call(f"/v1/items?ref={number}"), 404, "not-found")
    assert node.get("/c/other/x").status == 404 and (folder / "x").exists()
    again = node.call("/v1/collections", "POST", {"path": str(folder)})
    assert again.status == 201 and again.json["id"] > number
    refused(node.call("/v1/items?ref=www", "DELETE"), 409, "policy")  # of the configuration
    refused(node.call("/v1/items?ref=www%2Fa.bin", "DELETE"), 400, "usage")
    refused(node.call("/v1/items", "DELETE"), 400, "usage")


def test_pause_is_kept_over_restarts(home, www):
    with Node(home, {"www": (www, {}), }) as n:
        n.wait_complete("www")
        got = n.call("/v1/pause?ref=www", "POST")
        assert got.status == 200 and got.json["is_paused"] is True
        assert n.get("/c/www/a.bin").status == 200  # HTTP is not touched
    with Node(home, {"www": (www, {})}) as n:
        n.wait_complete("www")
        assert n.item("www")["is_paused"] is True
        assert n.call("/v1/resume?ref=www", "POST").json["is_paused"] is False
        assert n.call("/v1/resume?ref=www", "POST").json["is_paused"] is False
    with Node(home, {"www": (www, {"bt": "off"})}) as n:
        n.wait_complete("www")
        assert n.item("www")["is_paused"] is False
        assert n.call("/v1/pause?ref=www", "POST").status == 409


def test_commanded_collections_are_kept(home, www):
    with Node(home) as n:
        n.call("/v1/collections", "POST", {"path": str(www)})
        first = n.wait_complete("www").item("www")
    with Node(home) as n:
        again = n.wait_complete("www").item("www")
        same = ("id", "v1", "v2", "version", "piece_length")
        assert [again[key] for key in same] == [first[key] for key in same]
        hashed = parse_metrics(n.call("/metrics").text)["tarn_hashed_bytes_total", None]
        assert hashed == 0  # nothing is read again


# Torrents


@pytest.fixture
def torrent(tmp_path, create):
    fill(tmp_path / "payload" / "p.bin", 100000, 8)
    fill(tmp_path / "payload" / "q.bin", 50000, 9)
    return create(tmp_path / "payload")


def test_add_file_magnet_and_url(node, torrent, tmp_path):
    data = torrent.read_bytes()
    info = lt.torrent_info(lt.bdecode(data))
    v1 = str(info.info_hashes().v1)
    body = {"torrent_b64": base64.b64encode(data).decode(), "folder": str(tmp_path / "to"),
            "paused": True}
    got = node.call("/v1/torrents", "POST", body)
    assert got.status == 201, got.text
    told = got.json
    assert told["type"] == "torrent" and told["v1"] == v1 and told["name"] == "payload"
    assert told["path"] == str(tmp_path / "to") and told["is_paused"] is True
    assert got["Location"] == f"/v1/items?ref={told['id']}"
    again = node.call("/v1/torrents", "POST", {"magnet": f"magnet:?xt=urn:btih:{v1}"})
    assert again.status == 200 and again.json["id"] == told["id"]
    with WebServer(tmp_path) as server:
        got = node.call("/v1/torrents", "POST", {"url": f"{server.url}out.torrent"})
        assert got.status == 200 and got.json["id"] == told["id"]
        got = node.call("/v1/torrents", "POST", {"url": f"{server.url}none.torrent"})
        refused(got, got.status, got.json["code"], "fetch")
        assert got.status in (404, 502)
    refused(node.call("/v1/torrents", "POST", {"url": f"http://127.0.0.1:{free_port()}/x"}), 502,
            "network")
    for ref in (told["id"], v1, told["v2"], "payload", told["magnet"]):
        assert node.item(quote(str(ref), safe=""))["id"] == told["id"]
    files = node.call(f"/v1/files?ref={told['id']}").lines
    assert [f["path"] for f in files] == ["payload/p.bin", "payload/q.bin"]
    lines, n = pages(node, f"/v1/files?ref={told['id']}&", 1)
    assert lines == files and n == 2
    assert node.call(f"/v1/peers?ref={told['id']}").lines == []


@pytest.mark.parametrize("body, words", [
    ({}, ["exactly one"]), ({"magnet": "magnet:?", "url": "http://x/"}, ["exactly one"]),
    ({"magnet": "nonsense"}, []), ({"magnet": "magnet:?dn=x"}, []), ({"torrent_b64": "!!"}, ["base64"]),
    ({"torrent_b64": 7}, ["base64"]), ({"url": "http://x/", "folder": "relative"}, ["absolute"]),
    ({"magnet": "magnet:?xt=urn:btih:" + "1" * 40, "folder": "/" + "x" * 5000}, ["longer"]),
    ({"magnt": "x"}, ["magnet"]),
])
def test_what_cannot_be_added(node, body, words):
    got = node.call("/v1/torrents", "POST", body)
    assert got.status in (400, 422), got.text
    refused(got, got.status, got.json["code"], *words)


def test_no_torrent_at_all(node):
    got = node.call("/v1/torrents", "POST", {"torrent_b64": base64.b64encode(b"d4:infoi1ee").decode()})
    assert got.status in (400, 422) or got.json["exit"] == 1


def test_torrents_are_kept_over_restarts(home, torrent):
    magnet = "magnet:?xt=urn:btih:" + "a" * 40 + "&dn=name"
    with Node(home) as n:
        first = n.call("/v1/torrents", "POST", {
            "torrent_b64": base64.b64encode(torrent.read_bytes()).decode()}).json["id"]
        second = n.call("/v1/torrents", "POST", {"magnet": magnet}).json["id"]
        assert second > first
        assert n.call(f"/v1/pause?ref={first}", "POST").json["is_paused"] is True
    with Node(home) as n:
        told = {t["id"]: t for t in n.call("/v1/torrents").lines}
        assert set(told) == {first, second}
        assert told[first]["is_paused"] is True and told[second]["is_paused"] is False
        assert told[second]["name"] == "name" and told[second]["state"] == "metadata"
        assert n.call(f"/v1/resume?ref={first}", "POST").json["is_paused"] is False
        assert n.call(f"/v1/items?ref={second}", "DELETE").json["name"] == "name"
        refused(n.call(f"/v1/items?ref={second}"), 404, "not-found")
    with Node(home) as n:
        assert [t["id"] for t in n.call("/v1/torrents").lines] == [first]
        third = n.call("/v1/torrents", "POST", {"magnet": magnet}).json["id"]
        assert third > second  # a number is given once


def test_two_of_one_name(node):
    ids = [node.call("/v1/torrents", "POST", {
        "magnet": f"magnet:?xt=urn:btih:{letter * 40}&dn=twin"}).json["id"] for letter in "ab"]
    told = refused(node.call("/v1/items?ref=twin"), 400, "usage")
    assert all(str(i) in told["detail"] for i in ids)


def test_peers(node, tmp_path):
    info = lt.torrent_info(lt.bdecode(node.get("/c/www.torrent").body))
    session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False,
                          "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
                          "user_agent": "fetcher/1"})
    handle = session.add_torrent({"ti": info, "save_path": str(tmp_path / "got")})
    handle.set_download_limit(20000)
    port = int(node.status()["bt"]["addrs"][0].rsplit(":", 1)[1])
    handle.connect_peer(("127.0.0.1", port))
    told = wait_until(lambda: node.call("/v1/peers?ref=www").lines, "a peer is there")[0]
    assert told["type"] == "peer" and told["address"].startswith("127.0.0.1:")
    assert {"agent", "is_incoming", "is_seed", "downloaded", "uploaded", "pieces", "requests_in",
            "is_interested", "am_choking"} <= set(told)
    assert told["is_incoming"] is True and told["is_web_seed"] is False
    wait_until(lambda: any(p.client.startswith(b"tarn ") for p in handle.get_peer_info()),
               "we are called what we are")
    wait_until(lambda: node.item("www")["peers"] == 1 and node.status()["bt"]["peers"] == 1,
               "it is counted")


# Scrub, reload


def test_scrub(node):
    idle = node.call("/v1/scrub").json
    assert idle["state"] == "idle" and set(idle) == {"v", "type", "state", "ended_ms"}
    got = node.call("/v1/scrub", "POST")
    assert got.status == 202 and got.json["type"] == "scrub" and got.json["state"] == "running"
    assert set(got.json) == SCRUB_KEYS
    assert node.call("/v1/scrub?ref=www", "POST").status == 202
    refused(node.call("/v1/scrub?ref=none", "POST"), 404, "not-found")
    refused(node.call("/v1/scrub?ref=www%2Fa.bin", "POST"), 400, "usage")
    wait_until(lambda: node.status()["scrub"]["state"] == "idle", "the scrub is over")
    ended = node.call("/v1/scrub").json
    assert ended["ended_ms"] >= got.json["started_ms"] > idle["ended_ms"]
    assert parse_metrics(node.call("/metrics").text)["tarn_scrub_ended_time_seconds", None] == \
        ended["ended_ms"] // 1000


def test_how_far_a_scrub_is(home, www):
    """At a rate at which it takes a while, whatever the machine."""
    with Node(home, {"www": (www, {})}, "--scrub-rate=100KiB") as node:
        node.wait_complete("www")
        number = node.item("www")["id"]
        assert node.call("/v1/scrub?ref=www", "POST").json["id"] == number

        def look():
            now = node.call("/v1/scrub").json
            assert now["state"] == "running"
            return now if 0 < now["bytes_done"] < now["bytes"] and now["file"] else None

        told = wait_until(look, "a scrub that is under way")
        assert told["id"] == number and told["bytes"] == 320110 and told["files"] == 5
        assert told["damaged"] == 0 and told["files_done"] < 5
        assert told["file"]["item"] == number and (www / told["file"]["path"]).is_file()
        assert told["file"]["bytes_done"] <= told["file"]["bytes"]
        assert set(node.status()["scrub"]) == SCRUB_KEYS - {"v", "type"} | {"id"}
        values = parse_metrics(node.call("/metrics").text)
        assert values["tarn_scrub_running", None] == 1
        assert values["tarn_scrub_bytes", None] == 320110
        assert 0 < values["tarn_scrub_done_bytes", None] < 320110
        wait_until(lambda: node.call("/v1/scrub").json["state"] == "idle", "the scrub is over")
        values = parse_metrics(node.call("/metrics").text)
        assert values["tarn_scrub_running", None] == values["tarn_scrub_bytes", None] == 0


def test_reload(node, tmp_path):
    before = node.config.read_text()
    (tmp_path / "late").mkdir()
    node.config.write_text(before + f"\n[collection late]\npath = {tmp_path / 'late'}\nbt = off\n"
                           "[http]\nloops = 3\n")
    got = node.call("/v1/reload", "POST")
    assert got.status == 200 and got.json["type"] == "reloaded"
    wait_until(lambda: node.call("/v1/items?ref=late").status == 200, "it is published")
    node.config.write_text("[nonsense]\n")
    told = refused(node.call("/v1/reload", "POST"), 400, "usage", "stays")
    assert node.call("/v1/items?ref=late").status == 200
    node.config.write_text(before)
    assert node.call("/v1/reload", "POST").status == 200
    wait_until(lambda: node.call("/v1/items?ref=late").status == 404, "it is no longer published")
    assert told["exit"] == 2


def sections(**folders):
    return "".join(f"\n[collection {name}]\npath = {folder}\n" for name, folder in folders.items())


def configure(n, **folders):
    """The sections of the configuration from now on, and until they are what is published."""
    n.config.write_text(sections(**folders))
    assert n.call("/v1/reload", "POST").status == 200

    def look():
        items = n.call("/v1/items").lines
        return {i["name"]: (i["path"], i["state"]) for i in items} == {
            name: (str(folder.resolve()), "ok") for name, folder in folders.items()}

    wait_until(look, lambda: f"{folders} is published: {n.call('/v1/items').text}")


def hashed(n):
    return parse_metrics(n.call("/metrics").text)["tarn_hashed_bytes_total", None]


def test_a_configured_path_is_changed(home, tmp_path):
    old, new, way = tmp_path / "old", tmp_path / "new", tmp_path / "way"
    fill(old / "secret", 1000, 1)
    fill(new / "x", 1000, 2)
    way.symlink_to(old)
    with Node(home, {"www": (old, {})}) as n:
        n.wait_complete("www", torrent=False)
        assert n.get("/c/www/secret").status == 200
        configure(n, www=new)
        assert n.get("/c/www/secret").status == 404 and n.get("/c/www/x").status == 200
        configure(n, www=way)
        assert n.get("/c/www/secret").status == 200 and n.get("/c/www/x").status == 404
        way.unlink()
        way.symlink_to(new)
        configure(n, www=way)
        assert n.get("/c/www/secret").status == 404 and n.get("/c/www/x").status == 200
    with Node(home, {"www": (old, {})}) as n:  # at a start too
        assert n.item("www")["path"] == str(old)
        n.wait_serves("/c/www/secret", (old / "secret").read_bytes())
        assert n.get("/c/www/x").status == 404


def test_configured_names_are_changed(home, tmp_path):
    one, two, way = tmp_path / "one", tmp_path / "two", tmp_path / "way"
    fill(one / "x", 1000, 1)
    fill(two / "x", 2000, 2)
    way.symlink_to(two)
    with Node(home, {"a": (one, {}), "b": (way, {})}) as n:
        n.wait_complete("a", "b", torrent=False)
        first, second, read = n.item("a")["id"], n.item("b")["id"], hashed(n)
        assert read == 3000
        configure(n, c=one, d=way)  # renamed
        configure(n, d=one, e=way)  # handed on
        configure(n, e=one, d=way)  # exchanged
        assert n.get("/c/d/x").body == (two / "x").read_bytes()
        assert n.get("/c/c/x").status == 404
        assert (n.item("e")["id"], n.item("d")["id"], hashed(n)) == (first, second, read)
    with Node(home, {"d": (one, {}), "e": (way, {})}) as n:
        assert (n.item("d")["id"], n.item("e")["id"]) == (first, second)
        n.wait_complete("d", "e", torrent=False)
        assert hashed(n) == 0


def test_a_configured_folder_that_cannot_be_found(home, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one / "x", 1000, 1)
    fill(two / "x", 2000, 2)
    with Node(home, {"a": (one, {}), "b": (two, {})}) as n:
        n.wait_complete("a", "b", torrent=False)
        n.config.write_text(sections(a=tmp_path / "nothing", c=two))
        assert n.call("/v1/reload", "POST").status == 200
        wait_until(lambda: n.call("/v1/items?ref=c").status == 200, "it is renamed")
        assert n.item("a")["path"] == str(one)  # as it was, and somebody is told
        assert str(tmp_path / "nothing") in n.call("/v1/status").text
        configure(n, a=one, c=two)
        assert str(tmp_path / "nothing") not in n.call("/v1/status").text
        assert hashed(n) == 3000


# Changes


class Stream:
    """A change stream that is open."""

    def __init__(self, n, query, **fields):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(n.home / "tarn.sock"))
        lines = [f"GET /v1/changes?{query} HTTP/1.0", "Host: x"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.text = b""
        while b"\r\n\r\n" not in self.text:
            self.read()
        self.head, self.text = self.text.split(b"\r\n\r\n", 1)

    def read(self):
        more = self.socket.recv(65536)
        self.text += more
        return bool(more)

    def lines(self):
        return [json.loads(line) for line in self.text.decode().splitlines() if line]

    def events(self):
        """(id, event, data) of server-sent events."""
        found = []
        for block in self.text.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
            if fields:
                found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
        return found

    def until(self, happened):
        while not (found := happened()):
            assert self.read(), f"the stream ended: {self.text}"
        return found

    def to_the_end(self):
        while self.read():
            pass
        return self

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def test_all_changes(node):
    lines = node.call("/v1/changes?since=0").lines
    assert [line["seq"] for line in lines] == list(range(1, node.status()["seq"] + 1))
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "collection-added" and kinds.count("file-held") == 5
    assert "collection-complete" in kinds
    held = next(line for line in lines if line.get("path") == "a.bin")
    assert held["name"] == "www" and held["item"] == node.item("www")["id"]
    assert held["id"].endswith("-300000") and held["at_ms"] > 0
    assert node.call("/v1/changes").lines == []  # from now on, and without waiting
    half = node.call("/v1/changes?since=3").lines
    assert half == lines[3:]


def test_changes_as_they_come(node, www):
    with Stream(node, "wait=600") as one, Stream(node, "wait=600") as two, \
            Stream(node, "wait=600", Accept="text/event-stream") as sse:
        assert b"application/jsonl" in one.head and b"text/event-stream" in sse.head
        for i in range(5):  # several watchers, several times: none is told twice
            (www / f"new{i}").write_bytes(b"%d" % i)
            for stream in (one, two):
                stream.until(lambda: [c for c in stream.lines() if c.get("path") == f"new{i}"
                                      and c["type"] == "file-held"])
        sse.until(lambda: [e for e in sse.events() if e[2].get("path") == "new4"])
        for stream in (one, two):
            numbers = [c["seq"] for c in stream.lines()]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        for number, event, data in sse.events():
            assert int(number) == data["seq"] and event == data["type"]
        last = sse.events()[-1][0]
    (www / "late").write_bytes(b"late")
    with Stream(node, "wait=600&since=0", Accept="text/event-stream", Last_Event_ID=last) as more:
        first = more.until(more.events)[0]
        assert int(first[0]) == int(last) + 1


def test_kinds_of_changes(node, www, tmp_path):
    with Stream(node, "wait=600") as s:

        def kinds():
            return [(c["type"], c.get("path")) for c in s.lines()]

        (www / "a.bin").rename(www / "z.bin")
        s.until(lambda: ("file-moved", "z.bin") in kinds())
        moved = next(c for c in s.lines() if c["type"] == "file-moved")
        assert moved["from"] == "a.bin" and moved["id"].endswith("-300000")
        fill(www / "z.bin", 5, 77)
        s.until(lambda: ("file-changed", "z.bin") in kinds())
        (www / "z.bin").unlink()
        s.until(lambda: ("file-missing", "z.bin") in kinds())
        www.rename(tmp_path / "away")
        s.until(lambda: ("collection-away", None) in kinds())
        (tmp_path / "away").rename(www)
        s.until(lambda: ("collection-back", None) in kinds())
        number = node.call("/v1/torrents", "POST", {
            "magnet": "magnet:?xt=urn:btih:" + "c" * 40 + "&dn=noted"}).json["id"]
        s.until(lambda: ("torrent-added", None) in kinds())
        node.call(f"/v1/pause?ref={number}", "POST")
        s.until(lambda: ("torrent-state", None) in kinds())
        node.call(f"/v1/items?ref={number}", "DELETE")
        s.until(lambda: ("torrent-removed", None) in kinds())
        notes = [c for c in s.lines() if c["type"].startswith("torrent")]
        assert all(c["item"] == number and c["name"] == "noted" for c in notes)
        assert [c.get("state") for c in notes] == [None, "paused", None]
        numbers = [c["seq"] for c in s.lines()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_gap(node):
    """Numbers that are not there: another index, or dropped."""
    seq = node.status()["seq"]
    assert node.call("/v1/changes?since=999999").lines == [{"v": 1, "type": "gap", "seq": seq}]
    with Stream(node, f"since={2**64 - 1}&wait=1", Accept="text/event-stream") as s:
        assert s.to_the_end().events() == [(str(seq), "gap", {"v": 1, "type": "gap", "seq": seq})]
    for bad in ("since=x", "since=-1", "wait=3601", "wait=x", f"since={2**64}"):
        refused(node.call(f"/v1/changes?{bad}"), 400, "usage")
    refused(node.call("/v1/changes", Last_Event_ID="x"), 400, "usage")


def test_stream_ends_when_its_time_is_over(node):
    with Stream(node, "wait=1") as s:
        assert s.to_the_end().text == b""


def test_too_many_streams(node):
    streams = [Stream(node, "wait=3600") for _ in range(100)]
    refused(node.call("/v1/changes?wait=10"), 503, "daemon")
    assert node.call("/v1/changes?since=0").status == 200
    for s in streams:
        s.close()
    wait_until(lambda: node.call("/v1/changes?wait=1").status == 200, "there is room again")


def test_a_watcher_does_not_hold_up_the_end(home, www):
    """TERM with the page open: streams end, and so does the node."""
    with Node(home, {"www": (www, {})}) as n:
        with Stream(n, "wait=3600") as one, Stream(n, "wait=3600") as two:
            n.process.send_signal(signal.SIGTERM)
            assert one.to_the_end() and two.to_the_end()
            assert n.wait() == 0
        assert "before all was finished" not in n.output()


def test_clients_that_leave_while_something_is_asked(home, www, tmp_path):
    """What was asked is done, or not, and nothing is left of who asked."""
    with Node(home, {"www": (www, {})}) as n:
        hang = socket.create_server(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{hang.getsockname()[1]}/x.torrent"
        for i in range(20):
            (tmp_path / f"f{i}").mkdir()
            for target, body in (("/v1/collections", {"path": str(tmp_path / f"f{i}")}),
                                 ("/v1/torrents", {"url": where})):
                text = json.dumps(body).encode()
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(home / "tarn.sock"))
                    s.sendall(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                              f"\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
                    if i % 2:
                        time.sleep(0.01)
        assert n.status()["state"] == "running"
        n.process.terminate()  # twenty fetches are under way still
        assert n.wait() == 0, n.output()
        hang.close()


def test_many_at_once(node, tmp_path):
    """Requests of all kinds from several threads, over one minute's worth of changes."""
    faults = []

    def work(me):
        try:
            for i in range(15):
                folder = tmp_path / f"w{me}-{i}"
                folder.mkdir()
                (folder / "f").write_bytes(b"%d" % i)
                number = node.call("/v1/collections", "POST", {"path": str(folder)}).json["id"]
                assert node.call("/v1/status").status == 200
                assert node.call("/v1/items").status == 200
                assert node.call(f"/v1/files?ref={number}").status == 200
                assert node.get("/?as=json").status == 200
                assert node.call(f"/v1/items?ref={number}", "DELETE").status == 200
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=[me]) for me in range(4)]
    with Stream(node, "wait=600") as s:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not faults, faults
        s.until(lambda: sum(c["type"] == "collection-removed" for c in s.lines()) == 60)
    assert len(node.call("/v1/items").lines) == 1
