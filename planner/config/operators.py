"""Arithmetic and comparison: whitelisted, typed, bounded. Unknown spreads; secrets are refused."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from planner.config.values import MAX_ITEMS, MAX_TEXT, ExprError, bounded, find, refuse_secret, words
from planner.model import Unknown


def _number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_TEXT:
            raise ExprError("a text becomes too long", f"the limit is {MAX_TEXT} characters")
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        if len(left) + len(right) > MAX_ITEMS:
            raise ExprError("a value becomes too large", f"the limit is {MAX_ITEMS} items")
        return bounded([*left, *right])
    return _numbers("+", operator.add, left, right)


def _numbers(symbol: str, apply: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if not (_number(left) and _number(right)):
        wrong = right if _number(left) else left
        remedy = "convert it with tonumber()" if isinstance(wrong, str) else ""
        if isinstance(left, str) and symbol == "+":
            remedy = 'put both into one text: "${a}${b}", or convert with tostring()'
        raise ExprError("not a number", f"{symbol} between {words(left)} and {words(right)}", remedy)
    if right == 0 and symbol in ("//", "%"):
        raise ExprError("division by zero", f"the right side of {symbol} is 0")
    try:
        return bounded(apply(left, right))
    except OverflowError:
        raise ExprError("a number becomes too large", "the result is not a finite number") from None


ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "-": lambda a, b: _numbers("-", operator.sub, a, b),
    "*": lambda a, b: _numbers("*", operator.mul, a, b),
    "//": lambda a, b: _numbers("//", operator.floordiv, a, b),
    "%": lambda a, b: _numbers("%", operator.mod, a, b),
}


def arithmetic(symbol: str, left: Any, right: Any) -> Any:
    """`left symbol right`. Raises ExprError."""
    refuse_secret(left, f"the operator {symbol}")
    refuse_secret(right, f"the operator {symbol}")
    if isinstance(left, Unknown):
        return left
    if isinstance(right, Unknown):
        return right
    return ARITHMETIC[symbol](left, right)


def negative(value: Any) -> Any:
    """`-value`."""
    refuse_secret(value, "the operator -")
    if isinstance(value, Unknown):
        return value
    if not _number(value):
        raise ExprError("not a number", f"- before {words(value)}")
    return -value


def truth(value: Any, what: str) -> bool | Unknown:
    """The truth of a condition: true, false, or unknown. Raises ExprError for everything else."""
    refuse_secret(value, what)
    if isinstance(value, (bool, Unknown)):
        return value
    raise ExprError("not true or false", f"{what} is {words(value)}", "compare it: x == 1, x != \"\", length(x) > 0")


def equal(left: Any, right: Any) -> bool | Unknown:
    """`left == right`; `true == 1` is false. Unknown inside either side makes it unknown."""
    refuse_secret(left, "a comparison")
    refuse_secret(right, "a comparison")
    for side in (left, right):
        hidden = find(side, Unknown)
        if hidden is not None:
            return Unknown(hidden.why)
    return _same(left, right)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(v, right[k]) for k, v in left.items())
    return bool(left == right)


def member(item: Any, group: Any) -> bool | Unknown:
    """`item in group`: of a list, the keys of a map, or a part of text."""
    refuse_secret(item, "a comparison")
    if isinstance(group, Unknown):
        return group
    if isinstance(item, Unknown):
        return item
    if isinstance(group, dict):
        return isinstance(item, str) and item in group
    refuse_secret(group, "a comparison")
    if isinstance(group, str):
        if not isinstance(item, str):
            raise ExprError("not text", f"{words(item)} is looked for in text")
        return item in group
    if not isinstance(group, list):
        raise ExprError("nothing to look in", f"`in` is asked of {words(group)}", "use a list, a map or text")
    answer: bool | Unknown = False
    for one in group:
        found = equal(item, one)
        if found is True:
            return True
        if isinstance(found, Unknown):
            answer = found
    return answer


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}


def compare(symbol: str, left: Any, right: Any) -> bool | Unknown:
    """One comparison of a chain."""
    if symbol in ("==", "!="):
        same = equal(left, right)
        return same if isinstance(same, Unknown) or symbol == "==" else not same
    if symbol in ("in", "not in"):
        found = member(left, right)
        return found if isinstance(found, Unknown) or symbol == "in" else not found
    refuse_secret(left, "a comparison")
    refuse_secret(right, "a comparison")
    if isinstance(left, Unknown):
        return left
    if isinstance(right, Unknown):
        return right
    if (_number(left) and _number(right)) or (isinstance(left, str) and isinstance(right, str)):
        return _ORDER[symbol](left, right)
    raise ExprError("these cannot be ordered", f"{symbol} between {words(left)} and {words(right)}")
