"""A node with folders in it, and plain clients of its doors: what the tests of the doors stand on."""
import hashlib
import json
import socket
import time
from http.client import HTTPConnection

from daemon import Tarnd, UnixConnection
from programs import PATIENCE, end, free_port, wait_until

BLOCK = 16384
PLAIN = ["--catalog-quiet=1", "--bt-listen=127.0.0.1:0", "--http-loops=2"]


def sha256(data):
    return hashlib.sha256(data).digest()


def v2_root(data):
    """The root of a file as BEP 52 has it, computed the slow way."""
    level = [sha256(data[at:at + BLOCK]) for at in range(0, len(data), BLOCK)]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    while len(level) > 1:
        level = [sha256(a + b) for a, b in zip(level[::2], level[1::2])]
    return level[0]


def identity(data):
    return f"{v2_root(data).hex()}-{len(data)}" if data else "empty"


class Answer:
    def __init__(self, answer, body):
        self.status, self.body, self.fields = answer.status, body, answer.headers

    def __getitem__(self, name):
        return self.fields.get(name)

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.text.splitlines() if line]


def ask(connection, method, target, body=None, fields={}):
    """One request; the target goes out as it is written."""
    connection.putrequest(method, target, skip_accept_encoding=True,
                          skip_host=any(name.lower() == "host" for name in fields))
    for name, value in fields.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    return Answer(answer, answer.read())


class Node(Tarnd):
    """A daemon and what is asked of it. publish: {name: (folder, {setting: value})}."""

    def __init__(self, home, publish={}, *options, settings="", **more):
        config = home.with_suffix(".conf")
        config.write_text(settings + "".join(
            f"\n[collection {name}]\npath = {folder}\n"
            + "".join(f"{key} = {value}\n" for key, value in how.items())
            for name, (folder, how) in publish.items()))
        self.config = config
        self.web_port = free_port()
        super().__init__(home, f"--config={config}", f"--http-listen=127.0.0.1:{self.web_port}",
                         *PLAIN, *options, **more)
        self.wait_runs()

    def stop(self):
        """It ends well, and no sanitizer has anything to say."""
        end(self.process)
        said = self.output()
        self.log.close()
        assert self.process.returncode == 0 and "anitizer" not in said, said
        assert "runtime error" not in said, said

    def get(self, target, method="GET", body=None, **fields):
        """From the public door."""
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        connection = HTTPConnection("127.0.0.1", self.web_port, timeout=PATIENCE)
        try:
            return ask(connection, method, target, body, fields)
        finally:
            connection.close()

    def call(self, target, method="GET", body=None, **fields):
        """From the control socket. body: bytes, or an object to be sent as JSON."""
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
        connection = UnixConnection(self.home / "tarn.sock")
        try:
            return ask(connection, method, target, body, fields)
        finally:
            connection.close()

    def item(self, ref):
        answer = self.call(f"/v1/items?ref={ref}")
        assert answer.status == 200, answer.text
        return answer.json

    def wait_complete(self, *names, torrent=True):
        def look():
            now = [self.item(name) for name in names]
            return all(i["state"] == "ok" and (not torrent or i["bt"] == "off" or i.get("magnet"))
                       for i in now)

        wait_until(look, lambda: f"{names} are complete: {self.call('/v1/items').text}\n"
                                 f"{self.output()}")
        return self

    def wait_serves(self, target, data):
        """Until a file is served with these bytes; each answer on the way must be true to its tag."""

        def look():
            answer = self.get(target)
            assert answer.status in (200, 404, 503), answer.status
            if answer.status == 200:
                assert answer["ETag"] == f'"{identity(answer.body)}"'
            return answer.status == 200 and answer.body == data

        wait_until(look, f"{target} is served anew")


class Slow:
    """A client that takes its time: what the door has sent stays with the system until it is read."""

    def __init__(self, node, target, room=4096, **fields):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", node.web_port))
        lines = [f"GET {target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.got = b""
        while b"\r\n\r\n" not in self.got:
            self.got += self.socket.recv(1024)
        head, self.body = self.got.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.length = int(next(line.split(":")[1] for line in self.head.splitlines()
                               if line.lower().startswith("content-length")))

    def rest(self):
        """Everything until all has come or the connection ends."""
        try:
            while len(self.body) < self.length:
                more = self.socket.recv(1 << 16)
                if not more:
                    break
                self.body += more
        except ConnectionError:
            pass
        self.socket.close()
        return self.body


def settle():
    """Longer than a tick of the file system's clock: what is written now has another time."""
    time.sleep(0.05)
