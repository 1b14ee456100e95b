#!/usr/bin/env python3
"""Fail when libtarn offers a symbol that include/tarn does not declare with TARN_API, or lacks one."""
import re
import subprocess
import sys
from pathlib import Path


def declared(folder):
    names = set()
    for header in Path(folder).glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        for declaration in re.findall(r"TARN_API\s[^;]*;", text):
            names.add(re.search(r"(tarn_\w+)\s*\(", declaration)[1])
    return names


def exported(library):
    out = subprocess.run(
        ["nm", "--dynamic", "--defined-only", library], capture_output=True, text=True, check=True
    )
    return {line.split()[-1].split("@")[0] for line in out.stdout.splitlines()}


def is_tool(name):
    """What sanitizers and coverage add."""
    return re.match(r"(__asan|__ubsan|__tsan|__sanitizer|__gcov|__llvm|_init$|_fini$|_end$|_edata$|__bss_start$|__odr_asan)", name)


def main():
    wanted = declared(sys.argv[2])
    found = {name for name in exported(sys.argv[1]) if not is_tool(name)}
    for name in sorted(found - wanted):
        print(f"{name}: exported, but no header declares it")
    for name in sorted(wanted - found):
        print(f"{name}: declared, but not exported")
    sys.exit(found != wanted or not wanted)


if __name__ == "__main__":
    main()
