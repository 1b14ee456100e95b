"""A node that is reloaded, restarted and stopped while it is busy: nobody who asked goes without his
answer. And several loops: all of them work, and their figures add up."""
import contextlib
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
from pathlib import Path

import pytest
from program import fill
from programs import PATIENCE, wait_until

MIB = 1 << 20
RELOADS = 20
CROWD, DEPTH = 64, 4
REQUEST = b"GET /c/www/a.bin HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def www(tmp_path):
    root = tmp_path / "www"
    fill(root / "a.bin", 20_000, 1)
    fill(root / "big.bin", 30 * MIB, 2)
    fill(root / "more.bin", 8 * MIB, 3)
    return root


@pytest.fixture
def certify(tmp_path):
    def make(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
                       check=True, capture_output=True)
        (tmp_path / "key").chmod(0o600)

    return make


class Client:
    """One connection that is kept, and several requests on their way at a time."""

    def __init__(self, port, is_tls=False, room=None):
        """room: what may wait in the system to be read."""
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE)
        if room:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.sock.connect(("127.0.0.1", port))
        if is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
        self.rest = bytearray()  # of 30 MiB in parts: bytes would be copied with each
        self.is_last = False  # the server said so

    def ask(self, n):
        self.sock.sendall(REQUEST * n)

    def take(self, body):
        """One answer, which must be this one."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert f"Content-Length: {len(body)}".encode() in head, head
        self.is_last = b"connection: close" in head.lower()
        while len(self.rest) < len(body):
            self._more()
        assert self.rest[: len(body)] == body
        del self.rest[: len(body)]

    def _more(self):
        part = self.sock.recv(1 << 17)
        assert part, f"the connection ended in the middle of an answer: {self.rest[:100]!r}"
        self.rest += part

    def close(self):
        self.sock.close()


class Crowd:
    """Clients that ask over and over, until they are told to stop; at its end all must be well."""

    def __init__(self, port, body, is_tls=False, n=CROWD):
        self.over = threading.Event()
        self.faults, self.answers = [], [0] * n
        self.threads = [
            threading.Thread(target=self._run, args=(i, port, body, is_tls)) for i in range(n)
        ]
        for thread in self.threads:
            thread.start()

    def _run(self, i, port, body, is_tls):
        try:
            client = Client(port, is_tls)
            while not self.over.is_set():
                client.ask(DEPTH)
                for _ in range(DEPTH):
                    client.take(body)
                    self.answers[i] += 1
            client.close()
        except (AssertionError, OSError) as fault:
            self.faults.append(fault)

    def wait_round(self):
        """Until each has had another answer."""
        before = list(self.answers)

        def look():
            assert not self.faults, self.faults
            return all(now > was for now, was in zip(self.answers, before))

        wait_until(look, "the crowd is served")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        assert not self.faults, self.faults


def published(node, www):
    node.wait_runs().publish(www)
    node.wait_complete("www")
    return int(node.status()["http"]["urls"][0].rstrip("/").rsplit(":", 1)[1])


def reload(node, times):
    node.process.send_signal(signal.SIGHUP)
    node.wait_said("the configuration was read anew", times)


@pytest.mark.parametrize("changes", [False, True])
def test_reload_under_load(start, www, tmp_path, changes):
    config = tmp_path / "tarn.conf"
    config.write_text("")
    node = start("--config", config, "--http-loops=2")
    port = published(node, www)
    settings = ["[http]\nindex = off\n", "[log]\nlevel = debug\n", "[http]\nidle_timeout = 20\n",
                f"[collection more]\npath = {tmp_path / 'more'}\n", ""]
    fill(tmp_path / "more" / "c.bin", 1000, 3)
    with Crowd(port, (www / "a.bin").read_bytes()) as crowd:
        for i in range(RELOADS):
            if changes:
                config.write_text(settings[i % len(settings)])
            reload(node, i + 1)
            crowd.wait_round()


def test_new_certificates_under_load(start, www, tmp_path, certify):
    certify("first")
    node = start(f"--http-tls-cert={tmp_path / 'cert'}", f"--http-tls-key={tmp_path / 'key'}")
    port = published(node, www)
    with Crowd(port, (www / "a.bin").read_bytes(), is_tls=True, n=16) as crowd:
        for i in range(RELOADS):
            certify(f"number {i}")
            reload(node, i + 1)
            crowd.wait_round()
            with contextlib.closing(Client(port, is_tls=True)) as client:
                client.ask(1)
                client.take((www / "a.bin").read_bytes())


def test_stop_under_load(start, www):
    """Answers that have begun are finished; who asks on a kept connection is answered, and told that
    it was the last. All of it in the four seconds that a node gives them: so there is not much to read,
    more only than what waits in the system, which is 4 MiB and the client's own."""
    body = (www / "more.bin").read_bytes()
    node = start("--http-loops=2")
    port = published(node, www)
    busy = [Client(port, room=1 << 18) for _ in range(4)]
    kept = [Client(port) for _ in range(16)]
    for client in busy:
        client.sock.sendall(REQUEST.replace(b"a.bin", b"more.bin"))
        client.rest += client.sock.recv(12)
    for client in kept:
        client.ask(1)
        client.take((www / "a.bin").read_bytes())
    node.process.send_signal(signal.SIGTERM)
    node.wait_said("stopping")
    for client in kept:
        while not client.is_last:  # the word reaches one loop after the other
            client.ask(1)
            client.take((www / "a.bin").read_bytes())
        assert client.sock.recv(1) == b""
    for client in busy:
        client.take(body)
    assert node.wait() == 0, node.output()
    assert "before all was finished" not in node.output()
    for client in busy + kept:
        client.close()


def test_client_that_takes_nothing_does_not_keep_it(start, www):
    node = start()
    port = published(node, www)
    client = Client(port)
    client.sock.sendall(REQUEST.replace(b"a.bin", b"big.bin"))
    assert client.sock.recv(12) == b"HTTP/1.1 200"
    node.process.send_signal(signal.SIGTERM)
    assert node.wait(10) == 0, node.output()
    client.close()


def test_restart_behind_a_socket_that_stays(start, www):
    """As systemd does it: whoever connects meanwhile waits, and is answered."""
    body = (www / "a.bin").read_bytes()
    faults, answers, over = [], [0] * 8, threading.Event()

    def come_and_go(i, port):
        while not over.is_set() and not faults:
            try:
                with contextlib.closing(Client(port)) as client:
                    client.ask(1)
                    client.take(body)
                    answers[i] += 1
            except (AssertionError, OSError) as fault:
                faults.append(fault)

    with socket.socket() as web:
        web.bind(("127.0.0.1", 0))
        web.listen(128)
        port = web.getsockname()[1]
        node = start(sockets={"http": web})
        published(node, www)
        threads = [threading.Thread(target=come_and_go, args=(i, port)) for i in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                node.process.terminate()
                assert node.wait() == 0, node.output()
                node = start(sockets={"http": web}).wait_runs()
                before = list(answers)
                wait_until(lambda: faults or all(a > b for a, b in zip(answers, before)), "served")
                assert not faults, faults
        finally:
            over.set()
            for thread in threads:
                thread.join(PATIENCE)
    assert not faults, faults


# Several loops.


def run_times(node):
    """Nanoseconds on a processor of each thread of the web door."""
    times = {}
    for task in Path(f"/proc/{node.process.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("tarn-web"):
            times[task.name] = int((task / "schedstat").read_text().split()[0])
    return times


def test_all_loops_work(start, www):
    """Many connections, each with its own loop; the figures are the sum."""
    body = (www / "a.bin").read_bytes()
    node = start("--http-loops=3")
    port = published(node, www)
    assert node.status()["http"]["loops"] == 3
    before, times = node.metrics(), run_times(node)
    assert len(times) == 3
    clients = [Client(port) for _ in range(150)]
    for _ in range(3):
        for client in clients:
            client.ask(2)
        for client in clients:
            client.take(body)
            client.take(body)
    after = node.metrics()
    ok = 'http_requests_total{door="public",class="2xx"}'
    assert after[ok] - before[ok] == 150 * 6
    assert after['http_connections{door="public"}'] == 150
    accepted = 'http_accepted_total{door="public"}'
    assert after[accepted] - before[accepted] == 150
    sent = 'http_sent_bytes_total{door="public"}'
    assert after[sent] - before[sent] > 150 * 6 * len(body)
    assert node.status()["http"]["connections"] == 150
    for thread, now in run_times(node).items():
        assert now > times[thread], "a loop that does nothing"
    for client in clients:
        client.close()
    wait_until(lambda: node.metrics()['http_connections{door="public"}'] == 0, node.metrics)
    (www / "a.bin").write_bytes(b"new")

    def is_read():
        file = node.files("www")["a.bin"]
        return file["state"] == "held" and file["length"] == 3

    wait_until(is_read, node.output)
    def has_new():
        """A loop that has not heard of the change yet says 503, and never the old bytes."""
        try:
            return node.get("/c/www/a.bin") == b"new"
        except urllib.error.HTTPError as refusal:
            assert refusal.code == 503
            return False

    for _ in range(12):  # whichever loop takes it
        wait_until(has_new, node.output)
