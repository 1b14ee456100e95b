"""The line that other tests and the benches put between two programs does what it is told to: what is
tested are bounds that hold on a slow machine too."""
import json
import os
import subprocess
import sys

import pytest
from link import Link, why_not
from programs import wait_until

WANLINK = os.environ.get("WANLINK", "build-test/tests/wanlink")

pytestmark = pytest.mark.skipif(why_not(WANLINK) is not None, reason=str(why_not(WANLINK)))

ECHO = """
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("10.77.0.2", 7777))
print(flush=True)
while True:
    data, whose = s.recvfrom(2000)
    s.sendto(data, whose)
"""
# Sends COUNT datagrams at once, then takes what comes back until a second passes without any.
CALL = """
import json, socket, sys, time
count, size = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(type=socket.SOCK_DGRAM)
s.settimeout(5)
start, last, back = time.monotonic(), 0, 0
for _ in range(count):
    s.sendto(bytes(size), ("10.77.0.2", 7777))
try:
    while back < count:
        s.recv(2000)
        back += 1
        last = time.monotonic() - start
        s.settimeout(1.5)
except TimeoutError:
    pass
print(json.dumps({"back": back, "last": last}))
"""


def call(link, count, size):
    echo = subprocess.Popen([*link.b.enter, sys.executable, "-c", ECHO], stdout=subprocess.PIPE)
    try:
        echo.stdout.readline()
        done = subprocess.run([*link.a.enter, sys.executable, "-c", CALL, str(count), str(size)],
                              capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()


def test_a_round_trip_takes_both_delays():
    with Link(WANLINK, delay_ms=40, rate_mbit=0) as link:
        told = call(link, 1, 100)
        counts = link.counts()
    assert told["back"] == 1
    assert told["last"] >= 0.080
    assert counts["a_bytes"] >= 128 and counts["b_bytes"] >= 128


def test_the_rate_is_kept():
    """50 datagrams of 1428 bytes with their heads are 71400 bytes: at 1 Mbit/s 0.57 s."""
    with Link(WANLINK, delay_ms=1, rate_mbit=1, queue=1 << 20, back_rate_mbit=0) as link:
        told = call(link, 50, 1400)
        counts = link.counts()
    assert told["back"] == 50 and counts["a_dropped"] == 0
    assert told["last"] >= 71400 * 8 / 1e6


def test_a_full_queue_drops():
    """The line is so slow that next to nothing leaves while the datagrams come."""
    with Link(WANLINK, delay_ms=1, rate_mbit=0.1, queue=20_000, back_rate_mbit=0, trace_ms=20) as link:
        told = call(link, 60, 1400)
        trace = link.trace()
        counts = link.counts()
    assert counts["a_dropped"] > 0 and told["back"] < 60
    assert 18_000 < counts["a_peak"] <= 20_000
    assert max(line["a_queue"] for line in trace) > 10_000
    left = [line["a_bytes"] for line in trace]
    assert all(late >= early - 2 for early, late in zip(left, left[1:]))  # rounding
    assert left[-1] <= counts["a_bytes"]
    assert counts["b_dropped"] == 0


def test_loss_loses():
    """Of 200 packets and more both ways 30 %: that none is lost would be a chance of 1 in 10^30."""
    with Link(WANLINK, delay_ms=1, rate_mbit=0, loss=30) as link:
        told = call(link, 200, 100)
        counts = link.counts()
    assert told["back"] < 200
    assert counts["a_lost"] + counts["b_lost"] >= 200 - told["back"]
    with Link(WANLINK, delay_ms=1, rate_mbit=0, loss=0) as link:
        assert call(link, 200, 100)["back"] == 200


def test_nothing_is_left_behind():
    """The namespaces end with the line: nobody who is inside keeps it alive, and no name stays."""
    with Link(WANLINK, delay_ms=1) as link:
        namespace = link.a.enter[1].split("=")[1]
        assert os.path.exists(namespace)
        link.stop()
        assert not os.path.exists(namespace)


def test_it_ends_with_whoever_started_it(tmp_path):
    starter = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; sys.path[0:0] = sys.argv[1].split(':'); from link import Link\n"
         "link = Link(sys.argv[2]); print(link.process.pid, flush=True); input()",
         ":".join(sys.path), WANLINK],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)})
    line = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    for pipe in (starter.stdin, starter.stdout):
        pipe.close()
    wait_until(lambda: not os.path.exists(f"/proc/{line}"), "the line has ended")
