"""The other side: BitTorrent programs started and stopped by the tests, on loopback only."""
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import libtorrent as lt
from programs import PATIENCE, Program, free_port, listens, wait_until


ALERTS = (
    lt.alert.category_t.error_notification
    | lt.alert.category_t.peer_notification
    | lt.alert.category_t.status_notification
    | lt.alert.category_t.storage_notification
    | lt.alert.category_t.tracker_notification
)


INCONSISTENT_HASHES = 217  # errors::torrent_inconsistent_hashes of libtorrent 2.0.8


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
                # Who refuses at first, as Transmission does, is asked again soon.
                "min_reconnect_time": 1,
                "max_failcount": 100,
                "alert_mask": ALERTS,
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

    def wait_for_seed(self, handle):
        """libtorrent 2.0 may find that a hybrid's hashes contradict each other while its piece layers are
        still on their way (its issue 6394). Told to go on it completes; if they did, it never would."""

        def look():
            status = handle.status()
            if status.errc.value() == INCONSISTENT_HASHES:
                handle.clear_error()
                handle.resume()
            return status.is_seeding

        wait_until(
            look,
            lambda: f"libtorrent has all of it:\n{self.alerts()[-4000:]}",
        )

    def wait_for_tracker(self, handle):
        wait_until(
            lambda: any(t["verified"] for t in handle.trackers()),
            lambda: f"libtorrent has announced:\n{self.alerts()[-4000:]}",
        )

    def stop(self):
        self.session.pause()
        self.session = None  # its end closes the sockets

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def reads_hybrids(program, torrent):
    """Transmission 3.00 refuses hybrid torrents, and aria2 1.36 gives them another info-hash: both
    stumble over the empty key of BEP 52's file tree. Later ones may not."""
    v1 = str(lt.torrent_info(str(torrent)).info_hashes().v1)
    ask = {"transmission": ["transmission-show"], "aria2": ["aria2c", "--no-conf", "-S"]}[program]
    told = subprocess.run([*ask, str(torrent)], capture_output=True, text=True)
    return told.returncode == 0 and v1 in told.stdout.lower()


def old_clients_habit(path, data):
    """Transmission 3.00 and aria2 write padding as files; Transmission makes no empty files."""
    return "/.pad/" in path or not data


class Transmission(Program):
    """transmission-daemon 3.00, with what one must know to meet it on loopback.

    It takes no 127.x address from trackers or PEX and so never calls us: we call it. It refuses a
    connection while another one from the same address shakes hands, and while it checks files. It
    unchokes at a tick of 10 s, and sends blocks at one of 500 ms. When it has got metadata from a
    magnet link, it drops every peer and starts over."""

    STOPPED, CHECK_WAIT, CHECK, DOWNLOAD_WAIT, DOWNLOAD, SEED_WAIT, SEED = range(7)

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="tarn-transmission-")
        self.rpc_port, self.port = free_port(), free_port()
        settings = {
            "bind-address-ipv4": "127.0.0.1",
            "bind-address-ipv6": "::1",
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": False,
            "utp-enabled": False,
            "port-forwarding-enabled": False,
            "peer-port": self.port,
            "rpc-bind-address": "127.0.0.1",
            "rpc-port": self.rpc_port,
            "rpc-authentication-required": False,
            "encryption": 0,  # plain streams preferred, encrypted ones taken
            "download-dir": self.home,
        }
        Path(self.home, "settings.json").write_text(json.dumps(settings))
        self.session_id = ""
        super().__init__(["transmission-daemon", "--foreground", "--config-dir", self.home])
        try:
            self.wait_until(
                lambda: listens(self.rpc_port) and listens(self.port), "transmission starts"
            )
        except BaseException:
            self.stop()
            raise

    def call(self, method, **arguments):
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(2):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.rpc_port}/transmission/rpc",
                data=body,
                headers={"X-Transmission-Session-Id": self.session_id},
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    answer = json.load(response)
                assert answer["result"] == "success", answer
                return answer["arguments"]
            except urllib.error.HTTPError as refused:
                refused.close()
                if refused.code != 409:
                    raise
                self.session_id = refused.headers["X-Transmission-Session-Id"]
        raise AssertionError("transmission gives no session id")

    def add(self, what, folder):
        """Add a torrent or magnet link; its number, once peers may call."""
        answer = self.call("torrent-add", **{"filename": str(what), "download-dir": str(folder)})
        number = answer["torrent-added"]["id"]
        ready = (self.DOWNLOAD, self.SEED)
        self.wait_until(lambda: self.status(number)["status"] in ready, "transmission has checked")
        return number

    def remove(self, number):
        self.call("torrent-remove", ids=[number])

    def status(self, number):
        fields = ["percentDone", "status", "error", "errorString", "metadataPercentComplete"]
        return self.call("torrent-get", ids=[number], fields=fields)["torrents"][0]

    def wait_for_metadata(self, number):
        self.wait_until(
            lambda: self.status(number)["metadataPercentComplete"] == 1, "transmission's metadata"
        )

    def wait_for_seed(self, number):
        def is_done():
            status = self.status(number)
            assert status["error"] == 0, status
            return status["percentDone"] == 1 and status["status"] == self.SEED

        self.wait_until(is_done, "transmission has all of it")

    def wait_for_tracker(self, number):
        def has_announced():
            stats = self.call("torrent-get", ids=[number], fields=["trackerStats"])
            return stats["torrents"][0]["trackerStats"][0]["lastAnnounceSucceeded"]

        self.wait_until(has_announced, "transmission announces")

    def stop(self):
        super().stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Aria2(Program):
    def __init__(self, what, folder, seed=False):
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
                "--seed-ratio=0.0",  # by default it stops when it has sent everything once
                "--summary-interval=0",
                "--no-conf=true",
                str(what),
            ]
        )
        try:
            self.wait_until(lambda: listens(self.port), "aria2 starts")
        except BaseException:
            self.stop()
            raise

    def wait_until_done(self):
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = "hangs"
        assert code == 0, self.output()


class Opentracker(Program):
    """Debian's is whitelist-only: it serves the info-hashes it was started with.

    It is run as nobody, by us: for root it would change its user and folder itself, and so lose the
    signal that ends it when the tests are killed."""

    def __init__(self, *hashes):
        self.port = free_port()
        self.home = tempfile.mkdtemp(prefix="tarn-opentracker-")
        os.chmod(self.home, 0o755)
        whitelist = Path(self.home, "whitelist")
        whitelist.write_text("".join(h.hex() + "\n" for h in hashes))
        whitelist.chmod(0o644)
        port = str(self.port)
        plain = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        super().__init__(
            ["opentracker", "-i", "127.0.0.1", "-p", port, "-P", port, "-d", self.home]
            + ["-w", "whitelist"],
            **(plain if os.getuid() == 0 else {}),
        )
        try:
            self.wait_until(lambda: listens(self.port), "opentracker starts")
            # It reads the list on a thread of its own.
            self.wait_until(lambda: self.knows(hashes[-1]), "opentracker reads its whitelist")
        except BaseException:
            self.stop()
            raise

    def knows(self, info_hash):
        """Whether it answers about a torrent; leaves no peer behind."""
        query = urllib.parse.urlencode(
            {
                "info_hash": info_hash,
                "peer_id": b"-XX0000-whitelisted?",
                "port": 1,
                "uploaded": 0,
                "downloaded": 0,
                "left": 1,
                "compact": 1,
                "event": "stopped",
            }
        )
        with urllib.request.urlopen(f"{self.url}?{query}", timeout=10) as answer:
            return b"failure" not in answer.read()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/announce"

    def stop(self):
        super().stop()
        shutil.rmtree(self.home, ignore_errors=True)
