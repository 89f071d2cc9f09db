"""`python -m providers.boot.tftpd PAIR PARENT SETTINGS DESCRIPTOR…`: the TFTP process. Started by `tftp_server` only.

It inherits its end of the pair and the bound UDP sockets, and nothing else: no lock, no path, no environment that it
needs. It ends when the pair does, and by PR_SET_PDEATHSIG when its parent is killed while it is stopped. Started by
root it becomes nobody, because it needs no right any more: files come to it opened, ports bound.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from providers.boot.pair import Ask, Beat, Failed, Found, FromChild, Over, Refused, Settings, of_parent, send
from providers.boot.tftp import TftpLoop

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
MAX_UNSENT = 4096
SPARE_DESCRIPTORS = 64


class PairDesk:
    """The loop's questions and records go to the parent. Never blocks: a busy parent costs a client one retry."""

    def __init__(self, pair: socket.socket, beat: float) -> None:
        self._pair, self._beat = pair, beat
        self._next = 0
        self._beaten = 0.0
        self._unsent: deque[FromChild] = deque(maxlen=MAX_UNSENT)

    def ask(self, name: str, client: str) -> int | None:
        self._next += 1
        return self._next if self._send(Ask(self._next, name, client)) else None

    def over(self, number: int, complete: bool, size: int) -> None:
        message = Over(number, complete, size)
        if self._unsent or not self._send(message):
            self._unsent.append(message)

    def refused(self, client: str, name: str, status: int) -> None:
        self._send(Refused(client, name[:200], status))  # best effort: strangers cause as many as they like

    def turned(self, now: float) -> None:
        while self._unsent and self._send(self._unsent[0]):
            self._unsent.popleft()
        if now - self._beaten >= self._beat:
            self._beaten = now
            self._send(Beat())

    def _send(self, message: FromChild) -> bool:
        try:
            send(self._pair, message)
        except BlockingIOError:
            return False
        except OSError:
            return True  # the parent has ended; the loop learns it from the pair's end
        return True


def serve(pair: socket.socket, listeners: Sequence[socket.socket], settings: Settings) -> None:
    """Until the pair ends."""
    desk = PairDesk(pair, settings.beat)
    loop = TftpLoop(listeners, desk, settings)

    def answer() -> None:
        try:
            found = of_parent(pair)
        except BlockingIOError:
            return
        except OSError:
            found = None
        if found is None:
            loop.stop()
            return
        message, descriptor = found
        if isinstance(message, Found):
            loop.found(message.id, message.size, descriptor)
        else:
            loop.missing(message.id, message.code)

    loop.watch(pair.fileno(), answer)
    loop.run(desk.turned)
    desk.turned(time.monotonic())


def _confine(parent: int) -> None:
    """Give up every right, and die with the parent. Raises OSError where the kernel refuses what must not fail."""
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C and a closed terminal are the parent's business
        signal.signal(number, signal.SIG_IGN)
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        except OSError:
            pass  # a container or a user namespace that maps no other user: there, root has no rights to give up
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Last: a change of the user clears it.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise SystemExit(0)  # it died before it could be said


def _room(settings: Settings) -> Settings:
    """Two descriptors for each transfer, as far as the limit can be raised."""
    wanted = 2 * settings.max_transfers + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return msgspec.structs.replace(settings, max_transfers=min(settings.max_transfers,
                                                                   max(1, (soft - SPARE_DESCRIPTORS) // 2)))
    return settings


def main(arguments: Sequence[str]) -> int:
    pair = socket.socket(fileno=int(arguments[0]))
    pair.setblocking(False)
    try:
        settings = _room(msgspec.json.decode(arguments[2], type=Settings))
        listeners = [socket.socket(fileno=int(number)) for number in arguments[3:]]
        for sock in (pair, *listeners):
            sock.setblocking(False)
            sock.set_inheritable(False)
        logging.disable(logging.CRITICAL)  # tftpy's: 11 MB of it under 1,500 half-open reads
        _confine(int(arguments[1]))
        serve(pair, listeners, settings)
    except Exception as error:
        try:
            send(pair, Failed(f"{error.__class__.__name__}: {error}"[:500]))
        except OSError:
            return 1
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
