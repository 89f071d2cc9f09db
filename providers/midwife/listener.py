"""The birth listener: `POST /v1/births` over TLS, aiohttp in a thread of its own.

One birth is one connection of at most ten seconds: half-open sockets, slow headers and slow bodies are closed,
and the oldest of them when too many are open. A body over 64 KiB is refused before it is read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiohttp import web

from providers.boot.net import Acceptor, LoopThread, quiet_logger
from providers.midwife.desk import Desk
from providers.midwife.message import MAX_BODY

LIFETIME_SECONDS = 10.0


class BirthListener:
    """Takes births in on a bound, listening TCP socket, from `start` to `stop`."""

    def __init__(self, sock: socket.socket, desk: Desk, tls: ssl.SSLContext) -> None:
        self._sock, self._desk, self._tls = sock, desk, tls
        self._loop = LoopThread("births-tls")
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._start())

    def stop(self) -> None:
        self._loop.call(self._stop())
        self._loop.stop()

    async def _start(self) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/births", self._post)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, logger=quiet_logger(),
                                     auto_decompress=False, lingering_time=1, shutdown_timeout=1)
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101  # set by setup()
        self._acceptor = Acceptor(self._sock, self._runner.server, idle=LIFETIME_SECONDS,
                                  lifetime=LIFETIME_SECONDS, tls=self._tls)
        await self._acceptor.start()

    async def _stop(self) -> None:
        if self._acceptor is not None:
            await self._acceptor.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > MAX_BODY:
            return _reply(413, {"error": f"a birth message has at most {MAX_BODY} bytes"})
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _reply(413, {"error": f"a birth message has at most {MAX_BODY} bytes"})
        verdict = await asyncio.to_thread(self._desk.judge, body, request.remote or "")
        if verdict.durable is not None:
            try:
                await asyncio.wrap_future(verdict.durable)
            except OSError:
                return _reply(503, {"error": "the birth could not be written down; repeat it"})
        return _reply(verdict.status, verdict.reply)


def _reply(status: int, body: dict[str, object]) -> web.Response:
    response = web.json_response(body, status=status)
    response.force_close()
    return response
