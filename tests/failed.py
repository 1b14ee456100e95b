#!/usr/bin/env python3
"""Print which tests of Meson's testlog.json failed, and how each ended: the part of a long run's output
that is read first, and for some readers the only one."""
import json
import sys

LINES = 25  # of one failure: a traceback's end, with what was expected
WIDTH = 300
CASES = 20  # of one program


def cases(stdout):
    """The TAP cases that failed, each with the comments that follow it."""
    found, case = [], None
    for line in stdout.splitlines():
        if line.startswith(("ok ", "not ok ")):
            case = [line] if line.startswith("not ok") else None
            if case:
                found.append(case)
        elif case and line.startswith("#"):
            case.append(line)
    return found


def report(stderr):
    """What a sanitizer said, from its first line on; else the last lines."""
    for i, line in enumerate(stderr):
        if "ERROR: " in line or "runtime error: " in line:
            return stderr[i : i + LINES]
    return stderr[-LINES:]


def told(test):
    """The lines that say how a test ended that did not end well."""
    yield f"{test['name']}: {test['result']}, exit status {test['returncode']}"
    failed = cases(test["stdout"])
    for head, *comments in failed[:CASES]:
        yield from (line[:WIDTH] for line in [head, *comments[-LINES:]])
    if len(failed) > CASES:
        yield f"and {len(failed) - CASES} more"
    if not failed:  # it died, or hung
        yield from (line[:WIDTH] for line in test["stdout"].splitlines()[-5:])
    yield from (line[:WIDTH] for line in report(test.get("stderr", "").splitlines()))


def main():
    for path in sys.argv[1:]:
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                tests = [json.loads(line) for line in log]
        except FileNotFoundError:
            continue  # no test of it was run
        except (OSError, ValueError) as why:
            print(f"{path}: {why}")
            continue
        for test in tests:
            if test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP"):
                print("--", path.split("/")[0], end=" ")
                print(*told(test), sep="\n")


if __name__ == "__main__":
    main()
