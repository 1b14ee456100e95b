"""Peers that lie, stall, flood and talk nonsense, against `tarn fetch`.

In each test one peer misbehaves and another, which keeps to the rules, lets tarn have data only after
that: so tarn must survive the first, and complete from the second."""
import os
import struct
import threading
import time

import pytest
from fakepeer import (
    ALLOWED,
    BITFIELD,
    BLOCK,
    CHOKE,
    EXTENDED,
    HASH_REJECT,
    HASHES,
    HAVE,
    HAVE_ALL,
    INTERESTED,
    PIECE,
    PLAIN,
    PROTOCOL,
    REJECT,
    REQUEST,
    SUGGEST,
    UNCHOKE,
    UPGRADES,
    Content,
    FakePeer,
    Gone,
    request,
)
from program import NETWORK, is_sanitized
from programs import PATIENCE, SLOWNESS, TarnFetch, magnet_of
from samples import contents

KINDS = pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])


def assert_one_line(run):
    """An error is one line that a person can act on; here it is the last JSON line."""
    message = run.events[-1]["error"]["message"]
    assert message and "\n" not in message and len(message) > 20
    assert run.errors() == "", "nothing else is said"
    return message


def notes(run):
    return " | ".join(e["text"] for e in run.events if e.get("event") == "peer")


def failed_pieces(run):
    return max(e.get("pieces_failed", 0) for e in run.events)


def fetch_from(what, into, *peers, options=(), code=0):
    """Run tarn fetch with these peers to its end."""
    calls = [option for peer in peers for option in ("--peer", peer.address)]
    with TarnFetch(what, into, "--no-tracker", *calls, *options) as run:
        got = run.wait(2 * PATIENCE)
        assert got == code, f"exit {got}\n{run.story()}"
        assert "Sanitizer" not in run.errors() and "runtime error" not in run.errors()
    return run


def fetch_despite(s, content, liar, into, what=None, options=()):
    """Complete from a peer that waits until the liar has been dropped, or is done (`liar.over`)."""
    with liar, FakePeer(content, after=getattr(liar, "over", liar.dropped)) as good:
        run = fetch_from(what or s.torrent, into, liar, good, options=options)
        assert liar.calls > 0, "the liar was never called"
        assert not good.waited_in_vain, f"the liar was not dropped\n{run.story()}"
    s.assert_same(into)
    return run


# What ends a connection.


def put_handshake_for_another(peer, wire, info_hash):
    wire.hello(bytes(20), peer.peer_id)


def put_http(peer, wire, info_hash):
    wire.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 4)


def put_garbage(peer, wire, info_hash):
    wire.hello(info_hash, peer.peer_id)
    wire.write(b"\xa7\x13\xff\x00" * 20000)


def put_oversize(peer, wire, info_hash):
    wire.hello(info_hash, peer.peer_id)
    wire.write(struct.pack(">IB", 0x7FFFFFFF, 99))


def put_oversize_extension(peer, wire, info_hash):
    wire.hello(info_hash, peer.peer_id)
    wire.write(struct.pack(">IBB", (2 << 20) + 2, EXTENDED, 0) + b"d" * (2 << 20))


def message(kind, payload=b""):
    def put(peer, wire, info_hash):
        wire.hello(info_hash, peer.peer_id)
        wire.put(kind, payload(peer.content) if callable(payload) else payload)

    return put


def put_v2_message_on_v1(peer, wire, info_hash):
    wire.hello(info_hash, peer.peer_id)
    wire.put(HAVE_ALL)
    wire.put(HASHES, bytes(48 + 64))


def put_unasked_blocks(peer, wire, info_hash):
    wire.hello(info_hash, peer.peer_id)
    wire.put(HAVE_ALL)
    for piece in range(200):
        piece %= peer.content.n_pieces
        peer.send_block(wire, piece, 0, peer.content.read(piece, 0, BLOCK))


def put_fast_without_saying(peer, wire, info_hash):
    wire.hello(info_hash, peer.peer_id, PLAIN)
    wire.put(HAVE_ALL)


def with_spare_bits(content):
    field = bytearray(content.bitfield())
    assert content.n_pieces % 8 != 0
    field[-1] |= 1
    return bytes(field)


MISBEHAVIOUR = {
    "answers for another torrent": put_handshake_for_another,
    "speaks HTTP": put_http,
    "garbage after the handshake": put_garbage,
    "a message of 2 GiB": put_oversize,
    "an extension message of 2 MiB": put_oversize_extension,
    "bitfield too long": message(BITFIELD, lambda c: c.bitfield() + b"\0"),
    "bitfield too short": message(BITFIELD, lambda c: c.bitfield()[:-1]),
    "bitfield with spare bits": message(BITFIELD, with_spare_bits),
    "bitfield of 1 MiB": message(BITFIELD, bytes(1 << 20)),
    "has a piece that is not": message(HAVE, lambda c: struct.pack(">I", c.n_pieces)),
    "have too short": message(HAVE, b"\0\0"),
    "unchoke with a payload": message(UNCHOKE, b"?"),
    "extension handshake is no dictionary": message(EXTENDED, b"\0li1ee"),
    "extension handshake nested without end": message(EXTENDED, b"\0" + b"d1:a" * 5000),
    "extension message without a number": message(EXTENDED, b""),
    "block behind the torrent": message(PIECE, struct.pack(">II", 0xFFFFFFFF, 0) + b"x" * BLOCK),
    "block of 256 KiB": message(PIECE, bytes(8 + (256 << 10))),
    "block without data": message(PIECE, bytes(8)),
    "200 blocks that nobody asked for": put_unasked_blocks,
    "v2's hashes on a v1 connection": put_v2_message_on_v1,
    "fast messages unannounced": put_fast_without_saying,
}


@pytest.mark.parametrize("what", MISBEHAVIOUR)
def test_is_dropped(sample, tmp_path, what):
    class Liar(FakePeer):
        def answer(self, wire, info_hash):
            MISBEHAVIOUR[what](self, wire, info_hash)
            wire.wait_until_closed()
            raise Gone

    s = sample("folder", "v1")
    content = Content(s.torrent, s.home)
    run = fetch_despite(s, content, Liar(content), tmp_path / "got")
    assert failed_pieces(run) == 0


# What may go on, and must do no harm.


class Talker(FakePeer):
    """Says a lot, and then nothing more."""

    def __init__(self, content):
        self.over = threading.Event()
        super().__init__(content)

    def allow(self, wire):
        try:
            self.talk(wire)
        finally:
            self.over.set()

    def on_request(self, *_):
        pass


def put_haves(peer, wire):
    everything = [struct.pack(">IBI", 5, HAVE, i % peer.content.n_pieces) for i in range(200_000)]
    wire.write(b"".join(everything))


def put_requests(peer, wire):
    """Of us, who have nothing: each is refused or ignored."""
    one = struct.pack(">IB", 13, REQUEST) + request(0, 0, BLOCK)
    wire.put(INTERESTED)
    drain = threading.Thread(target=wire.wait_until_closed, daemon=True)
    drain.start()
    wire.write(one * 100_000)


def put_extensions(peer, wire):
    for _ in range(300):
        wire.put_extended(0, {"m": {f"x{i}": i % 250 for i in range(2000)}, "v": "v" * 20000})


def put_keepalives(peer, wire):
    wire.write(bytes(4) * 500_000)


def put_unknown(peer, wire):
    for _ in range(200):
        wire.put(77, bytes(100_000))


def put_fast_sets(peer, wire):
    for i in range(50_000):
        wire.put(ALLOWED if i % 2 else SUGGEST, struct.pack(">I", i % peer.content.n_pieces))


def put_metadata_requests(peer, wire):
    ask = bencode_request(0)
    drain = threading.Thread(target=wire.wait_until_closed, daemon=True)
    drain.start()
    for _ in range(20_000):
        wire.put(EXTENDED, b"\x02" + ask)


def bencode_request(block):
    return b"d8:msg_typei0e5:piecei%dee" % block


def put_chokes(peer, wire):
    """Every other message takes back what the one before said."""
    wire.write(b"\0\0\0\1\1\0\0\0\1\0" * 20_000)


FLOODS = {
    "haves": put_haves,
    "requests": put_requests,
    "extension handshakes": put_extensions,
    "keep-alives": put_keepalives,
    "unknown messages": put_unknown,
    "suggestions": put_fast_sets,
    "metadata requests": put_metadata_requests,
    "chokes and unchokes": put_chokes,
}
MEMORY_MIB = 100  # 64 MiB for arriving data is the default budget; then the program and its threads


@pytest.mark.parametrize("what", FLOODS)
def test_flood_does_no_harm(sample, tmp_path, what):
    class Flooder(Talker):
        def talk(self, wire):
            FLOODS[what](self, wire)

    s = sample("folder", "hybrid")
    content = Content(s.torrent, s.home)
    with Flooder(content) as flooder, FakePeer(content, after=flooder.over) as good:
        calls = ["--peer", flooder.address, "--peer", good.address]
        with TarnFetch(s.torrent, tmp_path / "got", "--no-tracker", "--stay", *calls) as run:
            run.wait_for(lambda e: e.get("event") == "complete", "tarn has all of it")
            if not is_sanitized():
                assert run.peak_mib() < MEMORY_MIB
            run.process.terminate()
            assert run.wait() == 0, run.story()
    s.assert_same(tmp_path / "got")


# Wrong data.


class Corrupter(FakePeer):
    """Sends blocks of which some are wrong, until it is dropped."""

    def __init__(self, content, is_wrong=lambda piece, begin: True):
        self.is_wrong = is_wrong
        super().__init__(content)

    def on_request(self, wire, piece, begin, length):
        data = bytearray(self.content.read(piece, begin, length))
        if self.is_wrong(piece, begin):
            data[len(data) // 2] ^= 1
        self.send_block(wire, piece, begin, data)


@KINDS
def test_wrong_data_alone(sample, tmp_path, kind):
    """The liar is banned after one piece, all of which it sent; the rest comes from the other."""
    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    liar = Corrupter(content)
    run = fetch_despite(s, content, liar, tmp_path / "got")
    assert failed_pieces(run) >= 1
    assert "banned" in notes(run)
    assert liar.calls == 1, "who is banned is not called again"


@KINDS
def test_wrong_data_among_good(sample, tmp_path, kind):
    """Both send from the beginning; one byte in ten blocks of the liar's is wrong."""
    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    with Corrupter(content, lambda piece, begin: piece % 10 == 3) as liar, FakePeer(content) as good:
        fetch_from(s.torrent, tmp_path / "got", liar, good)
    s.assert_same(tmp_path / "got")


class OneLie(FakePeer):
    """Answers its first request with wrong data, and gives nothing more."""

    def __init__(self, content):
        self.over = threading.Event()
        self.lie = None
        super().__init__(content)

    def on_request(self, wire, piece, begin, length):
        if self.lie is not None:
            wire.put(REJECT, request(piece, begin, length))
            return
        self.lie = (piece, begin, length)
        data = bytearray(self.content.read(piece, begin, length))
        data[7] ^= 1
        self.send_block(wire, piece, begin, data)
        wire.put(CHOKE)
        self.over.set()


class SecondLie(OneLie):
    """And its leaves lead nowhere."""

    def hashes_for(self, payload):
        return [bytes(32) for _ in super().hashes_for(payload)]


class NoLeaves(OneLie):
    def on_hash_request(self, wire, payload):
        wire.put(HASH_REJECT, payload)


class MuteAboutLeaves(OneLie):
    def on_hash_request(self, wire, payload):
        pass


class Leaver(OneLie):
    """Is gone before the verdict."""

    def on_request(self, wire, piece, begin, length):
        super().on_request(wire, piece, begin, length)
        raise Gone


@KINDS
@pytest.mark.parametrize(
    "liar_class", [OneLie, SecondLie, NoLeaves, MuteAboutLeaves, Leaver], ids=lambda c: c.__name__
)
def test_blame_for_one_block(sample, tmp_path, kind, liar_class):
    """A piece of two senders: the liar alone is banned. With leaves nothing else is fetched again."""
    s = sample("single", kind)
    content = Content(s.torrent, s.home)
    liar = liar_class(content)
    with liar, FakePeer(content, after=liar.over) as good:
        run = fetch_from(s.torrent, tmp_path / "got", liar, good)
    s.assert_same(tmp_path / "got")
    piece, begin, length = liar.lie
    assert failed_pieces(run) == 1
    assert liar.calls == 1, "who is banned is not called again"
    if liar_class is not Leaver:
        assert f"{liar.address}: it sent piece {piece}" in notes(run)
    assert f"{good.address}: it sent" not in notes(run)
    others = [r for r in good.asked if r[0] == piece and r[1] != begin]
    assert (piece, begin, length) in good.asked
    assert len(set(others)) == 1
    if kind == "v2":
        assert len(others) == 1, "only the bad block is fetched again"


@KINDS
def test_only_liars(sample, tmp_path, kind):
    """Nobody is left to ask: exit 6, and nothing wrong under a final name."""
    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    with Corrupter(content) as one, Corrupter(content) as two:
        run = fetch_from(
            s.torrent, tmp_path / "got", one, two, options=["--patience", "2"], code=NETWORK
        )
        assert_one_line(run)
    right = contents(s.home)
    for path, data in contents(tmp_path / "got").items():
        assert path.endswith(".part") or data == right[path], path


# Stalls.


class Staller(FakePeer):
    """Sends half a block, and nothing ever after."""

    def __init__(self, content):
        self.over = threading.Event()
        super().__init__(content)

    def on_request(self, wire, piece, begin, length):
        if not self.over.is_set():
            half = self.content.read(piece, begin, length // 2)
            wire.write(struct.pack(">IBII", 9 + length, PIECE, piece, begin) + half)
            self.over.set()


@KINDS
def test_stall_in_a_block(sample, tmp_path, kind):
    """What the staller was asked for is asked of another before its connection times out."""
    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    begun = time.monotonic()
    fetch_despite(s, content, Staller(content), tmp_path / "got")
    assert time.monotonic() - begun < 45 * SLOWNESS


class Silent(FakePeer):
    """Takes requests and answers none."""

    def __init__(self, content):
        self.over = threading.Event()
        super().__init__(content)

    def on_request(self, *_):
        self.over.set()


class Refuser(FakePeer):
    """Refuses everything it says it has, until it is dropped."""

    def on_request(self, wire, piece, begin, length):
        wire.put(REJECT, request(piece, begin, length))


def test_unanswered_requests(sample, tmp_path):
    s = sample("single", "hybrid")
    content = Content(s.torrent, s.home)
    begun = time.monotonic()
    fetch_despite(s, content, Silent(content), tmp_path / "got")
    assert time.monotonic() - begun < 45 * SLOWNESS


def test_endless_refusals(sample, tmp_path):
    s = sample("single", "hybrid")
    content = Content(s.torrent, s.home)
    fetch_despite(s, content, Refuser(content), tmp_path / "got")


def test_half_a_handshake(sample, tmp_path):
    class Half(FakePeer):
        def __init__(self, content):
            self.over = threading.Event()
            super().__init__(content)

        def answer(self, wire, info_hash):
            wire.write(PROTOCOL + PLAIN + info_hash)
            self.over.set()
            wire.wait_until_closed()
            raise Gone

    s = sample("single", "v1")
    content = Content(s.torrent, s.home)
    fetch_despite(s, content, Half(content), tmp_path / "got")


# Magnet links.


class MetadataLiar(FakePeer):
    """Lies about metadata only; `over` when it has been asked."""

    def __init__(self, content):
        self.over = threading.Event()
        super().__init__(content)


class TooLong(MetadataLiar):
    def extensions(self):
        self.over.set()
        return {**super().extensions(), "metadata_size": 1 << 31}


class Longer(MetadataLiar):
    """The right bytes and a lot more, as announced."""

    def metadata(self):
        self.over.set()
        return super().metadata() + bytes(100_000)

    def extensions(self):
        return {**super().extensions(), "metadata_size": len(self.content.info) + 100_000}


class Shorter(MetadataLiar):
    def metadata(self):
        self.over.set()
        return super().metadata()[:-50]

    def extensions(self):
        return {**super().extensions(), "metadata_size": len(self.content.info) - 50}


class Different(MetadataLiar):
    def metadata(self):
        self.over.set()
        return bytes(len(self.content.info))


class Unlike(MetadataLiar):
    """Sends another length than announced."""

    def metadata(self):
        self.over.set()
        return super().metadata()[:100]


class Rejecting(MetadataLiar):
    def on_metadata_request(self, wire, block):
        self.over.set()
        wire.put_extended(self.their_metadata_id, {"msg_type": 2, "piece": block})


class Mute(MetadataLiar):
    def on_metadata_request(self, wire, block):
        self.over.set()


class GarbageMetadata(MetadataLiar):
    def on_metadata_request(self, wire, block):
        self.over.set()
        wire.put(EXTENDED, bytes([self.their_metadata_id]) + os.urandom(500))


class LateGood(FakePeer):
    """Has no metadata to give before `after`."""

    def introduce(self, wire):
        self.wait()
        super().introduce(wire)


METADATA_LIARS = [TooLong, Longer, Shorter, Different, Unlike, Rejecting, Mute, GarbageMetadata]


@pytest.mark.parametrize("kind", ["v1", "v2"])
@pytest.mark.parametrize("liar_class", METADATA_LIARS)
def test_wrong_metadata(sample, tmp_path, kind, liar_class):
    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    with liar_class(content) as liar, LateGood(content, after=liar.over) as good:
        fetch_from(magnet_of(s.torrent), tmp_path / "got", liar, good)
        assert not good.waited_in_vain, "the liar was not asked for metadata"
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("liar_class", METADATA_LIARS)
def test_wrong_metadata_alone(sample, tmp_path, liar_class):
    """Gives up or waits, but makes nothing: ended after a while, it has written no file."""
    s = sample("folder", "v1")
    content = Content(s.torrent, s.home)
    with liar_class(content) as liar:
        calls = ["--peer", liar.address, "--patience", "2"]
        with TarnFetch(magnet_of(s.torrent), tmp_path / "got", "--no-tracker", *calls) as run:
            assert liar.over.wait(PATIENCE)
            try:
                run.process.wait(5)
            except Exception:
                run.process.terminate()
            assert run.wait() in (3, NETWORK), run.story()
            assert_one_line(run)
    assert not (tmp_path / "got").exists() or not contents(tmp_path / "got")


def test_magnet_of_another_torrent(sample, tmp_path):
    """The peer does not know that hash and hangs up."""

    class Ignorant(FakePeer):
        def answer(self, wire, info_hash):
            raise Gone

    s = sample("folder", "v1")
    with Ignorant(Content(s.torrent, s.home)) as peer:
        begun = time.monotonic()
        magnet = "magnet:?xt=urn:btih:" + "a5" * 20
        run = fetch_from(
            magnet, tmp_path / "got", peer, options=["--patience", "2"], code=NETWORK
        )
    assert_one_line(run)
    assert time.monotonic() - begun < 15 * SLOWNESS


def test_magnet_with_nobody(tmp_path):
    magnet = "magnet:?xt=urn:btmh:1220" + "5a" * 32
    run = fetch_from(magnet, tmp_path / "got", options=["--patience", "1"], code=NETWORK)
    assert "--peer" in assert_one_line(run)


# Hashes of v2.


class WrongHashes(FakePeer):
    """Until it is dropped."""

    def hashes_for(self, payload):
        return [bytes([h[0] ^ 1]) + h[1:] for h in super().hashes_for(payload)]


class NoHashes(MetadataLiar):
    def on_hash_request(self, wire, payload):
        self.over.set()
        wire.put(HASH_REJECT, payload)


class ShortHashes(MetadataLiar):
    def on_hash_request(self, wire, payload):
        self.over.set()
        wire.put(HASHES, payload + bytes(32))


class UnaskedHashes(MetadataLiar):
    def on_hash_request(self, wire, payload):
        self.over.set()
        for _ in range(20):
            wire.put(HASHES, os.urandom(32) + payload[32:] + bytes(64))


class MuteAboutHashes(MetadataLiar):
    def on_hash_request(self, wire, payload):
        self.over.set()


@pytest.mark.parametrize("kind", ["v2", "hybrid"])
@pytest.mark.parametrize(
    "liar_class", [WrongHashes, NoHashes, ShortHashes, UnaskedHashes, MuteAboutHashes]
)
def test_wrong_hashes(sample, tmp_path, kind, liar_class):
    """Piece layers come from peers when the torrent came by magnet link; a hybrid can do without."""

    class Liar(liar_class):
        reserved = UPGRADES

        def answer(self, wire, info_hash):  # a hybrid's peers take the v2 side
            super().answer(wire, self.content.hashes[-1])

        def on_request(self, *_):
            pass

    class Good(LateGood):
        reserved = UPGRADES

        def answer(self, wire, info_hash):
            super().answer(wire, self.content.hashes[-1])

    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    with Liar(content) as liar:
        over = getattr(liar, "over", liar.dropped) if kind == "v2" else None
        with Good(content, after=over) as good:
            run = fetch_from(magnet_of(s.torrent), tmp_path / "got", liar, good)
        assert not good.waited_in_vain, f"the liar was not asked\n{run.story()}"
    s.assert_same(tmp_path / "got")
