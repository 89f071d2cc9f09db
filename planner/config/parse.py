"""YAML text → nodes with places, straight from libyaml's event stream.

CSafeLoader builds Python objects without places, and three times slower. Only what the fleet language needs is
accepted: one document, string keys, no tags, bounded depth, bounded aliases, no duplicate keys.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import intern
from typing import Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from planner.config.nodes import FOLDED, POISON, QUOTED, Given, Map, Node, Scalar, Seq
from planner.config.problems import Problems
from planner.config.syntax import PLACEHOLDER, explain, repair

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 60
MAX_ALIASED = 200_000
"""Nodes that aliases may stand for, in one file: "billion laughs" ends here."""

REPAIR_BYTES = 50_000_000
"""How much text is read again and again to find further unquoted expressions behind the first."""

_STYLES = {"": 0, None: 0, "'": 1, '"': 2, "|": FOLDED, ">": FOLDED}
_STR = frozenset({"!", "tag:yaml.org,2002:str"})
_WIDEST = 0xFFF0


class Broken(Exception):
    """A file that cannot be read any further; arguments as `Problems.error` takes them."""


@contextmanager
def without_gc() -> Iterator[None]:
    """Building trees only allocates: the cycle collector would walk them again and again for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse(data: bytes, file: int, problems: Problems) -> Node | None:
    """The root node of one file; None where it is empty or cannot be read. Reports what is wrong.

    After an unquoted `${…}` inside `{…}` or `[…]` reading goes on behind it, so that all of them are reported.
    """
    if not _readable(data, file, problems):
        return None
    attempts = min(200, max(1, REPAIR_BYTES // (len(data) + 1)))  # each one reads from the start again
    for attempt in range(attempts):
        try:
            return _Builder(data, file, problems, attempt > 0).build()
        except Broken as broken:
            problems.error(*broken.args)
            return None
        except YAMLError as error:
            explain(error, data, file, problems)
            repaired = repair(error, data)
            if repaired is None:
                return None
            data = repaired
    return None


def _readable(data: bytes, file: int, problems: Problems) -> bool:
    at = file << 42 | 1 << 18 | 1 << 2
    if len(data) > MAX_BYTES:
        problems.error("this file is too large", f"{len(data)} bytes; the limit is {MAX_BYTES}", at,
                       "split the fleet into several files of one folder")
        return False
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        problems.error("this file is not UTF-8", f"byte 0x{data[error.start]:02x} cannot be decoded",
                       file << 42 | line << 18 | min(column, _WIDEST) << 2,
                       "save it as UTF-8" + (" (it looks like UTF-16)" if wide else ""))
        return False
    return True


class _Builder:
    """One pass over the events of one file."""

    __slots__ = ("aliased", "anchors", "base", "count", "opened", "parser", "patched", "problems")

    def __init__(self, data: bytes, file: int, problems: Problems, patched: bool) -> None:
        self.parser = CParser(data)
        self.base = (file << 42) + (1 << 18) + (1 << 2)  # libyaml counts lines and columns from 0
        self.problems = problems
        self.patched = patched
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.opened: list[tuple[str, int]] = []
        self.aliased = 0
        self.count = 0

    def at(self, event: Any) -> int:
        mark = event.start_mark
        return int(self.base + (mark.line << 18) + (min(mark.column, _WIDEST) << 2))

    def build(self) -> Node | None:
        """The document's root node. Raises Broken and YAMLError."""
        root: Node | None = None
        get: Callable[[], Any] = self.parser.get_event
        documents = 0
        while (event := get()) is not None:
            kind = type(event)
            if kind is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise Broken("a second YAML document in one file", "a fleet file is one document", self.at(event),
                                 "remove the line with ---, or split the file")
            elif kind is MappingStartEvent:
                root = self.mapping(event, 1)
            elif kind is SequenceStartEvent:
                root = self.sequence(event, 1)
            elif kind is ScalarEvent:
                root = self.scalar(event)
            elif kind is AliasEvent:
                root = self.alias(event)
        return root

    def value(self, event: Any, depth: int) -> Node:
        """The node that an event begins."""
        kind = type(event)
        if kind is ScalarEvent:
            return self.scalar(event)
        if kind is MappingStartEvent:
            return self.mapping(event, depth + 1)
        if kind is SequenceStartEvent:
            return self.sequence(event, depth + 1)
        return self.alias(event)

    def scalar(self, event: Any) -> Node:
        self.count += 1
        text = event.value
        mark = event.start_mark
        style = _STYLES[event.style]
        if event.tag is not None:
            self.tag(event)
            style = style or QUOTED
        if "${" in text and event.end_mark.line != mark.line:
            style = FOLDED
        column = mark.column
        node: Node = Scalar(text, self.base + (mark.line << 18) +
                            ((column if column < _WIDEST else _WIDEST) << 2) + style)
        if self.patched and PLACEHOLDER in text:
            node = Given(POISON, self.at(event))
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, 1)
        return node

    def sequence(self, event: Any, depth: int) -> Seq:
        at = self.open(event, depth)
        anchor, before = event.anchor, self.count
        items: list[Node] = []
        get: Callable[[], Any] = self.parser.get_event
        while type(event := get()) is not SequenceEndEvent:
            items.append(self.value(event, depth))
        node = Seq(items, at)
        if anchor is not None:
            self.anchors[anchor] = (node, self.count - before + 1)
        return node

    def mapping(self, event: Any, depth: int) -> Map:
        at = self.open(event, depth)
        anchor, before = event.anchor, self.count
        items: dict[str, Node] = {}
        keys: list[int] = []
        merges: list[tuple[Node, int]] = []
        get: Callable[[], Any] = self.parser.get_event
        base = self.base
        while type(event := get()) is not MappingEndEvent:
            if type(event) is not ScalarEvent:
                raise Broken("a key must be text", "a list, map or alias stands where a key belongs", self.at(event),
                             "write KEY: VALUE; inside { } and [ ], quote text that contains any of { } [ ] ,")
            mark: Any = event.start_mark
            column = mark.column
            key_at = base + (mark.line << 18) + ((column if column < _WIDEST else _WIDEST) << 2)
            key, key_style = intern(event.value), event.style
            value = self.value(get(), depth)
            if key == "<<" and not key_style:
                merges.append((value, key_at))
            elif key in items:
                self.duplicate(key, key_at, keys[list(items).index(key)])
            else:
                if "${" in key or not key or (self.patched and PLACEHOLDER in key):
                    self.odd_key(key, key_at)
                    continue
                items[key] = value
                keys.append(key_at)
        for value, key_at in merges:
            self.merge(items, keys, value, key_at)
        node = Map(items, keys, at)
        if anchor is not None:
            self.anchors[anchor] = (node, self.count - before + 1)
        return node

    def open(self, event: Any, depth: int) -> int:
        self.count += 1
        at = self.at(event)
        if depth > MAX_DEPTH:
            raise Broken("nested too deeply", f"the limit is {MAX_DEPTH} levels", at, "")
        if event.tag is not None:
            self.tag(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # known, not finished: an alias to it now would be endless
        return at

    def alias(self, event: Any) -> Node:
        at = self.at(event)
        if event.anchor not in self.anchors:
            raise Broken("unknown anchor", f"no &{event.anchor} before this *{event.anchor}", at,
                         "define the anchor first, or quote the text if it is none")
        found = self.anchors[event.anchor]
        if found is None:
            raise Broken("an alias inside its own anchor", f"&{event.anchor} would contain itself", at, "")
        node, size = found
        self.count += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise Broken("aliases stand for too many nodes", f"the limit is {MAX_ALIASED} in one file", at,
                         "use a profile, or for_each")
        return node

    def merge(self, items: dict[str, Node], keys: list[int], value: Node, at: int) -> None:
        """YAML's `<<`: keys that the map does not have itself; of several maps the first one wins."""
        for source in value.items if isinstance(value, Seq) else [value]:
            if not isinstance(source, Map):
                self.problems.error("<< takes a map", "write <<: *ANCHOR, or a list of aliases to maps", at)
                continue
            self.aliased += len(source.items)
            if self.aliased > MAX_ALIASED:
                raise Broken("aliases stand for too many nodes", f"the limit is {MAX_ALIASED} in one file", at,
                             "use a profile, or for_each")
            for key, key_at in zip(source.items, source.keys, strict=True):
                if key not in items:
                    items[key] = source.items[key]
                    keys.append(key_at)

    def duplicate(self, key: str, at: int, first: int) -> None:
        self.problems.error("duplicate key", f"{key!r} is already set at {self.problems.sources.mark(first)}", at,
                            "remove one of the two")

    def odd_key(self, key: str, at: int) -> None:
        if not key:
            self.problems.error("an empty key", "a value stands here without a key", at, "write KEY: VALUE")
        elif "${" in key:
            self.problems.error("an expression cannot be a key", f"{key!r}", at,
                                "build the map with an expression, such as zipmap(KEYS, VALUES)")

    def tag(self, event: Any) -> None:
        if event.tag not in _STR or type(event) is not ScalarEvent:
            self.problems.error("tags are not part of the fleet language", f"{event.tag}", self.at(event),
                                "remove the tag; quote what must be text")


def first_block(data: bytes, file: int, problems: Problems, key: str) -> tuple[Node, int] | None:
    """The value of one top-level key and the key's place, reading no further than that. Reports what is wrong."""
    if not _readable(data, file, problems):
        return None
    builder = _Builder(data, file, problems, False)
    get: Callable[[], Any] = builder.parser.get_event
    try:
        depth = 0
        while (event := get()) is not None:
            kind = type(event)
            if kind is ScalarEvent and depth == 1:
                if event.value == key:
                    return builder.value(get(), 1), builder.at(event)
                builder.value(get(), 1)
            elif kind is MappingStartEvent:
                depth += 1
            elif kind in (SequenceStartEvent, MappingEndEvent):
                return None
    except Broken as broken:
        problems.error(*broken.args)
    except YAMLError as error:
        explain(error, data, file, problems)
    return None
