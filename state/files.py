"""Durable files: a replaced file is either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from planner.model import Diagnostic, FleetError

_CHUNK = 1 << 20


def failure(what: str, path: Path, error: OSError, remedy: str = "") -> FleetError:
    """A FleetError that names the file and the system's reason (ENOSPC, EACCES …)."""
    return FleetError(Diagnostic("error", what, f"{path}: {error.strerror or error}", remedy=remedy))


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte (a full disk may take only some of them). Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:_CHUNK]) :]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably. Raises OSError."""
    missing: list[Path] = []
    at = folder
    while not at.is_dir():
        missing.append(at)
        at = at.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Temp file, fsync, rename, fsync of the folder. On any failure the old file stays and no temp file is left.

    Raises OSError. Callers hold the fleet's lock: the temp file's name is fixed, so that what a killed process
    left behind is overwritten by the next one.
    """
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        try:
            for part in parts:
                write_all(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
