"""A client of the midwife's API (the wire format: providers/midwife/api).

Every call may be repeated, so that a link that was cut is waited out: `patience` says for how long. Connections stay
open between calls. Thread-safe.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from planner.model import Diagnostic, FleetError
from providers.midwife.api.wire import HEADER, PREFIX, SERVER_NAME, to_fleet_error

CONNECT_SECONDS = 10.0
CALL_SECONDS = 60.0
PATIENCE = 30.0
PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)
"""Between tries; the last one again and again."""
REPEAT = frozenset({408, 429, 500, 502, 503, 504})
PROBE_SECONDS = 1.0
PROBES = 2
"""One may be an accident of a midwife that ends, or of the way to it."""
MAX_ANSWER = 1 << 30
_ENROLL = "make a new one with `fleet midwife enroll` on the midwife, and let provider.boot.identity name it"


class Unreachable(FleetError):
    """Nobody answered for as long as the caller could wait. What was asked for may have happened."""

    silent = True
    """Told apart by this where the class cannot be imported."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        import msgspec

        found = msgspec.json.decode(self.body) if self.body else {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Client:
    """Calls of one fleet. `url`: https://HOST[:PORT]; `identity`: the text of an identity file; `token`: of the
    fleet's lock, while it is held. Constructing does no I/O."""

    url: str
    fleet: str
    identity: str = field(repr=False)
    token: Callable[[], str] = field(default=lambda: "", repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _idle: list[_Link] = field(default_factory=list, repr=False)
    _tls: list[ssl.SSLContext] = field(default_factory=list, repr=False)
    _heard: threading.Event = field(default_factory=threading.Event, repr=False)
    """It has answered before: the identity is good, and whatever hangs up later does so for another reason."""

    def call(self, method: str, path: str, data: Mapping[str, Any] | None = None, *, body: bytes | None = None,
             query: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None,
             seconds: float = CALL_SECONDS, patience: float = PATIENCE, stop: threading.Event | None = None,
             accept: Collection[int] = ()) -> Answer:
        """One call below `/v1/fleets/NAME/`, repeated for `patience` seconds while nobody answers.

        `accept`: refusals that the caller wants to read. Raises Unreachable; FleetError (or its kind for the answer's
        code) where the midwife says no, or either side does not trust the other. A set `stop` ends the repeating.
        """
        import msgspec

        target = f"{PREFIX}{quote(self.fleet, safe='')}/{quote(path)}"
        if query:
            target += "?" + urlencode({k: str(v) for k, v in query.items()})
        sent = {"Accept": "application/json", **(headers or {})}
        if token := self.token():
            sent[HEADER] = token
        if data is not None:
            body, sent["Content-Type"] = msgspec.json.encode(data), "application/json"
        end, tries = time.monotonic() + patience, 0
        while True:
            try:
                answer = self._once(method, target, body, sent, seconds)
                if answer.status < 400 or answer.status in accept:
                    return answer
                raise self._refused(answer)
            except _Again as again:
                pause = max(PAUSES[min(tries, len(PAUSES) - 1)], again.pause)
                if time.monotonic() + pause > end or (stop is not None and stop.is_set()):
                    raise Unreachable(*again.error.diagnostics) from again.__cause__
            tries += 1
            if stop is None:
                self.sleep(pause)
            else:
                stop.wait(pause)

    def close(self) -> None:
        with self._lock:
            links, self._idle[:] = list(self._idle), []
        for link in links:
            link.close()

    # --- one try --------------------------------------------------------------------------------------------

    def _once(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str],
              seconds: float) -> Answer:
        """Raises _Again, FleetError."""
        link = self._borrowed()
        while True:
            fresh = link is None
            link = link or _Link(self._address, self._context())
            try:
                return self._exchange(link, method, target, body, headers, seconds)
            except (OSError, http.client.HTTPException) as error:
                link.close()
                if fresh or isinstance(error, TimeoutError):
                    raise self._trouble(error) from error
                link = self._borrowed()  # it may have been closed over there while nobody used it

    def _exchange(self, link: _Link, method: str, target: str, body: bytes | None, headers: Mapping[str, str],
                  seconds: float) -> Answer:
        """Raises OSError, HTTPException."""
        if link.sock is None:
            link.connect()
        assert link.sock is not None  # noqa: S101  # connected
        link.sock.settimeout(seconds)
        try:
            link.request(method, target, body if body is not None or method in ("GET", "HEAD") else b"", dict(headers))
        except (BrokenPipeError, ConnectionResetError):  # it may have said why before it hung up
            reply = link.getresponse()
        else:
            reply = link.getresponse()
        found = reply.read(MAX_ANSWER)
        self._heard.set()
        if reply.will_close:
            link.close()
        else:
            with self._lock:
                self._idle.append(link)
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, found)

    def _borrowed(self) -> _Link | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    # --- what went wrong --------------------------------------------------------------------------------------

    def _refused(self, answer: Answer) -> Exception:
        import msgspec

        try:
            found = answer.json()
        except msgspec.DecodeError:
            found = {}
        if "error" not in found:
            found = {"error": "something else than the midwife answers there", "detail": f"status {answer.status}",
                     "remedy": "check provider.boot.midwife, and what lies between"}
        error = to_fleet_error(found, self.url)
        if answer.status in REPEAT and found.get("code") not in ("internal", "failed"):
            pause = found.get("retry")
            return _Again(error, float(pause) if isinstance(pause, (int, float)) else 0.0)
        return error

    def _trouble(self, error: Exception) -> Exception:
        """What broke a fresh connection: worth another try, or a matter of trust."""
        if (isinstance(error, ConnectionError) and not self._heard.is_set()
                and all(self._hangs_up() for _ in range(PROBES))):
            return FleetError(Diagnostic(
                "error", "the midwife does not accept this identity",
                f"{self.url}: it hangs up as soon as it has seen the certificate", remedy=_ENROLL))
        if isinstance(error, ssl.SSLCertVerificationError):
            return FleetError(Diagnostic(
                "error", "this is not the midwife that the identity is for",
                f"{self.url}: {error.verify_message or error}", remedy="check provider.boot.midwife; if the midwife "
                f"was set up anew, {_ENROLL}"))
        if isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason or ""):
            return FleetError(Diagnostic(
                "error", "the midwife does not accept this identity",
                f"{self.url}: {str(error.reason).lower().replace('_', ' ')}", remedy=_ENROLL))
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        return _Again(Unreachable(Diagnostic(
            "error", "the midwife does not answer", f"{self.url}: {why}",
            remedy="check that `fleet midwife serve` runs there, and the way to it")))

    def _hangs_up(self) -> bool:
        """Whether the other side ends the connection by itself after the handshake: in TLS 1.3 a certificate is
        refused only then, and asyncio's servers say nothing about it."""
        link = _Link(self._address, self._context())
        try:
            link.connect()
            assert link.sock is not None  # noqa: S101  # connected
            try:
                link.sock.settimeout(PROBE_SECONDS)
                return link.sock.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True
        except OSError:
            return False
        finally:
            link.close()

    # --- TLS --------------------------------------------------------------------------------------------------

    @property
    def _address(self) -> tuple[str, int]:
        """Raises FleetError."""
        try:
            parts = urlsplit(self.url)
            if parts.scheme == "https" and parts.hostname and parts.path in ("", "/"):
                return parts.hostname, parts.port or 443
        except ValueError:
            pass
        raise FleetError(Diagnostic("error", "this is no address of a midwife", f"provider.boot.midwife is {self.url}",
                                    remedy="write https://HOST:PORT"))

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if not self._tls:
                self._tls.append(client_context(self.identity, self.fleet))
            return self._tls[0]


def client_context(identity: str, fleet: str) -> ssl.SSLContext:
    """TLS for an identity file's text. Raises FleetError: damaged, expired, of another fleet."""
    _check(identity, fleet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority = identity[identity.rindex("-----BEGIN CERTIFICATE-----"):]
    try:
        context.load_verify_locations(cadata=authority)
        _load(context, identity)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _bad_identity(str(error)) from error
    return context


def _check(identity: str, fleet: str) -> None:
    """Better said here than by an alert of the other side."""
    import datetime

    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(identity.encode("ascii"))
        names = certificates[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise _bad_identity("it holds no certificates") from error
    if len(certificates) < 2 or "PRIVATE KEY-----" not in identity:
        raise _bad_identity("it must hold a private key, its certificate and the authority's")
    ends = certificates[0].not_valid_after_utc
    if ends < datetime.datetime.now(datetime.UTC):
        raise FleetError(Diagnostic("error", "the identity for the midwife has expired", f"at {ends:%Y-%m-%d %H:%M}Z",
                                    remedy=_ENROLL))
    found = names.get_values_for_type(x509.UniformResourceIdentifier)
    if f"fleet:{fleet}" not in found:
        raise FleetError(Diagnostic("error", "this identity is of another fleet",
                                    f"it is for {', '.join(found) or 'nobody'}, and this fleet is {fleet}",
                                    remedy=f"let provider.boot.identity name the identity of {fleet}"))


def _load(context: ssl.SSLContext, identity: str) -> None:
    """OpenSSL reads keys from files only: one that is nowhere on a disk, where the system has such."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(identity.encode("ascii"))
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return
    with tempfile.NamedTemporaryFile() as kept:
        kept.write(identity.encode("ascii"))
        kept.flush()
        context.load_cert_chain(kept.name)


def _bad_identity(why: str) -> FleetError:
    return FleetError(Diagnostic("error", "the identity for the midwife cannot be used", why, remedy=_ENROLL))


class _Again(Exception):
    """Worth another try; `error` is what it comes to when there is none."""

    def __init__(self, error: FleetError, pause: float = 0.0) -> None:
        super().__init__(str(error))
        self.error, self.pause = error, pause


class _Link(http.client.HTTPSConnection):
    """A connection that looks for the midwife's name, not for that of its address."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext) -> None:
        super().__init__(*address, timeout=CONNECT_SECONDS, context=tls)
        self._midwife_tls = tls

    def connect(self) -> None:
        sock = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = self._midwife_tls.wrap_socket(sock, server_hostname=SERVER_NAME)
        except BaseException:
            sock.close()
            raise
