"""Child processes of the tests, `tarn` first: started on loopback, always ended."""
import ctypes
import errno
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TARN = os.path.abspath(os.environ.get("TARN", "build-test/tarn"))
# Sanitizers and a busy machine make everything slower; meson raises its timeouts likewise.
SLOWNESS = float(os.environ.get("TARN_SLOWNESS", "1"))
PATIENCE = 60 * SLOWNESS  # seconds before a transfer on loopback counts as failed

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

chance = random.SystemRandom()  # tests that run at once are to choose different ports


def end_with_parent():
    """Runs in the child: a test run that is killed leaves nothing behind."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """For a program that must be told its port. Below the ports that Linux gives away by itself (32768
    on, Documentation/networking/ip-sysctl.rst), or another test might have got it meanwhile."""
    while True:
        port = chance.randrange(20000, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError as why:
                if why.errno != errno.EADDRINUSE:
                    raise
            else:
                return port


def wait_until(happened, what, seconds=None, progress=lambda: None):
    """Poll a program that offers no event of its own; what `happened` gave at last. The seconds begin
    anew whenever `progress` gives something else. what: text, or a function that makes it."""
    seconds = seconds or PATIENCE
    end, before = time.monotonic() + seconds, progress()
    while time.monotonic() < end:
        answer = happened()
        if answer:
            return answer
        now = progress()
        if now != before:
            end, before = time.monotonic() + seconds, now
        time.sleep(0.05)
    raise AssertionError(f"{what() if callable(what) else what}: not within {seconds} s")


def listens(port):
    """Whether anybody listens on a TCP port of this machine, without connecting: Transmission 3.00
    refuses an address while an earlier connection from it has not shaken hands."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A" and local.endswith(wanted):
                return True
    return False


class Ending:
    """Has a process and a log, and ends with the test's `with`."""

    def stop(self):
        end(self.process)
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Program(Ending):
    """A child process that is ended when the test is."""

    def __init__(self, command, **more):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
            **more,
        )

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def wait_until(self, happened, what):
        """Like wait_until, and says what the program wrote when it ends or does not come so far."""

        def look():
            answer = happened()
            if not answer and self.process.poll() is not None:
                raise AssertionError(f"{what}: it ended instead:\n{self.output()}")
            return answer

        return wait_until(look, lambda: f"{what}:\n{self.output()}")


def end(process, seconds=10):
    """Ask a process to end, and kill it when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Tarn:
    """One run of `tarn` whose JSON Lines are read as they come."""

    def __init__(self, *arguments, limits=None, **more):
        def prepare():
            end_with_parent()
            if limits:
                limits()

        self.events = []
        self.news = threading.Condition()
        self.ended = False
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [TARN, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            preexec_fn=prepare,
            **more,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.events.append(json.loads(line))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def wait_for(self, happened, what, seconds=None):
        """The first event for which `happened`; fails when tarn ends before it."""
        with self.news:
            self.news.wait_for(
                lambda: self.ended or any(map(happened, self.events)), seconds or PATIENCE
            )
            for event in self.events:
                if happened(event):
                    return event
        raise AssertionError(f"{what}: never; ended: {self.ended}\n{self.story()}")

    def ended_or(self, seconds):
        """Wait for its end, but no longer than this."""
        with self.news:
            self.news.wait_for(lambda: self.ended, seconds)

    def wait(self, seconds=None):
        """Its exit code; a run that hangs is killed and fails the test."""
        try:
            code = self.process.wait(seconds or PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"tarn hung\n{self.story()}")
        self.reader.join()
        return code

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def story(self):
        """What it told, without all but the last status."""
        told = [e for e in self.events if e["type"] != "status"][-30:]
        told += [e for e in self.events if e["type"] == "status"][-1:]
        return "\n".join(map(str, told)) + "\n" + self.errors()

    def peak_mib(self):
        """The most memory it has held so far, of a run that still goes on."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM: the process has ended")

    def stop(self):
        end(self.process)
        self.reader.join()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()  # the log stays, to be read


class TarnSeed(Tarn):
    """`tarn seed` on a port of its choice; made when it serves."""

    def __init__(self, torrent, path, *options, host="127.0.0.1", **more):
        super().__init__(
            "seed", "--json", "--listen", f"{host}:0", *options, torrent, path, **more
        )
        try:
            self.wait_for(lambda e: e.get("state") == "seeding", "tarn seeds")
            heard = self.wait_for(lambda e: e.get("event") == "listening", "tarn listens")
            self.address = heard["text"]
        except BaseException:
            self.stop()
            raise

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])


class TarnFetch(Tarn):
    """`tarn fetch` under way."""

    def __init__(self, what, into, *options, **more):
        super().__init__(
            "fetch", "--json", "--listen", "127.0.0.1:0", "-o", into, *options, what, **more
        )

    @property
    def port(self):
        heard = self.wait_for(lambda e: e.get("event") == "listening", "tarn listens")
        return int(heard["text"].rsplit(":", 1)[1])


def tarn_fetch(what, into, *options):
    """Run `tarn fetch` to its end, which must be a good one; the events it told."""
    with TarnFetch(what, into, *options) as run:
        code = run.wait(2 * PATIENCE)
        assert code == 0, run.story()
        return run.events


def tarn_run(*arguments, **more):
    """Run tarn to its end; the finished process, whatever it said."""
    return subprocess.run(
        [TARN, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        **more,
    )


def tarn_create(path, out, kind, *options):
    done = tarn_run("create", path, "-o", out, "--format", kind, *options)
    assert done.returncode == 0, done.stderr
    return out


def magnet_of(torrent):
    done = tarn_run("show", "--json", torrent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[0])["magnet"]
