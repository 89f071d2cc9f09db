"""The birth listener: `POST /v1/births` over TLS, for one run of apply as well as for a service of years.

One thread polls all sockets, another judges (the desk may wait for a disk), the inbox's own thread commits; a reply
leaves when its birth is durable. A birth is one connection with deadlines for handshake and request;
`room` says who may come in.
"""

from __future__ import annotations

import logging
import queue
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from planner.model import FleetError
from providers.midwife.desk import Desk, Verdict
from providers.midwife.room import TICK_SECONDS, Limits, Room
from providers.midwife.wire import Connection, Wants

LIFETIME_SECONDS = 10.0
REPLY_SECONDS = 30.0
LINGER_SECONDS = 1.0
ACCEPTS = 64
"""Connections that are taken in between two looks at those that are open."""


class BirthListener:
    """Takes births in on bound, listening TCP sockets (IPv4, IPv6), from `start` to `stop`."""

    def __init__(self, sock: socket.socket | Sequence[socket.socket], desk: Desk, tls: ssl.SSLContext,
                 limits: Limits | None = None) -> None:
        self._socks = (sock,) if isinstance(sock, socket.socket) else tuple(sock)
        self._desk, self._tls, self._limits = desk, tls, limits or Limits()
        self._threads: list[threading.Thread] = []
        self._bodies: queue.SimpleQueue[tuple[Connection, bytes] | None] = queue.SimpleQueue()
        self._replies: deque[tuple[Connection, int, dict[str, object]]] = deque()
        self._wakes: tuple[socket.socket, socket.socket] | None = None
        self._woken = self._stopping = False
        self._room: Room | None = None
        self.dropped = 0  # connections that were ended to make room, or at a deadline
        self.limited = 0  # connections that were reset because their address asks too often

    def start(self) -> None:
        self._wakes = socket.socketpair()
        for sock in (*self._wakes, *self._socks):
            sock.setblocking(False)
        selector = selectors.DefaultSelector()
        selector.register(self._wakes[0], selectors.EVENT_READ)
        self._room = Room(selector, self._limits, self._tls, self._socks)
        self._threads = [
            threading.Thread(target=self._poll, args=(selector, self._room), name="births-tls", daemon=True),
            threading.Thread(target=self._judge, name="births-desk", daemon=True)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Births that are being judged are answered; then everything is closed."""
        if self._wakes is None:
            return
        self._stopping = True
        self._wake()
        for thread in self._threads:
            thread.join(timeout=30)
        for sock in self._wakes:
            sock.close()
        self._wakes = None

    def _wake(self) -> None:
        if not self._woken and self._wakes is not None:
            self._woken = True
            with suppress(OSError):
                self._wakes[1].send(b"x")

    # --- judging ------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        while (found := self._bodies.get()) is not None:
            connection, body = found
            verdict = self._verdict(body, connection.address)
            if verdict.durable is None:
                self._answer(connection, verdict.status, verdict.reply)
            else:
                verdict.durable.add_done_callback(partial(self._durable, connection, verdict))

    def _verdict(self, body: bytes, address: str) -> Verdict:
        try:
            return self._desk.judge(body, address)
        except (OSError, FleetError) as error:  # what stands for that MAC cannot be read or written
            logging.getLogger("fleet.midwife").error("a birth from %s cannot be judged: %s", address, error)
            return Verdict(503, {"error": "the birth cannot be judged now; repeat it"}, str(error))
        except Exception:
            logging.getLogger("fleet.midwife").exception("a birth could not be judged: a defect in fleet")
            return Verdict(500, {"error": "the birth could not be judged"})

    def _durable(self, connection: Connection, verdict: Verdict, done: object) -> None:
        assert verdict.durable is not None  # noqa: S101  # this is its callback
        if verdict.durable.cancelled() or verdict.durable.exception() is not None:
            self._answer(connection, 503, {"error": "the birth could not be written down; repeat it"})
        else:
            self._answer(connection, verdict.status, verdict.reply)

    def _answer(self, connection: Connection, status: int, reply: dict[str, object]) -> None:
        self._replies.append((connection, status, reply))
        self._wake()

    # --- the sockets' thread --------------------------------------------------------------------------------

    def _poll(self, selector: selectors.BaseSelector, room: Room) -> None:
        try:
            while not self._stopping:
                self._round(selector, room)
            self._drain(selector, room)
        finally:
            self._bodies.put(None)
            room.close()
            for sock in self._socks:
                sock.close()
            selector.close()

    def _round(self, selector: selectors.BaseSelector, room: Room) -> None:
        full = room.full(time.monotonic())
        room.listen(not full)
        for key, _ in selector.select(TICK_SECONDS if room.open or full else None):
            if isinstance(key.data, Connection):
                self._step(room, key.data)
            elif key.data is not None:
                self._accept(room, key.data)
            else:
                self._hear(room)
        room.expire(time.monotonic())
        self.dropped, self.limited = room.dropped, room.limited

    def _accept(self, room: Room, sock: socket.socket) -> None:
        for _ in range(ACCEPTS):
            if room.full(time.monotonic()):
                return
            try:
                client, address = sock.accept()
            except BlockingIOError:
                return
            except OSError:  # out of descriptors or memory: what is open ends sooner or later
                room.pause()
                return
            room.enter(client, str(address[0]), time.monotonic())

    def _step(self, room: Room, connection: Connection) -> None:
        now = connection.moved = time.monotonic()
        greeted, told = connection.shaken, connection.refused
        connection.step()
        if connection.wants is Wants.VERDICT:
            connection.expires = now + REPLY_SECONDS
            self._bodies.put((connection, connection.body))
        elif connection.refused and not told:
            connection.expires = now + LINGER_SECONDS
        elif connection.shaken and not greeted:
            connection.expires = connection.opened + LIFETIME_SECONDS
        room.changed(connection)

    def _hear(self, room: Room) -> None:
        assert self._wakes is not None  # noqa: S101  # made by start()
        with suppress(OSError):
            self._wakes[0].recv(4096)
        self._woken = False  # only now: a byte sent since then wakes once more
        while self._replies:
            connection, status, reply = self._replies.popleft()
            if status in (400, 401, 409):
                connection.refused = True
            if connection not in room.open:
                continue  # ended meanwhile; the host asks again and gets the same answer
            connection.expires = time.monotonic() + LINGER_SECONDS
            connection.reply(status, reply)
            room.changed(connection)

    def _drain(self, selector: selectors.BaseSelector, room: Room) -> None:
        room.listen(False)
        end = time.monotonic() + 2.0
        while any(c.wants is Wants.VERDICT for c in room.open) and time.monotonic() < end:
            for key, _ in selector.select(TICK_SECONDS):
                if key.data is None:
                    self._hear(room)
