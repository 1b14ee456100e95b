"""The verbs of a node against a node: what they publish is on the web and in the swarm."""
import contextlib
import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from daemon import Tarnd
from faults import failing
from program import (DAEMON, FAILED, NETWORK, NOT_FOUND, PARTIAL, POLICY, USAGE, fill, run)
from programs import PATIENCE, TARN, Tarn, TarnSeed, end, end_with_parent, wait_until

SETTINGS = ["--catalog-quiet=1", "--bt-listen=127.0.0.1:0"]


@pytest.fixture(autouse=True)
def short_home(short_home, monkeypatch):
    monkeypatch.setenv("TARN_HOME", str(short_home))
    return short_home


@pytest.fixture
def node(short_home):
    with Tarnd(short_home, *SETTINGS) as daemon:
        yield daemon.wait_runs()


@pytest.fixture
def www(tmp_path):
    root = tmp_path / "www"
    fill(root / "a.bin", 300000, 1)
    fill(root / "sub" / "b.bin", 20000, 2)
    (root / "empty").touch()
    return root


def items(*words):
    return [line for line in run("ls", *words, "--json").lines]


def item(ref):
    return items(ref)[0]


def wait_complete(ref):
    def look():
        now = item(ref)
        return now if now["state"] == "ok" and now.get("magnet") else None

    return wait_until(look, lambda: f"{ref} is complete: {items()}")


def get(url, **fields):
    with urllib.request.urlopen(urllib.request.Request(url, headers=fields)) as answer:
        return answer.read()


# publish, ls


def test_published_folder_is_everywhere(node, www, tmp_path):
    done = run("publish", www, "--json")
    assert done.lines[0]["type"] == "collection" and done.lines[0]["name"] == "www"
    told = wait_complete("www")
    assert told["files"] == 3 and told["bytes"] == 320000 and told["path"] == str(www)
    assert get(told["url"] + "sub/b.bin") == (www / "sub" / "b.bin").read_bytes()
    assert get(told["url"] + "a.bin", Range="bytes=5-9") == (www / "a.bin").read_bytes()[5:10]
    torrent = tmp_path / "www.torrent"
    torrent.write_bytes(get(told["torrent_url"]))
    assert run("show", torrent, "--json").lines[0]["v2"] == told["v2"]
    assert run("verify", torrent, www).code == 0
    port = node.status()["bt"]["addrs"][0].rsplit(":", 1)[1]
    run("fetch", torrent, "-o", tmp_path / "got", "--peer", f"127.0.0.1:{port}", "--listen",
        "127.0.0.1:0", "--no-state")
    for path in ("a.bin", "sub/b.bin", "empty"):
        assert (tmp_path / "got" / "www" / path).read_bytes() == (www / path).read_bytes()


def test_names_for_one_thing(node, www, monkeypatch):
    run("publish", www, "--as", "docs")
    told = wait_complete("docs")
    monkeypatch.chdir(www)
    for ref in (told["id"], "docs", www, ".", told["v1"], told["v2"], told["magnet"], told["url"]):
        assert item(ref)["id"] == told["id"], ref
    one = item("docs/sub/b.bin")
    for ref in ("./sub/b.bin", www / "sub" / "b.bin", one["id"], one["url"]):
        assert item(ref)["path"] == "sub/b.bin", ref
    assert one["sha256"] == hashlib.sha256((www / "sub" / "b.bin").read_bytes()).hexdigest()
    for ref in ("nothing", "999", "docs/none", "/nonexistent", "0" * 40):
        run("ls", ref, code=NOT_FOUND)
        error = run("ls", ref, "--json", code=NOT_FOUND).error
        assert error["code"] == "not-found"


def test_paths_through_links(node, www, tmp_path, monkeypatch):
    (tmp_path / "way").symlink_to(www.parent)
    (tmp_path / "www2").symlink_to(www)
    run("publish", tmp_path / "way" / "www")
    number = wait_complete("www")["id"]
    for ref in (tmp_path / "way" / "www", tmp_path / "www2"):
        assert item(ref)["id"] == number, ref
    assert item(tmp_path / "www2" / "a.bin")["path"] == "a.bin"
    monkeypatch.chdir(tmp_path / "www2" / "sub")
    assert item("./b.bin")["path"] == "sub/b.bin"
    assert item("..")["id"] == number
    assert "/none'" in run("ls", "./none", code=NOT_FOUND).words
    # what has gone from the disk is still in the index
    www.rename(tmp_path / "elsewhere")
    assert item(tmp_path / "way" / "www")["id"] == number
    run("rm", tmp_path / "way" / "www")
    assert items() == []


def test_links_that_are_published(node, short_home, tmp_path):
    root = tmp_path / "links"
    fill(root / "real.bin", 1000, 1)
    (root / "alias.bin").symlink_to("real.bin")
    assert node.ask("POST", "/v1/collections", {"path": str(root), "links": True})[0] == 201
    wait_complete("links")
    assert item(root / "alias.bin")["path"] == "alias.bin"
    assert item(root / "real.bin")["path"] == "real.bin"
    (tmp_path / "outside").symlink_to(root / "alias.bin")
    assert item(tmp_path / "outside")["path"] == "real.bin"


def test_list_for_programs(node, www):
    run("publish", www)
    wait_complete("www")
    assert run("ls").text == f"1\twww\tok\t3\t320000\t0\t{www}\n"
    lines = run("ls", "www").text.splitlines()
    assert [line.split("\t")[:3] for line in lines[-3:]] == [
        ["300000", "held", "a.bin"], ["0", "held", "empty"], ["20000", "held", "sub/b.bin"]]


def test_publish_again_and_what_is_refused(node, www, tmp_path):
    first = run("publish", www, "--json").lines[0]
    again = run("publish", www, "--policy", "mine", "--json").lines[0]
    assert again["id"] == first["id"] and again["policy"] == "mine"
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"http://127.0.0.1:{node.port()}/c/www/a.bin")
    assert refused.value.code == 404
    other = tmp_path / "other"
    other.mkdir()
    assert "belongs to" in run("publish", other, "--as", "www", code=USAGE).words
    assert "lies inside" in run("publish", www / "sub", code=USAGE).words
    run("publish", www / "a.bin", code=USAGE)
    run("publish", tmp_path / "missing", code=NOT_FOUND)
    run("publish", www, "--bt", "v3", code=USAGE)


def test_changes_are_seen(node, www):
    run("publish", www)
    before = wait_complete("www")
    (www / "new.txt").write_text("new")
    wait_until(lambda: item("www")["files"] == 4 and wait_complete("www")["v2"] != before["v2"],
               "the new file is published")
    (www / "a.bin").write_bytes(b"other")
    wait_until(lambda: item("www/a.bin")["length"] == 5 and item("www/a.bin")["state"] == "held",
               "the other bytes are")
    assert get(wait_complete("www")["url"] + "a.bin") == b"other"


def test_everything_outlives_a_restart(short_home, www):
    with Tarnd(short_home, *SETTINGS) as first:
        first.wait_runs()
        run("publish", www)
        before = wait_complete("www")
        run("pause", "www")
        first.process.kill()
        first.wait()
    with Tarnd(short_home, *SETTINGS) as second:
        second.wait_runs()
        after = wait_complete("www")
        assert (after["id"], after["v2"]) == (before["id"], before["v2"]) and after["is_paused"]
        assert not run("resume", "www", "--json").lines[0]["is_paused"]


# pause, rm, scrub, status, peers


def test_rm_leaves_files(node, www):
    run("publish", www)
    told = wait_complete("www")
    removed = run("rm", "www", "--json").lines[0]
    assert (removed["type"], removed["id"], removed["name"]) == ("removed", told["id"], "www")
    assert items() == [] and (www / "a.bin").exists()
    run("rm", "www", code=NOT_FOUND)
    with pytest.raises(urllib.error.HTTPError):
        get(told["url"] + "a.bin")


def test_scrub_finds_what_rots(node, www):
    run("publish", www)
    wait_complete("www")
    path = www / "a.bin"
    was = path.stat()
    with open(path, "r+b") as f:
        f.seek(100000)
        f.write(b"rot")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))  # as a disk does: nothing tells
    assert run("scrub", "www").code == 0
    wait_until(lambda: item("www/a.bin")["state"] != "held" or
               item("www/a.bin")["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(),
               "the old identity is not served")
    run("scrub", "nothing", code=NOT_FOUND)


@pytest.fixture
def slow_node(short_home):
    """Its scrubs take a while on any machine."""
    with Tarnd(short_home, *SETTINGS, "--scrub-rate=20KiB") as daemon:
        yield daemon.wait_runs()


class Waiting:
    """A verb with --wait: what it says of its progress, and how it ends."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [TARN, *map(str, words), "--wait", "--progress=json", "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=end_with_parent)

    def until(self, happened):
        for line in self.process.stderr:
            told = json.loads(line)
            assert told["type"] == "progress" and told["done"] <= told["total"]
            if happened(told):
                return told
        raise AssertionError(f"it ended before: {self.process.stdout.read()}")

    def end(self):
        """Exit code, and its lines."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.process.stdout.close()
        self.process.stderr.close()


def test_scrub_that_is_waited_for(node, www):
    run("publish", www, "--wait")
    assert run("scrub", "--wait").text == "checked: all is what was published\n"
    lines = run("scrub", "www", "--wait", "--json").lines
    assert [line["type"] for line in lines] == ["scrub", "scrubbed"]
    assert lines[0]["state"] == "running" and lines[1] == {"v": 1, "type": "scrubbed", "damaged": 0}
    run("scrub", "nothing", "--wait", code=NOT_FOUND)


def test_how_far_a_scrub_is(slow_node, www):
    run("publish", www, "--wait")
    with Waiting("scrub") as waiting:
        told = waiting.until(lambda told: told["done"] > 0)
        assert told["doing"] == "checking" and told["total"] == 320000
        rows = [row for row in run("status").text.splitlines() if row.startswith("scrub ")]
        assert len(rows) == 1 and " of 312.5 KiB" in rows[0]
        waiting.process.send_signal(signal.SIGINT)
        code, lines = waiting.end()
    assert code == PARTIAL and lines[-1]["error"]["code"] == "canceled"
    assert slow_node.status()["scrub"]["state"] == "running", "who waits is not who works"


def test_waiting_for_a_node_that_goes(slow_node, www):
    run("publish", www, "--wait")
    with Waiting("scrub") as waiting:
        waiting.until(lambda told: True)
        slow_node.process.kill()
        code, lines = waiting.end()
    assert code == DAEMON and lines[-1]["error"]["code"] == "daemon"


def test_paths_that_are_no_text(node, www, tmp_path):
    """Requests are JSON; names of bytes below a published folder are another matter."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(odd)
    words = run("publish", os.fsdecode(odd), code=USAGE).words
    assert "is not UTF-8" in words and "caf" in words
    words = run("add", "magnet:?xt=urn:btih:" + "1" * 40, "-o", os.fsdecode(odd), code=USAGE).words
    assert "cannot use the folder" in words and "is not UTF-8" in words
    assert items() == []


def test_publish_that_is_waited_for(node, www):
    lines = run("publish", www, "--wait", "--json").lines
    assert [line["type"] for line in lines] == ["collection", "collection"]
    assert lines[-1]["state"] == "ok" and lines[-1]["hashing_bytes"] == 0
    assert get(lines[-1]["url"] + "a.bin") == (www / "a.bin").read_bytes()
    assert run("publish", www, "--wait").text.splitlines()[-1].startswith("done 1 www at http://")


def test_publish_that_is_waited_for_and_is_not_whole(short_home, www):
    with Tarnd(short_home, *SETTINGS, environment=failing(www / "sub", 1)) as node:
        node.wait_runs()
        lines = run("publish", www, "--wait", "--json", code=PARTIAL).lines
    assert lines[-2]["refused"] == 1 and lines[-2]["state"] == "ok"
    assert "1 file that cannot be read" in lines[-1]["error"]["message"]


def test_publish_shows_how_far_it_is(node, tmp_path):
    """Within one long file."""
    fill(tmp_path / "long" / "small.bin", 10)
    with open(tmp_path / "long" / "long.bin", "wb") as f:
        f.truncate(600 << 20)
    with Waiting("publish", tmp_path / "long") as waiting:
        told = waiting.until(lambda told: told["done"] > 1 << 20)
        assert told["doing"] == "hashing" and told["done"] < told["total"] == (600 << 20) + 10
        rows = run("ls").text.splitlines()
        assert waiting.end()[0] == 0
    assert rows and ("\thashing " in rows[0] and "%" in rows[0] or "\tok\t" in rows[0])


def test_add_that_is_waited_for(node, www, create, tmp_path):
    torrent = create(www)
    run("add", torrent, "--wait", "--paused", code=USAGE)
    assert items() == []
    link = run("show", torrent, "--json").lines[0]["magnet"]
    with Waiting("add", link, "-o", tmp_path) as waiting:  # nobody has it
        assert waiting.until(lambda told: True)["doing"] == "metadata"
        waiting.process.send_signal(signal.SIGINT)
        code, lines = waiting.end()
        assert code == PARTIAL and lines[0]["state"] == "metadata"
    run("rm", lines[0]["id"])
    (tmp_path / "down").mkdir()
    with TarnSeed(torrent, www) as seed:
        lines = run("add", f"{link}&x.pe={seed.address}", "-o", tmp_path / "down", "--wait",
                    "--json").lines
    assert lines[-1]["state"] == "seeding" and lines[-1]["done"] == lines[-1]["total"] == 320000
    assert (tmp_path / "down" / "www" / "a.bin").read_bytes() == (www / "a.bin").read_bytes()


def test_add_that_is_waited_for_and_fails(node, www, create, tmp_path):
    (tmp_path / "down").mkdir()
    (tmp_path / "down" / "www").write_text("a file in the way of the folder")
    words = run("add", create(www), "-o", tmp_path / "down", "--wait", code=FAILED).words
    assert "the node cannot fetch it: " in words and "www" in words


def test_status_and_peers(node, www, tmp_path):
    run("publish", www)
    told = wait_complete("www")
    text = run("status").text
    assert "1 collection, 3 files" in text and told["url"].removesuffix("c/www/") in text
    status = run("status", "--json").lines[0]
    assert status["catalog"]["collections"] == 1 and status["state"] == "running"
    torrent = tmp_path / "t.torrent"
    torrent.write_bytes(get(told["torrent_url"]))
    port = status["bt"]["addrs"][0].rsplit(":", 1)[1]
    with Tarn("fetch", torrent, "-o", tmp_path / "got", "--peer", f"127.0.0.1:{port}", "--listen",
              "127.0.0.1:0", "--rate-down", "1", "--json", "--no-state"):
        peers = wait_until(lambda: run("peers", "www", "--json").lines, "a peer is shown")
        assert peers[0]["type"] == "peer" and peers[0]["is_incoming"]
        wait_until(lambda: "\ttarn" in run("peers", "www").text, "it has said what it is")
    run("peers", "nothing", code=NOT_FOUND)


# add


def test_add_fetches_and_seeds(node, www, create, tmp_path):
    torrent = create(www)
    with TarnSeed(torrent, www) as seed:
        added = run("add", torrent, "-o", tmp_path, "--paused", "--json").lines[0]
        assert added["type"] == "torrent" and added["is_paused"]
        again = run("add", torrent, "--json").lines[0]
        assert again["id"] == added["id"]
        assert run("rm", added["id"]).code == 0
        link = run("show", torrent, "--json").lines[0]["magnet"] + f"&x.pe={seed.address}"
        (tmp_path / "down").mkdir()
        told = run("add", link, "-o", tmp_path / "down", "--json").lines[0]
        wait_until(lambda: item(told["id"])["state"] == "seeding", lambda: f"seeding: {items()}")
    assert (tmp_path / "down" / "www" / "a.bin").read_bytes() == (www / "a.bin").read_bytes()
    assert item(told["id"])["name"] == "www" and item(told["v2"] or told["v1"])["id"] == told["id"]


def test_add_refuses(node, tmp_path):
    (tmp_path / "bad").write_text("nonsense")
    run("add", tmp_path / "bad", code=FAILED)
    run("add", tmp_path / "missing", code=NOT_FOUND)
    assert "magnet" in run("add", "magnet:?nothing", code=FAILED).words
    run("add", "http://127.0.0.1:1/x.torrent", code=NETWORK)


# configuration and node


def test_configured_collections(short_home, www, tmp_path):
    path = tmp_path / "tarn.conf"
    path.write_text(f"[collection conf]\npath = {www}\n")
    with Tarnd(short_home, *SETTINGS, "--config", path) as daemon:
        daemon.wait_runs()
        assert wait_complete("conf")["from"] == "config"
        assert "remove it there" in run("rm", "conf", code=POLICY).words
        path.write_text("")
        run_reload(daemon)
        wait_until(lambda: items() == [], "it goes when the configuration no longer names it")
        path.write_text(f"[collection conf]\npath = {www}\npolicy = mine\n")
        run_reload(daemon)
        wait_until(lambda: items() and item("conf")["policy"] == "mine", "it is back")


def run_reload(daemon):
    code, _ = daemon.ask("POST", "/v1/reload", {})
    assert code == 200, daemon.output()


def test_up(short_home, www):
    with Tarn("up", "--json", "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0",
              "--set", "bt.listen=127.0.0.1:0", "--set", "catalog.quiet=1", www) as up:
        told = up.wait_for(lambda e: e["type"] == "up", "it serves")
        assert told["socket"] == str(short_home / "tarn.sock")
        assert wait_complete("www")["url"] == told["url"] + "c/www/"
        seen = subprocess.run(["curl", "-sL", "-c", "/dev/null", told["page"]], capture_output=True)
        assert b"<html" in seen.stdout  # the token has become a cookie
        up.process.terminate()
        assert up.wait() == 0


def test_a_reload_keeps_what_was_said_of_a_folder(short_home, www, tmp_path):
    """Of one that was named at start: that it was, is not said again."""
    path = tmp_path / "tarn.conf"
    path.write_text("")
    (www / "link").symlink_to("a.bin")
    with Tarn("up", "--json", "--config", path, "--set", "http.listen=127.0.0.1:0", "--set",
              "admin.listen=off", "--set", "bt.listen=127.0.0.1:0", "--set", "catalog.quiet=1", www) as up:
        up.wait_for(lambda e: e["type"] == "up", "it serves")
        files = wait_complete("www")["files"]
        assert run("publish", www, "--as", "own", "--policy", "mine").code == 0
        path.write_text("[catalog]\nsymlinks = follow\n")
        up.process.send_signal(signal.SIGHUP)
        wait_until(lambda: items()[0]["files"] == files + 1, "links are followed")
        assert (item("own")["policy"], len(items())) == ("mine", 1)
        up.process.terminate()
        assert up.wait() == 0


def test_up_on_a_terminal(short_home, www):
    """A table that is drawn over, and stays below what was said."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [TARN, "up", "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=off", "--set",
         "bt.listen=off", "--set", "catalog.quiet=1", www],
        stdin=subprocess.DEVNULL, stdout=its, stderr=its, preexec_fn=end_with_parent)
    os.close(its)
    seen = b""
    try:
        while b"100%" not in seen or seen.count(b"3 files") < 2:
            seen += os.read(ours, 4096)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        end(process)
        os.close(ours)
    text = seen.decode()
    assert text.index("serving at http://127.0.0.1:") < text.index("www")
    assert "\x1b[2A" in text  # two lines are drawn over: the collection and the sum


def test_up_of_what_is_not_there(tmp_path):
    run("up", tmp_path / "none", code=NOT_FOUND)


def test_up_of_what_cannot_be(short_home, www):
    """A folder inside another one: said at once, and nothing is left running."""
    done = run("up", www, www / "sub", "--set", "http.listen=off", "--set", "admin.listen=off",
               "--set", "bt.listen=off", code=USAGE)
    assert "it lies" in done.words and done.words.count("\n") == 1  # whichever comes second


# What is at the socket and is no node

ALL = (["ls"], ["ls", "x"], ["status"], ["peers", "x"], ["pause", "x"], ["resume", "x"], ["rm", "x"],
       ["scrub"], ["scrub", "--wait"], ["publish", "/tmp"], ["publish", "/tmp", "--wait"],
       ["add", "magnet:?xt=urn:btih:" + "1" * 40],
       ["add", "magnet:?xt=urn:btih:" + "1" * 40, "--wait"])


@pytest.fixture
def impostor(short_home):
    """Something that listens on the socket of the control API and answers with these bytes."""
    listener = socket.socket(socket.AF_UNIX)

    def serve(answer):
        listener.bind(str(short_home / "tarn.sock"))
        listener.listen(50)

        def work():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(answer)

        threading.Thread(target=work, daemon=True).start()

    yield serve
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def all_refuse(code, words):
    for verb in ALL:
        assert words in run(*verb, code=code).words, verb
        lines = run(*verb, "--json", code=code).out.decode().splitlines()
        assert words in json.loads(lines[-1])["error"]["message"], verb
        for line in lines:
            assert json.loads(line)["v"] == 1, "what is printed is ours"


def http(body, kind="application/json"):
    return (f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}").encode()


def test_nobody_at_the_socket(short_home):
    all_refuse(DAEMON, "is one running?")
    with socket.socket(socket.AF_UNIX) as left:  # as one that was killed leaves it
        left.bind(str(short_home / "tarn.sock"))
    all_refuse(DAEMON, "is one running?")


@pytest.mark.parametrize("answer", [
    http("<html>a page</html>", "text/html"), http("[1, 2]"), http('{"v":1}'), http("null"),
    http('{"v":1,"type":"")'), http('\x00'), http('{"type":"x"'),
])
def test_another_program_at_the_socket(impostor, answer):
    impostor(answer)
    all_refuse(DAEMON, "is no tarn")


def test_what_is_no_http_at_the_socket(impostor):
    impostor(b"220 mail.example ESMTP\r\n")
    all_refuse(DAEMON, "no node answers")


def test_a_node_that_goes_in_the_middle_of_an_answer(impostor):
    impostor(b"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nTransfer-Encoding: chunked"
             b"\r\n\r\n80\r\n" + b'{"v":1,"type":"file","path":"a","state":"held"}\n')
    all_refuse(DAEMON, "in the middle of its answer")


def test_a_node_that_is_silent_can_be_left(short_home):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_home / "tarn.sock"))
        listener.listen(5)
        process = subprocess.Popen([TARN, "status"], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, preexec_fn=end_with_parent)
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=PATIENCE)
    assert process.returncode == PARTIAL and b"stopped before the node" in words


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_a_node_of_somebody_else(node, short_home, open_folder):
    nobody = 65534
    for mode in (0o711, 0o700):  # the socket is not for us; nor is its folder
        short_home.chmod(mode)
        for verb in (["status"], ["ls", "--json"], ["scrub"]):
            done = run(*verb, user=nobody, group=nobody, extra_groups=[], code=POLICY,
                       executable=open_folder / "tarn")
            assert "may not control the node" in done.words + done.text


def test_changes_stream(node, www):
    process = subprocess.Popen(["curl", "-sN", "--unix-socket", node.home / "tarn.sock",
                                "http://tarn/v1/changes?since=0&wait=60"], stdout=subprocess.PIPE)
    try:
        run("publish", www)
        seen = []
        for line in process.stdout:
            if line.strip():
                seen.append(json.loads(line))
            if sum(e["type"] == "file-held" for e in seen) == 3:
                break
        assert seen[0]["type"] == "collection-added"
        assert [e["seq"] for e in seen] == sorted(e["seq"] for e in seen)
    finally:
        process.kill()
        process.wait()
