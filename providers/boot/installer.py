"""The boot files that an installer ISO holds, whatever its generation: names as they will be served → pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from providers.boot.bootcfg import BootCfg, BootCfgError, parse
from providers.boot.iso import IsoFiles, read_iso
from providers.boot.legacy import is_legacy, open_legacy
from providers.boot.pieces import MAX_BOOTCFG, ImageProblem, Piece

LOADERS: Mapping[str, tuple[str, ...]] = {
    "mboot.efi": ("mboot.efi", "efi/boot/bootx64.efi"),
    "mboot.c32": ("mboot.c32",),
    "crypto64.efi": ("crypto64.efi", "efi/boot/crypto64.efi"),
}
"""Name as served → where it may lie on the ISO."""


@dataclass(frozen=True, slots=True)
class Contents:
    """`files` make the image's identity; `others` are kept beside them."""

    files: Mapping[str, Piece]
    version: str
    loader: str
    others: Mapping[str, Piece] = field(default_factory=dict)


@contextmanager
def open_installer(file: BinaryIO, label: str, scratch: Callable[[], BinaryIO],
                   say: Callable[[str], None]) -> Iterator[Contents]:
    """What an open ISO boots with. `scratch` makes a temporary file for a disk image to be unpacked into.

    Raises ImageProblem: no ISO, damaged, not an installer, a listed module missing. OSError: the disk is full.
    """
    iso = read_iso(file, label)
    config = iso.find("boot.cfg")
    if config is not None:
        yield _modern(iso, config)
    elif is_legacy(iso):
        with open_legacy(iso, scratch, say) as found:
            yield Contents(found.files, found.version, "legacy", found.others)
    else:
        raise ImageProblem("an ISO image is no installer of ESXi",
                           f"{label}: it has neither boot.cfg nor a disk image of ESX", "name the ISO of an installer")


def needs_unpacking(file: BinaryIO, label: str) -> bool:
    """Whether its boot files lie in a compressed disk image: seconds of work, not milliseconds."""
    iso = read_iso(file, label)
    return iso.find("boot.cfg") is None and is_legacy(iso)


def _modern(iso: IsoFiles, config: Piece) -> Contents:
    cfg = _parsed(iso, config)
    files: dict[str, Piece] = {"boot.cfg": config}
    missing: list[str] = []
    for name in cfg.files():
        piece = iso.find(name)
        if piece is None:
            missing.append(name)
        else:
            files.setdefault(name, piece)
    if missing:
        raise ImageProblem("an ISO image lacks files that its boot.cfg names", f"{iso.label}: {', '.join(missing)}",
                           "take the ISO from its publisher again, and compare its sha256")
    for name, places in LOADERS.items():
        found = next((p for p in map(iso.find, places) if p is not None), None)
        if found is not None:
            files.setdefault(name, found)
    if cfg.loader != "linux" and not any(n in files for n in ("mboot.efi", "mboot.c32")):
        raise ImageProblem("an ISO image has no boot loader",
                           f"{iso.label}: neither efi/boot/bootx64.efi nor mboot.c32", "name the ISO of an installer")
    return Contents(files, cfg.build, cfg.loader)


def _parsed(iso: IsoFiles, config: Piece) -> BootCfg:
    try:
        if config.size > MAX_BOOTCFG:
            raise BootCfgError(f"it has {config.size} bytes, more than {MAX_BOOTCFG}")
        return parse(b"".join(bytes(chunk) for chunk in config.chunks()).decode("utf-8", "replace"))
    except BootCfgError as error:
        raise ImageProblem("an ISO's boot.cfg cannot be used", f"{iso.label}: {error}",
                           "name the ISO of an ESXi installer") from error
