"""The programs in examples/, which know <tarn/tarn.h> alone."""
import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from program import INTEGRITY, NOT_FOUND, damage, fill, run
from programs import PATIENCE, end, wait_until

EXAMPLES = Path(os.environ.get("TARN_EXAMPLES", "build-test/examples"))


def example(name, *words):
    return subprocess.run([EXAMPLES / name, *map(str, words)], capture_output=True, text=True)


def test_make_and_check(tree, tmp_path):
    torrent = tmp_path / "x.torrent"
    made = example("make_torrent", tree, torrent)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == run("show", "--json", torrent).lines[0]["magnet"]
    checked = example("check_data", torrent, tree)
    assert checked.returncode == 0 and checked.stdout.startswith("all ")
    damage(tree / "a.bin", 7)
    checked = example("check_data", torrent, tree)
    assert checked.returncode == INTEGRITY and "tree/a.bin: " in checked.stdout
    assert example("make_torrent", tmp_path / "nowhere", torrent).returncode == NOT_FOUND


def test_seed_folder(tmp_path):
    """A hundred torrents from one port; what is in the state is not read again."""
    torrents, data = tmp_path / "torrents", tmp_path / "data"
    torrents.mkdir()
    for i in range(100):
        fill(data / f"file{i}", 70000 + i, seed=i)
        run("create", data / f"file{i}", "-o", torrents / f"{i}.torrent",
            "--format", ["v1", "v2", "hybrid"][i % 3])
    for _ in range(2):
        seed = subprocess.Popen(
            [EXAMPLES / "seed_folder", torrents, data, "127.0.0.1:0", tmp_path / "state"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        port = seed.stderr.readline().rsplit(":", 1)[1].strip()
        assert seed.stdout.readline().startswith("100 torrents, 0 peers")
        for i in (0, 50, 98):
            run("fetch", torrents / f"{i}.torrent", "-o", tmp_path / "got", "--no-tracker",
                "--peer", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0", "--no-state")
            assert (tmp_path / "got" / f"file{i}").read_bytes() == (data / f"file{i}").read_bytes()
            (tmp_path / "got" / f"file{i}").unlink()
        seed.terminate()
        last, trouble = seed.communicate(timeout=60)
        assert seed.returncode == 0 and trouble == "", trouble
        sent = sum(70000 + i for i in (0, 50, 98))
        assert f"{sent} bytes sent" in last


@pytest.mark.skipif(not (EXAMPLES.parent / "tarnd").exists(), reason="built without the node")
def test_publish_folder(tmp_path):
    """A node in a program of somebody else's; what it knows is there again the next time."""
    www = tmp_path / "www"
    fill(www / "a.bin", 70000, seed=1)

    def get(url):
        try:
            with urllib.request.urlopen(f"{url}c/www/a.bin") as answer:
                return answer.read()
        except urllib.error.HTTPError as refusal:
            assert refusal.code in (404, 503)  # not listed yet, or still being read
            return None

    with tempfile.TemporaryDirectory(prefix="tarn-example-") as state:
        for _ in range(2):
            node = subprocess.Popen(
                [EXAMPLES / "publish_folder", www, state, "http.listen=127.0.0.1:0",
                 "bt.listen=off", "catalog.quiet=1"], stdout=subprocess.PIPE, text=True)
            try:
                url = node.stdout.readline().strip()
                wait_until(lambda: get(url) == (www / "a.bin").read_bytes(), "it is published")
            finally:
                end(node, PATIENCE)
            assert node.returncode == 0
    refused = example("publish_folder", tmp_path / "nowhere", tmp_path / "s", "http.listen=off")
    assert refused.returncode != 0 and "nowhere" in refused.stderr
