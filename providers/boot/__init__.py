"""The boot provider: images, boot files over TFTP and HTTP, and the wait for births.

This module is imported to build the catalogue, so that everything heavy is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Operation
from planner.model import Attrs, Diagnostic, Fleet, FleetError, Live
from planner.schema import Field, integer, secret, string, strings
from providers.boot.dhcp.schema import dhcp_field

if TYPE_CHECKING:
    from planner.catalog import ResourceType
    from planner.ports import Call, OpenContext
    from providers.boot.images import Images
    from providers.boot.session import BootSession
    from providers.midwife.remote.session import RemoteBootSession

BIRTH_SECONDS = 1800.0
"""How long a host may take from power-on to its birth message (600 MB images on a busy network)."""
INSTALL_SECONDS = 5400.0
"""The same for one that is installed: it starts twice, and writes a disk between."""


def _stage(session: Any, call: Call) -> Attrs | None:
    facts: Attrs = session.stage(call)
    return facts


def _unstage(session: Any, call: Call) -> Attrs | None:
    facts: Attrs = session.unstage(call)
    return facts


def _wait(session: Any, call: Call) -> Attrs | None:
    facts: Attrs = session.wait(call)
    return facts


def _overwrites(_before: Attrs | None, after: Attrs | None) -> str:
    """Overwrites the disk that is named; what is on it is lost."""
    return f"overwrites disk {(after or {}).get('disk')}; what is on it is lost"


OPERATIONS = (
    Operation("boot.stage", "boot files: stage", "act", "Serve this image's boot files to the host's MAC.",
              _stage, ("staged",), inverse="boot.unstage", kind="boot", provider="boot"),
    Operation("boot.unstage", "boot files: revoke", "act", "Serve nothing to the host's MAC any more.",
              _unstage, ("staged",), inverse="boot.stage", kind="boot", provider="boot"),
    Operation("boot.keep", "boot files: keep", "act",
              "Serve this image to the host's MAC from now on: it was read back clean. Until then, it was a trial.",
              _stage, ("staged",), inverse="boot.stage", kind="boot", provider="boot"),
    Operation("birth.wait", "birth: wait", "act",
              "Wait until the host has booted and its birth message was accepted.", _wait,
              irreversible="a boot cannot be undone", kind="wait", provider="boot", timeout=BIRTH_SECONDS),
    Operation("install.wait", "installation: wait for the birth", "act",
              "Wait until the host is installed, has booted from its disk, and its birth message was accepted.", _wait,
              irreversible=_overwrites, kind="wait", provider="boot", timeout=INSTALL_SECONDS),
)


class BootProvider:
    """Entry point of the group `fleet.providers` (planner.ports.Provider)."""

    name = "boot"

    def __init__(self) -> None:
        self._images: dict[str, Images] = {}

    def types(self) -> Sequence[ResourceType]:
        return ()

    def operations(self) -> Sequence[Operation]:
        return OPERATIONS

    def block(self) -> Mapping[str, Field]:
        ports = {
            kind: integer(f"{doc}; 0: any free port (the twin's default), else {usual}", minimum=0, maximum=65535)
            for kind, doc, usual in (("tftp", "UDP port of TFTP", 69), ("http", "TCP port of HTTP", 80),
                                     ("birth", "TCP port of the birth listener", 443))
        }
        return {
            "listen": strings("The address on the boot network that serves boot files and takes births, or a list of "
                              "one IPv4 and one IPv6 address; 127.0.0.1 where unset.", check="ip", lone=True),
            "ports": Field("object", "Ports; hosts just born reach only TCP 80 and 443.", fields=ports),
            "loaders": string("Folder of network boot loaders that are no part of an image (pxelinux.0, undionly.kpxe, "
                              "snponly.efi), served by their names; from the declaring file's folder.", check="path"),
            "agentless": string("deny: hosts with `birth: agentless` are refused at plan; allow where unset.",
                                enum=("allow", "deny")),
            "images": string("Folder of the image store, from the declaring file's: what ISOs and URLs are extracted "
                             "to; .fleet/images in the working directory where unset.", check="path"),
            "dhcp": dhcp_field(),
            "midwife": string("URL of the site's midwife (`fleet midwife serve`), which then serves boot files, takes "
                              "births, and keeps the fleet's state; where unset, apply does that itself.", check="url"),
            "identity": secret("What `fleet midwife enroll` made for this fleet; needed with `midwife`."),
            "patience": integer("Seconds that a run waits for a midwife which does not answer; 900 where unset.",
                                minimum=0, maximum=86400),
        }

    def open(self, context: OpenContext) -> BootSession | RemoteBootSession:
        """Touches no file and no network."""
        if context.block.get("midwife"):
            from providers.midwife.remote.session import RemoteBootSession

            return RemoteBootSession(context, self.images(context.block))
        from providers.boot.session import BootSession

        return BootSession(context, self.images(context.block))

    def image_digests(self, fleet: Fleet) -> Mapping[str, str]:
        """Digest of the content of every declared image. Raises FleetError naming everything that is missing."""
        return self._digests(fleet, fetch=True)

    def known_digests(self, fleet: Fleet) -> Mapping[str, str]:
        """The same of those images for which nothing need be fetched or written."""
        return self._digests(fleet, fetch=False)

    def image_builds(self, fleet: Fleet) -> Mapping[str, str]:
        """Build number of every declared image at hand, by name; "" where its boot.cfg says none. Raises FleetError."""
        from providers.boot.staging import build_number

        images = self.images(fleet.providers.get("boot", {}))
        found = {name: images.outline(image, fetch=False) for name, image in fleet.images.items()}
        return {name: build_number(outline.build) for name, outline in found.items() if outline is not None}

    def _digests(self, fleet: Fleet, *, fetch: bool) -> Mapping[str, str]:
        from providers.boot.staging import unsuited

        images = self.images(fleet.providers.get("boot", {}))
        digests: dict[str, str] = {}
        loaders: dict[str, str] = {}
        problems: list[Diagnostic] = []
        for name, image in fleet.images.items():
            try:
                found = images.outline(image, fetch=fetch)
            except FleetError as error:
                problems.extend(error.diagnostics)
            else:
                if found is not None:
                    digests[name], loaders[name] = found.digest, found.loader
        problems.extend(each for each in unsuited(fleet, loaders) if each.severity == "error")
        if problems:
            raise FleetError(*problems)
        return digests

    def problems(self, fleet: Fleet) -> Iterable[Diagnostic]:
        """What is wrong offline, and warnings that no plan gives: for `fleet validate`. Images that cannot be read are
        `image_digests`' affair."""
        from providers.boot.listen import problems as listen_problems
        from providers.boot.rules import birth_problems, midwife_problems

        yield from birth_problems(fleet)
        yield from midwife_problems(fleet)
        yield from listen_problems(fleet)
        if not fleet.images:
            return
        from providers.boot.dhcp import check, survey
        from providers.boot.staging import unsuited

        block = fleet.providers.get("boot", {})
        known = survey.outlines(fleet, self.images(block), fetch=False)[0]
        loaders = {name: outline.loader for name, outline in known.items()}
        yield from (each for each in unsuited(fleet, loaders) if each.severity == "warning")
        if block.get("dhcp"):
            yield from check.problems(fleet, known)

    def cautions(self, fleet: Fleet, live: Live) -> Iterable[Diagnostic]:
        """What is wrong with what runs where: for `fleet plan`."""
        from providers.boot.circles import cautions

        return cautions(fleet, live)

    def images(self, block: Attrs) -> Images:
        """Shared by all sessions of this process, so that unchanged files are hashed once. `block`: provider.boot."""
        from pathlib import Path

        from providers.boot.images import Images
        from providers.boot.store import DEFAULT, Store

        folder = str(Path(str(block.get("images") or DEFAULT)).absolute())
        if folder not in self._images:
            self._images[folder] = Images(Store(Path(folder)))
        return self._images[folder]


provider = BootProvider()
