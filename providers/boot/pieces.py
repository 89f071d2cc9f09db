"""Where the bytes of a boot file lie before they are staged: stretches of an ISO or disk image, or text of ours.

ISO9660 and FAT both store a file as stretches of whole blocks, so that one kind of value serves every generation, and
the kernel can copy without a detour through this process.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CHUNK = 64 * 1024
"""Read, hash and write sizes: small enough to stay in the processor's cache (1 MiB costs twice the CPU on ext4)."""

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

    def copy_hashed(self, target: int) -> str:
        """Write it to the descriptor `target` and return its SHA-256. Raises OSError (no space), ImageProblem."""
        hasher = hashlib.sha256()
        for chunk in self.chunks():
            hasher.update(chunk)
            write_all(target, chunk)
        return hasher.hexdigest()

    def copy(self, target: int) -> None:
        """The same without a digest, inside the kernel. Raises OSError, ImageProblem."""
        write_all(target, memoryview(self.data))
        for offset, length in self.runs:
            end = offset + length
            while offset < end:
                sent = os.sendfile(target, self.descriptor, offset, end - offset)
                if not sent:
                    raise self.short()
                offset += sent

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


def write_all(target: int, data: memoryview) -> None:
    while data:
        data = data[os.write(target, data):]


def content_digest(digests: Mapping[str, str]) -> str:
    """An image's identity: the SHA-256 over the `sha256  name` lines of its files, as `sha256sum` would print them."""
    hasher = hashlib.sha256()
    for name in sorted(digests):
        hasher.update(f"{digests[name]}  {name}\n".encode())
    return hasher.hexdigest()
