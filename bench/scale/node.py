"""A node that is measured: started, asked, stopped; and what it costs meanwhile."""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from common import KIB, PYTHON, Child, cpu_of, free_port, memory_of, wait_for

HERE = Path(__file__).resolve().parent


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout=600):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Refused(Exception):
    pass


class Node:
    """One run of tarnd, with its state in a folder that outlives it."""

    def __init__(self, build, home, files=None, **settings):
        self.build, self.home, self.files = Path(build).resolve(), Path(home).resolve(), files
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.settings = {"http.listen": f"127.0.0.1:{self.port}", "bt.listen": f"127.0.0.1:{free_port()}",
                         "catalog.quiet": "1", "scrub.interval": "never", "http.loops": "1", **settings}
        self.socket = self.home / "tarn.sock"

    def __enter__(self):
        flags = [f"--{key.replace('.', '-').replace('_', '-')}={value}" for key, value in self.settings.items()]
        conf = self.home / "tarn.conf"
        if not conf.exists():
            conf.write_text("")
        self.began = time.monotonic()
        self.child = Child([self.build / "tarnd", "--config", conf, *flags], files=self.files,
                           env={**os.environ, "TARN_HOME": str(self.home)})
        self.pid = self.child.pid
        self.peak_anon = 0
        try:
            self.child.wait_for(self.answers, "the web door answers", 600)
            self.ready = time.monotonic() - self.began
            self.child.wait_for(self.socket.exists, "the admin door is there", 600)
            self.probe = subprocess.Popen(
                [PYTHON, HERE / "probe.py", str(self.pid), str(self.socket), str(self.port)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except Exception:
            self.child.stop()
            raise
        return self

    def __exit__(self, *_):
        self.probe.stdin.close()
        self.probe.wait()
        self.child.process.terminate()
        try:
            self.child.process.wait(60)
        finally:
            self.child.stop()

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 600) as s:
                s.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return s.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def stalls(self):
        """What the probe saw since it was asked last."""
        self.probe.stdin.write("\n")
        self.probe.stdin.flush()
        return json.loads(self.probe.stdout.readline())

    def ask(self, method, path, body=None):
        """The objects of an answer of the admin door."""
        c = Unix(self.socket)
        try:
            c.request(method, path, None if body is None else json.dumps(body),
                      {} if body is None else {"Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
        finally:
            c.close()
        if r.status >= 400:
            raise Refused(f"{method} {path}: {r.status} {text[:300]}")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def get(self, path, accept="*/*"):
        """From the web door: (status, length of the body, seconds to the first byte, to the last)."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            start = time.monotonic()
            c.request("GET", path, headers={"Accept": accept})
            r = c.getresponse()
            first = time.monotonic() - start
            length = 0
            while True:
                part = r.read(1 << 20)
                if not part:
                    break
                length += len(part)
            return r.status, length, first, time.monotonic() - start
        finally:
            c.close()

    def item(self, ref):
        return self.ask("GET", f"/v1/items?ref={ref}")[0]

    def cpu(self):
        return cpu_of(self.pid)

    def memory(self):
        """Anonymous and resident bytes now, and the most that was ever resident."""
        anon, rss, peak = memory_of(self.pid, "RssAnon", "VmRSS", "VmHWM")
        self.peak_anon = max(self.peak_anon, anon)
        return anon, rss, peak

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def io(self):
        """rchar (all that was read by calls), read_bytes (from disks), write_bytes."""
        found = dict(line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines())
        return {key: int(value) for key, value in found.items()}

    def watches(self):
        n = 0
        for info in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            try:
                n += info.read_text().count("inotify wd:")
            except OSError:
                pass
        return n

    def metric(self, name):
        c = Unix(self.socket)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        found = re.search(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.M)
        return float(found.group(1)) if found else None

    def size_of(self, name):
        return sum(f.stat().st_blocks * 512 for f in self.home.rglob(name) if f.is_file())


class Work:
    """What a piece of work cost: with Work(node) as w: ...; w.figures."""

    def __init__(self, node, poll=0.2):
        self.node, self.poll = node, poll

    def __enter__(self):
        self.node.stalls()
        self.start, self.cpu, self.io = time.monotonic(), self.node.cpu(), self.node.io()
        self.anon = 0
        return self

    def until(self, happened, what, seconds=600):
        def look():
            self.anon = max(self.anon, self.node.memory()[0])
            time.sleep(self.poll)
            return happened()

        return self.node.child.wait_for(look, what, seconds)

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        anon, rss, peak = self.node.memory()
        io = self.node.io()
        self.figures = {"wall": time.monotonic() - self.start, "cpu": self.node.cpu() - self.cpu,
                        "anon_peak": max(self.anon, anon), "anon": anon, "rss": rss, "rss_peak": peak,
                        "read": io["rchar"] - self.io["rchar"], "read_disk": io["read_bytes"] - self.io["read_bytes"],
                        "written": io["write_bytes"] - self.io["write_bytes"], "stalls": self.node.stalls()}
