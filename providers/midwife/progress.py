"""How far a run has brought each host, from the records of its journal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One record of a journal. `time`: ISO 8601, UTC, microseconds. `message`: of a failure."""

    kind: str
    step: str
    time: str
    message: str = ""


class RunProgress:
    """A `view.RunView` of one run. Thread-safe.

    `steps`: id → (the host's address, operation). `powers`: names of the operations that start a machine; `takes`:
    those after which vCenter has a newborn (the catalogue's `birth="taken"`).
    """

    def __init__(self, steps: Mapping[str, tuple[str, str]], powers: Iterable[str], takes: Iterable[str]) -> None:
        self._steps, self._open = dict(steps), set(steps)
        self._left = Counter(host for host, _ in self._steps.values())
        self._powers, self._takes = frozenset(powers), frozenset(takes)
        self._lock = threading.Lock()
        self._reached: dict[str, dict[str, str]] = {}
        self._problems: dict[str, tuple[str, str]] = {}  # host → step, what went wrong

    def __call__(self, note: Note) -> None:
        with self._lock:
            if note.kind == "end":
                self._problems.clear()  # what is still wrong after it, the next plan says
                return
            host, operation = self._steps.get(note.step, ("", ""))
            if not host:
                return  # the run's own records, and steps that a rollback added
            reached = self._reached.setdefault(host, {})
            if self._problems.get(host, ("",))[0] == note.step:
                del self._problems[host]  # it is tried again
            if note.kind == "begin" and operation in self._powers:
                reached["powered"] = note.time
            elif note.kind in ("done", "skipped"):
                self._ended(host, note, operation, reached)
            elif note.kind == "failed":
                self._problems[host] = note.step, note.message or f"{operation} failed"
            elif note.kind in ("undone", "void"):
                self._again(host, note.step, operation, reached)

    def _ended(self, host: str, note: Note, operation: str, reached: dict[str, str]) -> None:
        self._left[host] -= note.step in self._open
        self._open.discard(note.step)
        if operation in self._takes:
            reached["cleaned"] = note.time
        if self._left[host] == 0:
            reached["configured"] = note.time
            self._problems.pop(host, None)

    def _again(self, host: str, step: str, operation: str, reached: dict[str, str]) -> None:
        self._left[host] += step not in self._open
        self._open.add(step)
        reached.pop("configured", None)
        if operation in self._takes:
            reached.pop("cleaned", None)

    def reached(self, host: str) -> Mapping[str, str]:
        """Stage ("powered", "cleaned", "configured") → when it was last reached."""
        with self._lock:
            return dict(self._reached.get(host, {}))

    def problem(self, host: str) -> str:
        """What stopped it; "" where nothing did."""
        with self._lock:
            return self._problems.get(host, ("", ""))[1]

    def hosts(self) -> Iterable[str]:
        """Those that the journal speaks of."""
        with self._lock:
            return list(self._reached)
