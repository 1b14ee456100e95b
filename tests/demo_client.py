"""A stock BitTorrent client for the demo: libtorrent, which qBittorrent and Deluge are made of.

    demo_client.py TORRENT PATH FOLDER PEER

Fetches the one file of the torrent that is called PATH (with the torrent's name in front) into
FOLDER, from PEER alone."""
import sys
import time

import libtorrent as lt
from programs import wait_until

PATIENCE_S = 60  # without progress


def main():
    torrent, path, folder, peer = sys.argv[1:]
    host, _, port = peer.rpartition(":")
    info = lt.torrent_info(torrent)
    files = info.files()
    wanted = [int(files.file_path(i) == path) * 4 for i in range(files.num_files())]
    session = lt.session({
        "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "alert_mask": 0,
        "allow_multiple_connections_per_ip": True,
    })
    handle = session.add_torrent({"ti": info, "save_path": folder, "file_priorities": wanted})
    handle.connect_peer((host, int(port)))
    began = time.monotonic()

    def finished():
        status = handle.status()
        return status.is_finished and status.total_wanted

    def so_far():
        status = handle.status()
        return f"{status.state}, {status.total_wanted_done} of {status.total_wanted} bytes"

    try:
        size = wait_until(finished, so_far, PATIENCE_S, lambda: handle.status().total_wanted_done)
    except AssertionError as why:
        sys.exit(str(why))
    took = time.monotonic() - began
    print(f"libtorrent {lt.version}: {size} bytes in {took:.2f} s, every piece verified")


if __name__ == "__main__":
    main()
