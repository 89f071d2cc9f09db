"""How far a run has brought each host, from the events that a run tells its listeners."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from planner.model import Step
from planner.ports import Event
from providers.midwife.desk import iso

POWERS = frozenset({"power.boot", "power.manual"})


class RunProgress:
    """A listener of a run (planner.ports.Listener) that is a `view.RunView`. Thread-safe.

    `takes`: names of the operations after which vCenter has a newborn (the catalogue's `birth="taken"`). `now`:
    seconds since the epoch.
    """

    def __init__(self, steps: Iterable[Step], takes: Iterable[str], now: Callable[[], float]) -> None:
        self._roots = {step.id: str(step.address.root) for step in steps}
        self._open, self._left = set(self._roots), Counter(self._roots.values())
        self._takes, self._now = frozenset(takes), now
        self._lock = threading.Lock()
        self._reached: dict[str, dict[str, str]] = {}
        self._problems: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        host = self._roots.get(event.step)
        if host is None:
            return  # the run's own start and end
        with self._lock:
            reached = self._reached.setdefault(host, {})
            if event.kind == "begin" and event.operation in POWERS:
                reached["powered"] = iso(self._now())
            elif event.kind in ("done", "skipped"):
                self._ended(host, event, reached)
            elif event.kind == "failed":
                self._problems[host] = event.message or f"{event.operation} failed"
            elif event.kind == "undone":
                reached.pop("configured", None)

    def _ended(self, host: str, event: Event, reached: dict[str, str]) -> None:
        self._left[host] -= event.step in self._open
        self._open.discard(event.step)
        if event.operation in self._takes:
            reached.setdefault("cleaned", iso(self._now()))
        if self._left[host] == 0:
            reached["configured"] = iso(self._now())
            self._problems.pop(host, None)

    def reached(self, host: str) -> Mapping[str, str]:
        with self._lock:
            return dict(self._reached.get(host, {}))

    def problem(self, host: str) -> str:
        with self._lock:
            return self._problems.get(host, "")

