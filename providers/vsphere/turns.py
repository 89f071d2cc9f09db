"""One at a time: what several hosts' steps would change at once, and the server takes from one client only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from planner.model import StepFailed
from planner.ports import Call, Clock

_LOOK = 0.2  # seconds between two looks at whether waiting is over


class Turns:
    """A lock per object. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def of(self, name: str, clock: Clock, call: Call) -> Iterator[None]:
        """Held inside. Raises StepFailed where the step's time is over, or the run is stopped, before its turn comes:
        nothing was done then."""
        with self._lock:
            mine = self._locks.setdefault(name, threading.Lock())
        told = False
        while not mine.acquire(timeout=0 if not told else _LOOK):
            if call.stop.is_set():
                raise StepFailed("stopped while it waited for its turn", "another host's step changes the same object")
            if clock.now() >= call.deadline:
                raise StepFailed("its turn did not come in time", "other hosts' steps change the same object",
                                 "resume: nothing was done", retry=True)
            if not told:
                call.report("waiting: another host's step changes the same distributed switch")
                told = True
        try:
            yield
        finally:
            mine.release()
