"""The daemon's life: starting, refusing to start, reloading, stopping, and what systemd hears."""
import json
import os
import signal
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path

import pytest
from daemon import TARND, Tarnd
from nodes import started
from program import DAEMON, NOT_FOUND, USAGE, run
from programs import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def short_home(short_home, monkeypatch):
    monkeypatch.setenv("TARN_HOME", str(short_home))
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    return short_home


@pytest.fixture
def start(short_home):
    with started(Tarnd, short_home) as make:
        yield make


def refused(daemon, *words, code=USAGE):
    assert daemon.wait() == code, daemon.output()
    text = daemon.output()
    assert all(word in text for word in words), text
    assert "Traceback" not in text and len(text.splitlines()) == 1
    return text


def health(daemon):
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port()}/healthz") as answer:
        return answer.read()


# Starting


def test_starts_and_stops(start, short_home):
    daemon = start().wait_runs()
    assert health(daemon) == b"ok\n"
    status = daemon.status()
    assert status["pid"] == daemon.process.pid and status["state"] == "running"
    token, lock = short_home / "token", short_home / "lock"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE((short_home / "tarn.sock").stat().st_mode) in (0o600, 0o660)
    assert int(lock.read_text()) == daemon.process.pid
    secret = token.read_text().strip()
    assert len(secret) == 64 and secret not in daemon.output()
    daemon.process.terminate()
    assert daemon.wait() == 0


def test_state_folder_is_private(start, short_home):
    home = short_home / "made"
    start(home=home).wait_runs()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_second_daemon(start):
    first = start().wait_runs()
    refused(start(), f"another node uses it: pid {first.process.pid}", "TARN_HOME")
    assert health(first) == b"ok\n"


def test_lock_of_a_killed_one(start):
    first = start().wait_runs()
    first.process.kill()
    first.wait()
    second = start().wait_runs()
    assert second.status()["pid"] == second.process.pid


def test_port_taken(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(start(f"--http-listen=127.0.0.1:{port}"), f"127.0.0.1:{port}", "http.listen",
                "ss -ltnp")
        refused(start(f"--admin-listen=127.0.0.1:{port}"), "admin.listen")


def test_unwritable_state_folder(start, short_home):
    (short_home / "file").write_text("x")
    refused(start(home=short_home / "file"), "cannot use the state folder", "TARN_HOME")
    refused(start(home="/proc/tarn"), "cannot use the state folder '/proc/tarn'")
    (short_home / "open").mkdir()
    (short_home / "open").chmod(0o777)
    refused(start(home=short_home / "open"), "others may write to it", "chmod go-w")


def test_usage():
    for words in (["--nonsense=1"], ["x"], ["--http-listen"], ["--http-loops=many"], ["--"]):
        done = subprocess.run([TARND, *words], capture_output=True, text=True)
        assert done.returncode == USAGE and done.stderr.startswith("tarnd: "), words
    done = subprocess.run([TARND, "--help"], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) <= 24 and max(map(len, lines)) <= 80
    done = subprocess.run([TARND, "--version"], capture_output=True, text=True)
    assert done.stdout == f"tarnd {run('version').text.split()[1]}\n"


# Configuration


def check(path):
    return subprocess.run([TARND, "--check-config", f"--config={path}"], capture_output=True,
                          text=True)


def test_check_config(tmp_path):
    path = tmp_path / "tarn.conf"
    path.write_text("[http]\nlisten = 127.0.0.1:1\n[collection a]\npath = /srv\n")
    assert check(path).returncode == 0
    path.write_text("[http]\nlisen = 1\nloops = x\n")
    done = check(path)
    assert done.returncode == USAGE
    assert done.stderr.splitlines() == [
        f"tarnd: {path}:2: there is no setting http.lisen; did you mean http.listen?",
        f"tarnd: {path}:3: http.loops wants a number from 0 to 64, or auto, not 'x'",
    ]
    told = run("config", "check", "--config", path, code=USAGE).text.splitlines()
    assert told == [line.removeprefix("tarnd: ") for line in done.stderr.splitlines()]


def test_configuration_that_is_missing(start, tmp_path):
    assert check(tmp_path / "missing").returncode == USAGE
    refused(start("--config", tmp_path / "missing"), "cannot read the configuration")


def test_bad_configuration_at_start(start, tmp_path):
    path = tmp_path / "tarn.conf"
    path.write_text("[log]\nlevel = loud\n")
    refused(start("--config", path), f"{path}:2: log.level wants one of")


def test_config_show(tmp_path, monkeypatch):
    path = tmp_path / "tarn.conf"
    path.write_text("[http]\nloops = 2\n[bt]\npeers = 7\n[collection a]\npath = /srv\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "x.conf").write_text("[http]\nloops = 3\n")
    monkeypatch.setenv("TARN_BT_SLOTS", "9")
    words = ["config", "show", "--origin", "--config", path, "--set", "log.level=debug"]
    shown = {line.split("\t")[0]: line.split("\t")[1:] for line in run(*words).text.splitlines()}
    assert shown["http.loops"] == ["3", f"{tmp_path}/conf.d/x.conf:2"]
    assert shown["bt.peers"] == ["7", f"{path}:4"]
    assert shown["bt.slots"] == ["9", "TARN_BT_SLOTS"]
    assert shown["log.level"] == ["debug", "flag"]
    assert shown["bt.memory"] == ["64M", "built-in"]
    assert shown["collection.a.path"] == ["/srv", f"{path}:5"]
    lines = run(*words, "--json").lines
    assert {"v": 1, "type": "setting", "key": "bt.peers", "value": "7", "origin": f"{path}:4",
            "kind": "number", "reloadable": False,
            "help": "connections with peers at a time"} in lines
    run("config", "nonsense", code=USAGE)


def test_documentation_is_up_to_date():
    done = subprocess.run([TARND, "--generate", "docs"], capture_output=True, text=True)
    assert done.stdout == (ROOT / "docs" / "configuration.md").read_text()


# Signals


def test_reload(start, tmp_path):
    path = tmp_path / "tarn.conf"
    path.write_text("")
    daemon = start("--config", path).wait_runs()
    path.write_text("[log]\nformat = json\n[http]\nloops = 2\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_said("the configuration was read anew")
    assert "http.loops and what else is not marked HUP waits for the next start" in daemon.output()
    last = json.loads(daemon.output().splitlines()[-1])
    assert last["level"] == "notice" and last["about"] == "config"
    path.write_text("[log]\nformat = loud\n[nonsense]\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_said("the old one stays")
    assert f"{path}:2: log.format wants one of: text json, not 'loud'" in daemon.output()
    assert f"{path}:3: there is no section" in daemon.output()
    assert daemon.output().splitlines()[-1].startswith("{")  # as before
    assert health(daemon) == b"ok\n"


def test_many_reloads_under_requests(start, tmp_path):
    daemon = start("--http-loops=2").wait_runs()
    for _ in range(30):
        daemon.process.send_signal(signal.SIGHUP)
        assert health(daemon) == b"ok\n"
    daemon.process.terminate()
    assert daemon.wait() == 0


def test_logs_are_reopened(start, tmp_path):
    log = tmp_path / "access.log"
    daemon = start(f"--http-access-log={log}", "--http-access-log-format=json").wait_runs()
    health(daemon)
    log.rename(tmp_path / "old.log")
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.wait_said("log files were opened anew")
    health(daemon)
    daemon.process.terminate()
    assert daemon.wait() == 0
    new, old = log.read_text().splitlines(), (tmp_path / "old.log").read_text().splitlines()
    assert new and len(old + new) == 2  # lines wait for a moment before they are written
    assert all("/healthz" in line and json.loads(line)["status"] == 200 for line in old + new)


def test_log_that_cannot_be_written(start):
    refused(start("--http-access-log=/nonexistent/log"), "http.access_log", "/nonexistent/log")


def busy(daemon):
    """A client in the middle of a request."""
    client = socket.create_connection(("127.0.0.1", daemon.port()))
    client.sendall(b"GET /healthz HTTP/1.1\r\nHo")
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_while_busy(start, number):
    daemon = start().wait_runs()
    with busy(daemon):
        daemon.process.send_signal(number)
        assert daemon.wait() == 0
    assert "stopping" in daemon.output()


def test_second_signal_stops_at_once(start):
    daemon = start().wait_runs()
    with busy(daemon):
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_said("stopping")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0


# TLS


@pytest.fixture
def certify(tmp_path):
    def make(name, to="node"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}", "-keyout", tmp_path / f"{to}.key",
                        "-out", tmp_path / f"{to}.pem"], check=True, capture_output=True)
        (tmp_path / f"{to}.key").chmod(0o600)
        return [f"--http-tls-cert={tmp_path / 'node.pem'}",
                f"--http-tls-key={tmp_path / 'node.key'}"]

    return make


def healthy_as(name, daemon, certificate):
    port = daemon.port()
    done = subprocess.run(["curl", "-s", "--cacert", certificate, "--connect-to",
                           f"{name}:443:127.0.0.1:{port}", f"https://{name}/healthz"],
                          capture_output=True)
    return done.returncode == 0 and done.stdout == b"ok\n"


def test_tls_and_a_new_certificate(start, certify, tmp_path):
    certificate = tmp_path / "node.pem"
    daemon = start("--http-loops=2", *certify("one.example")).wait_runs()
    assert daemon.status()["http"]["urls"][0].startswith("https://127.0.0.1:")
    assert healthy_as("one.example", daemon, certificate)
    certify("two.example")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_said("the configuration was read anew")
    wait_until(lambda: healthy_as("two.example", daemon, certificate), "the new certificate")
    good = certificate.read_text()
    certificate.write_text("nonsense")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_said("the old one stays")
    kept = tmp_path / "kept.pem"
    kept.write_text(good)
    assert healthy_as("two.example", daemon, kept)


def test_tls_that_cannot_be(start, certify, tmp_path):
    options = certify("one.example")
    refused(start(options[0]), "belong together")
    (tmp_path / "node.key").chmod(0o644)
    refused(start(*options), "http.tls_key", "node.key")
    refused(start(f"--http-tls-cert={tmp_path}/none", options[1]), "http.tls_cert")


# systemd


@pytest.fixture
def notified(short_home):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        path = str(short_home / "notify")
        heard.bind(path)
        heard.settimeout(PATIENCE)
        yield path, lambda: dict(
            line.split("=", 1) for line in heard.recv(4096).decode().splitlines())


def wait_heard(hear, key, value=None):
    while True:
        message = hear()
        if key in message and value in (None, message[key]):
            return message


def test_notify(start, notified, tmp_path):
    path, hear = notified
    config = tmp_path / "tarn.conf"
    config.write_text("")
    daemon = start("--config", config, environment={"NOTIFY_SOCKET": path})
    ready = wait_heard(hear, "READY", "1")
    assert ready["STATUS"].startswith("running, at http://127.0.0.1:")
    before = int(Path("/proc/uptime").read_text().split(".")[0]) - 1
    for text in ("", "[nonsense"):  # a bad one ends in READY too
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        reloading = wait_heard(hear, "RELOADING", "1")
        assert int(reloading["MONOTONIC_USEC"]) >= before * 1000000
        wait_heard(hear, "READY", "1")
    daemon.process.terminate()
    assert wait_heard(hear, "STOPPING", "1")["STATUS"].startswith("stopping")
    assert daemon.wait() == 0


def test_watchdog(start, notified):
    path, hear = notified
    start(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
    for _ in range(3):
        wait_heard(hear, "WATCHDOG", "1")


def test_journal_lines(start, tmp_path):
    with open(tmp_path / "journal", "w+b") as log:
        is_it = os.fstat(log.fileno())
        daemon = start(environment={"JOURNAL_STREAM": f"{is_it.st_dev}:{is_it.st_ino}"},
                       log_file=log)
        daemon.wait_runs()
        assert daemon.output().startswith("<5>node: tarn ")
        daemon.process.terminate()
        daemon.wait()


def listening():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    return s


def test_socket_activation(start, short_home):
    control_path = short_home / "activated.sock"
    with listening() as web, listening() as admin, socket.socket(socket.AF_UNIX) as control:
        control.bind(str(control_path))
        control.listen()
        start(sockets={"http": web, "admin": admin, "control": control}).wait_runs()
        url = f"http://127.0.0.1:{web.getsockname()[1]}/"
        with urllib.request.urlopen(url + "healthz") as answer:
            assert answer.read() == b"ok\n"
        done = subprocess.run(["curl", "-s", "--unix-socket", control_path,
                               "http://tarn/v1/status"], capture_output=True, check=True)
        assert json.loads(done.stdout)["http"]["urls"] == [url]
        assert not (short_home / "tarn.sock").exists()


def test_activation_by_nothing(start):
    refused(start(environment={"LISTEN_FDS": "many"}), "LISTEN_FDS")
    refused(start(environment={"LISTEN_FDS": "30"}), "LISTEN_FDS", "is not open")


@pytest.mark.skipif(subprocess.run(["which", "systemd-analyze"], capture_output=True).returncode,
                    reason="no systemd-analyze")
def test_units(tmp_path):
    """The units are what systemd takes, with the program where the build has it."""
    for unit in (ROOT / "packaging" / "systemd").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/bin/tarnd", TARND))
    units = sorted(tmp_path.glob("*.s*"))
    assert units
    done = subprocess.run(["systemd-analyze", "--man=no", "verify", *units], capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    faults = [line for line in done.stderr.splitlines() if "notify-reload" not in line]
    assert done.returncode == 0 and faults == [], done.stderr  # 252 does not know it, and goes on


# Control


def test_no_daemon():
    done = run("status", code=DAEMON)
    assert "is one running?" in done.words and "tarn.sock" in done.words
    error = run("ls", "--json", code=DAEMON).error
    assert error["code"] == "daemon"


def test_status_of_a_daemon(start):
    daemon = start().wait_runs()
    told = run("status").text
    assert f"pid {daemon.process.pid}, running" in told
    line = run("status", "--json").lines[0]
    assert line["type"] == "status" and line["pid"] == daemon.process.pid


def test_what_a_daemon_refuses(start):
    start().wait_runs()
    run("ls", "nonsense", code=NOT_FOUND)
