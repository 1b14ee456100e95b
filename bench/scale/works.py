"""What is measured. Each work notes its steps: bench.note(work, step, figures)."""
import base64
import hashlib
import json
import os
import threading
import time
from pathlib import Path

from common import PYTHON, Child, free_port
from node import HERE, Node, Unix, Work
from trees import make_deep, make_files

FILES_A_FOLDER = 1000
DESCRIPTORS = 1024  # what a plain shell gives


def is_quiet(node, seconds=2.0, most=0.1):
    """Nothing has been done for a while: less than so many CPU-seconds."""
    before = node.cpu()
    time.sleep(seconds)
    return node.cpu() - before < most


def answer_to(node, path):
    """The length of an answer of the admin door, read and thrown away."""
    c = Unix(node.socket)
    try:
        c.request("GET", path)
        r, length = c.getresponse(), 0
        while part := r.read(1 << 20):
            length += len(part)
        return length
    finally:
        c.close()


def files(bench):
    """One collection of many small files: published, found again, changed, listed."""
    n = bench.options.files
    tree, home = bench.home / "files", bench.home / "files-node"
    if not tree.exists():
        make_files(tree, max(n // FILES_A_FOLDER, 1), min(n, FILES_A_FOLDER))
    work = f"{n:,} files in a collection"
    if not (home / "index").exists():
        with Node(bench.build, home, files=DESCRIPTORS) as node:
            with Work(node) as w:
                node.ask("POST", "/v1/collections", {"path": str(tree)})
                w.until(lambda: node.item("files")["state"] == "ok" and is_quiet(node), "all is held", 3000)
            bench.note(work, "publish, to the first version", w.figures, index=node.size_of("INDEX.mdb"),
                       leaves=node.size_of("leaves"), syncs=node.metric("tarn_index_commits_total"),
                       watches=node.watches(), says=node.item("files").get("error", ""))
    with Node(bench.build, home, files=DESCRIPTORS) as node:
        with Work(node) as w:
            w.until(lambda: node.watches() > 0 and is_quiet(node), "all is walked", 600)
        bench.note(work, "start again: the walk of what has not changed", w.figures, ready=node.ready,
                   watches=node.watches())
        seq = node.ask("GET", "/v1/status")[0]["seq"]
        version = node.item("files")["version"]
        with Work(node, 0.02) as w:
            with open(next(p for p in sorted(tree.rglob("*.txt"))), "ab") as f:
                f.write(b"more")
            w.until(lambda: any(c["type"] == "file-held" for c in node.ask("GET", f"/v1/changes?since={seq}")),
                    "the change is told", 60)
        bench.note(work, "one file changes: until it is held", w.figures)
        with Work(node) as w:
            w.until(lambda: node.item("files")["version"] > version and is_quiet(node), "a version", 120)
        bench.note(work, "... and the collection's next version", w.figures)
        with Work(node) as w:
            length = answer_to(node, "/v1/files?ref=files")
        bench.note(work, "/v1/files, all of it", w.figures, answer=length)
        with Work(node) as w:
            node.ask("GET", "/v1/files?ref=files&limit=1000")
        bench.note(work, "/v1/files, 1000 of it", w.figures)
        with Work(node) as w:
            status, length, _, _ = node.get("/c/files.torrent")
        bench.note(work, f"its torrent: {status}", w.figures, answer=length)


def flat(bench):
    """One folder with very many names, listed; beside nginx's autoindex."""
    n = bench.options.flat
    tree, home = bench.home / "flat", bench.home / "flat-node"
    if not tree.exists():
        make_files(tree, 1, n)
    work = f"{n:,} names in one folder"
    with Node(bench.build, home, files=DESCRIPTORS) as node:
        with Work(node) as w:
            node.ask("POST", "/v1/collections", {"path": str(tree)})
            w.until(lambda: node.item("flat")["state"] == "ok" and is_quiet(node), "all is held", 3000)
        bench.note(work, "publish", w.figures)
        for kind, accept in (("HTML", "text/html"), ("JSON", "application/json")):
            with Work(node) as w:
                _, length, first, _ = node.get("/c/flat/", accept)
            bench.note(work, f"its list, {kind}", w.figures, answer=length, first=first)
    nginx(bench, tree, work)


def nginx(bench, tree, work):
    port, home = free_port(), bench.home / "nginx"
    home.mkdir(exist_ok=True)
    conf = home / "nginx.conf"
    conf.write_text(f"""daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
 uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
 server {{ listen 127.0.0.1:{port}; root {tree}; autoindex on; }} }}""")
    with Child(["nginx", "-p", home, "-c", conf, "-e", home / "error.log"]) as child:
        child.wait_for(lambda: f":{port:04X} " in Path("/proc/net/tcp").read_text(), "nginx listens")
        import http.client
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        cpu, start = child.cpu(), time.monotonic()
        c.request("GET", "/")
        r, length = c.getresponse(), 0
        first = time.monotonic() - start
        while part := r.read(1 << 20):
            length += len(part)
        bench.note(work, "nginx autoindex, HTML", {
            "wall": time.monotonic() - start, "cpu": child.cpu() - cpu,
            "anon_peak": child.memory("RssAnon")[0], "read": 0, "written": 0}, answer=length, first=first)
        c.close()


def bencode(x):
    if isinstance(x, int):
        return b"i%de" % x
    if isinstance(x, str):
        x = x.encode()
    if isinstance(x, bytes):
        return b"%d:%s" % (len(x), x)
    return b"d" + b"".join(bencode(k) + bencode(x[k]) for k in sorted(x)) + b"e"


def torrent_of(path, tracker):
    data = path.read_bytes()
    return bencode({"announce": tracker, "info": {"length": len(data), "name": path.name, "piece length": 16384,
                                                  "pieces": hashlib.sha1(data).digest()}})


def add_all(node, paths, tracker):
    threads = 8

    def add(part):
        c = Unix(node.socket)
        for path in part:
            body = {"torrent_b64": base64.b64encode(torrent_of(path, tracker)).decode(), "folder": str(path.parent)}
            c.request("POST", "/v1/torrents", json.dumps(body), {"Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
            if r.status >= 300:
                raise RuntimeError(f"{path}: {r.status} {text[:300]}")
        c.close()

    workers = [threading.Thread(target=add, args=(paths[i::threads],)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def states_of(node):
    states = {}
    for t in node.ask("GET", "/v1/torrents"):
        states[t["state"]] = states.get(t["state"], 0) + 1
    return states


def torrents(bench):
    """Many torrents, complete, of a file each, with a tracker that answers; and the next start."""
    n = bench.options.torrents
    tree, home = bench.home / "seeds", bench.home / "torrents-node"
    if not tree.exists():
        make_files(tree, max(n // FILES_A_FOLDER, 1), min(n, FILES_A_FOLDER))
    paths = sorted(tree.rglob("*.txt"))[:n]
    work = f"{n:,} torrents"
    port = free_port()
    with Child([PYTHON, HERE / "tracker.py", port]):
        with Node(bench.build, home, files=DESCRIPTORS) as node:
            with Work(node) as w:
                add_all(node, paths, f"http://127.0.0.1:{port}/announce")
            bench.note(work, "add", w.figures, descriptors=node.descriptors())
            w = stop(node)
        bench.note(work, "stop", w)
        with Node(bench.build, home, files=DESCRIPTORS) as node:
            with Work(node) as w:
                w.until(lambda: is_quiet(node, 3, 0.3), "all are looked at and announced", 3000)
            bench.note(work, "start again: until all seed and are announced", w.figures, ready=node.ready,
                       descriptors=node.descriptors())
            with Work(node) as w:
                states = states_of(node)
            bench.note(work, "/v1/torrents, all of it", w.figures, says=json.dumps(states))
            with Work(node) as w:
                node.ask("GET", "/v1/torrents?limit=1000")
            bench.note(work, "/v1/torrents, 1000 of it", w.figures)
            with Work(node) as w:
                time.sleep(60)
            bench.note(work, "a minute of nothing", w.figures)


def stop(node):
    start, cpu = time.monotonic(), node.cpu()
    last = cpu
    node.child.process.terminate()
    while node.child.process.poll() is None:
        try:
            last = node.cpu()
        except OSError:
            break
        if time.monotonic() - start > 60:
            raise RuntimeError("it does not stop")
        time.sleep(0.02)
    return {"wall": time.monotonic() - start, "cpu": last - cpu, "anon_peak": 0, "read": 0, "written": 0}


def shapes(bench):
    """Odd trees: very deep, very many collections, a file of 1 TiB that is left in the middle."""
    deep, home = bench.home / "deep", bench.home / "shapes-node"
    if not deep.exists():
        make_deep(deep, bench.options.depth, "x" * 3)
    long_names = bench.home / "long"
    if not long_names.exists():
        make_deep(long_names, 8)
    sparse = bench.home / "sparse"
    sparse.mkdir(exist_ok=True)
    with open(sparse / "tebibyte", "wb") as f:
        f.truncate(1 << 40)
    many = bench.home / "many"
    for i in range(bench.options.collections):
        (many / f"c{i:05}").mkdir(parents=True, exist_ok=True)
        (many / f"c{i:05}" / "file").write_text(f"of {i}\n")
    with Node(bench.build, home, files=DESCRIPTORS) as node:
        for name in ("deep", "long"):
            with Work(node) as w:
                node.ask("POST", "/v1/collections", {"path": str(bench.home / name)})
                w.until(lambda: node.item(name)["state"] == "ok" and is_quiet(node), "held", 300)
            item = node.item(name)
            bench.note(f"{bench.options.depth} levels" if name == "deep" else "8 levels of names of 255 bytes",
                       "publish", w.figures, says=f"{item['files']} files; {item.get('error', '')}")
        work = f"{bench.options.collections:,} collections of a file"
        with Work(node) as w:
            for folder in sorted(many.iterdir()):
                node.ask("POST", "/v1/collections", {"path": str(folder)})
            w.until(lambda: is_quiet(node), "all is held", 3000)
        bench.note(work, "publish", w.figures)
        with Work(node) as w:
            length = answer_to(node, "/v1/collections")
        bench.note(work, "/v1/collections", w.figures, answer=length)
    with Node(bench.build, home, files=DESCRIPTORS) as node:
        with Work(node) as w:
            w.until(lambda: is_quiet(node), "all is walked", 600)
        bench.note(work, "start again", w.figures, ready=node.ready)
        with Work(node) as w:
            node.ask("POST", "/v1/collections", {"path": str(sparse)})
            time.sleep(5)
        bench.note("a file of 1 TiB", "5 s of reading it", w.figures)
        bench.note("a file of 1 TiB", "stop in the middle", stop(node))


WORKS = {"files": files, "flat": flat, "torrents": torrents, "shapes": shapes}
