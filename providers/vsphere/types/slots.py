"""Attributes that are single properties of one data object: a table says where each is, one loop reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from providers.vsphere.tools import editable, plain


class Slot(NamedTuple):
    """`path` below the data object; `default`, in the API's words, is what an unset property means; `words` ours → the
    API's."""

    path: str
    default: Any = None
    words: Mapping[Any, Any] = {}


def shown(config: Any, slots: Mapping[str, Slot]) -> dict[str, Any]:
    """The attributes of a data object; None stands for one that is unset altogether."""
    found = {}
    for name, slot in slots.items():
        value = config
        for part in slot.path.split("."):
            value = getattr(value, part, None) if value is not None else None
        value = plain(slot.default if value is None else value)
        value = str(value) if isinstance(value, str) else value  # enumerations of pyVmomi are text of a kind of its own
        back = {theirs: ours for ours, theirs in slot.words.items()}
        found[name] = back.get(value, value)
    return found


def put(target: Any, live: Any, slots: Mapping[str, Slot], wanted: Mapping[str, Any]) -> None:
    """Set what is wanted in a fresh `target`. What lies in a nested object keeps its live neighbours: the API merges
    properties, and documents nothing about what is inside of them."""
    for name, slot in slots.items():
        value = wanted.get(name)
        if value is None:
            continue
        *parents, last = slot.path.split(".")
        at, base = target, live
        for part in parents:
            below = getattr(at, part)
            if below is None:
                there = getattr(base, part, None) if base is not None else None
                below = editable(there) if there is not None else type(at)._GetPropertyInfo(part).type()
                setattr(at, part, below)
            at, base = below, None
        setattr(at, last, slot.words.get(value, value))


def advanced(options: Iterable[Any] | None) -> dict[str, str]:
    """OptionValues as text by key."""
    return {each.key: _text(each.value) for each in options or () if each.value not in ("", None)}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def option_values(wanted: Any) -> list[Any]:
    """The same as OptionValues. Without a value (a before-image that had none), the empty one takes an option away."""
    from pyVmomi import vim

    return [vim.option.OptionValue(key=key, value="" if value is None else str(value))
            for key, value in sorted((wanted or {}).items())]
