#!/usr/bin/env python3
"""The files of web/ as C arrays, for the admin door: assets.py OUTPUT FILE... The first is the page."""
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def array(data):
    lines = [data[i:i + 16] for i in range(0, len(data), 16)]
    return "\n".join("    " + " ".join(f"{b}," for b in line) for line in lines)


def main():
    files = [Path(name) for name in sys.argv[2:]]
    text = ['#include "node/admin_priv.h"\n']
    for i, file in enumerate(files):
        text.append(f"static const uint8_t file_{i}[] = {{\n{array(file.read_bytes())}\n}};\n")
    text.append("const struct admin_asset admin_assets[] = {")
    for i, file in enumerate(files):
        text.append(f'    {{ "/{file.name}", "{TYPES[file.suffix]}", file_{i}, sizeof file_{i} }},')
    text.append("};\nconst size_t admin_assets_n = sizeof admin_assets / sizeof *admin_assets;\n")
    Path(sys.argv[1]).write_text("\n".join(text))


if __name__ == "__main__":
    main()
