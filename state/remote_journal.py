"""The journal of a run that a midwife keeps: sealed here, durable there before `append` returns.

Group commit over the link: one request is under way, whatever is appended meanwhile goes with the next. Requests may
be repeated (their records are numbered), so that a cut link is waited out; what comes of a request that was never
answered, nobody knows: then this journal takes nothing more, and the run is read again from the midwife.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from planner.model import Diagnostic, FleetError, encode
from planner.ports import Record
from state.journal import damaged
from state.records import Scan, payload, scan, seal_all

BATCH = 4 << 20
"""Bytes of one request, at least one record."""


class Desk(Protocol):
    """What a journal needs of its store."""

    def post_records(self, run: str, first: int, data: bytes) -> int:
        """Durable on return: how many records there are. Raises Undecided, FleetError."""

    def get_lines(self, run: str) -> bytes: ...

    def held(self) -> None: ...


class Undecided(FleetError):
    """Nobody knows whether what was asked for was done, or the lock is not ours any more: nothing may follow it."""


class _Entry:
    __slots__ = ("done", "error", "payload")

    def __init__(self, data: bytes) -> None:
        self.payload = data
        self.done = False
        self.error: FleetError | None = None


class RemoteJournal:
    """planner.ports.Journal at a midwife. Thread-safe."""

    def __init__(self, desk: Desk, run: str, found: Scan, start: str, where: str) -> None:
        """`found`: what is there; `start`: SHA-256 of the plan, the head of the chain."""
        self.run = run
        self._desk, self._where = desk, where
        self._count, self._prev = found.number, found.last or start
        self._queue: list[_Entry] = []
        self._ready = threading.Condition()
        self._leading = False
        self._broken: FleetError | None = None
        self._closed = False

    def append(self, record: Record) -> None:
        """Returns when the record is on the midwife's disk. Raises FleetError; the record is then not in the journal,
        or this journal takes no further one."""
        entry = _Entry(payload(encode(record)))
        batch: list[_Entry] = []
        error: FleetError | None = Undecided(Diagnostic(
            "error", "the journal was interrupted while it wrote", self._where,
            remedy="fleet resume PATH, or fleet rollback PATH"))
        try:
            with self._ready:
                self._queue.append(entry)
                while not entry.done and self._leading:
                    self._ready.wait()
                if not entry.done:
                    self._leading = True
                    batch, self._queue = self._taken()
            if batch:
                error = self._commit(batch)
        finally:  # an interrupt of the leader must not leave the others waiting
            if batch:
                self._wake(batch, error)
        if entry.error is not None:
            raise type(entry.error)(*entry.error.diagnostics) from entry.error

    def _taken(self) -> tuple[list[_Entry], list[_Entry]]:
        """What goes with one request, and what is left for the next."""
        size = 0
        for number, entry in enumerate(self._queue):
            size += len(entry.payload)
            if number and size > BATCH:
                return self._queue[:number], self._queue[number:]
        return self._queue, []

    def _wake(self, batch: Sequence[_Entry], error: FleetError | None) -> None:
        with self._ready:
            self._leading = False
            if isinstance(error, Undecided):
                self._broken = self._broken or error
            for entry in batch:
                entry.done, entry.error = True, error
            self._ready.notify_all()

    def _commit(self, batch: Sequence[_Entry]) -> FleetError | None:
        if self._closed:
            return FleetError(Diagnostic("error", "the journal cannot be written", f"{self._where}: it is closed"))
        if self._broken is not None:
            return self._broken
        lines, prev = seal_all([entry.payload for entry in batch], self._count, self._prev)
        try:
            self._desk.post_records(self.run, self._count, b"".join(lines))
        except FleetError as error:
            return error
        self._count, self._prev = self._count + len(lines), prev
        return None

    def held(self) -> None:
        """Raises FleetError where the lease may be lost. Waits for a link that was cut."""
        if self._broken is not None:
            raise type(self._broken)(*self._broken.diagnostics) from self._broken
        self._desk.held()

    def records(self) -> Sequence[Record]:
        return read(self._desk.get_lines, self.run, self._where)

    def close(self) -> None:
        self._closed = True


def read(get: Callable[[str], bytes], run: str, where: str) -> list[Record]:
    """All records of a journal; a torn last line is left out. Raises FleetError on damage, or where there is none."""
    return sound(get(run), run, where).records


def sound(data: bytes, run: str, where: str) -> Scan:
    """A journal's bytes, read. Raises FleetError on damage."""
    found = scan(data)
    if found.damage:
        raise damaged(where, run, found)
    return found
