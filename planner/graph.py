"""Order over dependencies: a stable topological sort, and the cycle where there is one."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


class CycleError(Exception):
    """`cycle` lists the nodes in order; the last depends on the first."""

    def __init__(self, cycle: Sequence[object]) -> None:
        super().__init__(" → ".join(str(n) for n in [*cycle, cycle[0]]))
        self.cycle = tuple(cycle)


def topological(nodes: Iterable[T], needs: Mapping[T, Collection[T]]) -> list[T]:
    """`nodes` in their given order as far as `needs` (node → what must come before) allows.

    Needs outside `nodes` are ignored. O((n + edges) log n). Raises CycleError.
    """
    position = {node: i for i, node in enumerate(nodes)}
    order = list(position)
    missing: dict[T, set[T]] = {node: {n for n in needs.get(node, ()) if n in position and n != node} for node in order}
    dependants: dict[T, list[T]] = {}
    for node, wanted in missing.items():
        for want in wanted:
            dependants.setdefault(want, []).append(node)
    ready = [position[node] for node in order if not missing[node]]
    heapq.heapify(ready)
    result: list[T] = []
    while ready:
        node = order[heapq.heappop(ready)]
        result.append(node)
        for dependant in dependants.get(node, ()):
            missing[dependant].discard(node)
            if not missing[dependant]:
                heapq.heappush(ready, position[dependant])
    if len(result) < len(order):
        cycle: list[T] = _find_cycle(missing)
        raise CycleError(cycle)
    return result


def _find_cycle(missing: Mapping[T, set[T]]) -> list[T]:
    node = next(n for n, wanted in missing.items() if wanted)
    seen: dict[T, int] = {}
    path: list[T] = []
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = next(iter(missing[node]))
    return path[seen[node]:][::-1]


def closure(starts: Iterable[T], edges: Mapping[T, Iterable[T]]) -> set[T]:
    """Everything reachable from `starts`, the starts included."""
    found: set[T] = set()
    stack = list(starts)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(edges.get(node, ()))
    return found
