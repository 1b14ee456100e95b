"""How the tests of the program run it, and what they make for it."""
import json
import os
import random
import subprocess
from pathlib import Path

TARN = os.environ.get("TARN", "build-test/tarn")
PATIENCE = 120  # seconds before a command counts as hung

FAILED, USAGE, PARTIAL, INTEGRITY, NOT_FOUND, NETWORK, NO_SPACE, DAEMON, POLICY = range(1, 10)


class Done:
    """A command that has ended."""

    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def text(self):
        return self.out.decode()

    @property
    def words(self):
        """What it said on standard error."""
        return self.err.decode()

    @property
    def lines(self):
        """Its JSON lines."""
        lines = [json.loads(line) for line in self.out.decode().splitlines()]
        assert all(line["v"] == 1 and line["type"] for line in lines)
        return lines

    def of(self, kind):
        return [line for line in self.lines if line["type"] == kind]

    @property
    def error(self):
        return self.lines[-1]["error"]


def run(*words, code=0, **more):
    """Run tarn; fails when it does not end with this code (None: any)."""
    more.setdefault("stdin", subprocess.DEVNULL)
    done = Done(
        subprocess.run(
            [TARN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=PATIENCE, **more,
        )
    )
    assert code is None or done.code == code, f"exit {done.code}: {done.words}{done.text}"
    assert "Sanitizer" not in done.words and "runtime error" not in done.words, done.words
    return done


def is_sanitized():
    """Sanitizers are slow and take memory of their own."""
    return b"__asan" in Path(TARN).read_bytes()


def end_well(transfer):
    """Tell one that goes on (programs.Tarn) to end: it does, and no sanitizer has anything to say."""
    transfer.process.terminate()
    assert transfer.wait() == 0, transfer.story()
    assert "Sanitizer" not in transfer.errors() and "runtime error" not in transfer.errors()


def assert_small(transfer, mib):
    """It has never held more memory."""
    if not is_sanitized():
        assert transfer.peak_mib() < mib


def huge(path, length):
    """A file that takes time to read and no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        f.truncate(length)


def fill(path, length, seed=0):
    path = Path(os.fsdecode(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed * 7919 + length).randbytes(length))
    return path


def damage(path, *places):
    """Change one byte at each place."""
    with open(path, "r+b") as f:
        for place in places:
            f.seek(place)
            byte = f.read(1)
            f.seek(place)
            f.write(bytes([byte[0] ^ 0xFF]))


TREE = {
    "a.bin": 100_000,
    "b/empty": 0,
    "b/exactly": 65_536,
    "b/one": 1,
    "b.bin": 32_769,
    "ünï/日本 x.bin": 200_001,
    "z": 16_384,
}
