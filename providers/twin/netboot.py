"""The network boot of a machine of the twin: what firmware, boot loader and payload do on real hardware.

It fetches the boot loader and `boot.cfg` by TFTP, kernel and modules by HTTP, unpacks its birth key, comes up, opens
the one rule set that it needs, posts its birth to the midwife whose key the command line pins, and closes it again.
Everything on the wire is real. An agentless host just comes up. A scripted installation writes the machine's disk by
its kickstart and boots from there; so does a machine that is told to, or finds nothing to boot on the network.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from providers.boot.bootcfg import BootCfgError
from providers.boot.modules import birth_key
from providers.boot.payload import Stopped, boot_options, deliver, message, post, thumbprint
from providers.boot.platforms import RULESET
from providers.twin.outbound import Firewall, HouseFirewall, NewbornFirewall, let_out

CHUNK = 1 << 18
HTTP_SECONDS = 10.0
TFTP_TRIES = 4
HTTP_TRIES = 3
DEFAULT_VERSION, DEFAULT_BUILD = "8.0.3", "24022510"  # where boot.cfg has no `build=` line
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
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


class Disk(Protocol):
    """What a machine can boot from besides the network."""

    def install(self, *, build: str, version: str, image: str, root: str) -> None:
        """Write a system onto it; `root` is root's password as a crypt hash."""

    def boot(self) -> Any:
        """Start what is on it; the machine as it is then. Raises RuntimeError where nothing is."""


class NoDisk:
    """A machine without one."""

    def install(self, *, build: str, version: str, image: str, root: str) -> None:
        raise RuntimeError("the installer finds no disk")

    def boot(self) -> Any:
        raise RuntimeError("there is no disk to boot from")


@dataclass(frozen=True, slots=True)
class Insides:
    """What is inside a machine besides its network card.

    `ports` are TCP ports that count as others for its firewall (a site's ephemeral birth port as 443); None: any port
    counts as 443. `image` is the digest of what is staged for it.
    """

    clock: MachineClock = field(default_factory=MachineClock)
    firewall: Callable[[int], Firewall] = lambda _boot: NewbornFirewall()
    disk: Disk = field(default_factory=NoDisk)
    ports: Mapping[int, int] | None = None
    image: str = ""


def insides(house: Any, mac: str, ports: Mapping[int, int], image: str) -> Insides:
    """The insides of a machine of the house."""
    from providers.twin.boots import BoxDisk

    return Insides(machine_clock(house, mac), lambda boot: HouseFirewall(house, mac, boot), BoxDisk(house, mac), ports,
                   image)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """`options` are empty where nothing is to be announced; `root` is not where a disk is to be installed."""

    options: dict[str, str]
    key: bytes
    image: str  # digest
    build: str
    root: str = ""


class _FromDisk(Exception):
    """The boot configuration says that this machine boots from its own disk."""


def network_boot(house: House, machine: Machine, host: str, port: int, file: str, *,
                 clock: MachineClock | None = None, inside: Insides | None = None,
                 say: Callable[[str], None] = lambda _line: None,
                 pause: Callable[[float], None] = time.sleep) -> None:
    """Boot one machine from TFTP at `host:port`. Raises BootFailed; `say` gets the same sentence."""
    inside = inside or Insides(clock or MachineClock())
    try:
        try:
            loaded = _load(machine.mac, host, port, file, inside.image)
        except (_FromDisk, BootFailed) as reason:
            _from_disk(inside.disk, reason)
            return
        version, build = product(loaded.build)
        if loaded.root:
            inside.disk.install(build=build, version=version, image=loaded.image, root=loaded.root)
            _installed(machine.mac, host, port, file)
            up = inside.disk.boot()
        else:
            up = house.complete_boot(machine.mac, build=build, version=version, image=loaded.image, boot=machine.boot)
        if loaded.options:
            _announce(up, house.door_certificate(up.ip), loaded, version, build, inside, pause)
    except (BootFailed, Stopped, RuntimeError, ConnectionRefusedError) as error:
        say(f"machine {machine.mac}: {error}")
        raise BootFailed(str(error)) from error


def _from_disk(disk: Disk, reason: Exception) -> None:
    """Firmware tries its next entry where the network gives nothing. Raises what the network said, where that fails."""
    try:
        disk.boot()
    except RuntimeError as error:
        raise (BootFailed(str(error)) if isinstance(reason, _FromDisk) else reason) from error


def _installed(mac: str, host: str, port: int, file: str) -> None:
    """The machine restarts after its installation, and asks the network first, as it did before."""
    try:
        _load(mac, host, port, file, "")
    except _FromDisk:
        return
    raise BootFailed("it is installed, and the network would install it again")


def product(build: str) -> tuple[str, str]:
    """"8.0.3-0.0.24022510" or "8.0.3-24022510" → ("8.0.3", "24022510")."""
    found = _BUILD.match(build.strip())
    return (found.group(1), found.group(2)) if found else (DEFAULT_VERSION, DEFAULT_BUILD)


def _load(mac: str, host: str, port: int, file: str, image: str) -> _Loaded:
    """Raises BootFailed, _FromDisk."""
    if not tftp_fetch(host, port, file):
        raise BootFailed(f"the boot loader {file} is empty")
    folder = f"{file.rsplit('/', 1)[0]}/" if "/" in file else ""
    text = tftp_fetch(host, port, f"{folder}01-{mac.replace(':', '-')}/boot.cfg").decode("utf-8", "replace")
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if lines.get("skip") == "1" and "kernel" not in lines:
        raise _FromDisk
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
        key = _key(body) if wanted else key
    options = boot_options(lines.get("kernelopt", ""))
    root = ""
    if options.get("ks"):
        options, key, root = _kickstart(http_fetch(options["ks"], keep=True).decode())
    missing = [n for n in ("midwife", "midwife_spki", "birth") if not options.get(n)]
    if len(missing) == 3 and not key:  # an agentless host
        options = {}
    elif missing or not key:
        raise BootFailed(f"the boot configuration names no {' and no '.join(missing) or 'birth.tgz'}")
    told = prefix.rsplit("/", 1)[-1]  # content-addressed, where it is fetched by HTTP
    return _Loaded(options, key, told if _DIGEST.match(told) else image or told, lines.get("build", ""), root)


def _key(module: bytes) -> bytes:
    try:
        return birth_key(module)
    except ValueError as error:
        raise BootFailed(str(error)) from error


def _kickstart(text: str) -> tuple[dict[str, str], bytes, str]:
    """What an installation leaves for its first boot: options and key ({} and b"": agentless), and root's hash."""
    from providers.boot.kickstart import first_boot_archive
    from providers.boot.modules import module_file
    from providers.boot.payload import OPTIONS_FILE

    words = [line.split() for line in text.splitlines()]
    root = next((line[2] for line in words if line[:2] == ["rootpw", "--iscrypted"] and len(line) == 3), "")
    if not root or ["reboot"] not in words or not [line for line in words if line[:1] == ["install"]]:
        raise BootFailed("the kickstart installs nothing: it lacks install, rootpw or reboot")
    if not any(line[:1] == ["%firstboot"] for line in words):
        return {}, b"", root
    try:
        archive = first_boot_archive(text)
        return boot_options(module_file(archive, OPTIONS_FILE.lstrip("/")).decode()), birth_key(archive), root
    except ValueError as error:
        raise BootFailed(str(error)) from error


def _announce(machine: Machine, certificate: str, loaded: _Loaded, version: str, build: str, inside: Insides,
              pause: Callable[[float], None]) -> None:
    facts = {
        "mac": machine.mac, "uuid": machine.uuid, "serial": machine.serial, "address": machine.ip,
        "version": f"VMware ESXi {version} build-{build}", "certificate": certificate,
        "thumbprint": thumbprint(certificate),
    }
    options, firewall, clock = loaded.options, inside.firewall(machine.boot), inside.clock

    def send(url: str, spki: str, body: bytes) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(url)
        port = parts.port or 443
        seen = 443 if inside.ports is None else inside.ports.get(port, port)
        let_out(firewall, RULESET, "tcp", seen, parts.hostname or "")
        return post(url, spki, body)

    was_open = firewall.is_open(RULESET)
    firewall.set(RULESET, True)
    try:
        deliver(options["midwife"], options["midwife_spki"],
                lambda at: message(facts, options["birth"], loaded.key, at), clock.now, clock.set, pause, send=send)
    finally:
        firewall.set(RULESET, was_open)


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
