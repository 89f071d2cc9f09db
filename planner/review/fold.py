"""Groups that are the same but for values, folded: one in full, the others as a table of what differs.

Nothing is lost: the table holds every value that differs, of every member.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_COLUMNS = 8
"""A table with more columns than this is harder to read than the groups in full."""


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """What concerns one root.

    `alike` are groups that get the same but for the values in `rows`: one row per group, this one first, one cell
    per name in `columns`.
    """

    title: str
    items: tuple[T, ...]
    alike: tuple[Group[T], ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def members(self) -> tuple[Group[T], ...]:
        return (self, *self.alike)


def fold(groups: Sequence[Group[T]], shape: Callable[[Group[T]], Hashable],
         values: Callable[[Group[T]], Mapping[str, str]]) -> tuple[Group[T], ...]:
    """Fold groups of equal `shape`; order is that of the first of each shape.

    `values` maps a column name to what a group has there; groups of one shape have the same names.
    """
    by_shape: dict[Hashable, list[Group[T]]] = {}
    for group in groups:
        by_shape.setdefault(shape(group), []).append(group)
    folded: dict[str, Group[T]] = {}
    gone: set[str] = set()
    for same in by_shape.values():
        found = _folded(same, [values(group) for group in same]) if len(same) > 1 else None
        if found is not None:
            folded[found.title] = found
            gone.update(group.title for group in found.alike)
    return tuple(folded.get(group.title, group) for group in groups if group.title not in gone)


def _folded(same: list[Group[T]], values: list[Mapping[str, str]]) -> Group[T] | None:
    first = values[0]
    columns = tuple(name for name in first if any(other.get(name) != first[name] for other in values))
    if len(columns) > MAX_COLUMNS:
        return None
    rows = tuple(tuple(row.get(name, "") for name in columns) for row in values)
    return replace(same[0], alike=tuple(same[1:]), columns=columns, rows=rows)
