"""A node with folders that it publishes: `tarnd` and what its doors say of them."""
import contextlib
import urllib.parse
import urllib.request

from daemon import Tarnd
from programs import PATIENCE, wait_until

SETTINGS = ("--catalog-quiet=1", "--bt-listen=127.0.0.1:0", "--bt-trackers=off")


@contextlib.contextmanager
def started(kind, usual_home):
    """A function that starts daemons of this kind; all are stopped in the end."""
    with contextlib.ExitStack() as running:

        def start(*options, home=usual_home, **more):
            return running.enter_context(kind(home, *options, **more))

        yield start


class Node(Tarnd):
    """Settings given later win over those that are usual here."""

    def __init__(self, home, *options, **more):
        super().__init__(home, *SETTINGS, *options, **more)

    # The admin door.

    def lines(self, target):
        code, lines = self.ask("GET", target)
        assert code == 200, (target, code, lines)
        return lines

    def item(self, ref):
        return self.lines(f"/v1/items?ref={urllib.parse.quote(str(ref), safe='')}")[0]

    def files(self, ref):
        """What it says of each file of a collection, by path."""
        told = self.lines(f"/v1/files?ref={urllib.parse.quote(str(ref), safe='')}")
        return {file["path"]: file for file in told}

    def publish(self, path, **settings):
        code, told = self.ask("POST", "/v1/collections", {"path": str(path), **settings})
        assert code in (200, 201), told
        return told[0]

    def wait_complete(self, ref, has_torrent=True):
        """Read, and as far as that is wanted, in a torrent."""

        def look():
            now = self.item(ref)
            return now if now["state"] == "ok" and (not has_torrent or now.get("magnet")) else None

        return wait_until(look, lambda: f"{ref} is complete: {self.item(ref)}\n{self.output()}")

    def metrics(self):
        code, text = self.ask("GET", "/metrics")
        assert code == 200
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix("tarn_"): float(value) for name, value in lines}

    def faults(self):
        return {fault["about"]: fault["message"] for fault in self.status()["faults"]}

    def address(self):
        """Where its BitTorrent peers call."""
        return self.status()["bt"]["addrs"][0]

    # The web door.

    def get(self, path, **fields):
        """The body of an answer to GET; what is no 2xx is urllib's HTTPError."""
        url = f"http://127.0.0.1:{self.port()}{urllib.parse.quote(path, safe='/?=&')}"
        request = urllib.request.Request(url, headers=fields)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()
