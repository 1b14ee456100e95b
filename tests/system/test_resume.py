"""Killed with -9 at any moment, a fetch goes on without fetching again what it had verified, and
believes nothing that changed meanwhile. What the other side sent is counted by the other side."""
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from program import PATIENCE, POLICY, TARN, USAGE, fill, is_sanitized, run
from test_transfer import Background, fetch, seed

MIB = 1 << 20
RATE = "6M"


@pytest.fixture
def payload(tmp_path, create):
    """Big and small files, and its torrent."""
    root = tmp_path / "seed" / "pay"
    for i in range(40):
        fill(root / f"small {i}", 3000 + 517 * i, i)
    for i in range(3):
        fill(root / "big" / f"{i}", 5 * MIB + 77 * i, 100 + i)
    return root


def total(root):
    return sum(p.stat().st_size for p in root.rglob("*") if p.is_file())


def same(a, b):
    done = subprocess.run(["diff", "-r", a, b], capture_output=True)
    assert done.returncode == 0, done.stdout[:2000]


def statuses(process):
    return [line for line in process.lines if line["type"] == "status"]


def started(process):
    """The first status after everything that is there has been looked at."""
    def look():
        return next((s for s in statuses(process) if s["state"] in ("fetching", "seeding")), None)

    with process.changed:
        process.changed.wait_for(lambda: look() or not process.reader.is_alive(), PATIENCE)
    return look()


def kill(process):
    process.process.send_signal(signal.SIGKILL)
    process.process.wait(30)
    process.reader.join(30)


def slow(torrent, into, address, *more):
    return Background("fetch", torrent, "-o", into, "--listen=127.0.0.1:0", f"--peer={address}",
                      "--no-tracker", f"--rate-down={RATE}", *more)


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_killed_at_random_times(tmp_path, payload, create, kind):
    torrent = create(payload, "--format", kind, "--piece-length", "256K")
    chance = random.Random(kind)
    into = tmp_path / "got"
    done = 0
    with seed(torrent, payload, "--no-state") as other:
        for _ in range(5):
            process = slow(torrent, into, other.address)
            first = started(process)
            if first:
                assert first["done"] >= done, "a verified piece was forgotten"
                time.sleep(chance.random() * 0.8)
            kill(process)
            done = max([done, *(s["done"] for s in statuses(process)
                                if s["state"] in ("fetching", "seeding"))])
        last = fetch(torrent, into, f"--peer={other.address}", "--no-tracker")
        assert last.of("fetched")[0]["downloaded"] <= total(payload) - done
        same(payload, into / "pay")


def test_killed_while_it_ends(tmp_path, payload, create):
    """Files get their names and the record its last word: a blow there costs nothing either."""
    torrent = create(payload, "--piece-length", "64K")
    with seed(torrent, payload, "--no-state") as other:
        for moment in range(6):
            into = tmp_path / f"got{moment}"
            process = Background("fetch", torrent, "-o", into, "--listen=127.0.0.1:0", "--stay",
                                 f"--peer={other.address}", "--no-tracker")
            process.wait_for(event="complete")
            time.sleep(moment * 0.004)
            kill(process)
            again = fetch(torrent, into, f"--peer={other.address}", "--no-tracker")
            assert again.of("fetched")[0]["downloaded"] == 0
            same(payload, into / "pay")


def reads_of(words, below, tmp_path):
    """Bytes read from files below a folder, by strace."""
    log = tmp_path / "strace"
    subprocess.run(["strace", "-f", "-y", "-e", "trace=pread64,preadv,preadv2,read,readv,sendfile",
                    "-o", log, *map(str, words)], timeout=PATIENCE, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [line for line in log.read_text(errors="replace").splitlines() if str(below) in line]


def test_a_complete_fetch_is_not_read_again(tmp_path, payload, create):
    if not shutil.which("strace") or is_sanitized():
        pytest.skip("no strace here")
    torrent = create(payload)
    into = tmp_path / "got"
    with seed(torrent, payload, "--no-state") as other:
        fetch(torrent, into, f"--peer={other.address}", "--no-tracker")
    words = [TARN, "fetch", torrent, "-o", into, "--listen=127.0.0.1:0", "--no-tracker"]
    assert reads_of(words, into / "pay", tmp_path) == []
    assert reads_of([*words, "--no-state"], into / "pay", tmp_path) != []


def half(tmp_path, torrent, other, into):
    process = slow(torrent, into, other.address)
    first = started(process)
    assert first
    with process.changed:
        assert process.changed.wait_for(
            lambda: any(s["done"] > 4 * MIB for s in statuses(process)), PATIENCE)
    kill(process)
    return max(s["done"] for s in statuses(process) if s["state"] == "fetching")


def biggest(into):
    """The file of which most has been written."""
    files = [p for p in into.rglob("*") if p.is_file()]
    return max(files, key=lambda p: len(p.read_bytes().rstrip(b"\0")))


def test_an_edit_between_is_found(tmp_path, payload, create):
    torrent = create(payload, "--piece-length", "256K")
    into = tmp_path / "got"
    with seed(torrent, payload, "--no-state") as other:
        half(tmp_path, torrent, other, into)
        path = biggest(into)
        data = bytearray(path.read_bytes())
        at = next(i for i, byte in enumerate(data) if byte)
        data[at] ^= 1
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(data[at:at + 1])
        last = fetch(torrent, into, f"--peer={other.address}", "--no-tracker")
        assert last.of("fetched")[0]["downloaded"] > 0
        same(payload, into / "pay")


def test_touched_moved_and_corrupt(tmp_path, payload, create, home):
    """None of them makes anything be fetched again: it is only read."""
    torrent = create(payload, "--piece-length", "256K")
    into = tmp_path / "got"
    with seed(torrent, payload, "--no-state") as other:
        for way in ("touched", "moved", "corrupt", "gone"):
            shutil.rmtree(into, ignore_errors=True)
            shutil.rmtree(home, ignore_errors=True)
            done = half(tmp_path, torrent, other, into)
            target = into
            if way == "touched":
                for path in into.rglob("*"):
                    os.utime(path)
            elif way == "moved":
                target = tmp_path / "elsewhere"
                shutil.rmtree(target, ignore_errors=True)
                into.rename(target)
            elif way == "corrupt":
                record, = (home / "resume").glob("*.resume")
                data = bytearray(record.read_bytes())
                data[len(data) // 2] ^= 0x10
                record.write_bytes(data)
            else:
                shutil.rmtree(home)
            last = fetch(torrent, target, f"--peer={other.address}", "--no-tracker")
            assert last.of("fetched")[0]["downloaded"] <= total(payload) - done, way
            told = [e["text"] for e in last.of("event") if e["event"] == "state"]
            assert any("checksum" in text for text in told) == (way == "corrupt"), told
            same(payload, target / "pay")


def test_a_seed_that_changed_is_refused(tmp_path, payload, create, home):
    torrent = create(payload)
    with seed(torrent, payload) as s:
        assert s.stop(signal.SIGTERM) == 0
    with seed(torrent, payload.parent) as s:  # the same place, named otherwise
        assert s.stop() == 0
    assert len(list((home / "resume").glob("*.resume"))) == 1
    path = payload / "big" / "1"
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # ctime tells
    refused = run("seed", torrent, payload, "--listen=127.0.0.1:0", "--json", code=4)
    assert "do not match" in refused.error["message"]


def test_the_second_of_two_is_refused(tmp_path, payload, create):
    torrent = create(payload, "--piece-length", "256K")
    into = tmp_path / "got"
    with seed(torrent, payload, "--no-state") as other:
        process = slow(torrent, into, other.address)
        assert started(process)
        second = fetch(torrent, into, f"--peer={other.address}", "--no-tracker", code=POLICY)
        assert "another process is at this torrent" in second.error["message"]
        process.wait_for(event="complete")
        process.process.wait(30)
        process.reader.join(30)
        same(payload, into / "pay")
    third = fetch(torrent, into, "--no-tracker")
    assert third.of("fetched")[0]["downloaded"] == 0


def test_where_state_is_kept(tmp_path, payload, create, monkeypatch, home):
    torrent = create(payload)

    def once(*options, code=0):
        with seed(torrent, payload, *options) as s:
            assert s.stop() == code
        return s

    once()
    folder = home / "resume"
    assert len(list(folder.glob("*.resume"))) == 1 and folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("TARN_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    once()
    assert len(list((tmp_path / "xdg/tarn/resume").glob("*.resume"))) == 1
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    once()
    assert len(list((tmp_path / "user/.local/state/tarn/resume").glob("*.resume"))) == 1
    once("--state", tmp_path / "own")
    assert len(list((tmp_path / "own").glob("*.resume"))) == 1
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    once("--no-state")
    assert not (tmp_path / "nobody").exists()
    run("seed", torrent, payload, "--state=x", "--no-state", code=USAGE)


def test_a_folder_that_cannot_be_used_is_told(tmp_path, payload, create):
    torrent = create(payload)
    (tmp_path / "file").write_text("no folder")
    with seed(torrent, payload, "--state", tmp_path / "file" / "below") as s:
        assert "file" in s.wait_for(event="state")["text"]
        assert s.stop() == 0


def test_a_magnet_is_remembered(tmp_path, payload, create):
    torrent = create(payload)
    magnet = run("show", "--json", torrent).of("torrent")[0]["magnet"]
    into = tmp_path / "got"
    with seed(torrent, payload, "--no-state") as other:
        process = slow(magnet, into, other.address)
        assert started(process)
        kill(process)
    alone = slow(magnet, into, "127.0.0.1:9")  # nobody is there
    assert alone.wait_for(event="metadata")["text"] == "pay"
    kill(alone)
