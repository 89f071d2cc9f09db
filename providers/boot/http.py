"""Boot files over HTTP: aiohttp in a thread of its own, files by sendfile, GET and HEAD only.

Files of an image can be had in parts (RFC 9110): one range each, checked by `If-Range` against the ETag, which is the
digest of the content. What is rendered for a machine has no parts and no ETag: asking twice gives two nonces.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from providers.boot.net import STALL_SECONDS, Acceptor, LoopThread, quiet_logger
from providers.boot.ranges import Unsatisfiable, part
from providers.boot.sendfile import send_file
from providers.boot.tree import Content, Forbidden, Gone

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

MAX_URL = 2048


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each connection in seconds (waiting for a request; in all; without any progress), and of their number."""

    idle: float = 15.0
    lifetime: float = 4 * 3600.0
    stall: float = STALL_SECONDS
    connections: int = 256


LIMITS = Limits()


class Tree(Protocol):
    """What is served; see `tree.BootTree`."""

    @property
    def trail(self) -> AccessLog: ...

    def find(self, name: str, client: str, *, peek: bool = False) -> Content | None: ...


class AccessLog(Protocol):
    """See `trail.Trail`."""

    def access(self, via: str, client: str, path: str, status: int, size: int, mac: str = "") -> None: ...


class HttpServer:
    """Serves the boot tree on bound, listening TCP sockets, from `start` to `stop`."""

    def __init__(self, socks: Sequence[socket.socket], tree: Tree, limits: Limits = LIMITS) -> None:
        self._socks, self._tree, self._limits = socks, tree, limits
        self._loop = LoopThread("boot-http")
        self._runner: web.AppRunner | None = None
        self._acceptors: list[Acceptor] = []

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
                                     keepalive_timeout=self._limits.idle, lingering_time=0, shutdown_timeout=1,
                                     max_line_size=MAX_URL, max_field_size=MAX_URL)
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101  # set by setup()
        for sock in self._socks:
            acceptor = Acceptor(sock, self._runner.server, idle=self._limits.idle, lifetime=self._limits.lifetime,
                                limit=self._limits.connections, stall=self._limits.stall)
            self._acceptors.append(acceptor)
            await acceptor.start()

    async def _stop(self) -> None:
        for acceptor in self._acceptors:
            await acceptor.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    def busy(self, transport: asyncio.BaseTransport | None, change: int) -> None:
        """See `Acceptor.busy`."""
        for acceptor in self._acceptors:
            acceptor.busy(transport, change)

    @web.middleware
    async def _mark_busy(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        self.busy(transport, 1)
        try:
            return await handler(request)
        except web.HTTPException as error:  # another method than GET and HEAD
            self.log(request.remote or "", request.path, error.status)
            raise
        finally:
            self.busy(transport, -1)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        client, path = request.remote or "", request.match_info["path"]
        head = request.method == "HEAD"
        try:
            # In a thread: rendering boot.cfg writes the nonce to disk.
            content = await asyncio.to_thread(self._tree.find, path, client, peek=head)
        except Forbidden:
            return self.refuse(client, path, 403)
        except Gone:
            return self.refuse(client, path, 410)
        except Exception:  # a damaged record, a full disk: this request's trouble, never the server's
            return self.refuse(client, path, 500)
        if content is None:
            return self.refuse(client, path, 404)
        try:
            return await _Answer(request, content, head, client, self).send()
        except Gone:
            return self.refuse(client, path, 410)

    def refuse(self, client: str, path: str, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
        self.log(client, path, status)
        return web.Response(status=status, headers=headers)

    def log(self, client: str, path: str, status: int, size: int = 0, mac: str = "") -> None:
        self._tree.trail.access("http", client, path, status, size, mac)


class _Answer:
    """One content on its way to one machine."""

    def __init__(self, request: web.Request, content: Content, head: bool, client: str, server: HttpServer) -> None:
        self._request, self._content, self._head = request, content, head
        self._client, self._server = client, server
        self._sent = 0

    async def send(self) -> web.StreamResponse:
        """Raises Gone; OSError where the machine goes away in the middle."""
        content, size = self._content, self._content.size
        headers = {"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
        wanted, tag = None, _etag(content)
        if tag:
            headers |= {"Accept-Ranges": "bytes", "ETag": tag}
            try:
                wanted = None if self._head else part(self._range(tag), size)
            except Unsatisfiable:
                return self._server.refuse(self._client, content.label, 416, {"Content-Range": f"bytes */{size}"})
        start, end = wanted or (0, size)
        if wanted is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        response = web.StreamResponse(status=200 if wanted is None else 206, headers=headers)
        response.content_length = end - start
        with content.open() as file:
            try:
                await response.prepare(self._request)
                if not self._head:
                    await self._body(response, file.fileno() if tag else -1, start, end)
                await response.write_eof()
            except OSError:
                self._log(499)
                raise  # aiohttp closes the connection: half an answer must not pass for a whole one
        self._log(response.status)
        if not self._head and end == size:  # a download that was resumed ends with the last byte, too
            await asyncio.to_thread(content.done)
        return response

    def _range(self, tag: str) -> str | None:
        headers = self._request.headers
        return headers.get("Range") if headers.get("If-Range", tag).strip() == tag else None

    async def _body(self, response: web.StreamResponse, descriptor: int, start: int, end: int) -> None:
        source, transport = self._content.source, self._request.transport
        if isinstance(source, bytes):
            await response.write(source)
            self._sent = len(source)
            return
        if transport is None:
            raise ConnectionResetError("the machine has gone")

        def moved(at: int) -> None:
            self._sent = at - start
            self._server.busy(transport, 0)

        await send_file(transport, descriptor, start, end, moved)

    def _log(self, status: int) -> None:
        content = self._content
        self._server.log(self._client, content.label, status, self._sent, content.mac)


def _etag(content: Content) -> str:
    """Strong: equal tags mean equal bytes. Files that nobody hashed are told apart by inode, size and time."""
    source = content.source
    if isinstance(source, bytes):
        return ""
    return f'"{source.sha256}"' if source.sha256 else '"{:x}-{:x}-{:x}-{:x}"'.format(*source.stamp)
