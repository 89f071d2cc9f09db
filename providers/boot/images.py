"""Boot images: what a folder of boot files must hold, and the digest of its content.

An image's identity is the digest of what a machine would fetch: `boot.cfg`, every file it names, and the boot
loaders. Contents are not inspected. File digests are cached by device, inode, size and mtime, in memory only.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from planner.model import Diagnostic, FleetError, Image
from providers.boot.bootcfg import BootCfg, BootCfgError, parse

LOADERS = ("mboot.efi", "mboot.c32")
OPTIONAL = ("crypto64.efi", "efi/boot/crypto64.efi")
CHUNK = 1 << 20
MAX_BOOTCFG = 256 * 1024

Loader = Literal["mboot", "legacy", "linux"]
"""Who boots it: boot.cfg's `loader=`, a key of ours; without it, mboot. `linux` images need no VMware loader."""

Stamp = tuple[int, int, int, int]
"""Device, inode, size and mtime (ns): equal stamps are taken for equal content."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One servable file. `path` is real (no links left); `stamp` is from when its digest was made."""

    path: Path
    size: int
    stamp: Stamp
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image as it may be served: only `files` exist, whatever else the folder holds."""

    digest: str
    folder: Path
    cfg: BootCfg
    files: Mapping[str, ImageFile]
    loader: Loader = "mboot"


class FileDigests:
    """SHA-256 of files, read in chunks; unchanged files are not read again."""

    def __init__(self) -> None:
        self._known: dict[Stamp, str] = {}

    def read(self, path: Path) -> ImageFile:
        """Raises OSError; ValueError where the path is no regular file."""
        with open_regular(path) as file:
            stamp = stamp_of(os.fstat(file.fileno()))
            known = self._known.get(stamp)
            if known is None:
                hasher = hashlib.sha256()
                while chunk := file.read(CHUNK):
                    hasher.update(chunk)
                known = self._known[stamp] = hasher.hexdigest()
        return ImageFile(path, stamp[2], stamp, known)


def stamp_of(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def open_regular(path: Path) -> io.FileIO:
    """Open for reading without ever blocking on a FIFO. Raises ValueError where it is no regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


@dataclass(frozen=True)
class Images:
    """Reads images and keeps what it knows about unchanged files."""

    digests: FileDigests = field(default_factory=FileDigests)

    def manifest(self, image: Image) -> Manifest:
        """Raises FleetError that names everything missing, and a declared sha256 that does not match."""
        self._check_source(image)
        problems: list[Diagnostic] = []
        folder = Path(image.source)
        cfg = self._bootcfg(image, folder)
        wanted = ["boot.cfg", *cfg.files(), *(n for n in (*LOADERS, *OPTIONAL) if (folder / n).exists())]
        if cfg.loader != "linux" and not any(name in wanted for name in LOADERS):
            problems.append(_problem(image, "an image folder has no boot loader",
                                     f"{folder}: neither {LOADERS[0]} nor {LOADERS[1]}",
                                     "copy efi/boot/bootx64.efi of the ESXi ISO to mboot.efi"))
        files: dict[str, ImageFile] = {}
        for name in dict.fromkeys(wanted):
            found = self._file(image, folder, name)
            if isinstance(found, Diagnostic):
                problems.append(found)
            else:
                files[name] = found
        if problems:
            raise FleetError(*problems)
        digest = _content_digest(files)
        if image.sha256 and image.sha256.lower() != digest:
            raise FleetError(_problem(image, "an image does not have its declared sha256",
                                      f"{folder}: declared {image.sha256.lower()}, found {digest}",
                                      "restore the folder's content, or declare the digest found"))
        return Manifest(digest, folder, cfg, files, cast(Loader, cfg.loader))

    def _check_source(self, image: Image) -> None:
        remedy = "unpack it into a folder and name that folder as `source`"
        if "://" in image.source:
            raise FleetError(_problem(image, "an image from a URL is not supported in this version",
                                      image.source, remedy))
        if os.path.isfile(image.source):
            raise FleetError(_problem(image, "an ISO image is not supported in this version", image.source, remedy))
        if not os.path.isdir(image.source):
            raise FleetError(_problem(image, "an image folder does not exist", image.source,
                                      "correct `source`; it is relative to the file that declares it"))

    def _bootcfg(self, image: Image, folder: Path) -> BootCfg:
        path = folder / "boot.cfg"
        found = self._file(image, folder, "boot.cfg")
        if isinstance(found, Diagnostic):
            raise FleetError(found)
        try:
            if found.size > MAX_BOOTCFG:
                raise BootCfgError(f"it has {found.size} bytes, more than {MAX_BOOTCFG}")
            return parse(found.path.read_text(encoding="utf-8", errors="replace"))
        except BootCfgError as error:
            raise FleetError(_problem(image, "an image's boot.cfg cannot be used", f"{path}: {error}",
                                      "take boot.cfg from the ESXi ISO unchanged")) from error

    def _file(self, image: Image, folder: Path, name: str) -> ImageFile | Diagnostic:
        path = folder / name
        try:
            real, root = path.resolve(strict=True), folder.resolve(strict=True)
            if not real.is_relative_to(root):
                return _problem(image, "an image file lies outside its folder", f"{path} leads to another folder",
                                "replace the link by the file itself")
            return self.digests.read(real)
        except FileNotFoundError:
            by = "" if name == "boot.cfg" else ", which boot.cfg names"
            return _problem(image, "an image file is missing", f"{path}{by}",
                            "copy it from the ESXi ISO (lower-case names)")
        except (OSError, RuntimeError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return _problem(image, "an image file cannot be read", f"{path}: {reason}",
                            "make it a readable regular file")


def _content_digest(files: Mapping[str, ImageFile]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(files):
        hasher.update(f"{files[name].sha256}  {name}\n".encode())
    return hasher.hexdigest()


def _problem(image: Image, summary: str, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic("error", summary, f"image {image.name}: {detail}", mark=image.mark, remedy=remedy)
