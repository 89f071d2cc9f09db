"""Runs nodes of a dependency graph on threads: what is ready runs, what depends on a failure does not.

Knows nothing of steps: the same walk goes forward (apply, resume) and backward (rollback).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

from planner.model import StepFailed

Policy = Literal["stop", "continue"]


@dataclass(slots=True)
class Stop:
    """Two levels of stopping: `soft` starts no new node, `hard` also ends waits and leaves running calls."""

    soft: threading.Event = field(default_factory=threading.Event)
    hard: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Walked:
    """What became of the nodes. `left`: never started; `running`: still running when a hard stop came."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, StepFailed] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many nodes run at once. `slow` nodes (waits) have threads of their own and do not count.

    `gate`: a node that opens a gated stretch, and the node that closes it (a boot, and its birth);
    at most `gate_width` stretches are open at once.
    """

    parallelism: int = 10
    slow: Collection[str] = ()
    gates: Mapping[str, str] = field(default_factory=dict)
    gate_width: int = 32


class Walk:
    """One walk. Not reusable."""

    def __init__(self, nodes: Sequence[str], needs: Mapping[str, Collection[str]], work: Callable[[str], None],
                 lanes: Lanes, stop: Stop, policy: Policy) -> None:
        self.work, self.lanes, self.stop, self.policy = work, lanes, stop, policy
        self.missing = {n: {w for w in needs.get(n, ()) if w != n} for n in nodes}
        self.dependants: dict[str, list[str]] = {}
        for node, wanted in self.missing.items():
            for want in wanted:
                self.dependants.setdefault(want, []).append(node)
        self.ready = [n for n, wanted in self.missing.items() if not wanted]
        self.closing = {close: start for start, close in lanes.gates.items()}
        self.open_gates: set[str] = set()
        self.result = Walked()
        self.started: set[str] = set()

    def run(self) -> Walked:
        """Raises what `work` raises besides StepFailed, after the running nodes ended."""
        if self.lanes.parallelism <= 1 and not self.lanes.slow:
            self._inline()
        else:
            self._threaded()
        self.result.left = [n for n in self.missing if n not in self.started]
        return self.result

    def _may_start(self) -> bool:
        return not self.stop.soft.is_set() and not (self.policy == "stop" and self.result.failed)

    def _next(self) -> str | None:
        for i, node in enumerate(self.ready):
            if node in self.lanes.gates and len(self.open_gates) >= self.lanes.gate_width:
                continue
            del self.ready[i]
            self.started.add(node)
            if node in self.lanes.gates:
                self.open_gates.add(node)
            return node
        return None

    def _ended(self, node: str, error: StepFailed | None) -> None:
        if node in self.closing:
            self.open_gates.discard(self.closing[node])
        if error is not None:
            self.open_gates.discard(node)
            self.result.failed[node] = error
            return
        self.result.done.append(node)
        for dependant in self.dependants.get(node, ()):
            self.missing[dependant].discard(node)
            if not self.missing[dependant]:
                self.ready.append(dependant)

    def _inline(self) -> None:
        while self._may_start():
            node = self._next()
            if node is None:
                return
            try:
                self.work(node)
            except StepFailed as error:
                self._ended(node, error)
            else:
                self._ended(node, None)

    def _threaded(self) -> None:
        calls = ThreadPoolExecutor(self.lanes.parallelism, "fleet-step")
        waits = ThreadPoolExecutor(max(1, min(len(self.lanes.slow), 256)), "fleet-wait")
        running: dict[Future[None], str] = {}
        fatal: BaseException | None = None
        try:
            while True:
                while fatal is None and self._may_start():
                    node = self._next()
                    if node is None:
                        break
                    pool = waits if node in self.lanes.slow else calls
                    running[pool.submit(self.work, node)] = node
                if not running:
                    break
                if self.stop.hard.is_set():
                    self.result.running = list(running.values())
                    break
                # A short time-out keeps the main thread open to signals: they only set flags.
                finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    node = running.pop(future)
                    error = future.exception()
                    if error is None or isinstance(error, StepFailed):
                        self._ended(node, error)
                    else:
                        fatal = fatal or error
        finally:
            calls.shutdown(wait=not self.result.running)
            waits.shutdown(wait=not self.result.running)
        if fatal is not None:
            raise fatal
