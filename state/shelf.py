"""The states of many fleets, as a midwife keeps them for runners on other machines: one folder and one lease each.

A lease is a runner's lock, held for it by this process: flock(2) on the fleet's lock file, with the runner's token in
the note (lock.py). Local commands on the same folder therefore see it, and are seen. Every call that changes something
carries the token, and is a sign of life; a lease without one for LEASE_SECONDS lapses. It may be taken up again by its
token until somebody else takes the lock: from then on that runner is fenced, whatever it still sends.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.model import Diagnostic, FleetError, Locked
from planner.ports import RunInfo
from state.files import failure
from state.journal import FileJournal
from state.lock import STAMP_SECONDS, FileLock, token_of
from state.served import ServedStore

LEASE_SECONDS = 60.0
SWEEP_SECONDS = 5.0
ENDED_TOKENS = 64
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")
_FLEET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")


class Fenced(Locked):
    """The caller's token is not, or no longer, that of the fleet's lock."""

    code = "fenced"


class Room:
    """One fleet's state and its lease. Thread-safe; made by `Shelf.room`."""

    def __init__(self, store: ServedStore, now: Callable[[], float], seconds: float) -> None:
        self.store, self._now, self._seconds = store, now, seconds
        self._mutex = threading.RLock()
        self._token = ""
        self._last = 0.0  # the lease's last sign of life
        self._stamped = 0.0
        self._ended: deque[str] = deque(maxlen=ENDED_TOKENS)
        self._journals: dict[str, FileJournal] = {}

    @property
    def _lock(self) -> FileLock:
        return self.store.file_lock

    # --- the lease ----------------------------------------------------------------------------------------

    def take(self, token: str, note: Mapping[str, Any]) -> float:
        """A lease for that token; seconds until it lapses. The same call again is a renewal. `note`: who, host, pid,
        purpose, reason. Raises Locked, Fenced (the token's lease is over), FleetError."""
        if not _TOKEN.match(token):
            raise FleetError("this is no token of a lock")
        with self._mutex:
            self.sweep()
            if token in self._ended:
                raise self._fenced()
            if token == self._token or self._take_up(token):
                self._sign()
                return self._seconds
            if self._token:  # by a lease: says who, and how long it lasts
                raise self._lock.refusal()
            pid = note.get("pid")
            self._lock.acquire(_text(note, "purpose"), _text(note, "reason"), {
                "who": _text(note, "who"), "host": _text(note, "host"), "pid": pid if isinstance(pid, int) else 0,
                "lease": {"token": token, "seconds": self._seconds}})
            self._begin(token)
            return self._seconds

    def check(self, token: str) -> float:
        """A sign of life; seconds until the lease lapses. Raises Fenced, saying who holds the lock."""
        with self._holding(token):
            return self._seconds

    def release(self, token: str) -> None:
        """The end of a lease. One that is over already is none of our business any more."""
        with self._mutex:
            if token and (token == self._token or self._take_up(token)):
                self._end()

    def unlock(self) -> str:
        """Take the lock away, whoever holds it; a sentence about what was removed. Raises FleetError."""
        with self._mutex:
            told = self.store.unlock()
            if self._token:
                self._end()
            return told

    def holder(self) -> str:
        """Who holds the lock, since when and why; "" where nobody does."""
        with self._mutex:
            self.sweep()
            return self.store.holder()

    def sweep(self) -> None:
        """Let a lease go that has lapsed, or whose file was taken away."""
        with self._mutex:
            if not self._token:
                return
            if not self._lock.good:
                self._end()
            elif self._now() > self._last + self._seconds:
                self._forget()
                self._lock.lapse()

    def adopt(self) -> None:
        """After a restart: the lease that is on disk is held again, and counts from now. Raises OSError."""
        with self._mutex:
            token = token_of(self._lock.holder()) if self._lock.on_disk else ""
            if token and not self._token and not self._lock.lapsed:
                self._take_up(token)

    def leave(self) -> None:
        """At the end of this process: the lease stays good."""
        with self._mutex:
            if self._token:
                self._forget()
                self._lock.leave()

    @contextmanager
    def _holding(self, token: str) -> Iterator[None]:
        """Everything that a lease allows happens inside, so that none can be taken in between. Raises Fenced."""
        with self._mutex:
            self.sweep()
            if not token or token in self._ended or not (token == self._token or self._take_up(token)):
                raise self._fenced()
            self._sign()
            yield
            self._sign()

    def _take_up(self, token: str) -> bool:
        try:
            if self._token or not self._lock.take_up(token):
                return False
        except OSError as error:
            raise failure("the fleet cannot be locked", self.store.folder / "lock", error) from error
        self._begin(token)
        return True

    def _begin(self, token: str) -> None:
        self._token = token
        self._last = self._stamped = self._now()

    def _sign(self) -> None:
        self._last = self._now()
        if self._last > self._stamped + STAMP_SECONDS:
            self._stamped = self._last
            self._lock.stamp()

    def _end(self) -> None:
        self._ended.append(self._token)
        self._forget()
        self._lock.release()

    def _forget(self) -> None:
        self._token = ""
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()

    def _fenced(self) -> Fenced:
        holder = self.store.holder()
        return Fenced(Diagnostic(
            "error", "the fleet's lock was lost",
            f"it is held now {holder}" if holder else "it lapsed, or was removed by force, and nobody holds it now",
            remedy="this process changes nothing any more; an unfinished run is in the journal: fleet resume PATH, or "
                   "fleet rollback PATH, once the lock is free"))

    # --- what needs it ------------------------------------------------------------------------------------

    def put(self, token: str, data: bytes, seen: int | None) -> int:
        """Replace the state; its serial. Raises Fenced, Stale, FleetError."""
        with self._holding(token):
            return self.store.put(data, seen)

    def start(self, token: str, run: str, plan: bytes) -> int:
        """A new run; 0. Raises Fenced, FleetError."""
        with self._holding(token):
            self._journals[run] = self.store.start(run, plan)
            return 0

    def reopen(self, token: str, run: str, *, salvage: bool = False) -> int:
        """A run that goes on; its records. Raises Fenced, FleetError."""
        with self._holding(token):
            if known := self._journals.pop(run, None):
                known.close()
            journal = self.store.salvage(run) if salvage else self.store.journal(run)
            self._journals[run] = journal
            return journal.count

    def extend(self, token: str, run: str, first: int, data: bytes) -> int:
        """Append sealed lines from record number `first` on; how many records there are. Durable on return.

        Raises Fenced, Conflict, FleetError.
        """
        if not data.endswith(b"\n"):
            raise FleetError("the records end in the middle of a line")
        with self._holding(token):
            if run not in self._journals:  # the midwife was restarted
                self._journals[run] = self.store.journal(run)
            try:
                return self._journals[run].extend(data.split(b"\n")[:-1], first)
            except OSError as error:
                raise failure("the journal cannot be read", self.store.journal_path(run), error) from error

    # --- what anybody may see -----------------------------------------------------------------------------

    def document(self) -> bytes | None:
        return self.store.document()

    def kept_document(self, serial: int) -> bytes | None:
        return self.store.kept_document(serial)

    def serials(self) -> Sequence[int]:
        return self.store.serials()

    def runs(self) -> Sequence[RunInfo]:
        return self.store.runs()

    def lines(self, run: str) -> bytes:
        return self.store.lines(run)

    def plan(self, run: str) -> bytes:
        return self.store.plan(run)

    def verify(self) -> Iterable[Diagnostic]:
        return self.store.verify()


class Shelf:
    """All fleets below `folder`. Constructing does no I/O. `now`: seconds that never go back."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic,
                 seconds: float = LEASE_SECONDS) -> None:
        self._folder, self._now, self._seconds = folder, now, seconds
        self._rooms: dict[str, Room] = {}
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._sweeper: threading.Thread | None = None

    def room(self, fleet: str) -> Room:
        """Raises FleetError where that is no fleet's name."""
        with self._mutex:
            if fleet not in self._rooms:
                if not _FLEET.match(fleet) or ".." in fleet:
                    raise FleetError(Diagnostic("error", "not a name for a fleet", repr(fleet)))
                self._rooms[fleet] = Room(ServedStore(self._folder / fleet, fleet), self._now, self._seconds)
            return self._rooms[fleet]

    def start(self) -> None:
        """Leases that an earlier process left are held again; those that lapse are let go of from now on."""
        for path in sorted(self._folder.glob("*/lock")):
            with contextlib.suppress(FleetError, OSError):  # what is no fleet of ours
                self.room(path.parent.name).adopt()
        self._stop.clear()
        self._sweeper = threading.Thread(target=self._sweep, name="midwife-leases", daemon=True)
        self._sweeper.start()

    def _sweep(self) -> None:
        while not self._stop.wait(SWEEP_SECONDS):
            self.sweep()

    def sweep(self) -> None:
        with self._mutex:
            rooms = list(self._rooms.values())
        for room in rooms:
            room.sweep()

    def close(self) -> None:
        """Journals are closed; leases stay good on disk."""
        self._stop.set()
        if self._sweeper is not None:
            self._sweeper.join()
            self._sweeper = None
        with self._mutex:
            rooms = list(self._rooms.values())
        for room in rooms:
            room.leave()


def _text(note: Mapping[str, Any], key: str) -> str:
    """Of a runner's own words: short, on one line, nothing that drives a terminal."""
    value = note.get(key)
    text = " ".join(str(value).split())[:500] if isinstance(value, (str, int)) else ""
    return "".join(c for c in text if c.isprintable())
