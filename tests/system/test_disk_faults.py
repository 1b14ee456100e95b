"""Disks that are full, fail, become read-only or change under `tarn fetch` and `tarn seed`: it is
said what refused, nothing unverified bears a final name, and what was verified is not lost."""
import errno
import os
import shutil
import subprocess
import threading

import pytest
from fakepeer import Content, FakePeer
from faults import shimmed, small_disk
from program import FAILED, INTEGRITY, NO_SPACE, POLICY, fill
from programs import PATIENCE, Tarn, TarnFetch, tarn_create
from samples import PIECE as PIECE_LENGTH
from samples import contents

EIO, ENOSPC, EOPNOTSUPP = errno.EIO, errno.ENOSPC, errno.EOPNOTSUPP


class Payload:
    """Some files of a size, their torrent, and a peer that has them."""

    def __init__(self, home, kind="hybrid", **lengths):
        self.home = home / "home"
        self.top = self.home / "payload"
        for seed, (name, length) in enumerate(lengths.items()):
            fill(self.top / name, length, seed)
        self.torrent = tarn_create(
            self.top, home / "payload.torrent", kind, "--piece-length", str(PIECE_LENGTH)
        )
        self.content = Content(self.torrent, self.home)

    def assert_safe(self, into):
        """Whatever has its final name is right, also in a folder that was moved."""
        right = contents(self.top)
        for folder in filter(lambda folder: not folder.is_symlink(), into.iterdir()):
            for path, data in contents(folder).items():
                assert path.endswith(".part") or data == right[path], f"{path} is wrong"

    def assert_same(self, into):
        assert contents(into) == contents(self.home)

    def peer(self, **more):
        return FakePeer(self.content, **more)

    def fetch(self, into, *peers, options=(), **more):
        calls = [option for peer in peers for option in ("--peer", peer.address)]
        return TarnFetch(self.torrent, into, "--no-tracker", *calls, *options, **more)


class Patient(FakePeer):
    """Sends the first half of the torrent, and the rest when it is told to."""

    def __init__(self, content):
        self.half_is_asked, self.rest = threading.Event(), threading.Event()
        super().__init__(content)

    def on_request(self, wire, piece, begin, length):
        if piece >= self.content.n_pieces // 2:
            self.half_is_asked.set()
            self.rest.wait(PATIENCE)
        super().on_request(wire, piece, begin, length)


@pytest.fixture
def payload(tmp_path):
    def make(kind="hybrid", **lengths):
        lengths = lengths or {"a.bin": 300_000, "b.bin": 2_000_000, "c.bin": 1_000_000}
        return Payload(tmp_path, kind, **lengths)

    return make


def error_of(run, code):
    """What it said when it ended with this code: one line."""
    got = run.wait()
    assert got == code, f"exit {got}\n{run.story()}"
    assert "Sanitizer" not in run.errors() and "runtime error" not in run.errors()
    message = run.events[-1]["error"]["message"]
    assert "\n" not in message and len(message) > 20
    return message


def half_done(p):
    def happened(e):
        return e.get("done", 0) >= p.content.n_pieces // 2 * p.content.piece_length * 3 // 4

    return happened


# Full disks.


def test_no_room_from_the_beginning(payload, tmp_path):
    """Said before anything is fetched: nobody is even asked."""
    p = payload()
    with small_disk(tmp_path / "disk", "1m") as disk, p.peer() as peer:
        with p.fetch(disk, peer) as run:
            message = error_of(run, NO_SPACE)
            assert "no room for" in message and "free" in message
            assert peer.asked == []
            p.assert_safe(disk)
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        with p.fetch(disk, peer) as run:
            assert run.wait() == 0, run.story()
        p.assert_same(disk)


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_filled_by_somebody_else(payload, tmp_path, kind):
    """Where no room can be kept: full in the middle. Exit 7; what was verified is kept, and with
    more room it goes on from there."""
    p = payload(kind)
    holes = shimmed([("reserve", 1, 0, EOPNOTSUPP)])
    with small_disk(tmp_path / "disk", "8m") as disk, Patient(p.content) as peer:
        with p.fetch(disk, peer, options=["--sequential"], env=holes) as run:
            run.wait_for(half_done(p), "it has half")
            with open(disk / "other", "wb", buffering=0) as other, pytest.raises(OSError):
                while True:
                    other.write(bytes(4096))
            peer.rest.set()
            message = error_of(run, NO_SPACE)
            assert "no room for" in message and "free" in message
            p.assert_safe(disk)
            done = max(e.get("done", 0) for e in run.events)
        os.remove(disk / "other")
        with p.fetch(disk, peer, env=holes) as run:
            assert run.wait() == 0, run.story()
            assert run.events[-1]["downloaded"] <= len(p.content.data) - done
        p.assert_same(disk)


# Folders and files that change under a fetch.


def take_folder_away(p, into):
    shutil.rmtree(into / "payload")


def move_folder(p, into):
    os.rename(into / "payload", into / "elsewhere")


def put_link(p, into):
    part = into / "payload" / "b.bin.part"
    part.unlink()
    part.symlink_to(p.victim)


def put_folder(p, into):
    part = into / "payload" / "b.bin.part"
    part.unlink()
    part.mkdir()


def put_other_file(p, into):
    part = into / "payload" / "b.bin.part"
    fill(into / "other", part.stat().st_size, 99)
    os.rename(into / "other", part)


def cut_short(p, into):
    os.truncate(into / "payload" / "b.bin.part", 1000)


def make_longer(p, into):
    os.truncate(into / "payload" / "b.bin.part", 50_000_000)


def make_final(p, into):
    fill(into / "payload" / "b.bin", 7, 7)


def link_folder_away(p, into):
    os.rename(into / "payload", into / "elsewhere")
    (into / "payload").symlink_to(p.victim.parent)


CHANGES = {
    take_folder_away: "payload",
    move_folder: "payload",
    link_folder_away: "payload",
    put_link: "symbolic link",
    put_folder: "Is a directory",
    put_other_file: "was replaced",
    cut_short: "was cut short",
    make_longer: "its size changed",
    make_final: "is there already",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_changed_meanwhile(payload, tmp_path, kind, change):
    """The file is not finished: whatever is there now is somebody else's, and stays as it is."""
    p = payload(kind)
    into = tmp_path / "got"
    p.victim = fill(tmp_path / "victim" / "b.bin", 100, 5)
    before = p.victim.read_bytes()
    with Patient(p.content) as peer, p.fetch(into, peer, options=["--sequential"]) as run:
        run.wait_for(half_done(p), "it has half")
        assert (into / "payload" / "b.bin.part").exists(), "it is not finished yet"
        change(p, into)
        peer.rest.set()
        code = run.wait()
        assert code not in (0, -6, -11), run.story()
        message = error_of(run, code)
        assert CHANGES[change] in message
    assert p.victim.read_bytes() == before
    assert [path.name for path in p.victim.parent.iterdir()] == ["b.bin"]
    if change is make_final:
        assert (into / "payload" / "b.bin").stat().st_size == 7
    else:
        p.assert_safe(into)


# Calls that fail.

DISK_ERRORS = {
    "first write": (("write", 1, 0, EIO), FAILED, "writing"),
    "tenth write": (("write", 10, 0, EIO), FAILED, "writing"),
    "one write in between": (("write", 10, 1, EIO), FAILED, "writing"),
    "full": (("write", 10, 0, ENOSPC), NO_SPACE, "no room for"),
    "quota": (("write", 10, 0, errno.EDQUOT), NO_SPACE, "no room for"),
    "read-only": (("write", 10, 0, errno.EROFS), POLICY, "ead-only"),
    "first sync": (("sync", 1, 1, EIO), FAILED, "to the disk"),
    "last sync": (("sync", 3, 1, EIO), FAILED, "to the disk"),
    "first rename": (("rename", 1, 1, EIO), FAILED, "rename"),
    "last rename": (("rename", 3, 1, EIO), FAILED, "rename"),
    "rename on a disk that is full": (("rename", 2, 1, ENOSPC), NO_SPACE, "rename"),
    "making room": (("reserve", 2, 1, EIO), FAILED, "making room"),
}


@pytest.mark.parametrize("what", DISK_ERRORS)
@pytest.mark.parametrize("kind", ["v1", "hybrid"])
def test_disk_errors(payload, tmp_path, kind, what):
    """It ends, says why, and the next run goes on from there when the disk is well again."""
    rule, code, words = DISK_ERRORS[what]
    p = payload(kind)
    into = tmp_path / "got"
    with p.peer() as peer:
        with p.fetch(into, peer, env=shimmed([rule], path=into)) as run:
            assert words in error_of(run, code)
            done = max(e.get("done", 0) for e in run.events)
        p.assert_safe(into)
        with p.fetch(into, peer) as run:
            assert run.wait() == 0, run.story()
            assert run.events[-1]["downloaded"] <= len(p.content.data) - done
    p.assert_same(into)


@pytest.mark.parametrize("first", [1, 5])
def test_reading_back_fails(tmp_path, first):
    """Pieces longer than the memory are written as they come, and read back to be hashed."""
    p = Payload(tmp_path, "v1", **{"one.bin": 4_000_000})
    p.torrent = tarn_create(p.top, tmp_path / "t", "v1", "--piece-length", "1M")
    p.content = Content(p.torrent, p.home)
    into = tmp_path / "got"
    with p.peer() as peer:
        # Before anything is fetched, what is there is read once: a new file is not.
        env = shimmed([("read", first, 0, EIO)], path=into)
        with p.fetch(into, peer, options=["--memory=256K"], env=env) as run:
            code = run.wait()
            assert code in (FAILED, 0), run.story()
            if code == FAILED:
                assert "reading" in error_of(run, FAILED)
        p.assert_safe(into)
        with p.fetch(into, peer) as run:
            assert run.wait() == 0, run.story()
    p.assert_same(into)


@pytest.mark.parametrize("first", [1, 5])
def test_check_that_cannot_read(payload, tmp_path, first):
    """What cannot be read is no reason to seed it: told, and never taken for good."""
    p = payload()
    env = shimmed([("read", first, 0, EIO)], path=p.top)
    listen = ["--listen", "127.0.0.1:0", "--no-tracker"]
    with Tarn("seed", "--json", *listen, p.torrent, p.home, env=env) as run:
        code = run.wait()
        assert code in (FAILED, INTEGRITY), run.story()
        error_of(run, code)
