"""Files of an ISO9660 image by lower-case path, with Rock Ridge, Joliet or plain names; read by pycdlib.

pycdlib reads the directories; the contents are then copied by their block addresses.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from providers.boot.pieces import ImageProblem, Piece

MAX_FILES = 100_000
MAX_DEPTH = 16
MAX_FOLDER = 64 << 20
NOT_AN_ISO = "fetch it again; the publisher's sha256 tells whether it arrived whole"


@dataclass(frozen=True, slots=True)
class IsoFiles:
    """What an ISO holds. Names that differ only in case are of no use to a boot loader and count as `ambiguous`."""

    label: str
    size: int  # of the ISO file itself
    pieces: dict[str, Piece] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)

    def find(self, name: str) -> Piece | None:
        """The file of that path (any case). Raises ImageProblem where it is ambiguous or reaches past the ISO's end."""
        name = name.lower()
        if name in self.ambiguous:
            raise ImageProblem("an ISO image has one file twice", f"{self.label}: {name}, in two spellings",
                               "make an ISO with one of them")
        piece = self.pieces.get(name)
        if piece is not None and any(length < 0 or offset + length > self.size for offset, length in piece.runs):
            raise ImageProblem("an ISO image is truncated", f"{self.label} has {self.size} bytes and ends before the "
                               f"end of {name}", NOT_AN_ISO)
        return piece


def read_iso(file: BinaryIO, label: str) -> IsoFiles:
    """List an ISO. Raises ImageProblem where it is none, or is damaged. `file` must outlive what is returned."""
    import pycdlib

    iso = pycdlib.PyCdlib()
    try:
        size = file.seek(0, 2)
        file.seek(0)
        iso.open_fp(file)
        return _listing(iso, file, IsoFiles(label, size))
    except ImageProblem:
        raise
    except Exception as error:  # a third-party parser on bytes of any kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageProblem("an ISO image cannot be read", f"{label}: {reason}", NOT_AN_ISO) from error
    finally:
        _close(iso)


def _close(iso: Any) -> None:
    import pycdlib

    with contextlib.suppress(pycdlib.pycdlibexception.PyCdlibException):  # it was never opened
        iso.close()  # does not close the file, which is the caller's


def _listing(iso: Any, file: BinaryIO, files: IsoFiles) -> IsoFiles:
    kind = "rr_path" if iso.has_rock_ridge() else "joliet_path" if iso.has_joliet() else "iso_path"
    block = iso.pvd.logical_block_size()
    if iso.pvd.space_size * block > files.size:
        raise ImageProblem("an ISO image is truncated",
                           f"{files.label} has {files.size} of {iso.pvd.space_size * block} bytes", NOT_AN_ISO)
    for path, record in _walk(iso.get_record(**{kind: "/"}), kind, "", 0):
        runs = []
        part: Any = record
        while part is not None:  # files of 4 GiB and more have several records
            runs.append(((part.extent_location() + part.xattr_len) * block, _length(file, part, block, files.size)))
            part = part.data_continuation
        piece = Piece(f"{files.label}: {path}", tuple(runs), file.fileno())
        if files.pieces.setdefault(path, piece).runs != piece.runs:
            files.ambiguous.add(path)
        if len(files.pieces) > MAX_FILES:
            raise ImageProblem("an ISO image has too many files", f"{files.label}: over {MAX_FILES}",
                               "name the ISO of an ESXi installer")
    return files


def _length(file: BinaryIO, record: Any, block: int, size: int) -> int:
    """As the directory has it: pycdlib cuts off, silently, what lies past the end of the ISO.

    A directory record has its first block at byte 2 and its length at byte 10 (ECMA-119, 9.1).
    """
    first, length = record.extent_location(), int(record.data_length)
    if length >= 0 and first * block + length < size:
        return length
    parent = record.parent
    raw = os.pread(file.fileno(), min(parent.data_length, MAX_FOLDER), parent.extent_location() * block)
    at = 0
    while at + 33 <= len(raw):
        if not raw[at]:  # records do not cross blocks
            at += block - at % block
            continue
        if int.from_bytes(raw[at + 2:at + 6], "little") == first:
            length = max(length, int.from_bytes(raw[at + 10:at + 14], "little"))
        at += raw[at]
    return length


def _walk(folder: Any, kind: str, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """(lower-case path, record) of every regular file. Later parts of large files are reached by their first."""
    later: set[int] = set()
    for record in folder.children:
        if record.is_dot() or record.is_dotdot():
            continue
        name = _name(record, kind)
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            continue  # no boot.cfg can name it
        if record.is_dir():
            if depth < MAX_DEPTH:
                yield from _walk(record, kind, f"{prefix}{name}/", depth + 1)
        elif not record.is_symlink() and id(record) not in later:
            part = record.data_continuation
            while part is not None:
                later.add(id(part))
                part = part.data_continuation
            yield prefix + name, record


def _name(record: Any, kind: str) -> str:
    if kind == "rr_path":
        raw = record.rock_ridge.name() if record.rock_ridge is not None else b""
        if raw:
            return str(raw.decode("utf-8", "replace")).lower()
    if kind == "joliet_path":
        return str(record.file_identifier().decode("utf-16-be", "replace")).partition(";")[0].lower()
    return str(record.file_identifier().decode("ascii", "replace")).partition(";")[0].rstrip(".").lower()
