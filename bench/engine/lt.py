#!/usr/bin/python3
"""libtorrent's part: a session of its own process.

    lt.py seed  PRESET TORRENT HOME         serve; prints {"port"}; until standard input ends
    lt.py fetch PRESET TORRENT INTO PORT    fetch from a peer; prints what it cost, without Python
    lt.py many  PRESET FOLDER HOME HOW      seed every torrent of FOLDER, trust or check; what it cost
"""
import json
import resource
import sys
import time
from pathlib import Path

import libtorrent as lt

SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": 2,
    "out_enc_policy": 2,
    "allow_multiple_connections_per_ip": True,
    "connections_limit": 20000,
    "max_peerlist_size": 20000,
    "listen_queue_size": 1000,
    "alert_queue_size": 100000,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
}


def session(preset):
    settings = {} if preset == "default" else dict(getattr(lt, preset)())
    return lt.session({**settings, **SETTINGS})


def params_of(torrent, home, seeds):
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(str(torrent))
    params.save_path = str(home)
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seeds:
        params.flags |= lt.torrent_flags.seed_mode
    params.max_connections = 20000
    return params


def wait(session, is_done):
    """Until an alert for which is_done holds."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        session.wait_for_alert(1000)
        if any([is_done(alert) for alert in session.pop_alerts()]):
            return
    sys.exit("libtorrent takes too long")


def memory():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024


class Cost:
    def __init__(self):
        self.rss = memory()
        self.start, self.used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)

    def print(self):
        end, now = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({
            "wall": end - self.start,
            "cpu": now.ru_utime + now.ru_stime - self.used.ru_utime - self.used.ru_stime,
            "rss": memory() - self.rss,
        }), flush=True)


def seed(preset, torrent, home):
    s = session(preset)
    handle = s.add_torrent(params_of(torrent, home, True))
    while not handle.status().is_seeding:
        time.sleep(0.01)
    print(json.dumps({"port": s.listen_port()}), flush=True)
    while sys.stdin.readline():
        pass


def fetch(preset, torrent, into, port):
    s = session(preset)
    cost = Cost()
    handle = s.add_torrent(params_of(torrent, into, False))
    wait(s, lambda a: isinstance(a, lt.torrent_checked_alert))
    handle.connect_peer(("127.0.0.1", int(port)))
    wait(s, lambda a: isinstance(a, lt.torrent_finished_alert))
    cost.print()


def many(preset, folder, home, how):
    s = session(preset)
    torrents = sorted(Path(folder).glob("*.torrent"))
    cost = Cost()
    for torrent in torrents:
        s.async_add_torrent(params_of(torrent, home, how == "trust"))
    ready, end = 0, time.monotonic() + 300
    while ready < len(torrents):
        if time.monotonic() > end:
            sys.exit(f"libtorrent has only {ready} torrents ready")
        s.wait_for_alert(1000)
        for alert in s.pop_alerts():
            if isinstance(alert, lt.torrent_error_alert):
                sys.exit(alert.message())
            # It tells every change of state: the last is to seeding.
            ready += isinstance(alert, lt.state_changed_alert) and str(alert.state) == "seeding"
    cost.print()


def main():
    what, *arguments = sys.argv[1:]
    {"seed": seed, "fetch": fetch, "many": many}[what](*arguments)


main()
