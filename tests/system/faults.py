"""What a machine can do to a program: limits, small disks, and calls that fail."""
import contextlib
import errno
import mmap
import os
import resource
import struct
import subprocess
from pathlib import Path

import pytest
from program import is_sanitized
from programs import wait_until


@contextlib.contextmanager
def small_disk(place, size, kind="tmpfs"):
    """A file system of this size (as mount says it) at place."""
    if os.getuid() != 0:
        pytest.skip("only root mounts")
    place.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", kind, "-o", f"size={size}", kind, place], capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("no mounting here")
    try:
        yield place
    finally:
        # Lazily: a test that failed may have left a program there, which ends later.
        subprocess.run(["umount", "-l", place], check=True)


# Groups of the first kind kill a writer whose disk is slow, where those of the second make it wait:
# room for what has been written and lies in the kernel until the disk has taken it.
UNTAKEN = 32 << 20


class MemoryLimit:
    """A hard limit on all that a process uses, what the kernel holds for it included: a control
    group, without swap. Where there is none, on its private memory alone; with sanitizers, which
    take a lot of their own, there is no limit."""

    def __init__(self, mib):
        self.bytes = mib << 20
        self.group = None

    def __enter__(self):
        if not is_sanitized():
            self.group = self._make_group()
        return self

    def _make_group(self):
        """A group of the second kind, or of the first: the file of the limit tells them apart."""
        first_kind = self.bytes + UNTAKEN
        for root, limit, most, with_swap in [
            ("/sys/fs/cgroup", "memory.max", self.bytes, ("memory.swap.max", 0)),
            (
                "/sys/fs/cgroup/memory", "memory.limit_in_bytes", first_kind,
                ("memory.memsw.limit_in_bytes", first_kind),
            ),
        ]:
            if not Path(root, "cgroup.procs").exists():
                continue
            group = Path(root, f"tarn-test-{os.getpid()}-{id(self)}")
            with contextlib.suppress(OSError):
                group.mkdir()
                if (group / limit).exists():
                    (group / limit).write_text(str(most))
                    with contextlib.suppress(OSError):  # a kernel that does not count swap
                        (group / with_swap[0]).write_text(str(with_swap[1]))
                    return group
                group.rmdir()
        return None

    def take(self):
        """Runs in the child."""
        if self.group:
            (self.group / "cgroup.procs").write_text("0")
        elif not is_sanitized():
            resource.setrlimit(resource.RLIMIT_DATA, (self.bytes, self.bytes))

    def __exit__(self, *_):
        if self.group:
            procs = self.group / "cgroup.procs"
            wait_until(lambda: procs.read_text() == "", "the group is empty")
            self.group.rmdir()


def descriptors(n):
    """A preparation of the child: no more than n open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


SHIM = os.path.abspath(os.environ.get("SHIM", "build-test/tests/libshim.so"))


def shimmed(fail=(), path=None, clock=None):
    """The environment of a program whose disk calls fail and whose clock jumps: tools/shim.c.
    fail: (call, first, count, errno) each."""
    if not os.path.exists(SHIM):
        pytest.skip("no shim on this system")
    env = {**os.environ, "LD_PRELOAD": SHIM}
    if is_sanitized():
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    if fail:
        env["SHIM_FAIL"] = ",".join(":".join(map(str, rule)) for rule in fail)
    if path:
        env["SHIM_PATH"] = str(path)
    if clock:
        env["SHIM_CLOCK"] = clock.path
    return env


class Clock:
    """By how much a program's clocks are ahead: the one that only goes on, and the time of day."""

    def __init__(self, path):
        self.path = str(path)
        with open(path, "wb") as f:
            f.write(bytes(16))
        self.file = open(path, "r+b")
        self.ahead = mmap.mmap(self.file.fileno(), 16)

    def jump(self, seconds, time_of_day=0):
        now = struct.unpack("qq", self.ahead[:])
        added = (now[0] + seconds * 1_000_000, now[1] + time_of_day * 1_000_000)
        self.ahead[:] = struct.pack("qq", *added)


def failing(path, first):
    """An environment in which reading from there fails, from the first-th time on."""
    env = shimmed([("read", first, 0, errno.EIO)], path=path)
    return {name: env[name] for name in env if name not in os.environ or env[name] != os.environ[name]}
