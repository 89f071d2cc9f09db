"""The durable inbox: accepted births are on disk before the reply leaves, and found quickly years later.

One thread writes: it gathers whatever waits and commits it as one (group commit). Refusals (forgeries, strangers) go
along best effort: bounded in rate and number, without any secret.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.model import Attrs, FleetError
from providers.midwife import ledger
from providers.midwife.rates import Bucket

Birth = dict[str, Any]

MAX_REFUSED = 1000
"""Refusals that wait to be written down, and that one read returns."""

BATCH = 500
"""Births in one commit."""

REFUSALS_SECONDS = 1.0
"""Refusals wait that long at most for a commit of births to go along with."""

PRUNE_SECONDS = 3600.0
PRUNE_DELAY = 60.0
"""Old births are removed once in an hour, and not while a storm begins."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept: births of the last `days`, at most `per_mac` of a MAC, and always its newest."""

    days: float = 400.0
    per_mac: int = 1000


@dataclass(slots=True)
class _Entry:
    record: Birth | None  # None: only write the refusals down
    done: Future[None]


class Inbox:
    """Births of one fleet. Constructing does no I/O; a folder of None keeps everything in memory.

    Reading never creates or changes a file. All methods are thread-safe.
    """

    def __init__(self, folder: Path | None, retention: Retention = Retention()) -> None:
        self._folder, self._retention = folder, retention
        self._lock = threading.Lock()  # of the fields; never held during I/O
        self._memory: sqlite3.Connection | None = None
        self._reader = ledger.Reader(folder) if folder is not None else None
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closed = False
        self._refused: deque[Birth] = deque(maxlen=MAX_REFUSED)
        self._refusal_rate = Bucket(50.0, float(MAX_REFUSED))
        self.refusals = 0

    @property
    def path(self) -> Path | None:
        return ledger.path_of(self._folder) if self._folder else None

    # --- reading ----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Attrs]:
        """Accepted births, oldest first, a page at a time (planner.ports.BirthView)."""
        last = -1
        while rows := self._rows("SELECT n, record FROM birth WHERE n > ? ORDER BY n LIMIT ?", last, ledger.PAGE):
            for n, record in rows:
                last = n
                yield json.loads(record)

    def of_boot(self, boot: str) -> Birth | None:
        return self._one("SELECT record FROM birth WHERE boot = ? ORDER BY n DESC LIMIT 1", boot)

    def newest(self, mac: str, generation: str) -> Birth | None:
        """The latest birth of that MAC that answers that staging."""
        return self._one("SELECT record FROM birth WHERE mac = ? AND generation = ? ORDER BY n DESC LIMIT 1",
                         mac, generation)

    def latest(self, limit: int = 100, mac: str = "") -> list[Birth]:
        """The newest `limit` births (of one MAC), oldest of them first."""
        return self._listed("birth", limit, mac)

    def latest_of(self, fleet: str, limit: int = 100) -> list[Birth]:
        """The newest births of one fleet of a midwife that has several, oldest of them first."""
        rows = self._rows("SELECT record FROM birth WHERE json_extract(record, '$.fleet') = ? ORDER BY n DESC LIMIT ?",
                          fleet, limit)
        return [json.loads(record) for record, in reversed(rows)]

    def refused(self, limit: int = MAX_REFUSED, mac: str = "") -> list[Birth]:
        """The newest refusals that were written down, oldest of them first."""
        self._flush()
        return self._listed("refusal", limit, mac)

    def macs(self) -> list[tuple[str, Birth]]:
        """Every MAC that was ever born, with its newest birth."""
        rows = self._rows("SELECT mac, record FROM birth WHERE n IN (SELECT max(n) FROM birth GROUP BY mac) "
                          "ORDER BY n")
        return [(mac, json.loads(record)) for mac, record in rows]

    def _listed(self, table: str, limit: int, mac: str) -> list[Birth]:
        # The table is one of two words of ours.
        sql = f"SELECT record FROM {table} {'WHERE mac = ?' if mac else ''} ORDER BY n DESC LIMIT ?"  # noqa: S608
        rows = self._rows(sql, *([mac] if mac else []), limit)
        return [json.loads(record) for record, in reversed(rows)]

    def _one(self, sql: str, *values: object) -> Birth | None:
        rows = self._rows(sql, *values)
        return json.loads(rows[0][0]) if rows else None

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        if self._reader is not None:
            return self._reader.rows(sql, values)
        with self._lock:
            return list(self._in_memory().execute(sql, values))

    def _in_memory(self) -> sqlite3.Connection:
        if self._memory is None:
            self._memory = ledger.open_for_writing(None)
        return self._memory

    # --- writing ----------------------------------------------------------------------------------------

    def append(self, record: Birth) -> Future[None]:
        """Resolves once the record is on disk; fails with OSError where it could not be written (FleetError: where
        the store is damaged)."""
        done: Future[None] = Future()
        with self._lock:
            if self._closed:
                done.set_exception(OSError("the inbox is closed"))
            elif self._folder is None:
                ledger.insert(self._in_memory(), [record])
                done.set_result(None)
            else:
                self._put(_Entry(record, done))
        return done

    def refuse(self, record: Birth) -> None:
        """Write a refusal down, best effort: a flood is counted, not recorded."""
        with self._lock:
            self.refusals += 1
            if self._closed or not self._refusal_rate.take(1.0, time.monotonic()):
                return
            if self._folder is None:
                ledger.insert_refusals(self._in_memory(), [record])
                return
            self._refused.append(record)
            if self._writer is None or len(self._refused) == 1:
                self._put(None)

    def close(self) -> None:
        """Everything that waits is written down first."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            writer = self._writer
            self._queue.put(None)
        if self._reader is not None:
            self._reader.close()  # first: SQLite's last connection that may write tidies its log up
        if writer is not None:
            writer.join(timeout=30)

    def _flush(self) -> None:
        with self._lock:
            if self._writer is None or self._closed or not self._refused:
                return
            entry = _Entry(None, Future())
            self._put(entry)
        entry.done.exception(30)  # what could not be written down is not listed

    def _put(self, entry: _Entry | None) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="births", daemon=True)
            self._writer.start()
        self._queue.put(entry)

    # --- the writer's thread ------------------------------------------------------------------------------

    def _write(self) -> None:
        assert self._folder is not None  # noqa: S101  # the thread only exists with a folder
        db: sqlite3.Connection | None = None
        due = time.monotonic() + PRUNE_DELAY
        while True:
            entries, ended = self._gather()
            with self._lock:
                refused = list(self._refused)
                self._refused.clear()
            if entries or refused:
                try:
                    db = db or ledger.open_for_writing(self._folder)
                    self._commit(db, [e.record for e in entries if e.record is not None], refused)
                except Exception as error:
                    _close(db)
                    db = None  # whatever was wrong with it, the next batch begins anew
                    _settle(entries, error)
                else:
                    _settle(entries, None)
            while db is not None and self._queue.empty() and time.monotonic() > due:
                if self._prune(db) == 0:
                    due = time.monotonic() + PRUNE_SECONDS
            if ended:
                _close(db)
                return

    def _gather(self) -> tuple[list[_Entry], bool]:
        """What waits: births at once, refusals alone after a moment. True: the inbox was closed."""
        entries: list[_Entry] = []
        found = self._queue.get()
        if found is None and not self._closed:
            try:
                found = self._queue.get(timeout=REFUSALS_SECONDS)
            except queue.Empty:
                return entries, False
        while True:
            if found is not None:
                entries.append(found)
            if self._queue.empty() or len(entries) >= BATCH:
                break
            found = self._queue.get()
        return entries, self._closed and self._queue.empty()

    def _commit(self, db: sqlite3.Connection, births: list[Birth], refused: list[Birth]) -> None:
        try:
            with ledger.writing(db):
                ledger.insert(db, births)
                ledger.insert_refusals(db, refused)
        except sqlite3.Error as error:
            raise ledger.trouble(error, self.path) from error

    def _prune(self, db: sqlite3.Connection) -> int:
        """How many were removed: a page at a time, so that births never wait for it."""
        from providers.midwife.desk import iso

        try:
            newest = db.execute("SELECT max(born) FROM birth").fetchone()[0]
            # Not by a clock alone that may have jumped ahead: nothing is old before something newer was born.
            limit = min(iso(time.time() - self._retention.days * 86400),
                        _days_before(str(newest or ""), self._retention.days))
            return ledger.prune(db, limit, self._retention.per_mac)
        except sqlite3.Error:
            return 0  # tidying up must not stop births; it is tried again in an hour


def _close(db: sqlite3.Connection | None) -> None:
    if db is not None:
        try:
            db.close()
        except sqlite3.Error:
            return


def _settle(entries: list[_Entry], error: Exception | None) -> None:
    for entry in entries:
        if not entry.done.set_running_or_notify_cancel():
            continue
        if error is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(error if isinstance(error, (OSError, FleetError)) else OSError(str(error)))


def _days_before(born: str, days: float) -> str:
    """ISO 8601 → ISO 8601; "" (older than everything) where it is none."""
    import datetime

    try:
        return (datetime.datetime.fromisoformat(born) - datetime.timedelta(days=days)).isoformat(
            timespec="microseconds")
    except (ValueError, OverflowError):
        return ""
