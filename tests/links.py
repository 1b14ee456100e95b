#!/usr/bin/env python3
"""Fail when a document points at something that is not there: a relative link, a heading of a page
(#...), or a file of this project that is named in `backticks` by its path from the top; and when a
metric is in no document."""
import re
import subprocess
import sys
from pathlib import Path

FOLDERS = ("bench", "docs", "examples", "include", "packaging", "src", "tests", "web")
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
NAMED = re.compile(r"`((?:%s)/[\w./-]*\w)`" % "|".join(FOLDERS))


def documents(root):
    """Those of git where there is git (a build folder may lie below), else all."""
    try:
        listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "*.md"],
                                check=True, capture_output=True, text=True).stdout.splitlines()
        return [root / name for name in listed if (root / name).exists()]
    except (OSError, subprocess.CalledProcessError):
        return [path for path in root.rglob("*.md") if "build" not in path.relative_to(root).parts[0]]


def lines_of(path):
    """Number and text of each line; what is indented as an example, or fenced, is left out."""
    is_fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif not is_fenced and not line.startswith("    "):
            yield number, line


def headings(path):
    """The names by which headings are linked to."""
    found = set()
    for _, line in lines_of(path):
        if match := re.match(r"#+ +(.*)", line):
            name = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
            found.add(name)
    return found


def faults(root):
    for path in documents(root):
        for number, line in lines_of(path):
            where = f"{path.relative_to(root)}:{number}"
            for link in LINK.findall(line):
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, heading = link.partition("#")
                target = path.parent / name if name else path
                if not target.exists():
                    yield f"{where}: there is no {link}"
                elif heading and target.suffix == ".md" and heading not in headings(target):
                    yield f"{where}: there is no such heading: {link}"
            for name in NAMED.findall(line):
                if not (root / name).exists():
                    yield f"{where}: there is no `{name}`"


def silent_metrics(root):
    """Each figure of /metrics has its line in the guide."""
    source = (root / "src/node/metrics.c").read_text()
    guide = (root / "docs/node.md").read_text()
    for name in re.findall(r'(?:head|gauge|counter|doors)\(o, "(\w+)"', source):
        if not re.search(rf"`tarn_{name}(?:{{[\w,]+}})?`", guide):
            yield f"docs/node.md: nothing is said of tarn_{name}"


def main():
    root = Path(sys.argv[1]).resolve()
    found = [*faults(root), *silent_metrics(root)]
    print(*found, sep="\n")
    if not documents(root):
        sys.exit("there are no documents")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
