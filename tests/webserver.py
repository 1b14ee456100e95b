"""Web servers for tests: one of ours that misbehaves on purpose, and nginx and lighttpd."""
import os
import re
import shutil
import socketserver
import threading
import urllib.parse
from pathlib import Path

from programs import Program, free_port, listens

TOO_LONG = 600  # seconds: longer than any test


class Handler(socketserver.StreamRequestHandler):
    """One connection. What is answered is the server's `answer`, a function of the request."""

    def handle(self):
        try:
            while self.one():
                pass
        except (ConnectionError, TimeoutError, OSError):
            pass

    def one(self):
        line = self.rfile.readline(65536)
        if not line:
            return False
        fields = {}
        while (field := self.rfile.readline(65536)) not in (b"\r\n", b""):
            name, _, value = field.decode("latin-1").partition(":")
            fields[name.strip().lower()] = value.strip()
        path = line.split()[1].decode("latin-1")
        self.fields, self.path = fields, path
        self.server.note(path, fields)
        return self.server.answer(self)

    # What answers are made of.

    @property
    def range(self):
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.fields.get("range", ""))
        return (int(found[1]), int(found[2])) if found else None

    @property
    def place(self):
        name = urllib.parse.unquote(self.path.split("?")[0].lstrip("/"))
        place = self.server.root / name
        return place if place.is_file() else None

    @property
    def content(self):
        return self.place.read_bytes() if self.place else None

    def head(self, status, **fields):
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def say(self, status, body=b"no\n", **fields):
        self.head(status, Content_Length=len(body), **fields)
        self.wfile.write(body)
        return True

    def good(self):
        if self.place is None:
            return self.say("404 Not Found")
        if self.range is None:
            return self.say("200 OK", self.content)
        size = self.place.stat().st_size
        first, last = self.range
        if first >= size:
            return self.say("416 Range Not Satisfiable", Content_Range=f"bytes */{size}")
        last = min(last, size - 1)
        with self.place.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        return self.say("206 Partial Content", body, Server="test/1.0",
                        Content_Range=f"bytes {first}-{last}/{size}")

    def part(self):
        """The bytes that were asked for, and what a good server says of them."""
        first, last = self.range
        data = self.content
        return data[first : last + 1], f"bytes {first}-{last}/{len(data)}"

    def wait_for_end(self):
        """Nothing more comes from here; until the other side has had enough."""
        self.connection.settimeout(TOO_LONG)
        while self.connection.recv(65536):
            pass
        return False


class WebServer(socketserver.ThreadingTCPServer):
    """answer(handler) -> whether the connection goes on; Handler.good when not given."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, root, answer=Handler.good):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.answer = Path(root), answer
        self.requests = []  # path, fields
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def note(self, path, fields):
        with self.lock:
            self.requests.append((path, fields))

    def handle_error(self, request, client_address):
        pass  # whoever misbehaves is cut off now and then

    @property
    def port(self):
        return self.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Nginx(Program):
    """nginx with a configuration of its own; serves a folder."""

    def __init__(self, folder, root):
        self.port = free_port()
        self.folder = Path(folder) / f"nginx-{self.port}"
        self.folder.mkdir()
        config = self.folder / "nginx.conf"
        user = "user root;" if os.getuid() == 0 else ""
        temporary = "".join(
            f"{name}_temp_path {self.folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(
            f"""daemon off; master_process off; {user} pid {self.folder}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{ access_log off; {temporary} sendfile on;
server {{ listen 127.0.0.1:{self.port}; root "{root}"; }} }}
"""
        )
        super().__init__([shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", str(config),
                          "-p", str(self.folder), "-e", "stderr"])
        self.url = f"http://127.0.0.1:{self.port}/"
        self.wait_until(lambda: listens(self.port), "nginx listens")


class Lighttpd(Program):
    """lighttpd with a configuration of its own; serves a folder."""

    def __init__(self, folder, root):
        self.port = free_port()
        config = Path(folder) / f"lighttpd-{self.port}.conf"
        config.write_text(
            f"""server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {self.port}
server.upload-dirs = ( "{folder}" )
"""
        )
        super().__init__([shutil.which("lighttpd", path="/usr/sbin:/usr/bin"), "-D", "-f",
                          str(config)])
        self.url = f"http://127.0.0.1:{self.port}/"
        self.wait_until(lambda: listens(self.port), "lighttpd listens")
