#!/usr/bin/env python3
"""Print how many test cases of a JUnit file passed and failed: "P F".

A program that died without a verdict counts as one failure; so does a file that is not there."""
import sys
import xml.etree.ElementTree as tree


def count(path):
    passed = failed = 0
    for case in tree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed


def main():
    try:
        print(*count(sys.argv[1]))
    except (OSError, tree.ParseError) as why:
        print(f"{sys.argv[1]}: {why}", file=sys.stderr)
        print(0, 1)


if __name__ == "__main__":
    main()
