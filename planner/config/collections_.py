"""Functions over lists, maps and numbers. Rows: (call, least, most arguments, doc, structural)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from planner.config.operators import _same
from planner.config.values import MAX_ITEMS, ExprError, words
from planner.model import SecretRef, Unknown

Row: TypeAlias = tuple[Callable[..., Any], int, int, str, bool]


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise ExprError("wrong argument", f"a list is needed, not {words(value)}")


def _map(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ExprError("wrong argument", f"a map is needed, not {words(value)}")


def _number(value: Any) -> Any:
    if type(value) in (int, float):
        return value
    raise ExprError("wrong argument", f"a number is needed, not {words(value)}",
                    "convert it with tonumber()" if isinstance(value, str) else "")


def _length(value: Any) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise ExprError("wrong argument", f"length() needs text, a list or a map, not {words(value)}")


def _lookup(mapping: Any, key: Any, *default: Any) -> Any:
    found = _map(mapping)
    if not isinstance(key, str):
        raise ExprError("wrong argument", f"a key must be text, not {words(key)}")
    if key in found:
        return found[key]
    if default:
        return default[0]
    raise ExprError("no such key", f"{key!r} is not in this map", "give lookup() a third argument as the default")


def _merge(*maps: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for one in maps:
        result.update(_map(one))
    return result


def _few(total: int) -> None:
    if total > MAX_ITEMS:
        raise ExprError("a value becomes too large", f"the limit is {MAX_ITEMS} items")


def _concat(*lists: Any) -> list[Any]:
    _few(sum(len(_list(one)) for one in lists))
    return [item for one in lists for item in one]


def _flatten(value: Any) -> list[Any]:
    result: list[Any] = []
    stack = [iter(_list(value))]
    while stack:
        for item in stack[-1]:
            if isinstance(item, list):
                stack.append(iter(item))
                break
            result.append(item)
        else:
            stack.pop()
        _few(len(result))
    return result


def _distinct(value: Any) -> list[Any]:
    seen: set[Any] = set()
    result: list[Any] = []
    for item in _list(value):
        if isinstance(item, (str, int, float)):
            key = (isinstance(item, bool), item)
            if key in seen:
                continue
            seen.add(key)
        elif any(_same(item, other) for other in result):
            if len(result) > 1000:
                raise ExprError("a value becomes too large", "distinct() compares at most 1000 maps or lists")
            continue
        result.append(item)
    return result


def _sort(value: Any) -> list[Any]:
    items = _list(value)
    if all(isinstance(i, str) for i in items) or all(type(i) in (int, float) for i in items):
        return sorted(items)
    raise ExprError("wrong argument", "sort() needs a list of text only, or of numbers only")


def _toset(value: Any) -> list[Any]:
    return _sort(_distinct(list(value) if isinstance(value, dict) else _list(value)))


def _zipmap(keys: Any, values: Any) -> dict[str, Any]:
    names, items = _list(keys), _list(values)
    if len(names) != len(items):
        raise ExprError("wrong argument", f"zipmap() got {len(names)} keys and {len(items)} values")
    for name in names:
        if not isinstance(name, str):
            raise ExprError("wrong argument", f"a key must be text, not {words(name)}")
    return dict(zip(names, items, strict=True))


def _contains(group: Any, item: Any) -> bool:
    return any(_same(item, one) for one in (_map(group) if isinstance(group, dict) else _list(group)))


def _range(*limits: Any) -> list[int]:
    for limit in limits:
        if type(limit) is not int:
            raise ExprError("wrong argument", f"range() needs whole numbers, not {words(limit)}")
    if len(limits) == 3 and limits[2] == 0:
        raise ExprError("wrong argument", "the step of range() must not be 0")
    result = range(*limits)
    _few(len(result))
    return list(result)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def call(*numbers: Any) -> Any:
        items = _list(numbers[0]) if len(numbers) == 1 and isinstance(numbers[0], list) else list(numbers)
        if not items:
            raise ExprError("wrong argument", "there is no smallest or largest of nothing")
        return choose([_number(n) for n in items])
    return call


def _element(value: Any, position: Any) -> Any:
    items = _list(value)
    if type(position) is not int or not items:
        raise ExprError("wrong argument", "element(LIST, N) needs a whole number and a list that is not empty")
    return items[position % len(items)]


def _coalesce(*values: Any) -> Any:
    for value in values:
        if isinstance(value, (Unknown, SecretRef)) or value not in (None, ""):
            return value
    raise ExprError("wrong argument", "every argument of coalesce() is null or empty")


def _tolist(value: Any) -> list[Any]:
    return list(_map(value).values()) if isinstance(value, dict) else list(_list(value))


TABLE: Mapping[str, Row] = {
    "length": (_length, 1, 1, "number of characters, items or keys", True),
    "keys": (lambda m: sorted(_map(m)), 1, 1, "keys of a map, sorted", True),
    "values": (lambda m: [_map(m)[k] for k in sorted(_map(m))], 1, 1, "values of a map, in the order of keys()", True),
    "lookup": (_lookup, 2, 3, "lookup(MAP, KEY, DEFAULT)", True),
    "merge": (_merge, 1, -1, "one map of several; later ones win, level one only", True),
    "concat": (_concat, 1, -1, "one list of several", True),
    "contains": (_contains, 2, 2, "whether a list has an item, or a map a key", False),
    "element": (_element, 2, 2, "item of a list; counting goes round", True),
    "flatten": (_flatten, 1, 1, "a list without lists inside", True),
    "distinct": (_distinct, 1, 1, "a list without repetitions", False),
    "reverse": (lambda v: _list(v)[::-1], 1, 1, "a list backwards", True),
    "sort": (_sort, 1, 1, "a list in order", False),
    "zipmap": (_zipmap, 2, 2, "a map of keys and values: zipmap(KEYS, VALUES)", True),
    "tolist": (_tolist, 1, 1, "values of a map, or the list itself", True),
    "toset": (_toset, 1, 1, "a sorted list without repetitions", False),
    "coalesce": (_coalesce, 1, -1, "the first argument that is neither null nor empty text", True),
    "range": (_range, 1, 3, "whole numbers: range(END), range(START, END, STEP)", False),
    "min": (_extreme(min), 1, -1, "the smallest number", False),
    "max": (_extreme(max), 1, -1, "the largest number", False),
    "sum": (lambda v: sum(_number(n) for n in _list(v)), 1, 1, "the sum of a list of numbers", False),
    "abs": (lambda n: abs(_number(n)), 1, 1, "a number without its sign", False),
}
