"""Many TFTP clients in one process: reads of one file over an epoll loop, as machines that all boot at once.

Run as a process (`python -m tests.support.tftp_clients HOST PORT NAME CLIENTS BLKSIZE WINDOW SECONDS`) it prints
one JSON object: `{"done": int, "bytes": int, "seconds": float, "failed": [text…]}`.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

RETRY_SECONDS = 1.0
MAX_RETRIES = 30


@dataclass(slots=True)
class Read:
    """One client. `window` blocks are taken before each acknowledgement."""

    sock: socket.socket
    server: tuple[str, int]
    request: bytes
    window: int
    blksize: int = 512
    patience: int = MAX_RETRIES
    tid: tuple[Any, ...] | None = None
    block: int = 0  # the last one that came in order
    unacked: int = 0
    count: int = 0
    hasher: hashlib._Hash | None = None
    moved: float = 0.0
    retries: int = 0
    problem: str = ""
    done: bool = False

    def begin(self) -> None:
        self.sock.sendto(self.request, self.server)
        self.moved = time.monotonic()

    def acknowledge(self) -> None:
        self.unacked = 0
        self.sock.send(b"\0\4" + (self.block & 0xFFFF).to_bytes(2, "big"))

    def ready(self, now: float) -> None:
        """Take one packet. The first answer's source is the only one that is listened to from then on."""
        try:
            if self.tid is None:
                data, tid = self.sock.recvfrom(65536)
                if tid[0] != self.server[0]:
                    return
                self.tid = tid
                self.sock.connect(tid)
            else:
                data = self.sock.recv(65536)
        except OSError:
            return
        opcode = data[1]
        if opcode == 3:
            self._data(data, now)
        elif opcode == 6:
            options = dict(zip(*[iter(data[2:].lower().split(b"\0")[:-1])] * 2, strict=True))
            self.blksize = int(options.get(b"blksize", b"512"))
            self.window = int(options.get(b"windowsize", b"1"))
            if self.block == 0:
                self.acknowledge()
        elif opcode == 5:
            self.problem, self.done = data[4:].rstrip(b"\0").decode(), True

    def _data(self, data: bytes, now: float) -> None:
        number = data[2] << 8 | data[3]
        if number != (self.block + 1) & 0xFFFF:
            gap = self.window > 1 and self.unacked  # in the window: say what came in order (RFC 7440)
            if gap or number == self.block & 0xFFFF:  # the last one again: its acknowledgement was lost
                self.acknowledge()
            return
        self.block += 1
        self.unacked += 1
        self.moved, self.retries = now, 0
        self.count += len(data) - 4
        if self.hasher is not None:
            self.hasher.update(memoryview(data)[4:])
        self.done = len(data) < self.blksize + 4
        if self.done or self.unacked >= self.window:
            self.acknowledge()

    def overdue(self, now: float) -> None:
        if now - self.moved < RETRY_SECONDS:
            return
        self.retries += 1
        self.moved = now
        if self.retries > self.patience:
            self.problem, self.done = f"silence after block {self.block}", True
        elif self.tid is None:
            self.begin()
        else:
            self.acknowledge()


@dataclass(slots=True)
class Outcome:
    """Of all clients: how many ended well, bytes taken, the digests that they found, what went wrong."""

    done: int = 0
    bytes: int = 0
    digests: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)


def read_all(server: tuple[str, int], name: str, clients: int, *, blksize: int = 1428, window: int = 1,
             seconds: float = 120.0, digest: bool = True, retries: int = MAX_RETRIES) -> Outcome:
    """Read `name` with that many clients at once."""
    options = [b"octet"]
    if blksize != 512:
        options += [b"blksize", str(blksize).encode()]
    if window > 1:
        options += [b"windowsize", str(window).encode()]
    request = b"\0\1" + b"".join(part + b"\0" for part in (name.encode(), *options))
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    reads: dict[int, Read] = {}
    poll = select.epoll()
    for _ in range(clients):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((server[0], 0) if server[0].startswith("127.") or server[0] == "::1" else ("", 0))
        reads[sock.fileno()] = Read(sock, server, request, window, hasher=hashlib.sha256() if digest else None,
                                    patience=retries)
        poll.register(sock.fileno(), select.EPOLLIN)
    outcome = Outcome()
    try:
        for read in reads.values():
            read.begin()
        _loop(reads, poll, outcome, time.monotonic() + seconds)
    finally:
        for read in reads.values():
            read.sock.close()
        poll.close()
    outcome.bytes += sum(read.count for read in reads.values())
    outcome.failed += [f"not done after {seconds} s, at block {r.block}" for r in reads.values()]
    return outcome


def _loop(reads: dict[int, Read], poll: select.epoll, outcome: Outcome, end: float) -> None:
    checked = 0.0
    while reads and (now := time.monotonic()) < end:
        for fd, _ in poll.poll(0.2):
            read = reads[fd]
            read.ready(now)
            if read.done:
                _over(reads, fd, poll, outcome)
        if now - checked > 0.2:
            checked = now
            for fd, read in list(reads.items()):
                read.overdue(now)
                if read.done:
                    _over(reads, fd, poll, outcome)


def _over(reads: dict[int, Read], fd: int, poll: select.epoll, outcome: Outcome) -> None:
    read = reads.pop(fd)
    poll.unregister(fd)
    read.sock.close()
    outcome.bytes += read.count
    if read.problem:
        outcome.failed.append(read.problem)
        return
    outcome.done += 1
    if read.hasher is not None:
        outcome.digests.add(read.hasher.hexdigest())


def main(arguments: Sequence[str]) -> None:
    host, port, name, *numbers = arguments
    clients, blksize, window, seconds = (int(n) for n in numbers)
    begun = time.monotonic()
    outcome = read_all((host, int(port)), name, clients, blksize=blksize, window=window, seconds=seconds, digest=False)
    print(json.dumps({"done": outcome.done, "bytes": outcome.bytes, "seconds": time.monotonic() - begun,
                      "failed": outcome.failed[:5]}))


if __name__ == "__main__":
    main(sys.argv[1:])
