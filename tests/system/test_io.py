"""The ways files are sent and written (--io): what arrives is the same, whatever becomes of the disk
and of the files."""
import os
import random

import pytest
from faults import small_disk
from program import NO_SPACE, run
from test_transfer import fetch, seed

WAYS = ["auto", "mmap", "pread"]


def same_files(one, other):
    names = [p.relative_to(one) for p in sorted(one.rglob("*")) if p.is_file()]
    assert names == [p.relative_to(other) for p in sorted(other.rglob("*")) if p.is_file()]
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture(scope="module")
def payload(tmp_path_factory):
    """Long files, and hundreds that are much shorter than a block; at odd lengths."""
    rng = random.Random(1)
    place = tmp_path_factory.mktemp("io")
    data = place / "payload"
    data.mkdir()
    for name, length in {"long": 5_000_001, "page": 4096, "short": 70_007}.items():
        (data / name).write_bytes(rng.randbytes(length))
    for i in range(700):
        (data / f"tiny-{i:03}").write_bytes(rng.randbytes(rng.randrange(1, 300)))
    run("create", data, "-o", place / "payload.torrent", "--format", "v1", "--piece-length", "256K")
    return place


@pytest.mark.parametrize("there", WAYS)
@pytest.mark.parametrize("here", WAYS)
def test_the_same_arrives(payload, tmp_path, there, here):
    with seed(payload / "payload.torrent", payload, f"--io={there}") as source:
        fetch(payload / "payload.torrent", tmp_path, "--peer", source.address, f"--io={here}")
    same_files(payload / "payload", tmp_path / "payload")


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk(payload, tmp_path, way):
    """More than fits, and room that goes while it arrives (tmpfs gives none for holes): an error
    that says so, and never a signal."""
    with seed(payload / "payload.torrent", payload) as source, small_disk(tmp_path / "d", "3m") as d:
        done = fetch(payload / "payload.torrent", d, "--peer", source.address, f"--io={way}",
                     code=NO_SPACE)
        assert "no space left" in str(done.error).lower() or "free" in str(done.error)


@pytest.mark.parametrize("way", WAYS)
def test_cut_short_while_it_is_seeded(tmp_path, way):
    """A peer gets what is there, and the rest when the file is whole again; the seed says what is
    wrong and lives."""
    torrent, data = tmp_path / "t.torrent", tmp_path / "data"
    whole = random.Random(2).randbytes(8_000_001)
    data.write_bytes(whole)
    run("create", data, "-o", torrent, "--piece-length", "64K")
    with seed(torrent, data, f"--io={way}") as source:
        fetch(torrent, tmp_path / "first", "--peer", source.address)
        os.truncate(data, 3_000_001)
        fetch(torrent, tmp_path / "second", "--peer", source.address, "--patience=3", code=None)
        assert source.process.poll() is None
        assert any("shorter" in line.get("text", "") or "ends at" in line.get("text", "")
                   for line in source.lines), source.lines
        with open(data, "r+b") as f:
            f.write(whole)
        fetch(torrent, tmp_path / "second", "--peer", source.address)
    assert (tmp_path / "first/data").read_bytes() == whole
    assert (tmp_path / "second/data").read_bytes() == whole


@pytest.mark.parametrize("way", WAYS)
def test_replaced_while_it_is_seeded(tmp_path, way):
    """What was checked is what is served: the seed keeps the file that it opened."""
    torrent, data = tmp_path / "t.torrent", tmp_path / "data"
    whole = random.Random(3).randbytes(3_000_001)
    data.write_bytes(whole)
    run("create", data, "-o", torrent)
    with seed(torrent, data, f"--io={way}") as source:
        fetch(torrent, tmp_path / "first", "--peer", source.address)
        (tmp_path / "new").write_bytes(random.Random(4).randbytes(3_000_001))
        os.replace(tmp_path / "new", data)
        fetch(torrent, tmp_path / "second", "--peer", source.address)
    assert (tmp_path / "second/data").read_bytes() == whole
