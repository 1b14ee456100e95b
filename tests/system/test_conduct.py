"""What all verbs share: help, errors, JSON, manuals, exit codes, memory."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from faults import small_disk
from program import FAILED, NO_SPACE, POLICY, TARN, USAGE, huge, is_sanitized, run

VERBS = ["create", "show", "verify", "fetch", "seed", "up", "publish", "add", "ls", "status", "peers",
         "pause", "resume", "rm", "scrub", "config", "version"]
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], *[[v, "--help"] for v in VERBS],
                                   *[["help", v] for v in VERBS]])
def test_help_fits_a_screen(words):
    done = run(*words)
    lines = done.text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert lines[0].startswith("Usage: tarn ")
    assert done.words == ""


def test_help_wins_over_missing_operands():
    assert run("verify", "--help", "--json").text == run("verify", "-h").text


def test_no_verb():
    assert run(code=USAGE).text == run("--help").text
    done = run("zz", code=USAGE)
    assert all(verb in done.words for verb in VERBS)
    assert "did you mean 'verify'" in run("verfy", code=USAGE).words
    error = run("nonsense", "--json", code=USAGE).error
    assert error["code"] == "usage" and "nonsense" in error["message"]


def test_version():
    assert re.match(r"tarn \d+\.\d+\.\d+\n", run("version").text)
    assert run("--version").text == run("version").text
    line = run("version", "--json").lines[0]
    assert line["type"] == "version" and f"tarn {line['version']}\n" in run("version").text


@pytest.mark.parametrize("words", [
    ["create"], ["create", "a", "b"], ["create", "--nonsense", "a"], ["create", "-x", "a"],
    ["create", "a", "-o"], ["show"], ["show", "a", "--json=yes"], ["verify", "a"],
    ["fetch"], ["fetch", "a", "--rate-down=fast"], ["seed", "a"], ["version", "x"],
    ["fetch", "a", "--progress=loud"],
])
def test_usage(words):
    done = run(*words, code=USAGE)
    assert done.out == b"" and done.words.startswith("tarn: ") and done.words.count("\n") == 1
    error = run(*words[:1], "--json", *words[1:], code=USAGE)
    assert len(error.lines) == 1 and error.error["code"] == "usage"
    assert f"tarn: {error.error['message']}\n" == done.words or "--json" in words[-1]
    assert error.err == b""


def test_progress_as_json(tmp_path):
    length = 200 << 20 if is_sanitized() else 1 << 30
    huge(tmp_path / "sparse", length)
    done = run("create", tmp_path / "sparse", "-o", tmp_path / "x", "--progress=json")
    lines = [json.loads(line) for line in done.words.splitlines()]
    assert lines and all(line["v"] == 1 and line["type"] == "progress" for line in lines)
    assert lines[-1]["done"] == lines[-1]["total"] == length
    assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)


def test_output_that_goes_nowhere(tree, create):
    torrent = create(tree)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TARN, "show", torrent], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode not in (0, -13) and b"standard output" in done.stderr
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TARN, "create", tree, "-o", "-"], stdout=full,
                              stderr=subprocess.PIPE)
    assert done.returncode == NO_SPACE


def test_reader_that_goes_away(tree, create):
    torrent = create(tree)
    process = subprocess.Popen([TARN, "show", torrent], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    process.stderr.read()
    assert process.wait(30) in (0, FAILED)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system with room for next to nothing."""
    with small_disk(tmp_path / "disk", "64k") as place:
        yield place


def test_full_disk(tiny_disk, tmp_path):
    huge(tmp_path / "sparse", 100 << 20)
    done = run("create", tmp_path / "sparse", "--piece-length=16K", "-o", tiny_disk / "x.torrent",
               code=NO_SPACE)
    assert "x.torrent" in done.words and os.listdir(tiny_disk) == []
    run("create", tmp_path / "sparse", "-o", tmp_path / "y", "--leaves", tiny_disk / "leaves",
        code=NO_SPACE)
    assert os.listdir(tiny_disk) == [] and not (tmp_path / "y").exists()


def test_read_only_disk(tiny_disk, tree):
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    done = run("create", tree, "-o", tiny_disk / "x.torrent", code=POLICY)
    assert "Read-only" in done.words


def peak(*words):
    """The most memory that a command had in use at once."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(TARN, [TARN, *map(str, words)])
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss * 1024


def test_memory(tmp_path):
    if is_sanitized():
        pytest.skip("sanitizers take their own memory")
    huge(tmp_path / "sparse", 2 << 30)
    out = tmp_path / "x.torrent"
    for kind in ["v1", "v2", "hybrid"]:
        made = peak("create", tmp_path / "sparse", "-o", out, "--force", "--format", kind)
        checked = peak("verify", out, tmp_path / "sparse")
        assert max(made, checked) < 64 << 20, (kind, made, checked)


# Manuals


def test_documentation_is_up_to_date():
    assert run("--generate", "docs").text == (ROOT / "docs" / "commands.md").read_text()


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_manual_pages_render(verb):
    page = run("--generate", "man", *([verb] if verb else [])).out
    if not shutil.which("groff"):
        pytest.skip("no groff")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou"], input=page,
                          capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
    text = done.stdout.decode()
    assert "NAME" in text and "EXIT STATUS" in text
    if verb:
        for option in re.findall(r"--([a-z-]+)", run(verb, "--help").text):
            assert f"--{option}" in text.replace("\u2212", "-").replace("\u2010", "-")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_program(shell, tmp_path):
    script = tmp_path / f"tarn.{shell}"
    script.write_bytes(run("--generate", shell).out)
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    subprocess.run([shell, "-n", script], check=True)


@pytest.mark.parametrize("line, offers", [
    ("tarn cre", ["create"]),
    ("tarn create --pie", ["--piece-length"]),
    ("tarn create --format ", ["hybrid", "v1", "v2"]),
    ("tarn show --j", ["--json"]),
])
def test_bash_completes(line, offers, tmp_path):
    script = tmp_path / "tarn.bash"
    script.write_bytes(run("--generate", "bash").out)
    words = line.split(" ")
    program = (f"source {script}; COMP_WORDS=({' '.join(repr(w) for w in words)}); "
               f"COMP_CWORD={len(words) - 1}; _tarn; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == "" and done.stdout.split() == offers


def test_unknown_manual():
    run("--generate", "man", "nonsense", code=USAGE)
    run("--generate", code=USAGE)
