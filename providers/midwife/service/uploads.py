"""Images that runners bring: resumable, verified against their digest, and then as good as any other of the store.

An image's digest is over the digests of its files, so a manifest proves itself before the first byte comes. Each
fleet's unfinished uploads are its own: another fleet can neither see nor spoil them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from providers.boot.images import Loader
from providers.boot.pieces import Piece, content_digest
from providers.boot.store import META, Store
from providers.midwife.api.wire import ApiError

MAX_FILES = 4096
MAX_BYTES = 64 << 30
MAX_NAME = 255
KEPT_SECONDS = 7 * 86400.0
BUFFER = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Announced:
    """A manifest: name → (SHA-256, size)."""

    files: Mapping[str, tuple[str, int]]
    loader: str
    version: str


class Uploads:
    """Receives images into `store`. Constructing does no I/O; thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store, self._folder = store, store.folder / "uploads"
        self._lock = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}

    def complete(self, digest: str) -> bool:
        """Raises ImageProblem where the stored one is damaged."""
        return self._store.find(digest) is not None

    def announce(self, fleet: str, digest: str, data: Mapping[str, Any]) -> dict[str, int]:
        """Begin, or go on: name → bytes that are here already. Raises ApiError, OSError."""
        manifest = _manifest(data, digest)
        folder = self._place(fleet, digest)
        with self._lock_of(folder):
            if self.complete(digest):
                return {name: size for name, (_, size) in manifest.files.items()}
            missing = sum(size for _, size in manifest.files.values())
            if folder.is_dir():
                missing -= sum(self._have(folder, name) for name in manifest.files)
            folder.mkdir(parents=True, exist_ok=True)
            if (free := shutil.disk_usage(folder).free) < missing:
                raise ApiError("full", "no space left for an image",
                               f"{missing >> 20} MiB are needed, {free >> 20} MiB are free",
                               "free space on the midwife")
            text = json.dumps({"files": {n: list(f) for n, f in manifest.files.items()}, "loader": manifest.loader,
                               "version": manifest.version})
            (folder / "manifest.json").write_text(text)
            return {name: self._have(folder, name) for name in manifest.files}

    def status(self, fleet: str, digest: str) -> dict[str, int]:
        """Name → bytes that are here, of an upload that is not complete. Raises ApiError where none was announced."""
        folder = self._place(fleet, digest)
        return {name: self._have(folder, name) for name in self._announced(folder).files}

    async def receive(self, fleet: str, digest: str, name: str, start: int, end: int,
                      pieces: AsyncIterator[bytes]) -> int:
        """Bytes `start` to `end` of one file; returns how many of it are here now.

        What came before a cut is kept. Raises ApiError ("offset": it goes on elsewhere; "wrong": the whole file is
        not what was announced, and is asked for again), OSError.
        """
        import asyncio

        folder = self._place(fleet, digest)
        announced = self._announced(folder).files.get(name)
        if announced is None:
            raise ApiError("not_found", "the image has no such file", name)
        lock = self._lock_of(folder)
        if not await asyncio.to_thread(lock.acquire, timeout=30):
            raise ApiError("stopping", "another upload of this image is at work", retry=1)
        try:
            have = self._have(folder, name)
            if start != have or end > announced[1]:
                raise ApiError("offset", "the upload goes on elsewhere", f"{name}: {have} bytes are here", have=have)
            await self._append(folder, name, start, end, pieces)
            have = self._have(folder, name)
            if have == announced[1]:
                await asyncio.to_thread(self._verify, folder, name, announced[0])
            return have
        finally:
            lock.release()

    def finish(self, fleet: str, digest: str) -> None:
        """All files are here: make it an image of the store. Raises ApiError, ImageProblem, OSError."""
        folder = self._place(fleet, digest)
        with self._lock_of(folder):
            if self.complete(digest):
                shutil.rmtree(folder, ignore_errors=True)
                return
            manifest = self._announced(folder)
            short = [n for n, (_, size) in manifest.files.items() if self._have(folder, n) != size]
            if short:
                raise ApiError("offset", "the upload is not complete", f"{len(short)} files, {short[0]} first")
            with ExitStack() as stack:
                pieces: dict[str, Piece] = {}
                for name, (_, size) in manifest.files.items():
                    if not size:
                        pieces[name] = Piece(name)
                        continue
                    file = stack.enter_context(open(self._part(folder, name), "rb"))
                    pieces[name] = Piece(name, ((0, size),), file.fileno())
                stored = self._store.add(pieces, loader=manifest.loader, version=manifest.version)
            if stored.digest != digest:  # a file was changed on the disk meanwhile
                shutil.rmtree(folder, ignore_errors=True)
                raise ApiError("wrong", "the image is not what was announced", f"its digest is {stored.digest}",
                               "upload it again")
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Unfinished uploads that nobody went on with for a week."""
        for folder in self._folder.glob("*/*"):
            with suppress(OSError):
                newest = max((p.stat().st_mtime for p in folder.iterdir()), default=folder.stat().st_mtime)
                if newest < time.time() - KEPT_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    # --- inside ---------------------------------------------------------------------------------------------

    def _place(self, fleet: str, digest: str) -> Path:
        if not _SHA256.match(digest):
            raise ApiError("bad_request", "this is no digest of an image", digest[:80])
        return self._folder / fleet / digest

    def _lock_of(self, folder: Path) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(folder, threading.Lock())

    def _announced(self, folder: Path) -> Announced:
        try:
            data = json.loads((folder / "manifest.json").read_bytes())
            return Announced({n: (str(f[0]), int(f[1])) for n, f in data["files"].items()}, data["loader"],
                             data["version"])
        except FileNotFoundError:
            raise ApiError("not_found", "this image was not announced", folder.name) from None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            shutil.rmtree(folder, ignore_errors=True)  # torn by a power cut
            raise ApiError("not_found", "this image must be announced again", folder.name) from error

    @staticmethod
    def _part(folder: Path, name: str) -> Path:
        return folder / hashlib.sha256(name.encode()).hexdigest()

    def _have(self, folder: Path, name: str) -> int:
        try:
            return self._part(folder, name).stat().st_size
        except FileNotFoundError:
            return 0

    async def _append(self, folder: Path, name: str, start: int, end: int, pieces: AsyncIterator[bytes]) -> None:
        import asyncio

        def write(descriptor: int, data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view):]

        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._part(folder, name), flags, 0o600)
        buffer, left = bytearray(), end - start
        try:
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    raise ApiError("bad_request", "the body is longer than its Content-Range says", name)
                buffer += piece
                if len(buffer) >= BUFFER:
                    await asyncio.to_thread(write, descriptor, bytes(buffer))
                    buffer.clear()
        finally:
            try:
                if left >= 0:
                    write(descriptor, bytes(buffer))
            finally:
                os.close(descriptor)

    def _verify(self, folder: Path, name: str, wanted: str) -> None:
        path = self._part(folder, name)
        with open(path, "rb") as file:
            found = Piece(name, ((0, os.fstat(file.fileno()).st_size),), file.fileno()).sha256()
        if found != wanted:
            path.unlink()
            raise ApiError("wrong", "these are not the bytes that were announced", f"{name}: SHA-256 {found}",
                           "upload it again; its source may have changed meanwhile")


def _manifest(data: Mapping[str, Any], digest: str) -> Announced:
    """Raises ApiError: not well-formed, or not of that digest."""
    rows, found = data.get("files"), {}
    if not isinstance(rows, Mapping) or not 0 < len(rows) <= MAX_FILES:
        raise ApiError("bad_request", "the manifest names no files, or too many")
    for name, row in rows.items():
        sha256, size = (row.get("sha256"), row.get("size")) if isinstance(row, Mapping) else (None, None)
        if not _plain(name) or not isinstance(sha256, str) or not _SHA256.match(sha256) \
                or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ApiError("bad_request", "the manifest has a row that cannot be used", str(name)[:MAX_NAME])
        found[name] = sha256, size
    loader, version = data.get("loader"), data.get("version", "")
    if loader not in get_args(Loader) or not isinstance(version, str) or len(version) > MAX_NAME:
        raise ApiError("bad_request", "the manifest says nothing of its loader")
    if sum(size for _, size in found.values()) > MAX_BYTES:
        raise ApiError("too_large", "the image is too large", f"at most {MAX_BYTES} bytes")
    if content_digest({name: sha256 for name, (sha256, _) in found.items()}) != digest:
        raise ApiError("wrong", "the manifest is not of that digest", digest)
    return Announced(found, str(loader), version)


def _plain(name: object) -> bool:
    """A relative path that stays in its folder."""
    return (isinstance(name, str) and 0 < len(name.encode("utf-8", "replace")) <= MAX_NAME
            and name.isprintable() and "\\" not in name and name != META
            and all(part not in ("", ".", "..") for part in name.split("/")))
