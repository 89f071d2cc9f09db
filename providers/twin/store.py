"""Where the twin's documents live between runs: a snapshot and an append-only log of effects.

A log line is one effect: every document that one call changed, whole. It is written with one write(2) before the
call's reply, so a killed process loses a reply, never an effect; the kernel keeps what was written (no fsync: this
guards against SIGKILL, not against power loss). Replaying a log over a newer snapshot ends in the same documents,
so no moment of a compaction can lose one.

One process writes at a time: whoever opens to write holds a record lock (fcntl) on `lock`, which dies with it.
Readers need none; they read again where a compaction came in between.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from planner.model import Diagnostic, FleetError, Locked
from providers.twin.model import Kept, Site

FORMAT = 1
COMPACT_BYTES = 8 << 20
PATIENCE = 50  # tries, a hundredth of a second apart


class Effect(msgspec.Struct, omit_defaults=True):
    """One line of the log."""

    set: dict[str, Kept] = msgspec.field(default_factory=dict)
    gone: list[str] = msgspec.field(default_factory=list)


class Store:
    """The documents of one twin, by key ("host-1003", a machine's MAC, "site").

    `folder` None keeps them in memory only; `writable` False reads and never writes, not even the folder.
    """

    def __init__(self, folder: Path | None, *, writable: bool) -> None:
        self.folder = folder
        self.writable = writable and folder is not None
        self.documents: dict[str, Kept] = {}
        self._encoder = msgspec.json.Encoder()
        self._log: int | None = None
        self._let_go: weakref.finalize[..., Store] | None = None
        self._bytes = 0
        self._unlock: weakref.finalize[..., Store] | None = None

    def load(self) -> bool:
        """Read snapshot and log. False where nothing is stored yet.

        Raises FleetError on damage or a newer format, Locked where it is to be written and another process does.
        """
        if self.folder is None:
            return False
        if self.writable:
            self._lock(self.folder)
        for _attempt in range(100):  # a writer that ends just now compacts what is being read
            seen = _signature(self.folder / "snapshot.json")
            self.documents = {}
            found = self._read_snapshot(self.folder / "snapshot.json")
            self._replay(self.folder / "effects.jsonl")
            if _signature(self.folder / "snapshot.json") == seen:
                break
        site = self.documents.get("site")
        if isinstance(site, Site) and site.format > FORMAT:
            raise FleetError(
                f"{self.folder} was written by a newer fleet (twin format {site.format}, this one reads {FORMAT})"
            )
        return found or bool(self.documents)

    def save(self, changed: Mapping[str, Kept], gone: Iterable[str] = ()) -> None:
        """Keep these documents and forget those. Written (not synced) when this returns."""
        removed = list(gone)  # the caller may share `documents`, and have taken them out already
        for key in removed:
            self.documents.pop(key, None)
        self.documents.update(changed)
        if not self.writable or not (changed or removed):
            return
        line = self._encoder.encode(Effect(dict(changed), removed)) + b"\n"
        if self._log is None:
            self._log = self._open_log()
        _write_all(self._log, line)
        self._bytes += len(line)
        if self._bytes > COMPACT_BYTES:
            self.compact()

    def compact(self) -> None:
        """Write a new snapshot and start the log afresh."""
        if not self.writable or self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "snapshot.json.new"
        temporary.write_bytes(self._encoder.encode(Effect(self.documents)))
        temporary.replace(self.folder / "snapshot.json")
        self._close_log()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "effects.jsonl").unlink()
        self._bytes = 0

    def close(self) -> None:
        """Nothing is written afterwards; another process may."""
        self._close_log()
        if self._unlock is not None:
            self._unlock()

    def _lock(self, folder: Path) -> None:
        """Record locks belong to the process: reopening within one (as tests do) is no conflict."""
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._unlock = weakref.finalize(self, os.close, descriptor)
        for attempt in range(PATIENCE, -1, -1):  # one that ends just now lets go in a moment
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                if not attempt:
                    self._unlock()
                    raise Locked(Diagnostic(
                        "error", "another fleet process is at work on this twin", str(folder),
                        remedy="wait until it ends; `fleet plan` and everything else that only reads works meanwhile",
                    )) from None
                time.sleep(0.01)
            else:
                return

    def _close_log(self) -> None:
        if self._let_go is not None:
            self._let_go()
            self._log = self._let_go = None

    def _open_log(self) -> int:
        assert self.folder is not None  # noqa: S101 -- writable implies a folder
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "effects.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._let_go = weakref.finalize(self, os.close, descriptor)  # a house that is dropped unclosed leaks none
        return descriptor

    def _read_snapshot(self, path: Path) -> bool:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return False
        try:
            self.documents = msgspec.json.decode(content, type=Effect).set
        except msgspec.DecodeError as error:
            raise FleetError(f"{path} is damaged ({error}); remove the folder to start the twin afresh") from error
        return True

    def _replay(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        decoder = msgspec.json.Decoder(Effect)
        whole = content.rfind(b"\n") + 1  # what follows the last newline is a torn write: its call was never answered
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                effect = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise FleetError(
                    f"{path}:{number} is damaged ({error}); remove the folder to start the twin afresh"
                ) from error
            self.documents.update(effect.set)
            for key in effect.gone:
                self.documents.pop(key, None)
        self._bytes = whole
        if whole < len(content) and self.writable:
            os.truncate(path, whole)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
