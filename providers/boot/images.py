"""Boot images: what a folder of boot files must hold, and the digest of its content.

An image's identity is the digest of what a machine would fetch: `boot.cfg`, every file it names, and the boot
loaders. Contents are not inspected. File digests are cached by device, inode, size and mtime, in memory only; those of
ISOs, URLs and stored images in the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from planner.model import Diagnostic, FleetError, Image
from providers.boot.bootcfg import BootCfg, BootCfgError, parse
from providers.boot.pieces import CHUNK, MAX_BOOTCFG, ImageProblem, content_digest
from providers.boot.store import DEFAULT, Store, Stored, disk_errors

if TYPE_CHECKING:
    from providers.boot.sources import Sources

LOADERS = ("mboot.efi", "mboot.c32")
OPTIONAL = ("crypto64.efi", "efi/boot/crypto64.efi")

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


@dataclass(frozen=True, slots=True)
class Outline:
    """What there is to know of an image before it can be served. `files`: name → SHA-256; `build`: of its boot.cfg."""

    digest: str
    loader: Loader
    files: Mapping[str, str]
    build: str = ""


class FileDigests:
    """SHA-256 of files, read in chunks; unchanged files are not read again."""

    def __init__(self) -> None:
        self._known: dict[Stamp, str] = {}

    def learn(self, stamp: Stamp, sha256: str) -> None:
        """Take this for known: whoever wrote the file has hashed it then."""
        self._known[stamp] = sha256

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


def _to_stderr(line: str) -> None:
    print(f"image: {line}", file=sys.stderr, flush=True)


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
    """Reads images and keeps what it knows about unchanged files. Thread-safe.

    A folder is used in place. An ISO or URL becomes a folder of the store (`materialize`); to know its digest an ISO
    need not be extracted. `say` gets lines of progress of what takes long.
    """

    store: Store = field(default_factory=lambda: Store(Path(DEFAULT).absolute()))
    say: Callable[[str], None] = _to_stderr
    digests: FileDigests = field(default_factory=FileDigests)
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def manifest(self, image: Image) -> Manifest:
        """Raises FleetError that names everything missing, and a declared sha256 that does not match."""
        if is_url(image.source) or not os.path.isdir(image.source):
            return self.materialize(image)
        return self._folder(image, Path(image.source))

    def materialize(self, image: Image) -> Manifest:
        """The image as a folder, extracted from its ISO or URL where it is not in the store yet. Raises FleetError."""
        if not is_url(image.source) and os.path.isdir(image.source):
            return self._folder(image, Path(image.source))
        with self._lock, self._problems(image):
            stored = self._stored(image)
        manifest = self._folder(replace(image, source=str(stored.folder), sha256=""), stored.folder)
        if manifest.digest != stored.digest:
            raise FleetError(_problem(image, "a stored image is damaged", str(stored.folder),
                                      "`fleet image verify` names the files; remove that folder, and it is made anew"))
        return manifest

    def _stored(self, image: Image) -> Stored:
        if is_url(image.source):
            return self._sources.stage_url(image.source, image.sha256.lower())[0]
        return self._gone(image) or self._sources.stage_iso(Path(image.source), image.sha256.lower())

    def outline(self, image: Image, *, fetch: bool = True) -> Outline | None:
        """What the image holds, and its digest, without extracting it where that can be. Raises FleetError.

        Without `fetch` nothing is fetched or written, and None means that it takes that to know.
        """
        if not is_url(image.source) and os.path.isdir(image.source):
            manifest = self.manifest(image)
            return Outline(manifest.digest, manifest.loader, {n: f.sha256 for n, f in manifest.files.items()},
                           manifest.cfg.build)
        with self._lock, self._problems(image):
            stored = self._there(image)
            if stored is None and is_url(image.source):
                stored = self._stored(image) if fetch else None
            elif stored is None:
                known = self._sources.look(Path(image.source), image.sha256.lower(), write=fetch)
                return None if known is None else Outline(known.digest, cast(Loader, known.loader), known.files,
                                                          known.version)
            return None if stored is None else Outline(stored.digest, cast(Loader, stored.loader), stored.served,
                                                       stored.version)

    def prepare(self, images: Iterable[Image], wanted: Collection[str]) -> None:
        """Extract those images whose digest is `wanted`, before any step. Raises FleetError."""
        for image in images:
            if is_url(image.source) or not os.path.isdir(image.source):
                found = self.outline(image)
                if found is not None and found.digest in wanted:
                    self.materialize(image)

    def _there(self, image: Image) -> Stored | None:
        """What the store has of a URL, or of an ISO file that is no more. Raises ImageProblem where neither is."""
        if is_url(image.source):
            found = self._sources.of_url(image.source, image.sha256.lower())
            return found[0] if found is not None else None
        return self._gone(image)

    def _gone(self, image: Image) -> Stored | None:
        """What is stored in place of an ISO file that is no more; None where the file is there. Raises ImageProblem."""
        if os.path.lexists(image.source):
            return None
        stored = self._sources.by_checksum(image.sha256.lower())
        if stored is None:
            what = "an ISO image" if image.source.lower().endswith(".iso") else "an image folder"
            raise ImageProblem(f"{what} does not exist", image.source,
                               "correct `source`; it is relative to the file that declares it")
        return stored

    @property
    def _sources(self) -> Sources:
        from providers.boot.sources import Sources

        return Sources(self.store, self.say)

    @contextmanager
    def _problems(self, image: Image) -> Iterator[None]:
        try:
            with disk_errors(self.store.folder):
                yield
        except ImageProblem as problem:
            raise FleetError(_problem(image, problem.summary, problem.detail, problem.remedy)) from problem

    def _learn(self, folder: Path) -> None:
        """Files of the store need not be hashed again, while they are as they were written."""
        if folder.parent == self.store.folder:
            with contextlib.suppress(ImageProblem):
                stored = self.store.find(folder.name)
                for file in stored.files.values() if stored is not None else ():
                    self.digests.learn(file.stamp, file.sha256)

    def _folder(self, image: Image, folder: Path) -> Manifest:
        self._learn(folder)
        problems: list[Diagnostic] = []
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
    return content_digest({name: file.sha256 for name, file in files.items()})


def is_url(source: str) -> bool:
    return "://" in source


def _problem(image: Image, summary: str, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic("error", summary, f"image {image.name}: {detail}", mark=image.mark, remedy=remedy)
