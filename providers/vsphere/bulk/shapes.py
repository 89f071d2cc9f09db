"""Pieces that differ from one that was parsed before in nothing but texts: copied from it, with those texts replaced.

A host's adapters, disks and switches have the same elements as the next host's; only names, addresses and keys differ.
What a value is depends on elements and attributes alone, so equal ones need no parser: only the objects on the way to a
text that differs are copied, all others are shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import compress, count
from operator import ne
from typing import Any

from pyVmomi import VmomiSupport as Vm

from providers.vsphere.bulk.build import Surprise, converter

_TEXT = re.compile(rb">([^<>]+)</")
Accessor = str | int
"""Attribute of an object, or index in an array."""
Slot = tuple[int, Accessor, Callable[[str], Any] | None]
"""Where a text is: node, accessor there, text → value (None: such a text has to be parsed)."""


def cut(piece: bytes) -> tuple[bytes, list[bytes]]:
    """A digest of everything but the texts, and the texts."""
    parts = _TEXT.split(piece)
    return sha256(b"\0".join(parts[::2])).digest(), parts[1::2]


class Shape:
    """One parsed piece as a pattern for others."""

    def __init__(self, root: Any, element: Any, texts: Sequence[bytes], stub: Any) -> None:
        """`element` is what `root` was built from. Raises Surprise where texts and values do not pair up."""
        self._texts = list(texts)
        self._nodes: list[tuple[Any, int, Accessor]] = [(root, -1, "")]  # value, node above, accessor there
        self._slots: list[Slot] = []
        self._stub = stub
        self._trace(element, 0)
        if len(self._slots) != len(texts):
            raise Surprise("texts that are no values")

    def filled(self, texts: Sequence[bytes]) -> Any:
        """The value for other texts; None where they have to be parsed."""
        if len(texts) != len(self._slots):
            return None
        copies: dict[int, Any] = {}
        try:
            for index in compress(count(), map(ne, self._texts, texts)):
                node, accessor, convert = self._slots[index]
                text = texts[index].decode()
                if convert is None or "&" in text or not text.isprintable():
                    return None
                _set(self._copy(node, copies), accessor, convert(text))
        except (Surprise, ValueError, TypeError, AttributeError):
            return None
        return copies.get(0, self._nodes[0][0])

    def _copy(self, node: int, copies: dict[int, Any]) -> Any:
        found = copies.get(node)
        if found is None:
            value, above, accessor = self._nodes[node]
            if isinstance(value, list):
                found = type(value)(value)
            else:
                found = value.__class__.__new__(value.__class__)
                found.__dict__.update(value.__dict__)
            copies[node] = found
            if above >= 0:
                _set(self._copy(above, copies), accessor, found)
        return found

    # --- pairing texts with values ------------------------------------------------------------------------

    def _trace(self, element: Any, node: int) -> None:
        value = self._nodes[node][0]
        if isinstance(value, list):
            for index, child in enumerate(element):
                self._place(child, value[index], node, index)
        elif isinstance(value, Vm.DataObject):
            self._trace_object(element, value, node)
        else:
            raise Surprise("a piece that is no object")

    def _trace_object(self, element: Any, value: Any, node: int) -> None:
        arrays: dict[str, tuple[int, int]] = {}  # name → its node, elements so far
        seen: set[str] = set()
        for child in element:
            info = value._GetPropertyInfo(child.tag.rpartition("}")[2])
            name = info.name
            if issubclass(info.type, list):
                items = value.__dict__[name]
                where, index = arrays.get(name) or (self._node(items, node, name), 0)
                arrays[name] = where, index + 1
                self._place(child, items[index], where, index)
            elif name in seen:
                raise Surprise("an attribute twice")
            else:
                seen.add(name)
                self._place(child, value.__dict__[name], node, name)

    def _node(self, value: Any, above: int, accessor: Accessor) -> int:
        self._nodes.append((value, above, accessor))
        return len(self._nodes) - 1

    def _place(self, element: Any, value: Any, node: int, accessor: Accessor) -> None:
        if isinstance(value, (list, Vm.DataObject)):
            self._trace(element, self._node(value, node, accessor))
        elif element.text:
            raw = self._texts[len(self._slots)] if len(self._slots) < len(self._texts) else b""
            plain = b"&" not in raw
            if plain and raw.decode() != element.text:
                raise Surprise("texts in another order")
            self._slots.append((node, accessor, self._converter(value) if plain else None))

    def _converter(self, value: Any) -> Callable[[str], Any]:
        if isinstance(value, Vm.ManagedObject):
            kind, stub = type(value), self._stub
            return lambda text: kind(text, stub, None)
        return converter(type(value))


def _set(container: Any, accessor: Accessor, value: Any) -> None:
    if isinstance(accessor, str):
        container.__dict__[accessor] = value
    else:
        container[accessor] = value
