"""`tarn fetch` and `tarn seed` under a hard limit on memory, while peers announce all they can."""
import contextlib
import hashlib
import socket
import struct
import threading

import pytest
from fakepeer import (
    BITFIELD,
    BLOCK,
    FAST_AND_EXTENDED,
    HAVE,
    HAVE_ALL,
    INTERESTED,
    REQUEST,
    SUGGEST,
    Content,
    FakePeer,
    Gone,
    Wire,
    bencode,
    call,
    random_id,
    request,
)
from faults import MemoryLimit
from program import is_sanitized
from programs import PATIENCE, TarnFetch, TarnSeed, free_port, tarn_create

SCALE = 4 if is_sanitized() else 1
LIMIT_MIB = 24  # the budget of 8 and 16 for the program; 12 in all have been enough
LOUD = 8  # peers that announce


def write_file(path, length):
    """Cheap to make, and no two blocks alike."""
    with open(path, "wb") as f:
        key = hashlib.sha256(path.name.encode()).digest()
        noise = hashlib.shake_256(key).digest(1 << 20)
        for i in range(length >> 20):
            f.write(struct.pack(">Q", i) + noise[8:])
    return path


def announce(wire, content):
    """Have everything, in all the ways there are to say so, and want everything."""
    wire.put_extended(0, {
        "m": {f"x{i}": i % 256 for i in range(5000)}, "metadata_size": (1 << 31) - 1,
        "reqq": (1 << 31) - 1, "v": "v" * 30_000, "p": 1, "upload_only": 0,
    })
    wire.put(BITFIELD, content.bitfield())
    indexes = [struct.pack(">I", i % content.n_pieces) for i in range(20_000)]
    for kind in (HAVE, SUGGEST):
        wire.write(b"".join(struct.pack(">IB", 5, kind) + index for index in indexes))
    wire.put(INTERESTED)
    wire.write((struct.pack(">IB", 13, REQUEST) + request(0, 0, BLOCK)) * 20_000)


class Announcer(FakePeer):
    """Says all it can, and lets nobody have anything."""

    def __init__(self, content):
        self.over = threading.Event()
        super().__init__(content)

    def introduce(self, wire):
        announce(wire, self.content)
        self.over.set()

    def allow(self, wire):
        pass


def pester(run, content):
    """Call a seed, and announce to it; the threads that do."""

    def talk():
        with contextlib.suppress(Gone), call(run.address, content) as wire:
            announce(wire, content)
            wire.wait_until_closed()

    threads = [threading.Thread(target=talk, daemon=True) for _ in range(LOUD)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("piece_length, mib", [("16K", 64), ("1M", 128), ("4M", 128), ("16M", 128)])
@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_fetch_and_seed(tmp_path, kind, piece_length, mib):
    """Both within the limit: pieces that fit the budget of 8 MiB, and such that do not. Only when
    the fetch has heard all that is announced does the seed begin."""
    home, into = tmp_path / "home", tmp_path / "got"
    home.mkdir()
    file = write_file(home / "large", mib // SCALE << 20)
    torrent = tarn_create(file, tmp_path / "t", kind, "--piece-length", piece_length)
    content = Content(torrent, home)
    address = f"127.0.0.1:{free_port()}"
    both = ["--no-tracker", "--memory=8M"]
    with contextlib.ExitStack() as stack:
        loud = [stack.enter_context(Announcer(content)) for _ in range(LOUD)]
        here = stack.enter_context(MemoryLimit(LIMIT_MIB))
        there = stack.enter_context(MemoryLimit(LIMIT_MIB))
        calls = [o for p in loud for o in ("--peer", p.address)] + ["--peer", address]
        run = stack.enter_context(TarnFetch(torrent, into, *both, *calls, limits=here.take))
        for peer in loud:
            assert peer.over.wait(PATIENCE), run.story()
        options = [*both, "--listen", address]
        seed = stack.enter_context(TarnSeed(torrent, home, *options, limits=there.take))
        threads = pester(seed, content)
        assert run.wait(4 * PATIENCE) == 0, run.story()
        seed.process.terminate()
        assert seed.wait() == 0, seed.story()
        for thread in threads:
            thread.join(PATIENCE)
    assert (into / "large").read_bytes() == file.read_bytes()


def test_seed_of_a_million_pieces(tmp_path):
    """Each of a hundred callers says what it has, and asks without reading."""
    n = 1_000_000 // SCALE
    home = tmp_path / "home"
    home.mkdir()
    with open(home / "huge", "wb") as f:
        f.truncate(n * BLOCK)
    zeros = hashlib.sha1(bytes(BLOCK)).digest()
    info = {"name": "huge", "length": n * BLOCK, "piece length": BLOCK, "pieces": zeros * n}
    torrent = tmp_path / "t"
    torrent.write_bytes(bencode({"info": info}))
    info_hash = hashlib.sha1(bencode(info)).digest()
    loud = (struct.pack(">IB", 1 + (n + 7) // 8, BITFIELD) + bytes([0x55]) * ((n + 7) // 8)
            + struct.pack(">IB", 1, INTERESTED)
            + (struct.pack(">IB", 13, REQUEST) + request(n - 1, 0, BLOCK)) * 1000)
    # The torrent (20 MB) as it was read, a copy in the session, and 100 bitfields of 125 KB.
    with MemoryLimit(96) as limit:
        with TarnSeed(torrent, home, "--no-tracker", "--trust", "--memory=8M",
                      limits=limit.take) as run:
            socks = []
            for _ in range(100):
                sock = socket.create_connection(("127.0.0.1", run.port), PATIENCE)
                sock.sendall(b"\x13BitTorrent protocol" + FAST_AND_EXTENDED + info_hash
                             + random_id())
                sock.settimeout(PATIENCE)
                sock.recv(68, socket.MSG_WAITALL)
                sock.settimeout(1)  # once nothing more is taken, that is enough
                try:
                    sock.sendall(loud)
                except (TimeoutError, ConnectionError):
                    pass
                socks.append(sock)
            run.wait_for(lambda e: e.get("peers", 0) >= 100, "all are there")
            with Wire(socket.create_connection(("127.0.0.1", run.port), PATIENCE)) as wire:
                wire.hello(info_hash, random_id())
                wire.read_hello()
                wire.put(INTERESTED)
                wire.wait_for(HAVE_ALL)
            run.process.terminate()
            assert run.wait() == 0, run.story()
            for sock in socks:
                sock.close()
