"""tarn show: what torrents and magnet links say."""
import os
import pty
import subprocess

import libtorrent as lt
import pytest
from program import FAILED, NOT_FOUND, TARN, TREE, huge, is_sanitized, run


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_json(tree, create, kind):
    torrent = create(tree, "--format", kind, "--piece-length", "32K")
    info = lt.torrent_info(str(torrent))
    done = run("show", "--json", torrent)
    head, files = done.lines[0], done.of("file")
    assert head["type"] == "torrent" and head["name"] == "tree"
    assert head["files"] == len(files) == len(TREE)
    assert head["length"] == sum(TREE.values()) and head["piece_length"] == 32768
    assert head["pieces"] == info.num_pieces()
    hashes = info.info_hashes()
    assert head.get("v1") == (str(hashes.v1) if hashes.has_v1() else None)
    assert head.get("v2") == (str(hashes.v2) if hashes.has_v2() else None)
    assert {f["path"]: f["length"] for f in files} == {f"tree/{p}": n for p, n in TREE.items()}
    for f in files:
        assert ("root" in f) == (kind != "v1" and f["length"] > 0)
    parsed = lt.parse_magnet_uri(head["magnet"])
    assert parsed.info_hashes.v1 == hashes.v1 and parsed.info_hashes.v2 == hashes.v2


def test_magnet_links(tree, create):
    torrent = create(tree, "--tracker", "http://t.example/announce", "--web-seed",
                     "http://w.example/")
    magnet = run("show", "--json", torrent).lines[0]["magnet"]
    head = run("show", "--json", magnet).lines[0]
    assert head["type"] == "magnet" and head["magnet"] == magnet and head["name"] == "tree"
    assert head["trackers"] == [{"url": "http://t.example/announce", "tier": 0}]
    assert head["web_seeds"] == ["http://w.example/"]
    assert "magnet link, v1 and v2" in run("show", magnet).text


def test_standard_input(tree, create):
    torrent = create(tree)
    with open(torrent, "rb") as f:
        assert run("show", "-", stdin=f).out == run("show", torrent).out


def test_plain_lines(tree, create):
    lines = run("show", create(tree)).text.splitlines()
    assert f"{TREE['a.bin']}\ttree/a.bin" in lines
    assert "name         tree" in lines


def on_terminal(*words, **environment):
    """What a terminal gets to see."""
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", **environment}
    process = subprocess.Popen([TARN, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs,
                               env=env)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(60) == 0, seen
    return seen.decode()


def test_terminal(tree, create):
    torrent = create(tree)
    seen = on_terminal("show", torrent)
    assert "\x1b[1m" in seen and "97.6 KiB    a.bin" in seen and "ünï/" in seen
    for environment in [{"NO_COLOR": "1"}, {"TERM": "dumb"}]:
        assert "\x1b" not in on_terminal("show", torrent, **environment)


def test_progress_on_a_terminal(tmp_path):
    huge(tmp_path / "sparse", 100 << 20 if is_sanitized() else 1 << 30)
    seen = on_terminal("create", tmp_path / "sparse", "-o", tmp_path / "x", COLUMNS="50")
    assert "\rhashing" in seen and "\r\x1b[K" in seen
    drawn = [line.split("\x1b")[0] for line in seen.split("\r") if line.startswith("hashing")]
    assert all(len(line) < 50 for line in drawn)
    quiet = on_terminal("create", tmp_path / "sparse", "-o", tmp_path / "y", "--progress=off")
    assert "hashing" not in quiet


@pytest.mark.parametrize("text, words", [
    (b"", "torrent"), (b"garbage", "torrent"), (b"d4:infod", "torrent"), (b"de", "info"),
])
def test_no_torrent(tmp_path, text, words):
    file = tmp_path / "x.torrent"
    file.write_bytes(text)
    done = run("show", file, code=FAILED)
    assert words in done.words and done.words.count("\n") == 1 and done.out == b""
    error = run("show", "--json", file, code=FAILED).error
    assert error["code"] == "failed" and error["message"] in done.words


def test_not_there(tmp_path):
    run("show", tmp_path / "nowhere", code=NOT_FOUND)
    run("show", "magnet:?xt=urn:btih:nonsense", code=FAILED)


def test_hostile_text_is_not_obeyed(tree, tmp_path, create):
    raw = lt.bdecode(create(tree).read_bytes())
    raw[b"comment"] = "red \x1b[31m and \u202e".encode() + b"x" * 400
    raw[b"created by"] = b"\x07bell"
    file = tmp_path / "hostile.torrent"
    file.write_bytes(lt.bencode(raw))
    text = run("show", file).text
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "\\x1b[31m" in text and "x" * 400 in text
