"""Random small trees: tarn and libtorrent 2 make the same torrents, wherever the rules agree.

They agree on v2 and hybrid, and on v1 once both have the same order of files. Where they do not:

- Order in v1, which BEP 3 leaves open. We sort as the v2 tree does: element by element, raw bytes.
  libtorrent lists files as readdir found them, so that the same files give other torrents on other
  disks. Here it is given our order. In v2 and hybrid there is only one legal order, and both have it.
- Symbolic links: libtorrent follows them unless told otherwise, we leave them out.
- Names that are not UTF-8: libtorrent writes them as they are, we refuse (tests/system).

So there are no links here, and names are clean ones, odd but legal."""
import os
import random

import libtorrent as lt
import pytest
from programs import tarn_create, tarn_run
from samples import LT_FLAGS

ROUNDS = int(os.environ.get("TARN_ROUNDS", "40"))
SEED = int(os.environ.get("TARN_SEED", "1"))  # each round prints its own; any can be run alone

LETTERS = "abcXYZ019 -_+~'!()éßж日本𝄞e\u0301"


def random_name(rng, taken):
    while True:
        name = "".join(rng.choices(LETTERS, k=rng.choice([1, 1, 2, 3, 8, 40]))).strip()
        if name and name not in taken:
            taken.add(name)
            return name


def random_length(rng, piece_length):
    near = rng.choice([0, 1, 16384, piece_length, 2 * piece_length, 3 * piece_length + 16384])
    return max(0, near + rng.choice([-1, 0, 0, 1, rng.randrange(5000)]))


def random_tree(rng, root, piece_length, depth=0):
    """Files below root; never only empty ones."""
    taken = set()
    root.mkdir()
    for _ in range(rng.choice([1, 2, 3, 6])):
        path = root / random_name(rng, taken)
        if depth < 3 and rng.random() < 0.3:
            random_tree(rng, path, piece_length, depth + 1)
        else:
            path.write_bytes(rng.randbytes(random_length(rng, piece_length)))
            path.chmod(rng.choice([0o644, 0o644, 0o755]))
    (root / random_name(rng, taken)).write_bytes(b"never empty")


def in_our_order(root):
    if root.is_file():
        return [root]
    return sorted(
        (p for p in root.rglob("*") if p.is_file()),
        key=lambda p: [os.fsencode(part) for part in p.relative_to(root).parts],
    )


def by_libtorrent(root, kind, piece_length, out):
    files = lt.file_storage()
    for path in in_our_order(root):
        stat = path.stat()
        flags = lt.file_storage.flag_executable if stat.st_mode & 0o100 else 0
        files.add_file(str(path.relative_to(root.parent)), stat.st_size, flags)
    torrent = lt.create_torrent(files, piece_length, flags=LT_FLAGS[kind])
    lt.set_piece_hashes(torrent, str(root.parent))
    out.write_bytes(lt.bencode(torrent.generate()))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_random_tree(tmp_path, number):
    seed = SEED * 1_000_000 + number
    print(f"TARN_SEED={SEED}, round {number}")
    rng = random.Random(seed)
    piece_length = rng.choice([16384, 16384, 32768, 65536])
    root = tmp_path / random_name(rng, set())
    if rng.random() < 0.15:
        root.write_bytes(rng.randbytes(random_length(rng, piece_length) + 1))
        root.chmod(rng.choice([0o644, 0o755]))
    else:
        random_tree(rng, root, piece_length)
    for kind in ("v1", "v2", "hybrid"):
        ours, theirs = tmp_path / f"ours-{kind}", tmp_path / f"theirs-{kind}"
        tarn_create(root, ours, kind, "--piece-length", str(piece_length))
        by_libtorrent(root, kind, piece_length, theirs)
        assert lt.bdecode(ours.read_bytes())[b"info"] == lt.bdecode(theirs.read_bytes())[b"info"]
        assert_same(ours, theirs)
        done = tarn_run("verify", theirs, root)
        assert done.returncode == 0, f"theirs is not good for us: {done.stdout}{done.stderr}"


def assert_same(ours, theirs):
    """The hashes, and the layers, which no hash of the info dictionary covers."""
    one, two = lt.torrent_info(str(ours)), lt.torrent_info(str(theirs))
    assert one.info_hashes().v1 == two.info_hashes().v1
    assert one.info_hashes().v2 == two.info_hashes().v2
    layers = [lt.bdecode(path.read_bytes()).get(b"piece layers", {}) for path in (ours, theirs)]
    assert layers[0] == layers[1]
