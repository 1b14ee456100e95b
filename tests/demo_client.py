"""A stock BitTorrent client for the demo: libtorrent, which qBittorrent and Deluge are made of.

    demo_client.py TORRENT PATH FOLDER PEER

Fetches the one file of the torrent that is called PATH (with the torrent's name in front) into
FOLDER, from PEER alone."""
import sys
import time

import libtorrent as lt

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
    began = moved = time.monotonic()
    done = -1
    while True:
        status = handle.status()
        if status.total_wanted_done != done:
            done, moved = status.total_wanted_done, time.monotonic()
        if status.is_finished and status.total_wanted > 0:
            break
        if time.monotonic() - moved > PATIENCE_S:
            sys.exit(f"no progress for {PATIENCE_S} s: {status.state}, {done} of {status.total_wanted}")
        time.sleep(0.05)
    size, took = status.total_wanted, time.monotonic() - began
    print(f"libtorrent {lt.version}: {size} bytes in {took:.2f} s, every piece verified")


if __name__ == "__main__":
    main()
