"""The network boot of a machine of the twin: what firmware, boot loader and payload do on real hardware.

It fetches the boot loader and `boot.cfg` by TFTP, kernel and modules by HTTP, unpacks its birth key, comes up, and
posts its birth to the midwife whose key the command line pins. Everything on the wire is real.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from providers.boot.bootcfg import BootCfgError
from providers.boot.modules import birth_key
from providers.boot.payload import Stopped, boot_options, deliver, message, thumbprint

CHUNK = 1 << 18
HTTP_SECONDS = 10.0
TFTP_TRIES = 4
HTTP_TRIES = 3
DEFAULT_VERSION, DEFAULT_BUILD = "8.0.3", "24022510"  # where boot.cfg has no `build=` line
_BUILD = re.compile(r"(\d+\.\d+\.\d+)-(?:\d+\.)*(\d+)\Z")


class BootFailed(Exception):
    """The machine did not come up, or came up and could not announce itself; the text says where it stopped."""


class Machine(Protocol):
    """What is needed of a machine of the house."""

    mac: str
    uuid: str
    serial: str
    ip: str
    boot: int


class House(Protocol):
    """What is needed of the twin's house (`providers.twin.house.House`)."""

    def complete_boot(self, mac: str, *, build: str, version: str, image: str, boot: int) -> Any: ...

    def door_certificate(self, ip: str) -> str: ...


@dataclass(slots=True)
class MachineClock:
    """A machine's clock: `offset` seconds ahead of true time until somebody sets it; `kept` hears of that."""

    offset: float = 0.0
    kept: Callable[[float], None] = lambda _offset: None

    def now(self) -> float:
        return time.time() + self.offset

    def set(self, seconds: float) -> None:
        self.offset = seconds - time.time()
        self.kept(self.offset)


def machine_clock(house: Any, mac: str) -> MachineClock:
    """The clock of a machine of the house: as far off as the seed says, and set for good once it is set."""
    def keep(_offset: float) -> None:
        with house.change():
            box = house.box(mac)
            box.skew = 0.0
            house.inventory.mark(box)

    return MachineClock(float(house.box(mac).skew), keep)


@dataclass(frozen=True, slots=True)
class _Loaded:
    options: dict[str, str]
    key: bytes
    image: str  # digest, the last segment of the prefix
    build: str


def network_boot(house: House, machine: Machine, host: str, port: int, file: str, *,
                 clock: MachineClock | None = None, say: Callable[[str], None] = lambda _line: None,
                 pause: Callable[[float], None] = time.sleep) -> None:
    """Boot one machine from TFTP at `host:port`. Raises BootFailed; `say` gets the same sentence."""
    try:
        loaded = _load(machine.mac, host, port, file)
        version, build = product(loaded.build)
        up = house.complete_boot(machine.mac, build=build, version=version, image=loaded.image, boot=machine.boot)
        _announce(up, house.door_certificate(up.ip), loaded, version, build, clock or MachineClock(), pause)
    except (BootFailed, Stopped, RuntimeError, ConnectionRefusedError) as error:
        say(f"machine {machine.mac}: {error}")
        raise BootFailed(str(error)) from error


def product(build: str) -> tuple[str, str]:
    """"8.0.3-0.0.24022510" or "8.0.3-24022510" → ("8.0.3", "24022510")."""
    found = _BUILD.match(build.strip())
    return (found.group(1), found.group(2)) if found else (DEFAULT_VERSION, DEFAULT_BUILD)


def _load(mac: str, host: str, port: int, file: str) -> _Loaded:
    loader = tftp_fetch(host, port, file)
    if not loader:
        raise BootFailed(f"the boot loader {file} is empty")
    folder = f"{file.rsplit('/', 1)[0]}/" if "/" in file else ""
    text = tftp_fetch(host, port, f"{folder}01-{mac.replace(':', '-')}/boot.cfg").decode("utf-8", "replace")
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        prefix, kernel = lines["prefix"].rstrip("/"), lines["kernel"]
        modules = [part.split()[0] for part in lines["modules"].split("---") if part.strip()]
    except (KeyError, BootCfgError) as error:
        raise BootFailed(f"boot.cfg lacks {error}") from error
    key = b""
    for name in (kernel, *modules):
        url = name if "://" in name else f"{prefix}/{name}"
        wanted = url.endswith("/birth.tgz")
        body = http_fetch(url, keep=wanted)
        if wanted:
            try:
                key = birth_key(body)
            except ValueError as error:
                raise BootFailed(str(error)) from error
    options = boot_options(lines.get("kernelopt", ""))
    missing = [n for n in ("midwife", "midwife_spki", "birth") if not options.get(n)]
    if missing or not key:
        raise BootFailed(f"the boot configuration names no {' and no '.join(missing) or 'birth.tgz'}")
    return _Loaded(options, key, prefix.rsplit("/", 1)[-1], lines.get("build", ""))


def _announce(machine: Machine, certificate: str, loaded: _Loaded, version: str, build: str, clock: MachineClock,
              pause: Callable[[float], None]) -> None:
    facts = {
        "mac": machine.mac, "uuid": machine.uuid, "serial": machine.serial, "address": machine.ip,
        "version": f"VMware ESXi {version} build-{build}", "certificate": certificate,
        "thumbprint": thumbprint(certificate),
    }
    options = loaded.options
    deliver(options["midwife"], options["midwife_spki"],
            lambda at: message(facts, options["birth"], loaded.key, at), clock.now, clock.set, pause)


def tftp_fetch(host: str, port: int, name: str, *, timeout: float = 1.0, retries: int = 6) -> bytes:
    """One file by TFTP, as firmware does it: block size 1428, size asked for. Raises BootFailed.

    A transfer that breaks is started again, as firmware does: tftpy's client gives up on a repeated OACK, which a
    server sends whenever a busy machine answers it late.
    """
    import tftpy

    logging.getLogger("tftpy").setLevel(logging.CRITICAL + 1)
    last: Exception | None = None
    for _ in range(TFTP_TRIES):
        output = io.BytesIO()
        try:
            client = tftpy.TftpClient(host, port, options={"blksize": 1428, "tsize": 0}, localip="", flock=False)
            client.download(name, output, timeout=timeout, retries=retries)
            return output.getvalue()
        except tftpy.TftpShared.TftpFileNotFoundError as error:
            raise BootFailed(f"TFTP {name}: {error}") from error
        except (tftpy.TftpShared.TftpException, OSError) as error:
            last = error
    raise BootFailed(f"TFTP {name}: {last}") from last


def http_fetch(url: str, *, keep: bool) -> bytes:
    """One file by HTTP with mboot's patience (10 s, two retries). Raises BootFailed.

    Only what is kept is held in memory; everything else is read, counted and hashed away, like a kernel into RAM.
    """
    parts = urlsplit(url)
    last = ""
    for _ in range(HTTP_TRIES):
        link = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=HTTP_SECONDS)
        try:
            link.request("GET", parts.path)
            reply = link.getresponse()
            if reply.status == 200:
                return _read(reply, keep)
            last = f"{reply.status} {reply.reason}"
            if reply.status < 500:
                break
        except (OSError, http.client.HTTPException) as error:
            last = f"{error.__class__.__name__}: {error}"
        finally:
            link.close()
    raise BootFailed(f"HTTP {parts.path}: {last}")


def _read(reply: http.client.HTTPResponse, keep: bool) -> bytes:
    expected = int(reply.headers.get("Content-Length") or -1)
    kept, count, hasher = io.BytesIO(), 0, hashlib.sha256()
    while chunk := reply.read(CHUNK):
        count += len(chunk)
        if keep:
            kept.write(chunk)
        else:
            hasher.update(chunk)
    if expected >= 0 and count != expected:
        raise http.client.IncompleteRead(b"", expected - count)
    return kept.getvalue()
