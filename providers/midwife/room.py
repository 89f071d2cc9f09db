"""The open connections of the birth listener: who may come in, who must leave, what each waits for.

Half-open sockets keep no honest machine out: when too many are open, the address that holds most of them loses one
that has not moved for a second. An address that asks too often is reset before it costs a handshake.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from providers.midwife.rates import Buckets, network_of
from providers.midwife.wire import Connection, Wants

HANDSHAKE_SECONDS = 5.0
PATIENCE_SECONDS = 1.0
TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may use up. A site behind NAT is one address: the defaults let 1,000 hosts come at once."""

    connections: int = 768  # open at once; fewer where the process may not open that many files
    rate: float = 100.0  # connections a second from one address (IPv6: one /64)
    burst: float = 1000.0
    refused_cost: float = 5.0  # what a refused birth costs more than an accepted one


class Room:
    """The open connections, oldest first, and who may come in. Used by the sockets' thread only."""

    def __init__(self, selector: selectors.BaseSelector, limits: Limits, tls: ssl.SSLContext,
                 socks: Sequence[socket.socket]) -> None:
        self._selector, self._limits, self._tls, self._socks = selector, limits, tls, socks
        self.most = min(limits.connections, _descriptors())
        self._rates = Buckets(limits.rate, limits.burst)
        self._waiting: dict[str, OrderedDict[Connection, None]] = {}  # address → those whose request is not whole
        self._listens, self._paused, self._expired = False, 0.0, 0.0
        self.open: dict[Connection, int] = {}  # what the selector watches of each; 0: nothing
        self.dropped = self.limited = 0

    def listen(self, wanted: bool) -> None:
        """A full room leaves newcomers in the kernel's queue."""
        if wanted == self._listens:
            return
        self._listens = wanted
        for sock in self._socks:
            if wanted:
                self._selector.register(sock, selectors.EVENT_READ, sock)
            else:
                self._selector.unregister(sock)

    def pause(self) -> None:
        self._paused = time.monotonic() + TICK_SECONDS

    def full(self, now: float) -> bool:
        """No room for one more, not even when somebody who does not move is asked to leave."""
        if now < self._paused:
            return True
        if len(self.open) < self.most:
            return False
        greedy = max(self._waiting.values(), key=len, default=None)
        idle = next((c for c in greedy or () if now - c.moved > PATIENCE_SECONDS), None)
        if idle is None:
            return True
        self.dropped += 1
        self.leave(idle)
        return False

    def enter(self, client: socket.socket, address: str, now: float) -> None:
        network = network_of(address)
        if not self._rates.take(network, now):
            self.limited += 1
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets it
            client.close()
            return
        try:
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError):  # it has gone already
            client.close()
            return
        connection = Connection(wrapped, address, now, now + HANDSHAKE_SECONDS)
        self.open[connection] = 0
        self._waiting.setdefault(network, OrderedDict())[connection] = None
        self.changed(connection)

    def changed(self, connection: Connection) -> None:
        """Watch what it waits for now."""
        wants = connection.wants
        if wants is Wants.NOTHING:
            self.leave(connection)
            return
        if wants is Wants.VERDICT:
            self._arrived(connection)
        mask = {Wants.READ: selectors.EVENT_READ, Wants.WRITE: selectors.EVENT_WRITE}.get(wants, 0)
        before, self.open[connection] = self.open[connection], mask
        if before == mask:
            return
        if not before:
            self._selector.register(connection.sock, mask, connection)
        elif not mask:
            self._selector.unregister(connection.sock)
        else:
            self._selector.modify(connection.sock, mask, connection)

    def leave(self, connection: Connection) -> None:
        if self.open.pop(connection):
            self._selector.unregister(connection.sock)
        self._arrived(connection)
        if connection.refused:
            self._rates.charge(network_of(connection.address), self._limits.refused_cost)
        connection.close()

    def _arrived(self, connection: Connection) -> None:
        """Its request is whole, or it has left: it waits no longer."""
        network = network_of(connection.address)
        theirs = self._waiting.get(network)
        if theirs is not None:
            theirs.pop(connection, None)
            if not theirs:
                del self._waiting[network]

    def expire(self, now: float) -> None:
        if now - self._expired < TICK_SECONDS:
            return
        self._expired = now
        for connection in [c for c in self.open if now > c.expires]:
            self.dropped += 1
            self.leave(connection)

    def close(self) -> None:
        for connection in list(self.open):
            self.leave(connection)


def _descriptors() -> int:
    """How many sockets this process may open for births: other files need their share."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else max(16, soft * 3 // 4)
