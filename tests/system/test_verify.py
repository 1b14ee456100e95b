"""tarn verify: every kind of damage is found, and told where it is."""
import hashlib
import os
import shutil
import signal
import subprocess
import time

import libtorrent as lt
import pytest
from program import (FAILED, INTEGRITY, NOT_FOUND, PARTIAL, TARN, TREE, USAGE, damage, fill, huge,
                      run)
from programs import SLOWNESS

FORMATS = ["v1", "v2", "hybrid"]


def found(torrent, path, *options, code=INTEGRITY):
    """What verify says: (path, kind, offset, length, exact) in its order, and the result."""
    done = run("verify", "--json", torrent, path, *options, code=code)
    told = [(d["path"].partition("/")[2] or d["path"], d["kind"], d["offset"], d["length"],
             d["exact"]) for d in done.of("damage")]
    return told, done.of("verified")[0]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("piece_length", ["16K", "32K", "128K", "1M"])
def test_good(tree, create, kind, piece_length):
    torrent = create(tree, "--format", kind, "--piece-length", piece_length)
    for path in [tree, tree.parent]:
        told, result = found(torrent, path, code=0)
        assert told == [] and result["good"] is True
        assert result["files_good"] == len(TREE) and result["files_bad"] == 0
        assert result["bytes_good"] == sum(TREE.values()) and result["pieces_bad"] == 0
    words = run("verify", torrent, tree)
    assert words.text.startswith("tree: good: 7 files, 404.9 KiB, ") and words.words == ""


@pytest.mark.parametrize("kind", FORMATS)
def test_single_file(tmp_path, create, kind):
    file = fill(tmp_path / "one.bin", 100_000)
    torrent = create(file, "--format", kind, "--piece-length", "16K")
    run("verify", torrent, file)
    run("verify", torrent, tmp_path)
    renamed = tmp_path / "renamed"
    os.rename(file, renamed)
    run("verify", torrent, renamed)
    run("verify", torrent, tmp_path, code=NOT_FOUND)
    damage(renamed, 50_000)
    assert found(torrent, renamed)[0] == [("one.bin", "bad", 49152, 16384, True)]


def test_torrents_of_libtorrent(tree, tmp_path):
    storage = lt.file_storage()
    lt.add_files(storage, str(tree))
    for flags in [lt.create_torrent.v1_only, lt.create_torrent.v2_only, 0]:
        made = lt.create_torrent(storage, piece_size=32768, flags=flags)
        lt.set_piece_hashes(made, str(tree.parent))
        out = tmp_path / "theirs.torrent"
        out.write_bytes(lt.bencode(made.generate()))
        run("verify", out, tree)


@pytest.mark.parametrize("kind", ["v2", "hybrid"])
def test_bad_bytes_by_piece(tree, create, kind):
    torrent = create(tree, "--format", kind, "--piece-length", "32K")
    damage(tree / "a.bin", 40_000, 65_535, 99_999)
    damage(tree / "b/one", 0)
    damage(tree / "ünï/日本 x.bin", 200_000)
    told, result = found(torrent, tree)
    assert told == [
        ("a.bin", "bad", 32768, 32768, False),
        ("a.bin", "bad", 98304, 1696, False),
        ("b/one", "bad", 0, 1, False),
        ("ünï/日本 x.bin", "bad", 196608, 3393, False),
    ]
    assert result["pieces_bad"] == 4 and result["files_bad"] == 3
    assert result["bytes_good"] == sum(TREE.values()) - 32768 - 1696 - 1 - 3393


def test_bad_bytes_by_piece_v1(tree, create):
    """v1's pieces run over the borders of files: all files of a bad piece are suspect."""
    torrent = create(tree, "--format", "v1", "--piece-length", "32K")
    damage(tree / "a.bin", 99_000)
    told, result = found(torrent, tree)
    end = 4 * 32768 - 100_000  # of the piece, in the file that follows
    assert told == [("a.bin", "bad", 98304, 1696, False), ("b/exactly", "bad", 0, end, False)]
    assert result["pieces_bad"] == 1


@pytest.mark.parametrize("kind", ["v2", "hybrid"])
def test_bad_bytes_by_block(tree, tmp_path, create, kind):
    leaves = tmp_path / "leaves"
    torrent = create(tree, "--format", kind, "--piece-length", "128K", "--leaves", leaves)
    blocks = sum(-(-length // 16384) for length in TREE.values())
    assert leaves.stat().st_size == 32 + 32 * blocks
    run("verify", torrent, tree, "--leaves", leaves)
    damage(tree / "a.bin", 0, 16_384, 65_536)
    damage(tree / "ünï/日本 x.bin", 131_072, 200_000)
    told, result = found(torrent, tree, "--leaves", leaves)
    assert told == [
        ("a.bin", "bad", 0, 32768, True),
        ("a.bin", "bad", 65536, 16384, True),
        ("ünï/日本 x.bin", "bad", 131072, 16384, True),
        ("ünï/日本 x.bin", "bad", 196608, 3393, True),
    ]
    assert result["pieces_bad"] == 2


def test_pieces_of_one_block_are_exact(tree, create):
    torrent = create(tree, "--format", "v2", "--piece-length", "16K")
    damage(tree / "a.bin", 20_000)
    assert found(torrent, tree)[0] == [("a.bin", "bad", 16384, 16384, True)]


def test_leaves_are_not_believed(tree, tmp_path, create):
    leaves = tmp_path / "leaves"
    torrent = create(tree, "--piece-length", "64K", "--leaves", leaves)
    good = leaves.read_bytes()

    def refused(words):
        done = run("verify", torrent, tree, "--leaves", leaves, code=FAILED)
        assert words in done.words and str(leaves) in done.words

    damage(leaves, 32 + 32 * 3)
    refused("not those of this torrent")
    leaves.write_bytes(good[:-1])
    refused("another torrent")
    leaves.write_bytes(good + b"x" * 32)
    refused("another torrent")
    leaves.write_bytes(b"")
    refused("no leaf hashes")
    leaves.write_bytes(b"x" + good[1:])
    refused("no leaf hashes")
    run("verify", torrent, tree, "--leaves", tmp_path / "nowhere", code=NOT_FOUND)
    v1 = create(tree, "--format", "v1", name="v1.torrent")
    run("verify", v1, tree, "--leaves", leaves, code=USAGE)


@pytest.mark.parametrize("kind", ["v2", "hybrid"])
def test_missing_short_long(tree, create, kind):
    torrent = create(tree, "--format", kind, "--piece-length", "32K")
    os.remove(tree / "b/empty")
    os.remove(tree / "b/exactly")
    os.truncate(tree / "a.bin", 70_000)
    with open(tree / "z", "ab") as f:
        f.write(b"more")
    told, result = found(torrent, tree)
    assert told == [
        ("a.bin", "unsure", 65536, 4464, False),
        ("a.bin", "short", 70000, 30000, True),
        ("b/empty", "missing", 0, 0, True),
        ("b/exactly", "missing", 0, 65536, True),
        ("z", "long", 16384, 4, True),
    ]
    assert result["files_bad"] == 4 and result["files_good"] == 3
    assert result["pieces_bad"] == 4  # two of a.bin, two of b/exactly


def test_missing_in_v1(tree, create):
    torrent = create(tree, "--format", "v1", "--piece-length", "32K")
    os.remove(tree / "b/exactly")
    told, result = found(torrent, tree)
    end = 100_000 + 65_536  # of the missing file, in the torrent
    rest = -(-end // 32768) * 32768 - end - 1
    assert told == [
        ("a.bin", "unsure", 98304, 1696, False),
        ("b/exactly", "missing", 0, 65536, True),
        ("b/one", "unsure", 0, 1, False),
        ("b.bin", "unsure", 0, rest, False),
    ]


def test_empty_file_in_place_of_another(tree, create):
    torrent = create(tree)
    os.truncate(tree / "a.bin", 0)
    assert ("a.bin", "short", 0, 100_000, True) in found(torrent, tree)[0]


def test_folder_in_place_of_a_file(tree, create):
    torrent = create(tree, "--format", "v2")
    os.remove(tree / "a.bin")
    (tree / "a.bin").mkdir()
    told = found(torrent, tree)[0]
    assert ("a.bin", "unreadable", 0, 100_000, True) in told


def test_file_that_cannot_be_read(tree, create):
    if os.getuid() == 0:
        pytest.skip("root may read everything")
    torrent = create(tree, "--format", "v2")
    (tree / "a.bin").chmod(0)
    assert found(torrent, tree)[0] == [("a.bin", "unreadable", 0, 100_000, False)]


def test_all_bad(tree, create):
    torrent = create(tree, "--piece-length", "16K")
    for path, length in TREE.items():
        (tree / path).write_bytes(bytes(length))
    told, result = found(torrent, tree)
    assert told == [(path, "bad", 0, length, True) for path, length in sorted(
        TREE.items(), key=lambda item: item[0].split("/")) if length > 0]
    assert result["pieces_good"] == 0 and result["bytes_good"] == 0


def test_hashes_that_disagree(tree, tmp_path, create):
    """A hybrid whose v1 side is of other data: the torrent is wrong, not the data."""
    torrent = create(tree, "--piece-length", "32K")
    raw = lt.bdecode(torrent.read_bytes())
    pieces = bytearray(raw[b"info"][b"pieces"])
    pieces[20] ^= 1
    raw[b"info"][b"pieces"] = bytes(pieces)
    torrent.write_bytes(lt.bencode(raw))
    done = run("verify", torrent, tree, code=INTEGRITY)
    assert "the torrent itself is wrong" in done.words and "piece 1 " in done.words


def test_nothing_there(tree, tmp_path, create):
    torrent = create(tree)
    run("verify", torrent, tmp_path / "nowhere", code=NOT_FOUND)
    (tmp_path / "elsewhere").mkdir()
    done = run("verify", torrent, tmp_path / "elsewhere", code=NOT_FOUND)
    assert "tree" in done.words
    shutil.rmtree(tree)
    tree.mkdir()
    done = run("verify", "--json", torrent, tree, code=NOT_FOUND)
    assert done.error["code"] == "not-found"
    assert done.of("verified")[0]["files_bad"] == len(TREE)


def test_extra_files(tree, create):
    torrent = create(tree)
    fill(tree / "b" / "extra", 1)
    fill(tree / "new folder" / "file", 1)
    (tree / "link").symlink_to("a.bin")
    assert run("verify", "--json", torrent, tree).of("extra") == []
    for path in [tree, tree.parent]:
        done = run("verify", "--json", "--extra", torrent, path)
        assert [line["path"] for line in done.of("extra")] == [
            "tree/b/extra", "tree/link", "tree/new folder/file"]
    assert "tree/b/extra: not in the torrent" in run("verify", "--extra", torrent, tree).text


def test_nothing_is_written(tree, create):
    torrent = create(tree)
    damage(tree / "a.bin", 5)

    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tree.rglob("*")}

    before = state()
    run("verify", torrent, tree, code=INTEGRITY)
    assert state() == before


def test_words(tree, create):
    torrent = create(tree, "--format", "v2", "--piece-length", "32K")
    damage(tree / "a.bin", 40_000)
    os.remove(tree / "z")
    done = run("verify", torrent, tree, code=INTEGRITY)
    assert done.text == ("tree/a.bin: bytes 32768 to 65536 hold bad ones (piece 1)\n"
                         "tree/z: missing\n")
    assert done.words == "tarn: 'tree' is damaged: 2 of 7 files, 2 of 17 pieces\n"


def test_magnet_link_says_too_little(tree, create):
    magnet = run("show", "--json", create(tree)).lines[0]["magnet"]
    run("verify", magnet, tree, code=USAGE)


def test_torrent_without_layers(tree, tmp_path, create):
    torrent = create(tree, "--format", "v2", "--piece-length", "16K")
    raw = lt.bdecode(torrent.read_bytes())
    del raw[b"piece layers"]
    torrent.write_bytes(lt.bencode(raw))
    done = run("verify", torrent, tree, code=FAILED)
    assert "lacks piece layers" in done.words


def test_stopped(tmp_path):
    """A v1 torrent of zeros, made by hand because hashing them all would take as long."""
    huge(tmp_path / "big", 24 << 30)
    piece = hashlib.sha1(bytes(16 << 20)).digest()
    info = {b"name": b"big", b"length": 24 << 30, b"piece length": 16 << 20,
            b"pieces": piece * (24 << 6)}
    torrent = tmp_path / "big.torrent"
    torrent.write_bytes(lt.bencode({b"info": info}))
    process = subprocess.Popen([TARN, "verify", torrent, tmp_path / "big", "--progress=json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b'"progress"' in process.stderr.readline()
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60 * SLOWNESS)
    assert process.returncode == PARTIAL
    assert time.monotonic() - begin < 20 * SLOWNESS
