"""Payloads and torrents that tests share."""
import random
from pathlib import Path

import libtorrent as lt
from programs import tarn_create

PIECE = 32768

FOLDER = {
    "a.bin": 50_000,
    "empty": 0,
    "sub/one byte": 1,
    "sub/exactly one piece": PIECE,
    "sub/deeper/piece plus one": PIECE + 1,
    "ünïcode/日本.bin": 1_234_567,
    "zz.bin": 3 * 1024 * 1024 + 7,
}


def fill(path, length, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(length))


def make_folder(root, name="payload"):
    for seed, (path, length) in enumerate(FOLDER.items()):
        fill(root / name / path, length, seed)
    return root / name


def make_file(root, name="single.bin", length=5_000_011):
    fill(root / name, length, 99)
    return root / name


def contents(root):
    """Every regular file below root: its path and bytes."""
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


LT_FLAGS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}


def lt_create(path, out, kind, piece_length=PIECE, trackers=()):
    """What libtorrent makes of it."""
    files = lt.file_storage()
    lt.add_files(files, str(path))
    torrent = lt.create_torrent(files, piece_length, flags=LT_FLAGS[kind])
    for tier, url in enumerate(trackers):
        torrent.add_tracker(url, tier)
    lt.set_piece_hashes(torrent, str(path.parent))
    out.write_bytes(lt.bencode(torrent.generate()))
    return out


def with_tarn(path, out, kind, trackers=()):
    options = [option for url in trackers for option in ("--tracker", url)]
    return tarn_create(path, out, kind, "--piece-length", str(PIECE), *options)


def with_libtorrent(path, out, kind, trackers=()):
    return lt_create(path, out, kind, trackers=trackers)


class Sample:
    """A payload in `home`, with its torrent."""

    def __init__(self, folder, shape, kind, create=with_tarn):
        self.folder, self.shape, self.kind, self.create = folder, shape, kind, create
        self.home = folder / "home"
        self.home.mkdir()
        self.payload = make_folder(self.home) if shape == "folder" else make_file(self.home)
        self.torrent = create(self.payload, folder / f"{shape}-{kind}.torrent", kind)

    def tracked(self, url):
        """The same content, to be announced at a tracker."""
        out = self.folder / f"{self.shape}-{self.kind}-tracked.torrent"
        return self.create(self.payload, out, self.kind, [url])

    @property
    def info(self):
        return lt.torrent_info(str(self.torrent))

    def hashes(self):
        """The 20-byte hashes by which trackers know it."""
        both = self.info.info_hashes()
        found = []
        if both.has_v1():
            found.append(both.v1.to_bytes())
        if both.has_v2():
            found.append(both.v2.to_bytes()[:20])
        return found

    def assert_same(self, into, ignore=lambda path, data: False):
        def kept(root):
            return {p: b for p, b in contents(Path(root)).items() if not ignore(p, b)}

        got, wanted = kept(into), kept(self.home)
        assert sorted(got) == sorted(wanted)
        # File by file: of one comparison of the whole, pytest would print megabytes.
        for path, data in wanted.items():
            assert got[path] == data, f"{path} differs"
