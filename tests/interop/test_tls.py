"""TLS as curl and openssl's own client see it, on the server of the bench."""
import os
import re
import socket
import ssl
import subprocess

import pytest
from programs import PATIENCE, Program, free_port, listens

SERVE = os.path.abspath(os.environ.get("HTTP_SERVE", "build-test/bench/http_serve"))
LENGTH = 3_000_000


class Site(Program):
    def __init__(self, home):
        self.home, self.root = home, home / "root"
        self.root.mkdir()
        self.file = self.root / "file.bin"
        self.file.write_bytes(os.urandom(LENGTH))
        self.chain, key = home / "chain.pem", home / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", self.chain], check=True, capture_output=True)
        key.chmod(0o600)
        self.port = free_port()
        super().__init__([SERVE, "-a", f"127.0.0.1:{free_port()}", "-t", f"127.0.0.1:{self.port}",
                          "-c", self.chain, "-k", key, self.root])
        self.wait_until(lambda: listens(self.port), "the server listens")

    def curl(self, path, *words, code=0):
        done = subprocess.run(
            ["curl", "-sS", "--cacert", self.chain, "--resolve", f"localhost:{self.port}:127.0.0.1",
             *words, f"https://localhost:{self.port}{path}"], capture_output=True, timeout=PATIENCE)
        assert done.returncode == code, done.stderr
        return done.stdout

    def client(self, *words, say=b""):
        """openssl s_client; what it printed."""
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", *map(str, words)],
                              input=say, capture_output=True, timeout=PATIENCE)
        return (done.stdout + done.stderr).decode(errors="replace")

    def is_alive(self):
        return self.curl("/hello") == b"Hello, world!\n"


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        yield site


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_files_by_curl(site, version):
    words = ["--tls-max", version, f"--tlsv{version}"]
    told = site.curl("/file.bin", *words, "-w", "%{http_version} %{ssl_verify_result}")
    assert told == site.file.read_bytes() + b"1.1 0"
    assert site.curl("/file.bin", *words, "-r", "100000-1099999") == site.file.read_bytes()[100000:1100000]
    part = site.home / "part"
    part.write_bytes(site.file.read_bytes()[:700_000])
    assert site.curl("/echo", *words, "--data-binary", f"@{part}") == part.read_bytes()
    assert site.curl("/stream", *words).count(b"\n") == 1000


def test_many_on_one_connection(site):
    urls = [f"https://localhost:{site.port}/hello"] * 20
    assert site.curl("/file.bin", *urls) == b"Hello, world!\n" * 20 + site.file.read_bytes()


def test_a_half_closed_client_is_answered(site):
    context = ssl.create_default_context(cafile=str(site.chain))
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as s:
            s.sendall(b"GET /file.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            got = b""
            while part := s.recv(1 << 16):
                got += part
            s.unwrap()  # the server has said close_notify: it was all
    assert got.split(b"\r\n\r\n", 1)[1] == site.file.read_bytes()


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_sessions_are_resumed(site, tmp_path, version):
    session = tmp_path / "session"
    ask = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    words = [f"-{version}", "-ign_eof"]
    first = site.client(*words, "-sess_out", session, say=ask)
    assert "Hello, world!" in first and "Reused," not in first
    again = site.client(*words, "-sess_in", session, say=ask)
    assert "Hello, world!" in again and re.search(r"^Reused, ", again, re.M)


@pytest.mark.parametrize("words, refusal", [
    (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "alert protocol version"),
    (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], "alert handshake failure"),
    (["-alpn", "h2"], "alert no application protocol"),
])
def test_refused(site, words, refusal):
    assert refusal in site.client(*words)
    assert site.is_alive()


def test_no_renegotiation(site):
    assert "no renegotiation" in site.client("-tls1_2", say=b"R\n")
    assert site.is_alive()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\xff\xff",
                                     bytes(range(256)) * 40, b"\x80\x2e\x01\x00\x02"])
def test_garbage(site, garbage):
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as s:
        s.sendall(garbage)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := s.recv(1000):
                answer += part
        except ConnectionResetError:
            pass
    assert answer == b"" or answer[0] == 21  # an alert
    assert site.is_alive()
