"""The HTTPS door: the same worlds that the in-process stub calls, for any vSphere client.

`/sdk` is the first door (vCenter); further doors, such as hosts' own SDKs, are mounted at paths of their own. What is
no SOAP is answered `beside` them.
"""

from __future__ import annotations

import http.client
import http.server
import logging
import re
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from providers.twin.core.base import World
from providers.twin.core.context import Context
from providers.twin.soap.certificate import Certificate, make_certificate, server_context
from providers.twin.soap.endpoint import Endpoint, Reply
from providers.twin.soap.request import DEFAULT_API, version_of

log = logging.getLogger(__name__)

COOKIE = "vmware_soap_session"
LARGEST = 4 * 1024 * 1024  # bytes of a request
IDLE = 60.0  # seconds a connection may say nothing


Beside = Callable[[str, str, str, bytes], tuple[int, bytes] | None]
"""(method, path, Authorization, body) → (status, JSON) of what is no SOAP; None where there is nothing at that path."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One door of the server. `world` is asked for at each request; a ConnectionError it raises: the door is shut."""

    world: Callable[[], World]


class Server:
    """Serves doors until `close`. `find(path)` may answer for paths that are not in `mounts` (doors made on demand)."""

    def __init__(self, mounts: Mapping[str, Mount], *, host: str = "127.0.0.1", port: int = 0,
                 certificate: Certificate | None = None, find: Callable[[str], Mount | None] | None = None,
                 beside: Beside | None = None) -> None:
        self.certificate = certificate or make_certificate(host, ("localhost", "127.0.0.1", "127.0.0.2"))
        self._mounts = dict(mounts)
        self._find = find or (lambda _path: None)
        self._beside: Beside = beside or (lambda *_asked: None)
        self._host, self._port = host, port
        self._httpd: _Httpd | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The bound port; raises RuntimeError before `start`."""
        if self._httpd is None:
            raise RuntimeError("the server is not started")
        return int(self._httpd.server_address[1])

    def start(self) -> Server:
        """Bind and serve in a background thread. Raises OSError where the address cannot be bound."""
        with tempfile.TemporaryDirectory() as folder:
            context = server_context(self.certificate, Path(folder))
        self._httpd = _Httpd((self._host, self._port), context, self.mount, self._beside)
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True,
                                        name="twin-https")
        self._thread.start()
        return self

    def mount(self, path: str) -> Mount | None:
        return self._mounts.get(path) or self._find(path)

    def wait(self) -> None:
        """Until `close` is called from elsewhere."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop serving, close all connections."""
        if self._httpd is not None:
            self._httpd.shutdown()
            self._httpd.server_close()
            self._httpd.drop_all()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Httpd(http.server.ThreadingHTTPServer):
    """TLS per connection, in the connection's own thread: a client that never shakes hands blocks nobody."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext,
                 mount: Callable[[str], Mount | None], beside: Beside) -> None:
        self.mount, self.beside = mount, beside
        self._context = context
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        raw, address = super().get_request()
        raw.settimeout(IDLE)
        wrapped = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with self._guard:
            self._open.add(wrapped)
        return wrapped, address

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def drop_all(self) -> None:
        with self._guard:
            waiting = list(self._open)
        for each in waiting:
            each.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's business, not a trace on our terminal."""
        log.debug("connection of %s ended by an error", client_address, exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fleet-twin"
    sys_version = ""
    timeout = IDLE
    disable_nagle_algorithm = True  # head and body leave in two writes: else each answer waits 40 ms for an ACK
    server: _Httpd

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.endswith("/vimServiceVersions.xml") and self.server.mount(path.rpartition("/")[0]):
            self._send(200, versions_document())
        elif not self._answered_beside(path, b""):
            self._send(404, b"not found\n", "text/plain")

    def do_POST(self) -> None:
        mount = self.server.mount(self.path.split("?")[0].rstrip("/"))
        body = self._body()
        if body is None:
            return
        if mount is None:
            if not self._answered_beside(self.path, body):
                self._send(404, b"not found\n", "text/plain")
            return
        try:
            self._soap(mount.world(), body)
        except http.client.RemoteDisconnected:
            self._hang_up(reset=False)
        except ConnectionError:
            self._hang_up(reset=True)

    def _answered_beside(self, path: str, body: bytes) -> bool:
        found = self.server.beside(self.command, path, self.headers.get("Authorization", ""), body)
        if found is not None:
            self._send(*found, "application/json")
        return found is not None

    def _soap(self, world: World, body: bytes) -> None:
        key = self._session_key()
        context = Context(world.sessions.get(key) if key else None, None, self.client_address[0],
                          self.headers.get("User-Agent", ""))
        try:
            reply = Endpoint(world).handle(context, body, self.headers.get("SOAPAction", ""))
        except ConnectionError:
            raise
        except Exception as problem:
            log.exception("the twin failed on a request")
            reply = _internal(problem, self.headers.get("SOAPAction", ""))
        cookie = f'{COOKIE}="{context.issued}"; Path=/; HttpOnly; Secure;' if context.issued else ""
        self._send(reply.status, reply.body, cookie=cookie)

    def _body(self) -> bytes | None:
        """The request body; None where it was refused and answered."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":  # govc sends nothing else
            body = read_chunks(self.rfile)
            if body is None:
                self.close_connection = True
                self._send(413, b"the request is too large, or its chunks are damaged\n", "text/plain")
            return body
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.close_connection = True
            self._send(411, b"Content-Length is required\n", "text/plain")
            return None
        if int(length) > LARGEST:
            self.close_connection = True
            self._send(413, b"the request is too large\n", "text/plain")
            return None
        return self.rfile.read(int(length))

    def _session_key(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return found.value if found else ""

    def _send(self, status: int, body: bytes, kind: str = "text/xml; charset=utf-8", cookie: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        if cookie:
            self.send_header("Set-Cookie", cookie)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self, *, reset: bool) -> None:
        """Close without an answer; `reset`: with a TCP reset instead of an orderly end."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s %s", self.client_address[0], format % args)


def read_chunks(stream: Any) -> bytes | None:
    """A chunked body (RFC 9112, 7.1); None where it is damaged or larger than LARGEST."""
    body = bytearray()
    while True:
        size = stream.readline(64).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,7}", size):
            return None
        length = int(size, 16)
        if length == 0:
            while stream.readline(8192).strip():
                pass  # trailers mean nothing here
            return bytes(body)
        if len(body) + length > LARGEST:
            return None
        body += stream.read(length)
        if stream.read(2) != b"\r\n":
            return None


def _internal(problem: Exception, action: str) -> Reply:
    from pyVmomi import vmodl

    from providers.twin.soap.answer import fault_envelope

    fault = vmodl.fault.SystemError(
        reason=f"internal error of the twin: {type(problem).__name__}: {problem}", msg="internal error of the twin")
    return Reply(500, fault_envelope(fault, version_of(action)))


def versions_document() -> bytes:
    """What `vimServiceVersions.xml` says: the API version that the twin speaks, and older ones."""
    from pyVmomi import VmomiSupport as Vm

    own = Vm.versionMap[f"vim25/{DEFAULT_API}"]
    older = [Vm.versionIdMap[each] for each in Vm.GetServiceVersions("vim25")
             if each in Vm.parentMap[own] and each != own and each.startswith("vim.version") and Vm.versionIdMap[each]]
    prior = "".join(f"<version>{each}</version>" for each in older)
    return (f'<?xml version="1.0" encoding="UTF-8" ?><namespaces version="1.0"><namespace><name>urn:vim25</name>'
            f"<version>{DEFAULT_API}</version><priorVersions>{prior}</priorVersions></namespace></namespaces>\n"
            ).encode()
