"""The walk: order, policies, gates, stops."""

from __future__ import annotations

import threading
import time

import pytest

from planner.execute.walk import Lanes, Stop, Walk
from planner.model import StepFailed


@pytest.mark.parametrize("parallelism", [1, 4])
def test_needs_come_first(parallelism: int) -> None:
    seen: list[str] = []
    result = Walk(["c", "b", "a"], {"c": ["b"], "b": ["a"]}, seen.append, Lanes(parallelism), Stop(), "stop").run()
    assert seen == ["a", "b", "c"]
    assert result.done == seen


@pytest.mark.parametrize("parallelism", [1, 4])
def test_stop_policy_starts_nothing_after_a_failure(parallelism: int) -> None:
    seen: list[str] = []

    def work(node: str) -> None:
        seen.append(node)
        if node == "a":
            raise StepFailed("no")

    result = Walk(["a", "b", "c"], {"b": ["a"], "c": ["b"]}, work, Lanes(parallelism), Stop(), "stop").run()
    assert seen == ["a"]
    assert set(result.failed) == {"a"}
    assert result.left == ["b", "c"]


@pytest.mark.parametrize("parallelism", [1, 4])
def test_continue_policy_goes_on_with_independent_branches(parallelism: int) -> None:
    def work(node: str) -> None:
        if node == "a":
            raise StepFailed("no")

    result = Walk(["a", "b", "c", "d"], {"b": ["a"], "d": ["c"]}, work, Lanes(parallelism), Stop(), "continue").run()
    assert sorted(result.done) == ["c", "d"]
    assert result.left == ["b"]


def test_soft_stop_ends_what_runs_and_starts_nothing() -> None:
    stop = Stop()
    seen: list[str] = []

    def work(node: str) -> None:
        seen.append(node)
        stop.soft.set()

    result = Walk([f"n{i}" for i in range(50)], {}, work, Lanes(2), stop, "stop").run()
    assert 1 <= len(seen) <= 2
    assert len(result.left) == 50 - len(seen)


def test_hard_stop_leaves_the_running_ones() -> None:
    stop, release = Stop(), threading.Event()

    def work(node: str) -> None:
        stop.soft.set()
        stop.hard.set()
        release.wait(10)

    result = Walk(["a"], {}, work, Lanes(2), stop, "stop").run()
    release.set()
    assert result.running == ["a"]


def test_gates_bound_open_boots() -> None:
    """A boot opens a gate that its birth closes; never more are open than the gate is wide."""
    lock, now, most = threading.Lock(), 0, 0

    def work(node: str) -> None:
        nonlocal now, most
        with lock:
            now += 1 if node.startswith("boot") else -1
            most = max(most, now)
        time.sleep(0.001)

    nodes = [f"{kind}{i}" for i in range(12) for kind in ("boot", "birth")]
    lanes = Lanes(8, frozenset(f"birth{i}" for i in range(12)), {f"boot{i}": f"birth{i}" for i in range(12)}, 3)
    result = Walk(nodes, {f"birth{i}": [f"boot{i}"] for i in range(12)}, work, lanes, Stop(), "stop").run()
    assert len(result.done) == 24
    assert most <= 3


def test_an_unexpected_error_is_raised_after_the_running_nodes_ended() -> None:
    ended: list[str] = []

    def work(node: str) -> None:
        if node == "bad":
            raise RuntimeError("boom")
        time.sleep(0.05)
        ended.append(node)

    with pytest.raises(RuntimeError, match="boom"):
        Walk(["bad", "good"], {}, work, Lanes(2), Stop(), "stop").run()
    assert ended == ["good"]
