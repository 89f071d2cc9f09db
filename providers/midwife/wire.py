"""One connection of a birth: TLS handshake, one HTTP request, one reply. Never blocks; whoever owns it polls.

HTTP is parsed by httptools (llhttp). What a stranger can send is bounded before it is kept: 8 KiB of headers, 64 KiB
of body; a body that says it is larger is refused before it is read.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from providers.midwife.message import MAX_BODY

MAX_HEAD = 8 * 1024
PATH = b"/v1/births"

_REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
            405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 428: "Precondition Required",
            431: "Request Header Fields Too Large", 500: "Internal Server Error", 503: "Service Unavailable"}


class Wants(Enum):
    """What the connection waits for."""

    READ = auto()
    WRITE = auto()
    VERDICT = auto()  # `body` is whole: judge it, then call `reply`
    NOTHING = auto()  # it is over: close it


class _Bad(Exception):
    """A request that is answered without being judged."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Connection:
    """Call `step` when the socket is ready for what `wants` says."""

    __slots__ = ("_bad", "_body", "_expects", "_head", "_out", "_parser", "_rest", "_shaken", "_url", "_whole",
                 "address", "expires", "moved", "opened", "refused", "sock", "wants")

    def __init__(self, sock: ssl.SSLSocket, address: str, now: float, expires: float) -> None:
        self.sock, self.address = sock, address
        self.opened = self.moved = now  # `moved`: when something last came
        self.expires = expires
        self.wants = Wants.READ
        self.refused = False  # it sent what no honest host sends
        self._parser: Any = None
        self._url = b""
        self._expects = False  # it waits for "100 Continue" before it sends the body
        self._body: list[bytes] = []
        self._head = self._whole = 0  # bytes so far; the head's are -1 when it is complete
        self._bad: _Bad | None = None
        self._out = b""
        self._shaken = False
        self._rest = False  # the reply is out; what still comes is thrown away until the peer closes

    @property
    def body(self) -> bytes:
        return b"".join(self._body)

    @property
    def shaken(self) -> bool:
        """The TLS handshake is over."""
        return self._shaken

    def step(self) -> None:
        try:
            self._step()
        except (ssl.SSLWantReadError, BlockingIOError):
            self.wants = Wants.READ
        except ssl.SSLWantWriteError:
            self.wants = Wants.WRITE
        except (OSError, ValueError):  # not TLS, reset, gone
            self.wants = Wants.NOTHING

    def _step(self) -> None:
        if not self._shaken:
            self.sock.do_handshake()
            self._shaken = True
        if self._out:
            self._send()
        elif self._rest:
            while self.sock.recv(MAX_BODY):
                pass
            self.wants = Wants.NOTHING
        else:
            self._receive()

    # --- the request --------------------------------------------------------------------------------------

    def _receive(self) -> None:
        if self._parser is None:
            import httptools

            self._parser = httptools.HttpRequestParser(self)
        self.wants = Wants.READ
        while self.wants is Wants.READ:
            data = self.sock.recv(MAX_BODY)
            if not data:
                self.wants = Wants.NOTHING
                return
            self._feed(data)
            if self._bad is not None:
                self.refused = True
                self.reply(self._bad.status, {"error": str(self._bad)})
                return
            if not self.sock.pending():
                return

    def _feed(self, data: bytes) -> None:
        import httptools

        if self._head >= 0:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self._bad = error.__context__ if isinstance(error.__context__, _Bad) else _Bad(400, "no HTTP request")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._bad = self._bad or _Bad(400, "no HTTP request")
        if self._bad is None and self._head > MAX_HEAD:
            self._bad = _Bad(431, f"the headers have at most {MAX_HEAD} bytes")

    # httptools' callbacks

    def on_url(self, url: bytes) -> None:
        if self.wants is Wants.VERDICT:
            raise _Bad(400, "one birth, one connection")
        self._url += url  # it comes in pieces

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length" and (not value.isdigit() or len(value) > 15 or int(value) > MAX_BODY):
            raise _too_large()
        if lower == b"expect":
            self._expects = True

    def on_headers_complete(self) -> None:
        self._head = -1
        if self._url.partition(b"?")[0] != PATH:
            raise _Bad(404, "births are posted to /v1/births")
        if self._parser.get_method() != b"POST":
            raise _Bad(405, "births are posted")
        if self._expects:
            self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._whole += len(data)
        if self._whole > MAX_BODY:
            self._body.clear()
            raise _too_large()
        self._body.append(data)

    def on_message_complete(self) -> None:
        self.wants = Wants.VERDICT

    # --- the reply ----------------------------------------------------------------------------------------

    def reply(self, status: int, answer: dict[str, object]) -> None:
        """Send it, and end the connection."""
        body = json.dumps(answer).encode()
        reason = _REASONS.get(status, "")
        self._out = (f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                     "Connection: close\r\n\r\n").encode() + body
        self.wants = Wants.WRITE
        self._rest = self._bad is not None  # closing with something unread would reset the reply, too
        self.step()

    def _send(self) -> None:
        while self._out:
            self._out = self._out[self.sock.send(self._out):]
        if not self._rest:
            self.wants = Wants.NOTHING
            with suppress(OSError):  # it would wait for the peer's own farewell
                self.sock.unwrap()  # says that the reply is whole
            return
        self.sock.shutdown(socket.SHUT_WR)
        self.wants = Wants.READ

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()


def _too_large() -> _Bad:
    return _Bad(413, f"a birth message has at most {MAX_BODY} bytes")
