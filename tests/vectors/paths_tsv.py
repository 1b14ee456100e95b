#!/usr/bin/env python3
"""Write a PATHS.json of the vectors as the table that vectors_test.c reads: PATHS.tsv.

    tests/vectors/paths_tsv.py PATHS.json >tests/vectors/bittorrent/PATHS.tsv

One line a file: the torrent, the path (every byte but letters, digits and -._~/ as %XX), the size."""
import json
import sys
from urllib.parse import quote


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        torrents = json.load(file)
    print("torrent", "path", "size", sep="\t")
    for torrent, files in torrents.items():
        for path, size in files:
            print(torrent, quote(path, safe="/-._~"), size, sep="\t")


if __name__ == "__main__":
    main()
