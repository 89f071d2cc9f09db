"""Connections of the API: TLS before anything else, bounded like those of boot files."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from providers.boot.net import Acceptor

HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 1.0


class TlsAcceptor(Acceptor):
    """An Acceptor whose connections begin with a TLS handshake; until that is over they count as idle ones."""

    def __init__(self, sock: socket.socket, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext, *,
                 idle: float, lifetime: float, limit: int) -> None:
        super().__init__(sock, protocol, idle=idle, lifetime=lifetime, limit=limit)
        self._tls_context = tls

    async def _connect(self, connection: Any, client: socket.socket) -> None:
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            self._protocol, client, ssl=self._tls_context, ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS)
        connection.transport = cast(asyncio.Transport, _Ending(transport))
        self._of[transport] = connection


class _Ending:
    """What an Acceptor does with a transport."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __hash__(self) -> int:
        return hash(self._transport)

    def __eq__(self, other: object) -> bool:
        return other is self._transport or (isinstance(other, _Ending) and other._transport is self._transport)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def abort(self) -> None:
        with suppress(AttributeError):  # before Python 3.11.4 a TLS transport that is closed already raises it
            self._transport.abort()
