"""The trees that are published: many small files, each different."""
import os
import random


def make_files(root, folders, files):
    """`folders` folders of `files` files of 100 to 2000 bytes; one folder: flat."""
    root.mkdir(parents=True)
    chance = random.Random(1)
    blob = chance.randbytes(1 << 20)
    for d in range(folders):
        folder = root if folders == 1 else root / f"d{d:04}"
        folder.mkdir(exist_ok=True)
        fd = os.open(folder, os.O_DIRECTORY)
        for f in range(files):
            at, length = chance.randrange(len(blob) - 2000), chance.randrange(100, 2001)
            out = os.open(f"file-{f:07}.txt", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
            os.write(out, b"%d %d " % (d, f) + blob[at:at + length])
            os.close(out)
        os.close(fd)


def make_deep(root, levels, name="x" * 255):
    """A folder in a folder in a folder, with a file in each: paths longer than any call takes."""
    root.mkdir(parents=True)
    fd = os.open(root, os.O_DIRECTORY)
    for _ in range(levels):
        out = os.open("file", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
        os.write(out, os.urandom(16))
        os.close(out)
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
