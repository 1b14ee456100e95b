"""The ways files are sent and written (--io): what arrives is the same, whatever becomes of the disk
and of the files."""
import os
import random
import re

import pytest
from faults import small_disk
from program import NO_SPACE, run
from test_transfer import Background, fetch, seed

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
    """In whichever way it would have left: the seed says so, and lives. (What becomes of its pieces is
    in test_seeded_files.)"""
    torrent, data = tmp_path / "t.torrent", tmp_path / "data"
    data.write_bytes(random.Random(2).randbytes(8_000_001))
    run("create", data, "-o", torrent, "--piece-length", "64K")
    with seed(torrent, data, f"--io={way}") as source:
        fetch(torrent, tmp_path / "first", "--peer", source.address)
        os.truncate(data, 3_000_001)
        with Background("fetch", torrent, "-o", tmp_path / "second", "--listen=127.0.0.1:0",
                        "--peer", source.address):
            source.wait_for(lambda line: re.search("has become shorter|was changed|not what they were",
                                                   line.get("text", "")))
        assert source.process.poll() is None
    assert (tmp_path / "first/data").stat().st_size == 8_000_001
