"""What a node gives out of its hashes: the same torrents as tarn create, metalinks, sums, proofs."""
import hashlib
import json
import os
import random
import subprocess
import xml.etree.ElementTree as ET

import pytest
from program import INTEGRITY, PATIENCE, POLICY, TREE, USAGE, damage, fill, run
from proof import BLOCK, check

DERIVE = os.environ["DERIVE"]
FORMATS = ["v1", "v2", "hybrid"]


def paths_of(folder):
    """The files below a folder, in the order of a torrent."""
    found = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    return sorted(found, key=lambda p: [os.fsencode(part) for part in p.parts])


def derive(tmp_path, folder, paths, *words, code=0):
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    done = subprocess.run(
        [DERIVE, folder, *map(str, words)],
        input=b"".join(os.fsencode(p) + b"\0" for p in paths),
        cwd=state, capture_output=True, timeout=PATIENCE,
    )
    assert done.returncode == code, done.stderr.decode()
    return done


def by():
    return "by=" + run("version").text.splitlines()[0].strip()


def fill_tree(root):
    for name, length in TREE.items():
        fill(root / name, length)
    fill(root / "long", 3_000_001)
    os.chmod(fill(root / "run.sh", 70_000), 0o755)
    return root


@pytest.mark.parametrize("kind", ["v2", "hybrid"])
@pytest.mark.parametrize("piece", [16384, 65536, 1 << 20])
def test_same_bytes_as_create(tmp_path, kind, piece):
    root = fill_tree(tmp_path / "a name")
    made = tmp_path / "created.torrent"
    run("create", root, "-o", made, "--format", kind, "--piece-length", piece,
        "--tracker", "http://t.example/announce", "--tracker", "udp://u.example:1",
        "--web-seed", "http://w.example/c/", "--comment", "ünï")
    ours = derive(
        tmp_path, root, paths_of(root), "torrent", f"format={kind}", "name=a name",
        f"piece={piece}", "tracker=http://t.example/announce", "tracker=udp://u.example:1",
        "seed=http://w.example/c/", "comment=ünï", by())
    assert ours.stdout == made.read_bytes()
    assert ours.stderr.decode() == run("show", made, "--json").of("torrent")[0]["magnet"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("length", [1, 16384, 65536, 65537, 131072, 1_000_000])
def test_same_bytes_as_create_of_one_file(tmp_path, kind, length):
    path = fill(tmp_path / "folder" / "ünï.bin", length)
    made = tmp_path / "created.torrent"
    run("create", path, "-o", made, "--format", kind, "--piece-length", 65536)
    ours = derive(tmp_path, path.parent, [path.name], "torrent", f"format={kind}", "single=1",
                  "name=ünï.bin", "piece=65536", by())
    assert ours.stdout == made.read_bytes()
    assert ours.stderr.decode() == run("show", made, "--json").of("torrent")[0]["magnet"]


def test_v1_of_a_folder_is_padded(tmp_path):
    """Another layout than create's, and a good torrent of the same files."""
    root = fill_tree(tmp_path / "n")
    made = tmp_path / "ours.torrent"
    made.write_bytes(derive(tmp_path, root, paths_of(root), "torrent", "format=v1", "name=n",
                            "piece=65536").stdout)
    assert "v2" not in run("show", made, "--json").of("torrent")[0]
    run("verify", made, root)
    damage(root / "long", 2_999_999)
    run("verify", made, root, code=INTEGRITY)


def test_what_cannot_be(tmp_path):
    root = tmp_path / "n"
    fill(root / "one", 5)
    done = derive(tmp_path, root, ["one"], "torrent", "format=v2", "name=n", "piece=16384",
                  code=POLICY)
    assert b"one file" in done.stderr


def test_sha256sum_takes_the_lines(tmp_path):
    root = fill_tree(tmp_path / "n")
    for odd in ["a\nb", "back\\slash", "car\rriage", " space ", "*star", "b/\n"]:
        fill(root / odd, 33)
    names = paths_of(root)
    (tmp_path / "n.sha256").write_bytes(derive(tmp_path, root, names, "sha256").stdout)
    done = subprocess.run(["sha256sum", "--strict", "-c", "../n.sha256"], cwd=root,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": OK\n") == len(names)
    damage(root / "back\\slash", 7)
    done = subprocess.run(["sha256sum", "--strict", "-c", "../n.sha256"], cwd=root,
                          capture_output=True)
    assert done.returncode == 1


def test_metalink(tmp_path):
    root = fill_tree(tmp_path / "n")
    fill(root / "b/<&> \"'", 40_000)
    names = paths_of(root)
    text = derive(tmp_path, root, names, "meta4", "url=http://h/c/n/", "piece=65536",
                  "torrent=http://h/c/n.torrent").stdout
    ns = {"m": "urn:ietf:params:xml:ns:metalink"}
    files = ET.fromstring(text).findall("m:file", ns)
    assert [f.get("name") for f in files] == [str(p) for p in names]
    for f in files:
        data = (root / f.get("name")).read_bytes()
        assert int(f.find("m:size", ns).text) == len(data)
        assert f.find("m:hash", ns).text == hashlib.sha256(data).hexdigest()
        assert [p.text for p in f.findall("m:pieces/m:hash", ns)] == [
            hashlib.sha1(data[at : at + 65536]).hexdigest() for at in range(0, len(data), 65536)]
        assert f.find("m:url", ns).text == "http://h/c/n/" + f.get("name")
        assert f.find("m:metaurl", ns).get("name") == f.get("name")
        assert f.find("m:metaurl", ns).text == "http://h/c/n.torrent"


def test_aria2_reads_the_metalink(tmp_path):
    root = fill_tree(tmp_path / "n")
    names = paths_of(root)
    link = tmp_path / "n.meta4"
    link.write_bytes(derive(tmp_path, root, names, "meta4", "url=http://h/", "piece=65536",
                            "torrent=http://h/n.torrent").stdout)
    done = subprocess.run(["aria2c", "--no-conf", "-S", link], capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    for name in names:
        assert f"{name}" in done.stdout


@pytest.mark.parametrize("length", [1, 16384, 16385, 50_000, 600_000, 3_000_001])
def test_proofs(tmp_path, length):
    path = fill(tmp_path / "folder" / "f", length)
    data = path.read_bytes()
    blocks = -(-length // BLOCK)
    rand = random.Random(length)
    ranges = {(0, 1), (0, blocks), (blocks - 1, 1)}
    for _ in range(6):
        first = rand.randrange(blocks)
        ranges.add((first, rand.randint(1, blocks - first)))
    for first, count in sorted(ranges):
        done = derive(tmp_path, path.parent, ["f"], "proof", f"first={first}", f"count={count}")
        proof = json.loads(done.stdout)
        root = proof["root"]
        part = bytearray(data[first * BLOCK : (first + count) * BLOCK])
        assert check(proof, bytes(part), root, length) is None
        assert check(proof, bytes(part), root, length + 1)
        assert check(proof, bytes(part[:-1]), root, length)
        part[rand.randrange(len(part))] ^= 1
        assert "do not lead" in check(proof, bytes(part), root, length)


def test_what_lies_in_the_way_stays(tmp_path):
    path = fill(tmp_path / "folder" / "f", 100_000)
    state = tmp_path / "state"
    state.mkdir()
    (state / "hashes").write_bytes(b"something else")
    done = derive(tmp_path, path.parent, ["f"], "sha256", code=USAGE)
    assert b"no file of hashes" in done.stderr
    assert (state / "hashes").read_bytes() == b"something else"
