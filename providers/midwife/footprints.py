"""What machines fetched, read off the access log: how far each MAC's newest boot got, in any process."""

from __future__ import annotations

import json
import os
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

MAX_MACS = 10_000
"""MACs that are remembered; the one that was quiet longest is forgotten first."""

TAIL = 2 << 20
"""Bytes of an old log that are read when it is opened."""

_FOLDER = re.compile(r"(?:^|/)01-([0-9a-f]{2}(?:-[0-9a-f]{2}){5})(?:/|$)", re.IGNORECASE)
_LOADERS = (".efi", ".c32", ".kpxe", ".kkpxe", ".0", ".ipxe", ".lkrn")
_ORDER = ("loader", "kernel", "image handed over")


@dataclass(slots=True)
class Prints:
    """One MAC. `stages`: of its newest boot, when each was reached first (ISO 8601)."""

    stages: dict[str, str] = field(default_factory=dict)
    last: str = ""
    source: str = ""
    times: int = 0


class Footprints:
    """Follows `boot/access.jsonl` as it grows and is rotated. Constructing does no I/O; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Prints] = OrderedDict()
        self._file = -1  # the inode that was read
        self._read = 0

    def read(self) -> dict[str, Prints]:
        """MAC → what is known of it now. Where there is no log yet: nothing."""
        with self._lock:
            try:
                with open(self._path, "rb") as file:
                    stat = os.fstat(file.fileno())
                    if stat.st_ino != self._file or stat.st_size < self._read:
                        self._read = max(0, stat.st_size - TAIL) if self._file < 0 else 0
                        self._file = stat.st_ino
                    file.seek(self._read)
                    data = file.read(TAIL * 8)
            except FileNotFoundError:
                data = b""
            whole = data.rfind(b"\n") + 1
            self._read += whole
            for line in data[:whole].splitlines():
                self._line(line)
            return {mac: Prints(dict(p.stages), p.last, p.source, p.times) for mac, p in self._known.items()}

    def _line(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            path, time, source = str(record["path"]), str(record["time"]), str(record["from"])
            mac, good = str(record["mac"]) or _mac_in(path), int(record["status"]) in (200, 206)
        except (ValueError, TypeError, KeyError):
            return  # the first line may be cut; a log is no record to stop for
        if not mac:
            return
        prints = self._known.setdefault(mac, Prints())
        self._known.move_to_end(mac)
        if len(self._known) > MAX_MACS:
            self._known.popitem(last=False)
        prints.last, prints.source, prints.times = time, source, prints.times + 1
        if good:
            _step(prints.stages, path, time)


def _step(stages: dict[str, str], path: str, time: str) -> None:
    stage, begins = _stage(path)
    if begins or (stage == "loader" and "image handed over" in stages):
        if begins and "loader" in stages and len(stages) == 1:
            return  # the loader, and then its configuration: one boot
        stages.clear()
    stages.setdefault(stage, time)
    for earlier in _ORDER[:_ORDER.index(stage)]:
        stages.setdefault(earlier, time)  # fetched from a cache, or by another address


def _stage(path: str) -> tuple[str, bool]:
    """Which stage the fetch of that file means, and whether a boot begins with it."""
    name = path.rsplit("/", 1)[-1].lower()
    if name.startswith("birth."):
        return "image handed over", False
    if name == "boot.cfg" or "pxelinux.cfg" in path or (name == "boot.ipxe" and _mac_in(path)):
        return "loader", True
    return ("loader" if name.endswith(_LOADERS) else "kernel"), False


def _mac_in(path: str) -> str:
    found = _FOLDER.search(path)
    return found.group(1).lower().replace("-", ":") if found else ""

