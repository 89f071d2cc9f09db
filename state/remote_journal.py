"""The journal of a run that a midwife keeps: sealed here, durable there before `append` returns.

Group commit over the link: one request is under way, whatever is appended meanwhile goes with the next. Requests may
be repeated (their records are numbered), so that a cut link is waited out; what comes of a request that was never
answered, nobody knows: then this journal takes nothing more, and the run is read again from the midwife.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from planner.model import Diagnostic, FleetError, encode
from planner.ports import Record
from state.group import GroupCommit
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


class RemoteJournal:
    """planner.ports.Journal at a midwife. Thread-safe."""

    def __init__(self, desk: Desk, run: str, found: Scan, start: str, where: str) -> None:
        """`found`: what is there; `start`: SHA-256 of the plan, the head of the chain."""
        self.run = run
        self._desk, self._where = desk, where
        self._count, self._prev = found.number, found.last or start
        self._group = GroupCommit(self._commit, self._interrupted, BATCH)
        self._broken: FleetError | None = None
        self._closed = False

    def append(self, record: Record) -> None:
        """Returns when the record is on the midwife's disk. Raises FleetError; the record is then not in the journal,
        or this journal takes no further one."""
        self._group.append(payload(encode(record)))

    def _interrupted(self) -> FleetError:
        error = Undecided(Diagnostic("error", "the journal was interrupted while it wrote", self._where,
                                     remedy="fleet resume PATH, or fleet rollback PATH"))
        self._broken = self._broken or error
        return error

    def _commit(self, batch: Sequence[bytes]) -> FleetError | None:
        if self._closed:
            return FleetError(Diagnostic("error", "the journal cannot be written", f"{self._where}: it is closed"))
        if self._broken is not None:
            return self._broken
        lines, prev = seal_all(batch, self._count, self._prev)
        try:
            self._desk.post_records(self.run, self._count, b"".join(lines))
        except FleetError as error:
            if isinstance(error, Undecided):
                self._broken = error
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
