"""The queue of a home line beside an upload, with the limiter and without. The line is real enough that
a slow machine makes it only slower; what is compared are two runs, and the bounds are wide."""
import os
import signal
import subprocess
import time

import pytest
from link import Link, why_not
from program import PATIENCE, TARN, fill
from programs import wait_until

WANLINK = os.environ.get("WANLINK", "build-test/tests/wanlink")
RATE_MBIT, QUEUE = 20, 1 << 20
SETTLE, MEASURE = 6, 10  # seconds

pytestmark = pytest.mark.skipif(why_not(WANLINK) is not None, reason=str(why_not(WANLINK)))


def start(end, *words):
    return subprocess.Popen([*end.enter, TARN, *map(str, words), "--no-tracker", "--json"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def wait_for(process, word):
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"it ended without {word}")


def upload(torrent, file, into, uplink):
    """Mean milliseconds of queue, Mbit/s, and what the seed said last."""
    with Link(WANLINK, congestion="cubic", delay_ms=10, rate_mbit=RATE_MBIT, queue=QUEUE,
              back_rate_mbit=1000, trace_ms=100) as link:
        seed = start(link.a, "seed", torrent, file, "--listen=10.77.0.1:7000", f"--uplink={uplink}")
        fetch = None
        try:
            wait_for(seed, '"seeding"')
            fetch = start(link.b, "fetch", torrent, "-o", into, "--listen=10.77.0.2:7000",
                          "--peer=10.77.0.1:7000")
            wait_for(fetch, '"fetching"')
            wait_until(lambda: any(line["a_bytes"] >= 1 << 20 for line in link.trace()),
                       lambda: f"the upload is under way: {link.trace()[-1:]}")
            time.sleep(SETTLE)
            first = len(link.trace())
            time.sleep(MEASURE)
            lines = link.trace()[first:]
            assert fetch.poll() is None, "it was over too soon to be measured"
            seed.send_signal(signal.SIGINT)
            said = seed.communicate(timeout=PATIENCE)[0]
        finally:
            for process in (seed, fetch):
                if process is not None:
                    process.kill()
                    process.communicate()
    queue = sum(line["a_queue"] for line in lines) / len(lines)
    sent = lines[-1]["a_bytes"] - lines[0]["a_bytes"]
    took = lines[-1]["at"] - lines[0]["at"]
    return queue * 8 / RATE_MBIT / 1000, sent * 8 / took / 1e6, said


def test_keeps_the_queue_short(tmp_path, create):
    file = fill(tmp_path / "home" / "big", 64 << 20)
    torrent = create(file)
    open_ms, open_mbit, said = upload(torrent, file, tmp_path / "open", "off")
    assert '"uplink":0,' in said
    limited_ms, limited_mbit, said = upload(torrent, file, tmp_path / "limited", "auto")
    assert '"uplink":0,' not in said.splitlines()[-2]
    told = (f"queue {limited_ms:.0f} ms at {limited_mbit:.1f} Mbit/s with the limiter, "
            f"{open_ms:.0f} ms at {open_mbit:.1f} without")
    print(told)
    assert open_ms > 60, told
    assert limited_ms < open_ms / 2, told
    assert limited_mbit > open_mbit * 0.7, told
