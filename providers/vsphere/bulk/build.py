"""XML elements → pyVmomi objects, as pyVmomi's own deserialiser builds them, from type plans made once per class.

pyVmomi decides per element what it is, and checks every value again when it is set; here a class is looked at once.
What a plan does not cover (faults, types that the metadata does not have, values of another type than declared) raises
Surprise, and the caller lets pyVmomi read that piece.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pyVmomi import Iso8601
from pyVmomi import VmomiSupport as Vm
from pyVmomi.SoapAdapter import LocalizedMethodFault, SoapDeserializer, isDynamicType

XSI_TYPE = f"{{{Vm.XMLNS_XSI}}}type"
Make = Callable[[Any], Any]
"""Element → value."""
Field = tuple[str, bool, Make, Any]
"""Attribute name, whether it is an array, how to make an element without xsi:type, declared type."""


class Surprise(Exception):
    """Internal: pyVmomi has to read this piece itself."""


class Builder:
    """Builds values for one stub (MoRefs are bound to it) in one namespace context: prefix (None: default) → URI."""

    def __init__(self, stub: Any, namespaces: Mapping[str | None, str]) -> None:
        self._stub = stub
        self._names = SoapDeserializer(stub)
        self._names.nsMap = {prefix: [uri] for prefix, uri in namespaces.items()}
        self._prefixes = frozenset(prefix for prefix in namespaces if prefix)
        self._makers: dict[Any, Make] = {}
        self._typed: dict[tuple[Any, str, bool], Make] = {}
        self._references: dict[str, Any] = {}

    def build(self, element: Any, kind: Any) -> Any:
        """An object of a data type. Raises Surprise."""
        try:
            return self.maker(kind)(element)
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as problem:
            raise Surprise(str(problem)) from problem

    # --- how to make a type -------------------------------------------------------------------------------

    def maker(self, declared: Any) -> Make:
        """How to make an element of this declared type that names no type itself; an array's: one item of it."""
        found = self._makers.get(declared)
        if found is None:
            item = declared.Item if issubclass(declared, list) else declared
            found = self._makers[declared] = self._make_kind(self._compatible(item))
        return found

    def typed(self, declared: Any, given: str, *, many: bool) -> Make:
        """How to make an element that names its type. `many`: it is one item of an array."""
        key = (declared, given, many)
        found = self._typed.get(key)
        if found is None:
            found = self._find_typed(declared, given, many=many)
            if len(self._typed) < 10_000:
                self._typed[key] = found
        return found

    def _find_typed(self, declared: Any, given: str, *, many: bool) -> Make:
        item = declared.Item if many and issubclass(declared, list) else declared
        if isDynamicType(item):
            return self.maker(item)
        kind = self._compatible(self._resolve(given, reference=True))
        fits = not issubclass(kind, list) if many else item is object or issubclass(kind, item)
        if not fits:
            raise Surprise(f"{given} where {item} is declared")
        return self._array(kind) if issubclass(kind, list) else self._make_kind(kind)

    def _compatible(self, kind: Any) -> Any:
        return Vm.GetCompatibleType(kind, self._names.version) if self._names.version else kind

    def _resolve(self, name: str, *, reference: bool = False) -> Any:
        prefix, colon, _ = name.partition(":")
        if colon and prefix not in self._prefixes:
            raise Surprise(f"the prefix of {name}")
        space, local = self._names.GetNSAndWsdlname(name)
        return self._names.LookupWsdlType(space, local, allowManagedObjectReference=reference)

    def _make_kind(self, kind: Any) -> Make:
        if issubclass(kind, Vm.ManagedObject):
            return self._reference
        if issubclass(kind, Exception) or kind is LocalizedMethodFault:
            raise Surprise("a fault")
        if issubclass(kind, Vm.DataObject):
            return self._object(kind)
        return _leaf(converter(kind))

    # --- makers -------------------------------------------------------------------------------------------

    def _reference(self, element: Any) -> Any:
        if len(element) or "serverGuid" in element.attrib:
            raise Surprise("a reference to another server")
        name = element.attrib["type"]
        kind = self._references.get(name)
        if kind is None:
            kind = self._resolve(name)
            if not issubclass(kind, Vm.ManagedObject):
                raise Surprise(f"a reference to a {name}")
            self._references[name] = kind
        return kind(element.text or "", self._stub, None)

    def _array(self, kind: Any) -> Make:
        typed, item = self.typed, kind.Item

        def make(element: Any) -> Any:
            made = kind()
            for child in element:
                given = child.get(XSI_TYPE)
                made.append(self.maker(item)(child) if given is None else typed(item, given, many=True)(child))
            return made

        return make

    def _object(self, cls: Any) -> Make:
        fresh = cls().__dict__
        arrays = tuple((name, type(value)) for name, value in fresh.items() if isinstance(value, list))
        names = {name for name, _ in arrays}
        scalars = {name: value for name, value in fresh.items() if name not in names}
        fields: dict[str, Field] = {}
        new, typed, learn = cls.__new__, self.typed, self._learn

        def make(element: Any) -> Any:
            made = new(cls)
            values = made.__dict__
            values.update(scalars)
            for name, array in arrays:
                values[name] = array()
            for child in element:
                field = fields.get(child.tag) or learn(cls, fields, child.tag)
                name, many, plain, declared = field
                given = child.get(XSI_TYPE)
                value = plain(child) if given is None else typed(declared, given, many=many)(child)
                if many:
                    values[name].append(value)
                else:
                    values[name] = value
            return made

        return make

    def _learn(self, cls: Any, fields: dict[str, Field], tag: str) -> Field:
        """The field of a class that a tag names. pyVmomi compares local names only."""
        info = cls._GetPropertyInfo(tag.rpartition("}")[2])
        kind = info.type

        many = issubclass(kind, list)

        def later(element: Any) -> Any:  # a type's plan is made when a value of it comes: types contain themselves
            make = self.maker(kind)
            fields[tag] = (info.name, many, make, kind)
            return make(element)

        fields[tag] = (info.name, many, self._makers.get(kind, later), kind)
        return fields[tag]


def _leaf(convert: Callable[[str], Any]) -> Make:
    def make(element: Any) -> Any:
        if len(element):
            raise Surprise("elements inside of a scalar")
        return convert(element.text or "")

    return make


def converter(kind: Any) -> Callable[[str], Any]:
    """Text → value of a scalar type. Raises Surprise for a type whose values are no plain text."""
    if kind is str:
        return str
    if kind is bool:
        return _boolean
    if kind is Vm.binary:
        return lambda text: Vm.binary(base64.b64decode(text))
    if kind is datetime:
        return _moment
    if issubclass(kind, Vm.Enum):
        return lambda text: getattr(kind, text) if text else None  # VMware's simulator leaves some of them empty
    if issubclass(kind, (int, float, str)):
        made: Callable[[str], Any] = kind
        return made
    raise Surprise(f"a value of {kind}")


def _boolean(text: str) -> bool:
    if text == "true" or text == "1" or text.lower() == "true":
        return True
    if text == "false" or text == "0" or text.lower() == "false":
        return False
    raise Surprise(f"{text!r} for a boolean")


def _moment(text: str) -> Any:
    found = Iso8601.ParseISO8601(text)
    if not found:
        raise Surprise(f"{text!r} for a time")
    return found
