"""The raw requests of tests/http/cases.py, played to the server room alone and to a node."""
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from daemon import TARND
from nodes import Node
from programs import PATIENCE, Program

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))
from cases import CASES, MUST, SAFE, SHOULD  # noqa: E402
from check import is_good, names_for, play, wanted  # noqa: E402

SERVE = os.path.abspath(os.environ.get("HTTP_SERVE", "build-test/bench/http_serve"))


class Serve(Program):
    def __init__(self, folder):
        super().__init__([SERVE, "-a", "127.0.0.1:0", "-n", "1", folder])
        told = self.wait_until(lambda: re.search(r"port (\d+)\n", self.output()), "saying its port")
        self.port = int(told[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "www"
    folder.mkdir()
    (folder / "file.txt").write_bytes(b"0123456789abcdef" * 1000)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with Serve(folder) as serve:
        yield serve
        assert serve.process.poll() is None, serve.output()


@pytest.fixture(scope="module")
def node(folder):
    with tempfile.TemporaryDirectory(prefix="tarn-cases-") as home, Node(Path(home)) as node:
        node.wait_runs().publish(folder)
        node.wait_complete("www")
        yield node
        assert node.process.poll() is None, node.output()


def check(case, port, path):
    address = ("127.0.0.1", port)
    outcome = play(case, address, names_for(address, path), PATIENCE)
    assert is_good(case, outcome), f"{case.why}: got {outcome}, wanted {wanted(case)}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.level}-{case.name}")
def test_case(server, case):
    check(case, server.port, "/file.txt")


@pytest.mark.skipif(not os.path.exists(TARND), reason="this tarn was built without the node")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.level}-{case.name}")
def test_case_of_node(node, case):
    check(case, node.port(), "/c/www/file.txt")


def test_there_are_enough():
    """The list is not cut by an accident of importing."""
    assert len({case.name for case in CASES}) == len(CASES) >= 240
    assert {case.level for case in CASES} == {MUST, SHOULD, SAFE}
