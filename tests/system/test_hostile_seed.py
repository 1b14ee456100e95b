"""Peers that ask for nonsense, ask too much or never read, against `tarn seed`: it goes on serving
others, in bounded memory."""
import socket
import struct
import threading

import pytest
from fakepeer import (
    BLOCK,
    CANCEL,
    EXTENDED,
    FAST_AND_EXTENDED,
    HASH_REJECT,
    HASH_REQUEST,
    HASHES,
    INTERESTED,
    METADATA_ID,
    PIECE,
    PLAIN,
    PROTOCOL,
    REJECT,
    REQUEST,
    UNCHOKE,
    Content,
    Gone,
    bdecode,
    bencode,
    call,
    fetch_block,
    random_id,
    request,
)
from program import assert_small, end_well
from programs import PATIENCE, TarnSeed

MEMORY_MIB = 60


@pytest.fixture
def seeding(sample):
    """A seed, and what it seeds; at the end it must still serve, stop well and have stayed small."""
    runs = []

    def make(kind="hybrid", shape="folder", *options):
        s = sample(shape, kind)
        content = Content(s.torrent, s.home)
        runs.append((TarnSeed(s.torrent, s.home, "--no-tracker", *options), content))
        return runs[-1]

    yield make
    for run, content in runs:
        with run:
            assert run.process.poll() is None, f"it ended\n{run.story()}"
            with call(run.address, content) as wire:
                fetch_block(wire, content)
            assert_small(run, MEMORY_MIB)
            end_well(run)


def connect(run):
    return socket.create_connection(("127.0.0.1", run.port), PATIENCE)


def closes(sock):
    """Whether it ends the connection, with or without last words."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


OPENINGS = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 3,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "zeros": bytes(1000),
    "nearly the protocol": b"\x13BitTorrent protocoL" + bytes(48),
    "a torrent that is not here": PROTOCOL + PLAIN + bytes(20) + random_id(),
}


@pytest.mark.parametrize("what", OPENINGS)
def test_opening(seeding, what):
    run, _ = seeding("v1", "single")
    with connect(run) as sock:
        sock.sendall(OPENINGS[what])
        assert closes(sock)


def test_no_answer_before_the_hash(seeding):
    """Who does not know what is here learns nothing."""
    run, _ = seeding("v1", "single")
    with connect(run) as sock:
        sock.sendall(PROTOCOL + PLAIN)
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_itself(seeding):
    """Somebody who bears its own peer id is itself: closed."""
    run, content = seeding("v1", "single")
    with connect(run) as sock:
        sock.sendall(PROTOCOL + PLAIN + content.hash)
        own = sock.recv(68, socket.MSG_WAITALL)[48:]
        sock.sendall(own)
        assert closes(sock)


def rejected_or_closed(wire, asked):
    try:
        _, payload = wire.wait_for(REJECT)
        return payload == asked
    except Gone:
        return True


def unfit_requests(content):
    n = content.n_pieces
    return {
        "piece behind the last": request(n, 0, BLOCK),
        "last piece there can be": request(0xFFFFFFFF, 0, BLOCK),
        "begin behind the piece": request(0, content.piece_length, BLOCK),
        "begin that wraps": request(0, 0xFFFFFFFF, BLOCK),
        "length that wraps": request(1, BLOCK, 0xFFFFC000),
        "no length": request(0, 0, 0),
        "too long": request(0, 0, (128 << 10) + 1),
        "over the end of a piece": request(0, content.piece_length - BLOCK, 2 * BLOCK),
    }


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_unfit_requests(seeding, kind):
    run, content = seeding(kind)
    for what, asked in unfit_requests(content).items():
        with call(run.address, content) as wire:
            wire.put(INTERESTED)
            wire.wait_for(UNCHOKE)
            wire.put(REQUEST, asked)
            assert rejected_or_closed(wire, asked), what


def test_requests_while_choked_are_rejected(seeding):
    run, content = seeding("v1", "single")
    with call(run.address, content) as wire:
        # Beyond the few pieces that a beginner may have at once.
        asked = [request(piece, 0, BLOCK) for piece in range(30)]
        for one in asked:
            wire.put(REQUEST, one)
        answers = [wire.wait_for(PIECE, REJECT) for _ in asked]
    rejects = [payload for kind, payload in answers if kind == REJECT]
    assert len(rejects) >= 20 and set(rejects) <= set(asked)


def test_requests_that_nobody_reads(seeding):
    """100,000 requests on each of three connections, whose owners read nothing."""
    run, content = seeding("v1", "single")
    wires = [call(run.address, content) for _ in range(3)]
    for wire in wires:
        wire.put(INTERESTED)
        wire.sock.settimeout(3)  # once nothing more is taken, that is enough
    flood = (struct.pack(">IB", 13, REQUEST) + request(0, 0, BLOCK)) * 100_000

    def pour(wire):
        try:
            wire.write(flood)
        except (Gone, TimeoutError):
            pass

    threads = [threading.Thread(target=pour, args=[wire]) for wire in wires]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with call(run.address, content) as other:
        fetch_block(other, content)  # while they are still there
    for wire in wires:
        wire.close()


def test_every_request_is_answered_once(seeding):
    """Fast extension: a piece or a reject for each, cancelled or not."""
    run, content = seeding("v1", "single")
    with call(run.address, content) as wire:
        wire.put(INTERESTED)
        wire.wait_for(UNCHOKE)
        asked = [(piece, begin) for piece in range(40) for begin in (0, BLOCK)]
        for piece, begin in asked:
            wire.put(REQUEST, request(piece, begin, BLOCK))
            if piece % 3 == 0:
                wire.put(CANCEL, request(piece, begin, BLOCK))
        answered = []
        for _ in asked:
            kind, payload = wire.wait_for(PIECE, REJECT)
            answered.append(struct.unpack(">II", payload[:8]))
            if kind == PIECE:
                assert payload[8:] == content.read(*answered[-1], BLOCK)
    assert sorted(answered) == sorted(asked)


def metadata_answers(wire, n):
    got = []
    while len(got) < n:
        _, payload = wire.wait_for(EXTENDED)
        if payload[0] == METADATA_ID:
            got.append(bdecode(payload[1:])[0])
    return got


def ask_metadata(wire, number, block):
    wire.put_extended(number, {"msg_type": 0, "piece": block})


def their_metadata_id(wire):
    wire.put_extended(0, {"m": {"ut_metadata": METADATA_ID}})
    while True:
        _, payload = wire.wait_for(EXTENDED)
        if payload[0] == 0:
            return bdecode(payload[1:])[0][b"m"][b"ut_metadata"]


def test_metadata_block_that_is_not(seeding):
    run, content = seeding()
    with call(run.address, content) as wire:
        number = their_metadata_id(wire)
        for block in (0x7FFFFFFF, 0):
            ask_metadata(wire, number, block)
        kinds = [answer[b"msg_type"] for answer in metadata_answers(wire, 2)]
    assert kinds == [2, 1]


def test_metadata_again_and_again(seeding):
    """After some answers there are none, or the connection ends: nobody makes us send for ever."""
    run, content = seeding()
    with call(run.address, content) as wire:
        number = their_metadata_id(wire)
        wire.sock.settimeout(2)
        served = 0
        try:
            for _ in range(5000):
                ask_metadata(wire, number, 0)
            while True:
                served += metadata_answers(wire, 1)[0][b"msg_type"] == 1
        except (Gone, TimeoutError):
            pass
    assert 1 <= served <= 100


BAD_EXTENSIONS = {
    "no dictionary": b"\0i1e",
    "nothing": b"",
    "cut short": b"\0d1:md11:ut_metadatai3e",
    "number as text": b"\0d1:md11:ut_metadata1:3ee",
    "nested": b"\0" + b"d1:a" * 3000 + b"de" + b"e" * 2999,
    "huge number": b"\0d4:reqqi99999999999999999999ee",
    "negative": b"\0" + bencode({"reqq": -5, "metadata_size": -1, "p": -1}),
    "metadata without a dictionary": b"\2hello",
    "metadata with a type that is not": b"\2" + bencode({"msg_type": 77, "piece": 0}),
    "metadata piece below zero": b"\2" + bencode({"msg_type": 0, "piece": -1}),
    "a number never given": b"\xee" + bytes(100),
}


@pytest.mark.parametrize("what", BAD_EXTENSIONS)
def test_bad_extension_message(seeding, what):
    """Closed or ignored; the fixture looks whether others are served."""
    run, content = seeding("v1", "single")
    with call(run.address, content) as wire:
        wire.put(EXTENDED, BAD_EXTENSIONS[what])
        wire.sock.settimeout(0.5)
        try:
            wire.wait_until_closed()
        except TimeoutError:
            fetch_block(wire, content)


def hash_request(root, base, index, count, proofs):
    return root + struct.pack(">IIII", base, index, count, proofs)


def unfit_hash_requests(content):
    root, tree = max(content.trees.items(), key=lambda pair: len(pair[1]))
    layers = len(tree)
    return {
        "unknown root": hash_request(bytes(32), 0, 0, 2, 0),
        "base above the root": hash_request(root, layers + 5, 0, 2, 0),
        "base that wraps": hash_request(root, 0xFFFFFFFF, 0, 2, 0),
        "index behind the layer": hash_request(root, 1, 1 << 20, 2, 0),
        "count no power of two": hash_request(root, 1, 0, 3, 0),
        "count zero": hash_request(root, 1, 0, 0, 0),
        "count huge": hash_request(root, 0, 0, 1 << 31, 0),
        "index no multiple of count": hash_request(root, 1, 1, 2, 0),
        "more proofs than layers": hash_request(root, 1, 0, 2, 60),
    }


def test_unfit_hash_requests(seeding):
    run, content = seeding("v2")
    for what, asked in unfit_hash_requests(content).items():
        with call(run.address, content) as wire:
            wire.put(HASH_REQUEST, asked)
            try:
                _, payload = wire.wait_for(HASH_REJECT)
                assert payload == asked, what
            except Gone:
                pass


def test_hash_requests(seeding):
    """What fits is served, right, also while choked: the piece layer, with proofs to the root."""
    run, content = seeding("v2")
    root, tree = max(content.trees.items(), key=lambda pair: len(pair[1]))
    base = (content.piece_length // BLOCK).bit_length() - 1
    count = 4
    asked = hash_request(root, base, 4, count, len(tree) - 2 - base)
    with call(run.address, content) as wire:
        wire.put(HASH_REQUEST, asked)
        kind, payload = wire.wait_for(HASHES, HASH_REJECT)
    assert kind == HASHES and payload[:48] == asked
    hashes = [payload[i : i + 32] for i in range(48, len(payload), 32)]
    assert hashes[:count] == tree[base][4 : 4 + count]
    at, uncles = 4 >> 2, []
    for layer in tree[base + 2 : -1]:
        uncles.append(layer[at ^ 1])
        at >>= 1
    assert hashes[count:] == uncles


def test_hash_request_flood(seeding):
    """Leaves are read from the disk: many at once are refused or wait, nobody else starves."""
    run, content = seeding("v2")
    root = max(content.trees, key=lambda r: len(content.trees[r]))
    with call(run.address, content) as wire, call(run.address, content) as other:
        flood = struct.pack(">IB", 49, HASH_REQUEST) + hash_request(root, 0, 0, 2, 0)
        wire.sock.settimeout(3)
        try:
            wire.write(flood * 20_000)
        except (Gone, TimeoutError):
            pass
        fetch_block(other, content)


def assert_others_are_served(run, content):
    with call(run.address, content) as wire:
        fetch_block(wire, content)


def test_peers_that_say_nothing_more(seeding):
    run, content = seeding("v1", "single")
    socks = [connect(run) for _ in range(200)]
    for i, sock in enumerate(socks):
        sock.sendall(PROTOCOL + FAST_AND_EXTENDED + content.hash + b"-XX0000-%012d" % i)
    assert_others_are_served(run, content)
    for sock in socks:
        sock.close()


def test_callers_that_say_nothing(seeding):
    """Whoever holds many connections open without a word must not keep others out."""
    run, content = seeding("v1", "single")
    socks = [connect(run) for _ in range(300)]
    assert_others_are_served(run, content)
    for sock in socks:
        sock.close()


def test_everybody_is_unchoked_in_time(seeding):
    """Six that took a slot and read nothing do not keep it for ever."""
    run, content = seeding("v1", "single")
    hogs = [call(run.address, content) for _ in range(6)]
    for hog in hogs:
        hog.put(INTERESTED)
        hog.write((struct.pack(">IB", 13, REQUEST) + request(0, 0, BLOCK)) * 1000)
    assert_others_are_served(run, content)
    for hog in hogs:
        hog.close()


def test_connections_that_come_and_go(seeding):
    run, content = seeding("v1", "single")
    for i in range(2000):
        with connect(run) as sock:
            if i % 2:
                sock.sendall(PROTOCOL[: i % 20])


def test_sends_one_byte_at_a_time(seeding):
    run, content = seeding("v1", "single")
    with connect(run) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = PROTOCOL + FAST_AND_EXTENDED + content.hash + random_id()
        words += struct.pack(">IB", 1, INTERESTED)
        for byte in words:
            sock.sendall(bytes([byte]))
        assert sock.recv(68, socket.MSG_WAITALL)[28:48] == content.hash
