"""More connections, and more open files, than there is room for: `tarn seed` and `tarn fetch` go on,
and who keeps to the rules is served."""
import contextlib
import os
import resource
import socket
import struct

import pytest
from fakepeer import (
    BLOCK,
    FAST_AND_EXTENDED,
    HAVE_NONE,
    INTERESTED,
    PROTOCOL,
    REQUEST,
    Content,
    FakePeer,
    Gone,
    call,
    fetch_block,
    random_id,
    request,
)
from faults import Clock, descriptors, shimmed
from program import end_well, is_sanitized
from programs import PATIENCE, TarnFetch, TarnSeed, tarn_create
from samples import contents, fill

HELLO = struct.pack(">IB", 1, HAVE_NONE)


@pytest.fixture
def many_files_may_be_open():
    """As many as the system allows us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Callers that shake hands, or do not even that; closed at the end."""

    def __init__(self, run, content):
        self.run, self.content = run, content
        self.socks = []

    def add(self, n, *words, greets=True):
        """n more, who say this after their handshake, and nothing ever after."""
        for _ in range(n):
            sock = socket.create_connection(("127.0.0.1", self.run.port), PATIENCE)
            self.socks.append(sock)
            with contextlib.suppress(ConnectionError):  # it may be refused
                if greets:
                    hello = PROTOCOL + FAST_AND_EXTENDED + self.content.hash + random_id()
                    sock.sendall(hello + HELLO + b"".join(words))
        return self

    def leave(self):
        for sock in self.socks:
            sock.close()
        self.socks = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()


def serves(run, content):
    with call(run.address, content) as wire:
        fetch_block(wire, content)


def test_10000_connections(sample, many_files_may_be_open):
    """Some say nothing, some half a handshake, some take a slot and read nothing, most shake hands and
    wait. Somebody who wants data gets it."""
    n = min(1000 if is_sanitized() else 10_000, many_files_may_be_open - 500)
    s = sample("single", "v1")
    content = Content(s.torrent, s.home)
    asks = struct.pack(">IB", 1, INTERESTED)
    asks += (struct.pack(">IB", 13, REQUEST) + request(0, 0, BLOCK)) * 500
    with TarnSeed(s.torrent, s.home, "--no-tracker", f"--peers={n + 200}") as run:
        before = run.peak_mib()
        with Crowd(run, content) as crowd:
            crowd.add(4, asks).add(n - 4)
            run.wait_for(lambda e: e.get("peers", 0) >= n, "all are there", 2 * PATIENCE)
            crowd.add(300, greets=False)
            for _ in range(3):
                serves(run, content)
            if not is_sanitized():
                # What they take of ours: at most 8 KiB each; the bench measures it better.
                assert run.peak_mib() - before < n * 8 / 1024 + 8
        serves(run, content)
        end_well(run)


def test_more_than_allowed(sample, tmp_path):
    """--peers is kept, and those who only sit there do not keep others out: after a minute they go."""
    s = sample("single", "v1")
    content = Content(s.torrent, s.home)
    clock = Clock(tmp_path / "clock")
    with TarnSeed(s.torrent, s.home, "--no-tracker", "--peers=50", env=shimmed(clock=clock)) as run:
        with Crowd(run, content) as crowd:
            crowd.add(200)
            run.wait_for(lambda e: e.get("peers", 0) >= 40, "many are there")
            clock.jump(65, 65)
            tries = 0
            while True:
                try:
                    serves(run, content)
                    break
                except (Gone, ConnectionError):
                    tries += 1
                    assert tries < 100, "nobody else comes in"
                    run.ended_or(0.1 * PATIENCE / 60)
            assert max(e.get("peers", 0) for e in run.events) <= 50
        end_well(run)


def test_allowed_again_when_they_are_gone(sample):
    s = sample("single", "v1")
    content = Content(s.torrent, s.home)
    with TarnSeed(s.torrent, s.home, "--no-tracker", "--peers=50") as run:
        with Crowd(run, content) as crowd:
            crowd.add(200)
            run.wait_for(lambda e: e.get("peers", 0) >= 40, "many are there")
        run.wait_for(lambda e: e is run.events[-1] and e.get("peers", 1) == 0, "all are gone")
        serves(run, content)
        end_well(run)


few_files = descriptors(64)


@contextlib.contextmanager
def no_more_files(run, n):
    """From now on only n more than it has open; as an administrator does who lowers a limit."""
    pid = run.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    limit = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) + 1 + n
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    yield f"limit of {limit} open files"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def told(run, words):
    return [e["text"] for e in run.events if words in e.get("text", "")]


def test_out_of_descriptors(sample):
    """Said with what to do about it, and not over and over; callers are taken again later."""
    s = sample("folder", "v1")
    content = Content(s.torrent, s.home)
    with TarnSeed(s.torrent, s.home, "--no-tracker") as run:
        serves(run, content)
        with no_more_files(run, 10) as words, Crowd(run, content) as crowd:
            crowd.add(100, greets=False)  # more than descriptors that were closed in between
            run.wait_for(lambda e: words in e.get("text", ""), "it says what it has run out of")
            assert "ulimit -n" in told(run, words)[0]
            run.ended_or(3)
            assert len(told(run, words)) <= 20, "about one a second"
        serves(run, content)
        with no_more_files(run, 10) as words, Crowd(run, content) as crowd:
            crowd.add(100, greets=False)  # more than descriptors that were closed in between
            run.wait_for(lambda e: words in e.get("text", ""), "it says so again")
            crowd.leave()
            serves(run, content)  # while the limit is as it was
        end_well(run)


def test_fetch_of_many_files_with_few_descriptors(tmp_path):
    """300 files, 30 peers, 64 descriptors."""
    for i in range(300):
        fill(tmp_path / "home" / "payload" / f"{i % 10}" / f"{i}.bin", 20_000 + i, i)
    torrent = tarn_create(tmp_path / "home" / "payload", tmp_path / "t", "v1",
                          "--piece-length", "32768")
    content = Content(torrent, tmp_path / "home")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(FakePeer(content)) for _ in range(30)]
        calls = [o for peer in peers for o in ("--peer", peer.address)]
        into = tmp_path / "got"
        with TarnFetch(torrent, into, "--no-tracker", *calls, limits=few_files) as run:
            assert run.wait(2 * PATIENCE) == 0, run.story()
            assert "Sanitizer" not in run.errors()
    assert contents(into) == contents(tmp_path / "home")


def test_seed_of_many_files_with_few_descriptors(tmp_path):
    """Ten peers sit there, and another wants something of each of 300 files."""
    for i in range(300):
        fill(tmp_path / "home" / "payload" / f"{i}.bin", 16384, i)
    torrent = tarn_create(tmp_path / "home" / "payload", tmp_path / "t", "v1",
                          "--piece-length", "16384")
    content = Content(torrent, tmp_path / "home")
    with TarnSeed(torrent, tmp_path / "home", "--no-tracker", limits=few_files) as run:
        with Crowd(run, content) as crowd:
            crowd.add(10)  # of 64 descriptors a quarter is for peers
            for piece in range(0, content.n_pieces, 7):
                with call(run.address, content) as wire:
                    fetch_block(wire, content, piece)
        end_well(run)
