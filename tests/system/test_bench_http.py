"""The bench's load against a server of Python's: what it counts was really there, and it cannot be
told lies."""
import json
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from programs import PATIENCE

LOAD = os.path.abspath(os.environ.get("HTTP_LOAD", "build-test/bench/http_load"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = None  # how often each path was asked for

    def do_GET(self):
        with self.server.lock:
            self.server.seen[self.path] = self.server.seen.get(self.path, 0) + 1
            count = self.server.seen[self.path]
        if self.path == "/missing":
            self.send_error(404)
            return
        body = b"x" * int(self.path.rsplit("/", 1)[1])
        self.send_response(200)
        # a head that differs now and then, in length too
        self.send_header("X-Count", "n" * (count // 7 % 5))
        said = len(body) + (1 if self.path.startswith("/long/") and count == 50 else 0)
        self.send_header("content-length", str(said))
        self.end_headers()
        if self.path.startswith("/cut/") and count == 50:
            self.wfile.write(body[:-1])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.seen, server.lock = {}, threading.Lock()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def load(server, path, length, *words, code=0):
    done = subprocess.run([LOAD, str(server.server_port), path, "--length", str(length), *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout) if code == 0 else done.stderr


@pytest.mark.parametrize("size", [0, 14, 5000, 300000])
@pytest.mark.parametrize("depth", [1, 16])
def test_all_are_counted(server, size, depth):
    told = load(server, f"/{size}", size, "--connections", 3, "--depth", depth, "--requests", 100,
                "--warm", 10)
    assert told["requests"] == 100
    assert server.seen[f"/{size}"] == 110
    assert told["heads"] > 100 * 30
    # a connection whose answer was begun before the warm ones were over is counted with what followed
    assert 97 * size <= told["body"] <= 100 * size


def test_discarded_bodies_are_counted_too(server):
    told = load(server, "/300000", 300000, "--connections", 2, "--requests", 50, "--warm", 0, "--discard")
    assert told["body"] == 50 * 300000


def test_over_tls(server, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-subj", "/CN=here", "-keyout", tmp_path / "key.pem", "-out",
                    tmp_path / "chain.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told = load(server, "/70000", 70000, "--connections", 2, "--requests", 40, "--warm", 0, "--tls")
    assert told["requests"] == 40
    assert told["body"] == 40 * 70000


def test_another_process_is_watched(server):
    told = load(server, "/14", 14, "--requests", 200, "--watch", os.getpid())
    assert told["watched_cpu_s"] > 0


def test_held_until_told(server):
    child = subprocess.Popen([LOAD, str(server.server_port), "/14", "--length", "14", "--connections", "20",
                              "--idle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert json.loads(child.stdout.readline())["requests"] == 20
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(PATIENCE) == 0
    child.stdout.close()


@pytest.mark.parametrize("path, words", [
    ("/missing", "an answer that is no 200"),
    ("/15", "an answer of another length than 14"),
    ("/cut/14", "a connection has ended"),
    ("/long/14", "another length than 14"),
])
def test_lies_are_seen(server, path, words):
    assert words in load(server, path, 14, "--connections", 1, "--requests", 200, code=1)


def test_usage(server):
    load(server, "/14", 14, "--depth", 65, code=2)
    load(server, "/14", "many", code=2)


def test_all_of_it_on_our_own_server(tmp_path):
    """The others are installed where benches are run."""
    run = Path(__file__).parents[2] / "bench/http/run"
    done = subprocess.run(
        [sys.executable, run, Path(LOAD).parents[1], "--quick", "--servers", "tarn", "--dir", tmp_path,
         "--docs", tmp_path, "--only", "constant,small,files,tls,idle"],
        env={**os.environ, "TARN_BENCH_NO_BUILD": "1"}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "bench-http.md").read_text()
    assert "| idle connections | at most 600 bytes each |" in report
    assert report.count("| **tarn** |") == 10
