#!/usr/bin/env python3
"""Print the seed folders of a fuzz target: its own corpus, and vectors that fit it."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = {"metainfo": "tests/vectors/bittorrent/tarn", "bencode": "tests/vectors/bittorrent/tarn"}


def main():
    name = sys.argv[1].removesuffix("_fuzz")
    parser = name.rsplit("_", 1)[-1]
    folders = [*ROOT.glob(f"src/**/test/corpus/{parser}")]
    if parser in VECTORS:
        folders.append(ROOT / VECTORS[parser])
    print(*(folder for folder in folders if folder.is_dir()))


if __name__ == "__main__":
    main()
