"""Boot files over HTTP: aiohttp in a thread of its own, files by sendfile, GET and HEAD only."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from providers.boot.net import Acceptor, LoopThread, quiet_logger
from providers.boot.tree import BootTree, Content, Forbidden, Gone

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

IDLE_SECONDS = 15.0
LIFETIME_SECONDS = 3600.0


class HttpServer:
    """Serves the boot tree on a bound, listening TCP socket, from `start` to `stop`."""

    def __init__(self, sock: socket.socket, tree: BootTree) -> None:
        self._sock, self._tree = sock, tree
        self._loop = LoopThread("boot-http")
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._start())

    def stop(self) -> None:
        self._loop.call(self._stop())
        self._loop.stop()

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._mark_busy], client_max_size=1024)
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, logger=quiet_logger(),
                                     keepalive_timeout=IDLE_SECONDS, lingering_time=0, shutdown_timeout=1)
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101  # set by setup()
        self._acceptor = Acceptor(self._sock, self._runner.server, idle=IDLE_SECONDS, lifetime=LIFETIME_SECONDS)
        await self._acceptor.start()

    async def _stop(self) -> None:
        if self._acceptor is not None:
            await self._acceptor.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _mark_busy(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        transport, acceptor = request.transport, self._acceptor
        if acceptor is None:
            raise web.HTTPServiceUnavailable
        acceptor.busy(transport, 1)
        try:
            return await handler(request)
        finally:
            acceptor.busy(transport, -1)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        client, path = request.remote or "", request.match_info["path"]
        head = request.method == "HEAD"
        try:
            # In a thread: rendering boot.cfg writes the nonce to disk.
            content = await asyncio.to_thread(self._tree.find, path, client, peek=head)
            if content is None:
                return self._refuse(client, path, 404)
            return await self._send(request, content, client, head)
        except Forbidden:
            return self._refuse(client, path, 403)
        except Gone:
            return self._refuse(client, path, 410)

    def _refuse(self, client: str, path: str, status: int) -> web.Response:
        self._tree.trail.access("http", client, path, status, 0)
        return web.Response(status=status)

    async def _send(self, request: web.Request, content: Content, client: str, head: bool) -> web.StreamResponse:
        log = self._tree.trail.access
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = content.size
        with content.open() as file:
            await response.prepare(request)
            try:
                if not head and content.size:
                    await self._body(request, response, content, file)
                await response.write_eof()
            except OSError:
                log("http", client, content.label, 499, 0, content.mac)
                raise
        log("http", client, content.label, 200, 0 if head else content.size, content.mac)
        if not head:
            content.done()
        return response

    @staticmethod
    async def _body(request: web.Request, response: web.StreamResponse, content: Content, file: object) -> None:
        if isinstance(content.source, bytes):
            await response.write(content.source)
            return
        if request.transport is None:
            raise ConnectionResetError("the machine has gone")
        await asyncio.get_running_loop().sendfile(request.transport, file, 0, content.size)  # type: ignore[arg-type]
