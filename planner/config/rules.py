"""Rules between resources: names that must exist, facts with one owner, values that must be unique, cycles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from planner.catalog import ResourceType
from planner.config.blocks import Instance, Table
from planner.config.bodies import Bodies
from planner.config.nodes import POISON
from planner.config.problems import Problems, path_text, suggest
from planner.graph import CycleError, topological
from planner.model import Address, Resource, Unknown
from planner.schema import names_root

Claims: TypeAlias = dict[tuple[str, str, str], tuple[str, str]]
"""(type or pool, field, item) → the (type, name) that took it."""


class Rules:
    """Checks resources as they come by, and the whole at the end."""

    __slots__ = ("_alikes", "_edges", "_inside", "_names", "_over", "_shared", "_unique", "bodies", "problems")

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self.problems: Problems = bodies.world.problems
        self._unique: dict[tuple[str, str], dict[str, Address]] = {}
        self._names: dict[tuple[Any, ...], Address] = {}
        self._shared: list[tuple[Resource, Resource, ResourceType]] = []  # host, kid, type
        self._over: list[tuple[Resource, list[Resource]]] = []  # kids that stand on roots, all kids of that host
        self._alikes: list[Resource] = []  # of types that have something in common with what they name
        self._edges: dict[Address, dict[Address, None]] = {}  # between roots
        self._inside: dict[Address, dict[Address, None]] = {}  # between what hangs on one host

    def see(self, instance: Instance, own: Resource, kids: list[Resource]) -> None:
        """One root resource and what hangs on it."""
        tables = self.bodies.tables
        self._references(own)
        table = tables[own.address.type]
        if table.unique:
            self._repeated(own, table)
        self._named(own, table)
        if table.rtype.alike:
            self._alikes.append(own)
        claims: Claims = {}
        for kid in kids:
            kid_table = tables[kid.address.child_type]
            if kid.references:
                self._references(kid)
            for name, sibling, newborn in kid_table.siblings:
                value = kid.attributes.get(name)
                if type(value) is str and value not in newborn and value not in instance.hanging.get(sibling, ()) and \
                        not names_root(kid_table.rtype.fields[name], value):
                    self._missing(kid, name, sibling, value, [*newborn, *instance.hanging.get(sibling, ())])
            if kid_table.unique:
                self._repeated(kid, kid_table)
            for name in kid_table.distinct:
                self._distinct(kid, name, claims)
            if kid_table.rtype.over:
                self._over.append((kid, kids))
            if kid_table.rtype.shared:
                self._shared.append((own, kid, kid_table.rtype))
            for owned_type, names in kid_table.rtype.owns.items():
                self._owned(instance, kid, owned_type, names)
            for name, carrier in kid_table.rtype.within.items():
                self._within(kid, kids, name, carrier)
            if kid_table.rtype.claims is not None:
                self._claimed(instance, kid, kids)
        self._newborn(instance, claims)

    def _error(self, summary: str, detail: str, resource: Resource, remedy: str = "") -> None:
        self.problems.error(summary, detail, resource.mark or 0, remedy, resource.address)

    def _missing(self, kid: Resource, name: str, sibling: str, value: str, known: list[str]) -> None:
        self._error(f"{name} names a {sibling} that does not exist",
                    f"{value!r} is neither declared on this host nor part of a newborn host", kid,
                    suggest(value, known, "it has") or f"declare it under `{sibling}:`")

    def _owned(self, instance: Instance, kid: Resource, owned_type: str,
               names: tuple[str, ...] | Mapping[str, str]) -> None:
        hanging = instance.hanging.get(owned_type, {})
        for name in names:
            own = names[name] if isinstance(names, Mapping) else ""
            if name in hanging and (not own or own in kid.attributes):
                other = instance.address.under(owned_type, name)
                place = self.problems.sources.mark(hanging[name][1])
                self.problems.error("one fact with two owners", f"{kid.address} manages what {other} declares too",
                                    place, f"remove {owned_type}{name and '.'}{name}, or "
                                    f"`{kid.address.child_type}{own and '.'}{own}:`", other)

    def _claimed(self, instance: Instance, kid: Resource, kids: list[Resource]) -> None:
        """Facts of other objects that this one manages (management: vmk0's address) are declared once only."""
        claims = self.bodies.tables[kid.address.child_type].rtype.claims
        declared = {(k.address.child_type, k.address.name): k for k in kids}
        attributes = {key: other.attributes for key, other in declared.items()}
        for kind, name, facts in claims(kid.attributes, attributes) if claims is not None else ():
            other = declared.get((kind, name))
            for fact in facts if other is not None else ():
                if fact in attributes[kind, name]:
                    self._error("one fact with two owners", f"{kid.address} manages what "
                                f"{instance.address.under(kind, name)} declares too: {fact}", other or kid,
                                f"remove {fact} there, or `{kid.address.child_type}:`")

    def _within(self, kid: Resource, kids: list[Resource], name: str, carrier: str) -> None:
        """A number that must not be above that of what the object is on (a VMkernel adapter's MTU)."""
        declared = {(k.address.child_type, k.address.child): k.attributes for k in kids}
        below = (kid.address.child_type, kid.address.child)
        for _ in self.bodies.tables:  # siblings name each other in one direction: no chain is longer
            rtype = self.bodies.tables[below[0]].rtype
            attributes = declared.get(below) or rtype.baseline.get(below[1], {})
            if rtype.name == carrier:
                mine, most = (a.get(name, t.fields[name].default) for a, t in (
                    (kid.attributes, self.bodies.tables[kid.address.child_type].rtype), (attributes, rtype)))
                if isinstance(mine, int) and isinstance(most, int) and mine > most:
                    unset = "" if name in attributes else ", the default"
                    self.problems.warning(
                        f"{name} is above that of the {carrier} below it", f"{kid.address} has {mine}, {carrier} "
                        f"{below[1]!r} has {most}{unset}: larger packets are dropped", kid.mark or 0,
                        f"set {name} of {carrier}.{below[1]} to {mine}, or this one to at most {most}", kid.address)
                return
            below = next(((t, str(attributes[f])) for f, t in rtype.siblings.items() if f in attributes), below)

    def _stands(self, kid: Resource, kids: list[Resource]) -> None:
        """What stands on a root (an adapter on a distributed port group) needs that root's own root on its host."""
        rtype = self.bodies.tables[kid.address.child_type].rtype
        for name, (of, sibling) in rtype.over.items():
            value = kid.attributes.get(name)
            named = names_root(rtype.fields[name], value)
            group = self.bodies.resources.get(Address.parse(str(value))) if named else None
            carrier = group.attributes.get(of) if group is not None else None
            if not isinstance(carrier, str):
                continue  # reported where it was evaluated
            known_by = self.bodies.tables[sibling].rtype.known_by
            if not any(k.address.child_type == sibling and k.attributes.get(known_by) == carrier for k in kids):
                self._error(f"{name} is of a {carrier.partition('.')[0]} that this host is not part of",
                            f"{value} is on {carrier}", kid,
                            f"declare `{sibling}:` on the host, with {known_by}: '${{{carrier}}}'")
            self._carried(kid, rtype, carrier)

    def _carried(self, kid: Resource, rtype: ResourceType, carrier: str) -> None:
        """A number that must not be above that of the root below it (the MTU of a distributed switch)."""
        below = self.bodies.resources.get(Address.parse(carrier))
        fields = self.bodies.tables[Address.parse(carrier).type].rtype.fields
        for name in rtype.within if below is not None else ():
            mine = kid.attributes.get(name, rtype.fields[name].default)
            most = below.attributes.get(name, fields[name].default) if below is not None and name in fields else None
            if isinstance(mine, int) and isinstance(most, int) and mine > most:
                self.problems.warning(
                    f"{name} is above that of the {carrier.partition('.')[0]} below it",
                    f"{kid.address} has {mine}, {carrier} has {most}: larger packets are dropped", kid.mark or 0,
                    f"set {name} of {carrier} to {mine}, or this one to at most {most}", kid.address)

    # --- uniqueness ---------------------------------------------------------------------------------------

    def _repeated(self, resource: Resource, table: Table) -> None:
        for name in table.unique:
            value = resource.attributes.get(name)
            if value is None or value is POISON:
                continue
            if isinstance(value, Unknown):
                if name == table.rtype.key:
                    self._error("an identity must be known", f"{resource.address}.{name} is known only after apply",
                                resource, "write it into the file")
                continue
            seen = self._unique.setdefault((table.rtype.name, name), {})
            key = value.lower() if isinstance(value, str) else repr(value)
            first = seen.setdefault(key, resource.address)
            if first is not resource.address:
                self._error(f"two {table.rtype.name} resources with one {name}",
                            f"{first} ({self.bodies.resources[first].mark}) and {resource.address} both have {value!r}",
                            resource, f"give one of them another {name}")

    def _named(self, resource: Resource, table: Table) -> None:
        name = resource.attributes.get("name")
        if not isinstance(name, str) or "name" in table.unique:
            return
        where = tuple(str(resource.attributes.get(k)) for k, f in table.rtype.fields.items() if f.kind == "ref")
        first = self._names.setdefault((table.rtype.name, name, *where), resource.address)
        if first != resource.address:
            self._error(f"two {table.rtype.name} resources with one name in one place",
                        f"{first} and {resource.address} are both called {name!r}", resource,
                        "rename one, or remove it: each object has one declaration")

    def _distinct(self, kid: Resource, name: str, claims: Claims) -> None:
        items, rtype = kid.attributes.get(name), self.bodies.tables[kid.address.child_type].rtype
        for item in items if isinstance(items, list) else [items]:
            if isinstance(item, str) and not names_root(rtype.fields[name], item):
                first = claims.setdefault((rtype.pool.get(name) or kid.address.child_type, name, item),
                                          (kid.address.child_type, kid.address.child))
                if first == (kid.address.child_type, kid.address.child):
                    continue
                several = isinstance(items, list)
                what = kid.address.child_type
                owner = repr(first[1]) if first[0] == what else f"{first[0]} {first[1]!r}"
                self._error(f"{name}: one item in two {what} objects" if several and first[0] == what else
                            f"{name}: one item with two owners" if several else f"two {what} objects with one {name}",
                            f"{item!r} belongs to {owner} already, and {kid.address.child!r} takes it too", kid,
                            "remove it from one of them" if several else
                            f"a host takes one {what} on each {name}: name another")

    def _alike(self) -> None:
        """What an object names must have that attribute in common with it (a DRS group's hosts: the cluster)."""
        for resource in self._alikes:
            for field, attribute in self.bodies.tables[resource.address.type].rtype.alike.items():
                value = resource.attributes.get(field)
                for text in value if isinstance(value, list) else [value]:
                    other = self.bodies.resources.get(Address.parse(text)) if isinstance(text, str) else None
                    theirs = other.attributes.get(attribute) if other is not None else None
                    mine = resource.attributes.get(attribute)
                    if isinstance(theirs, str) and isinstance(mine, str) and theirs != mine:
                        self._error(f"{field} names something of another {attribute}",
                                    f"{text} has {attribute} {theirs}, this one {mine}", resource,
                                    f"leave {text} out, or give both one {attribute}")

    def _agreements(self) -> None:
        """What is one object across hosts must be declared alike on all of them."""
        first: dict[tuple[str, str, str], Resource] = {}
        for host, kid, rtype in self._shared:
            other = first.setdefault((rtype.name, kid.address.child, self._place(host, rtype.shared_within)), kid)
            for name in rtype.shared if other is not kid else ():
                mine, theirs = (r.attributes.get(name, rtype.fields[name].default) for r in (kid, other))
                if mine != theirs and not any(isinstance(v, Unknown) for v in (mine, theirs)):
                    where = f" in one {rtype.shared_within}" if rtype.shared_within else ""
                    self._error(f"{name} differs between hosts that share this {rtype.name}",
                                f"{other.address} ({other.mark}) has {theirs!r}, this one has {mine!r}; vCenter knows "
                                f"one {rtype.name} of a name{where}, and would rename the second", kid,
                                f"make {name} the same, or give one of them another name")
                    break

    def _place(self, resource: Resource, within: str) -> str:
        """The root of type `within` that a resource is in, by its references; else how far they lead."""
        for _ in range(20):  # a cycle was reported elsewhere
            fields = self.bodies.tables[resource.address.type].rtype.fields
            values = (resource.attributes.get(n) for n, f in fields.items() if f.kind == "ref")
            parent = next((v for v in values if isinstance(v, str)), "")
            if not within or not parent or parent.startswith(f"{within}."):
                return parent if within else ""
            found = self.bodies.resources.get(Address.parse(parent))
            if found is None:
                return parent
            resource = found
        return ""

    def _newborn(self, instance: Instance, claims: Claims) -> None:
        """What a newborn host has and the file does not set keeps its items: a claim on them would collide."""
        for (kind, name, item), (type_name, owner) in claims.items():
            drawing = [type_name] if kind in self.bodies.tables else [
                t.rtype.name for t in self.bodies.tables.values() if t.rtype.pool.get(name) == kind]
            for near, other, attributes in ((k, n, a) for k in drawing
                                            for n, a in self.bodies.tables[k].rtype.baseline.items()):
                held = attributes.get(name)
                if (near, other) == (type_name, owner) or item not in (held if isinstance(held, list) else [held]):
                    continue
                declared = self.bodies.resources.get(instance.address.under(near, other))
                if declared is None or name not in declared.attributes:
                    self.problems.warning(
                        f"{name}: an item that a newborn host uses elsewhere",
                        f"{instance.address}: {item!r} goes to {owner!r}, but a newborn host has it on {other!r}",
                        instance.block.at, f"declare {near}.{other} with {name} that leave it out"
                        if isinstance(held, list) else f"use another {name} for {owner}")

    # --- order --------------------------------------------------------------------------------------------

    def _references(self, resource: Resource) -> None:
        address = resource.address
        root = address.root
        for target in resource.references:
            if target.root != root:
                self._edges.setdefault(root, {})[target.root] = None
            elif root in self.bodies.world.cyclic:
                continue  # reported where it was evaluated
            elif target == address or not address.child_type:
                self._error("a cycle of references", f"{address} depends on {target}"
                            + ("" if target == address else f", which hangs on {address}"), resource,
                            "remove that dependency")
            elif target.child_type:
                self._inside.setdefault(address, {})[target] = None

    def cycles(self) -> None:
        """Report what only the whole shows: values that must agree, every cycle between resources."""
        self._agreements()
        self._alike()
        for kid, kids in self._over:
            self._stands(kid, kids)
        for edges in (self._edges, self._inside):
            needs: dict[Address, set[Address]] = {a: set(t) for a, t in edges.items()}
            targets = set().union(*needs.values()) if needs else set()
            nodes = [a for a in needs if a in targets]  # what nothing refers to is on no cycle
            for _ in range(20):
                try:
                    topological(nodes, needs)
                    break
                except CycleError as error:
                    cycle = [a for a in error.cycle if isinstance(a, Address)]
                    nodes = [n for n in nodes if n not in cycle]
                    if not self.bodies.world.cyclic.isdisjoint(a.root for a in cycle):
                        continue  # reported where it was evaluated
                    first = self.bodies.resources.get(cycle[0])
                    self.problems.error("a cycle of references", path_text([*cycle, cycle[0]]),
                                        (first.mark if first else None) or 0,
                                        "break it: one of them must not depend on the next", cycle[0])
