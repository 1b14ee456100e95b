"""Makes pytest speak TAP when it is run with --tap, so that every test is counted by name."""


def pytest_addoption(parser):
    parser.addoption("--tap", action="store_true", help="print results as TAP")


class Tap:
    def __init__(self):
        self.results = []

    def pytest_runtest_logreport(self, report):
        failed_outside = report.when != "call" and report.outcome == "failed"
        skipped = report.when == "setup" and report.skipped
        if report.when == "call" or failed_outside or skipped:
            self.results.append(report)

    def pytest_sessionfinish(self, session):
        print("TAP version 13")
        for number, report in enumerate(self.results, 1):
            verdict = "not ok" if report.failed else "ok"
            skip = " # SKIP" if report.skipped else ""
            print(f"{verdict} {number} - {report.nodeid.replace('#', '_')}{skip}")
            for line in str(report.longrepr or "").splitlines():
                print(f"# {line}")
        print(f"1..{len(self.results)}")


def pytest_configure(config):
    if config.getoption("--tap"):
        config.option.verbose = -2
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(Tap())
