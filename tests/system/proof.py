#!/usr/bin/python3
"""Check a proof that a range belongs to a file (docs/proof.md).

    proof.py PROOF.json RANGE ROOT LENGTH

PROOF.json is what the node gave, RANGE holds the bytes of its blocks, ROOT (64 hex digits) and
LENGTH are the file's identity, from a source that you trust. Exit 0 when it is that range of that
file, else 1 with a line that says why.
"""
import hashlib
import json
import sys

BLOCK = 16384


def sha256(data):
    return hashlib.sha256(data).digest()


def levels(blocks):
    """Levels between so many leaves and the root."""
    return (blocks - 1).bit_length()


def check(proof, data, root, length):
    """Why the proof does not hold; None: it does."""
    if proof["v"] != 1:
        return "a proof of a version that is not known"
    if proof["root"] != root or proof["length"] != length:
        return "a proof for another file"
    blocks = -(-length // BLOCK)
    first, count = proof["first"], proof["count"]
    if count < 1 or first < 0 or first + count > blocks:
        return "the range is not inside the file"
    if len(data) != min((first + count) * BLOCK, length) - first * BLOCK:
        return "the range has another length than the proof says"
    level = [sha256(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    uncles = [bytes.fromhex(uncle) for uncle in proof["uncles"]]
    left, right, empty = first, first + count - 1, bytes(32)
    for height in range(levels(blocks)):
        if left % 2 == 1:
            if not uncles:
                return "hashes are missing"
            level.insert(0, uncles.pop(0))
        if right % 2 == 0:
            goes_on = (right + 1) << height < blocks
            if goes_on and not uncles:
                return "hashes are missing"
            level.append(uncles.pop(0) if goes_on else empty)
        level = [sha256(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        left, right, empty = left // 2, right // 2, sha256(empty + empty)
    if uncles:
        return "there are hashes too many"
    if level != [bytes.fromhex(root)]:
        return "the hashes do not lead to the root"
    return None


def main():
    proof_path, range_path, root, length = sys.argv[1:]
    with open(proof_path, encoding="ascii") as f:
        proof = json.load(f)
    with open(range_path, "rb") as f:
        data = f.read()
    why = check(proof, data, root.lower(), int(length))
    if why:
        sys.exit(why)


if __name__ == "__main__":
    main()
