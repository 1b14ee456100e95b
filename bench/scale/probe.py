"""Asks both doors of a node for /healthz without a pause, and says how long the longest answer took.

On a machine that others use a wait is not always the node's doing. So beside the time of each answer stands
what the kernel says of the thread that answers (schedstat): how long it ran meanwhile, how long it stood in
the queue for a processor. What is left it waited for, for a disk for example. *Held* is the time less the
queue: what would have been waited for on a machine of one's own."""
import json
import os
import socket
import sys
import threading
import time

PAUSE = 0.005


def thread_times(pid, tid):
    """Seconds that a thread ran, and that it stood in the queue."""
    with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
        ran, queued, _ = f.read().split()
    return int(ran) / 1e9, int(queued) / 1e9


def my_queue():
    with open(f"/proc/self/task/{threading.get_native_id()}/schedstat") as f:
        return int(f.read().split()[1]) / 1e9


def connect(address):
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
    else:
        s = socket.socket()
    s.settimeout(600)
    s.connect(address)
    return s


def ask(s):
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got:
        part = s.recv(4096)
        if not part:
            raise ConnectionError("the node closed the connection")
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length"))
    while len(body) < length:
        body += s.recv(4096)
    return head


class Door:
    """One door and the threads that may answer there."""

    def __init__(self, pid, address, tids):
        self.pid, self.address, self.tids = pid, address, tids
        self.lock = threading.Lock()
        self.socket = None
        self.clear()

    def clear(self):
        with self.lock:
            self.answers = 0
            self.longest = (0.0, 0.0, 0.0)  # held, all of it, ran
            self.over = 0

    def note(self, held, wall, ran):
        with self.lock:
            self.answers += 1
            self.over += held > 0.05
            self.longest = max(self.longest, (held, wall, ran))

    def times(self):
        return {tid: thread_times(self.pid, tid) for tid in self.tids()}

    def one(self):
        if self.socket is None:
            self.socket = connect(self.address)
        before, mine, start = self.times(), my_queue(), time.monotonic()
        ask(self.socket)
        wall = time.monotonic() - start
        waited = my_queue() - mine
        after = self.times()
        # Of several threads it is not known who answered: the one that stood longest in the queue is believed.
        queued = max((after[t][1] - before[t][1] for t in after if t in before), default=0)
        ran = max((after[t][0] - before[t][0] for t in after if t in before), default=0)
        self.note(max(wall - queued - waited, 0), wall, ran)

    def run(self):
        while True:
            try:
                self.one()
            except (ConnectionRefusedError, FileNotFoundError, ConnectionResetError, ConnectionError):
                self.socket = None
                if not os.path.exists(f"/proc/{self.pid}"):
                    return
            except (FileNotFoundError, ProcessLookupError):
                return
            time.sleep(PAUSE)


def main():
    """probe.py PID ADMIN-SOCKET WEB-PORT: at each line on standard input, a line of what was seen since the last."""
    pid, admin, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def named(name):
        """The threads with such a name; the main loop is the thread that is the process."""
        found = []
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/comm") as f:
                if f.read().strip() == name:
                    found.append(int(tid))
        return found

    doors = {"main": Door(pid, admin, lambda: [pid]),
             "web": Door(pid, ("127.0.0.1", port), lambda: named("tarn-web"))}
    for door in doors.values():
        threading.Thread(target=door.run, daemon=True).start()
    for _ in sys.stdin:
        seen = {}
        for name, door in doors.items():
            held, wall, ran = door.longest
            seen[name] = {"answers": door.answers, "held_ms": held * 1e3, "wall_ms": wall * 1e3,
                          "ran_ms": ran * 1e3, "over_50ms": door.over}
            door.clear()
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
