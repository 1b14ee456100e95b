"""Two machines with a line between them, in a box: what loopback cannot show.

    with Link(delay_ms=25, rate_mbit=20, queue=1 << 20) as link:
        subprocess.run([*link.a.enter, "some", "program"])      # at 10.77.0.1
        subprocess.run([*link.b.enter, "another"])              # at 10.77.0.2
        link.counts()["a_dropped"]                              # ends the line

Both ends are network namespaces that end with the line and with whoever is inside, whatever happens to
us. Needs root and the `wanlink` that meson builds (tests/tools/wanlink.c, its head is the manual)."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def end_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def why_not(wanlink=None):
    """Why there can be no line here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("nsenter", "ip"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    if wanlink and not os.access(wanlink, os.X_OK):
        return f"{wanlink} is not built"
    return None


class End:
    def __init__(self, namespace, address, other, congestion):
        self.address, self.other = address, other
        self.enter = ["nsenter", f"--net={namespace}"]  # before a command, to run it at this end
        route = f"ip route replace {other} dev wan0 src {address}"
        if congestion:
            route += f" congctl {congestion}"
        subprocess.run(
            [*self.enter, "sh", "-ec",
             "ip link set lo up; ip link set wan0 mtu 1500 txqueuelen 10000 up;"
             f"ip addr add {address} peer {other} dev wan0; {route};"
             "echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save"],
            check=True)


class Link:
    """Settings are wanlink's options: delay_ms (one way), rate_mbit, queue, loss, back_rate_mbit,
    back_queue, seed, trace_ms; and congestion, TCP's algorithm at both ends."""

    def __init__(self, wanlink="build/tests/wanlink", congestion=None, **settings):
        words = []
        for name, value in settings.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.log = tempfile.NamedTemporaryFile(prefix="wanlink-")  # a trace may be long
        self.process = subprocess.Popen([wanlink, *words], stdin=subprocess.PIPE, stdout=self.log,
                                        preexec_fn=end_with_parent)
        try:
            said = self._first_line()
            home = f"/proc/{said['pid']}/fd"
            self.a = End(f"{home}/{said['a']}", "10.77.0.1", "10.77.0.2", congestion)
            self.b = End(f"{home}/{said['b']}", "10.77.0.2", "10.77.0.1", congestion)
        except BaseException:
            self.stop()
            raise

    def _lines(self):
        text = Path(self.log.name).read_text()
        return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]

    def _first_line(self):
        while not (lines := self._lines()):
            if self.process.poll() is not None:
                raise RuntimeError(f"wanlink ended with {self.process.returncode}")
            time.sleep(0.01)
        return lines[0]

    def trace(self):
        """What --trace-ms has told so far."""
        return [line for line in self._lines() if "at" in line]

    def counts(self):
        """End the line; how many packets and bytes it took, dropped and lost."""
        self.process.stdin.close()
        self.process.wait(30)
        return self._lines()[-1]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
