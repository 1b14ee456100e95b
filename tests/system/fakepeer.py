"""Peers and trackers made of plain sockets, that keep to the rules until a test overrides one.

Framing after BEP 3, 6, 9, 10 and 52. Everything listens on loopback, on ports the system chose, and is
stopped at the end of its `with`."""
import hashlib
import os
import socket
import struct
import threading
from pathlib import Path

import libtorrent as lt
from programs import PATIENCE

CHOKE, UNCHOKE, INTERESTED, UNINTERESTED, HAVE, BITFIELD, REQUEST, PIECE, CANCEL = range(9)
SUGGEST, HAVE_ALL, HAVE_NONE, REJECT, ALLOWED = range(13, 18)
EXTENDED, HASH_REQUEST, HASHES, HASH_REJECT = range(20, 24)
METADATA_ID = 3  # what we want ut_metadata to be called when it is sent to us

BLOCK = 16384
PROTOCOL = b"\x13BitTorrent protocol"
PLAIN, FAST_AND_EXTENDED = bytes(8), b"\0\0\0\0\0\x10\0\x04"
UPGRADES = b"\0\0\0\0\0\x10\0\x14"  # and v2 on a v1 hash


class Gone(Exception):
    """The other side has closed the connection."""


# Bencoding: libtorrent's refuses what comes after the end, which metadata messages have.


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l%se" % b"".join(map(bencode, value))
    pairs = {(k.encode() if isinstance(k, str) else k): v for k, v in value.items()}
    return b"d%se" % b"".join(bencode(k) + bencode(pairs[k]) for k in sorted(pairs))


def bdecode(data, at=0):
    """A value and where it ends."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in b"ld":
        items, at = [], at + 1
        while data[at : at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        pairs = dict(zip(items[::2], items[1::2]))
        return (items if kind == b"l" else pairs), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end], end


# What is shared.


def sha256(data):
    return hashlib.sha256(data).digest()


def tree_of(data):
    """Layers of BEP 52's hash tree, from the leaves to the root."""
    leaves = [sha256(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    leaves += [bytes(32)] * ((1 << (len(leaves) - 1).bit_length()) - len(leaves))
    layers = [leaves]
    while len(layers[-1]) > 1:
        below = layers[-1]
        layers.append([sha256(below[i] + below[i + 1]) for i in range(0, len(below), 2)])
    return layers


class Content:
    """A torrent with its bytes: the piece space, padding included, and the hash trees."""

    def __init__(self, torrent, home):
        info = lt.torrent_info(str(torrent))
        files, both = info.files(), info.info_hashes()
        self.info = info.info_section()
        self.piece_length, self.n_pieces = info.piece_length(), info.num_pieces()
        self.hashes = ([both.v1.to_bytes()] if both.has_v1() else []) + (
            [both.v2.to_bytes()[:20]] if both.has_v2() else []
        )
        self.hash = self.hashes[0]
        self.data = bytearray(files.total_size())
        self.trees = {}
        for i in range(files.num_files()):
            if files.file_flags(i) & lt.file_storage.flag_pad_file or files.file_size(i) == 0:
                continue
            data = Path(home, files.file_path(i)).read_bytes()
            self.data[files.file_offset(i) : files.file_offset(i) + len(data)] = data
            if both.has_v2():
                tree = tree_of(data)
                self.trees[tree[-1][0]] = tree

    def read(self, piece, begin, length):
        at = piece * self.piece_length + begin
        return bytes(self.data[at : at + length])

    def bitfield(self):
        bits = (1 << self.n_pieces) - 1
        size = (self.n_pieces + 7) // 8
        return (bits << (size * 8 - self.n_pieces)).to_bytes(size, "big")


# Connections.


class Wire:
    """One connection, message by message."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(4 * PATIENCE)  # longer than any test waits for tarn
        self.lock = threading.Lock()

    def read(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.sock.recv(n - len(data))
            except ConnectionError:
                more = b""
            if not more:
                raise Gone
            data += more
        return data

    def write(self, data):
        try:
            with self.lock:
                self.sock.sendall(data)
        except ConnectionError as why:
            raise Gone from why

    def hello(self, info_hash, peer_id, reserved=FAST_AND_EXTENDED):
        self.write(PROTOCOL + reserved + info_hash + peer_id)

    def read_hello(self):
        """reserved, info-hash, peer id"""
        assert self.read(20) == PROTOCOL
        rest = self.read(48)
        return rest[:8], rest[8:28], rest[28:]

    def put(self, kind, payload=b""):
        self.write(struct.pack(">IB", 1 + len(payload), kind) + payload)

    def put_extended(self, number, value, data=b""):
        self.put(EXTENDED, bytes([number]) + bencode(value) + data)

    def get(self):
        """kind (None: keep-alive), payload"""
        (length,) = struct.unpack(">I", self.read(4))
        if length == 0:
            return None, b""
        message = self.read(length)
        return message[0], message[1:]

    def wait_for(self, *kinds):
        while True:
            kind, payload = self.get()
            if kind in kinds:
                return kind, payload

    def wait_until_closed(self):
        try:
            while True:
                self.get()
        except Gone:
            return

    def close(self):
        # shutdown wakes a thread that reads; close alone would not.
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def random_id():
    return b"-XX0000-" + os.urandom(12)


def call(address, content, reserved=FAST_AND_EXTENDED, info_hash=None):
    """Connect to a peer, shake hands, have nothing; the wire."""
    host, _, port = address.rpartition(":")
    wire = Wire(socket.create_connection((host.strip("[]"), int(port)), PATIENCE))
    try:
        wire.hello(info_hash or content.hash, random_id(), reserved)
        wire.read_hello()
        if reserved != PLAIN:
            wire.put(HAVE_NONE)  # with the fast extension something must be said about pieces
    except BaseException:
        wire.close()
        raise
    return wire


def request(piece, begin, length):
    return struct.pack(">III", piece, begin, length)


def fetch_block(wire, content, piece=0):
    """Be a peer that keeps to the rules: one block, which must be right."""
    wire.put(INTERESTED)
    wire.wait_for(UNCHOKE)
    length = min(BLOCK, len(content.data) - piece * content.piece_length)
    wire.put(REQUEST, request(piece, 0, length))
    _, payload = wire.wait_for(PIECE)
    assert payload == struct.pack(">II", piece, 0) + content.read(piece, 0, length)


class Server:
    """Accepts on a free port; each connection is served on a thread of its own."""

    def __init__(self, host="127.0.0.1"):
        is_v6 = ":" in host
        family = socket.AF_INET6 if is_v6 else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if is_v6 else f"{host}:{self.port}"
        self.calls = 0
        self.stopping = threading.Event()
        self.faults = []
        self.socks, self.threads = [], []
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.calls += 1
            self.socks.append(sock)
            thread = threading.Thread(target=self._serve, args=[sock], daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock):
        try:
            self.serve(sock)
        except Gone:
            pass
        except OSError as why:
            if not self.stopping.is_set():
                self.faults.append(why)
        except Exception as why:
            self.faults.append(why)
        finally:
            sock.close()

    def serve(self, sock):
        raise NotImplementedError

    def stop(self):
        self.stopping.set()
        for sock in [self.listener, *self.socks]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in [self.acceptor, *self.threads]:
            thread.join(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None and self.faults:
            raise self.faults[0]


class FakePeer(Server):
    """A seed that keeps to the rules. Tests override a method to make it lie.

    `after`: an event for which it waits before it unchokes anybody."""

    reserved = FAST_AND_EXTENDED

    def __init__(self, content, after=None):
        self.content, self.after = content, after
        self.peer_id = random_id()
        self.dropped = threading.Event()  # a connection was closed by the other side
        self.waited_in_vain = False
        self.asked = []  # (piece, begin, length)
        super().__init__()

    def serve(self, sock):
        wire = Wire(sock)
        try:
            _, info_hash, _ = wire.read_hello()
            self.answer(wire, info_hash)
            self.introduce(wire)
            self.wait()
            self.allow(wire)
            while True:
                self.handle(wire, *wire.get())
        except Gone:
            if not self.stopping.is_set():
                self.dropped.set()

    def wait(self):
        if self.after and not self.after.wait(PATIENCE):
            self.waited_in_vain = True

    # What tests override.

    def answer(self, wire, info_hash):
        wire.hello(info_hash, self.peer_id, self.reserved)

    def introduce(self, wire):
        wire.put(HAVE_ALL)
        wire.put_extended(0, self.extensions())

    def extensions(self):
        return {
            "m": {"ut_metadata": METADATA_ID},
            "metadata_size": len(self.content.info),
            "reqq": 500,
            "v": "a test",
        }

    def allow(self, wire):
        wire.put(UNCHOKE)

    def handle(self, wire, kind, payload):
        if kind == REQUEST:
            piece, begin, length = struct.unpack(">III", payload)
            self.asked.append((piece, begin, length))
            self.on_request(wire, piece, begin, length)
        elif kind == EXTENDED and payload[0] == 0:
            self.their_metadata_id = bdecode(payload[1:])[0][b"m"].get(b"ut_metadata", 0)
        elif kind == EXTENDED and payload[0] == METADATA_ID:
            message, _ = bdecode(payload[1:])
            if message[b"msg_type"] == 0:
                self.on_metadata_request(wire, message[b"piece"])
        elif kind == HASH_REQUEST:
            self.on_hash_request(wire, payload)

    def on_request(self, wire, piece, begin, length):
        self.send_block(wire, piece, begin, self.content.read(piece, begin, length))

    def send_block(self, wire, piece, begin, data):
        wire.put(PIECE, struct.pack(">II", piece, begin) + data)

    def on_metadata_request(self, wire, block):
        data = self.metadata()[block * BLOCK : (block + 1) * BLOCK]
        head = {"msg_type": 1, "piece": block, "total_size": len(self.metadata())}
        wire.put_extended(self.their_metadata_id, head, data)

    def metadata(self):
        return self.content.info

    def on_hash_request(self, wire, payload):
        wire.put(HASHES, payload + b"".join(self.hashes_for(payload)))

    def hashes_for(self, payload):
        """The hashes asked for, then the uncles that lead to the root (BEP 52)."""
        base, index, count, proofs = struct.unpack(">IIII", payload[32:])
        tree = self.content.trees[payload[:32]]
        level = tree[base]
        asked = [level[i] if i < len(level) else pad_hash(base) for i in range(index, index + count)]
        skipped = (count - 1).bit_length()
        at, uncles = index >> skipped, []
        for layer in range(base + skipped, base + proofs + 1):
            if layer >= len(tree) - 1:
                break
            uncles.append(tree[layer][at ^ 1])
            at >>= 1
        return asked + uncles


def pad_hash(layer):
    node = bytes(32)
    for _ in range(layer):
        node = sha256(node + node)
    return node


class FakeTracker(Server):
    """An HTTP server whose answer is a function of the path with its query."""

    def __init__(self, answer, host="127.0.0.1"):
        self.answer = answer
        self.paths = []
        super().__init__(host)

    @property
    def url(self):
        return f"http://{self.address}/announce"

    def serve(self, sock):
        sock.settimeout(PATIENCE)
        head = b""
        while b"\r\n\r\n" not in head:
            more = sock.recv(65536)
            if not more:
                return
            head += more
        path = head.split(b" ")[1].decode()
        self.paths.append(path)
        try:
            self.answer(self, sock, path)
        except ConnectionError:
            pass  # whoever asked has heard enough


def respond(sock, body, status="200 OK", headers=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def compact(*addresses):
    packed = b""
    for address in addresses:
        host, port = address.rsplit(":", 1)
        packed += socket.inet_aton(host) + struct.pack(">H", int(port))
    return packed


def tracked(*addresses):
    """An answer that knows these peers."""
    return bencode({"interval": 1800, "peers": compact(*addresses)})
