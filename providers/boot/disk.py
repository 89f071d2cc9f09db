"""Disk images of ESX 3.5 and 4.x: partitions of the master boot record, and the files of their FAT file systems.

The partition walk follows the PC's classic layout: four entries at byte 446 of the first sector, of which one may be an
extended partition, a chain of sectors with two entries each. FAT12, FAT16 and FAT32 are read by pyfatfs.
"""

from __future__ import annotations

import os
import struct
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

from providers.boot.pieces import ImageProblem, Piece

SECTOR = 512
EXTENDED = frozenset({0x05, 0x0F, 0x85})
FAT_TYPES = frozenset({0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E})
PROTECTIVE = 0xEE  # the only entry of a disk with a GUID partition table
MAX_LOGICAL = 128
MAX_FAT = 64 << 20
_ENTRY = struct.Struct("<B3xB3xII")
REMEDY = "take the ISO from its publisher again, and compare its sha256"


@dataclass(frozen=True, slots=True)
class Partition:
    """`number` as Linux counts: 1 to 4 in the boot record, 5 and up in the extended partition. Bytes, not sectors."""

    number: int
    kind: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Volume:
    """A FAT file system: its label ("" without one), and the files of its root folder by lower-case name."""

    partition: Partition
    label: str
    files: dict[str, Piece]


def partitions(disk: BinaryIO, label: str) -> list[Partition]:
    """All but empty and extended ones, in Linux's order. Raises ImageProblem for what is no such disk."""
    size = disk.seek(0, 2)
    found: list[Partition] = []
    extended = 0
    for number, (kind, start, sectors) in enumerate(_entries(disk, 0, label), 1):
        if kind == PROTECTIVE:
            raise _bad(label, "it has a GUID partition table, which no ESX of these generations has")
        if kind in EXTENDED:
            extended = extended or start
        elif kind and sectors:
            found.append(_partition(number, kind, start, sectors, size, label))
    return found + _logical(disk, extended, size, label)


def _logical(disk: BinaryIO, extended: int, size: int, label: str) -> list[Partition]:
    found: list[Partition] = []
    seen: set[int] = set()
    table = extended
    while table:
        if table in seen or len(seen) >= MAX_LOGICAL:
            raise _bad(label, "its extended partition runs in a circle")
        seen.add(table)
        first, following, *_ = _entries(disk, table * SECTOR, label)
        kind, start, sectors = first
        if kind and kind not in EXTENDED and sectors:
            found.append(_partition(4 + len(seen), kind, table + start, sectors, size, label))
        kind, start, _ = following
        table = extended + start if kind in EXTENDED and start else 0
    return found


def _entries(disk: BinaryIO, offset: int, label: str) -> list[tuple[int, int, int]]:
    """(type, first sector, sectors) of the four entries of a partition table."""
    disk.seek(offset)
    sector = disk.read(SECTOR)
    if len(sector) < SECTOR or sector[510:] != b"\x55\xaa":
        raise _bad(label, f"there is no partition table at byte {offset}")
    return [(kind, start, count) for _, kind, start, count in _ENTRY.iter_unpack(sector[446:510])]


def _partition(number: int, kind: int, start: int, sectors: int, size: int, label: str) -> Partition:
    offset, length = start * SECTOR, sectors * SECTOR
    if not start or offset + length > size:
        raise _bad(label, f"partition {number} reaches from byte {offset} to {offset + length} of {size}")
    return Partition(number, kind, offset, length)


def read_volume(disk: BinaryIO, partition: Partition, label: str) -> Volume:
    """Raises ImageProblem where the partition holds no sound FAT. Sub-folders are left out: none holds boot files."""
    from pyfatfs._exceptions import PyFATException

    where = f"{label}, partition {partition.number}"
    # pyfatfs closes the file that it reads, at any moment, so that it gets one of its own.
    with open(os.dup(disk.fileno()), "rb", buffering=0) as own, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # differing FAT copies, dirty flags: what it reads is hashed by us anyway
        try:
            fat = _bounded(partition.offset)
            fat.set_fp(own)
            return _volume(fat, disk, partition, where)
        except (PyFATException, OSError, ValueError, ArithmeticError, LookupError, TypeError, AssertionError,
                struct.error) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise _bad(where, f"its FAT file system cannot be read: {reason}") from error


def _volume(fat: Any, disk: BinaryIO, partition: Partition, where: str) -> Volume:
    _, entries, specials = fat.root_dir.get_entries()
    labels = [bytes(e.name.name).decode("ascii", "replace").rstrip() for e in specials if e.is_volume_id()]
    header = bytes(fat.bpb_header["BS_VolLab"]).decode("ascii", "replace").rstrip()
    files: dict[str, Piece] = {}
    for entry in entries:
        name = str(entry).lower()
        if name in files:
            raise _bad(where, f"it has {name} twice")
        files[name] = Piece(f"{where}: {name}", _runs(fat, entry, partition, where), disk.fileno())
    return Volume(partition, labels[0] if labels else "" if header == "NO NAME" else header, files)


def _runs(fat: Any, entry: Any, partition: Partition, where: str) -> tuple[tuple[int, int], ...]:
    """The file's clusters as stretches of the disk, neighbours joined."""
    left, runs = entry.filesize, list[tuple[int, int]]()
    clusters = fat.get_cluster_chain(entry.get_cluster()) if left else ()
    for cluster in clusters:
        if left <= 0:
            break
        start, length = fat.get_data_cluster_address(cluster), min(fat.bytes_per_cluster, left)
        if start + length > partition.size:
            raise _bad(where, f"{entry} reaches past the end of the partition")
        left -= length
        offset = partition.offset + start
        if runs and sum(runs[-1]) == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + length)
        else:
            runs.append((offset, length))
    if left:
        raise _bad(where, f"{entry} has fewer blocks than its size says")
    return tuple(runs)


def _bounded(offset: int) -> Any:
    """pyfatfs, made safe for tables that point in circles or claim sizes beyond reason."""
    from pyfatfs._exceptions import PyFATException
    from pyfatfs.PyFat import PyFat

    class BoundedFat(PyFat):  # type: ignore[misc]  # pyfatfs has no types
        def _is_dirty(self) -> bool:
            return False

        def _parse_fat(self) -> None:
            copies, size = self.bpb_header["BPB_NumFATs"], self.bpb_header["BPB_BytsPerSec"] * self._fat_size
            if copies > 4 or size > MAX_FAT:
                raise PyFATException(f"{copies} allocation tables of {size} bytes")
            super()._parse_fat()

        def get_cluster_chain(self, first_cluster: int) -> Any:
            seen = set[int]()
            for cluster in super().get_cluster_chain(first_cluster):
                if cluster in seen:
                    raise PyFATException("a chain of clusters runs in a circle")
                seen.add(cluster)
                yield cluster

    return BoundedFat(offset=offset)


def _bad(label: str, detail: str) -> ImageProblem:
    return ImageProblem("a disk image cannot be read", f"{label}: {detail}", REMEDY)
