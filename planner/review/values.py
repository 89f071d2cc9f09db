"""Attributes as lines that a person compares: flat paths, JSON-like values, no secret's value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from planner.model import Attrs, SecretRef, Unknown
from planner.review.paint import clean

Sign = Literal["+", "-", "~"]
KNOWN_AFTER_APPLY = "(known after apply)"
UNKNOWN_NOW = "(unknown)"


class Words(str):
    """Text that stands for a value and prints without quotes."""

    __slots__ = ()


AS_BEFORE = Words("(as it was)")


def text(value: Any) -> str:
    """One value, as the fleet file would write it. Secrets print as their reference."""
    if isinstance(value, Words):
        return str(value)
    if isinstance(value, Unknown):
        return KNOWN_AFTER_APPLY
    if isinstance(value, SecretRef):
        return clean(str(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{clean(str(k))}: {text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(v) for v in value) + "]"
    return clean(json.dumps(value, ensure_ascii=False))


def before_text(value: Any) -> str:
    """A value that is there now: an unknown one says why it is."""
    if isinstance(value, Unknown):
        return f"({clean(value.why)})" if value.why else UNKNOWN_NOW
    return text(value)


def _short(value: Any) -> str:
    return UNKNOWN_NOW if isinstance(value, Unknown) else text(value)


def flatten(attributes: Attrs | None) -> dict[str, Any]:
    """Nested maps as dotted paths; lists and empty maps stay values."""
    return dict(_flat("", attributes or {}))


def _flat(prefix: str, attributes: Attrs) -> Iterator[tuple[str, Any]]:
    for key, value in attributes.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(f"{path}.", value)
        else:
            yield path, value


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute that differs. `before` is None for "+", `after` is None for "-"."""

    sign: Sign
    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """`mtu 1500 → 9000`, `vlan 20` (new), `vlan 20 removed`."""
        if self.sign == "~":
            return f"{self.path} {self.before} → {self.after}"
        return f"{self.path} {self.after}" if self.sign == "+" else f"{self.path} {self.before} removed"


def differences(before: Attrs | None, after: Attrs | None, unknown: tuple[str, ...] = ()) -> tuple[Line, ...]:
    """What differs between two sets of attributes. `unknown` names those whose new value apply will learn."""
    old, new = flatten(before), flatten(after)
    for path in unknown:
        new.setdefault(path, Unknown())
    lines = []
    for path in [*new, *(p for p in old if p not in new)]:
        had, has = path in old and old[path] is not None, path in new and new[path] is not None
        if had and has:
            if _differ(old[path], new[path]):
                lines.append(Line("~", clean(path), _short(old[path]), text(new[path])))
        elif has:
            lines.append(Line("+", clean(path), None, text(new[path])))
        elif had:
            lines.append(Line("-", clean(path), _short(old[path]), None))
    return tuple(lines)


def changed(before: Attrs | None, after: Attrs | None) -> tuple[Line, ...]:
    """What an update changes: the attributes named in `after` whose value is another one (found by deepdiff)."""
    from planner.compare import differences as deep

    return tuple(
        Line("+" if old is None else "-" if new is None else "~", clean(path),
             None if old is None else text(old), None if new is None else text(new))
        for path, old, new in deep(_marked(before, before_text), _marked(after, text))
        if new != KNOWN_AFTER_APPLY or not (isinstance(old, Words) and old.startswith("(")))


def _marked(value: Any, words: Callable[[Any], str]) -> Any:
    """Unknowns and secret references as words: deepdiff then compares each as one value."""
    if isinstance(value, (Unknown, SecretRef)):
        return Words(words(value))
    if isinstance(value, Mapping):
        return {k: _marked(v, words) for k, v in value.items()}
    return [_marked(v, words) for v in value] if isinstance(value, (list, tuple)) else value


def _differ(before: Any, after: Any) -> bool:
    if isinstance(before, Unknown) and isinstance(after, Unknown):
        return False
    if isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        return list(before) != list(after)
    return bool(before != after) or type(before) is not type(after)


def duration(seconds: float) -> str:
    """`90 s`, `20 min`, `2 h`."""
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:g} h"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
