"""Web servers that lie, stall, refuse and go on for ever. The rule of each: the content completes from
another source, or the run ends with a clear reason; and nothing that was not verified is kept."""
import time
from pathlib import Path

import pytest
from faults import MemoryLimit
from program import is_sanitized
from programs import PATIENCE, TarnFetch, TarnSeed, tarn_create
from samples import PIECE, contents, fill
from webserver import Handler, WebServer

BIG = 1_500_000
LIMIT_MIB = 24  # as test_memory: the budget of 8 and 16 for the program


@pytest.fixture
def www(tmp_path):
    root = tmp_path / "www"
    fill(root / "pay load" / "a", BIG, 1)
    fill(root / "pay load" / "sub" / "b", 200_000, 2)
    fill(root / "pay load" / "sub" / "c", 70_000, 3)
    return root


def made(www, out, *urls, kind="hybrid", name="pay load"):
    options = [option for url in urls for option in ("--web-seed", url)]
    return tarn_create(www / name, out, kind, "--piece-length", str(PIECE), *options)


def notes(run):
    return [e["text"] for e in run.events if e.get("event") == "peer"]


def fetch_fails(torrent, into, *options, code=6):
    """Nobody else has it: after some patience the run says so."""
    with TarnFetch(torrent, into, "--patience=1", *options) as run:
        assert run.wait(2 * PATIENCE) == code, run.story()
        return run


def fetch_completes(torrent, into, *options):
    with TarnFetch(torrent, into, *options) as run:
        assert run.wait(2 * PATIENCE) == 0, run.story()
        return run


def no_final_file(into):
    """What has its final name was verified whole."""
    return not [p for p in Path(into).rglob("*") if p.is_file() and p.suffix != ".part"]


def flipped(data):
    return bytes(b ^ 1 for b in data)


# Each answers one request; what the run says of it; whether the connection goes on is its result.


def bad_data(h):
    body, said = h.part()
    return h.say("206 Partial Content", flipped(body), Content_Range=said)


def not_found(h):
    return h.say("404 Not Found")


def forbidden(h):
    return h.say("403 Forbidden")


def gone(h):
    return h.say("410 Gone")


def not_satisfiable(h):
    return h.say("416 Range Not Satisfiable", Content_Range="bytes */1000")


def whole_files(h):
    return h.say("200 OK", h.content)


def a_page(h):
    return h.say("200 OK", b"<html>log in first</html>", Content_Type="text/html")


def wrong_range(h):
    body, _ = h.part()
    first, last = h.range
    return h.say("206 Partial Content", body,
                 Content_Range=f"bytes {first + 1}-{last + 1}/{len(h.content)}")


def no_range(h):
    body, _ = h.part()
    return h.say("206 Partial Content", body)


def nonsense_range(h):
    body, _ = h.part()
    return h.say("206 Partial Content", body, Content_Range="bytes 18446744073709551615-0/x")


def other_length(h):
    body, _ = h.part()
    first, last = h.range
    return h.say("206 Partial Content", body,
                 Content_Range=f"bytes {first}-{last}/{len(h.content) + 5}")


def coded(h):
    body, said = h.part()
    return h.say("206 Partial Content", body, Content_Range=said, Content_Encoding="gzip")


def lying_length(h):
    body, said = h.part()
    h.head("206 Partial Content", Content_Range=said, Content_Length=len(body) + 1000)
    h.wfile.write(body)
    return h.wait_for_end()


def endless(h):
    """Chunks without end, the right ones first."""
    body, said = h.part()
    h.head("206 Partial Content", Content_Range=said, Transfer_Encoding="chunked")
    h.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
    while True:
        h.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


def endless_headers(h):
    h.wfile.write(b"HTTP/1.1 206 Partial Content\r\n")
    while True:
        h.wfile.write(b"X-Fill: " + b"x" * 8000 + b"\r\n")


def endless_error(h):
    h.head("404 Not Found", Transfer_Encoding="chunked")
    while True:
        h.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


def no_http(h):
    h.wfile.write(b"d8:intervali1800e5:peers0:e\r\n\r\n")
    return False


def hangs_up(h):
    return False


def redirects_for_ever(h):
    return h.say("302 Found", Location=f"{h.server.url}again")


def redirects_to_file(h):
    return h.say("302 Found", Location="file:///etc/passwd")


def always_busy(h):
    return h.say("503 Service Unavailable", Retry_After="100000")


HOPELESS = {
    bad_data: "fails its hash",
    not_found: "HTTP status 404",
    forbidden: "HTTP status 403",
    gone: "HTTP status 410",
    not_satisfiable: "shorter than the torrent's",
    a_page: "it is another one",
    wrong_range: "instead of",
    no_range: "without saying which",
    nonsense_range: "without saying which",
    other_length: "it is another one",
    coded: "Content-Encoding",
    lying_length: "calls them bytes",
    endless_headers: "bytes of headers",
    endless_error: "HTTP status 404",
    no_http: "no HTTP",
    hangs_up: "cannot fetch from",
    redirects_for_ever: "redirects more than 5 times",
    redirects_to_file: "neither http nor https",
}


@pytest.mark.parametrize("answer", HOPELESS, ids=lambda f: f.__name__)
def test_alone_fails_clearly(tmp_path, www, answer):
    with WebServer(www, answer) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        run = fetch_fails(torrent, tmp_path / "got")
    told = "\n".join(notes(run))
    assert HOPELESS[answer] in told, run.story()
    assert f"web seed http://127.0.0.1:{web.port}/" in told
    assert no_final_file(tmp_path / "got")
    assert len(web.requests) < 200, "it is not asked again and again"


@pytest.mark.parametrize("answer", HOPELESS, ids=lambda f: f.__name__)
def test_completes_from_a_good_one(tmp_path, www, answer):
    with WebServer(www, answer) as bad, WebServer(www) as good:
        torrent = made(www, tmp_path / "t.torrent", bad.url, good.url)
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_bad_data_alone(tmp_path, www, kind):
    with WebServer(www, bad_data) as web:
        run = fetch_fails(made(www, tmp_path / "t.torrent", web.url, kind=kind), tmp_path / "got")
    assert "it is asked no more" in "\n".join(notes(run)), run.story()
    assert no_final_file(tmp_path / "got")


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
@pytest.mark.parametrize("answer", [bad_data, endless, no_range], ids=lambda f: f.__name__)
def test_completes_from_a_peer(tmp_path, www, answer, kind):
    with WebServer(www, answer) as bad:
        torrent = made(www, tmp_path / "t.torrent", bad.url, kind=kind)
        with TarnSeed(torrent, www) as seed:
            fetch_completes(torrent, tmp_path / "got", "--peer", seed.address)
    assert contents(tmp_path / "got") == contents(www)


def test_good_data_of_an_endless_body_is_taken(tmp_path, www):
    """What was asked for comes first; the rest is cut off. After some such answers it is dropped."""
    with WebServer(www, endless) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        with TarnFetch(torrent, tmp_path / "got") as run:
            run.wait_for(lambda e: e.get("event") == "peer" and "sends more than" in e["text"],
                         "it is told")
            run.wait_for(lambda e: e.get("done", 0) >= 65536, "what was good is kept")


def test_whole_files_where_they_are_enough(tmp_path):
    """A server without ranges: files that fit one request are had from it."""
    root = tmp_path / "www"
    for i in range(5):
        fill(root / "small ones" / f"{i}", 100_000 + i, i)
    with WebServer(root, whole_files) as web:
        torrent = made(root, tmp_path / "t.torrent", web.url, name="small ones", kind="v2")
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(root)


def test_whole_files_where_a_part_is_needed(tmp_path, www):
    with WebServer(www, whole_files) as web, WebServer(www) as good:
        fill(www / "large", 40_000_000, 9)
        torrent = made(www, tmp_path / "t.torrent", web.url, good.url, name="large")
        run = fetch_completes(torrent, tmp_path / "got")
    assert (tmp_path / "got" / "large").read_bytes() == (www / "large").read_bytes()
    assert any("whole files" in n for n in notes(run)) or not web.requests


def test_short_bodies(tmp_path, www):
    """Each answer ends early, on a line that is closed: what came of it is kept, and it is asked again
    after a while, not at once."""

    def half(h):
        body, said = h.part()
        if len(h.server.requests) > 1:
            return h.good()
        h.head("206 Partial Content", Content_Range=said, Content_Length=len(body))
        h.wfile.write(body[: len(body) // 2])
        return False

    with WebServer(www, half) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        run = fetch_completes(torrent, tmp_path / "got")
        first, second = web.requests[0][1]["range"], web.requests[1][1]["range"]
    assert contents(tmp_path / "got") == contents(www)
    assert first != second, "what came is not asked for again"
    assert any("cannot fetch from" in n for n in notes(run)), run.story()


def test_smaller_ranges_than_asked(tmp_path, www):
    """A server may send less than it was asked for, when it says so."""

    def small(h):
        first, last = h.range
        data = h.content
        last = min(last, first + 99_999)
        return h.say("206 Partial Content", data[first : last + 1],
                     Content_Range=f"bytes {first}-{last}/{len(data)}")

    with WebServer(www, small) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


def test_one_file_is_missing(tmp_path, www):
    """The others are had from it all the same."""

    def without_b(h):
        return h.say("404 Not Found") if h.path.endswith("/b") else h.good()

    with WebServer(www, without_b) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        run = fetch_fails(torrent, tmp_path / "got")
        asked = [path for path, _ in web.requests if path.endswith("/b")]
    got = contents(tmp_path / "got")
    assert "pay load/a" in got and "pay load/sub/c" in got, run.story()
    assert "pay load/sub/b" not in got
    assert len(asked) == 1


def test_one_file_has_changed(tmp_path, www):
    """Of the same length, with other bytes: a few pieces are enough, and it is asked no more."""
    torrent_of = www / "pay load"

    def changed(h):
        return bad_data(h) if h.path.endswith("/a") else h.good()

    with WebServer(www, changed) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        with TarnSeed(torrent, www) as seed:
            run = fetch_completes(torrent, tmp_path / "got", "--peer", seed.address)
        assert torrent_of.exists()
    assert contents(tmp_path / "got") == contents(www)
    last = [e for e in run.events if e["type"] == "status"][-1]
    assert last["pieces_failed"] <= 64, "not everything was had from it and thrown away"


def test_retry_after_is_obeyed(tmp_path, www):
    """It asks for four seconds, and gets them (after a failure we would wait at least five)."""
    times = []

    def busy_once(h):
        times.append(time.monotonic())
        if len(times) == 1:
            return h.say("503 Service Unavailable", Retry_After="7")
        return h.good()

    with WebServer(www, busy_once) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        run = fetch_completes(torrent, tmp_path / "got", "--patience=60")
    assert contents(tmp_path / "got") == contents(www)
    assert times[1] - times[0] >= 6.9
    assert any("HTTP status 503" in n for n in notes(run))


def test_a_very_long_retry_after(tmp_path, www):
    """The run does not wait for it for ever: another source is used, or it gives up by its own patience."""
    with WebServer(www, always_busy) as web, WebServer(www) as good:
        torrent = made(www, tmp_path / "t.torrent", web.url, good.url)
        fetch_completes(torrent, tmp_path / "got")
        assert len(web.requests) <= 2
    assert contents(tmp_path / "got") == contents(www)


def test_stalls_beside_a_good_one(tmp_path, www):
    """It sends half of what it was asked for and then nothing: what it holds goes to others."""

    def stalls(h):
        body, said = h.part()
        h.head("206 Partial Content", Content_Range=said, Content_Length=len(body))
        h.wfile.write(body[: len(body) // 2])
        return h.wait_for_end()

    with WebServer(www, stalls) as bad, WebServer(www) as good:
        torrent = made(www, tmp_path / "t.torrent", bad.url, good.url)
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


def test_trickles_beside_a_good_one(tmp_path, www):
    """A byte now and then: never long enough nothing for a timeout, and too slow all the same."""

    def trickles(h):
        body, said = h.part()
        h.head("206 Partial Content", Content_Range=said, Content_Length=len(body))
        for byte in body:
            h.wfile.write(bytes([byte]))
            time.sleep(0.5)
        return True

    with WebServer(www, trickles) as bad, WebServer(www) as good:
        torrent = made(www, tmp_path / "t.torrent", bad.url, good.url)
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


def test_never_answers(tmp_path, www):
    with WebServer(www, Handler.wait_for_end) as bad, WebServer(www) as good:
        torrent = made(www, tmp_path / "t.torrent", bad.url, good.url)
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)


def test_secrets_are_not_told(tmp_path, www):
    """User, password and query of a URL are sent, and stand in no message."""
    with WebServer(www, not_found) as web:
        url = f"http://me:geheim@127.0.0.1:{web.port}/?key=geheim&at=/"
        torrent = made(www, tmp_path / "t.torrent", url)
        run = fetch_fails(torrent, tmp_path / "got")
    assert "geheim" not in "".join(map(str, run.events)) + run.errors()
    assert notes(run)


def test_redirects_are_followed_once_a_file(tmp_path, www):
    """A redirector is not asked for every range of a file that it has redirected."""
    fill(www / "pay load" / "large", 30_000_000, 8)
    with WebServer(www) as mirror:

        def redirects(h):
            return h.say("302 Found", Location=mirror.url.rstrip("/") + h.path)

        with WebServer(www, redirects) as web:
            torrent = made(www, tmp_path / "t.torrent", web.url)
            fetch_completes(torrent, tmp_path / "got")
            n_files = 4
            assert len(web.requests) <= 2 * n_files, web.requests
            assert len(mirror.requests) > n_files
    assert contents(tmp_path / "got") == contents(www)


def test_requests_are_long_and_lines_are_kept(tmp_path, www):
    """A run of pieces is one request; without other sources nothing is asked for twice."""
    fill(www / "pay load" / "large", 30_000_000, 8)
    lines = set()

    def counted(h):
        lines.add(h.client_address)
        return h.good()

    with WebServer(www, counted) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        run = fetch_completes(torrent, tmp_path / "got")
        total = 0
        for _, fields in web.requests:
            first, last = fields["range"].removeprefix("bytes=").split("-")
            total += int(last) - int(first) + 1
            assert "accept-encoding" not in fields or fields["accept-encoding"] == "identity"
            assert fields["user-agent"].startswith("tarn/")
    payload = sum(map(len, contents(www).values()))
    assert total == payload, run.story()
    assert len(web.requests) < 40
    assert len(lines) == 1


def test_many_seeds_few_at_once(tmp_path, www):
    """Thirty are named; four are used, two connections to one host."""
    fill(www / "pay load" / "large", 20_000_000, 8)
    now, most = [0], [0]

    def counted(h):
        with h.server.lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            time.sleep(0.05)
            return h.good()
        finally:
            with h.server.lock:
                now[0] -= 1

    with WebServer(www, counted) as web:
        urls = [f"http://127.0.0.1:{web.port}/{'./' * i}" for i in range(30)]
        torrent = made(www, tmp_path / "t.torrent", *urls)
        fetch_completes(torrent, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(www)
    assert most[0] <= 2


def test_killed_and_started_again(tmp_path, www):
    """kill -9 in the middle: what is on disk and verified is not asked for again."""
    fill(www / "pay load" / "large", 24_000_000, 8)
    with WebServer(www) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        with TarnFetch(torrent, tmp_path / "got", "--rate-down=4M") as run:
            run.wait_for(lambda e: e.get("done", 0) > 6_000_000, "some of it is here")
            done = max(e.get("done", 0) for e in run.events)
            run.process.kill()
            run.process.wait()
        with TarnFetch(torrent, tmp_path / "got") as again:
            assert again.wait(2 * PATIENCE) == 0, again.story()
            last = [e for e in again.events if e["type"] == "status"][-1]
    assert contents(tmp_path / "got") == contents(www)
    payload = sum(map(len, contents(www).values()))
    assert last["downloaded"] <= payload - done + 4_000_000, (last, done)


def test_server_goes_and_comes_back(tmp_path, www):
    """A run outlives a restart of its only source."""
    fill(www / "pay load" / "large", 16_000_000, 8)
    refuses = [False]

    def sometimes(h):
        return False if refuses[0] else h.good()

    with WebServer(www, sometimes) as web:
        torrent = made(www, tmp_path / "t.torrent", web.url)
        with TarnFetch(torrent, tmp_path / "got", "--rate-down=4M", "--patience=120") as run:
            run.wait_for(lambda e: e.get("done", 0) > 2_000_000, "some of it is here")
            refuses[0] = True
            run.wait_for(lambda e: e.get("event") == "peer" and "web seed" in e["text"],
                         "it is noticed")
            refuses[0] = False
            assert run.wait(2 * PATIENCE) == 0, run.story()
    assert contents(tmp_path / "got") == contents(www)


@pytest.mark.parametrize("piece_length", ["64K", "1M", "16M"])
def test_memory_is_bounded(tmp_path, piece_length):
    """Two fast servers and a small budget, under a hard limit: bodies wait in the kernel, not in us."""
    root = tmp_path / "www"
    fill(root / "large", (32 if is_sanitized() else 128) << 20, 8)
    with WebServer(root) as one, WebServer(root) as two, MemoryLimit(LIMIT_MIB) as limit:
        torrent = tarn_create(root / "large", tmp_path / "t", "hybrid", "--piece-length",
                              piece_length, "--web-seed", one.url, "--web-seed", two.url)
        with TarnFetch(torrent, tmp_path / "got", "--memory=8M", limits=limit.take) as run:
            assert run.wait(4 * PATIENCE) == 0, run.story()
        assert one.requests and two.requests, "both were used"
    assert (tmp_path / "got" / "large").read_bytes() == (root / "large").read_bytes()
