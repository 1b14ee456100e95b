"""The servers, each with one worker on core 0, no access log, sendfile on and as many requests on a
kept connection as come. All configuration is written here, into a folder of the run."""
import os
import re
import resource
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from common import Child, free_port, wait_for

CORE = 0
# Descriptors: 10,000 connections and what else there is; lighttpd wants two for each.
FILES = min(24000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
HELLO = b"Hello, world!\n"

NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
error_log {home}/error.log;
pid {home}/nginx.pid;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    {more}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_buffer_size 16k;
        root {root};
        location = /hello {{ return 200 "Hello, world!\\n"; }}
    }}
}}
"""

LIGHTTPD = """
server.modules = ( "mod_openssl" )
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{home}/error.log"
server.network-backend = "sendfile"
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 600
server.max-connections = {connections}
server.max-fds = {files}
mimetype.assign = ( "" => "application/octet-stream" )
$SERVER["socket"] == "127.0.0.1:{tls_port}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{chain}"
    ssl.privkey = "{key}"
}}
"""


def make_certificate(home):
    """P-256, signed by itself: the cheapest handshake that all of them know."""
    chain, key = home / "chain.pem", home / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-subj", "/CN=127.0.0.1", "-days", "7", "-keyout", key, "-out", chain],
                   check=True, capture_output=True)
    key.chmod(0o600)
    return chain, key


class Server:
    """Runs until it is left. `pid` is the process that works; `ports` what it listens on."""

    name = ""
    has_tls = True
    hello, hello_len = "/hello", len(HELLO)
    below = ""  # where the files are
    most = 10000  # connections at once

    def __init__(self, site):
        self.site = site
        self.home = site.home / re.sub(r"\W+", "-", self.name)
        self.home.mkdir(exist_ok=True)
        self.home.chmod(0o755)
        self.port, self.tls_port = free_port(), free_port()

    def fill(self, text, **more):
        return text.format(home=self.home, root=self.site.root, port=self.port,
                           tls_port=self.tls_port, chain=self.site.chain, key=self.site.key,
                           files=FILES, connections=FILES // 2, **more)

    def command(self):
        raise NotImplementedError

    def find_pid(self):
        return self.child.pid

    def __enter__(self):
        self.child = Child(self.command(), core=CORE, files=FILES)
        try:
            self.child.wait_for(self.is_there, f"{self.name} listens")
            self.pid = self.find_pid()
        except Exception:
            self.child.stop()
            raise
        return self

    def is_there(self):
        ports = [self.port] + ([self.tls_port] if self.has_tls else [])
        return all(f":{port:04X} " in Path("/proc/net/tcp").read_text() for port in ports)

    def __exit__(self, *_):
        self.child.stop()


class Nginx(Server):
    name = "nginx"
    more = ""

    def command(self):
        conf = self.home / "nginx.conf"
        conf.write_text(self.fill(NGINX, more=self.more))
        return ["nginx", "-p", self.home, "-c", conf, "-e", self.home / "error.log",
                *(["-g", "user root;"] if os.geteuid() == 0 else [])]

    def find_pid(self):
        """The worker, not its master."""
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return int(wait_for(lambda: children.read_text().split(), "nginx's worker")[0])


class NginxOpenFiles(Nginx):
    """As nginx, and files stay open between requests."""
    name = "nginx, open_file_cache"
    more = "open_file_cache max=1000 inactive=60s;"


class Lighttpd(Server):
    """Its constant answer is a file of 14 bytes, from its cache of small files."""
    name = "lighttpd"
    most = min(10000, FILES // 2 - 100)

    def command(self):
        conf = self.home / "lighttpd.conf"
        conf.write_text(self.fill(LIGHTTPD))
        return ["lighttpd", "-D", "-f", conf]


class Serve(Server):
    """The server room of tarn with its own small program (serve.c): files stay open for a second."""
    name = "tarn"

    def command(self):
        return [self.site.build / "bench/http_serve", "-a", f"127.0.0.1:{self.port}",
                "-t", f"127.0.0.1:{self.tls_port}", "-c", self.site.chain, "-k", self.site.key,
                self.site.root]


class Node(Server):
    """All of tarn: a published folder, found in the index, watched, its identity in the ETag. Its
    constant answer is /healthz."""
    name = "tarn up"
    has_tls = False
    hello, hello_len = "/healthz", 3

    def __enter__(self):
        self.state = tempfile.mkdtemp(prefix="tarn-")  # the path of its socket must be short
        try:
            return super().__enter__()
        except Exception:
            shutil.rmtree(self.state)
            raise

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.state)

    @property
    def below(self):
        return f"/c/{self.site.root.name}"

    def command(self):
        off = [f"--set={door}.listen=off" for door in ("admin", "bt")]
        return ["env", f"TARN_HOME={self.state}", self.site.build / "tarn", "up", "--json",
                f"--set=http.listen=127.0.0.1:{self.port}", "--set=http.loops=1",
                "--set=http.connections=20000", *off, self.site.root]

    def is_there(self):
        if not super().is_there():
            return False
        url = f"http://127.0.0.1:{self.port}{self.below}/"
        try:
            for name in ("1k", "100k", "100m"):
                urllib.request.urlopen(urllib.request.Request(url + name, method="HEAD")).close()
        except urllib.error.HTTPError:
            return False  # not read yet
        return True


SERVERS = [Serve, Node, Nginx, NginxOpenFiles, Lighttpd]
