"""Which file firmware loads first, by a host's image and the machine's architecture.

ESXi's own loader starts on UEFI directly; BIOS goes through pxelinux (3.86), or through iPXE. A Linux image is
started by iPXE. A file that is not there is not named: a machine that loads nothing falls through to its disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.model import Attrs, Diagnostic, Fleet, Resource
from providers.boot.dhcp.site import BootFiles, Group

if TYPE_CHECKING:
    from providers.boot.images import Outline

MBOOT = "mboot.efi"
PXELINUX, IPXE_BIOS = "pxelinux.0", "undionly.kpxe"
IPXE_UEFI = ("snponly.efi", "ipxe.efi")
IPXE_ARM64 = ("snponly-arm64.efi", "ipxe-arm64.efi")
BLOCK = "provider.boot.dhcp.loader"

WANTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mboot": {"bios": (PXELINUX, IPXE_BIOS), "uefi": (MBOOT, *IPXE_UEFI), "arm64": (MBOOT, *IPXE_ARM64)},
    "legacy": {"bios": (PXELINUX, IPXE_BIOS)},
    "linux": {"bios": (IPXE_BIOS, PXELINUX), "uefi": IPXE_UEFI, "arm64": IPXE_ARM64},
}
"""By an image's loader and the firmware: the first of these that exists."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The groups of a fleet's hosts, and what stands in the way of booting some."""

    groups: tuple[Group, ...]
    of_host: Mapping[str, str]  # a host's address as text → name of its group
    problems: tuple[Diagnostic, ...]


def choose(fleet: Fleet, hosts: Iterable[Resource], outlines: Mapping[str, Outline]) -> Choice:
    """Group the hosts. `outlines`: by image name; hosts of other images boot nothing."""
    block = fleet.providers.get("boot", {})
    folder = str(block.get("loaders") or "")
    asked = block.get("dhcp") or {}
    own = asked.get("loader") if isinstance(asked, Mapping) else None
    own = own if isinstance(own, Mapping) else {}
    there = _names(folder)
    booting = [(h, str(h.attributes["image"])) for h in hosts if str(h.attributes.get("image") or "") in outlines]
    files = {name: _files(outlines[name], there, own) for name in dict.fromkeys(image for _, image in booting)}
    apart = _several_mboots(files, outlines)
    groups: dict[str, Group] = {}
    of_host: dict[str, str] = {}
    for host, image in booting:
        group = _group(host, outlines[image].loader, files[image], alone=image in apart)
        groups[group.name] = group
        of_host[str(host.address)] = group.name
    problems = [*_missing_folder(fleet, folder), *_missing(fleet, there, own),
                *_unbootable(fleet, files, outlines, folder)]
    return Choice(tuple(groups[name] for name in sorted(groups)), of_host, tuple(problems))


def _files(image: Outline, there: frozenset[str], own: Attrs) -> BootFiles:
    def first(firmware: str) -> str:
        wanted = WANTED[image.loader].get(firmware, ())
        asked = str(own.get(firmware) or "")
        if wanted and asked:
            wanted = (asked, *wanted) if asked == MBOOT else (asked,)
        return next((n for n in wanted if (n in image.files if n == MBOOT else n in there)), "")

    return BootFiles(first("bios"), first("uefi"), first("arm64"))


def _several_mboots(files: Mapping[str, BootFiles], outlines: Mapping[str, Outline]) -> frozenset[str]:
    """Images whose mboot.efi must come from each machine's own folder: there are different ones in this fleet.

    The one at the root of the tree is only one of them, and an older mboot does not start a newer ESXi.
    """
    direct = [name for name, found in files.items() if MBOOT in (found.uefi, found.arm64)]
    bytes_of = {outlines[name].files[MBOOT] for name in direct}
    return frozenset(direct) if len(bytes_of) > 1 else frozenset()


def _group(host: Resource, loader: str, files: BootFiles, *, alone: bool) -> Group:
    if not alone:
        return Group(f"fleet-{loader}", files)
    mac = str(host.attributes["mac"])
    folder = f"01-{mac.replace(':', '-')}"
    named = {kind: f"{folder}/{name}" if name == MBOOT else name
             for kind, name in (("bios", files.bios), ("uefi", files.uefi), ("arm64", files.arm64))}
    return Group(f"fleet-{mac.replace(':', '')}", BootFiles(**named))


def _names(folder: str) -> frozenset[str]:
    """Regular files in the folder of loaders."""
    try:
        return frozenset(path.name for path in Path(folder).iterdir() if path.is_file()) if folder else frozenset()
    except OSError:
        return frozenset()  # reported by _missing_folder


def _missing_folder(fleet: Fleet, folder: str) -> Iterator[Diagnostic]:
    if folder and not Path(folder).is_dir():
        yield Diagnostic("error", "the folder of boot loaders does not exist", folder,
                         fleet.place("provider.boot.loaders"), remedy="make it, or correct provider.boot.loaders")


def _missing(fleet: Fleet, there: frozenset[str], own: Attrs) -> Iterator[Diagnostic]:
    """Loaders that the file names and the folder does not have."""
    for firmware, name in own.items():
        if isinstance(name, str) and name and name != MBOOT and name not in there:
            yield Diagnostic("error", "a boot loader is missing",
                             f"{BLOCK}.{firmware}: {name!r} is not in provider.boot.loaders",
                             fleet.place(f"{BLOCK}.{firmware}"),
                             remedy="copy it into that folder (Debian's packages ipxe and pxelinux have them)")


def _unbootable(fleet: Fleet, files: Mapping[str, BootFiles], outlines: Mapping[str, Outline],
                folder: str) -> Iterator[Diagnostic]:
    for name, found in files.items():
        if not found.by_arch():
            wanted = dict.fromkeys(n for names in WANTED[outlines[name].loader].values() for n in names)
            image = fleet.images[name]
            yield Diagnostic("warning", "an image that only machines with iPXE in their firmware can boot",
                             f"image {name}: there is no boot loader for it"
                             + ("" if folder else ", provider.boot.loaders is not set"), image.mark,
                             remedy=f"put one of {', '.join(n for n in wanted if n != MBOOT)} into "
                                    "provider.boot.loaders")
