"""kill -9, again and again, at any moment of a fetch: the next run goes on from there. Nothing that was
verified is fetched again, and nothing unverified bears a final name."""
import random
import struct
import threading

import pytest
from fakepeer import BITFIELD, HAVE, Content, FakePeer
from programs import TarnFetch, tarn_create
from samples import contents, fill

PIECE = 65536
FILES = {"a.bin": 80 * PIECE + 100, "b.bin": 60 * PIECE, "c/d.bin": 3 * PIECE - 1, "e.bin": 50 * PIECE}
BUDGET = 1 << 20
KILLS_MIN = 20


class Witness(FakePeer):
    """Gives so many pieces to a run and no more, so that it is killed in the middle on a slow machine
    too. A seed that says it lacks the last piece, so that tarn tells it about each that it has
    verified; it would serve that one too."""

    reserved = bytes(8)  # plain: a bitfield, and no extensions

    def __init__(self, content):
        self.told = set()  # pieces that some run said it has
        self.told_now = 0  # in this run
        self.limit = 0
        self.news = threading.Condition()
        self.asked_again = []
        super().__init__(content)

    def introduce(self, wire):
        wire.given = set()
        field = bytearray(self.content.bitfield())
        last = self.content.n_pieces - 1
        field[last // 8] &= ~(0x80 >> last % 8)
        wire.put(BITFIELD, bytes(field))

    def handle(self, wire, kind, payload):
        if kind == HAVE:
            self.note([struct.unpack(">I", payload)[0]])
        elif kind == BITFIELD:
            bits = int.from_bytes(payload, "big")
            top = len(payload) * 8 - 1
            self.note([i for i in range(self.content.n_pieces) if bits >> (top - i) & 1], False)
        else:
            super().handle(wire, kind, payload)

    def note(self, pieces, is_new=True):
        with self.news:
            self.told.update(pieces)
            self.told_now += len(pieces) if is_new else 0
            self.news.notify_all()

    def on_request(self, wire, piece, begin, length):
        with self.news:
            if piece in self.told:
                self.asked_again.append(piece)
            if piece not in wire.given and len(wire.given) >= self.limit:
                return
            wire.given.add(piece)
        super().on_request(wire, piece, begin, length)

    def wait_for(self, n, run):
        """Until n more pieces are verified, or the run has ended."""
        with self.news:
            while self.told_now < n and run.process.poll() is None:
                self.news.wait(0.02)


class Last(FakePeer):
    """Has the last piece only."""

    reserved = bytes(8)

    def introduce(self, wire):
        last = self.content.n_pieces - 1
        field = bytearray((self.content.n_pieces + 7) // 8)
        field[last // 8] |= 0x80 >> last % 8
        wire.put(BITFIELD, bytes(field))


def assert_safe(into, home):
    right = contents(home)
    for path, data in contents(into).items() if into.exists() else []:
        assert path.endswith(".part") or data == right[path], f"{path} is wrong"


@pytest.mark.parametrize("kind", ["v1", "hybrid"])
def test_kill_in_a_loop(tmp_path, kind):
    seed = random.randrange(1 << 32)
    print("seed", seed)  # a failing one can be put in above
    chance = random.Random(seed)
    home, into = tmp_path / "home", tmp_path / "got"
    for i, (name, length) in enumerate(FILES.items()):
        fill(home / "payload" / name, length, i)
    torrent = tarn_create(home / "payload", tmp_path / "t", kind, "--piece-length", str(PIECE))
    content = Content(torrent, home)
    kills = 0
    with Witness(content) as witness, Last(content) as last:
        calls = ["--peer", witness.address, "--peer", last.address]
        limits = [f"--memory={BUDGET}", "--rate-down=4M"]
        while True:
            n = chance.randint(1, 10)
            witness.told_now, witness.limit = 0, n + chance.randint(0, 6)
            with TarnFetch(torrent, into, "--no-tracker", *limits, *calls) as run:
                if chance.random() < 0.2:
                    run.ended_or(chance.random() * 0.1)  # anywhere, also before it has begun
                else:
                    witness.wait_for(n, run)
                run.process.kill()
                code = run.process.wait()
                run.reader.join()
                assert code in (0, -9), run.story()
            assert_safe(into, home)
            if code == 0:
                break
            kills += 1
            assert kills < 500, "it does not come forward"
        assert witness.asked_again == [], f"verified, and asked for again; seed {seed}"
        payload = sum(length for _, _, length in witness.asked + last.asked)
    print(kills, "kills", payload, "of", len(content.data), "bytes asked for")
    assert kills >= KILLS_MIN, "they came too seldom to mean much"
    assert payload <= len(content.data) + kills * (BUDGET + PIECE)
    assert contents(into) == contents(home)
