"""The tree of boot files that TFTP and HTTP serve: virtual, so nothing outside it can be named.

```
mboot.efi | mboot.c32 | crypto64.efi        of the image staged last
01-<mac>/mboot.efi, …                       of that machine's image
01-<mac>/boot.cfg                           rendered; serving it mints a nonce and a key
01-<mac>/<boot>/birth.tgz                   the key of that boot, while it is the MAC's newest
images/<digest>/<file>                      content-addressed; only files of the manifest
modules/midwife-<digest>.tgz
```
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from providers.boot.bootcfg import render
from providers.boot.images import LOADERS, OPTIONAL, ImageFile, Manifest, open_regular, stamp_of
from providers.boot.modules import Module, birth_module
from providers.boot.trail import Trail
from providers.midwife.desk import Desk
from providers.midwife.standing import Boot, Standing, Standings

_MAC_FOLDER = re.compile(r"01((?:-[0-9a-f]{2}){6})\Z")
_ROOT_FILES = frozenset((*LOADERS, *OPTIONAL))
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
    """What boot configurations point to; known once the ports are bound."""

    http: str  # http://10.0.0.2:8080
    birth: str  # https://10.0.0.2
    spki_sha256: str


@dataclass
class BootTree:
    """Looks names up. Thread-safe: TFTP, HTTP and the steps use it at once."""

    standings: Standings
    desk: Desk
    trail: Trail
    endpoints: Endpoints
    midwife: Module
    manifests: dict[str, Manifest] = field(default_factory=dict)

    def find(self, name: str, client: str, *, peek: bool = False) -> Content | None:
        """None where there is no such file. Raises Forbidden; OSError where a nonce cannot be written down.

        `peek` answers for size only (an HTTP HEAD): it mints nothing.
        """
        parts = _parts(name)
        if parts == ["modules", self.midwife.name]:
            return Content(self.midwife.content, name)
        if len(parts) >= 3 and parts[0] == "images":
            return self._image_file(parts[1], "/".join(parts[2:]))
        mac = _mac_of(parts[0]) if parts else ""
        if mac:
            return self._of_machine(mac, parts[1:], client, peek)
        return self._loader("/".join(parts))

    def _image_file(self, digest: str, name: str, mac: str = "") -> Content | None:
        manifest = self.manifests.get(digest)
        found = manifest.files.get(name) if manifest is not None and name != "boot.cfg" else None
        return Content(found, f"images/{digest[:12]}/{name}", mac) if found is not None else None

    def _loader(self, name: str) -> Content | None:
        if name not in _ROOT_FILES:
            return None
        for standing in sorted(self.standings.all().values(), key=lambda s: s.staged, reverse=True):
            found = self._image_file(standing.image, name)
            if found is not None:
                return found
        return None

    def _of_machine(self, mac: str, rest: list[str], client: str, peek: bool) -> Content | None:
        standing = self.standings.get(mac)
        if rest and _mac_of(rest[0]) == mac:  # mboot looks below its own folder first
            rest = rest[1:]
        name = "/".join(rest)
        if standing is None or standing.image not in self.manifests:
            return None
        if name == "boot.cfg":
            return self._bootcfg(standing, client, peek)
        if len(rest) == 2 and rest[1] == "birth.tgz":
            if standing.boot is None or standing.boot.id != rest[0]:
                return None
            return Content(birth_module(bytes.fromhex(standing.boot.key)), f"01-{mac.replace(':', '-')}/birth.tgz",
                           mac, lambda: self.trail.handed_over(mac))
        return self._image_file(standing.image, name, mac) if name in _ROOT_FILES else None

    def _bootcfg(self, standing: Standing, client: str, peek: bool) -> Content | None:
        label = f"01-{standing.mac.replace(':', '-')}/boot.cfg"
        if peek:
            shape = Boot("0" * 16, "0" * 32, "", 0, 0, client)
            return Content(self._render(standing, shape), label, standing.mac)
        minted = self.desk.mint(standing.mac, client)
        if minted is None:
            return None
        self.trail.fetched(standing.mac, client)
        return Content(self._render(*minted), label, standing.mac)

    def _render(self, standing: Standing, boot: Boot) -> bytes:
        ends = self.endpoints
        folder = f"{ends.http}/01-{standing.mac.replace(':', '-')}/{boot.id}"
        return render(
            self.manifests[standing.image].cfg,
            prefix=f"{ends.http}/images/{standing.image}",
            kernelopt=(f"midwife={ends.birth}", f"midwife_spki={ends.spki_sha256}", f"birth={boot.nonce}"),
            modules=(f"{ends.http}/modules/{self.midwife.name}", f"{folder}/birth.tgz"),
        ).encode()


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
