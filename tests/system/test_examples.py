"""The programs in examples/, which know <tarn/tarn.h> alone."""
import os
import subprocess
from pathlib import Path

from program import INTEGRITY, NOT_FOUND, damage, run

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
