"""Sockets and the event loop that serve boot files: bound before the first step, closed with the session.

`Acceptor` accepts by itself instead of leaving it to asyncio, which bounds neither the number nor the patience of
connections.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from planner.model import Diagnostic, FleetError

T = TypeVar("T")

MAX_CONNECTIONS = 256
STALL_SECONDS = 120.0
"""An answer of which the peer's kernel takes nothing for so long is given up."""
CROWDED_STALL_SECONDS = 5.0
"""The same, at most, while others wait for a connection."""
CROWDED_IDLE_SECONDS = 1.0
"""And for a request, at most: who has just connected is given that long to ask."""


def bind(kind: str, host: str, port: int) -> socket.socket:
    """A bound socket for `tftp` (UDP), `http` or `birth` (TCP, listening). Raises FleetError with the remedy."""
    udp = kind == "tftp"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    except OSError as error:  # a kernel without IPv6
        raise FleetError(_cannot_bind(kind, host, port, error)) from error
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if not udp:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        if not udp:
            made.listen(1024)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise FleetError(_cannot_bind(kind, host, port, error)) from error
    return made


def _cannot_bind(kind: str, host: str, port: int, error: OSError) -> Diagnostic:
    setting = f"provider.boot.ports.{kind}"
    remedy = {
        errno.EADDRINUSE: f"stop the program that uses it, or set {setting} to a free port",
        errno.EACCES: f"ports below 1024 need root or CAP_NET_BIND_SERVICE; or set {setting} to a higher port",
        errno.EPERM: f"ports below 1024 need root or CAP_NET_BIND_SERVICE; or set {setting} to a higher port",
        errno.EADDRNOTAVAIL: "set provider.boot.listen to an address of this machine",
        errno.EAFNOSUPPORT: "this machine's kernel has no IPv6: take the IPv6 address out of provider.boot.listen",
    }.get(error.errno or 0, f"set provider.boot.listen and {setting} to what this machine can bind")
    transport = "UDP" if kind == "tftp" else "TCP"
    return Diagnostic("error", f"the port for {kind} cannot be bound",
                      f"{transport} port {port} at {host}: {error.strerror or error}", remedy=remedy)


def quiet_logger() -> logging.Logger:
    """aiohttp's own messages about strangers' bad requests go nowhere; the access log has what matters."""
    logger = logging.getLogger("fleet.boot")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger


class LoopThread:
    """An asyncio loop in a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        loop = asyncio.new_event_loop()
        # What strangers do to a TLS listener is no news; asyncio would print a traceback for each.
        loop.set_exception_handler(lambda _loop, _context: None)
        self._loop = loop
        self._thread = threading.Thread(target=self._run, args=(loop,), name=self._name, daemon=True)
        self._thread.start()

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            pending = asyncio.all_tasks(loop)
            for task in pending:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def call(self, work: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        """Run a coroutine there and wait for it."""
        assert self._loop is not None  # noqa: S101  # started by its owner
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=30)
        self._loop = self._thread = None


@dataclass(slots=True, eq=False)
class _Connection:
    opened: float
    since: float  # idle since, or the last time that an answer moved on
    task: asyncio.Task[None] | None = None
    transport: asyncio.Transport | None = None
    busy: int = 0  # requests being answered

    @property
    def over(self) -> bool:
        return self.transport is not None and self.transport.is_closing()

    def end(self) -> None:
        if self.transport is not None:
            if self.busy:  # an answer by sendfile has its own hold on the socket, and learns it so
                with suppress(OSError):
                    self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


class Acceptor:
    """Accepts connections for an aiohttp server and bounds each of them in time, and all of them in number.

    `idle`: seconds that a connection may spend without a request being answered (headers, pauses). `lifetime`: seconds
    that it may live at all. When `limit` of them are open, patience is short: the oldest that asks nothing makes room,
    or the one whose answer has not moved for longest; when all move, newcomers wait in the kernel. So neither
    half-open sockets nor slow readers keep an honest machine out.
    """

    def __init__(self, sock: socket.socket, protocol: Callable[[], asyncio.Protocol], *, idle: float,
                 lifetime: float, limit: int = MAX_CONNECTIONS,
                 stall: float = STALL_SECONDS) -> None:
        self._sock, self._protocol = sock, protocol
        self._idle, self._lifetime, self._limit, self._stall = idle, lifetime, limit, stall
        self._open: OrderedDict[int, _Connection] = OrderedDict()
        self._of: dict[asyncio.BaseTransport, _Connection] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped = 0

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._accept()), asyncio.create_task(self._reap())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sock.close()
        connections = list(self._open.values())
        for connection in connections:
            connection.end()
        await asyncio.gather(*(c.task for c in connections if c.task is not None), return_exceptions=True)

    def busy(self, transport: asyncio.BaseTransport | None, change: int) -> None:
        """The handler begins (+1) or ends (-1) an answer on this connection, or its answer has moved on (0)."""
        connection = self._of.get(transport) if transport is not None else None
        if connection is not None:
            connection.busy += change
            connection.since = self._now()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        serial = 0
        while True:
            while not self._make_room(self._limit - 1):
                await asyncio.sleep(0.05)
            try:
                client, _ = await loop.sock_accept(self._sock)
            except OSError:  # out of descriptors, or the peer has gone: make room and go on
                self._make_room(self._limit // 2)
                await asyncio.sleep(0.05)
                continue
            serial += 1
            connection = self._open[serial] = _Connection(loop.time(), loop.time())
            connection.task = asyncio.create_task(self._connect(connection, client))
            connection.task.add_done_callback(partial(self._connected, serial, connection, client))

    async def _connect(self, connection: _Connection, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.transport, _ = await loop.connect_accepted_socket(self._protocol, client)
        self._of[connection.transport] = connection

    def _connected(self, serial: int, connection: _Connection, client: socket.socket, task: asyncio.Task[None]) -> None:
        """aiohttp has it, or it is over; a task may also be cancelled before its first step."""
        if task.cancelled() or task.exception() is not None:
            self._open.pop(serial, None)
            client.close()

    def _make_room(self, allowed: int) -> bool:
        """Whether at most `allowed` connections are open, if need be after dropping some."""
        if len(self._open) > allowed:
            self._forget_ended()
        while len(self._open) > allowed:
            serial = max(self._open, key=self._impatience)
            if self._impatience(serial) < 0:
                return False
            self._drop(serial)
        return True

    def _impatience(self, serial: int) -> float:
        """Seconds that a connection has outstayed what a crowd allows; what asks nothing goes first."""
        connection = self._open[serial]
        still = self._now() - connection.since
        if connection.busy:
            return still - min(CROWDED_STALL_SECONDS, self._stall)
        over = still - min(CROWDED_IDLE_SECONDS, self._idle)
        return over + self._lifetime if over >= 0 else over

    def _drop(self, serial: int) -> None:
        self._open[serial].end()
        self._forget(serial)
        self.dropped += 1

    def _forget(self, serial: int) -> None:
        connection = self._open.pop(serial)
        if connection.transport is not None:
            self._of.pop(connection.transport, None)

    def _forget_ended(self) -> None:
        for serial in [s for s, c in self._open.items() if c.over]:
            self._forget(serial)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._forget_ended()
            now = self._now()
            for serial, connection in list(self._open.items()):
                still = now - connection.since
                if still > (self._stall if connection.busy else self._idle) or now - connection.opened > self._lifetime:
                    self._drop(serial)
