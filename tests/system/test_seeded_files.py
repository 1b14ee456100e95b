"""Files that change, go or cannot be read while `tarn seed` serves them: nobody is given wrong bytes,
the other files go on, and it is said which file it was."""
import errno
import os
import struct

import pytest
from fakepeer import BLOCK, INTERESTED, PIECE, REJECT, REQUEST, UNCHOKE, Content, Gone, call, request
from faults import shimmed
from program import end_well
from programs import TarnSeed, tarn_create
from samples import PIECE as PIECE_LENGTH
from samples import fill

FILES = {"a.bin": 40 * PIECE_LENGTH, "b.bin": 40 * PIECE_LENGTH}
FIRST_OF_A, FIRST_OF_B = 0, 40
LAST_OF_A, LAST_OF_B = 39, 79


class Shared:
    """Two files of 40 pieces each, and a seed that has checked them."""

    def __init__(self, home, kind, files=FILES):
        self.top = home / "home" / "payload"
        for seed, (name, length) in enumerate(files.items()):
            fill(self.top / name, length, seed)
        self.torrent = tarn_create(
            self.top, home / "t", kind, "--piece-length", str(PIECE_LENGTH)
        )
        self.content = Content(self.torrent, self.top.parent)

    def seed(self, **more):
        return TarnSeed(self.torrent, self.top.parent, "--no-tracker", **more)


@pytest.fixture(params=["v1", "hybrid"])
def shared(tmp_path, request):
    return Shared(tmp_path, request.param)


def asked_block(run, content, piece):
    """A block as a peer gets it, or None when it gets none."""
    try:
        with call(run.address, content) as wire:
            wire.put(INTERESTED)
            wire.wait_for(UNCHOKE)
            wire.put(REQUEST, request(piece, 0, BLOCK))
            kind, payload = wire.wait_for(PIECE, REJECT)
            if kind == REJECT:
                return None
            assert payload[:8] == struct.pack(">II", piece, 0)
            return payload[8:]
    except Gone:
        return None


def assert_right(run, content, piece):
    assert asked_block(run, content, piece) == content.read(piece, 0, BLOCK)


def assert_not_wrong(run, content, piece):
    got = asked_block(run, content, piece)
    assert got is None or got == content.read(piece, 0, BLOCK), f"wrong bytes of piece {piece}"
    return got


def said(run, words):
    run.wait_for(lambda e: e.get("event") == "peer" and words in e["text"], f"it says {words}")


def test_truncated(shared):
    """What is left of it is served, the rest is not."""
    with shared.seed() as run:
        os.truncate(shared.top / "a.bin", 20 * PIECE_LENGTH + 100)
        for piece in (20, 21, LAST_OF_A):
            assert assert_not_wrong(run, shared.content, piece) is None
        assert_right(run, shared.content, FIRST_OF_B)
        end_well(run)


def test_truncated_is_said(shared):
    with shared.seed() as run:
        os.truncate(shared.top / "a.bin", 0)
        assert asked_block(run, shared.content, LAST_OF_A) is None
        said(run, "served no more")
        end_well(run)


def test_truncated_while_it_leaves(shared):
    """A peer that reads slowly has asked for all of it when it is cut."""
    content = shared.content
    with shared.seed() as run, call(run.address, content) as wire:
        wire.put(INTERESTED)
        wire.wait_for(UNCHOKE)
        for piece in range(LAST_OF_A + 1):
            for begin in range(0, PIECE_LENGTH, BLOCK):
                wire.put(REQUEST, request(piece, begin, BLOCK))
        assert_right(run, content, FIRST_OF_B)  # so all that was asked for is queued
        os.truncate(shared.top / "a.bin", 0)
        try:
            while True:
                _, payload = wire.wait_for(PIECE)
                piece, begin = struct.unpack(">II", payload[:8])
                assert payload[8:] == content.read(piece, begin, BLOCK)
        except Gone:
            pass
        assert_right(run, content, LAST_OF_B)
        end_well(run)


def test_deleted(shared):
    with shared.seed() as run:
        os.remove(shared.top / "a.bin")
        for piece in (FIRST_OF_A, LAST_OF_A):
            assert_not_wrong(run, shared.content, piece)
        assert_right(run, shared.content, FIRST_OF_B)
        end_well(run)


def test_replaced(shared):
    """By a file of the same name and size, as editors do."""
    with shared.seed() as run:
        other = shared.top / "other"
        fill(other, FILES["a.bin"], 77)
        os.rename(other, shared.top / "a.bin")
        for piece in (FIRST_OF_A, LAST_OF_A):
            assert_not_wrong(run, shared.content, piece)
        assert_right(run, shared.content, FIRST_OF_B)
        end_well(run)


def test_folder_replaced(shared):
    with shared.seed() as run:
        os.rename(shared.top, shared.top.with_name("old"))
        for seed, (name, length) in enumerate(FILES.items()):
            fill(shared.top / name, length, 50 + seed)
        for piece in (FIRST_OF_A, LAST_OF_A, FIRST_OF_B, LAST_OF_B):
            assert_not_wrong(run, shared.content, piece)
        end_well(run)


def test_overwritten(shared):
    """In place, by as many other bytes."""
    with shared.seed() as run, call(run.address, shared.content):  # who keeps it in use
        assert_right(run, shared.content, FIRST_OF_A)
        with open(shared.top / "a.bin", "r+b") as f:
            f.write(os.urandom(FILES["a.bin"]))
        for piece in (1, LAST_OF_A):
            assert_not_wrong(run, shared.content, piece)
        assert_right(run, shared.content, FIRST_OF_B)
        end_well(run)


MANY = 300  # more than stay open


@pytest.mark.parametrize("how", ["replaced", "deleted", "a folder", "a pipe", "a link"])
def test_of_many_files(tmp_path, how):
    """Of more files than stay open, the first ones must be opened again."""
    files = {f"{i:03}.bin": PIECE_LENGTH for i in range(MANY)}
    s = Shared(tmp_path, "v1", files)
    with s.seed() as run:
        # Whatever the check left open, this closes the first of them.
        for piece in range(MANY - 1, MANY - 262, -1):
            assert_right(run, s.content, piece) if piece % 20 == 0 else None
        first = s.top / "000.bin"
        first.unlink()
        if how == "replaced":
            fill(first, PIECE_LENGTH, 1000)
        elif how == "a folder":
            first.mkdir()
        elif how == "a pipe":
            os.mkfifo(first)
        elif how == "a link":
            fill(tmp_path / "secret", PIECE_LENGTH, 1001)
            first.symlink_to(tmp_path / "secret")
        got = assert_not_wrong(run, s.content, 0)
        if got is None:
            said(run, "000.bin")
        assert_right(run, s.content, MANY - 1)
        end_well(run)


@pytest.mark.parametrize("which", ["once", "for ever"])
def test_unreadable(tmp_path, which):
    """The disk fails: the peer is let go, with a word; others are served from the other file."""
    s = Shared(tmp_path, "v1")
    count = {"once": 1, "for ever": 0}[which]
    env = shimmed([("read", 1, count, errno.EIO)], path="a.bin")
    with TarnSeed(s.torrent, s.top.parent, "--no-tracker", "--trust", env=env) as run:
        assert asked_block(run, s.content, FIRST_OF_A) is None
        assert_right(run, s.content, FIRST_OF_B)
        if which == "once":
            assert_right(run, s.content, FIRST_OF_A)
        else:
            assert asked_block(run, s.content, LAST_OF_A) is None
        end_well(run)
