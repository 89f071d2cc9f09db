"""The durable inbox: accepted births, one JSON line each, on disk before the reply leaves.

`births.jsonl` is append-only and written by one thread that gathers whatever waits and syncs once for all of it
(group commit). A kill can tear the last line only; that birth was never acknowledged, so the tail is cut off.
`refused.jsonl` beside it lists forgeries and strangers: best effort, bounded, without any secret.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from planner.model import Attrs, Diagnostic, FleetError

MAX_REFUSED = 1000
"""Refusals that one process writes down; a flood is counted, not recorded."""

Birth = dict[str, Any]


class Inbox:
    """Births of one fleet. Constructing does no I/O; a folder of None keeps everything in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._births: list[Birth] = []
        self._by_boot: dict[str, Birth] = {}
        self._newest: dict[tuple[str, str], Birth] = {}
        self._loaded = False
        self._queue: queue.SimpleQueue[tuple[bytes, Birth, Future[None]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closed = False
        self._refused: list[Birth] = []
        self.refusals = 0

    @property
    def path(self) -> Path | None:
        return self._folder / "births.jsonl" if self._folder else None

    # --- reading ----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Attrs]:
        """Accepted births, oldest first (planner.ports.BirthView)."""
        self._load()
        with self._lock:
            return iter(list(self._births))

    def of_boot(self, boot: str) -> Birth | None:
        self._load()
        with self._lock:
            return self._by_boot.get(boot)

    def newest(self, mac: str, generation: str) -> Birth | None:
        """The latest birth of that MAC that answers that staging."""
        self._load()
        with self._lock:
            return self._newest.get((mac, generation))

    def refused(self) -> list[Birth]:
        """What this process refused and wrote down."""
        with self._lock:
            return list(self._refused)

    def _load(self) -> None:
        with self._lock:
            if self._loaded:
                return
            if self.path is not None and self.path.exists():
                lines = self.path.read_bytes().split(b"\n")
                for number, line in enumerate(lines[:-1], 1):
                    self._index(self._decode(line, number))
            self._loaded = True

    def _decode(self, line: bytes, number: int) -> Birth:
        try:
            record = json.loads(line)
            if isinstance(record, dict) and all(isinstance(record.get(k), str) for k in ("mac", "generation", "boot")):
                return record
        except ValueError:
            pass
        raise FleetError(Diagnostic(
            "error", "the record of births is damaged", f"{self.path}: line {number} is not a birth record",
            remedy="restore the file from a backup, or move it away: hosts not yet configured are then booted again"))

    def _index(self, record: Birth) -> None:
        self._births.append(record)
        self._by_boot[record["boot"]] = record
        self._newest[record["mac"], record["generation"]] = record

    # --- writing ----------------------------------------------------------------------------------------

    def append(self, record: Birth) -> Future[None]:
        """Resolves once the record is on disk; fails with OSError where it could not be written."""
        self._load()
        done: Future[None] = Future()
        with self._lock:
            if self._closed:
                done.set_exception(OSError("the inbox is closed"))
                return done
            if self._folder is None:
                self._index(record)
                done.set_result(None)
                return done
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="births", daemon=True)
                self._writer.start()
            line = json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"
            self._queue.put((line, record, done))
        return done

    def refuse(self, record: Birth) -> None:
        """Write a refusal down, best effort."""
        with self._lock:
            self.refusals += 1
            if len(self._refused) >= MAX_REFUSED or self._closed:
                return
            self._refused.append(record)
            if self._folder is None:
                return
            line = json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with open(self._folder / "refused.jsonl", "a", encoding="utf-8") as file:
                    file.write(line)
            except OSError:
                return  # a refusal is still counted and in memory; it must not stop honest births

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            writer = self._writer
            self._queue.put(None)
        if writer is not None:
            writer.join(timeout=30)

    def _write(self) -> None:
        descriptor = -1
        ended = False
        while not ended:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            ended = None in batch
            entries = [entry for entry in batch if entry is not None]
            if not entries:
                continue
            try:
                if descriptor < 0:
                    descriptor = _open_log(self.path)
                _append(descriptor, b"".join(line for line, _, _ in entries))
            except OSError as error:
                for _, _, done in entries:
                    done.set_exception(error)
                continue
            with self._lock:
                for _, record, _ in entries:
                    self._index(record)
            for _, _, done in entries:
                done.set_result(None)
        if descriptor >= 0:
            os.close(descriptor)


def _open_log(path: Path | None) -> int:
    """Open for appending, cut a torn tail off, and make the file's name durable. Raises OSError."""
    assert path is not None  # noqa: S101  # the writer thread only exists with a folder
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        os.lseek(descriptor, whole, os.SEEK_SET)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _append(descriptor: int, data: bytes) -> None:
    """All of it, synced; or none of it and OSError (a full disk leaves no half line behind)."""
    start = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view):]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        raise
