"""Blocks → resources: bodies read by schema, when they are first asked for, each once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from planner.config.blocks import (
    EMPTY,
    LIFECYCLE,
    Block,
    Hanging,
    Instance,
    Profiles,
    Table,
    as_body,
    for_each,
    hang,
    merge,
    without,
)
from planner.config.nodes import NULLS, POISON, Given, Map, Node, Scalar, Seq, is_null
from planner.config.problems import suggest
from planner.config.typed import Fields, describe, opened, reader
from planner.config.values import Children, ExprError, Family, Reference, Scope
from planner.config.world import World
from planner.model import NO_LIFECYCLE, Address, Lifecycle, Resource, Unknown
from planner.schema import boolean


class Static(NamedTuple):
    """A child's body that is the same on every host that shares it."""

    attributes: dict[str, Any]
    refs: tuple[Address, ...]
    lifecycle: Lifecycle
    mark: Any


class Bodies:
    """All resource blocks of a fleet."""

    __slots__ = ("_exclusive", "_lifecycle", "_shared", "blocks", "early", "profiles", "resources",
                 "tables", "world")

    def __init__(self, world: World, blocks: dict[str, dict[str, Block]], profiles: Profiles) -> None:
        self.world = world
        self.blocks = blocks
        self.profiles = profiles
        self.tables = {name: Table(rtype, world.catalog) for name, rtype in world.catalog.types.items()}
        self.resources: dict[Address, Resource] = {}
        self.early = False  # some resource was asked for before its turn
        self._shared: dict[int, Hanging] = {}
        self._lifecycle = Fields(LIFECYCLE, "lifecycle")
        self._exclusive = reader(boolean(""), "exclusive")
        world.bodies = self

    # --- what expressions ask for -------------------------------------------------------------------------

    def declared(self, type_name: str, label: str) -> Reference | Family | Unknown:
        """`cluster.prod`. Raises ExprError where it is not declared."""
        block = self.blocks.get(type_name, {}).get(label)
        if block is None:
            raise ExprError("undeclared resource", f"{type_name}.{label}",
                            suggest(label, self.blocks.get(type_name, {}), "declared"))
        if not block.several:
            return Reference(Address(type_name, label))
        if block.family is None:
            instances = self.expand(block)
            if block.failed:
                return POISON
            block.family = Family(f"{type_name}.{label}", {k: Reference(i.address) for k, i in instances.items()})
        return block.family

    def instance(self, address: Address) -> Instance:
        """The instance of a root address that is known to exist."""
        return self.expand(self.blocks[address.type][address.label])[address.key]

    def hanging(self, address: Address, name: str) -> Reference | Family | None:
        """`host.a.vswitch`: children of one type; None where the name is no child type."""
        rtype = self.tables[address.type].kids.get(name)
        if rtype is None or name in self.tables[address.type].rtype.fields:
            return None
        instance = self.instance(address)
        hanging = instance.hanging.get(name, {})
        if rtype.singleton:
            if not hanging:
                raise ExprError("undeclared resource", f"{address}.{name}", f"declare `{name}:` on {address}")
            return Reference(address.under(name))
        family = instance.families.get(name)
        if family is None:
            family = Children(f"{address}.{name}", {c: Reference(address.under(name, c)) for c in hanging})
            instance.families[name] = family
        return family

    def resource(self, address: Address) -> Resource:
        """A resource that is known to be declared. Raises ExprError on a cycle."""
        found = self.resources.get(address)
        if found is None:
            instance = self.instance(address.root)
            self.early = True
            found = self.child(instance, address.child_type, address.child) if address.child_type \
                else self.root(instance)
        return found

    # --- instances ----------------------------------------------------------------------------------------

    def expand(self, block: Block) -> dict[str, Instance]:
        """The instances of a block, by key ("" without `for_each`). Raises ExprError on a cycle."""
        if block.instances is None:
            self.world.enter(f"{block.type}.{block.label}")
            try:
                block.instances = self._expanded(block)
            finally:
                self.world.path_stack.pop()
        return block.instances

    def _expanded(self, block: Block) -> dict[str, Instance]:
        table = self.tables[block.type]
        made: dict[str, Instance] = {}
        if block.several:
            for key, value in for_each(self.world, block).items():
                made[key] = Instance(block, Address(block.type, block.label, key), EMPTY, (key, value))
        else:
            made[""] = Instance(block, Address(block.type, block.label), EMPTY, None)
        for instance in made.values():
            instance.body = self.body(instance, table)
            if table.kids:
                hang(self.world, instance, table, self._shared)
                self._remember(instance)
        return made

    def _remember(self, instance: Instance) -> None:
        """Children maps that come from a profile, or are the same for all instances, need no second look."""
        several = instance.block.several
        for key, hanging in instance.hanging.items():
            node = instance.body.items[key]
            if type(node) is Map and (several or id(node) in self.profiles.shared):
                self._shared[id(node)] = hanging

    def body(self, instance: Instance, table: Table) -> Map:
        """The block's body, merged onto its profile."""
        block = instance.block
        node = block.body.items.get("profile") if table.kids else None
        if node is None or is_null(node):
            return block.body
        name = self.world.untyped(node, self.world.scope(instance.each))
        if not isinstance(name, str):
            if name is not POISON:
                self.world.problems.error("wrong type", f"profile: the name of a profile is expected, {describe(node)} "
                                          "found", node.at)
            return block.body
        found = block.merged.get(name)
        if found is None:
            found = block.merged[name] = merge(self.profiles.get(name, node.at), without(block.body, "profile"))
        return found

    # --- resources ----------------------------------------------------------------------------------------

    def root(self, instance: Instance) -> Resource:
        """Build the resource of an instance itself."""
        address, block = instance.address, instance.block
        table = self.tables[address.type]
        self.world.enter(address)
        before = self.world.problems.subject
        self.world.problems.subject = address
        try:
            scope = self.world.scope(instance.each)
            attributes = table.fields.read(instance.body, scope, block.at, table.skip)
            if "name" in table.fields.readers and "name" not in attributes and "name" not in table.fields.required:
                attributes["name"] = address.key or address.label
            self.validated(table, attributes, block.at)
            lifecycle = self.meta(table, instance.body, scope)
            exclusive = instance.body.items.get("exclusive") if "exclusive" in table.skip else None
            only = exclusive is not None and self._exclusive(exclusive, scope) is True
            scope.refs.update(dict.fromkeys(block.refs))
        finally:
            self.world.path_stack.pop()
            self.world.problems.subject = before
        mark = self.world.problems.sources.mark(block.at)
        made = Resource(address, attributes, tuple(scope.refs), lifecycle, only, mark)
        self.resources[address] = made
        if scope.computed:
            self.world.computed[str(address)] = (instance.body, instance.each)
        return made

    def child(self, instance: Instance, type_name: str, name: str) -> Resource:
        """Build one object that hangs on an instance."""
        address = instance.address.under(type_name, name)
        table = self.tables[type_name]
        node, at = instance.hanging[type_name][name]
        static = table.static.get(id(node))
        if static is None:
            self.world.enter(address)
            before = self.world.problems.subject
            self.world.problems.subject = address
            try:
                scope = self.world.scope(instance.each)
                static = self.read_child(table, node, at, name, scope)
            finally:
                self.world.path_stack.pop()
                self.world.problems.subject = before
            if scope.computed:
                self.world.computed[str(address)] = (node, instance.each)
            elif not scope.used_each and type(node) is not Given and (
                    instance.block.several or id(node) in self.profiles.shared):
                table.static[id(node)] = static
        made = Resource(address, static.attributes, static.refs, static.lifecycle, False, static.mark)
        self.resources[address] = made
        return made

    def read_child(self, table: Table, node: Node, at: int, name: str, scope: Scope) -> Static:
        """Read a child's body; reports what is wrong."""
        problems = self.world.problems
        what = f"{table.rtype.name}.{name}" if name else table.rtype.name
        attributes: dict[str, Any] = {}
        lifecycle = NO_LIFECYCLE
        if not table.rtype.singleton and not name.isprintable():
            problems.error("not a name", f"{what!r}", at, "names are printable text")
        elif table.rtype.label is not None and (why := table.rtype.label(name)):
            problems.error(f"not a {table.rtype.name}", why, at, table.rtype.label_doc)
        body = as_body(node, table.rtype)
        if not isinstance(body, Map):
            body = opened(body, scope)
        if isinstance(body, Map):
            attributes = table.fields.read(body, scope, at, table.skip)
            self.validated(table, attributes, at)
            lifecycle = self.meta(table, body, scope)
        elif is_null(body) or (isinstance(body, Given) and body.value is None):
            problems.error("an empty body", what, at, "write {} to declare it as it is, or remove the line")
        elif not (isinstance(body, Given) and body.value is POISON):
            problems.error("wrong type", f"{what}: a map is expected, {describe(body)} found", body.at)
        return Static(attributes, tuple(scope.refs), lifecycle, problems.sources.mark(at))

    def validated(self, table: Table, attributes: dict[str, Any], at: int) -> None:
        """The type's own rules across fields, where every field is valid by itself."""
        check = table.rtype.validate
        if check is None or any(_poisoned(v) for v in attributes.values()):
            return
        if any(key not in attributes for key in table.fields.required):
            return
        for sentence in check(attributes):
            self.world.problems.error(f"an invalid {table.rtype.name}", sentence, at)

    def meta(self, table: Table, body: Map, scope: Scope) -> Lifecycle:
        """`depends_on` (into the scope's references) and `lifecycle`."""
        items = body.items
        if "depends_on" in items and "depends_on" in table.skip:
            self.depends(items["depends_on"], scope)
        if "lifecycle" not in items or "lifecycle" not in table.skip:
            return NO_LIFECYCLE
        node = items["lifecycle"]
        if is_null(node):
            return NO_LIFECYCLE
        if not isinstance(node, Map):
            self.world.problems.error("wrong type", f"lifecycle: a map is expected, {describe(node)} found", node.at,
                                      "write lifecycle: {prevent_destroy: true}")
            return NO_LIFECYCLE
        values = self._lifecycle.read(node, scope, node.at)
        ignored = values.get("ignore_changes", [])
        if not isinstance(ignored, list):
            ignored = []
        for name in ignored:
            if name not in table.rtype.fields:
                self.world.problems.error("no such attribute", f"lifecycle.ignore_changes: {name!r}",
                                          node.items["ignore_changes"].at,
                                          suggest(name, table.rtype.fields, f"a {table.rtype.name} has"))
        return Lifecycle(values.get("prevent_destroy") is True, tuple(ignored))

    def depends(self, node: Node, scope: Scope) -> None:
        """Add what `depends_on` names to the scope's references."""
        for item in node.items if isinstance(node, Seq) else [node]:
            if isinstance(item, Scalar) and "${" not in item.text and item.text not in NULLS:
                item = Scalar(f"${{{item.text}}}", item.at - (2 << 2))  # a bare address
            value = self.world.untyped(item, scope)
            if isinstance(value, Family):
                value = list(value.values())
            for target in value if isinstance(value, list) else [value]:
                if isinstance(target, Reference):
                    scope.refs[target.address] = None
                elif target is not POISON:
                    self.world.problems.error("not a resource", f"depends_on: {describe(item)} does not name one",
                                              item.at, "write depends_on: ['${TYPE.LABEL}']")

    def everything(self) -> Iterator[tuple[Instance, Resource, list[Resource]]]:
        """Every instance with its resource and what hangs on it, in the order of the files; builds all."""
        for blocks in self.blocks.values():
            for block in blocks.values():
                for instance in self.expand(block).values():
                    own = self.resources.get(instance.address) or self.root(instance)
                    kids: list[Resource] = []
                    for type_name, hanging in instance.hanging.items():
                        for name in hanging:
                            found = self.resources.get(instance.address.under(type_name, name)) if self.early else None
                            kids.append(found or self.child(instance, type_name, name))
                    yield instance, own, kids

    def close(self) -> None:
        """Let go of the files: without cycles they are freed at once, and the collector never walks them."""
        self.world.bodies = None
        for blocks in self.blocks.values():
            for block in blocks.values():
                block.instances = None
        self._shared.clear()

    def lint(self) -> None:
        """Check the bodies that no instance used: profiles without hosts, blocks with an empty `for_each`."""
        for name, (_, at) in self.profiles.declared.items():
            if name not in self.profiles.used:
                for table in self.tables.values():
                    if table.kids:
                        self._lint(table, self.profiles.get(name, at))
        for blocks in self.blocks.values():
            for block in blocks.values():
                if block.several and not block.instances:
                    self._lint(self.tables[block.type], block.body)

    def _lint(self, table: Table, body: Map) -> None:
        scope = self.world.scope(lint=True)
        table.fields.read(body, scope, body.at, table.skip)
        self.meta(table, body, scope)
        instance = Instance(Block("", "", body, body.at), Address("", ""), body, None)
        plain = [(k, v, at) for (k, v), at in zip(body.items.items(), body.keys, strict=True)
                 if not isinstance(v, Scalar) or "${" not in v.text]
        instance.body = Map({k: v for k, v, _ in plain}, [at for _, _, at in plain], body.at)
        hang(self.world, instance, table, {})
        for type_name, hanging in instance.hanging.items():
            for name, (node, at) in hanging.items():
                self.read_child(self.tables[type_name], node, at, name, self.world.scope(lint=True))


def _poisoned(value: Any) -> bool:
    if value is POISON:
        return True
    if type(value) is dict:
        return any(_poisoned(v) for v in value.values())
    return type(value) is list and any(v is POISON for v in value)
