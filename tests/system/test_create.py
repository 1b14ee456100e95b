"""tarn create: the same torrents as libtorrent makes, whatever the files are called."""
import os
import shutil
import signal
import subprocess
import time

import libtorrent as lt
import pytest
from program import (FAILED, NOT_FOUND, PARTIAL, POLICY, TARN, TREE, USAGE, fill, huge,
                      is_sanitized, run)
from programs import SLOWNESS, wait_until

FORMATS = ["v1", "v2", "hybrid"]
FLAGS = {
    "v1": lt.create_torrent.v1_only,
    "v2": lt.create_torrent.v2_only,
    "hybrid": 0,
}


def theirs(root, piece_length, kind, folder):
    """libtorrent's torrent of the same files, in our order: that of the v2 tree."""
    storage = lt.file_storage()
    base = os.path.dirname(root)
    if root.is_file():
        found = [root]
    else:
        found = sorted((p for p in root.rglob("*") if p.is_file()),
                       key=lambda p: [os.fsencode(part) for part in p.relative_to(base).parts])
    for path in found:
        flags = lt.file_storage.flag_executable if os.access(path, os.X_OK) else 0
        storage.add_file(str(path.relative_to(base)), path.stat().st_size, flags)
    torrent = lt.create_torrent(storage, piece_size=piece_length, flags=FLAGS[kind])
    lt.set_piece_hashes(torrent, str(base))
    out = folder / "theirs.torrent"
    out.write_bytes(lt.bencode(torrent.generate()))
    return lt.torrent_info(str(out))


def assert_same_hashes(ours, other):
    a, b = ours.info_hashes(), other.info_hashes()
    assert (a.has_v1(), a.has_v2()) == (b.has_v1(), b.has_v2())
    assert a.v1 == b.v1 and a.v2 == b.v2


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("piece_length", [16384, 32768, 131072, 1 << 20])
def test_as_libtorrent(tree, tmp_path, create, kind, piece_length):
    ours = lt.torrent_info(str(create(tree, "--format", kind, "--piece-length", piece_length)))
    assert_same_hashes(ours, theirs(tree, piece_length, kind, tmp_path))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("length", [1, 16383, 16384, 16385, 32768, 32769, 1_000_003])
def test_single_file_as_libtorrent(tmp_path, create, kind, length):
    file = fill(tmp_path / "single.bin", length)
    ours = lt.torrent_info(str(create(file, "--format", kind, "--piece-length", "32K")))
    assert ours.name() == "single.bin" and ours.files().file_path(0) == "single.bin"
    assert_same_hashes(ours, theirs(file, 32768, kind, tmp_path))


@pytest.mark.parametrize("kind", FORMATS)
def test_libtorrent_finds_all_good(tree, create, kind):
    """Its own check of our torrent against the data."""
    ours = create(tree, "--format", kind, "--piece-length", "16K")
    session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False,
                          "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False})
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(str(ours))
    params.save_path = str(tree.parent)
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags &= ~lt.torrent_flags.paused
    handle = session.add_torrent(params)
    wait_until(lambda: handle.status().is_seeding, lambda: f"all is good: {handle.status().progress}")


def test_usual_name_and_words(tree, tmp_path):
    done = run("create", tree, cwd=tmp_path)
    assert (tmp_path / "tree.torrent").exists()
    info = lt.torrent_info(str(tmp_path / "tree.torrent"))
    assert done.text.startswith("tree.torrent: 7 files, 404.9 KiB, ")
    assert str(info.info_hashes().v1) in done.text and str(info.info_hashes().v2) in done.text
    assert done.words == ""


@pytest.mark.parametrize("given", [".", "./", "../tree", "../tree/", "../tree/."])
def test_paths_of_the_same_folder(tree, tmp_path, given):
    out = tmp_path / "x.torrent"
    run("create", given, "-o", out, cwd=tree)
    assert lt.torrent_info(str(out)).name() == "tree"


def test_standard_output(tree, create):
    done = run("create", tree, "-o", "-")
    assert done.out == create(tree).read_bytes()
    refused = run("create", tree, "-o", "-", "--json", code=USAGE)
    assert refused.error["code"] == "usage"


@pytest.mark.parametrize("kind", FORMATS)
def test_same_files_same_bytes(tree, tmp_path, create, kind):
    """Copied in another order, by another number of workers: readdir's order does not matter."""
    first = create(tree, "--format", kind, "-j", 1).read_bytes()
    other = tmp_path / "other" / "tree"
    for path in sorted(TREE, reverse=True):
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / path, other / path)
    assert create(other, "--format", kind, "-j", 5).read_bytes() == first
    assert create(tree, "--format", kind).read_bytes() == first


def test_folder_that_holds_itself(tmp_path, create):
    """Files and their namesakes in a folder of the torrent's own name: all are the right ones."""
    for i in range(80):
        fill(tmp_path / "same" / f"{i:03}", 1000, i)
        fill(tmp_path / "same" / "same" / f"{i:03}", 1000, 1000 + i)
    torrent = create(tmp_path / "same", "--piece-length", "16K")
    assert_same_hashes(lt.torrent_info(str(torrent)),
                       theirs(tmp_path / "same", 16384, "hybrid", tmp_path))
    run("verify", torrent, tmp_path / "same")
    run("verify", torrent, tmp_path)


def test_order_of_the_tree(tmp_path, create):
    for name in ["a/x", "a-b", "a.b", "a0", "a b", "aa/y"]:
        fill(tmp_path / "order" / name, 10)
    lines = run("show", "--json", create(tmp_path / "order")).of("file")
    assert [line["path"] for line in lines] == [
        f"order/{name}" for name in ["a/x", "a b", "a-b", "a.b", "a0", "aa/y"]]


def test_everything_that_can_be_said(tree, create):
    torrent = create(
        tree, "--tracker", "http://one.example/announce", "--tracker=udp://two.example:6969",
        "--web-seed", "https://files.example/", "--private", "--source", "here",
        "--comment", "wörds", "--date=1700000000")
    info = lt.torrent_info(str(torrent))
    assert [(t.url, t.tier) for t in info.trackers()] == [
        ("http://one.example/announce", 0), ("udp://two.example:6969", 1)]
    assert info.priv() and info.comment() == "wörds" and info.creation_date() == 1700000000
    assert [seed["url"] for seed in info.web_seeds()] == ["https://files.example/"]
    shown = run("show", "--json", torrent).lines[0]
    assert shown["source"] == "here" and shown["created_at"] == 1700000000
    assert shown["private"] is True
    assert [t["tier"] for t in shown["trackers"]] == [0, 1]


def test_no_date_unless_asked(tree, create):
    assert b"creation date" not in create(tree).read_bytes()
    before = int(time.time())
    for option in ["--date", "--date=now"]:
        shown = run("show", "--json", create(tree, option)).lines[0]
        assert before <= shown["created_at"] <= time.time()


def test_executable_bit(tree, create):
    (tree / "z").chmod(0o755)
    lines = run("show", "--json", create(tree)).of("file")
    assert [line["path"] for line in lines if line["executable"]] == ["tree/z"]


def test_others_than_files_are_left_out(tree, create):
    plain = create(tree).read_bytes()
    (tree / "link").symlink_to("a.bin")
    (tree / "folder").symlink_to("b")
    (tree / "dangling").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    done = run("create", tree, "-o", tree.parent / "x.torrent", "--json")
    assert {(line["path"], line["why"]) for line in done.of("skipped")} == {
        ("link", "a symbolic link"), ("folder", "a symbolic link"),
        ("dangling", "a symbolic link"), ("pipe", "not a regular file")}
    assert (tree.parent / "x.torrent").read_bytes() == plain
    words = run("create", tree, "-o", "-").words
    assert "left out 'dangling': a symbolic link" in words


def test_link_named_by_the_user_is_followed(tree, tmp_path):
    (tmp_path / "link").symlink_to("tree")
    run("create", "link", cwd=tmp_path)
    assert lt.torrent_info(str(tmp_path / "link.torrent")).name() == "link"


BAD_NAMES = [b"\xff\xfe", b"caf\xe9.txt", b"line\nbreak", b"back\\slash", b"\x1b[31m",
             "hidden\u200bspace".encode(), b"x" * 241, b"_____padding_file_0_"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_no_torrent_can_hold(tree, create, name):
    plain = create(tree).read_bytes()
    bad = os.path.join(os.fsencode(tree), b"b", name)
    with open(bad, "wb") as f:
        f.write(b"x")
    done = run("create", tree, "-o", "-", code=FAILED)
    assert done.out == b"" and "--skip-bad-names" in done.words
    assert done.words.count("\n") == 1 and "\x1b" not in done.words
    assert create(tree, "--skip-bad-names").read_bytes() == plain
    os.mkdir(bad + b".d") if len(name) < 250 else None
    assert create(tree, "--skip-bad-names").read_bytes() == plain


@pytest.mark.parametrize("name", ["ordinary", "with space", "ünï", "日本語", "x" * 240, "%41", "'q'",
                                  "~", "-dash", "CON", "trailing.", "*?<>|:\""])
def test_names_that_are_kept(tmp_path, create, name):
    fill(tmp_path / "names" / name, 5)
    torrent = create(tmp_path / "names")
    assert run("show", "--json", torrent).of("file")[0]["path"] == f"names/{name}"
    run("verify", torrent, tmp_path / "names")


def test_nothing_to_share(tmp_path):
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "zeros" / "a", 0)
    fill(tmp_path / "nil", 0)
    for name, words in [("empty", "there is no file in"), ("zeros", "all files in"),
                        ("nil", "is empty")]:
        done = run("create", name, code=FAILED, cwd=tmp_path)
        assert words in done.words
        assert not (tmp_path / f"{name}.torrent").exists()


@pytest.mark.parametrize("options, words", [
    (["--format=v3"], "one of: hybrid v1 v2"),
    (["--piece-length=1"], "power of two"),
    (["--piece-length=24K"], "power of two"),
    (["--piece-length=8K"], "power of two"),
    (["--piece-length=0"], "at least one byte"),
    (["--piece-length=1G"], "536854528"),
    (["--piece-length=12Q"], "a size like"),
    (["--format=v1", "--leaves=l"], "no leaf hashes"),
    (["--tracker=nonsense"], "no URL of a tracker"),
    (["--tracker=ftp://x/"], "no URL of a tracker"),
    (["--web-seed=udp://x/"], "no URL of a web seed"),
    (["--jobs=x"], "a number"),
    (["--date=yesterday"], "a number"),
])
def test_settings_that_make_no_sense(tree, options, words):
    done = run("create", tree, "-o", tree.parent / "x", *options, code=USAGE)
    assert words in done.words
    assert not (tree.parent / "x").exists()


def test_pieces_of_any_length_in_v1(tree, create):
    info = lt.torrent_info(str(create(tree, "--format", "v1", "--piece-length", "5000")))
    assert info.piece_length() == 5000
    run("verify", create(tree, "--format", "v1", "--piece-length", "5000"), tree)


def test_too_many_pieces(tmp_path):
    huge(tmp_path / "big", 40 << 30)
    done = run("create", "big", "--format=v1", "--piece-length=16K", code=USAGE, cwd=tmp_path)
    assert "2097152 pieces" in done.words


def test_refusals(tree, tmp_path):
    run("create", tmp_path / "nowhere", code=NOT_FOUND)
    run("create", "/dev/null", "-o", tmp_path / "x", code=FAILED)
    out = tmp_path / "there.torrent"
    out.write_bytes(b"mine")
    done = run("create", tree, "-o", out, code=USAGE)
    assert "--force" in done.words and out.read_bytes() == b"mine"
    run("create", tree, "-o", out, "--force")
    assert out.read_bytes() != b"mine"
    run("create", tree, "-o", tmp_path / "no" / "folder.torrent", code=NOT_FOUND)
    run("create", "/", "-o", tmp_path / "x", code=USAGE)


def test_output_folder_that_cannot_be_written(tree):
    done = run("create", tree, "-o", "/proc/x.torrent", code=None)
    assert done.code in (POLICY, NOT_FOUND) and "/proc/x.torrent" in done.words


def test_file_that_cannot_be_read(tree, tmp_path):
    if os.getuid() == 0:
        pytest.skip("root may read everything")
    (tree / "a.bin").chmod(0)
    done = run("create", tree, "-o", tmp_path / "x", code=POLICY)
    assert "a.bin" in done.words


def started(*words):
    """A command in the background that has begun to hash."""
    process = subprocess.Popen([TARN, *map(str, words), "--progress=json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b'"progress"' in process.stderr.readline()
    return process


@pytest.mark.parametrize("change", ["touch", "grow", "cut", "replace", "remove"])
def test_file_that_changes_meanwhile(tmp_path, change):
    file = tmp_path / "changing" / "big"
    length = 512 << 20 if is_sanitized() else 1 << 30
    huge(file, length)
    process = started("create", file.parent, "-o", tmp_path / "x.torrent")
    if change == "touch":
        os.utime(file)
    elif change == "grow":
        os.truncate(file, length + 1)
    elif change == "cut":
        os.truncate(file, 1 << 20)
    elif change == "replace":
        huge(tmp_path / "new", length)
        os.rename(tmp_path / "new", file)
    else:
        os.remove(file)
    words = process.communicate(timeout=120)[1].decode()
    assert process.returncode == FAILED
    assert "changing/big" in words.splitlines()[-1]
    assert not (tmp_path / "x.torrent").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(tmp_path, number):
    huge(tmp_path / "huge", 24 << 30)
    process = started("create", tmp_path / "huge", "-o", tmp_path / "x.torrent", "--leaves",
                      tmp_path / "leaves")
    begin = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30 * SLOWNESS)
    assert process.returncode == PARTIAL
    assert time.monotonic() - begin < 10 * SLOWNESS
    assert sorted(os.listdir(tmp_path)) == ["huge"]
