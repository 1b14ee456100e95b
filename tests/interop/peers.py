"""The other side: BitTorrent programs started and stopped by the tests, on loopback only."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import libtorrent as lt

TARN = os.environ.get("TARN", "build-test/tarn")
PATIENCE = 60  # seconds before a transfer on loopback counts as failed


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(happened, what, seconds=PATIENCE):
    """Poll a program that offers no event of its own."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = happened()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def listens(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


class Program:
    """A child process that is ended when the test is."""

    def __init__(self, command, **more):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, **more
        )

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class TarnSeed:
    """`tarn seed` on a port of its choice; `address` once it listens."""

    def __init__(self, torrent, path, *options, host="127.0.0.1"):
        self.events = []
        self.process = subprocess.Popen(
            [TARN, "seed", "--json", "--listen", f"{host}:0", *options, str(torrent), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(PATIENCE):
            self.stop()
            raise AssertionError(f"tarn seed did not begin: {self.events} {self.errors}")

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event.get("event") == "listening":
                self.address = event["text"]
            if event.get("state") == "seeding":
                self.ready.set()

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.errors = self.process.communicate(timeout=15)[1]
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def tarn_fetch(what, into, *options, check=True):
    """Run `tarn fetch` to its end; returns the finished process."""
    done = subprocess.run(
        [TARN, "fetch", "--json", "--listen", "127.0.0.1:0", "-o", str(into), *options, str(what)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    if check:
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


class Libtorrent:
    """libtorrent in this process, plain TCP, nothing but what is asked for."""

    def __init__(self, host="127.0.0.1"):
        self.session = lt.session(
            {
                "listen_interfaces": f"{host}:0" if ":" not in host else f"[{host}]:0",
                "enable_dht": False,
                "enable_lsd": False,
                "enable_upnp": False,
                "enable_natpmp": False,
                "enable_incoming_utp": False,
                "enable_outgoing_utp": False,
                "in_enc_policy": 2,
                "out_enc_policy": 2,
                "allow_multiple_connections_per_ip": True,
                "alert_mask": lt.alert.category_t.all_categories,
            }
        )
        self.host = host

    @property
    def port(self):
        return wait_until(self.session.listen_port, "libtorrent listens", 10)

    def add(self, torrent, path, seed=False):
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(str(torrent))
        params.save_path = str(path)
        return self._add(params, seed)

    def add_magnet(self, uri, path):
        params = lt.parse_magnet_uri(uri)
        params.save_path = str(path)
        return self._add(params, False)

    def _add(self, params, seed):
        params.flags &= ~lt.torrent_flags.auto_managed
        params.flags &= ~lt.torrent_flags.paused
        handle = self.session.add_torrent(params)
        if seed:
            wait_until(lambda: handle.status().is_seeding, "libtorrent has checked its files")
        return handle

    def alerts(self):
        return "\n".join(a.message() for a in self.session.pop_alerts())

    def stop(self):
        self.session.pause()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def wait_for_seed(handle, peer):
    wait_until(lambda: handle.status().is_seeding, f"libtorrent has all of it:\n{peer.alerts()}")


class Transmission(Program):
    def __init__(self, folder):
        self.home = tempfile.mkdtemp(prefix="tarn-transmission-")
        self.rpc_port, self.port = free_port(), free_port()
        settings = {
            "bind-address-ipv4": "127.0.0.1",
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": False,
            "utp-enabled": False,
            "port-forwarding-enabled": False,
            "peer-port": self.port,
            "rpc-bind-address": "127.0.0.1",
            "rpc-port": self.rpc_port,
            "rpc-authentication-required": False,
            "encryption": 0,
            "download-dir": str(folder),
            "cache-size-mb": 4,
        }
        Path(self.home, "settings.json").write_text(json.dumps(settings))
        self.session_id = ""
        super().__init__(["transmission-daemon", "--foreground", "--config-dir", self.home])
        wait_until(lambda: listens(self.rpc_port) and listens(self.port), "transmission starts")

    def call(self, method, **arguments):
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(2):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.rpc_port}/transmission/rpc",
                data=body,
                headers={"X-Transmission-Session-Id": self.session_id},
            )
            try:
                answer = json.load(urllib.request.urlopen(request, timeout=10))
                assert answer["result"] == "success", answer
                return answer["arguments"]
            except urllib.error.HTTPError as refused:
                if refused.code != 409:
                    raise
                self.session_id = refused.headers["X-Transmission-Session-Id"]
        raise AssertionError("transmission gives no session id")

    def add(self, what, folder):
        key = "filename"
        answer = self.call("torrent-add", **{key: str(what), "download-dir": str(folder)})
        return next(iter(answer.values()))["id"]

    def status(self, number):
        fields = ["percentDone", "status", "error", "errorString", "metadataPercentComplete"]
        return self.call("torrent-get", ids=[number], fields=fields)["torrents"][0]

    def wait_for_seed(self, number):
        def is_done():
            status = self.status(number)
            assert status["error"] == 0, status
            return status["percentDone"] == 1 and status["status"] == 6

        wait_until(is_done, "transmission has all of it")

    def stop(self):
        super().stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Aria2(Program):
    def __init__(self, torrent, folder, seed=False):
        self.port = free_port()
        super().__init__(
            [
                "aria2c",
                f"--dir={folder}",
                f"--listen-port={self.port}",
                "--enable-dht=false",
                "--enable-dht6=false",
                "--bt-enable-lpd=false",
                "--enable-peer-exchange=false",
                "--disable-ipv6=true",
                "--bt-external-ip=127.0.0.1",
                "--interface=127.0.0.1",
                "--bt-min-crypto-level=plain",
                "--file-allocation=none",
                "--check-integrity=true",
                "--bt-hash-check-seed=true",
                "--seed-time=10" if seed else "--seed-time=0",
                "--summary-interval=0",
                "--no-conf=true",
                str(torrent),
            ]
        )
        wait_until(lambda: listens(self.port) or self.process.poll() is not None, "aria2 starts")

    def wait_until_done(self):
        assert self.process.wait(PATIENCE) == 0, self.output()


class Opentracker(Program):
    """Debian's is whitelist-only: it serves the info-hashes it was started with."""

    def __init__(self, *hashes):
        self.port = free_port()
        self.home = tempfile.mkdtemp(prefix="tarn-opentracker-")
        os.chmod(self.home, 0o755)
        whitelist = Path(self.home, "whitelist")
        whitelist.write_text("".join(h.hex() + "\n" for h in hashes))
        whitelist.chmod(0o644)
        port = str(self.port)
        super().__init__(
            ["opentracker", "-i", "127.0.0.1", "-p", port, "-P", port, "-d", self.home]
            + ["-w", str(whitelist), "-u", "nobody"]
        )
        wait_until(lambda: listens(self.port), "opentracker starts")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/announce"

    def stop(self):
        super().stop()
        shutil.rmtree(self.home, ignore_errors=True)
