"""The journal of one run: append-only, checksummed, durable before `append` returns.

Records that wait for the disk together share one write and one fsync. A failed write (a full disk) is cut off again,
so that the chain and the file agree and the journal can be appended to once there is room.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Sequence
from pathlib import Path

from planner.model import Diagnostic, FleetError, encode
from planner.ports import Record
from state.files import failure, sync_folder, write_all
from state.group import GroupCommit
from state.records import Scan, checked, payload, scan, seal_all

# fdatasync also writes the metadata that is needed to read the data back (the length); macOS has only fsync.
_sync = getattr(os, "fdatasync", os.fsync)


class Conflict(FleetError):
    """What a runner sends contradicts what is on disk; nothing was written."""

    code = "conflict"


class FileJournal:
    """planner.ports.Journal on a file. Made by `create` and `reopen`; thread-safe."""

    def __init__(self, path: Path, run: str, descriptor: int, found: Scan, start: str) -> None:
        self.run = run
        self._path = path
        self._descriptor = descriptor
        self._let_go = weakref.finalize(self, os.close, descriptor)  # one that is dropped unclosed leaks none
        self._end = found.end
        self._count = found.number
        self._prev = found.last or start
        self._group = GroupCommit(self._commit, self._interrupted)
        self._broken = ""

    @classmethod
    def create(cls, path: Path, run: str, start: str) -> FileJournal:
        """A new, empty journal. `start`: SHA-256 of the plan, the head of the chain. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        try:
            sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, run, descriptor, Scan(), start)

    @classmethod
    def reopen(cls, path: Path, run: str, start: str) -> FileJournal:
        """An existing journal, to go on with. A torn tail is cut off and kept in `<name>.torn`.

        Raises FleetError where the journal is damaged, OSError where it cannot be read or cut.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            data = path.read_bytes()
            found = scan(data)
            if found.damage:
                raise damaged(path, run, found)
            _cut(path, descriptor, found)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, run, descriptor, found, start)

    def append(self, record: Record) -> None:
        """Returns when the record is on disk. Values are encoded (`planner.model.encode`).

        Raises FleetError when it cannot be written; the record is then not in the journal.
        """
        self._group.append(payload(encode(record)))

    def _commit(self, batch: Sequence[bytes]) -> FleetError | None:
        lines, prev = seal_all(batch, self._count, self._prev)
        return self._write(b"".join(lines), self._count + len(lines), prev)

    def _write(self, data: bytes, number: int, prev: str) -> FleetError | None:
        """Write lines after the durable end. On failure the file is cut back to that end."""
        if self._broken or self._descriptor < 0:
            return FleetError(Diagnostic("error", "the journal cannot be written",
                                         f"{self._path}: {self._broken or 'it is closed'}"))
        committed = False
        try:
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            write_all(self._descriptor, data)
            _sync(self._descriptor)
            self._end, self._count, self._prev = self._end + len(data), number, prev
            committed = True
        except OSError as error:
            return failure("the journal cannot be written", self._path, error,
                           "Make room (or repair the disk), then fleet resume PATH or fleet rollback PATH.")
        finally:
            if not committed:
                self._cut_back()
        return None

    def _interrupted(self) -> FleetError:
        return FleetError(Diagnostic("error", "the journal was interrupted while it wrote", str(self._path),
                                     remedy="fleet resume PATH, or fleet rollback PATH"))

    def extend(self, lines: Sequence[bytes], first: int) -> int:
        """Append lines that are sealed already (a runner's), the first of which is record number `first`.

        Lines that are there are passed over, so that a call may be repeated. Returns the number of records. Not to be
        called while another thread appends. Raises Conflict, or FleetError as `append` does.
        """
        if first > self._count:
            raise Conflict(Diagnostic("error", "the journal is shorter than the runner knows it",
                                      f"{self._path}: it has {self._count} records, the next is said to be {first}",
                                      remedy=f"fleet state verify PATH; then fleet resume PATH (run {self.run})"))
        there = self._path.read_bytes()[: self._end].split(b"\n")[first:-1] if first < self._count else []
        if any(old != new for old, new in zip(there, lines, strict=False)):
            raise Conflict(Diagnostic("error", "the journal has other records by now",
                                      f"{self._path}: from record {first} on somebody else wrote",
                                      remedy=f"fleet resume PATH goes on with run {self.run}"))
        fresh, prev = lines[len(there):], self._prev
        for number, line in enumerate(fresh, self._count):
            record, why = checked(line, number, prev)
            if record is None:
                raise Conflict(Diagnostic("error", "a record does not fit the journal",
                                          f"{self._path}: record {number}: {why}"))
            prev = record["sum"]
        if fresh:
            error = self._write(b"".join(line + b"\n" for line in fresh), self._count + len(fresh), prev)
            if error is not None:
                raise error
        return self._count

    @property
    def count(self) -> int:
        """Records on disk."""
        return self._count

    def held(self) -> None:
        """The lock of a local store cannot be lost but by force."""

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._end)
            _sync(self._descriptor)
        except OSError as error:  # what follows could not be told from what was cut: write nothing more
            self._broken = f"an unfinished record could not be cut off ({error.strerror}); open it again"

    def records(self) -> Sequence[Record]:
        """Everything appended so far. Raises FleetError on damage."""
        return read(self._path, self.run)

    def close(self) -> None:
        self._descriptor = -1
        self._let_go()


def damaged(path: Path | str, run: str, found: Scan) -> FleetError:
    """The error for a damaged journal: the file, the record's number, what can be done."""
    return FleetError(Diagnostic(
        "error", "the journal is damaged",
        f"{path}: record {found.number} (line {found.number + 1}): {found.damage}",
        remedy="fleet state verify PATH lists all damage. Put the file back from a backup, or give the run up with "
               f"fleet state abandon PATH {run} --reason TEXT (the {found.number} records before it are kept).",
    ))  # fmt: skip


def missing(path: Path, run: str) -> FleetError:
    return FleetError(Diagnostic("error", f"there is no run {run}", str(path),
                                 remedy="fleet state history PATH lists the runs."))


def read(path: Path, run: str) -> list[Record]:
    """All records of a journal; a torn last line is left out. Raises FleetError on damage, or where there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise missing(path, run) from None
    except OSError as error:
        raise failure("the journal cannot be read", path, error) from error
    found = scan(data)
    if found.damage:
        raise damaged(path, run, found)
    return found.records


def _cut(path: Path, descriptor: int, found: Scan) -> None:
    """Cut a torn tail off (kept aside first), or give the last record its newline."""
    if found.torn:
        aside = os.open(path.with_name(path.name + ".torn"),
                        os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            with contextlib.suppress(OSError):  # a full disk must not keep anyone from going on
                write_all(aside, found.torn + b"\n")
                os.fsync(aside)
        finally:
            os.close(aside)
        os.ftruncate(descriptor, found.end)
        os.fsync(descriptor)
    elif not found.closed:
        os.lseek(descriptor, found.end, os.SEEK_SET)
        write_all(descriptor, b"\n")
        os.fsync(descriptor)
        found.end += 1
