"""Topological order and closures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.graph import CycleError, closure, topological


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_needs_come_before_and_order_is_kept_where_free(size: int, random: object) -> None:
    nodes = list(range(size))
    needs = {n: {m for m in range(n) if random.random() < 0.2} for n in nodes}  # type: ignore[attr-defined]
    shuffled = nodes[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    order = topological(shuffled, needs)
    assert sorted(order) == nodes
    assert all(order.index(m) < order.index(n) for n in nodes for m in needs[n])
    assert topological(nodes, needs) == nodes


def test_a_cycle_is_named() -> None:
    with pytest.raises(CycleError) as caught:
        topological("abcd", {"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert set(caught.value.cycle) == {"a", "b", "c"}
    assert str(caught.value).count("→") == 3


def test_needs_outside_are_ignored() -> None:
    assert topological(["a"], {"a": {"elsewhere"}}) == ["a"]


def test_closure_is_transitive() -> None:
    assert closure(["a"], {"a": {"b"}, "b": {"c"}, "d": {"a"}}) == {"a", "b", "c"}
