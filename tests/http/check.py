#!/usr/bin/env python3
"""Play the raw requests of cases.py to a server and say what it did.

    check.py HOST:PORT [--path /file] [--only NAME ...] [--json] [--timeout SECONDS]

--path names a file that a GET answers with 200 and at least two bytes. Exit code 0: every case came
out well; 1: some did not; 2: the server does not answer at all."""
import argparse
import json
import re
import socket
import sys
from dataclasses import dataclass, field

from cases import CASES, CLOSED, EITHER, KEPT, MUST, SAFE, SHOULD

HEAD_MAX = 1 << 20


class Malformed(Exception):
    """What came back is no HTTP/1.1."""


@dataclass
class Answer:
    status: int
    fields: dict
    body: bytes = b""


@dataclass
class Outcome:
    answers: list = field(default_factory=list)
    interim: int = 0
    end: str = ""  # CLOSED, KEPT, "" when nobody asked, or what went wrong

    def __str__(self):
        shown = " ".join(str(a.status) for a in self.answers) or "no answer"
        if self.interim:
            shown = f"100, {shown}"
        return f"{shown}, {self.end}" if self.end else shown


class Line:
    """A connection, and the answers that come over it."""

    def __init__(self, address, timeout):
        self.sock = socket.create_connection(address, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.is_over = False

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said before it closed is still read

    def fill(self):
        """Read more; False: the other side has closed."""
        if self.is_over:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.is_over = not data
        self.buffer += data
        return bool(data)

    def take(self, n):
        while len(self.buffer) < n:
            if not self.fill():
                raise Malformed("cut inside an answer")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def take_line(self):
        while b"\n" not in self.buffer:
            if len(self.buffer) > HEAD_MAX or not self.fill():
                raise Malformed("cut inside an answer")
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise Malformed(f"a line that does not end with CRLF: {line[:60]!r}")
        return line[:-1]

    def answer(self, is_head):
        """The next answer; None when there is none any more."""
        while not self.buffer:
            if not self.fill():
                return None
        first = re.fullmatch(rb"HTTP/1\.[01] (\d{3})( [^\x00-\x1f\x7f]*)?", self.take_line())
        if first is None:
            raise Malformed("no status line")
        answer = Answer(int(first[1]), {})
        while line := self.take_line():
            name, colon, value = line.partition(b":")
            if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise Malformed(f"a bad field: {line[:60]!r}")
            answer.fields.setdefault(name.decode().lower(), []).append(value.strip())
        answer.body = self.body(answer, is_head)
        return answer

    def body(self, answer, is_head):
        length = answer.fields.get("content-length", [])
        coding = answer.fields.get("transfer-encoding", [])
        if length and coding:
            raise Malformed("an answer with both framings")
        if is_head or answer.status < 200 or answer.status in (204, 304):
            return b""
        if coding:
            return self.chunks()
        if length:
            if len(length) > 1 or not length[0].isdigit():
                raise Malformed("a bad Content-Length")
            return self.take(int(length[0]))
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def chunks(self):
        content = b""
        while size := int(self.take_line(), 16):
            content += self.take(size)
            if self.take(2) != b"\r\n":
                raise Malformed("a chunk without its end")
        while self.take_line():
            pass
        return content


def fill_in(data, names):
    for name, value in names.items():
        data = data.replace(b"{" + name.encode() + b"}", value)
    return data


def play(case, address, names, timeout):
    """What a server makes of a case."""
    # Slices are cut by hand, so that names may lie across them.
    send = [*case.send]
    if len(send) > 1 and not case.waits:
        whole = fill_in(b"".join(send), names)
        step = 1 if all(len(s) == 1 for s in send) else max(1, len(whole) // len(send))
        send = [whole[at:at + step] for at in range(0, len(whole), step)]
    send = [fill_in(data, names) for data in send]
    outcome = Outcome()
    line = Line(address, timeout)
    try:
        wanted = max(len(shape.statuses) for shape in case.shapes)
        rest = send_all(case, line, send, outcome)
        read(line, outcome, max(wanted, 1), case.silent)
        if rest or any(shape.end is None and fits(shape, outcome) for shape in case.shapes):
            return outcome
        # Is anybody still there? One more request, the last one.
        if not line.is_over:
            line.send(fill_in(b"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", names))
        before = len(outcome.answers)
        read(line, outcome, 1000, case.silent)
        outcome.end = CLOSED
        if len(outcome.answers) == before + 1 and before == wanted:
            probe = outcome.answers.pop()
            outcome.end = KEPT if probe.status == 200 else f"then {probe.status}"
    except Malformed as bad:
        outcome.end = str(bad)
    except TimeoutError:
        outcome.end = "hangs"
    finally:
        line.sock.close()
    return outcome


def send_all(case, line, send, outcome):
    """Send the slices. With case.waits: something must have come back before the second is sent.
    Returns how many slices were not sent, because a final answer came first."""
    for n, data in enumerate(send):
        if n > 0 and case.waits:
            answer = line.answer(False)
            if answer is None:
                return len(send) - n
            if answer.status != 100:
                outcome.answers.append(answer)
                return len(send) - n
            outcome.interim += 1
        line.send(data)
    return 0


def read(line, outcome, wanted, silent):
    while len(outcome.answers) < wanted:
        answer = line.answer(len(outcome.answers) in silent)
        if answer is None:
            return
        if answer.status < 200 and answer.status != 101:
            outcome.interim += 1
        else:
            outcome.answers.append(answer)


def status_fits(status, allowed):
    return str(status) in allowed or f"{status // 100}xx" in allowed


def fits(shape, outcome):
    statuses = [a.status for a in outcome.answers]
    if len(statuses) != len(shape.statuses):
        return False
    if not all(status_fits(s, allowed) for s, allowed in zip(statuses, shape.statuses)):
        return False
    if shape.end is None:
        return True
    return outcome.end in ((CLOSED, KEPT) if shape.end == EITHER else (shape.end,))


def is_good(case, outcome):
    if not any(fits(shape, outcome) for shape in case.shapes):
        return False
    if case.no_interim and outcome.interim:
        return False
    return all(name in a.fields for a in outcome.answers
               for status, name in case.fields if str(a.status) == status)


def wanted(case):
    ways = []
    for shape in case.shapes:
        statuses = " then ".join("/".join(s) for s in shape.statuses) or "no answer"
        ways.append(f"{statuses}, {shape.end}" if shape.end else statuses)
    return " or ".join(ways)


def names_for(address, path):
    host, port = address
    return {"host": (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode(),
            "path": path.encode()}


def run(address, path, only=(), timeout=10.0):
    """(case, outcome, is it good) for each case."""
    names = names_for(address, path)
    for case in CASES:
        if not only or case.name in only:
            outcome = play(case, address, names, timeout)
            yield case, outcome, is_good(case, outcome)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--path", default="/")
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--timeout", type=float, default=10.0)
    args = parser.parse_args()
    host, _, port = args.address.rpartition(":")
    address = (host.strip("[]"), int(port))
    counts = {level: [0, 0] for level in (MUST, SHOULD, SAFE)}
    try:
        for case, outcome, good in run(address, args.path, args.only, args.timeout):
            counts[case.level][0] += good
            counts[case.level][1] += 1
            if args.json:
                print(json.dumps({"case": case.name, "class": case.level, "good": good,
                                  "got": str(outcome), "wanted": wanted(case)}))
            elif not good:
                print(f"{case.level:6} {case.name:26} got {str(outcome):30} wanted {wanted(case)}")
    except OSError as failed:
        print(f"check.py: {args.address}: {failed}", file=sys.stderr)
        sys.exit(2)
    print(", ".join(f"{level} {good}/{all_}" for level, (good, all_) in counts.items()),
          file=sys.stderr if args.json else sys.stdout)
    sys.exit(any(good < all_ for good, all_ in counts.values()))


if __name__ == "__main__":
    main()
