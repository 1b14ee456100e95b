"""Fixtures of the tests of the program."""
import pytest
from nodes import Node, started
from program import TREE, fill, run


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


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ["COLUMNS", "NO_COLOR", "TARN_LANES"]:
        monkeypatch.delenv(name, raising=False)
