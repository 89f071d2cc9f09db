"""Where the bytes of a boot file lie before they are staged: stretches of an ISO or disk image, or text of ours.

ISO9660 and FAT both store a file as stretches of whole blocks, so that one kind of value serves every generation.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CHUNK = 64 * 1024
"""Read and hash sizes: small enough to stay in the processor's cache."""

BUFFER = 1 << 20
BLOCK = 4096
"""Sizes of writes past the page cache: large ones, of whole blocks."""

MAX_BOOTCFG = 256 * 1024
"""No boot.cfg is nearly that long."""


class ImageProblem(Exception):
    """An image cannot be used: `summary` and `remedy` are sentences, `detail` says where and what was found."""

    def __init__(self, summary: str, detail: str, remedy: str) -> None:
        super().__init__(f"{summary}: {detail}")
        self.summary, self.detail, self.remedy = summary, detail, remedy


@dataclass(frozen=True, slots=True)
class Piece:
    """One boot file: the bytes of `data`, or else of `runs`, (offset, length) in the open file `descriptor`."""

    label: str  # where it comes from, for messages
    runs: tuple[tuple[int, int], ...] = ()
    descriptor: int = -1
    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data) + sum(length for _, length in self.runs)

    def chunks(self) -> Iterator[memoryview]:
        """Its bytes; each chunk is valid until the next one. Raises ImageProblem where the file ends too early."""
        if self.data:
            yield memoryview(self.data)
        buffer = memoryview(bytearray(CHUNK))
        for offset, length in self.runs:
            end = offset + length
            while offset < end:
                got = os.preadv(self.descriptor, [buffer[:end - offset]], offset)
                if not got:
                    raise self.short()
                yield buffer[:got]
                offset += got

    def sha256(self) -> str:
        hasher = hashlib.sha256()
        for chunk in self.chunks():
            hasher.update(chunk)
        return hasher.hexdigest()

    def short(self) -> ImageProblem:
        return ImageProblem("an image is truncated", f"it ends within {self.label}",
                            "fetch it again, and compare its sha256 with the publisher's")


class PieceReader(io.RawIOBase):
    """A piece as a binary stream, for decompressors. Forward only."""

    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self._chunks = piece.chunks()
        self._left: bytes | memoryview = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class Copier:
    """Writes pieces to files through one buffer, past the page cache where the file system allows it (O_DIRECT).

    An image is on disk when it appears in the store. Writing it to the page cache and asking for that afterwards costs
    three times the CPU on ext4, and pushes out what other programs have there.
    """

    def __init__(self) -> None:
        self._view = memoryview(mmap.mmap(-1, BUFFER))  # O_DIRECT wants memory that begins with a page

    def copy(self, piece: Piece, target: int, *, hashed: bool = True) -> str:
        """Write a piece to the open, empty file `target`; returns its SHA-256, "" where `hashed` is false.

        Raises OSError (no space), ImageProblem (the source ends too early).
        """
        hasher = hashlib.sha256()
        direct = piece.size >= BUFFER and _bypass(target, wanted=True)
        for filled in self._fillings(piece):
            data = self._view[:filled]
            if hashed:
                hasher.update(data)
            if direct:
                direct = self._past_the_cache(target, filled)
            if not direct:
                write_all(target, data)
        if direct:
            os.ftruncate(target, piece.size)
        return hasher.hexdigest() if hashed else ""

    def _past_the_cache(self, target: int, filled: int) -> bool:
        """Write whole blocks: what is too much is cut off at the end. False where the file system will not have it."""
        try:
            write_all(target, self._view[:-(-filled // BLOCK) * BLOCK])
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _bypass(target, wanted=False)
            return False
        return True

    def _fillings(self, piece: Piece) -> Iterator[int]:
        """Fill the buffer with the next bytes: how many there are. Full but for the last time."""
        filled = 0
        for offset, length in ((0, len(piece.data)), *piece.runs) if piece.data else piece.runs:
            end = offset + length
            while offset < end:
                room = self._view[filled:filled + end - offset]
                if piece.data:
                    got = len(room)
                    room[:] = piece.data[offset:offset + got]
                else:
                    got = os.preadv(piece.descriptor, [room], offset)
                if not got:
                    raise piece.short()
                offset, filled = offset + got, filled + got
                if filled == BUFFER:
                    yield filled
                    filled = 0
        if filled:
            yield filled


def _bypass(target: int, *, wanted: bool) -> bool:
    """Switch O_DIRECT; False where there is no such thing."""
    flags = fcntl.fcntl(target, fcntl.F_GETFL)
    direct = getattr(os, "O_DIRECT", 0)
    try:
        fcntl.fcntl(target, fcntl.F_SETFL, flags | direct if wanted else flags & ~direct)
    except OSError:
        return False
    return wanted and direct != 0


def write_all(target: int, data: memoryview) -> None:
    while data:
        data = data[os.write(target, data):]


def content_digest(digests: Mapping[str, str]) -> str:
    """An image's identity: the SHA-256 over the `sha256  name` lines of its files, as `sha256sum` would print them."""
    hasher = hashlib.sha256()
    for name in sorted(digests):
        hasher.update(f"{digests[name]}  {name}\n".encode())
    return hasher.hexdigest()
