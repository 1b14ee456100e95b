"""`tarnd` as the tests run it: on free ports, its log read as it comes, requests on its socket."""
import http.client
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from programs import PATIENCE, TARN, Ending, end_with_parent, wait_until

TARND = os.path.join(os.path.dirname(TARN), "tarnd")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("tarn", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Tarnd(Ending):
    """A daemon in a state folder of its own. sockets: what it is to find as systemd would hand it
    over, by name. limits: called in the child before it becomes the daemon."""

    def __init__(self, home, *options, environment=None, sockets=None, log_file=None,
                 limits=None, program=TARND):
        self.home = Path(home)
        self.log = log_file or tempfile.TemporaryFile()
        environment = {**os.environ, "TARN_HOME": str(home), **(environment or {})}
        listening = list((sockets or {}).values())

        def child():
            end_with_parent()
            away = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(listening)]
            for i, fd in enumerate(away):
                os.dup2(fd, 3 + i)
            if limits:
                limits()

        if sockets:
            environment["LISTEN_FDS"] = str(len(sockets))
            environment["LISTEN_FDNAMES"] = ":".join(sockets)
        # Only a shell that becomes the daemon knows the daemon's own pid.
        self.process = subprocess.Popen(
            ["sh", "-c", 'export LISTEN_PID=$$; exec "$0" "$@"', program, "--http-listen=127.0.0.1:0",
             *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=environment,
            preexec_fn=child,
            close_fds=False,
        )

    def output(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_said(self, words, times=1):
        def look():
            if self.output().count(words) >= times:
                return True
            assert self.process.poll() is None, f"it ended:\n{self.output()}"
            return False

        wait_until(look, lambda: f"'{words}' in the log:\n{self.output()}")

    def wait_runs(self):
        self.wait_said(" runs, pid ")
        return self

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def ask(self, method, target, body=None, **fields):
        """Status, and what the answer says: its lines as objects when it is JSON."""
        connection = UnixConnection(self.home / "tarn.sock")
        if body is not None:
            body = json.dumps(body)
            fields.setdefault("Content-Type", "application/json")
        connection.request(method, target, body, fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if "json" in answer.getheader("Content-Type", ""):
            return answer.status, [json.loads(line) for line in text.splitlines() if line]
        return answer.status, text

    def status(self):
        code, lines = self.ask("GET", "/v1/status")
        assert code == 200
        return lines[0]

    def port(self):
        """Of the web door."""
        return int(self.status()["http"]["urls"][0].rstrip("/").rsplit(":", 1)[1])
