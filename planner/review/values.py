"""Attributes as lines that a person compares: flat paths, JSON-like values, no secret's value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from planner.model import Attrs, SecretRef, Unknown
from planner.review.paint import clean

Sign = Literal["+", "-", "~"]
KNOWN_AFTER_APPLY = "(known after apply)"


def text(value: Any) -> str:
    """One value, as the fleet file would write it. Secrets print as their reference."""
    if isinstance(value, Unknown):
        return KNOWN_AFTER_APPLY
    if isinstance(value, SecretRef):
        return clean(str(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{clean(str(k))}: {text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(v) for v in value) + "]"
    return clean(json.dumps(value, ensure_ascii=False))


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
                lines.append(Line("~", clean(path), text(old[path]), text(new[path])))
        elif has:
            lines.append(Line("+", clean(path), None, text(new[path])))
        elif had:
            lines.append(Line("-", clean(path), text(old[path]), None))
    return tuple(lines)


def changed(before: Attrs | None, after: Attrs | None) -> tuple[Line, ...]:
    """What an update changes: the attributes named in `after` whose value is another one (found by deepdiff)."""
    from planner.diff import differences as deep

    return tuple(
        Line("+" if old is None else "-" if new is None else "~", clean(path),
             None if old is None else _plain(old), None if new is None else _plain(new))
        for path, old, new in deep(_marked(before), _marked(after)))


class _Text(str):
    """An unknown or a secret reference, rendered: deepdiff then compares it as one value."""

    __slots__ = ()


def _marked(value: Any) -> Any:
    if isinstance(value, (Unknown, SecretRef)):
        return _Text(text(value))
    if isinstance(value, Mapping):
        return {k: _marked(v) for k, v in value.items()}
    return [_marked(v) for v in value] if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> str:
    if isinstance(value, _Text):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_plain(v) for v in value) + "]"
    return text(value)


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
