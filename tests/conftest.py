"""Makes pytest speak TAP when it is run with --tap, so that every test is counted by name; runs a part of
a file with --shard; and lends tests a payload with its torrent."""
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("samples", "programs", "peers", "fakepeer", "webserver")

from samples import Sample, with_tarn  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--tap", action="store_true", help="print results as TAP")
    parser.addoption("--shard", default="1/1", metavar="I/N",
                     help="run every N-th test, from the I-th: what others run beside it")


class Tap:
    """Results as they come, so that a run which hangs has told the ones before."""

    def __init__(self):
        self.count = 0

    def pytest_sessionstart(self):
        print("TAP version 13", flush=True)

    def pytest_collectreport(self, report):
        """A file that cannot even be read is a failure, not zero tests."""
        if report.failed:
            self.tell(report)

    def pytest_runtest_logreport(self, report):
        failed_outside = report.when != "call" and report.outcome == "failed"
        skipped = report.when == "setup" and report.skipped
        if report.when == "call" or failed_outside or skipped:
            self.tell(report)

    def tell(self, report):
        self.count += 1
        verdict = "not ok" if report.failed else "ok"
        skip = " # SKIP" if report.skipped else ""
        print(f"{verdict} {self.count} - {report.nodeid.replace('#', '_')}{skip}")
        for line in report.longreprtext.splitlines():
            print(f"# {line}")
        print(end="", flush=True)

    def pytest_sessionfinish(self):
        print(f"1..{self.count}", flush=True)


@pytest.hookimpl(trylast=True)  # after the terminal reporter has been registered
def pytest_configure(config):
    if config.getoption("--tap"):
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(Tap())


@pytest.hookimpl(trylast=True)  # of what -k and the like leave
def pytest_collection_modifyitems(config, items):
    """Neighbours, which often are cases of one test and take as long, come into different shards."""
    i, n = map(int, config.getoption("--shard").split("/"))
    if not 1 <= i <= n:
        raise pytest.UsageError("--shard I/N: I is 1 to N")
    items[:] = items[i - 1 :: n]


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Nothing of a test is remembered by another, or by the user who runs them."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TARN_HOME", str(folder))
    return folder


@pytest.fixture
def short_home():
    """For a node's state: the path of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tarn-home-") as folder:
        yield Path(folder)


@pytest.fixture
def sample(tmp_path):
    def make(shape="folder", kind="hybrid", create=with_tarn):
        return Sample(tmp_path, shape, kind, create)

    return make
