"""Who may call: an authority of the midwife's own, its server certificate, and one client certificate per identity.

```
identity/ca-key.pem        the authority's key, ECDSA P-256, mode 0600; ca.pem its certificate
identity/api-key.pem       the server's key; api.pem its certificate, for the name wire.SERVER_NAME
identity/clients.json      what was enrolled: serial → fleet, when, until when, revoked when
```
A certificate is good while clients.json lists it as not revoked: an identity that is in nobody's list is worth
nothing. Revoking works at once, for connections that are open, too.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from planner.model import Diagnostic, FleetError
from providers.files import replace_file
from providers.midwife.api.wire import SERVER_NAME, ApiError, Caller

FORMAT = 1
FLEET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
SCHEME = "fleet:"
CLIENT_DAYS = 365
MAX_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Client:
    """One enrolled identity. Times are ISO 8601, UTC; `revoked` is "" while it is good."""

    serial: str  # hex, upper case, as TLS shows it
    fleet: str
    enrolled: str
    expires: str
    revoked: str = ""


class Authority:
    """The authority in `folder`. Constructing does no I/O; `make` creates what is missing. Thread-safe."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder, self._now = folder, now
        self._lock = threading.Lock()
        self._known: tuple[tuple[int, int, int], Mapping[str, Client]] | None = None

    def make(self) -> None:
        """On first use: the authority and the server's certificate. Raises OSError."""
        from providers.midwife.api import certificates

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._exclusive():
            if not (self._folder / "ca.pem").exists():
                certificates.make_authority(self._folder / "ca-key.pem", self._folder / "ca.pem")
            if not (self._folder / "api.pem").exists():
                certificates.make_server(self._folder, SERVER_NAME)

    def server_context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer; nobody comes in without a certificate of this authority. Raises FleetError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # every connection shows its certificate anew
        context.options |= ssl.OP_NO_TICKET
        try:
            context.load_cert_chain(self._folder / "api.pem", self._folder / "api-key.pem")
            context.load_verify_locations(self._folder / "ca.pem")
        except (OSError, ssl.SSLError) as error:
            raise FleetError(self._damaged("the API's certificates cannot be read", error)) from error
        return context

    # --- identities ---------------------------------------------------------------------------------------

    def enroll(self, fleet: str, days: int = CLIENT_DAYS) -> tuple[Client, bytes]:
        """A new identity for that fleet, and its file (PEM: key, certificate, CA). Raises FleetError, OSError."""
        from providers.midwife.api import certificates

        if not FLEET_NAME.match(fleet):
            raise FleetError(Diagnostic("error", "not the name of a fleet", repr(fleet),
                                        remedy="take `name` of the fleet's `fleet:` block"))
        if not 1 <= days <= MAX_DAYS:
            raise FleetError(Diagnostic("error", "an identity cannot be good for that long", f"{days} days",
                                        remedy=f"1 to {MAX_DAYS} days"))
        self.make()
        try:
            serial, expires, pem = certificates.make_client(self._folder, SCHEME + fleet, self._now(), days)
        except ValueError as error:
            raise FleetError(self._damaged("the authority cannot be read", error)) from error
        client = Client(serial, fleet, _iso(self._now()), _iso(expires))
        with self._exclusive():
            self._write({**self._read(), serial: client})
        return client, pem

    def revoke(self, fleet: str, serial: str = "") -> list[Client]:
        """End one identity of a fleet, or all of them; returns those that were good until now. Raises FleetError."""
        with self._exclusive():
            known = dict(self._read())
            wanted = [c for c in known.values() if c.fleet == fleet and serial.upper() in ("", c.serial)]
            if not wanted:
                which = f"no identity {serial} of the fleet {fleet}" if serial else f"no identity of the fleet {fleet}"
                raise FleetError(Diagnostic("error", "there is no such identity", which,
                                            remedy="`fleet midwife list` shows them"))
            ended = [replace(c, revoked=_iso(self._now())) for c in wanted if not c.revoked]
            self._write({**known, **{c.serial: c for c in ended}})
        return ended

    def clients(self) -> list[Client]:
        """All that were enrolled, oldest first. Raises FleetError."""
        return sorted(self._read().values(), key=lambda c: (c.enrolled, c.serial))

    # --- callers ------------------------------------------------------------------------------------------

    def caller(self, certificate: Mapping[str, Any] | None) -> Caller:
        """Who shows this certificate (ssl.SSLObject.getpeercert()), which TLS has verified. Raises ApiError."""
        names = [str(value) for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "URI"]
        fleets = [name.removeprefix(SCHEME) for name in names if name.startswith(SCHEME)]
        if certificate is None or len(fleets) != 1:
            raise ApiError("denied", "this certificate is no identity of a fleet", "",
                           "make one with `fleet midwife enroll`")
        serial = str(certificate.get("serialNumber", "")).upper()
        if ssl.cert_time_to_seconds(str(certificate["notAfter"])) < self._now():
            raise ApiError("denied", "this identity has expired", str(certificate["notAfter"]), ENROLL)
        client = self._read().get(serial)
        if client is None or client.fleet != fleets[0]:
            raise ApiError("denied", "this identity is not enrolled here", f"serial {serial}", ENROLL)
        if client.revoked:
            raise ApiError("denied", "this identity was revoked", f"serial {serial}, at {client.revoked}", ENROLL)
        return Caller(client.fleet, serial)

    # --- clients.json -------------------------------------------------------------------------------------

    def _read(self) -> Mapping[str, Client]:
        """Read again whenever the file is another one: other processes enroll and revoke."""
        path = self._folder / "clients.json"
        with self._lock:
            try:
                found = os.stat(path)
                stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
                if self._known is not None and self._known[0] == stamp:
                    return self._known[1]
                data = json.loads(path.read_bytes())
                if data["format"] != FORMAT:
                    raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
                known = {serial: Client(serial, **row) for serial, row in data["clients"].items()}
            except FileNotFoundError:
                return {}
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise FleetError(self._damaged("the list of identities cannot be read", error)) from error
            self._known = stamp, known
            return known

    def _write(self, known: Mapping[str, Client]) -> None:

        rows = {c.serial: {k: v for k, v in asdict(c).items() if k != "serial"} for c in known.values()}
        replace_file(self._folder / "clients.json", json.dumps({"format": FORMAT, "clients": rows}, indent=1).encode())

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _damaged(self, summary: str, error: Exception) -> Diagnostic:
        return Diagnostic("error", summary, f"{self._folder}: {error}", remedy="restore the folder from a backup; or "
                          "move it away: a new authority is made, and every fleet must be enrolled again")


ENROLL = "`fleet midwife enroll` on the midwife makes a new one"


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
