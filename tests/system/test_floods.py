"""Peers that never stop talking: meanwhile who keeps to the rules gets through, or is got through to.
That is measured by what moves, not by time; and memory stays bounded."""
import contextlib
import struct
import threading

import pytest
from fakepeer import (
    ALLOWED,
    BITFIELD,
    BLOCK,
    CANCEL,
    EXTENDED,
    HASH_REQUEST,
    HAVE,
    HAVE_ALL,
    HAVE_NONE,
    INTERESTED,
    PIECE,
    REJECT,
    REQUEST,
    SUGGEST,
    UNINTERESTED,
    UPGRADES,
    Content,
    FakePeer,
    Gone,
    bencode,
    call,
    fetch_block,
    request,
)
from program import assert_small, end_well
from programs import PATIENCE, TarnFetch, TarnSeed

MEMORY_MIB = 100
LOUD = 3


def message(kind, payload=b""):
    return struct.pack(">IB", 1 + len(payload), kind) + payload


def each_piece(content, kind):
    return b"".join(message(kind, struct.pack(">I", i)) for i in range(content.n_pieces))


def extended(number, value):
    return message(EXTENDED, bytes([number]) + (value if isinstance(value, bytes) else bencode(value)))


def hash_request(content):
    root, tree = max(content.trees.items(), key=lambda pair: len(pair[1]))
    return message(HASH_REQUEST, root + struct.pack(">IIII", 0, 0, 512, 0))


# For each: what is said again and again.
FLOODS = {
    "keep-alives": lambda c: bytes(4) * 1000,
    "haves": lambda c: each_piece(c, HAVE),
    "suggestions": lambda c: each_piece(c, SUGGEST),
    "allowances": lambda c: each_piece(c, ALLOWED),
    "bitfields": lambda c: message(BITFIELD, c.bitfield()) * 100,
    "have all, have none": lambda c: (message(HAVE_ALL) + message(HAVE_NONE)) * 500,
    "requests": lambda c: message(REQUEST, request(0, 0, BLOCK)) * 1000,
    "requests for what is not": lambda c: message(REQUEST, request(c.n_pieces, 0, BLOCK)) * 1000,
    "cancels": lambda c: message(CANCEL, request(0, 0, BLOCK)) * 1000,
    "requests and cancels": lambda c: (
        message(REQUEST, request(1, 0, BLOCK)) + message(CANCEL, request(1, 0, BLOCK))) * 500,
    "rejects": lambda c: message(REJECT, request(0, 0, BLOCK)) * 1000,
    "interest and none": lambda c: (message(INTERESTED) + message(UNINTERESTED)) * 1000,
    "chokes and unchokes": lambda c: (message(0) + message(1)) * 1000,
    "extension handshakes": lambda c: extended(0, {"m": {f"x{i}": i for i in range(200)}}) * 20,
    "metadata requests": lambda c: extended(2, {"msg_type": 0, "piece": 0}) * 500,
    "unknown extensions": lambda c: extended(99, bytes(1000)) * 50,
    "bad extensions": lambda c: extended(1, b"d" * 1000) * 50,
    "unknown messages": lambda c: message(99, bytes(1000)) * 50,
    "hash requests": lambda c: hash_request(c) * 100,
}


class Flood:
    """Says it for as long as it is let, and reads, or not, what it is answered."""

    def __init__(self, what, content):
        self.bytes = FLOODS[what](content)
        self.stopping = threading.Event()
        self.rounds = 0
        self.begun = threading.Event()

    def drain(self, wire):
        with contextlib.suppress(Gone, OSError):
            while wire.sock.recv(1 << 16):
                pass

    def pour(self, wire, reads):
        if reads:
            threading.Thread(target=self.drain, args=[wire], daemon=True).start()
        with contextlib.suppress(Gone, OSError):
            while not self.stopping.is_set():
                wire.write(self.bytes)
                self.rounds += 1
                self.begun.set()
        self.begun.set()


class Flooder(FakePeer):
    reserved = UPGRADES

    def __init__(self, content, flood, reads):
        self.flood, self.reads = flood, reads
        super().__init__(content)

    def answer(self, wire, info_hash):
        super().answer(wire, self.content.hashes[-1])  # the v2 side of a hybrid, for its messages

    def introduce(self, wire):
        wire.put(HAVE_ALL)
        self.flood.pour(wire, self.reads)
        raise Gone


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "deaf"])
@pytest.mark.parametrize("what", FLOODS)
def test_fetch(sample, tmp_path, what, reads):
    """It completes from one peer while the others talk."""
    s = sample("single", "hybrid")
    content = Content(s.torrent, s.home)
    flood = Flood(what, content)
    with contextlib.ExitStack() as stack:
        loud = [stack.enter_context(Flooder(content, flood, reads)) for _ in range(LOUD)]
        good = stack.enter_context(FakePeer(content, after=flood.begun))
        calls = [o for peer in [*loud, good] for o in ("--peer", peer.address)]
        options = ["--no-tracker", "--stay", *calls]
        run = stack.enter_context(TarnFetch(s.torrent, tmp_path / "got", *options))
        run.wait_for(lambda e: e.get("event") == "complete", "tarn has all of it")
        assert_small(run, MEMORY_MIB)
        flood.stopping.set()
        end_well(run)
    assert not good.waited_in_vain
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "deaf"])
@pytest.mark.parametrize("what", FLOODS)
def test_seed(sample, what, reads):
    """A peer gets thirty blocks while the others talk."""
    s = sample("single", "hybrid")
    content = Content(s.torrent, s.home)
    flood = Flood(what, content)

    def talk():
        while not flood.stopping.is_set():
            with contextlib.suppress(Gone, OSError):
                with call(run.address, content, UPGRADES, content.hashes[-1]) as wire:
                    flood.pour(wire, reads)

    with TarnSeed(s.torrent, s.home, "--no-tracker") as run:
        threads = [threading.Thread(target=talk, daemon=True) for _ in range(LOUD)]
        for thread in threads:
            thread.start()
        assert flood.begun.wait(PATIENCE)
        with call(run.address, content) as wire:
            fetch_block(wire, content)
            for piece in range(1, 30):
                wire.put(REQUEST, request(piece, 0, BLOCK))
                _, payload = wire.wait_for(PIECE)
                assert payload[8:] == content.read(piece, 0, BLOCK)
        assert_small(run, MEMORY_MIB)
        flood.stopping.set()
        end_well(run)
        for thread in threads:
            thread.join(PATIENCE)
