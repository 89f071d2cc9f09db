"""One object of an answer, cut into properties and items by its bytes; only pieces that are new are parsed.

Cutting at tags by their bytes is exact as long as no `<` is anything but a tag: no comment, CDATA section or processing
instruction (`<!`, `<?`) is in the piece, and the tag that is cut at does not occur inside itself, which is counted.
Each new piece then goes through a real XML parser once. Whatever does not fit is read by pyVmomi.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vmodl

from providers.vsphere.bulk.build import Builder, Surprise
from providers.vsphere.bulk.context import Context, tree
from providers.vsphere.bulk.known import Key, Known, key_of
from providers.vsphere.bulk.shapes import Shape, cut
from providers.vsphere.bulk.whole import by_pyvmomi

_OPEN, _CLOSE = b"<propSet>", b"</propSet>"
_BLANK = b" \t\r\n"
_ARRAY = re.compile(rb'<propSet><name>[^<]*</name><val xsi:type="(ArrayOf(\w+))">')
_VALUE = b"</val>"
_WORTH = 400
"""Bytes of an array from which on its items are looked up one by one."""

_CONTENT: Any = vmodl.query.PropertyCollector.ObjectContent
_PROPERTY: Any = vmodl.DynamicProperty


@dataclass(slots=True)
class _Property:
    """A property that is not known. `xml`: what of it has to be parsed. `items`: of an array, known ones and Nones."""

    key: Key
    xml: bytes
    items: list[Any] = field(default_factory=list)
    fresh: list[tuple[Key, bytes]] = field(default_factory=list)  # the unknown items
    kind: bytes = b""  # of the array
    whole: bytes = b""  # the property as it came


class Pieces:
    """Objects of answers in one namespace context, for one stub. `contents` may share values: read them only."""

    def __init__(self, context: Context, stub: Any, known: Known) -> None:
        self._context = context
        self._stub = stub
        self._known = known
        self._builder = Builder(stub, context.namespaces)

    def contents(self, piece: bytes) -> tuple[Any, ...]:
        """The ObjectContent of `<objects>…</objects>` without any `<!` and `<?`: one, or several where an end tag was
        spelled so that it was not seen. Raises BadAnswer."""
        key = key_of(piece)
        found: tuple[Any, ...] | None = self._known.get(key)
        if found is None:
            found, cost = self._read(piece)
            self._known.put(key, found, cost)
        return found

    def _read(self, piece: bytes) -> tuple[tuple[Any, ...], int]:
        try:
            if self._context.own_namespaces(piece):
                raise Surprise("prefixes that mean something else inside")
            content, cost = self._cut(piece)
        except Surprise:
            return self._slowly(piece), len(piece)
        return (content,), cost

    def _slowly(self, piece: bytes) -> tuple[Any, ...]:
        return tuple(by_pyvmomi(self._context.head + piece + self._context.close, self._stub).objects)

    # --- an object ----------------------------------------------------------------------------------------

    def _cut(self, piece: bytes) -> tuple[Any, int]:
        first = piece.find(_OPEN)
        parts = piece[first:].split(_CLOSE) if first >= 0 else []
        if not parts or piece.count(b"<propSet") != len(parts) - 1:
            raise Surprise("properties inside of properties")
        head, tail = piece[:first], parts.pop()
        found: list[Any] = []
        missing: list[_Property] = []
        for part in parts:
            if not part.startswith(_OPEN):
                part = part.lstrip(_BLANK)
                if not part.startswith(_OPEN):
                    raise Surprise("something between properties")
            key = key_of(part)
            value = self._known.get(key)
            if value is None:
                asked = self._unknown(key, part)
                if isinstance(asked, _Property):
                    missing.append(asked)
                else:
                    value = asked
            found.append(value)
        content, made = self._parse(head, missing, tail)
        fresh = iter(made)
        content.propSet.extend(next(fresh) if value is None else value for value in found)
        return content, len(head) + len(tail)

    def _parse(self, head: bytes, missing: list[_Property], tail: bytes) -> tuple[Any, list[Any]]:
        """The object without its properties, and the ones that were missing."""
        document = b"".join((self._context.element, head, *(each.xml for each in missing), tail, b"</w>"))
        (root,) = tree(document)
        children = list(root)
        names = [child.tag.rpartition("}")[2] for child in children]
        count = len(missing)
        if names[:1 + count] != ["obj", *["propSet"] * count]:
            raise Surprise("the order of what is in an object")
        if len(children) > 1 + count:  # what could not be read, with its faults
            (content,) = self._slowly(head + tail)
        else:
            root[:] = children[:1]
            content = self._builder.build(root, _CONTENT)
        return content, [self._property(head, *pair) for pair in zip(missing, children[1:1 + count], strict=True)]

    # --- a property ---------------------------------------------------------------------------------------

    def _unknown(self, key: Key, part: bytes) -> Any:
        """The DynamicProperty where it has a known shape; else what to parse, as _Property."""
        found = self._items(key, part) if len(part) > _WORTH else None
        if found is not None:
            return found
        whole = part + _CLOSE
        return self._alike(key, part, b"") or _Property(key, whole, whole=whole)

    def _alike(self, key: Key, piece: bytes, kind: bytes) -> Any:
        """A value that differs from a known one in texts; None where no known one is alike."""
        skeleton, texts = cut(piece)
        shape = self._known.get((kind + b"/", skeleton))
        value = shape.filled(texts) if shape is not None else None
        if value is not None:
            self._known.put(key, value, len(piece) >> 2)
        return value

    def _learn(self, key: Key, piece: bytes, kind: bytes, element: Any, value: Any) -> None:
        """Keep what was parsed, and its shape for others."""
        self._known.put(key, value, len(piece))
        skeleton, texts = cut(piece)
        shape_key = kind + b"/", skeleton
        if self._known.get(shape_key) is None:
            with suppress(Surprise):  # then the like of it is parsed each time
                self._known.put(shape_key, Shape(value, element, texts, self._stub), len(piece))

    def _items(self, key: Key, part: bytes) -> _Property | None:
        """An array, of which only the items that are not known are parsed; None where it cannot be cut."""
        array = _ARRAY.match(part)
        if array is None or not part.endswith(_VALUE):
            return None
        kind, name = array.groups()
        opens = (b"<" + name + b" ", b"<" + name + b">")
        items = part[array.end():-len(_VALUE)].split(b"</" + name + b">")
        if items.pop().strip(_BLANK) or part.count(opens[0]) + part.count(opens[1]) != len(items):
            return None
        made = _Property(key, b"", kind=kind, whole=part + _CLOSE)
        fresh = [array.group()]
        for item in items:
            if not item.startswith(opens):
                item = item.lstrip(_BLANK)
                if not item.startswith(opens):
                    return None
            item_key = key_of(item, kind)
            value = self._known.get(item_key)
            if value is None:
                value = self._alike(item_key, item, kind)
            made.items.append(value)
            if value is None:
                made.fresh.append((item_key, item))
                fresh += (item, b"</" + name + b">")
        made.xml = b"".join((*fresh, _VALUE, _CLOSE))
        return made

    def _property(self, head: bytes, asked: _Property, element: Any) -> Any:
        """The DynamicProperty, kept for the next object that has the same."""
        try:
            made = self._builder.build(element, _PROPERTY)
            if asked.kind:
                self._fill(made, element, asked)
                self._known.put(asked.key, made, 0)
            else:
                self._learn(asked.key, asked.xml[:-len(_CLOSE)], b"", element, made)
        except Surprise:
            (content,) = self._slowly(head + asked.whole + b"</objects>")
            (made,) = content.propSet
            self._known.put(asked.key, made, len(asked.xml))
        return made

    def _fill(self, made: Any, element: Any, asked: _Property) -> None:
        """Put the known items of an array among the new ones."""
        fresh = made.val
        if not isinstance(fresh, list) or len(fresh) != len(asked.fresh):
            raise Surprise("an array of something else")
        for (key, piece), each, item in zip(asked.fresh, element[1], fresh, strict=True):
            self._learn(key, piece, asked.kind, each, item)
        rest = iter(list(fresh))
        made.__dict__["val"] = type(fresh)(next(rest) if item is None else item for item in asked.items)
