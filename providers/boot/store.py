"""The image store: folders of boot files by the digest of their content, written whole or not at all.

```
<digest>/               the files of one image, and .image.json: their digests, loader, version
index.json              names → digest, source, sha256 of the source, when
sources.json            what is known of ISOs (by device, inode, size and mtime) and URLs: a cache
downloads/              of URLs, unfinished ones too
.new-…/                 an image being written, locked by its writer; a leftover is removed by the next one
```
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from providers.boot.pieces import Copier, ImageProblem, Piece, content_digest
from providers.files import replace_file, sync_folder, write_durable

DEFAULT = ".fleet/images"
"""In the working directory, beside the fleets."""

FORMAT = 1
META = ".image.json"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`stamp` is from when it was written; `served`: part of the image's identity."""

    sha256: str
    size: int
    stamp: Stamp
    served: bool = True


@dataclass(frozen=True, slots=True)
class Stored:
    """One image of the store, as its .image.json says."""

    digest: str
    folder: Path
    loader: str
    version: str
    files: Mapping[str, StoredFile]

    @property
    def served(self) -> dict[str, str]:
        """Name → SHA-256 of the files that make the identity."""
        return {name: file.sha256 for name, file in self.files.items() if file.served}

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files.values())


@dataclass(frozen=True, slots=True)
class Named:
    """A name's entry in the index. `sha256` is of the ISO that it came from, "" for a folder."""

    digest: str
    source: str
    sha256: str
    loader: str
    version: str
    added: str  # UTC, ISO 8601


@dataclass(frozen=True, slots=True)
class Known:
    """What was learnt of a source. `files`: name → SHA-256, for those that make the identity."""

    digest: str
    sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    loader: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """Processes share it: the index changes under a lock, folders appear by rename. Constructing does no I/O."""

    folder: Path

    # --- images -----------------------------------------------------------------------------------------

    def find(self, digest: str) -> Stored | None:
        """None where it is not stored, or was stored by a version that writes another format."""
        folder = self.folder / digest
        try:
            raw = json.loads((folder / META).read_bytes())
            if raw["format"] != FORMAT or raw["digest"] != digest:
                return None
            files = {n: StoredFile(f["sha256"], f["size"], (*map(int, f["stamp"]),), f["served"])  # type: ignore[arg-type]
                     for n, f in raw["files"].items()}
            return Stored(digest, folder, raw["loader"], raw["version"], files)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ImageProblem("a stored image is damaged", f"{folder / META}: {error}",
                               f"remove the folder {folder} and add the image again") from error

    def digests(self) -> list[str]:
        """Of all images, named or not."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(p.name for p in self.folder.iterdir() if len(p.name) == 64 and p.is_dir())
        return []

    def add(self, files: Mapping[str, Piece], *, loader: str, version: str, others: Mapping[str, Piece] | None = None,
            known: Mapping[str, str] | None = None, still: Callable[[], None] = lambda: None) -> Stored:
        """Write an image and return it; where it is stored already and sound, that one.

        Files with a `known` digest are copied, the others hashed on their way. `still`
        is called before the image appears: it raises where its source has changed. Raises ImageProblem where there is
        no space or a file cannot be written; nothing is left of it then.
        """
        everything = {**files, **(others or {})}
        if META in everything:
            raise ImageProblem("an image has a file of a reserved name", META, "leave it out of boot.cfg")
        with disk_errors(self.folder), self.scratch() as temporary:
            self._check_space(everything)
            folder = temporary / "image"
            folder.mkdir()
            copier = Copier()
            written = {name: _write(copier, folder / name, piece, (known or {}).get(name), served=name in files)
                       for name, piece in everything.items()}
            digest = content_digest({n: f.sha256 for n, f in written.items() if f.served})
            meta = {"format": FORMAT, "digest": digest, "loader": loader, "version": version,
                    "files": {n: asdict(f) for n, f in written.items()}}
            write_durable(folder / META, json.dumps(meta, indent=1).encode(), 0o644)
            for path in {folder, *(p.parent for p in folder.rglob("*"))}:
                sync_folder(path)
            still()
            return self._publish(folder, digest)

    def _publish(self, folder: Path, digest: str) -> Stored:
        target = self.folder / digest
        with self._locked():
            if target.exists() and self.damages(digest):
                target.rename(folder.with_name("damaged"))  # goes with the scratch folder
            if not target.exists():
                folder.rename(target)
                sync_folder(self.folder)
        stored = self.find(digest)
        assert stored is not None  # noqa: S101 - written or found sound a moment ago
        return stored

    def damages(self, digest: str) -> list[str]:
        """Re-hash every file: what is missing, differs or does not belong, one sentence each."""
        try:
            stored = self.find(digest)
        except ImageProblem as problem:
            return [problem.detail]
        if stored is None:
            return [f"{self.folder / digest / META} is missing"]
        found = [d for name, file in sorted(stored.files.items()) if (d := _damage(stored.folder / name, file))]
        if content_digest(stored.served) != digest:
            found.append(f"{stored.folder / META} does not describe an image of this digest")
        names = {str(p.relative_to(stored.folder)) for p in stored.folder.rglob("*") if not p.is_dir()}
        strangers = sorted(names - {META, *stored.files})
        return found + [f"{stored.folder / name} does not belong to it" for name in strangers]

    # --- names and sources --------------------------------------------------------------------------------

    def names(self) -> dict[str, Named]:
        raw = self._read("index.json").get("names", {})
        try:
            return {name: Named(**entry) for name, entry in raw.items()}
        except (TypeError, AttributeError) as error:
            raise self._bad_index(str(error)) from error

    def set_name(self, name: str, entry: Named) -> Named | None:
        """Point a name at an image; returns what it pointed at before."""
        with self._locked():
            before = self.names()
            after = {**before, name: entry}
            self._replace("index.json", {"format": FORMAT, "names": {n: asdict(e) for n, e in sorted(after.items())}})
        return before.get(name)

    def known(self, key: str) -> Known | None:
        """What is known of a source; None where nothing is, or the cache cannot be read."""
        with contextlib.suppress(ImageProblem, TypeError, KeyError):
            return Known(**self._read("sources.json")[key])
        return None

    def remember(self, key: str, known: Known) -> None:
        """Keep it for later commands; where that is not possible, they find out by themselves."""
        with contextlib.suppress(OSError, ImageProblem), self._locked():
            try:
                before = self._read("sources.json")
            except ImageProblem:
                before = {}
            recent = dict(list(before.items())[-63:])
            recent.pop(key, None)
            self._replace("sources.json", {**recent, key: asdict(known)})

    def _read(self, name: str) -> dict[str, Any]:
        try:
            raw = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise self._bad_index(str(error)) from error
        if not isinstance(raw, dict) or raw.get("format", FORMAT) != FORMAT:
            raise self._bad_index("it was written by another version of fleet")
        return raw

    def _replace(self, name: str, data: Mapping[str, Any]) -> None:
        replace_file(self.folder / name, json.dumps(data, indent=1).encode(), 0o644)

    def _bad_index(self, reason: str) -> ImageProblem:
        return ImageProblem("the index of the image store cannot be read", f"{self.folder / 'index.json'}: {reason}",
                            "remove it and add the images again; their files are kept")

    # --- scratch space and locks --------------------------------------------------------------------------

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of one's own in the store, gone at the end. Removes what killed writers left behind."""
        with self._locked():
            self._sweep()
            folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def scratch_file(self) -> BinaryIO:
        """A nameless file, gone when it is closed or its process dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=self.folder)

    def _sweep(self) -> None:
        for folder in self.folder.glob(".new-*"):
            try:
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
            except OSError:  # killed before it had made its lock: the store's lock says that nobody is at it now
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                pass
            finally:
                os.close(lock)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _check_space(self, pieces: Mapping[str, Piece]) -> None:
        """A full disk is told before the work where that is possible."""
        needed = sum(p.size for p in pieces.values())
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise no_space(self.folder, f"{needed >> 20} MiB are needed, {free >> 20} MiB are free")


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """What the disk refuses while an image is read or written to `folder`, as ImageProblem."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise no_space(folder, str(error.strerror)) from error
        raise ImageProblem("an image cannot be stored", f"{error.filename or folder}: {error.strerror or error}",
                           f"make {folder} writable, or set provider.boot.images to a folder that is") from error


def no_space(folder: Path, detail: str) -> ImageProblem:
    return ImageProblem("no space left for an image", f"{folder}: {detail}",
                        "free space there, or set provider.boot.images to a folder that has it")


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _write(copier: Copier, path: Path, piece: Piece, known: str | None, *, served: bool) -> StoredFile:
    """A new file, durably. `known`: its SHA-256, if that is no news."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        digest = copier.copy(piece, descriptor, hashed=known is None)
        os.fsync(descriptor)
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return StoredFile(known or digest, status.st_size, stamp, served)


def _damage(path: Path, file: StoredFile) -> str:
    from providers.boot.images import open_regular

    try:
        with open_regular(path) as opened:
            size = os.fstat(opened.fileno()).st_size
            if size != file.size:
                return f"{path} has {size} bytes instead of {file.size}"
            if Piece(str(path), ((0, size),), opened.fileno()).sha256() != file.sha256:
                return f"{path} has other content"
    except FileNotFoundError:
        return f"{path} is missing"
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    return ""
