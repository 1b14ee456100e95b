#!/usr/bin/python3
"""libtorrent's part: do one piece of work and print what it cost, without Python's own start.

    lt.py create PATH KIND PIECE_LENGTH OUT
    lt.py verify TORRENT SAVE_PATH THREADS
"""
import json
import resource
import sys
import time
from pathlib import Path

import libtorrent as lt

FLAGS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}


def create(path, kind, piece_length, out):
    path = Path(path)
    files = lt.file_storage()
    lt.add_files(files, str(path))
    torrent = lt.create_torrent(files, int(piece_length), flags=FLAGS[kind])
    lt.set_piece_hashes(torrent, str(path.parent))
    Path(out).write_bytes(lt.bencode(torrent.generate()))


def session(threads):
    return lt.session(
        {
            "listen_interfaces": "",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "hashing_threads": int(threads),
            "alert_mask": lt.alert.category_t.status_notification
            | lt.alert.category_t.error_notification,
        }
    )


def verify(session, torrent, save_path):
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = save_path
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = session.add_torrent(params)
    while not any(isinstance(a, lt.torrent_checked_alert) for a in session.pop_alerts()):
        session.wait_for_alert(10_000)
    status = handle.status()
    if not status.is_seeding:
        sys.exit(f"libtorrent found only {status.num_pieces} pieces good")


def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024


def measured(work, *arguments):
    before = {field: memory(field) for field in ("VmRSS", "RssAnon")}
    Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM is of the work alone
    start, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    work(*arguments)
    end, now = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall": end - start,
        "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        "peak": memory("VmHWM") - before["VmRSS"],
        "anon_before": before["RssAnon"],
    }


def main():
    what, *arguments = sys.argv[1:]
    if what == "create":
        result = measured(create, *arguments)
    else:
        torrent, save_path, threads = arguments
        result = measured(verify, session(threads), torrent, save_path)
    print(json.dumps(result))


main()
