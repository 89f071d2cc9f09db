"""The API's server: HTTPS with mutual TLS in a thread of its own; routes do their work in others.

What a stranger can do ends at the handshake; what a caller can send is bounded in size and time before it is kept.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aiohttp import web

from planner.model import FleetError
from providers.boot.net import LoopThread, quiet_logger
from providers.midwife.api.tls import TlsAcceptor
from providers.midwife.api.wire import PREFIX, ApiError, Caller, Reply, Request, Route, of_fleet_error
from providers.midwife.rates import Bucket

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

MAX_LINE = 8 * 1024
IDLE_SECONDS = 120.0
LIFETIME_SECONDS = 24 * 3600.0
MAX_CONNECTIONS = 512
WORKERS = 32
PIECE_SECONDS = 30.0
"""Until the next piece of a streamed body must be there."""

Callers = Callable[[Mapping[str, Any] | None], Caller]
"""A verified certificate → whose it is (`auth.Authority.caller`). Raises ApiError."""

Guard = Callable[[Request], None]
"""Whether the caller holds the lock of its fleet, for routes that need it. Raises ApiError (code "fenced")."""


class ApiServer:
    """Serves routes on bound, listening TCP sockets, from `start` to `stop`."""

    def __init__(self, socks: Sequence[socket.socket], tls: ssl.SSLContext, callers: Callers, routes: Sequence[Route],
                 guard: Guard = lambda _request: None, say: Callable[[str], None] = lambda _line: None) -> None:
        """`say` gets a line for every identity that is turned away."""
        self._socks, self._tls, self._callers, self._guard = socks, tls, callers, guard
        self._say, self._told = say, Bucket(1.0, 20.0)
        self._routes = routes
        self._loop = LoopThread("midwife-api")
        self._workers = ThreadPoolExecutor(WORKERS, "midwife-api")
        self._runner: web.AppRunner | None = None
        self._acceptors: list[TlsAcceptor] = []
        self._stopping = False

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._start())

    def stop(self) -> None:
        """Calls that are being answered get two seconds."""
        self._stopping = True
        self._loop.call(self._stop())
        self._loop.stop()
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._answered])
        for route in self._routes:
            app.router.add_route(route.method, f"{PREFIX}{{fleet}}/{route.path}", self._handler(route))
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, logger=quiet_logger(),
                                     keepalive_timeout=IDLE_SECONDS, lingering_time=2, shutdown_timeout=2,
                                     max_line_size=MAX_LINE, max_field_size=MAX_LINE)
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101  # set by setup()
        for sock in self._socks:
            acceptor = TlsAcceptor(sock, self._runner.server, self._tls, idle=IDLE_SECONDS, lifetime=LIFETIME_SECONDS,
                                   limit=MAX_CONNECTIONS)
            self._acceptors.append(acceptor)
            await acceptor.start()

    async def _stop(self) -> None:
        for acceptor in self._acceptors:
            await acceptor.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- one call -----------------------------------------------------------------------------------------

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            call = await self._call(route, request)
            if route.locked:
                await self.work(self._guard, call)
            if route.answer is not None:
                reply = await route.answer(call)
            else:
                assert route.handle is not None  # noqa: S101  # one of the two
                reply = await self.work(route.handle, call)
            return _response(reply)

        return handle

    async def work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run what blocks in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *arguments)

    async def _call(self, route: Route, request: web.Request) -> Request:
        params = dict(request.match_info)
        fleet = params.pop("fleet")
        caller = await self.work(self._callers, _certificate(request))
        if caller.fleet != fleet:
            raise ApiError("denied", "this identity is of another fleet",
                           f"it is for the fleet {caller.fleet}, and was used for the fleet {fleet}",
                           f"use the identity of {fleet}")
        stream = _Body(request, route)
        body = b"" if route.streams else await stream.whole()
        return Request(caller, fleet, params, dict(request.query), request.headers, body, request.remote or "",
                       stream.pieces)

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Whatever happens, the caller gets an answer in the API's own words."""
        transport = request.transport
        for acceptor in self._acceptors:
            acceptor.busy(transport, 1)
        try:
            if self._stopping:
                raise ApiError("stopping", "the midwife ends", retry=5)
            return await handler(request)
        except ApiError as error:
            if error.code == "denied" and self._told.take(1.0, time.monotonic()):
                self._say(f"warning: a call from {request.remote} was refused: {error}")
            return _problem(error)
        except FleetError as error:
            return _problem(of_fleet_error(error))
        except web.HTTPNotFound:
            return _problem(ApiError("not_found", "the midwife has no such call", f"{request.method} {request.path}",
                                     "use the same version of fleet on both sides"))
        except web.HTTPMethodNotAllowed:
            return _problem(ApiError("method", "the midwife does not take this method here",
                                     f"{request.method} {request.path}"))
        except web.HTTPException as error:
            return _problem(ApiError("bad_request", "this is no call of the API", error.reason))
        except OSError as error:
            return _problem(_of_os_error(error))
        except RuntimeError as error:  # the threads are gone: it ends
            return _problem(ApiError("stopping", "the midwife ends", retry=5) if self._stopping else _defect(error))
        except Exception as error:
            return _problem(_defect(error))
        finally:
            for acceptor in self._acceptors:
                acceptor.busy(transport, -1)


class _Body:
    """A request's body, bounded in size and in time."""

    def __init__(self, request: web.Request, route: Route) -> None:
        self._request, self._route = request, route

    def _check(self) -> None:
        length = self._request.content_length
        if length is None and self._request.can_read_body:
            raise ApiError("length", "the body needs a Content-Length")
        if length is not None and length > self._route.body:
            raise self._too_large()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises ApiError."""
        self._check()
        count, content = 0, self._request.content
        while True:
            try:
                piece = await asyncio.wait_for(content.readany(), PIECE_SECONDS)
            except TimeoutError:
                raise ApiError("timeout", "the body comes too slowly") from None
            if not piece:
                return
            count += len(piece)
            if count > self._route.body:
                raise self._too_large()
            yield piece

    async def whole(self) -> bytes:
        """Raises ApiError."""
        found = bytearray()
        try:
            async with asyncio.timeout(self._route.seconds):
                async for piece in self.pieces():
                    found += piece
        except TimeoutError:
            raise ApiError("timeout", "the body comes too slowly") from None
        return bytes(found)

    def _too_large(self) -> ApiError:
        return ApiError("too_large", "the body is too large", f"at most {self._route.body} bytes")


def _certificate(request: web.Request) -> Mapping[str, Any] | None:
    transport = request.transport
    found = transport.get_extra_info("peercert") if transport is not None else None
    return found if isinstance(found, dict) else None


def _response(reply: Reply) -> web.Response:
    import msgspec

    headers = {"Cache-Control": "no-store", **reply.headers}
    if reply.raw is not None:
        headers.setdefault("Content-Type", "application/octet-stream")
        return web.Response(status=reply.status, body=reply.raw, headers=headers)
    headers["Content-Type"] = "application/json"
    return web.Response(status=reply.status, body=msgspec.json.encode(reply.data), headers=headers)


def _problem(error: ApiError) -> web.Response:
    return _response(Reply(error.body, error.status))


def _of_os_error(error: OSError) -> ApiError:
    import errno

    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    where = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return ApiError("full" if full else "failed", "the midwife cannot write to its disk", where,
                    "free space there" if full else "look at the midwife's log")


def _defect(error: Exception) -> ApiError:
    logging.getLogger("fleet.midwife").exception("a call of the API failed: a defect in fleet")
    return ApiError("internal", "the midwife failed over this call", type(error).__name__,
                    "this is a defect in fleet: the midwife's log has more")
