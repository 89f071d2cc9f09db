"""Opening a SOAP door: TLS that verifies what was asked for, the API version both sides speak, and the log-in."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from planner.model import Diagnostic, FleetError

Failure = Callable[[str, str, str], Exception]
"""(what is wrong, detail, what to do) → the exception that the caller wants raised."""


class WrongCertificate(OSError):
    """The server showed another certificate than the pinned one. `seen`: its SHA-256 thumbprint."""

    def __init__(self, seen: str) -> None:
        super().__init__(f"the server's certificate has the SHA-256 thumbprint {seen}")
        self.seen = seen


@dataclass(frozen=True, slots=True)
class Trust:
    """How the server's certificate is checked: one pinned certificate, else a CA file, else the system's CAs.

    `thumbprint` is SHA-1 or SHA-256 (hex, colons or not); `certificate` is PEM.
    """

    ca_file: str = ""
    thumbprint: str = ""
    certificate: str = ""

    @property
    def pins(self) -> bool:
        return bool(self.thumbprint or self.certificate)

    def accepts(self, der: bytes) -> bool:
        """Whether this is the pinned certificate."""
        if self.certificate:
            return der == ssl.PEM_cert_to_DER_cert(self.certificate)
        wanted = self.thumbprint.replace(":", "").strip().lower()
        return wanted in (hashlib.sha256(der).hexdigest(), hashlib.sha1(der, usedforsecurity=False).hexdigest())


def thumbprint(certificate: str, algorithm: str = "sha256") -> str:
    """Thumbprint of a PEM certificate, as vSphere writes it: AA:BB:… . Raises ValueError where it is no PEM."""
    return colons(ssl.PEM_cert_to_DER_cert(certificate), algorithm)


def colons(der: bytes, algorithm: str = "sha256") -> str:
    text = hashlib.new(algorithm, der, usedforsecurity=False).hexdigest().upper()
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2))


def split_server(server: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` → (host, port). Raises ValueError."""
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
    if not host or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        raise ValueError(f"not a server name: {server!r} (write host or host:port)")
    return host, int(port or 443)


class _Connection(http.client.HTTPSConnection):
    """An HTTPS connection that compares the pinned certificate before it sends a byte.

    pyVmomi's own pinning compares only where the CA check failed, and switches the check off for loopback names.
    """

    def __init__(self, host: str, port: int, trust: Trust, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._trust = trust

    def connect(self) -> None:
        super().connect()
        if self._trust.pins:
            der = self.sock.getpeercert(True) or b""
            if not self._trust.accepts(der):
                self.close()
                raise WrongCertificate(colons(der))

    def getresponse(self) -> http.client.HTTPResponse:
        response = super().getresponse()
        if response.status not in (200, 500):  # pyVmomi raises on these, and forgets the socket
            response.close()
        return response


def certificate_at(server: str, timeout: float) -> bytes:
    """DER of the certificate that a server shows, unchecked: for comparison with a known one. Raises OSError."""
    try:
        host, port = split_server(server)
    except ValueError as error:
        raise OSError(str(error)) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=timeout) as plain, \
            context.wrap_socket(plain, server_hostname=host) as tls:
        return tls.getpeercert(True) or b""


def looked_up(name: str) -> frozenset[str]:
    """The IPv4 addresses that a name leads to here; none where nobody here knows it."""
    try:
        found = socket.getaddrinfo(name, 443, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(each[4][0]) for each in found)


def tls_context(trust: Trust) -> ssl.SSLContext:
    """Verifies chain and name, except where one certificate is pinned: then that comparison is the check."""
    context = ssl.create_default_context(cafile=trust.ca_file or None)
    if trust.pins:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def open_stub(server: str, trust: Trust, timeout: float) -> Any:
    """A pyVmomi stub for https://SERVER/sdk. Makes no connection yet. Raises OSError for an unreadable CA file."""
    from providers.vsphere.bulk.stub import BulkStub

    host, port = split_server(server)
    context = tls_context(trust)
    stub: Any = BulkStub(host=host, port=port, path="/sdk", sslContext=context, poolSize=32,
                         version="vim.version.version9")
    name = host  # HTTPSConnection wants an IPv6 address without brackets
    stub.scheme = lambda **_given: _Connection(name, port, trust, context, timeout)
    return stub


def speak(stub: Any) -> Any:
    """Read the service content, and go on in the newest API version that both sides know. Returns the content."""
    from pyVmomi import vim
    from pyVmomi.VmomiSupport import GetServiceVersions, versionIdMap

    service = vim.ServiceInstance("ServiceInstance", stub)
    content = service.RetrieveServiceContent()
    theirs = _numbers(content.about.apiVersion)
    for version in GetServiceVersions("vim25"):  # newest first
        ours = _numbers(versionIdMap.get(version, ""))
        if version.startswith("vim.version.") and ours and ours <= theirs:
            if version != stub.version and hasattr(stub, "ComputeVersionInfo"):
                del stub.version  # where it has one, pyVmomi keeps the header of that one
                stub.ComputeVersionInfo(version)
            break
    return content


def _numbers(version: str | None) -> tuple[int, ...]:
    parts = (version or "").split(".")
    return tuple(int(p) for p in parts) if all(p.isdigit() for p in parts) else ()


def explain(problem: BaseException, server: str, fail: Failure) -> Exception:
    """The exception for a door that could not be opened: names the server, what is wrong and what to do."""
    if isinstance(problem, WrongCertificate):
        return fail(f"{server} showed another certificate than the pinned one",
                    f"SHA-256 thumbprint seen: {problem.seen}",
                    "check that this is the right server; if it is, put that thumbprint into `thumbprint:`")
    if isinstance(problem, ssl.SSLCertVerificationError):
        seen = _seen(server)
        return fail(f"the certificate of {server} cannot be verified",
                    f"{problem.verify_message}{f'; SHA-256 thumbprint seen: {seen}' if seen else ''}",
                    "set `ca_file:` to the CA that signed it, or `thumbprint:` to the certificate's thumbprint")
    if isinstance(problem, socket.gaierror):
        return fail(f"{server} is not a name that resolves", str(problem.strerror), "check `server:` and DNS")
    if isinstance(problem, (OSError, http.client.HTTPException)):
        return fail(f"{server} is unreachable", str(problem) or type(problem).__name__,
                    "check that it is up, and that port 443 is open from here")
    name = getattr(type(problem), "_wsdlName", "") or type(problem).__name__
    if name == "InvalidLogin":
        return fail(f"{server} refused user name or password", "InvalidLogin", "check `user:` and `password:`")
    return fail(f"{server} does not answer as a vSphere server", f"{name}: {getattr(problem, 'msg', '') or problem}",
                "check `server:`")


def _seen(server: str) -> str:
    """Thumbprint of whatever certificate the server shows; "" where it shows none. For the message only."""
    host, port = split_server(server)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), 5) as plain, context.wrap_socket(plain) as tls:
            return colons(tls.getpeercert(True) or b"")
    except OSError:
        return ""


def as_fleet_error(summary: str, detail: str, remedy: str) -> FleetError:
    return FleetError(Diagnostic("error", summary, detail, remedy=remedy))
