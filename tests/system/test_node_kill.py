"""kill -9 of a node, again and again, while its folders change: each start settles to what is there,
reads nothing again that it had read, and has everything that it had said was done."""
import hashlib
import os
import random
import time
from base64 import b64encode

import pytest
from nodes import Node
from program import fill, run
from programs import wait_until

ROUNDS = 12


class Folder:
    """A published folder that changes. Counts what a node has to read of it."""

    def __init__(self, root, seed):
        self.root, self.random = root, random.Random(seed)
        self.fresh = 0  # bytes that no node can know yet
        self.number = 0
        root.mkdir()

    def files(self):
        return sorted(p for p in self.root.rglob("*") if p.is_file())

    def truth(self):
        return {
            str(p.relative_to(self.root)):
                ("held", p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in self.files()
        }

    def place(self):
        self.number += 1
        folder = self.random.choice(["", "a", "a/b", "ü"])
        return self.root / folder / f"{self.number}.bin"

    def write(self, path):
        length = self.random.choice([1, 100, 16384, 16385, 50_000, 400_000])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.random.randbytes(length))
        self.fresh += length

    def add(self, _):
        self.write(self.place())

    def change(self, path):
        self.write(path)

    def append(self, path):
        with open(path, "ab") as file:
            file.write(b"more")
        self.fresh += path.stat().st_size

    def replace(self, path):
        new = path.with_name("new")
        self.write(new)
        os.rename(new, path)

    def doubt(self, path):
        """Of several names of one file one comes and another goes: its ctime has moved, and when
        nobody looked in between nothing says why. It may be read again."""
        if path.stat().st_nlink > 1:
            self.fresh += path.stat().st_size

    def rename(self, path):
        self.doubt(path)
        to = self.place()
        to.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, to)

    def rename_folder(self, path):
        if path.parent != self.root:
            self.number += 1
            os.rename(path.parent, self.root / f"folder {self.number}")

    def link(self, path):
        to = self.place()
        to.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, to)
        self.doubt(path)

    def remove(self, path):
        self.doubt(path)
        path.unlink()

    def step(self):
        does = self.random.choice([
            self.add, self.add, self.add, self.change, self.append, self.replace, self.rename,
            self.rename, self.rename_folder, self.link, self.remove,
        ])
        files = self.files()
        if not files:
            does = self.add
        does(self.random.choice(files) if files else None)


def seen(node):
    return {path: (file["state"], file["length"],
                   file.get("sha256", hashlib.sha256(b"").hexdigest()))
            for path, file in node.files("www").items()}


def wait_settled(node, folder):
    """Its listing is what is there; bytes that it has read for that since its start."""
    truth = folder.truth()

    def look():
        return seen(node) == truth and node.item("www")["state"] == "ok"

    def why():
        now = seen(node)
        wrong = [(path, now.get(path), truth.get(path)) for path in {*now, *truth}
                 if now.get(path) != truth.get(path)]
        return f"it settles: {wrong} {node.item('www')}\n{node.output()}"

    wait_until(look, why)
    return node.metrics()["hashed_bytes_total"]


def kill(node):
    node.process.kill()
    node.wait()
    node.stop()


def assert_gapless(node, least):
    """The journal goes on where it was: each number once."""
    numbers = [change["seq"] for change in node.lines("/v1/changes?since=0")]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= least
    return len(numbers)


@pytest.mark.parametrize("seed", [1, 2])
def test_folder_that_changes(short_home, tmp_path, seed):
    folder = Folder(tmp_path / "www", seed)
    for _ in range(10):
        folder.step()
    with Node(short_home) as node:
        node.wait_runs().publish(folder.root)
        # From now on nothing is said to it that could get lost.
        kill(node)
    seq = 0
    for turn in range(ROUNDS):
        with Node(short_home) as node:
            node.wait_runs()
            if turn % 3 == 2:
                read = wait_settled(node, folder)
                assert read <= folder.fresh, "it has read again what it knew"
                seq = assert_gapless(node, seq)
                folder.fresh = 0
            for _ in range(folder.random.randrange(1, 12)):
                folder.step()
            time.sleep(folder.random.choice([0, 0.3, 1.1, 1.4]))  # where the blow falls
            kill(node)
    with Node(short_home) as node:
        assert wait_settled(node.wait_runs(), folder) <= folder.fresh
        kill(node)
    with Node(short_home) as node:
        assert wait_settled(node.wait_runs(), folder) == 0
        for path in folder.files()[::5]:
            assert node.get(f"/c/www/{path.relative_to(folder.root)}") == path.read_bytes()


def test_what_was_said_to_be_done(short_home, tmp_path):
    """The blow falls as soon as the answer is here."""
    roots = [tmp_path / name for name in ("one", "two", "three")]
    for seed, root in enumerate(roots):
        fill(root / "x.bin", 100_000, seed)
    torrent = tmp_path / "t.torrent"
    run("create", roots[0], "-o", torrent)
    asked = {"torrent_b64": b64encode(torrent.read_bytes()).decode(), "paused": True,
             "folder": str(tmp_path / "added")}

    def after(does, holds):
        """Told, killed; the next one knows it, and the one after it."""
        with Node(short_home) as node:
            does(node.wait_runs())
            kill(node)
        for _ in range(2):
            with Node(short_home) as node:
                assert holds(node.wait_runs()), node.lines("/v1/items")
                kill(node)

    def post(node, target, body=None):
        code, told = node.ask("POST", target, body)
        assert code in (200, 201), told

    def delete(node, ref):
        code, told = node.ask("DELETE", f"/v1/items?ref={ref}")
        assert code == 200, told

    def names(node):
        return {item["name"]: item for item in node.lines("/v1/items")}

    for root in roots:
        after(lambda node: node.publish(root), lambda node: root.name in names(node))
    after(lambda node: node.publish(roots[1], policy="mine"),
          lambda node: names(node)["two"]["policy"] == "mine")
    after(lambda node: post(node, "/v1/pause?ref=three"),
          lambda node: names(node)["three"]["is_paused"])
    after(lambda node: post(node, "/v1/resume?ref=three"),
          lambda node: not names(node)["three"]["is_paused"])
    after(lambda node: delete(node, "one"), lambda node: "one" not in names(node))
    after(lambda node: post(node, "/v1/torrents", asked),
          lambda node: node.lines("/v1/torrents")[0]["is_paused"])
    number = None

    def forget(node):
        nonlocal number
        number = node.lines("/v1/torrents")[0]["id"]
        delete(node, number)

    after(forget, lambda node: node.lines("/v1/torrents") == [])
    with Node(short_home) as node:
        assert sorted(names(node.wait_runs())) == ["three", "two"]
        node.wait_complete("three")
        assert node.get("/c/three/x.bin") == (roots[2] / "x.bin").read_bytes()
