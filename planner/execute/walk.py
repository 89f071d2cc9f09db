"""Runs nodes of a dependency graph on threads: what is ready runs, what depends on a failure does not.

Knows nothing of steps: the same walk goes forward (apply, resume) and backward (rollback).
"""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from planner.model import StepFailed

Policy = Literal["stop", "continue"]


@dataclass(slots=True)
class Stop:
    """Two levels of stopping: `soft` starts no new node and ends waits, `hard` also leaves running calls.

    `leaves`: somebody may ask for `hard`, so even a single lane runs on a thread that can be left.
    """

    soft: threading.Event = field(default_factory=threading.Event)
    hard: threading.Event = field(default_factory=threading.Event)
    leaves: bool = False


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
    slow: frozenset[str] = frozenset()
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
        self.position = {n: i for i, n in enumerate(nodes)}
        self.ready: list[tuple[int, str]] = []  # a heap: of what is ready, the first listed starts first
        self.ready_slow: list[tuple[int, str]] = []
        self.busy = 0
        for node, wanted in self.missing.items():
            if not wanted:
                self._make_ready(node)
        self.closing = {close: start for start, close in lanes.gates.items()}
        self.open_gates: set[str] = set()
        self.result = Walked()
        self.started: set[str] = set()

    def run(self) -> Walked:
        """Raises what `work` raises besides StepFailed, after the running nodes ended."""
        if self.lanes.parallelism <= 1 and not self.lanes.slow and not self.stop.leaves:
            self._inline()
        else:
            self._threaded()
        self.result.left = [n for n in self.missing if n not in self.started]
        return self.result

    def _may_start(self) -> bool:
        return not self.stop.soft.is_set() and not (self.policy == "stop" and self.result.failed)

    def _make_ready(self, node: str) -> None:
        heap = self.ready_slow if node in self.lanes.slow else self.ready
        heapq.heappush(heap, (self.position[node], node))

    def _next(self) -> str | None:
        """A node that may start now: at most `parallelism` run at once, so that a stop finds none queued."""
        if self.ready_slow:
            return self._start(heapq.heappop(self.ready_slow)[1])
        if self.busy >= max(1, self.lanes.parallelism):
            return None
        held: list[tuple[int, str]] = []
        found = None
        while self.ready and found is None:
            item = heapq.heappop(self.ready)
            if item[1] in self.lanes.gates and len(self.open_gates) >= self.lanes.gate_width:
                held.append(item)
            else:
                found = item[1]
        for item in held:
            heapq.heappush(self.ready, item)
        if found is None:
            return None
        if found in self.lanes.gates:
            self.open_gates.add(found)
        self.busy += 1
        return self._start(found)

    def _start(self, node: str) -> str:
        self.started.add(node)
        return node

    def _ended(self, node: str, error: StepFailed | None) -> None:
        if node not in self.lanes.slow:
            self.busy -= 1
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
                self._make_ready(dependant)

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
        calls = ThreadPoolExecutor(max(1, self.lanes.parallelism), "fleet-step")
        waits = ThreadPoolExecutor(max(1, min(len(self.lanes.slow), 256)), "fleet-wait")
        running: dict[Future[None], str] = {}
        finished: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        fatal: BaseException | None = None
        try:
            while True:
                while fatal is None and self._may_start():
                    node = self._next()
                    if node is None:
                        break
                    pool = waits if node in self.lanes.slow else calls
                    future = pool.submit(self.work, node)
                    running[future] = node
                    future.add_done_callback(finished.put)
                if not running:
                    break
                if self.stop.hard.is_set():
                    self.result.running = list(running.values())
                    break
                try:  # a short time-out keeps the main thread open to signals: they only set flags
                    future = finished.get(timeout=0.2)
                except queue.Empty:
                    continue
                error = future.exception()
                if error is None or isinstance(error, StepFailed):
                    self._ended(running.pop(future), error)
                else:
                    del running[future]
                    fatal = fatal or error
                    self.stop.soft.set()  # nobody waits for what can no longer be written down
        finally:
            calls.shutdown(wait=not self.result.running)
            waits.shutdown(wait=not self.result.running)
        if fatal is not None:
            raise fatal
