"""The queue of a home line beside an upload: without the limiter it fills, with it it comes down while data
flow. How fast they flow then is for the simulated lines (src/bt/core/test/uplink_test.c) and the bench: here
it depends on the machine."""
import os
import signal
import subprocess

import pytest
from link import Link, why_not
from program import PATIENCE, TARN, fill
from programs import wait_until

WANLINK = os.environ.get("WANLINK", "build-test/tests/wanlink")
RATE_MBIT, QUEUE = 20, 1 << 20
WINDOW = 40  # lines of the trace: four seconds
FILLS = 10 << 20  # bytes that fill the queue several times when nobody holds back
FLOWS = 3 * QUEUE // 2  # in a window: it is no pause, in which a full queue runs out

pytestmark = pytest.mark.skipif(why_not(WANLINK) is not None, reason=str(why_not(WANLINK)))


def start(end, *words):
    return subprocess.Popen([*end.enter, TARN, *map(str, words), "--no-tracker", "--json"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def wait_for(process, word):
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"it ended without {word}")


def queue_ms(lines):
    """How long what is sent waits in the line, on the average."""
    return sum(line["a_queue"] for line in lines) / len(lines) * 8 / RATE_MBIT / 1000


def upload(torrent, file, into, uplink, is_reached):
    """Upload until the line's queue is, for a while, as it is wanted: is_reached(ms). What the seed said
    last."""

    def look(link):
        assert fetch.poll() is None, f"it was over before: {link.trace()[-1:]}"
        lines = link.trace()[-WINDOW:]
        return (len(lines) == WINDOW and lines[0]["a_bytes"] > FILLS
                and lines[-1]["a_bytes"] - lines[0]["a_bytes"] > FLOWS
                and is_reached(queue_ms(lines)))

    with Link(WANLINK, congestion="cubic", delay_ms=10, rate_mbit=RATE_MBIT, queue=QUEUE,
              back_rate_mbit=1000, trace_ms=100) as link:
        seed = start(link.a, "seed", torrent, file, "--listen=10.77.0.1:7000", f"--uplink={uplink}")
        fetch = None
        try:
            wait_for(seed, '"seeding"')
            fetch = start(link.b, "fetch", torrent, "-o", into, "--listen=10.77.0.2:7000",
                          "--peer=10.77.0.1:7000")
            wait_for(fetch, '"fetching"')
            wait_until(lambda: look(link), lambda: f"the queue is so: {link.trace()[-WINDOW:]}")
            seed.send_signal(signal.SIGINT)
            return seed.communicate(timeout=PATIENCE)[0]
        finally:
            for process in (seed, fetch):
                if process is not None:
                    process.kill()
                    process.communicate()


def test_keeps_the_queue_short(tmp_path, create):
    file = fill(tmp_path / "home" / "big", 160 << 20)
    torrent = create(file)
    said = upload(torrent, file, tmp_path / "open", "off", lambda ms: ms > 150)
    assert '"uplink":0,' in said
    said = upload(torrent, file, tmp_path / "limited", "auto", lambda ms: ms < 50)
    assert '"uplink":0,' not in said.splitlines()[-2]
