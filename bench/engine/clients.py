"""The programs that are measured, each started for one work and stopped after it.

All: TCP only, plain, no DHT, no local discovery, no peer exchange, no limit of rates, as many peers
as they allow; the rest is each program's default.

`seed(job, core)` starts a program that serves job.torrent from job.home, and returns it ready: .pid
and .port. `fetch(job, source)` fetches into job.into from the source, from start to the last
verified piece, and returns {"wall", "cpu"}."""
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
import xml.etree.ElementTree

from common import PYTHON, Child, free_port, wait_for

HERE = Path(__file__).resolve().parent
FILES = 20000  # descriptors that programs may open


@dataclass
class Job:
    """One torrent, its data, and where a program may put things."""

    build: Path
    torrent: Path
    data: Path  # the payload's one file
    work: Path  # a folder for the programs' own files
    into: Path  # where fetched data goes, a tmpfs
    peers: int = 0  # how many shall be able to connect

    @property
    def home(self):
        return self.data.parent

    @property
    def tarn(self):
        return self.build / "tarn"

    @property
    def peer(self):
        return self.build / "bench/engine_peer"


def listens(port):
    """Whether anybody listens on this TCP port: without connecting, which would count as a peer."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A" and local.endswith(wanted):
                return True
    return False


class Source(Child):
    """The neutral peer that has everything. With `to` it calls, else it listens."""

    def __init__(self, job, *options, to=None, core=None, io="writev", host="127.0.0.1", before=()):
        words = ["--connect", f"{host}:{to}"] if to else ["--listen", f"{host}:0"]
        super().__init__([*before, job.peer, "source", job.torrent, job.data, "--io", io, *words,
                          *options], core, stdout=subprocess.PIPE)
        self.port = None
        if not to:
            self.port = json.loads(self.process.stdout.readline())["listening"]

    def result(self):
        """At its end: what it saw."""
        answer = json.loads(self.process.stdout.readline())
        self.end(30)
        return answer

    def stop(self):
        super().stop()
        self.process.stdout.close()


def sink(job, port, *options, core=None, pid=None, host="127.0.0.1", before=()):
    """Run the neutral peer that wants everything: a result for each depth."""
    words = ["--watch", pid] if pid else []
    command = [*before, job.peer, "sink", job.torrent, "--connect", f"{host}:{port}", *words, *options]
    child = Child(command, core, stdout=subprocess.PIPE)
    with child.process.stdout as out:
        lines = [json.loads(line) for line in out]
    child.end()
    return lines


class Raw:
    """The neutral peer against itself: the floor."""

    can_idle = False

    def __init__(self, io):
        self.io, self.name = io, f"floor, {io}"

    def seed(self, job, core=None):
        return Source(job, "--stay", core=core, io=self.io)


class Tarn:
    can_idle = True

    def __init__(self, name="tarn", options=()):
        self.name, self.options = name, options

    def _more(self, job, verb):
        """More peers than by default, when this tarn can be told."""
        if job.peers and "--peers" in subprocess.run(
                [job.tarn, verb, "--help"], capture_output=True, text=True).stdout:
            return ["--peers", str(job.peers)]
        return []

    def seed(self, job, core=None, host="127.0.0.1", before=()):
        port = free_port()
        child = Child([*before, job.tarn, "seed", "--trust", "--json", "--no-tracker",
                       "--listen", f"{host}:{port}", *self.options, *self._more(job, "seed"),
                       job.torrent, job.data], core, FILES)
        child.port = port
        child.wait_for(lambda: '"seeding"' in child.output(), "seeds")
        return child

    def fetch(self, job):
        with Source(job) as source:
            began = time.monotonic()
            child = Child([job.tarn, "fetch", "--json", "--no-tracker", "--listen", "127.0.0.1:0",
                           *self.options, "--peer", f"127.0.0.1:{source.port}", "-o", job.into,
                           job.torrent])
            cpu = child.end()
            return {"wall": time.monotonic() - began, "cpu": cpu}


class Libtorrent:
    can_idle = True

    def __init__(self, preset="default"):
        self.preset = preset
        self.name = "libtorrent" if preset == "default" else "libtorrent, high_performance_seed"

    def seed(self, job, core=None):
        child = Child([PYTHON, HERE / "lt.py", "seed", self.preset, job.torrent, job.home], core,
                      FILES, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.port = json.loads(child.process.stdout.readline() or "{}").get("port")
        if not child.port:
            raise RuntimeError(f"libtorrent does not seed:\n{child.output()[-2000:]}")
        return child

    def fetch(self, job):
        with Source(job) as source:
            child = Child([PYTHON, HERE / "lt.py", "fetch", self.preset, job.torrent, job.into,
                           str(source.port)], stdout=subprocess.PIPE)
            answer = child.process.stdout.readline()
            child.end()
            return json.loads(answer)


class Aria2:
    """It can be told of peers by a tracker only: so they call it."""

    can_idle = False  # it takes three connections a second
    name = "aria2"

    def _words(self, job, folder, port):
        return ["aria2c", "--no-conf", f"--dir={folder}", f"--listen-port={port}",
                "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
                "--enable-peer-exchange=false", "--disable-ipv6=true", "--interface=127.0.0.1",
                "--bt-external-ip=127.0.0.1", "--bt-min-crypto-level=plain", "--bt-max-peers=0",
                "--file-allocation=none", "--seed-ratio=0.0", "--summary-interval=0",
                "--console-log-level=error", "--show-console-readout=false"]

    def seed(self, job, core=None):
        port = free_port()
        child = Child([*self._words(job, job.home, port), "--bt-seed-unverified=true",
                       "--check-integrity=false", "--seed-time=600", job.torrent], core, FILES)
        child.port = port
        child.wait_for(lambda: listens(port), "listens")
        return child

    def fetch(self, job):
        port = free_port()
        began = time.monotonic()
        child = Child([*self._words(job, job.into, port), "--seed-time=0", job.torrent])
        child.wait_for(lambda: listens(port), "listens")
        with Source(job, to=port):
            cpu = child.end()
        return {"wall": time.monotonic() - began, "cpu": cpu}


class Transmission:
    """Its queue of requests is answered from a timer of 500 ms, and grows to 512: so is it asked."""

    can_idle = True
    name = "transmission"
    is_slow = True  # an eighth of the data
    depth = 500
    SEED = 6

    def start(self, home, folder, core=None, keep=False):
        """A daemon with its state in `home`; keep: what an earlier one left there."""
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
        rpc, port = free_port(), free_port()
        (home / "settings.json").write_text(json.dumps({
            "bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1", "dht-enabled": False,
            "lpd-enabled": False, "pex-enabled": False, "utp-enabled": False, "encryption": 0,
            "port-forwarding-enabled": False, "peer-port": port, "rpc-port": rpc,
            "rpc-bind-address": "127.0.0.1", "download-dir": str(folder),
            "peer-limit-global": 12000, "peer-limit-per-torrent": 12000,
            "idle-seeding-limit-enabled": False, "ratio-limit-enabled": False,
        }))
        child = Child(["transmission-daemon", "--foreground", "--config-dir", home], core, FILES)
        child.port, child.rpc, child.session = port, rpc, ""
        child.wait_for(lambda: listens(rpc) and listens(port), "listens")
        return child

    def _start(self, job, folder, core=None):
        child = self.start(job.work / "transmission", folder, core)
        self.call(child, "torrent-add", filename=str(job.torrent))
        return child

    def call(self, child, method, **arguments):
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(3):
            request = urllib.request.Request(
                f"http://127.0.0.1:{child.rpc}/transmission/rpc", data=body,
                headers={"X-Transmission-Session-Id": child.session})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.load(answer)["arguments"]
            except urllib.error.HTTPError as refused:
                refused.close()
                child.session = refused.headers["X-Transmission-Session-Id"]
        raise RuntimeError("transmission-daemon does not answer")

    def status(self, child):
        fields = ["status", "percentDone"]
        return self.call(child, "torrent-get", fields=fields)["torrents"][0]

    def seed(self, job, core=None):
        child = self._start(job, job.home, core)
        wait_for(lambda: self.status(child)["status"] == self.SEED, "transmission seeds")
        return child

    def fetch(self, job):
        with self._start(job, job.into) as child:
            wait_for(lambda: self.status(child)["status"] == 4, "transmission is ready to fetch")
            began, used = time.monotonic(), child.cpu()
            with Source(job, to=child.port):
                while self.status(child)["percentDone"] < 1:
                    time.sleep(0.1)
                return {"wall": time.monotonic() - began, "cpu": child.cpu() - used}


class Rtorrent:
    """It refuses torrents that name no tracker while its DHT is off: so it gets one that nobody
    answers for. The info dictionary, and so the hash, stays the same."""

    can_idle = True
    name = "rtorrent"
    TRACKER = b"http://127.0.0.1:9/announce"

    def _start(self, job, folder, core=None):
        home = job.work / "rtorrent"
        shutil.rmtree(home, ignore_errors=True)
        (home / "session").mkdir(parents=True)
        port = free_port()
        torrent = home / "tracked.torrent"
        torrent.write_bytes(b"d8:announce%d:%s" % (len(self.TRACKER), self.TRACKER) +
                            job.torrent.read_bytes()[1:])
        (home / "rc").write_text("\n".join([
            f"directory.default.set = {folder}",
            f"session.path.set = {home}/session",
            f"network.scgi.open_local = {home}/scgi",
            f"network.port_range.set = {port}-{port}",
            "network.port_random.set = no",
            "network.bind_address.set = 127.0.0.1",
            f"network.max_open_sockets.set = {FILES - 2000}",
            "network.max_open_files.set = 600",
            "throttle.max_peers.normal.set = 12000",
            "throttle.max_peers.seed.set = 12000",
            "throttle.max_uploads.set = 12000",
            "throttle.global_down.max_rate.set_kb = 0",
            "throttle.global_up.max_rate.set_kb = 0",
            "protocol.encryption.set = none",
            "protocol.pex.set = no",
            "dht.mode.set = disable",
            "trackers.use_udp.set = no",
            "pieces.hash.on_completion.set = no",
            "system.daemon.set = true",
            f'load.start = "{torrent}"',
        ]) + "\n")
        child = Child(["rtorrent", "-n", "-o", f"import={home}/rc"], core, FILES)
        child.port, child.scgi = port, home / "scgi"
        child.wait_for(lambda: listens(port) and child.scgi.exists(), "listens")
        return child

    def ask(self, child, command):
        """One number of the one torrent, over SCGI; None when it is not loaded yet."""
        body = ("<?xml version='1.0'?><methodCall><methodName>d.multicall2</methodName><params>"
                "<param><value><string></string></value></param>"
                "<param><value><string>main</string></value></param>"
                f"<param><value><string>{command}=</string></value></param>"
                "</params></methodCall>").encode()
        head = f"CONTENT_LENGTH\0{len(body)}\0SCGI\0001\0".encode()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(child.scgi))
            s.sendall(f"{len(head)}:".encode() + head + b"," + body)
            answer = b""
            while more := s.recv(65536):
                answer += more
        text = answer.split(b"\r\n\r\n", 1)[1]
        found = xml.etree.ElementTree.fromstring(text).find(".//i8")
        return int(found.text) if found is not None else None

    def seed(self, job, core=None):
        child = self._start(job, job.home, core)
        child.wait_for(lambda: self.ask(child, "d.complete") == 1 and
                       self.ask(child, "d.is_open") == 1, "seeds")
        return child

    def fetch(self, job):
        with self._start(job, job.into) as child:
            child.wait_for(lambda: self.ask(child, "d.is_active") == 1 and
                           self.ask(child, "d.is_hash_checking") == 0, "is ready")
            began, used = time.monotonic(), child.cpu()
            with Source(job, to=child.port):
                while self.ask(child, "d.complete") != 1:
                    time.sleep(0.01)
                return {"wall": time.monotonic() - began, "cpu": child.cpu() - used}


def others():
    """Those that are installed."""
    found = []
    try:
        import libtorrent  # noqa: F401
        found += [Libtorrent(), Libtorrent("high_performance_seed")]
    except ImportError:
        pass
    for class_, program in ((Aria2, "aria2c"), (Rtorrent, "rtorrent"),
                            (Transmission, "transmission-daemon")):
        if shutil.which(program):
            found.append(class_())
    return found
