"""What can go wrong below a node (disks, files, the index) and in front of it (clients that mean ill or
do nothing): it says so, serves what is right, and comes back."""
import contextlib
import errno
import http.client
import os
import shutil
import socket
import subprocess
import threading
import urllib.error
from pathlib import Path

import pytest
from fakepeer import BLOCK, INTERESTED, PIECE, REQUEST, UNCHOKE, Content, call, request, sha256
from faults import MemoryLimit, failing, small_disk
from nodes import Node
from program import INTEGRITY, USAGE, fill, is_sanitized, run
from programs import PATIENCE, wait_until

MIB = 1 << 20


def put_www(folder):
    root = folder / "www"
    fill(root / "a.bin", 300_000, 1)
    fill(root / "sub" / "b.bin", 20_000, 2)
    return root


@pytest.fixture
def www(tmp_path):
    return put_www(tmp_path)


def refused(node, *words, code=USAGE):
    assert node.wait() == code, node.output()
    text = node.output()
    assert all(word in text for word in words), text
    assert len(text.splitlines()) == 1
    node.stop()


def stop(node):
    node.process.terminate()
    assert node.wait() == 0, node.output()
    node.stop()


def status_of(node, path, **fields):
    try:
        node.get(path, **fields)
        return 200
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def state_of(node, path, ref="www"):
    return node.files(ref).get(path, {}).get("state")


def wait_state(node, path, state, ref="www"):
    wait_until(lambda: state_of(node, path, ref) == state,
               lambda: f"{path} is {state}: {node.files(ref)}\n{node.output()}")


# The index.


def published_once(start, www, *options):
    """A node that has read the folder and ended."""
    node = start(*options).wait_runs()
    node.publish(www)
    node.wait_complete("www")
    stop(node)


def test_index_of_a_newer_version(start, short_home, www):
    published_once(start, www)
    index = short_home / "index" / "INDEX.mdb"
    data = index.read_bytes()
    record = b"schema" + (1).to_bytes(4, "big")
    assert record in data
    index.write_bytes(data.replace(record, b"schema" + (77).to_bytes(4, "big")))
    refused(start(), "schema 77", "up to 1", "newer version", str(index))
    index.write_bytes(data)
    node = start().wait_runs()
    node.wait_complete("www")
    assert node.metrics()["hashed_bytes_total"] == 0


DAMAGES = {
    "other file": lambda data: b"#!/bin/sh\n" + data[10:],
    "cut short": lambda data: data[: len(data) // 2],
    "cut to a page": lambda data: data[:4096],
    "empty": lambda data: b"",
    "noise in the header": lambda data: data[:16] + os.urandom(8000) + data[8016:],
    "noise in the middle": lambda data: data[:8192] + os.urandom(len(data) - 8192),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_index(start, short_home, www, damage):
    """Refused with a sentence, or it serves what is there; no other bytes, and it does not fall."""
    published_once(start, www)
    index = short_home / "index" / "INDEX.mdb"
    index.write_bytes(DAMAGES[damage](index.read_bytes()))
    node = start()

    def has_begun():
        return node.process.poll() is not None or " runs, pid " in node.output()

    wait_until(has_begun, node.output)
    if node.process.poll() is None:
        assert node.process.poll() is None, node.output()
        node.publish(www)
        node.wait_complete("www")
        assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
        assert node.process.poll() is None, node.output()
    else:
        refused(node, "INDEX.mdb", code=node.wait())
        assert node.process.returncode in (1, USAGE, 4)


@pytest.mark.parametrize("damage", ["noise", "cut", "gone"])
def test_damaged_leaves(start, short_home, www, tmp_path, damage):
    """What hashes cannot be told is told so, or read anew; nobody gets wrong ones."""
    published_once(start, www)
    leaves = short_home / "index" / "leaves"
    data = leaves.read_bytes()
    if damage == "noise":
        leaves.write_bytes(data[:64] + os.urandom(len(data) - 64))
    elif damage == "cut":
        leaves.write_bytes(data[: len(data) // 2])
    else:
        leaves.unlink()
    node = start()
    wait_until(lambda: node.process.poll() is not None or " runs, pid " in node.output(),
               node.output)
    if node.process.poll() is not None:
        refused(node, "leaves", code=node.wait())
        return
    assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
    torrent = tmp_path / "a.torrent"

    def look():
        try:
            torrent.write_bytes(node.get("/c/www/a.bin?as=torrent"))
            return True
        except urllib.error.HTTPError as refusal:
            assert refusal.code in (500, 503)
            return False

    wait_until(look, lambda: f"the hashes are there again:\n{node.output()}")
    run("verify", torrent, www / "a.bin")


def test_index_that_cannot_be_written(start, short_home, www, tmp_path):
    with small_disk(tmp_path / "disk", "16m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        refused(start(f"--index-path={disk}/index"), f"{disk}/index", "ead-only")


def fill_disk(disk):
    """Somebody else's file, on all the room there is."""
    with open(disk / "other", "wb", buffering=0) as other, pytest.raises(OSError) as full:
        while True:
            other.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC


def test_index_on_a_full_disk(start, www, tmp_path):
    """Said by status and in the log; what is there is served; with room again all goes on."""
    with small_disk(tmp_path / "disk", "16m") as disk:
        node = start(f"--index-path={disk}/index").wait_runs()
        node.publish(www)
        node.wait_complete("www")
        fill_disk(disk)
        for i in range(300):
            fill(www / "new" / f"{i}.bin", 40_000, 100 + i)
        wait_until(lambda: node.faults(), lambda: f"it is said: {node.status()}\n{node.output()}")
        said = " ".join(node.faults().values())
        assert "no room" in said.lower() or "space" in said.lower(), said
        assert str(disk) in node.output()
        assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
        assert status_of(node, "/healthz") == 200
        code, told = node.ask("POST", "/v1/collections", {"path": str(tmp_path), "name": "x"})
        assert code >= 400, told
        (disk / "other").unlink()
        wait_until(lambda: len(node.files("www")) == 302 and node.item("www")["state"] == "ok",
                   lambda: f"it goes on: {node.item('www')}\n{node.output()}")
        assert node.get("/c/www/new/299.bin") == (www / "new" / "299.bin").read_bytes()
        wait_until(lambda: not node.faults(), node.faults)
        stop(node)


# Files.


def slowly(node, path):
    """An answer whose body is not read yet, but for its beginning."""
    sock = socket.create_connection(("127.0.0.1", node.port()), PATIENCE)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    assert answer.status == 200
    return sock, answer


def rest_of(answer):
    """All that comes, and whether that is all there should be."""
    got = b""
    try:
        while part := answer.read(1 << 16):
            got += part
    except (http.client.IncompleteRead, ConnectionError) as cut:
        return got + getattr(cut, "partial", b""), False
    return got, answer.length in (0, None)


def shrink(path):
    os.truncate(path, 5 * MIB)


def change_in_place(path):
    with open(path, "r+b") as file:
        file.seek(30 * MIB)
        file.write(b"other")


def replace(path):
    fill(path.with_name("other"), 40 * MIB, 9)
    os.rename(path.with_name("other"), path)


def remove(path):
    path.unlink()


@pytest.mark.parametrize("happens", [shrink, change_in_place, replace, remove])
def test_file_that_changes_while_it_is_served(start, www, happens):
    """Cut: nobody takes it for whole. What the kernel had been given already leaves as the file's pages
    are by then (sendfile hands over references): that may be zeros or new bytes, and is never all."""
    big = fill(www / "big.bin", 40 * MIB, 3)
    data = big.read_bytes()
    node = start().wait_runs()
    node.publish(www)
    node.wait_complete("www")
    sock, answer = slowly(node, "/c/www/big.bin")
    with sock:
        got = answer.read(MIB)
        happens(big)
        rest, is_whole = rest_of(answer)
    assert got == data[:MIB]
    assert happens is not remove or rest == data[MIB : MIB + len(rest)]
    got += rest
    assert not is_whole or (len(got) == len(data) and happens is remove)
    if happens is remove:
        wait_until(lambda: status_of(node, "/c/www/big.bin") == 404, "it is gone")
        return
    new = big.read_bytes()
    wait_until(lambda: whole(node, "/c/www/big.bin") == new, "the new one is served")


def whole(node, path):
    """A file; None while it is being read."""
    try:
        return node.get(path)
    except urllib.error.HTTPError as refusal:
        assert refusal.code == 503
        refusal.close()
        return None


def test_file_that_cannot_be_read(start, www):
    """By the disk: it is refused, which the listing and the log say; the others are served."""
    node = start(environment=failing(www / "sub", 1)).wait_runs()
    node.publish(www)
    wait_state(node, "sub/b.bin", "refused")
    wait_state(node, "a.bin", "held")
    assert "Input/output error" in node.files("www")["sub/b.bin"]["why"]
    assert "b.bin" in node.output() and node.item("www")["refused"] == 1
    assert status_of(node, "/c/www/sub/b.bin") == 404
    assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_file_that_is_not_ours(start, short_home, open_folder):
    """Permissions: refused, and taken as soon as they are given."""
    nobody = 65534
    os.chown(short_home, nobody, nobody)
    www = put_www(open_folder)
    for path in (www, www / "sub"):
        path.chmod(0o755)
    (www / "sub" / "b.bin").chmod(0o644)
    (www / "a.bin").chmod(0o600)

    def become_nobody():
        os.setgroups([])
        os.setgid(nobody)
        os.setuid(nobody)

    nowhere = {"HOME": str(short_home), "XDG_CONFIG_HOME": str(short_home)}
    node = start(limits=become_nobody, environment=nowhere, program=open_folder / "tarnd")
    node.wait_runs()
    node.publish(www)
    wait_state(node, "a.bin", "refused")
    wait_state(node, "sub/b.bin", "held")
    assert "ermission denied" in node.files("www")["a.bin"]["why"]
    (www / "a.bin").chmod(0o644)
    wait_state(node, "a.bin", "held")
    assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()


def test_disk_error_while_a_file_is_served(start, www):
    """The connection is cut: no page of zeros, no short file."""
    data = fill(www / "big.bin", 40 * MIB, 3).read_bytes()
    once = start().wait_runs()
    once.publish(www)
    once.wait_complete("www")
    stop(once)
    node = start(environment=failing(www / "big.bin", 20))
    node.wait_runs().wait_complete("www")
    sock, answer = slowly(node, "/c/www/big.bin")
    with sock:
        got, is_whole = rest_of(answer)
    assert not is_whole and got == data[: len(got)]
    assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_disk_that_goes_and_comes(start, www, tmp_path):
    """The collection is missing, not empty; when it is back nothing is read again."""
    place = tmp_path / "mnt" / "www"
    place.mkdir(parents=True)

    def mount():
        done = subprocess.run(["mount", "--bind", www, place], capture_output=True)
        if done.returncode != 0:
            pytest.skip("no mounting here")

    mount()
    try:
        node = start().wait_runs()
        node.publish(place)
        node.wait_complete("www")
        version, read = node.item("www")["version"], node.metrics()["hashed_bytes_total"]
        subprocess.run(["umount", "-l", place], check=True)
        wait_until(lambda: status_of(node, "/c/www/a.bin") != 200, "it is noticed")
        stop(node)
        node = start().wait_runs()
        wait_until(lambda: node.item("www")["state"] == "missing", lambda: node.item("www"))
        assert status_of(node, "/c/www/a.bin") == 503
        assert len(node.files("www")) == 2
        mount()
        stop(node)
        node = start().wait_runs()
        told = node.wait_complete("www")
        assert told["version"] == version
        assert node.metrics()["hashed_bytes_total"] == 0 < read
        assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
    finally:
        subprocess.run(["umount", "-l", place], capture_output=True)


# Clients.


def knock(node, n, text=b""):
    """So many connections, which have said this and go on to say nothing."""
    port, socks = node.port(), []
    for _ in range(n):
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        sock.sendall(text)
        socks.append(sock)
    return socks


def close_all(socks):
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("text", [b"", b"GET /c/www/a.bin HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_clients_that_only_connect(start, www, text):
    """More of them than may be connected: who really wants something gets it."""
    node = start("--http-connections=300", "--http-loops=2").wait_runs()
    node.publish(www)
    node.wait_complete("www")
    socks = knock(node, 1000, text)
    for _ in range(20):
        assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
    counts = node.metrics()
    assert counts['http_connections{door="public"}'] <= 302
    close_all(socks)


def test_clients_that_are_slow(start, www):
    """A byte now and then does not keep a request alive: after head_timeout that is all."""
    node = start("--http-head-timeout=1").wait_runs()
    node.publish(www)
    node.wait_complete("www")
    socks = knock(node, 300, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    over = threading.Event()

    def drip():
        while not over.wait(0.2):
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
        for sock in socks:
            with contextlib.suppress(ConnectionError):
                assert sock.recv(100)[:12] in (b"HTTP/1.1 408", b"")
        assert node.metrics()['http_timeouts_total{late="head"}'] == 300
        wait_until(lambda: node.metrics()['http_connections{door="public"}'] == 0, node.metrics)
    finally:
        over.set()
        thread.join()
        close_all(socks)


def memory_of(node):
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


def test_clients_that_read_nothing(start, www):
    """A hundred large answers that nobody takes: no memory for them, others are served, and after
    send_timeout they are gone."""
    fill(www / "big.bin", 40 * MIB, 3)
    node = start("--http-send-timeout=2").wait_runs()
    node.publish(www)
    node.wait_complete("www")
    before = memory_of(node)
    socks = knock(node, 100, b"GET /c/www/big.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
    for sock in socks:
        assert sock.recv(12) == b"HTTP/1.1 200"
    assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()
    if not is_sanitized():
        assert memory_of(node) - before < 40 * MIB
    wait_until(lambda: node.metrics()['http_timeouts_total{late="write"}'] >= 100, node.metrics)
    wait_until(lambda: node.metrics()['http_connections{door="public"}'] == 0, node.metrics)
    close_all(socks)


# A large file.


def test_adding_ten_gib(short_home, tmp_path, www):
    """Read once, to the byte, in memory that does not depend on it, while others are served."""
    length = (1 if is_sanitized() else 10) << 30
    with MemoryLimit(96) as limit, Node(short_home, limits=limit.take) as node:
        node.wait_runs().publish(www)
        node.wait_complete("www")
        before = rchar(node)
        large = tmp_path / "large"
        large.mkdir()
        with open(large / "sparse", "wb") as file:
            file.truncate(length)
        fill(large / "small", 1000)  # a v2 torrent of one file would not be of a folder
        node.publish(large, bt="v2")
        served = 0

        def is_read():
            nonlocal served
            assert node.get("/c/www/sub/b.bin") == (www / "sub" / "b.bin").read_bytes()
            served += 1
            return node.item("large")["state"] == "ok"

        wait_until(is_read, lambda: f"it is read: {node.item('large')}", 10 * PATIENCE)
        assert served > 1
        metrics = node.metrics()
        assert metrics["hashed_bytes_total"] == length + 321_000
        # What was sent counts as read; so do the hashes, of which the torrent is made, and a little
        # of the system's own files.
        read = rchar(node) - before - served * (www / "sub" / "b.bin").stat().st_size
        assert length <= read < length + length // BLOCK * 32 + 8 * MIB
        node.wait_complete("large")
        assert node.files("large")["sparse"]["id"].startswith(root_of_zeros(length))
        stop(node)


def rchar(node):
    text = Path(f"/proc/{node.process.pid}/io").read_text()
    return int(text.splitlines()[0].split()[1])


def root_of_zeros(length):
    """The v2 root of so many zeros."""
    # Each layer is some of `whole`, then at most one that is mixed, then `nothing`.
    blocks, n = length // BLOCK, 1
    nothing, whole, mixed = bytes(32), sha256(bytes(BLOCK)), None
    while n < blocks:
        if blocks // n % 2 == 1:
            mixed = sha256(whole + (mixed or nothing))
        elif mixed:
            mixed = sha256(mixed + nothing)
        whole, nothing = sha256(whole + whole), sha256(nothing + nothing)
        n *= 2
    return (whole if mixed is None else mixed).hex()


# Scrub.


def test_byte_that_changed_under_the_same_times(start, www):
    """Whoever puts the times back cannot put ctime back: a new file, and never served as the old."""
    node = start().wait_runs()
    node.publish(www)
    node.wait_complete("www")
    old = node.files("www")["a.bin"]["id"]
    stop(node)
    was = (www / "a.bin").stat()
    flip(www / "a.bin", 100_000)
    os.utime(www / "a.bin", ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (www / "a.bin").stat().st_mtime_ns == was.st_mtime_ns
    node = start().wait_runs()
    wait_until(lambda: node.files("www")["a.bin"].get("id", old) != old, lambda: node.files("www"))
    assert status_of(node, f"/root/{old}") == 404
    assert node.get("/c/www/a.bin") == (www / "a.bin").read_bytes()


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


class Image:
    """A file system in a file, so that its bytes can change under it: as rot does."""

    def __init__(self, folder):
        if os.getuid() != 0 or shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") is None:
            pytest.skip("only root mounts, and mkfs.ext4 is needed")
        self.image, self.place = folder / "image", folder / "rot" / "www"
        self.place.mkdir(parents=True)
        with open(self.image, "wb") as file:
            file.truncate(16 * MIB)
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", self.image], check=True)
        self.mount()

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", self.image, self.place], capture_output=True)
        if done.returncode != 0:
            pytest.skip("no loop devices here")

    def rot(self, data, at):
        """One bit of these bytes (they are there once) changes on the disk."""
        subprocess.run(["umount", self.place], check=True)
        where = self.image.read_bytes().index(data[at - at % 4096 :][:4096]) + at % 4096
        flip(self.image, where)
        self.mount()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.place], capture_output=True)


def test_rot(start, tmp_path):
    """The same size, times and inode, another byte: scrub finds it, to the block, and from then on
    nobody gets the file, until it has been put right."""
    with Image(tmp_path) as disk:
        path = disk.place / "a.bin"
        data = fill(path, 300_000, 1).read_bytes()
        fill(disk.place / "b.bin", 300_000, 2)
        node = start().wait_runs()
        node.publish(disk.place)
        node.wait_complete("www")
        identity = node.files("www")["a.bin"]["id"]
        torrent = tmp_path / "www.torrent"
        torrent.write_bytes(node.get("/c/www.torrent"))
        stop(node)
        at = 7 * BLOCK + 5000
        disk.rot(data, at)
        assert path.read_bytes() != data
        node = start().wait_runs()
        node.wait_complete("www")
        assert node.metrics()["hashed_bytes_total"] == 0, "nothing shows by its stat"
        done = run("scrub", "--wait", env={**os.environ, "TARN_HOME": str(node.home)},
                   code=INTEGRITY)
        assert done.text.startswith("www/a.bin: ") and "1 file " in done.words, done.text
        wait_state(node, "a.bin", "damaged")
        told = [change for change in node.lines("/v1/changes?since=0")
                if change["type"] == "file-damaged"]
        assert [change["path"] for change in told] == ["a.bin"]
        assert "blocks of 16 KiB: 7" in told[0]["why"], told
        assert "blocks of 16 KiB: 7" in node.files("www")["a.bin"]["why"]
        assert "a.bin" in node.output()
        assert state_of(node, "b.bin") == "held"
        assert status_of(node, "/c/www/a.bin") == 503
        assert status_of(node, f"/root/{identity}") == 404
        assert_not_given(node, torrent, at)
        path.write_bytes(data)
        wait_state(node, "a.bin", "held")
        assert node.files("www")["a.bin"]["id"] == identity
        assert node.get("/c/www/a.bin") == data
        stop(node)


def assert_not_given(node, torrent, at):
    """A peer that asks for the damaged piece does not get it."""
    content = Content(torrent, Path(node.item("www")["path"]).parent)
    piece, begin = divmod(at // BLOCK * BLOCK, content.piece_length)
    last = content.n_pieces - 1  # of the other file
    with call(node.address(), content) as wire:
        wire.put(INTERESTED)
        wire.wait_for(UNCHOKE)
        wire.put(REQUEST, request(piece, begin, BLOCK))
        wire.put(REQUEST, request(last, 0, 1000))
        _, payload = wire.wait_for(PIECE)
        assert int.from_bytes(payload[:4], "big") == last
