"""Fixtures of the tests of the program."""
import shutil
import tempfile
from pathlib import Path

import pytest
from daemon import TARND
from nodes import Node, started
from program import TARN, TREE, fill, run


@pytest.fixture
def tree(tmp_path):
    """A folder of files with awkward lengths and names."""
    root = tmp_path / "tree"
    for seed, (path, length) in enumerate(TREE.items()):
        fill(root / path, length, seed)
    return root


@pytest.fixture
def create(tmp_path):
    """Make a torrent: create(path, "--format", "v1") gives its path."""

    def make(path, *options, name="out.torrent"):
        out = tmp_path / name
        run("create", path, "-o", out, "--force", *options)
        return out

    return make


@pytest.fixture
def start(short_home):
    """Start a node: start("--some=option"). All are stopped in the end."""
    with started(Node, short_home) as make:
        yield make


@pytest.fixture
def open_folder():
    """One that anybody may enter, with the programs in it: the folder that they were built in may be
    closed to others."""
    with tempfile.TemporaryDirectory(prefix="tarn-open-") as folder:
        Path(folder).chmod(0o755)
        for program in (TARN, TARND):
            Path(shutil.copy(program, folder)).chmod(0o755)
        yield Path(folder)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ["COLUMNS", "NO_COLOR", "TARN_LANES"]:
        monkeypatch.delenv(name, raising=False)
