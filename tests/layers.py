#!/usr/bin/env python3
"""Fail when a room below src/ includes a header of a room that it may not know.

src/LAYERS says which rooms each room may include. A room that LAYERS does not name is a fault too,
and so is a rule for a room that is gone."""
import re
import sys
from pathlib import Path


def read_rules(path):
    rules = {}
    for line in path.read_text().splitlines():
        room, colon, rest = line.split("#")[0].partition(":")
        if colon:
            rules[room.strip()] = set(rest.split())
    return rules


def room_of(path, rules):
    folders = path.split("/")[:-1]
    for n in range(len(folders), 0, -1):
        if "/".join(folders[:n]) in rules:
            return "/".join(folders[:n])
    return None


def faults(src):
    rules = read_rules(src / "LAYERS")
    for room in rules:
        if not (src / room).is_dir():
            yield f"LAYERS: room {room} does not exist"
    for file in sorted([*src.rglob("*.c"), *src.rglob("*.h")]):
        name = file.relative_to(src).as_posix()
        here = room_of(name, rules)
        if here is None:
            yield f"{name}: in no room that LAYERS names"
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            there = room_of(found[1], rules) if found else None
            if there and there != here and there not in rules[here]:
                yield f"{name}:{number}: {here} may not include {there} ({found[1]})"


def main():
    found = list(faults(Path(sys.argv[1])))
    print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
