"""The fleet's lock: flock(2) on one file, with who holds it and why written inside.

The kernel drops the lock with its process, so a dead process holds none. The descriptor is close-on-exec and is
closed in forked children: a helper process that outlives its parent does not keep the lock either.

A midwife holds the lock for a runner on another machine: then the note has a `lease` with the runner's token. It is
good for so many seconds after the last sign of life, which the file's mtime tells to about STAMP_SECONDS; a midwife
that is restarted takes it up again. An mtime of 0 says that it has lapsed.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import socket
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from planner.model import Diagnostic, Locked
from state.files import failure, make_folder

STAMP_SECONDS = 15.0
"""How far a lease's mtime may lag its last sign of life."""


def who() -> str:
    """The user's name; their number where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def now() -> str:
    """ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FileLock:
    """One lock file. `acquire` raises Locked; `release` is safe to call twice, and in a forked child."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._owner = 0
        self._watching = False

    def acquire(self, purpose: str, reason: str, more: Mapping[str, Any] | None = None) -> None:
        """`more`: of the note, for a holder on another machine: who, host, pid, lease.

        Raises Locked (who, since when, why), or FleetError where the file cannot be made.
        """
        try:
            make_folder(self._path.parent)
            descriptor = self._take()
            attempts = 100
            while descriptor < 0 and attempts and self._lets_go():
                time.sleep(0.01)
                attempts -= 1
                descriptor = self._take()
        except OSError as error:
            raise failure("the fleet cannot be locked", self._path, error) from error
        if descriptor < 0:
            raise self.refusal()
        if self._leased():  # to somebody whose midwife does not run just now
            os.close(descriptor)
            raise self.refusal()
        note = {"who": who(), "host": socket.gethostname(), "pid": os.getpid(), "since": now(),
                "purpose": purpose, "reason": reason, **(more or {})}
        with contextlib.suppress(OSError):  # a full disk: the lock itself holds, only its label is missing
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(note) + b"\n", 0)
            if token_of(note):
                os.fsync(descriptor)  # it outlives the machine's crash
        self._hold(descriptor)

    def _hold(self, descriptor: int) -> None:
        self._descriptor, self._owner = descriptor, os.getpid()
        self._close_in_children()

    def _take(self) -> int:
        """A locked descriptor, or -1. The file may be unlinked (`unlock`) between open and flock: then again."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return -1
            try:
                same = os.path.samestat(os.fstat(descriptor), os.stat(self._path))
            except FileNotFoundError:
                same = False
            if same:
                return descriptor
            os.close(descriptor)

    def _lets_go(self) -> bool:
        """Whether the lock will be free in a moment: somebody looks at it (`held`), or its holder is dead.

        A child that was being forked when its parent was killed holds the lock until it runs: a few moments.
        """
        note = self.holder()
        pid = note.get("pid")
        if not note and not self.held():
            return True
        if "lease" in note:
            return False
        if note.get("host") != socket.gethostname() or not isinstance(pid, int):
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def _close_in_children(self) -> None:
        if self._watching:
            return
        self._watching = True
        reference = weakref.ref(self)

        def close() -> None:
            lock = reference()
            if lock is not None and lock._descriptor >= 0:
                os.close(lock._descriptor)
                lock._descriptor = -1

        os.register_at_fork(after_in_child=close)

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0 or self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)  # the last descriptor of this opening: the kernel drops the lock

    def holder(self) -> dict[str, Any]:
        """What the holder wrote; {} where it is unreadable (it may be writing just now)."""
        for _attempt in range(5):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                note = msgspec.json.decode(self._path.read_bytes())
                if isinstance(note, dict):
                    return note
            time.sleep(0.01)
        return {}

    def held(self) -> str:
        """Who holds the lock, since when and why; "" where nobody does. Takes nothing, writes nothing.

        What a killed holder wrote stays in the file, so the lock itself is asked: for a moment it is shared then.
        """
        note = self.holder()
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return describe(note)
        except OSError:
            return ""
        finally:
            os.close(descriptor)
        return describe(note) if self._leased() else ""

    def refusal(self) -> Locked:
        """Who holds it, and what to do."""
        note = self.holder()
        remedy = "Wait until it ends. If that process is on a machine that is gone: fleet state unlock PATH."
        if "lease" in note:
            remedy = "Wait until it ends. If that machine is gone, its lease lapses by itself, after " \
                     f"{_seconds(note):.0f} s without a sign of life; at once: fleet state unlock PATH."
        return Locked(Diagnostic("error", "the fleet is locked", f"{describe(note)} ({self._path})", remedy=remedy))

    # --- leases -------------------------------------------------------------------------------------------

    @property
    def taken(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor >= 0 and self._owner == os.getpid()

    @property
    def good(self) -> bool:
        """Whether it holds it, and nobody took the file away (`force`)."""
        try:
            return self.taken and os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except OSError:
            return False

    @property
    def on_disk(self) -> bool:
        """Whether there is a lock file with a note, held or left."""
        try:
            return self._path.stat().st_size > 0
        except OSError:
            return False

    @property
    def lapsed(self) -> bool:
        """Whether the lease on disk was let go because it had lapsed."""
        try:
            return self._path.stat().st_mtime == 0
        except OSError:
            return True

    def take_up(self, token: str) -> bool:
        """Take the lock of a lease that was left: after it lapsed, or after a restart. The note stays.

        False where somebody else has it, or had it meanwhile. Raises OSError.
        """
        if not self._path.exists():
            return False
        descriptor, attempts = self._take(), 20
        while descriptor < 0 and attempts:  # somebody may only be looking
            time.sleep(0.01)
            attempts -= 1
            descriptor = self._take()
        if descriptor < 0:
            return False
        if token_of(self.holder()) != token:
            os.close(descriptor)
            return False
        self._hold(descriptor)
        self.stamp()
        return True

    def stamp(self) -> None:
        """A lease's sign of life, for whoever asks while no midwife runs."""
        with contextlib.suppress(OSError):
            os.utime(self._descriptor)

    def lapse(self) -> None:
        """Let go, and leave the note: the lease can be taken up again while nobody else takes the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.utime(descriptor, (0, 0))
            os.close(descriptor)

    def leave(self) -> None:
        """Let go at the end of this process; the lease stays good, for the one that comes next."""
        self.stamp()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _leased(self) -> bool:
        """Whether the note is that of a lease which has not lapsed."""
        try:
            stamped = os.stat(self._path).st_mtime
        except OSError:
            return False
        note = self.holder() if self.on_disk else {}
        return bool(token_of(note)) and time.time() < stamped + _seconds(note) + STAMP_SECONDS

    def force(self) -> str:
        """Take the lock away from whoever holds it; a sentence about what was removed. Raises FleetError."""
        try:
            if not self._path.exists():
                return "There was no lock."
            descriptor = self._take()
            if descriptor >= 0:
                os.close(descriptor)
                if not token_of(self.holder()):
                    return "There was no lock."
            text = describe(self.holder())
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise failure("the lock cannot be removed", self._path, error) from error
        return f"Removed the lock: {text}. If that process still runs, it may still write."


def token_of(note: Mapping[str, Any]) -> str:
    """The token of a lease's note; "" where it is none's."""
    lease = note.get("lease")
    return str(lease.get("token", "")) if isinstance(lease, dict) else ""


def _seconds(note: Mapping[str, Any]) -> float:
    lease = note.get("lease")
    seconds = lease.get("seconds") if isinstance(lease, dict) else None
    return float(seconds) if isinstance(seconds, (int, float)) else 60.0


def describe(note: dict[str, Any]) -> str:
    """`alice@host (process 7) since TIME, for apply: reason`."""
    if not note:
        return "by another process that left no name"
    text = f"by {note.get('who')}@{note.get('host')} (process {note.get('pid')}) since {note.get('since')}"
    text += f", for {note.get('purpose')}" if note.get("purpose") else ""
    return text + (f": {note['reason']}" if note.get("reason") else "")
