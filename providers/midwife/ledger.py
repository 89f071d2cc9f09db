"""The durable store of births: one SQLite file in WAL mode, for years of births of a long-lived service.

Format 1 (`PRAGMA user_version`): `birth` (n, mac, generation, boot, born, record) and `refusal` (n, time, mac,
record), where `record` is the whole record as ASCII JSON. A commit is synced (synchronous=FULL) before it returns; a
kill or a power cut in the middle of one leaves a tail without a valid checksum, which SQLite drops: that birth was
never acknowledged. Readers in other processes neither wait for the writer nor hold it up, and write nothing.

Before this format births were lines of `births.jsonl`: that file is taken over once, and then called
`births.jsonl.imported`.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.model import Diagnostic, FleetError

FORMAT = 1
MAX_REFUSALS = 10_000
"""Refusals that are kept: the newest."""

PAGE = 500
"""Records that are read at a time, and removed at a time."""

Record = dict[str, Any]

_TABLES = """
CREATE TABLE birth (n INTEGER PRIMARY KEY, mac TEXT NOT NULL, generation TEXT NOT NULL, boot TEXT NOT NULL,
                    born TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX birth_mac ON birth (mac, n);
CREATE INDEX birth_boot ON birth (boot);
CREATE INDEX birth_fleet ON birth (json_extract(record, '$.fleet'), n);
CREATE TABLE refusal (n INTEGER PRIMARY KEY, time TEXT NOT NULL, mac TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX refusal_mac ON refusal (mac, n);
"""


def path_of(folder: Path) -> Path:
    return folder / "births.db"


# --- writing --------------------------------------------------------------------------------------------------


def open_for_writing(folder: Path | None) -> sqlite3.Connection:
    """Make the file where there is none, take births.jsonl over. None: in memory. Raises OSError, FleetError."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path_of(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # certificates, addresses
    where = ":memory:" if folder is None else str(path_of(folder))
    try:
        made = sqlite3.connect(where, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            _prepare(made, folder)
        except BaseException:
            made.close()
            raise
    except sqlite3.Error as error:
        raise trouble(error, where) from error
    return made


def _prepare(db: sqlite3.Connection, folder: Path | None) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_autocheckpoint=4000")
    db.execute("PRAGMA journal_size_limit=16777216")
    version = _checked_version(db, folder)
    legacy = folder / "births.jsonl" if folder is not None else None
    if version and (legacy is None or not legacy.exists()):
        return
    with writing(db):
        if not _checked_version(db, folder):
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={FORMAT}")
        if legacy is not None and legacy.exists():
            # Killed between this commit and the renaming: what was taken over already is not taken twice.
            insert(db, [r for r in read_lines(legacy) if not _known(db, str(r["boot"]))])
    if legacy is not None and legacy.exists():
        os.replace(legacy, legacy.with_name("births.jsonl.imported"))


def _known(db: sqlite3.Connection, boot: str) -> bool:
    return db.execute("SELECT 1 FROM birth WHERE boot = ?", (boot,)).fetchone() is not None


def _checked_version(db: sqlite3.Connection, folder: Path | None) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT:
        raise FleetError(Diagnostic(
            "error", "the record of births is from a newer version",
            f"{path_of(folder) if folder else 'memory'}: format {version}, this version reads {FORMAT}",
            remedy="use the newer fleet"))
    return version


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction: all of it durable when the block ends, or none of it. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself after some errors
            db.execute("ROLLBACK")
        raise


def insert(db: sqlite3.Connection, records: Iterable[Record]) -> None:
    db.executemany("INSERT INTO birth (mac, generation, boot, born, record) VALUES (?, ?, ?, ?, ?)",
                   ((r["mac"], r["generation"], r["boot"], str(r.get("born", "")), _text(r)) for r in records))


def insert_refusals(db: sqlite3.Connection, records: Sequence[Record]) -> None:
    """The oldest ones make room."""
    if not records:
        return
    db.executemany("INSERT INTO refusal (time, mac, record) VALUES (?, ?, ?)",
                   ((str(r.get("time", "")), str(r.get("mac", "")), _text(r)) for r in records))
    db.execute("DELETE FROM refusal WHERE n <= (SELECT max(n) FROM refusal) - ?", (MAX_REFUSALS,))


def prune(db: sqlite3.Connection, before: str, per_mac: int) -> int:
    """Remove up to PAGE births: born earlier than `before` (ISO 8601) or beyond the newest `per_mac` of their MAC.

    The newest birth of a MAC always stays: it says what that host runs. Returns how many were removed.
    """
    with writing(db):
        old = db.execute(
            "DELETE FROM birth WHERE n IN (SELECT n FROM birth AS b WHERE born < ? AND n < "
            "(SELECT max(n) FROM birth WHERE mac = b.mac) ORDER BY n LIMIT ?)", (before, PAGE)).rowcount
        many = db.execute(
            "DELETE FROM birth WHERE n IN (SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY mac "
            "ORDER BY n DESC) AS place FROM birth) WHERE place > ? ORDER BY n LIMIT ?)",
            (max(1, per_mac), PAGE)).rowcount
    return int(old) + int(many)


def _text(record: Record) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


# --- what went wrong ------------------------------------------------------------------------------------------


def trouble(error: sqlite3.Error, where: object) -> OSError | FleetError:
    """A full or broken disk is an OSError (try again); damage is a FleetError (a person must look)."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or type(error) is sqlite3.DatabaseError:
        return _damaged(f"{where}: {error}")
    code = errno.ENOSPC if name == "SQLITE_FULL" else errno.EBUSY if name.startswith("SQLITE_BUSY") else errno.EIO
    return OSError(code, str(error), str(where))


# --- reading --------------------------------------------------------------------------------------------------


class Reader:
    """Queries of a process that does not write. Opens nothing before the first query, and never writes.

    Where no process has the file open (no `-wal` beside it) it is read as the immutable file that it is, so that
    not even SQLite's lock files are made; if it changed meanwhile the query is repeated.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = path_of(folder)
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._seen: tuple[object, ...] = ()

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Raises OSError, FleetError."""
        with self._lock:
            for _ in range(20):
                mark = self._mark()
                try:
                    db = self._connection(mark)
                    found = list(db.execute(sql, values)) if db is not None else []
                except sqlite3.Error as error:
                    self._close()
                    if self._mark() == mark:
                        raise trouble(error, self._path) from error
                    continue
                if self._mark() == mark:
                    return found
        raise OSError(errno.EBUSY, "the record of births changes all the time", str(self._path))

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db, self._seen = None, ()

    def _mark(self) -> tuple[object, ...]:
        """Equal marks before and after a query: what was read is one state of the file."""
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return ("none", *_stamp(self._folder / "births.jsonl"))
        if os.path.exists(f"{self._path}-wal"):
            return ("shared", stat.st_ino)
        return ("alone", *_stamp(self._path))

    def _connection(self, mark: tuple[object, ...]) -> sqlite3.Connection | None:
        if self._db is not None and self._seen == mark:
            return self._db
        self._close()
        if mark == ("none",):
            return None
        if mark[0] == "none":  # births of before this format, and nobody who may write has come by yet
            self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._db.executescript(_TABLES)
            insert(self._db, read_lines(self._folder / "births.jsonl"))
        else:
            options = "mode=ro" if mark[0] == "shared" else "mode=ro&immutable=1"
            self._db = sqlite3.connect(f"{self._path.absolute().as_uri()}?{options}", uri=True, timeout=10,
                                       isolation_level=None, check_same_thread=False)
            if not _checked_version(self._db, self._folder):  # made this moment, its tables not committed yet
                self._close()
                return None
        self._seen = mark
        return self._db


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return ()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def read_lines(path: Path) -> Iterator[Record]:
    """Records of a births.jsonl; a last line without its end was never acknowledged. Raises FleetError."""
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
            whole = all(isinstance(record[name], str) for name in ("mac", "generation", "boot"))
        except (ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            raise _damaged(f"{path}: line {number} is not a birth record")
        yield record


def _damaged(where: str) -> FleetError:
    return FleetError(Diagnostic(
        "error", "the record of births is damaged", where,
        remedy="restore the file from a backup, or move it away: hosts not yet configured are then booted again"))
