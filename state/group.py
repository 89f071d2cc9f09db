"""Group commit: many threads append, one at a time writes for all that wait.

Whoever finds nobody writing becomes the leader, takes the waiting payloads, commits them at once and wakes the
others. An interrupt of the leader (Ctrl-C) leaves nobody waiting.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence

from planner.model import FleetError


class _Entry:
    __slots__ = ("done", "error", "payload")

    def __init__(self, data: bytes) -> None:
        self.payload = data
        self.done = False
        self.error: FleetError | None = None


class GroupCommit:
    """`commit` gets one batch after another, never two at once, and returns what went wrong.

    `interrupted` is asked for the error of a batch whose commit was broken off. A batch has up to `limit` bytes, and
    one payload at least.
    """

    def __init__(self, commit: Callable[[Sequence[bytes]], FleetError | None], interrupted: Callable[[], FleetError],
                 limit: int = sys.maxsize) -> None:
        self._commit, self._interrupted, self._limit = commit, interrupted, limit
        self._queue: list[_Entry] = []
        self._ready = threading.Condition()
        self._leading = False

    def append(self, data: bytes) -> None:
        """Returns when `data` is committed. Raises the FleetError that its batch ended with."""
        entry = _Entry(data)
        batch: list[_Entry] = []
        error: FleetError | None = None
        ended = False
        try:
            with self._ready:
                self._queue.append(entry)
                while not entry.done and self._leading:
                    self._ready.wait()
                if not entry.done:
                    self._leading = True
                    batch, self._queue = self._taken()
            if batch:
                error = self._commit([waiting.payload for waiting in batch])
            ended = True
        finally:
            if batch:
                self._wake(batch, error if ended else self._interrupted())
        if entry.error is not None:
            raise type(entry.error)(*entry.error.diagnostics) from entry.error

    def _taken(self) -> tuple[list[_Entry], list[_Entry]]:
        """What goes with this batch, and what is left for the next."""
        size = 0
        for number, entry in enumerate(self._queue):
            size += len(entry.payload)
            if number and size > self._limit:
                return self._queue[:number], self._queue[number:]
        return self._queue, []

    def _wake(self, batch: Sequence[_Entry], error: FleetError | None) -> None:
        with self._ready:
            self._leading = False
            for entry in batch:
                entry.done, entry.error = True, error
            self._ready.notify_all()
