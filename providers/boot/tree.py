"""The tree of boot files that TFTP and HTTP serve: virtual, so nothing outside it can be named.

```
boot.ipxe                                   iPXE: asks for the script of its own machine, for ever
pxelinux.cfg/01-<mac>                       pxelinux: that machine's configuration
mboot.efi | mboot.c32 | crypto64.efi        of the image staged last
<file>                                      network boot loaders (`provider.boot.loaders`)
01-<mac>/mboot.efi, …                       of that machine's image; below it the names of the root work, too
01-<mac>/boot.cfg | boot.ipxe               rendered for that machine
01-<mac>/tftp/boot.cfg                      the same for loaders that have TFTP only
01-<mac>/<boot>/birth.tgz | ks.cfg          of that boot, while it is the MAC's newest
01-<mac>/<boot>/<file>                      the image's files, and midwife.tgz, for loaders that have TFTP only
images/<digest>/<file>                      content-addressed; only files of the manifest
modules/midwife-<digest>.tgz
```
Serving the file that carries the nonce mints it: boot.cfg for mboot, the script or the pxelinux configuration for
everything else. UEFI's mboot asks its TFTP server for whole URLs where firmware has no HTTP (esx-boot, file.c tries
all its ways in turn): the tree's own URL in front of a name is dropped.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from providers.boot import menus
from providers.boot.images import LOADERS, OPTIONAL, ImageFile, Manifest, open_regular, stamp_of
from providers.boot.modules import Kind, Module, birth_module
from providers.boot.trail import Trail
from providers.midwife.desk import Desk
from providers.midwife.standing import Boot, Standing, Standings

_MAC_FOLDER = re.compile(r"01((?:-[0-9a-f]{2}){6})\Z")
_BIRTH: Mapping[Kind, str] = {"tgz": "birth.tgz", "cpio": "birth.cpio.gz"}
_ROOT_FILES = frozenset((*LOADERS, *OPTIONAL))
_PEEKED = Boot("0" * 16, "0" * 32, "0" * 64, 0, 0, "")
MAX_NAME = 512


class Gone(Exception):
    """The file has changed since its digest was made, or cannot be opened; it must not be served."""


class Forbidden(Exception):
    """The name points outside the tree."""


@dataclass(frozen=True, slots=True)
class Content:
    """One answer. `label` is what the access log may show; `done` is called once the machine has all of it."""

    source: bytes | ImageFile
    label: str
    mac: str = ""
    done: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.size

    def open(self) -> BinaryIO:
        """Raises Gone."""
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        try:
            raw = open_regular(self.source.path)
        except (OSError, ValueError) as error:
            raise Gone(self.label) from error
        if stamp_of(os.fstat(raw.fileno())) != self.source.stamp:
            raw.close()
            raise Gone(self.label)
        return io.BufferedReader(raw)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What boot configurations point to; known once the ports are bound.

    `other`: the same at the address of the other family, where two are listened at.
    """

    http: str  # http://10.0.0.2:8080
    birth: str  # https://10.0.0.2
    spki_sha256: str
    other: Endpoints | None = None

    def towards(self, client: str) -> Endpoints:
        """Those of the client's address family: a machine that came by IPv6 may have nothing else."""
        if self.other is not None and (":" in client) != self.http.startswith("http://["):
            return self.other
        return self


Kickstart = Callable[[Standing, Boot, Endpoints], bytes]
"""Renders ks.cfg for the boot of an installation. Raises LookupError where root's first password is not known."""


def _no_kickstart(standing: Standing, _boot: Boot, _ends: Endpoints) -> bytes:
    raise LookupError(standing.mac)


@dataclass
class BootTree:
    """Looks names up. Thread-safe: TFTP, HTTP and the steps use it at once.

    `loaders` is the folder of network boot loaders; `kept` are MACs of hosts with a disk of their own, which boot
    from it while nothing is staged for them.
    """

    standings: Standings
    desk: Desk
    trail: Trail
    endpoints: Endpoints
    midwife: Mapping[Kind, Module]
    manifests: dict[str, Manifest] = field(default_factory=dict)
    loaders: Path | None = None
    kept: frozenset[str] = frozenset()
    kickstart: Kickstart = _no_kickstart
    _kernels: set[str] = field(default_factory=set)  # boots that fetched their kernel by TFTP

    def find(self, name: str, client: str, *, peek: bool = False) -> Content | None:
        """None where there is no such file. Raises Forbidden; OSError where a nonce cannot be written down.

        `peek` answers for size only (an HTTP HEAD): it mints nothing.
        """
        parts = _parts(name.removeprefix(self.endpoints.towards(client).http))
        if len(parts) == 2 and parts[0] == "modules":
            return next((Content(m.content, name) for m in self.midwife.values() if m.name == parts[1]), None)
        if len(parts) >= 3 and parts[0] == "images":
            return self._image_file(parts[1], "/".join(parts[2:]))
        if len(parts) == 2 and parts[0] == "pxelinux.cfg":
            mac = _mac_of(parts[1])
            return self._menu(mac, "pxelinux.cfg", client, peek) if mac else None
        mac = _mac_of(parts[0]) if parts else ""
        if mac:
            return self._of_machine(mac, parts[1:], client, peek)
        if parts == ["boot.ipxe"]:
            return Content(menus.ROOT_IPXE, "boot.ipxe")
        return self._loader("/".join(parts))

    # --- the same for every machine -----------------------------------------------------------------------

    def _image_file(self, digest: str, name: str, mac: str = "") -> Content | None:
        manifest = self.manifests.get(digest)
        found = manifest.files.get(name) if manifest is not None and name != "boot.cfg" else None
        return Content(found, f"images/{digest[:12]}/{name}", mac) if found is not None else None

    def _loader(self, name: str, mac: str = "") -> Content | None:
        """A file of the loaders' folder, which a person put there; else the boot loader of the image staged last."""
        found = self._loader_file(name)
        if found is not None:
            return Content(found, name, mac)
        if name not in _ROOT_FILES:
            return None
        for standing in sorted(self.standings.all().values(), key=lambda s: s.staged, reverse=True):
            image = self._image_file(standing.image, name)
            if image is not None:
                return image
        return None

    def _loader_file(self, name: str) -> ImageFile | None:
        if self.loaders is None or not name:
            return None
        try:
            root = self.loaders.resolve(strict=True)
            real = (root / name).resolve(strict=True)
            if not real.is_relative_to(root):
                return None
            with open_regular(real) as file:
                stamp = stamp_of(os.fstat(file.fileno()))
        except (OSError, RuntimeError, ValueError):
            return None
        return ImageFile(real, stamp[2], stamp, "")

    # --- of one machine -----------------------------------------------------------------------------------

    def _of_machine(self, mac: str, rest: list[str], client: str, peek: bool) -> Content | None:
        if rest and _mac_of(rest[0]) == mac:  # mboot looks below its own folder first
            rest = rest[1:]
        name = "/".join(rest)
        if name in ("boot.cfg", "boot.ipxe", f"{menus.RELATIVE}/boot.cfg"):
            return self._menu(mac, name, client, peek)
        if rest and rest[0] in ("images", "modules", "pxelinux.cfg"):  # relative to a loader in this folder
            return self.find(name, client, peek=peek)
        standing = self.standings.get(mac)
        if standing is None or standing.image not in self.manifests:
            return self._named_loader(name, mac)
        if standing.boot is not None and len(rest) >= 2 and standing.boot.id == rest[0]:
            return self._of_boot(standing, standing.boot, "/".join(rest[1:]))
        if name in _ROOT_FILES:
            return None if standing.spent else self._image_file(standing.image, name, mac)
        return self._named_loader(name, mac)

    def _named_loader(self, name: str, mac: str) -> Content | None:
        found = self._loader_file(name)
        return Content(found, name, mac) if found is not None else None

    def _menu(self, mac: str, name: str, client: str, peek: bool) -> Content | None:
        """What a boot loader asks for first: it says what this machine boots now."""
        folder = menus.hexhyp(mac)
        label = f"pxelinux.cfg/{folder}" if name == "pxelinux.cfg" else f"{folder}/{name}"
        standing = self.standings.get(mac) if peek else self.desk.current(mac)
        if standing is None:
            return Content(_LOCAL[name], label, mac) if mac in self.kept else None
        manifest = self.manifests.get(standing.image)
        if manifest is None or (manifest.loader != "mboot" and name.endswith("boot.cfg")):
            return None
        if standing.spent:
            return Content(_LOCAL[name], label, mac)
        carries = name.endswith("boot.cfg") == (manifest.loader == "mboot")
        if not carries or peek:
            return Content(_RENDER[name](self._ticket(standing, replace(_PEEKED, client=client))), label, mac)
        minted = self.desk.mint(mac, client, relative=name in ("pxelinux.cfg", f"{menus.RELATIVE}/boot.cfg"))
        if minted is None:
            return None
        self.trail.fetched(mac, client)
        return Content(_RENDER[name](self._ticket(*minted)), label, mac)

    def _of_boot(self, standing: Standing, boot: Boot, name: str) -> Content | None:
        """Files below `01-<mac>/<boot>/`: what only this boot may have, and for TFTP everything else."""
        mac, manifest = standing.mac, self.manifests[standing.image]
        label, kind = f"{menus.hexhyp(mac)}/{name}", _kind(manifest)
        if name == _BIRTH[kind] and not standing.way.agentless:
            return Content(birth_module(bytes.fromhex(boot.key), kind), label, mac,
                           lambda: self._fetched_last(mac, boot))
        if name == "ks.cfg" and standing.way.install is not None:
            return Content(self._rendered_kickstart(standing, boot), label, mac)
        if name == self.midwife[kind].name:
            return Content(self.midwife[kind].content, label, mac)
        found = manifest.files.get(name) if name != "boot.cfg" else None
        if found is None:
            return None
        done: Callable[[], None] = lambda: None  # noqa: E731
        if name == manifest.cfg.kernel:
            done = lambda: self._kernels.add(boot.id)  # noqa: E731
        if standing.way.agentless and name == _last(manifest):
            done = lambda: self._fetched_last(mac, boot)  # noqa: E731
        return Content(found, label, mac, done)

    def _rendered_kickstart(self, standing: Standing, boot: Boot) -> bytes:
        try:
            return self.kickstart(standing, boot, self.endpoints.towards(boot.client))
        except LookupError as error:
            self.trail.note(standing.mac, f"its kickstart cannot be made: {error}")
            raise Gone(menus.hexhyp(standing.mac)) from error

    def _fetched_last(self, mac: str, boot: Boot) -> None:
        """The image is handed over. TFTP loaders open every file for its size first: then the kernel is missing."""
        if boot.relative and boot.id not in self._kernels:
            return
        self.desk.handed_over(mac, boot.id)
        self.trail.handed_over(mac, boot.id, boot.client)

    def _ticket(self, standing: Standing, boot: Boot) -> menus.Ticket:
        manifest, way = self.manifests[standing.image], standing.way
        ends = self.endpoints.towards(boot.client)
        kind, folder = _kind(manifest), menus.hexhyp(standing.mac)
        options = [f"BOOTIF={folder}"]
        if not way.agentless:
            options = [f"midwife={ends.birth}", f"midwife_spki={ends.spki_sha256}", f"birth={boot.nonce}", *options]
        if way.install is not None:
            options.append(f"ks={ends.http}/{folder}/{boot.id}/ks.cfg")
        return menus.Ticket(standing.mac, boot.id, manifest, ends.http, tuple(options),
                            midwife="" if way.agentless else self.midwife[kind].name,
                            birth="" if way.agentless else _BIRTH[kind], install=way.install is not None)


_RENDER: Mapping[str, Callable[[menus.Ticket], bytes]] = {
    "boot.cfg": menus.bootcfg,
    f"{menus.RELATIVE}/boot.cfg": lambda ticket: menus.bootcfg(ticket, relative=True),
    "boot.ipxe": menus.ipxe,
    "pxelinux.cfg": menus.pxelinux,
}
_LOCAL: Mapping[str, bytes] = {
    "boot.cfg": menus.LOCAL_BOOTCFG,
    f"{menus.RELATIVE}/boot.cfg": menus.LOCAL_BOOTCFG,
    "boot.ipxe": menus.LOCAL_IPXE,
    "pxelinux.cfg": menus.LOCAL_PXELINUX,
}


def _last(manifest: Manifest) -> str:
    """The file that loaders fetch last: modules in their order, everything else before them."""
    return (manifest.cfg.modules or (manifest.cfg.kernel,))[-1].split()[0]


def _kind(manifest: Manifest) -> Kind:
    return "cpio" if manifest.loader == "linux" else "tgz"


def _parts(name: str) -> list[str]:
    """Path segments. A leading "/" means the tree's root, as firmware writes it. Raises Forbidden."""
    if len(name) > MAX_NAME or "\\" in name or any(ord(c) < 32 for c in name):
        raise Forbidden(name[:80])
    parts = name.lstrip("/").split("/")
    if ".." in parts:
        raise Forbidden(name[:80])
    return parts


def _mac_of(folder: str) -> str:
    found = _MAC_FOLDER.match(folder.lower())
    return found.group(1)[1:].replace("-", ":") if found else ""
