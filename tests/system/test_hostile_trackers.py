"""Trackers that answer nonsense, lie, hang or never end, against `tarn fetch` and `tarn seed`: what
refused is said, the next tracker is asked, memory stays bounded, and nobody is hammered."""
import functools
import ipaddress
import os
import socket
import struct
import threading
import time
import zlib
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from fakepeer import Content, FakePeer, FakeTracker, bencode, call, compact, fetch_block, respond
from fakepeer import tracked
from program import assert_small, end_well
from programs import PATIENCE, TarnFetch, TarnSeed, free_port, magnet_of
from samples import with_tarn

MEMORY_MIB = 100  # 64 MiB for arriving data is the default budget; then the program and its threads


class Asked:
    """One announce, as a tracker sees it."""

    def __init__(self, path):
        self.at = time.monotonic()
        # Values are any bytes, so not urllib.parse.parse_qs, which reads text.
        pairs = (pair.partition("=") for pair in urlsplit(path).query.split("&"))
        self.raw = {name: unquote_to_bytes(value) for name, _, value in pairs}

    def __getitem__(self, name):
        return self.raw[name]

    def number(self, name):
        return int(self.raw[name])

    @property
    def event(self):
        return self.raw.get("event", b"").decode()


class Tracker(FakeTracker):
    """Answers by the rules until a test says otherwise."""

    def __init__(self, answer, host="127.0.0.1"):
        self.asked, self.say = [], answer
        self.news = threading.Condition()
        super().__init__(self.take, host)

    def take(self, _, sock, path):
        asked = Asked(path)
        with self.news:
            self.asked.append(asked)
            self.news.notify_all()
        self.say(sock, asked)

    def wait_for(self, wanted, what):
        with self.news:
            self.news.wait_for(lambda: wanted(self.asked), PATIENCE)
            assert wanted(self.asked), f"{what}: {[a.raw for a in self.asked]}"

    @property
    def events(self):
        return [asked.event for asked in self.asked]


def says(value, **more):
    """Always this answer."""
    body = value if isinstance(value, bytes) else bencode(value)
    return lambda sock, asked: respond(sock, body, **more)


def knows(*addresses, **more):
    return says({"interval": 1800, "peers": compact(*addresses), **more})


def heard(run, words):
    """Wait until tarn tells of a tracker in these words."""
    return run.wait_for(
        lambda e: e.get("event") == "tracker" and words in e["text"], f"it says '{words}'"
    )["text"]


def tiers(s, *trackers):
    """The sample's content, announced at these, one a tier."""
    out = s.folder / f"tiers-{len(trackers)}.torrent"
    urls = [t if isinstance(t, str) else t.url for t in trackers]
    return with_tarn(s.payload, out, s.kind, urls)


# What is no answer. For each: what the tracker does, and words of what tarn says of it.


def hang_up(sock, asked):
    pass


def break_off(sock, asked):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nd8:interval")


def send_for_ever(sock, asked):
    sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nd5:peers")
    while True:
        sock.sendall(b"x" * 65536)


def send_headers_for_ever(sock, asked):
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    for i in range(1 << 30):
        sock.sendall(b"X-More-%d: %s\r\n" % (i, b"y" * 1000))


def send_chunks_for_ever(sock, asked):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        sock.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")


def send_nonsense(sock, asked):
    sock.sendall(b"\xa7\x13\xff\x00" * 5000)


def send_bomb(sock, asked):
    respond(sock, bomb(), headers=["Content-Encoding: gzip"])


@functools.cache
def bomb():
    """512 MiB of zeros, which never are in memory all at once."""
    packer, zeros = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS), bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(512)) + packer.flush()


def moved(to):
    return says(b"", status="302 Found", headers=[f"Location: {to}"])


def moved_here(sock, asked):
    respond(sock, b"", "301 Moved", ["Location: /announce?info_hash=more"])


NO_ANSWER = {
    "garbage": (says(os.urandom(500).replace(b"d", b"D")), "the tracker's answer"),
    "no HTTP": (send_nonsense, "no HTTP"),
    "a web page": (says(b"<html><body>hello</body></html>"), "the tracker's answer"),
    "nothing": (says(b""), "the tracker's answer"),
    "a list": (says([]), "not a dictionary"),
    "a number": (says(5), "not a dictionary"),
    "cut short": (says(tracked("1.2.3.4:5")[:-1]), "the tracker's answer"),
    "nested without end": (says(b"d1:a" * 100_000), "the tracker's answer"),
    "a million items": (says([0] * 300_000), "the tracker's answer"),
    "a length that wraps": (says(b"d5:peers18446744073709551615:xe"), "the tracker's answer"),
    "peers cut short": (says({"interval": 60, "peers": b"12345"}), "not a multiple of 6"),
    "peers6 cut short": (says({"interval": 60, "peers": b"", "peers6": b"1"}), "multiple of 18"),
    "a reason": (says({"failure reason": "you are not welcome"}), "you are not welcome"),
    "a reason of 100 KB": (says({"failure reason": "no " * 33_000}), "no no no"),
    "a reason and a status": (says({"failure reason": "go away"}, status="403 No"), "go away"),
    "an empty reason": (says({"failure reason": ""}), ""),
    "a reason that is a number": (says({"failure reason": 7}), ""),
    "a reason that is a list": (says({"failure reason": ["x"]}), ""),
    "404": (says(b"not here", status="404 Not Found"), "HTTP status 404"),
    "500": (says(tracked(), status="500 Ouch"), "HTTP status 500"),
    "hangs up": (hang_up, "cannot fetch"),
    "breaks off": (break_off, "cannot fetch"),
    "2 MB": (says({"interval": 60, "peers": bytes(2 << 20)}), "longer than 1048576 bytes"),
    "bytes without end": (send_for_ever, "longer than 1048576 bytes"),
    "chunks without end": (send_chunks_for_ever, "longer than 1048576 bytes"),
    "headers without end": (send_headers_for_ever, "of headers"),
    "a gzip bomb": (send_bomb, "longer than 1048576 bytes"),
    "no gzip though it says so": (
        says(tracked(), headers=["Content-Encoding: gzip"]), "cannot fetch",
    ),
    "redirects for ever": (moved_here, "redirects more than 5 times"),
    "redirects to a file": (moved("file:///etc/passwd"), "neither http nor https"),
    "redirects to FTP": (moved("ftp://127.0.0.1/x"), "neither http nor https"),
    "redirects to gopher": (moved("gopher://127.0.0.1:1/x"), "neither http nor https"),
    "redirects to nowhere": (moved("http://127.0.0.1:1/x"), "cannot fetch"),
}


def start(verb, s, torrent, into):
    """A transfer that goes on until it is told to end."""
    return TarnSeed(torrent, s.home) if verb == "seed" else TarnFetch(torrent, into, "--stay")


def assert_told_in_order(run, words):
    told = iter([e["text"] for e in run.events if e.get("event") == "tracker"])
    for some in words:
        assert any(some in text for text in told), f"nothing says '{some}'\n{run.story()}"


@pytest.mark.parametrize("verb", ["fetch", "seed"])
def test_no_answer(sample, tmp_path, verb):
    """All of the above in a row, one a tier: each is asked once, what refused is said, and the last,
    which knows the only peer, is reached."""
    s = sample("single", "v1")
    bad = {what: Tracker(answer) for what, (answer, _) in NO_ANSWER.items()}
    try:
        with FakePeer(Content(s.torrent, s.home)) as peer, Tracker(knows(peer.address)) as good:
            with start(verb, s, tiers(s, *bad.values(), good), tmp_path / "got") as run:
                good.wait_for(len, "the last tier is asked")
                heard(run, "1 peers")
                assert_told_in_order(run, [words for _, words in NO_ANSWER.values()])
                if verb == "fetch":
                    run.wait_for(lambda e: e.get("event") == "complete", "tarn has all of it")
                    good.wait_for(lambda asked: len(asked) > 1, "completed is announced")
                    s.assert_same(tmp_path / "got")
                else:
                    with call(run.address, peer.content) as wire:
                        fetch_block(wire, peer.content)
                texts = [e["text"] for e in run.events if e.get("event") == "tracker"]
                assert all(text.isprintable() and len(text) < 1000 for text in texts)
                assert_small(run, MEMORY_MIB)
                end_well(run)
        completed = ["completed"] if verb == "fetch" else []
        assert good.events == ["started", *completed, "stopped"]
    finally:
        for tracker in bad.values():
            tracker.stop()
    for what, tracker in bad.items():
        assert tracker.events[0] == "started" and "stopped" not in tracker.events, what
        again = sum(asked.event == "started" for asked in tracker.asked)
        assert again <= 2, f"{what}: asked again 17.5 s later at the soonest"
    assert bad["redirects for ever"].calls <= 2 * 6, "five redirects"


def test_reason_is_printable(sample, tmp_path):
    """Colours and new lines of a stranger do not reach a terminal."""
    s = sample("single", "v1")
    reason = "\x1b[31mred\r\n\x07bell\x00\x9b1m"
    with FakePeer(Content(s.torrent, s.home)) as peer:
        with Tracker(says({"failure reason": reason})) as bad:
            options = ["--peer", peer.address, "--stay"]
            with TarnFetch(tiers(s, bad), tmp_path / "got", *options) as run:
                text = heard(run, "red")
                assert text.isprintable() and "bell" in text
                status = run.wait_for(lambda e: "tracker_error" in e, "status tells it too")
                assert status["tracker_error"].isprintable()
                end_well(run)


def test_passkey_stays_secret(sample, tmp_path):
    """What is told names the host: the rest of a URL may be a secret."""
    s = sample("single", "v1")
    with FakePeer(Content(s.torrent, s.home)) as peer:
        with Tracker(says(b"no", status="404 Not Found")) as bad:
            url = f"http://user:hidden1@{bad.address}/hidden2/announce?key=hidden3"
            options = ["--peer", peer.address]
            with TarnFetch(tiers(s, url), tmp_path / "got", *options) as run:
                heard(run, bad.address)
                assert run.wait() == 0
                assert "hidden" not in str(run.events) + run.errors()


def hang(sock, asked):
    while sock.recv(65536):
        pass


def drip(sock, asked):
    """A byte a second: never silent for long."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + bytes(10000):
        sock.sendall(bytes([byte]))
        time.sleep(1)


def test_hangs_and_drips(sample, tmp_path):
    """An answer has a time in which it must be whole; then the next tier is asked."""
    s = sample("single", "v1")
    torrents, runs = [], []
    content = Content(s.torrent, s.home)
    with Tracker(hang) as one, Tracker(drip) as two, FakePeer(content) as peer:
        with Tracker(knows(peer.address)) as good:
            for i, bad in enumerate([one, two]):
                out = tmp_path / f"{i}.torrent"
                torrents.append(with_tarn(s.payload, out, "v1", [bad.url, good.url]))
            for i, torrent in enumerate(torrents):
                runs.append(TarnFetch(torrent, tmp_path / f"got{i}"))
            for run in runs:
                with run:
                    assert run.wait(2 * PATIENCE) == 0, run.story()
                    heard(run, "no whole answer")
    for i in range(len(runs)):
        s.assert_same(tmp_path / f"got{i}")


@pytest.mark.parametrize("answer", [hang, send_for_ever, hang_up], ids=lambda a: a.__name__)
def test_stops_in_time(sample, answer):
    """A tracker that misbehaves when told of the end does not keep anybody from ending."""

    def say(sock, asked):
        (answer if asked.event == "stopped" else knows())(sock, asked)

    s = sample("single", "v1")
    with Tracker(say) as tracker, TarnSeed(tiers(s, tracker), s.home) as run:
        tracker.wait_for(len, "it is asked")
        heard(run, "0 peers")
        end_well(run)
        assert tracker.events == ["started", "stopped"]


# Answers that lie. Each also tells the good peer's address, at some place among the lies.


def dead(n):
    """Addresses on which nobody listens; connections to them are refused at once."""
    return [f"127.{1 + i // 250}.{i % 250}.77:1" for i in range(n)]


def as_dicts(*peers):
    return [{"ip": ip, "port": port} for ip, port in peers]


def with_own(good, asked):
    return {"peers": compact(f"127.0.0.1:{asked.number('port')}", good)}


def with_unusable(good, asked):
    bad = ["0.0.0.0:5", "127.0.0.1:0", "224.0.0.1:6881", "239.1.2.3:1", "255.255.255.255:6881"]
    return {"peers": compact(*bad, good)}


def with_dead(good, asked):
    return {"peers": compact(*dead(100), good, *dead(4000)[100:])}


def with_repeated(good, asked):
    return {"peers": compact(*["127.9.9.9:9"] * 1000, good, *[good] * 1000)}


def with_odd_dicts(good, asked):
    ip, port = good.rsplit(":", 1)
    return {
        "peers": [
            5, "x", [], {}, {"ip": 5, "port": 5}, {"ip": "1.2.3.4", "port": "80"},
            *as_dicts(("1.2.3.4", -1), ("1.2.3.4", 65536), ("1.2.3.4", 1 << 62), ("1.2.3", 5)),
            *as_dicts(("localhost", 1), ("x" * 1000, 1), ("", 1), ("::ffff:300.1.1.1", 1)),
            *as_dicts((ip, int(port))),
        ]
    }


def with_v6(good, asked):
    bad = [("::", 5), ("ff02::1", 6881), ("::1", 0), ("::1", 1), ("2001:db8::1", 7)]
    packed = b"".join(ipaddress.ip_address(ip).packed + struct.pack(">H", p) for ip, p in bad)
    return {"peers": compact(good), "peers6": packed}


def with_odd_types(good, asked):
    odd = {"interval": "soon", "min interval": [], "complete": {}, "incomplete": "x",
           "downloaded": -1, "tracker id": 5, "external ip": "12345", "warning message": {}}
    return {**odd, "peers": compact(good)}


def with_huge_texts(good, asked):
    text = b"\xff\x1b" * 100_000
    return {"peers": compact(good), "warning message": text, "tracker id": text,
            "external ip": text, text[:1000]: text}


def with_more_behind_the_end(good, asked):
    return bencode({"interval": 1, "peers": compact(good)}) + b"<!-- brought to you by -->"


def with_intervals(value):
    return lambda good, asked: {"interval": value, "min interval": value, "peers": compact(good)}


LIES = {
    "ourselves": with_own,
    "unusable addresses": with_unusable,
    "4000 dead addresses": with_dead,
    "one address 2000 times": with_repeated,
    "dictionaries of nonsense": with_odd_dicts,
    "IPv6 nonsense": with_v6,
    "wrong types": with_odd_types,
    "huge texts": with_huge_texts,
    "bytes behind the end": with_more_behind_the_end,
    "interval 0": with_intervals(0),
    "interval -1": with_intervals(-1),
    "interval 1": with_intervals(1),
    "the longest interval": with_intervals((1 << 63) - 1),
}


@pytest.mark.parametrize("what", LIES)
def test_lies(sample, tmp_path, what):
    """The good peer is found among them, nobody is asked too often, and memory stays small."""
    s = sample("single", "v1")
    with FakePeer(Content(s.torrent, s.home)) as peer:

        def say(sock, asked):
            lie = LIES[what](peer.address, asked)
            respond(sock, lie if isinstance(lie, bytes) else bencode({"interval": 1, **lie}))

        with Tracker(say) as tracker:
            with TarnFetch(tiers(s, tracker), tmp_path / "got", "--stay") as run:
                run.wait_for(lambda e: e.get("event") == "complete", "tarn has all of it")
                tracker.wait_for(lambda asked: len(asked) >= 2, "completed is announced")
                assert_small(run, MEMORY_MIB)
                end_well(run)
            assert tracker.events == ["started", "completed", "stopped"]
    s.assert_same(tmp_path / "got")


def test_number_without_end(sample, tmp_path):
    s = sample("single", "v1")
    with FakePeer(Content(s.torrent, s.home)) as peer:
        answer = says(b"d8:intervali" + b"9" * 100_000 + b"e5:peers0:e")
        with Tracker(answer) as bad, Tracker(knows(peer.address)) as good:
            with TarnFetch(tiers(s, bad, good), tmp_path / "got") as run:
                assert run.wait() == 0, run.story()
                heard(run, "the tracker's answer")
    s.assert_same(tmp_path / "got")


@pytest.mark.parametrize("interval", [0, 1, -5])
def test_short_intervals_are_not_obeyed(sample, interval):
    """A tracker cannot make us knock again and again: here for as long as a few of its intervals."""
    s = sample("single", "v1")
    answer = {"interval": interval, "min interval": interval, "peers": b""}
    with Tracker(says(answer)) as tracker, TarnSeed(tiers(s, tracker), s.home) as run:
        heard(run, "0 peers")
        run.ended_or(6)  # more time only makes the test stricter
        assert len(tracker.asked) == 1
        end_well(run)
        assert tracker.events == ["started", "stopped"]


def test_failing_tracker_is_left_alone_for_a_while(sample):
    """Tried again, but not at once."""
    s = sample("single", "v1")
    with Tracker(says({"failure reason": "not now"})) as tracker:
        with TarnSeed(tiers(s, tracker), s.home) as run:
            tracker.wait_for(lambda asked: len(asked) >= 2, "it is tried again")
            gap = tracker.asked[1].at - tracker.asked[0].at
            end_well(run)
    assert gap > 10, "5 s and 12.5 s more after the first failure; it may have been noted late"
    assert tracker.events[:2] == ["started", "started"] and "stopped" not in tracker.events


def test_never(sample, tmp_path):
    """BEP 31: a tracker that never wants to see us again is not asked again."""
    s = sample("single", "v1")
    never = says({"failure reason": "no", "retry in": "never"})
    with Tracker(never) as tracker, TarnSeed(tiers(s, tracker), s.home) as run:
        heard(run, "no")
        run.ended_or(20)  # 17.5 s is when a failure is tried again
        assert len(tracker.asked) == 1
        end_well(run)


def test_dead_first_tier(sample, tmp_path):
    s = sample("single", "hybrid")
    dead_url = f"http://127.0.0.1:{free_port()}/announce"
    with FakePeer(Content(s.torrent, s.home)) as peer:
        with Tracker(knows(peer.address)) as good:
            with TarnFetch(tiers(s, dead_url, good), tmp_path / "got") as run:
                assert run.wait() == 0, run.story()
                heard(run, "cannot fetch from")
    s.assert_same(tmp_path / "got")


def test_all_trackers_dead(sample, tmp_path):
    """Nobody to ask: that is the end, with a sentence."""
    s = sample("single", "hybrid")
    urls = [f"http://127.0.0.1:{free_port()}/announce" for _ in range(3)]
    options = ["--patience", "1"]
    with TarnFetch(tiers(s, *urls), tmp_path / "got", *options) as run:
        assert run.wait() == 6, run.story()
        assert "nobody to ask" in run.events[-1]["error"]["message"]


def test_warning(sample, tmp_path):
    s = sample("single", "v1")
    with FakePeer(Content(s.torrent, s.home)) as peer:
        answer = knows(peer.address, **{"warning message": "we move to another house"})
        with Tracker(answer) as tracker:
            with TarnFetch(tiers(s, tracker), tmp_path / "got") as run:
                assert run.wait() == 0, run.story()
                assert "1 peers" in heard(run, "it warns: we move to another house")
    s.assert_same(tmp_path / "got")


# What a tracker is told.


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_fetch_tells_events_once(sample, tmp_path, kind):
    """For each of the torrent's hashes: started, completed, stopped, with the right numbers."""
    s = sample("folder", kind)
    content = Content(s.torrent, s.home)
    with FakePeer(content) as peer, Tracker(knows(peer.address)) as tracker:
        with TarnFetch(tiers(s, tracker), tmp_path / "got", "--stay") as run:
            run.wait_for(lambda e: e.get("event") == "complete", "tarn has all of it")
            n = len(s.hashes())
            tracker.wait_for(lambda asked: len(asked) >= 2 * n, "completed is announced")
            port = run.port
            end_well(run)
    payload = sum(p.stat().st_size for p in s.payload.rglob("*") if p.is_file())
    for info_hash in s.hashes():
        told = [asked for asked in tracker.asked if asked["info_hash"] == info_hash]
        assert [asked.event for asked in told] == ["started", "completed", "stopped"]
        assert [asked.number("left") for asked in told] == [payload, 0, 0]
        assert [asked.number("downloaded") for asked in told] == [0, payload, payload]
        assert [asked.number("uploaded") for asked in told] == [0, 0, 0]
        assert told[0].number("numwant") > 0 and told[2].number("numwant") == 0
        assert all(asked.number("port") == port for asked in told)
        assert all("corrupt" not in asked.raw for asked in told)
        assert len({asked["key"] for asked in told}) == 1
        assert len({asked["peer_id"] for asked in told}) == 1
    assert len(tracker.asked) == 3 * n
    s.assert_same(tmp_path / "got")


def test_seed_tells_events_once(sample):
    s = sample("single", "v1")
    content = Content(s.torrent, s.home)
    with Tracker(knows()) as tracker, TarnSeed(tiers(s, tracker), s.home) as run:
        tracker.wait_for(len, "it is asked")
        heard(run, "0 peers")
        with call(run.address, content) as wire:
            fetch_block(wire, content)
        end_well(run)
        assert tracker.events == ["started", "stopped"], "who begins as a seed completes nothing"
    started, stopped = tracker.asked
    assert started.number("left") == stopped.number("left") == 0
    assert started.number("uploaded") == 0 and stopped.number("uploaded") == 16384
    assert stopped.number("downloaded") == 0


def test_stopped_in_the_middle(sample, tmp_path):
    """Started, then stopped with what is left; never completed."""

    class Half(FakePeer):
        def on_request(self, wire, piece, begin, length):
            if piece < self.content.n_pieces // 2:
                super().on_request(wire, piece, begin, length)

    s = sample("single", "v1")
    content = Content(s.torrent, s.home)
    half = content.n_pieces // 2 * content.piece_length
    with Half(content) as peer, Tracker(knows(peer.address)) as tracker:
        with TarnFetch(tiers(s, tracker), tmp_path / "got", "--sequential") as run:
            run.wait_for(lambda e: e.get("done", 0) >= half, "tarn has half")
            run.process.terminate()
            assert run.wait() == 3, run.story()
    assert tracker.events == ["started", "stopped"]
    size = s.payload.stat().st_size
    assert tracker.asked[0].number("left") == size
    assert tracker.asked[1].number("left") == size - half
    assert tracker.asked[1].number("downloaded") == half


def test_only_a_part(sample, tmp_path):
    """Who wants a part only has something left for ever, and completes nothing."""
    s = sample("folder", "v1")
    with FakePeer(Content(s.torrent, s.home)) as peer:
        with Tracker(knows(peer.address)) as tracker:
            options = ["--only", "a.bin", "--stay"]
            with TarnFetch(tiers(s, tracker), tmp_path / "got", *options) as run:
                run.wait_for(lambda e: e.get("event") == "complete", "tarn has what it wants")
                end_well(run)
    assert tracker.events == ["started", "stopped"]
    assert tracker.asked[-1].number("left") > 3 << 20


def test_what_was_there_is_not_completed_again(sample):
    s = sample("single", "v1")
    with Tracker(knows()) as tracker:
        with TarnFetch(tiers(s, tracker), s.home, "--stay") as run:
            run.wait_for(lambda e: e.get("event") == "complete", "all was there")
            tracker.wait_for(len, "it is announced")
            heard(run, "0 peers")
            end_well(run)
    assert tracker.events == ["started", "stopped"]
    assert [asked.number("left") for asked in tracker.asked] == [0, 0]


def test_started_until_it_is_heard(sample, tmp_path):
    """A tracker that failed at first has not heard of us: started again, and stopped at the end."""

    def say(sock, asked):
        (says({"failure reason": "later"}) if len(tracker.asked) < 2 else knows())(sock, asked)

    s = sample("single", "v1")
    tracker = Tracker(say)
    with tracker, TarnSeed(tiers(s, tracker), s.home) as run:
        heard(run, "later")
        heard(run, "0 peers")
        end_well(run)
    assert tracker.events == ["started", "started", "stopped"]


def test_tracker_id(sample, tmp_path):
    """Given once, sent back with everything that follows, byte by byte."""
    tracker_id = b"a&b=c \xff%\n"

    def say(sock, asked):
        known = {} if asked.event != "started" else {"tracker id": tracker_id}
        knows(peer.address, **known)(sock, asked)

    s = sample("single", "v1")
    with FakePeer(Content(s.torrent, s.home)) as peer, Tracker(say) as tracker:
        with TarnFetch(tiers(s, tracker), tmp_path / "got", "--stay") as run:
            run.wait_for(lambda e: e.get("event") == "complete", "tarn has all of it")
            tracker.wait_for(lambda asked: len(asked) >= 2, "completed is announced")
            end_well(run)
    assert "trackerid" not in tracker.asked[0].raw
    assert [asked["trackerid"] for asked in tracker.asked[1:]] == [tracker_id] * 2


def test_magnet_link(sample, tmp_path):
    """Before its size is known something is left, or trackers would take us for a seed."""
    s = sample("single", "hybrid")
    content = Content(s.torrent, s.home)
    with FakePeer(content) as peer:
        with Tracker(says(b"?")) as bad, Tracker(knows(peer.address)) as good:
            magnet = magnet_of(tiers(s, bad, good))
            with TarnFetch(magnet, tmp_path / "got") as run:
                assert run.wait() == 0, run.story()
    assert good.asked[0].event == "started" and good.asked[0].number("left") > 0
    s.assert_same(tmp_path / "got")


# IPv6.


def has_v6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_v6(), reason="no IPv6 here")
@pytest.mark.parametrize("form", ["compact", "dictionary"])
def test_v6(sample, tmp_path, form):
    """The tracker is reached by IPv6 and knows a peer by IPv6."""
    s = sample("single", "v1")
    with TarnSeed(s.torrent, s.home, "--no-tracker", host="[::1]") as seed:
        packed = ipaddress.ip_address("::1").packed + struct.pack(">H", seed.port)
        answer = {
            "compact": says({"interval": 1800, "peers": b"", "peers6": packed}),
            "dictionary": says({"interval": 1800, "peers": as_dicts(("::1", seed.port))}),
        }[form]
        with Tracker(answer, host="::1") as tracker:
            with TarnFetch(tiers(s, tracker), tmp_path / "got") as run:
                assert run.wait() == 0, run.story()
            assert len(tracker.asked) >= 1
    s.assert_same(tmp_path / "got")
