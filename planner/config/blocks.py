"""Resource blocks and profiles: merging, `for_each`, instances, and what hangs on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from planner.catalog import Catalog, ResourceType
from planner.config.nodes import POISON, Given, Map, Node, Scalar, is_null
from planner.config.problems import suggest
from planner.config.typed import Fields, describe, opened
from planner.config.values import ExprError, Family, words
from planner.config.world import World
from planner.model import Address, Unknown
from planner.schema import boolean, strings

Hanging: TypeAlias = dict[str, tuple[Node, int]]
"""Children of one type on one host: name ("" for a singleton) → body and place of the key."""

META: Mapping[str, str] = {
    "for_each": "a map or a list of unique texts: one instance for each", "profile": "a profile to build on",
    "lifecycle": "{prevent_destroy, ignore_changes}", "depends_on": "resources that come first",
    "exclusive": "what nobody declared on it is planned for removal",
}
CHILD_META = ("lifecycle", "depends_on")
EMPTY = Map({}, [], 0)


class Table:
    """A resource type, prepared for reading bodies."""

    __slots__ = ("distinct", "fields", "kids", "names", "rtype", "siblings", "skip", "static", "unique")

    def __init__(self, rtype: ResourceType, catalog: Catalog) -> None:
        self.rtype = rtype
        self.fields = Fields(rtype.fields)
        self.kids = {t.name: t for t in catalog.children(rtype.name)}
        meta = CHILD_META if rtype.parent else META if self.kids else ("for_each", "lifecycle", "depends_on")
        self.skip: dict[str, object] = {**dict.fromkeys(k for k in meta if k not in rtype.fields), **self.kids}
        self.static: dict[int, Any] = {}
        self.siblings = tuple((f, t, frozenset(catalog.types[t].baseline)) for f, t in rtype.siblings.items())
        self.unique = tuple(dict.fromkeys(f for f in (rtype.key, *rtype.unique) if f))
        self.distinct = rtype.distinct
        for name in (*self.unique, *self.distinct):
            rtype.fields[name]  # a misspelt rule must not pass for one that holds


LIFECYCLE = {
    "prevent_destroy": boolean("refuse every plan that would delete or replace it"),
    "ignore_changes": strings("attributes that are left as live has them"),
}


class Block:
    """One declared block: `host: {esx: BODY}`."""

    __slots__ = ("at", "body", "failed", "family", "instances", "label", "merged", "refs", "type")

    def __init__(self, type_name: str, label: str, body: Map, at: int) -> None:
        self.type, self.label, self.body, self.at = type_name, label, body, at
        self.instances: dict[str, Instance] | None = None
        self.failed = False  # `for_each` was reported: its instances are not known
        self.family: Family | None = None
        self.merged: dict[str, Map] = {}
        self.refs: tuple[Address, ...] = ()  # what `for_each` was made from

    @property
    def several(self) -> bool:
        return "for_each" in self.body.items


class Instance:
    """One resource of a block: its merged body, and what hangs on it."""

    __slots__ = ("address", "block", "body", "each", "families", "hanging")

    def __init__(self, block: Block, address: Address, body: Map, each: tuple[str, Any] | None) -> None:
        self.block, self.address, self.body, self.each = block, address, body, each
        self.hanging: dict[str, Hanging] = {}
        self.families: dict[str, Family] = {}


def merge(base: Map, over: Map) -> Map:
    """Maps merge deeply; scalars and lists replace; null takes away what the base has."""
    items = dict(base.items)
    places = dict(zip(base.items, base.keys, strict=True))
    for (key, node), at in zip(over.items.items(), over.keys, strict=True):
        old = items.get(key)
        if old is not None:
            if is_null(node):
                del items[key], places[key]
                continue
            if type(old) is Map and type(node) is Map:
                node = merge(old, node)
        items[key] = node
        places[key] = at
    return Map(items, list(places.values()), over.at)


def without(body: Map, *names: str) -> Map:
    """A body without some keys."""
    if not any(name in body.items for name in names):
        return body
    kept = [(k, v, at) for (k, v), at in zip(body.items.items(), body.keys, strict=True) if k not in names]
    return Map({k: v for k, v, _ in kept}, [at for _, _, at in kept], body.at)


class Profiles:
    """`profile:` blocks, each merged with what it builds on, once."""

    __slots__ = ("_done", "declared", "shared", "used", "world")

    def __init__(self, world: World, declared: Mapping[str, tuple[Map, int]]) -> None:
        self.world = world
        self.declared = declared
        self.used: set[str] = set()
        self.shared: set[int] = set()  # nodes that several instances may share: worth reading only once
        self._done: dict[str, Map] = {}

    def get(self, name: str, at: int) -> Map:
        """The whole body of a profile; an empty one after a report."""
        self.used.add(name)
        found = self._done.get(name)
        if found is None:
            found = self._done[name] = self._resolve(name, at)
        return found

    def _resolve(self, name: str, at: int) -> Map:
        problems = self.world.problems
        if name not in self.declared:
            problems.error("undeclared profile", name, at, suggest(name, self.declared, "declared"))
            return EMPTY
        try:
            self.world.enter(f"profile {name}")
        except ExprError as error:
            problems.error(error.summary, error.detail, at, error.remedy)
            return EMPTY
        try:
            body = self.declared[name][0]
            base = body.items.get("profile")
            if base is not None and not is_null(base):
                parent = self.world.untyped(base, self.world.scope())
                if isinstance(parent, str):
                    body = merge(self.get(parent, base.at), without(body, "profile"))
                elif parent is not POISON:
                    problems.error("wrong type", f"profile: the name of a profile is expected, {describe(base)} found",
                                   base.at)
            body = without(body, "profile")
        finally:
            self.world.path_stack.pop()
        for node in body.items.values():
            self.shared.add(id(node))
            if type(node) is Map:
                self.shared.update(map(id, node.items.values()))
        return body


def for_each(world: World, block: Block) -> dict[str, Any]:
    """The instances' keys and values. Reports what cannot be iterated."""
    node = block.body.items["for_each"]
    scope = world.scope()
    value = world.untyped(node, scope)
    block.refs = tuple(scope.refs)
    detail = f"{block.type}.{block.label}: for_each"
    block.failed = not isinstance(value, (list, dict))
    if isinstance(value, Unknown):
        if value is not POISON:
            world.problems.error("for_each must be known", f"{detail} is known only after apply", node.at,
                                 "use values that the file itself gives")
        return {}
    if isinstance(value, list):
        return _set(world, value, detail, node)
    if isinstance(value, dict):
        for key in value:
            if not key or not key.isprintable():
                world.problems.error("not a key", f"{detail}: {key!r}", node.at, "keys are printable text")
        return {key: item for key, item in value.items() if key and key.isprintable()}
    world.problems.error("for_each needs a map or a list of unique texts", f"{detail} is {words(value)}", node.at)
    return {}


def _set(world: World, items: list[Any], detail: str, node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if item is POISON:
            continue
        if not isinstance(item, str) or not item or not item.isprintable():
            world.problems.error("for_each needs a map or a list of unique texts",
                                 f"{detail}: an item is {words(item)}", node.at, "use a map for anything else")
        elif item in found:
            world.problems.error("for_each needs a map or a list of unique texts", f"{detail}: {item!r} is there twice",
                                 node.at, "remove one of the two, or use distinct()")
        else:
            found[item] = item
    return found


def hang(world: World, instance: Instance, table: Table, shared: dict[int, Hanging]) -> None:
    """Find what hangs on an instance. `shared`: results for nodes that come from profiles."""
    kids = table.kids
    for (key, node), at in zip(instance.body.items.items(), instance.body.keys, strict=True):
        rtype = kids.get(key)
        if rtype is None:
            continue
        if rtype.singleton:
            instance.hanging[key] = {"": (node, at)}
            continue
        known = shared.get(id(node))
        if known is not None:
            instance.hanging[key] = known
            continue
        scope = world.scope(instance.each)
        body = opened(node, scope)
        if not isinstance(body, Map):
            if not is_null(body) and not (isinstance(body, Given) and (body.value is None or body.value is POISON)):
                world.problems.error("wrong type", f"{key}: a map of names to bodies is expected, {describe(body)} "
                                     "found", node.at, f"write {key}: {{NAME: {{…}}}}")
            continue
        if body is not node:  # made by an expression: remember what it was made from
            refs = tuple(scope.refs)
            body = Map({k: Given(v.value, v.at, refs, scope.computed) if isinstance(v, Given) else v
                        for k, v in body.items.items()}, body.keys, body.at)
        instance.hanging[key] = {name: (item, item_at) for (name, item), item_at
                                 in zip(body.items.items(), body.keys, strict=True)}


def as_body(node: Node, rtype: ResourceType) -> Map | Node:
    """A child's body as a map: a scalar where the type has a short form."""
    if rtype.shorthand and not isinstance(node, Map) and not is_null(node):
        short = isinstance(node, Scalar) or not isinstance(node, Given) or not isinstance(node.value, dict)
        if short:
            return Map({rtype.shorthand: node}, [node.at], node.at)
    return node
