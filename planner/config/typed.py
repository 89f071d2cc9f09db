"""Field declarations → readers: a node in, a valid value out, everything that is wrong reported at its place.

A reader returns None for "not set" and POISON for what it reported. Readers are built once per load; the ones of
text and numbers take most of the time of validating a large fleet, so they test the usual case first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from planner.config.accept import accepts, must_be_expression, text_check, wrong
from planner.config.checks import TEXT, Refused
from planner.config.nodes import NULLS, POISON, WORDS, Given, Map, Node, Scalar, Seq, integer, literal
from planner.config.problems import listed, nearest
from planner.config.values import Scope, words
from planner.model import Unknown
from planner.schema import Field

Reader: TypeAlias = "Callable[[Node, Scope], Any]"

def describe(node: Node) -> str:
    """What stands there, for people."""
    if isinstance(node, Scalar):
        return words(literal(node))
    return "a map" if isinstance(node, Map) else "a list" if isinstance(node, Seq) else words(node.value)


def reader(field: Field, name: str) -> Reader:
    """The reader of one field. `name`: as diagnostics call it (`drs.automation`)."""
    if field.kind == "list":
        return _list_reader(field, name)
    if field.kind == "map":
        return _map_reader(field, name)
    if field.kind == "object":
        return _object_reader(field, name)
    if field.kind == "string" and field.check != "path":
        return _string_reader(field, name)
    return _scalar_reader(field, name)


# --- scalars ----------------------------------------------------------------------------------------------


def _string_reader(field: Field, name: str) -> Reader:
    verify = text_check(field, name)
    free = not field.enum and field.check not in TEXT and not field.to
    slow = _scalar_reader(field, name)

    def read(node: Node, scope: Scope) -> Any:
        if type(node) is Scalar:
            text = node.text
            if "${" not in text and (node.at & 3 or text not in WORDS) and not field.to:
                if free:
                    return text
                try:
                    return verify(text)
                except Refused as error:
                    scope.world.problems.error(error.summary, error.detail, node.at, error.remedy)
                    return POISON
        return slow(node, scope)
    return read


def _scalar_reader(field: Field, name: str) -> Reader:
    accept = accepts(field, name)
    spelled = _SPELLED.get(field.kind)

    def read(node: Node, scope: Scope) -> Any:
        if type(node) is Scalar:
            text = node.text
            if "${" in text:
                value = scope.world.evaluate(node, scope)
            else:
                quoted = node.at & 3
                if not quoted and text in NULLS:
                    return None
                value = spelled(text) if spelled is not None and not quoted else None
                if value is None:
                    value = literal(node)
                    if field.kind in ("ref", "image", "secret"):
                        return _complain(must_be_expression(field, name, text), node.at, scope)
                    if field.kind == "string" and not quoted and type(value) in (int, float):
                        value = text  # a version such as 4.10 stays as written
        elif type(node) is Given:
            scope.refs.update(dict.fromkeys(node.refs))
            scope.computed = scope.computed or node.computed
            value = node.value
        else:
            return _complain(wrong(field, name, describe(node)), node.at, scope)
        if value is None:
            return None
        try:
            return accept(value, node.at, scope)
        except Refused as error:
            return _complain(error, node.at, scope)
    return read


_SPELLED: Mapping[str, Callable[[str], Any]] = {"int": integer}


def _complain(error: Refused, at: int, scope: Scope) -> Any:
    scope.world.problems.error(error.summary, error.detail, at, error.remedy)
    return POISON


# --- lists, maps, objects ---------------------------------------------------------------------------------


def given(value: Any, at: int) -> Node:
    """An evaluated value as a node; lists and maps one level deep, so that readers of nodes can go on."""
    if isinstance(value, dict):
        return Map({str(k): Given(v, at) for k, v in value.items()}, [at] * len(value), at)
    if isinstance(value, (list, tuple)):
        return Seq([Given(v, at) for v in value], at)
    return Given(value, at)


def opened(node: Node, scope: Scope) -> Node:
    """Expressions evaluated, evaluated values opened up: what remains is Map, Seq, plain Scalar or Given scalar."""
    if type(node) is Scalar and "${" in node.text:
        return given(scope.world.evaluate(node, scope), node.at)
    if type(node) is Given:
        scope.refs.update(dict.fromkeys(node.refs))
        scope.computed = scope.computed or node.computed
        return given(node.value, node.at)
    return node


def _absent(node: Node) -> Any:
    """(True, value) for nodes that stand for "not set", unknown or poison; (False, None) otherwise."""
    if isinstance(node, Given) and (node.value is None or isinstance(node.value, Unknown)):
        return True, node.value
    if isinstance(node, Scalar) and not node.at & 3 and node.text in NULLS:
        return True, None
    return False, None


def _list_reader(field: Field, name: str) -> Reader:
    items = field.items or Field("scalar", "")
    read_item = reader(items, name)

    def read(node: Node, scope: Scope) -> Any:
        if type(node) is not Seq:
            node = opened(node, scope)
            absent, value = _absent(node)
            if absent:
                return value
            if field.lone and not isinstance(node, (Seq, Map)):
                only = read_item(node, scope)
                return only if only is POISON else [only]
            if not isinstance(node, Seq):
                return _complain(wrong(field, name, describe(node), "write [ … ] around it"), node.at, scope)
        values = [read_item(item, scope) for item in node.items]
        for item, value in zip(node.items, values, strict=True):
            if value is None:
                return _complain(Refused("an empty item", f"{name}: an item of the list is null"), item.at, scope)
        return _arranged(field, name, values, node, scope)
    return read


def _arranged(field: Field, name: str, values: list[Any], node: Seq, scope: Scope) -> Any:
    """Sorted and unique where order means nothing; otherwise repeated text is an error."""
    if any(value is POISON for value in values):
        return POISON
    if not all(type(value) is str for value in values):
        return values
    if field.unordered:
        return sorted(set(values)) if len(values) > 1 else values
    if len(set(values)) < len(values):
        twice = next(v for i, v in enumerate(values) if v in values[:i])
        at = node.items[len(values) - 1 - values[::-1].index(twice)].at
        return _complain(Refused("listed twice", f"{name}: {twice!r}", "remove one of the two"), at, scope)
    return values


def _map_reader(field: Field, name: str) -> Reader:
    read_item = reader(field.items or Field("scalar", ""), name)

    def read(node: Node, scope: Scope) -> Any:
        node = opened(node, scope)
        absent, value = _absent(node)
        if absent:
            return value
        if not isinstance(node, Map):
            return _complain(wrong(field, name, describe(node)), node.at, scope)
        values = {key: read_item(item, scope) for key, item in node.items.items()}
        return {key: value for key, value in values.items() if value is not None}
    return read


def _object_reader(field: Field, name: str) -> Reader:
    body = Fields(field.fields, name)

    def read(node: Node, scope: Scope) -> Any:
        node = opened(node, scope)
        absent, value = _absent(node)
        if absent:
            return value
        if not isinstance(node, Map):
            return _complain(wrong(field, name, describe(node)), node.at, scope)
        return body.read(node, scope, node.at)
    return read


class Fields:
    """The fields of an object or a resource: readers by key, what is required, what is always set."""

    __slots__ = ("always", "fields", "known", "prefix", "readers", "required")

    def __init__(self, fields: Mapping[str, Field], prefix: str = "") -> None:
        self.fields = fields
        self.prefix = f"{prefix}." if prefix else ""
        self.readers = {k: reader(f, self.prefix + k) for k, f in fields.items() if not f.computed}
        self.required = tuple(k for k, f in fields.items() if f.required and not f.computed)
        self.always = tuple((k, f.default) for k, f in fields.items() if f.always and f.default is not None)
        self.known: tuple[str, ...] = tuple(self.readers)

    def read(self, node: Map, scope: Scope, at: int, skip: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All attributes of a body. `skip`: keys that belong to somebody else. `at`: where to report gaps."""
        values: dict[str, Any] = {}
        readers = self.readers
        for key, item in node.items.items():
            read = readers.get(key)
            if read is not None:
                value = read(item, scope)
                if value is not None:
                    values[key] = value
            elif skip is None or key not in skip:
                self.unknown(key, node.key_at(key), scope, skip or {})
        for key in self.required:
            if key not in values and not scope.lint:
                scope.world.problems.error("a required key is missing", f"{self.prefix}{key}", at,
                                           f"add `{key}:` ({self.fields[key].doc})")
        for key, default in self.always:
            if key not in values:
                values[key] = default
        return values

    def unknown(self, key: str, at: int, scope: Scope, others: Mapping[str, Any]) -> None:
        """Report a key that this body does not have."""
        later = scope.world.later(key)
        if later:
            scope.world.problems.error("not supported in this version", f"{self.prefix}{key}: {later}", at,
                                       "remove it" if key in scope.world.catalog.reserved else
                                       "remove it; a later version will know it")
        elif key in self.fields:
            scope.world.problems.error("a key that can only be read", f"{self.prefix}{key}", at,
                                       "remove it; refer to it in expressions")
        else:
            names = [*self.known, *others]
            near = nearest(key, names)
            scope.world.problems.error(
                "unknown key", f"{self.prefix}{key}", at,
                f"did you mean {near!r}?" if near else f"known: {listed(sorted(names), 30)}")
