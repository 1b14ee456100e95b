"""Payloads and torrents that all interop tests share."""
import random
import subprocess
from pathlib import Path

import libtorrent as lt
import pytest
from peers import TARN


def fill(path, length, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(length))


FOLDER = {
    "a.bin": 50_000,
    "empty": 0,
    "sub/one byte": 1,
    "sub/exactly one piece": 32_768,
    "sub/deeper/piece plus one": 32_769,
    "ünïcode/日本.bin": 1_234_567,
    "zz.bin": 3 * 1024 * 1024 + 7,
}


def make_folder(root, name="payload"):
    for seed, (path, length) in enumerate(FOLDER.items()):
        fill(root / name / path, length, seed)
    return root / name


def make_file(root, name="single.bin", length=5_000_011):
    fill(root / name, length, 99)
    return root / name


def tarn_create(path, out, *options):
    done = subprocess.run(
        [TARN, "create", str(path), "-o", str(out), *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


def contents(root):
    """Every regular file below root: its path and bytes."""
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


class Sample:
    """A payload in `home`, with its torrent."""

    def __init__(self, folder, shape, kind, *options):
        self.home = folder / "home"
        self.home.mkdir()
        self.payload = make_folder(self.home) if shape == "folder" else make_file(self.home)
        self.torrent = folder / f"{shape}-{kind}.torrent"
        tarn_create(
            self.payload, self.torrent, "--format", kind, "--piece-length", "32768", *options
        )

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

    def assert_same(self, into, ignore=lambda path: False):
        got = {p: b for p, b in contents(Path(into)).items() if not ignore(p)}
        assert got.keys() == contents(self.home).keys()
        assert got == contents(self.home)


@pytest.fixture
def sample(tmp_path):
    def make(shape="folder", kind="hybrid", *options):
        return Sample(tmp_path, shape, kind, *options)

    return make
