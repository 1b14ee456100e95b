"""What the benches share: data, processes and what they cost, figures, and the machine's name."""
import ctypes
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # Debian's own: python3-libtorrent belongs to it
GIB = 1 << 30
MIB = 1 << 20
KIB = 1 << 10


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def sh(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more).stdout.strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(happened, what, seconds=60):
    """Ask again and again somebody who offers no event."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = happened()
        if answer:
            return answer
        time.sleep(0.01)
    raise RuntimeError(f"{what}: not within {seconds} s")


# Data.


def make_file(path, mib):
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(os.urandom(MIB))
        f.flush()
        os.fsync(f.fileno())


def warm(path):
    """Into the page cache, which all of it fits."""
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            with open(file, "rb", buffering=0) as f:
                while f.read(MIB):
                    pass


# Processes.

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def cpu_of(pid):
    """CPU-seconds of another process, all threads: its clock."""
    return time.clock_gettime(~pid << 3 | 2)


def memory_of(pid, *fields):
    """Bytes of fields of /proc/PID/status; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        text = ""
    found = {line.split(":")[0]: int(line.split()[1]) * KIB
             for line in text.splitlines() if line.endswith(" kB")}
    return [found.get(field, 0) for field in fields]


class Peak(threading.Thread):
    """The most memory of a process, looked at a hundred times a second: what the kernel keeps after
    its end (ru_maxrss) counts mapped files and what the parent had before exec."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.anon = self.all = 0
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            self.look()

    def look(self):
        anon, all_ = memory_of(self.pid, "RssAnon", "VmHWM")
        self.anon = max(self.anon, anon)
        self.all = max(self.all, all_)

    def stop(self):
        self.over.set()
        self.join()


def in_child(core=None, files=None):
    """What a child does before its program: it dies with us, and keeps to one core if told."""

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})
        if files is not None:
            import resource
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    return prepare


def run_child(command, env=None, core=None, seconds=600):
    """Start to end of one process: seconds, CPU-seconds, peaks; and what it printed. One that hangs is
    killed after so many seconds, and fails as any other."""
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        child = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, **(env or {})}, preexec_fn=in_child(core),
        )
        peak = Peak(child.pid)
        limit = threading.Timer(seconds, child.kill)
        limit.start()
        _, status, used = os.wait4(child.pid, 0)
        limit.cancel()
        wall = time.monotonic() - start
        peak.stop()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if child.returncode != 0:
        raise RuntimeError(
            f"{' '.join(map(str, command))}: exit {child.returncode}\n{text[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    return {"wall": wall, "cpu": cpu, "anon": peak.anon, "peak": peak.all}, text


class Child:
    """A process that goes on until it is stopped, or ends by itself."""

    def __init__(self, command, core=None, files=None, **more):
        self.command = list(map(str, command))
        self.log = tempfile.NamedTemporaryFile(prefix="tarn-bench-")
        more = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log, **more}
        self.process = subprocess.Popen(
            self.command, preexec_fn=in_child(core, files), **more)
        self.pid = self.process.pid
        self.used = None

    def cpu(self):
        return cpu_of(self.pid)

    def memory(self, *fields):
        return memory_of(self.pid, *fields)

    def output(self):
        return Path(self.log.name).read_text(errors="replace")

    def wait_for(self, happened, what, seconds=60):
        def look():
            if self.process.poll() is not None:
                raise RuntimeError(f"{what}: it ended instead:\n{self.output()[-2000:]}")
            return happened()

        return wait_for(look, f"{self.command[0]}: {what}", seconds)

    def end(self, seconds=300):
        """Wait for its end, which must be a good one; its CPU-seconds."""
        try:
            return self._end(seconds)
        finally:
            self.log.close()

    def _end(self, seconds):
        limit = threading.Timer(seconds, self.process.kill)
        limit.start()
        _, status, used = os.wait4(self.pid, 0)
        limit.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise RuntimeError(f"{' '.join(self.command)}: exit {self.process.returncode}\n"
                               f"{self.output()[-2000:]}")
        return used.ru_utime + used.ru_stime

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# Figures.


def middle(found):
    return statistics.median(found)


def spread(found):
    """Greatest less least, over the median."""
    found = sorted(found)
    return (found[-1] - found[0]) / found[len(found) // 2] if found[len(found) // 2] else 0.0


def load():
    return os.getloadavg()[0]


def machine():
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((l.split(":")[1].strip() for l in info if l.startswith("model name")), "unknown")
    flags = next((l.split() for l in info if l.startswith("flags")), [])
    named = [f for f in ("sha_ni", "avx2", "avx512f") if f in flags]
    return f"{model}, {os.cpu_count()} processors, {', '.join(named)}; Linux {platform.release()}"


def versions(tarn, packages):
    found = sh(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages])
    return f"{sh([tarn, 'version']).splitlines()[0]}; {found.rstrip(', ')}"


# Pictures.

GREENS = ["#0b5e3c", "#3f9468", "#9bcbb0"]  # tarn's
OTHERS = ["#3465a4", "#c17d11", "#a40000", "#75507b", "#555753", "#888a85"]


def gnuplot(script, svg, width=900, height=420):
    head = f"""set terminal svg size {width},{height} font 'sans,11' background 'white'
set output '{svg}'
set datafile separator tab
set datafile missing '-'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
"""
    subprocess.run(["gnuplot"], input=head + script, text=True, check=True)
