"""Nodes of a fleet file: compact, and each with its place.

A place is one int: file number, line, column and style packed together. 10,000 hosts make half a million nodes;
a `Mark` for each would cost more than everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from planner.model import Address, Mark, Unknown

PLAIN, QUOTED, DOUBLE, FOLDED = range(4)
"""Styles. FOLDED is any scalar whose text has no simple relation to columns (block scalars, several lines)."""

POISON = Unknown("its declaration has an error")
"""Stands for a value whose declaration was already reported: it spreads, and nothing more is said about it."""


class Scalar(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Text, as written. `at`: packed place."""

    text: str
    at: int


class Map(msgspec.Struct, frozen=True, eq=False):
    """Keys to nodes; `keys` holds the places of the keys, in the same order."""

    items: dict[str, Node]
    keys: list[int]
    at: int

    def key_at(self, key: str) -> int:
        """The place of a key."""
        for name, at in zip(self.items, self.keys, strict=True):
            if name == key:
                return at
        return self.at


class Seq(msgspec.Struct, frozen=True, eq=False):
    items: list[Node]
    at: int


class Given(msgspec.Struct, frozen=True, eq=False):
    """An already evaluated value that takes the place of a node, and what it was made from."""

    value: Any
    at: int
    refs: tuple[Address, ...] = ()
    computed: bool = False


Node: TypeAlias = Scalar | Map | Seq | Given


def pack(file: int, line: int, column: int, style: int = PLAIN) -> int:
    """`line` and `column` count from 1."""
    return file << 42 | line << 18 | min(column, 0xFFFF) << 2 | style


def style_of(at: int) -> int:
    return at & 3


class Sources:
    """The files of a fleet, by number: what a packed place refers to."""

    __slots__ = ("folders", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.folders: list[Path] = []

    def add(self, name: str, folder: Path) -> int:
        """`name`: as diagnostics show it; `folder`: absolute, what relative paths in that file start from."""
        self.names.append(name)
        self.folders.append(folder)
        return len(self.names) - 1

    def mark(self, at: int) -> Mark:
        return Mark(self.names[at >> 42], at >> 18 & 0xFFFFFF, at >> 2 & 0xFFFF)

    def packed(self, mark: Mark) -> int:
        """The inverse of `mark`."""
        return pack(self.names.index(mark.file), mark.line, mark.column) if mark.file in self.names else 0

    def folder(self, at: int) -> Path:
        return self.folders[at >> 42]


# --- YAML 1.2 core scalars --------------------------------------------------------------------------------

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
TRUES = frozenset({"true", "True", "TRUE"})
FALSES = frozenset({"false", "False", "FALSE"})
WORDS = NULLS | TRUES | FALSES

INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
"""Whole numbers. With a leading zero (`0755`) it is text: the core schema would quietly read 755."""
FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_DIGITS = frozenset("-+.0123456789")


def integer(text: str) -> int | None:
    """The whole number that a plain scalar spells, or None."""
    if len(text) > 20 or not INT.match(text):
        return None
    if text[:2] == "0o":
        return int(text[2:], 8)
    return int(text, 16) if text[:2] == "0x" else int(text)


def plain(text: str) -> Any:
    """What an unquoted scalar means: null, bool, int, float or str."""
    if text in WORDS:
        return None if text in NULLS else text in TRUES
    if text[0] in _DIGITS:
        whole = integer(text)
        if whole is not None:
            return whole
        if len(text) < 40 and FLOAT.match(text):
            return float(text)
    return text


def literal(node: Scalar) -> Any:
    """What a scalar without an expression means."""
    return node.text if node.at & 3 else plain(node.text)


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.at & 3 and node.text in NULLS


def children(node: Node) -> Iterator[Node]:
    if isinstance(node, Map):
        yield from node.items.values()
    elif isinstance(node, Seq):
        yield from node.items


def canonical(node: Node) -> Any:
    """A node as plain data, without places: what a digest of source text is made from."""
    if isinstance(node, Map):
        return {key: canonical(value) for key, value in node.items.items()}
    if isinstance(node, Seq):
        return [canonical(value) for value in node.items]
    if isinstance(node, Scalar):
        return literal(node)
    return node.value
