"""From an ISO or a URL to an image of the store: what is known already is not read again.

An ISO is known by device, inode, size and mtime, a URL by itself; either way by the digest of the boot files within.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from providers.boot.fetch import Limits, address, fetched, file_sha256
from providers.boot.installer import Contents, needs_unpacking, open_installer
from providers.boot.pieces import ImageProblem, content_digest
from providers.boot.store import Known, Store, Stored


@dataclass(frozen=True, slots=True)
class Sources:
    """Reads ISOs and URLs for one store. `say` gets lines of progress."""

    store: Store
    say: Callable[[str], None]
    limits: Limits | None = None

    def look(self, path: Path, sha256: str = "", *, write: bool = True) -> Known | None:
        """What an ISO holds, without extracting it; disk images of ESX 3.5 and 4 are unpacked, thus stored at once.

        With `write` false nothing is written, and None means that it takes unpacking to know. Raises ImageProblem.
        """
        with _opened(path) as file:
            key, known = self._of_iso(file, path, sha256)
            if known.digest:
                return known
            if needs_unpacking(file, path.name):
                return _known(self._stage(file, path, key, known), known.sha256) if write else None
            with self._installer(file, path) as contents:
                files = {name: piece.sha256() for name, piece in contents.files.items()}
            _unchanged(file, path, key)
            known = Known(content_digest(files), known.sha256, files, contents.loader, contents.version)
            if write:
                self.store.remember(key, known)
            return known

    def stage_iso(self, path: Path, sha256: str = "", *, afresh: bool = False) -> Stored:
        """Extract an ISO into the store, unless it is there; `afresh`: even then, which repairs a damaged image.

        `sha256`: of the ISO file, checked before anything else.

        Raises ImageProblem: unreadable, another checksum, not an installer, damaged, no space.
        """
        with _opened(path) as file:
            key, known = self._of_iso(file, path, sha256)
            stored = self.store.find(known.digest) if known.digest and not afresh else None
            return stored or self._stage(file, path, key, known)

    def _of_iso(self, file: BinaryIO, path: Path, sha256: str) -> tuple[str, Known]:
        """Its key, and what is known of it. Raises ImageProblem where its checksum is not the declared one."""
        key = _key(file)
        known = self.store.known(key) or Known("")
        if sha256:
            if not known.sha256:
                known = replace(known, sha256=file_sha256(file))
                if known.digest:
                    self.store.remember(key, known)
            if known.sha256 != sha256:
                raise ImageProblem("an image does not have its declared sha256",
                                   f"{path}: declared {sha256}, found {known.sha256}",
                                   "fetch the ISO again, or correct `sha256`")
        return key, known

    def _stage(self, file: BinaryIO, path: Path, key: str, known: Known) -> Stored:
        with self._installer(file, path) as found:
            # A disk image's boot.cfg is written by us, another one perhaps by the next version: always hashed.
            digests = known.files if found.loader != "legacy" else None
            stored = self.store.add(found.files, others=found.others, loader=found.loader, version=found.version,
                                    known=digests, still=lambda: _unchanged(file, path, key))
        self.store.remember(key, _known(stored, known.sha256))
        return stored

    def _installer(self, file: BinaryIO, path: Path) -> contextlib.AbstractContextManager[Contents]:
        return open_installer(file, path.name, self.store.scratch_file, self.say)

    def of_url(self, url: str, sha256: str = "") -> tuple[Stored, str] | None:
        """The image that was stored from this URL and the ISO's SHA-256; None where it is to be fetched."""
        known = self.store.known(address(url).key)
        if known is None or (sha256 and known.sha256 != sha256):
            return None
        stored = self.store.find(known.digest)
        return (stored, known.sha256) if stored is not None else None

    def stage_url(self, url: str, sha256: str = "", *, afresh: bool = False) -> tuple[Stored, str]:
        """The image, and the ISO's SHA-256. Fetched where it is not stored, or `afresh`. Raises ImageProblem."""
        where = address(url)
        if not afresh and (there := self.of_url(url, sha256)) is not None:
            return there
        downloads = self.store.folder / "downloads"
        with fetched(where, downloads, self.say, sha256=sha256, limits=self.limits) as (path, found), \
                _opened(path) as file, \
                open_installer(file, where.shown, self.store.scratch_file, self.say) as contents:
            stored = self.store.add(contents.files, others=contents.others, loader=contents.loader,
                                    version=contents.version)
        self.store.remember(where.key, _known(stored, found))
        return stored, found

    def by_checksum(self, sha256: str) -> Stored | None:
        """An image that was stored from an ISO of this checksum, where that ISO may be gone."""
        for entry in self.store.names().values():
            if sha256 and entry.sha256 == sha256:
                return self.store.find(entry.digest)
        return None


def _known(stored: Stored, sha256: str) -> Known:
    return Known(stored.digest, sha256, stored.served, stored.loader, stored.version)


def _opened(path: Path) -> BinaryIO:
    from providers.boot.images import open_regular

    try:
        return open_regular(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageProblem("an ISO image cannot be read", f"{path}: {reason}", "make it a readable regular file") \
            from error


def _key(file: BinaryIO) -> str:
    status = os.fstat(file.fileno())
    return f"iso:{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _unchanged(file: BinaryIO, path: Path, key: str) -> None:
    if _key(file) != key:
        raise ImageProblem("an ISO image has changed while it was read", str(path), "wait until it is complete")
