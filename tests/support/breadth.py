"""Fleets over the whole catalogue: any subset of its types, from the strategies of `tests/properties/breadth`.

What a strategy draws is valid by itself; `consistent` takes out what does not fit together, by the rules that the
catalogue itself declares (siblings, references, unique, distinct, within, shared, owns, validate).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from planner.catalog import ResourceType
from planner.model import Address, SecretRef
from planner.schema import Field, names_root
from tests.support.lab import CATALOG

Objects = dict[str, dict[str, Any]]
"""Address text → attributes."""

HOSTS = ("esx01", "esx02")
FIRST = "existing"
"""The module whose strategies those of a domain replace."""


@functools.cache
def strategies() -> Mapping[str, st.SearchStrategy[Any]]:
    """Type → strategy of {label: attributes}, of all modules. Raises AssertionError where two domains have one type."""
    from tests.properties import breadth

    found: dict[str, st.SearchStrategy[Any]] = {}
    owner: dict[str, str] = {}
    names = sorted((m.name for m in pkgutil.iter_modules(breadth.__path__)), key=lambda name: (name != FIRST, name))
    for name in names:
        for rtype, strategy in importlib.import_module(f"{breadth.__name__}.{name}").strategies().items():
            assert owner.get(rtype, FIRST) == FIRST, f"{owner.get(rtype)} and {name} both have a strategy of {rtype}"
            owner[rtype], found[rtype] = name, strategy
    return found


def covered() -> list[str]:
    """Types of the catalogue that have a strategy, in its order. The host is the harness's own."""
    return [name for name in CATALOG.types if name in strategies()]


def seed_of(name: str) -> int:
    """The seed of a type's examples: its own, so that a new type changes the examples of no other."""
    return zlib.crc32(name.encode())


# --- what belongs to what ---------------------------------------------------------------------------------


def refs_of(fields: Mapping[str, Field], values: Mapping[str, Any]) -> Iterator[str]:
    """Address texts that attributes refer to, inside of lists and objects, too."""
    for name, value in values.items():
        if name in fields:
            yield from _refs(fields[name], value)


def _refs(field: Field, value: Any) -> Iterator[str]:
    if value is None:
        return
    if names_root(field, value):
        yield str(value)
    elif field.kind == "object":
        yield from refs_of(field.fields, value)
    elif field.items is not None:
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _refs(field.items, each)


def targets(fields: Mapping[str, Field]) -> Iterator[str]:
    """Types that fields may refer to."""
    for field in fields.values():
        yield from field.to
        yield from targets(field.fields)
        if field.items is not None:
            yield from targets({"": field.items})


def needed(name: str) -> list[str]:
    """The type and those that its objects may stand on, with a strategy; in the catalogue's order."""
    found: set[str] = set()
    left = [name, "datacenter", "cluster"]
    while left:
        each = left.pop()
        if each in found or each not in CATALOG.types:
            continue
        found.add(each)
        rtype = CATALOG.types[each]
        left += [*rtype.siblings.values(), *targets(rtype.fields), *rtype.within.values(),
                 *(kind for _, kind in rtype.over.values())]
    return [n for n in covered() if n in found]


# --- one fleet --------------------------------------------------------------------------------------------


@st.composite
def sites(draw: st.DrawFn, types: Iterable[str] | None = None, hosts: tuple[str, ...] = HOSTS[:1],
          always: Iterable[str] = ()) -> Objects:
    """A fleet of some of these types (of all). `always`: types that are drawn on every host."""
    known = strategies()
    wanted = [n for n in (covered() if types is None else types) if n in known]
    must = {"datacenter", "cluster", *always}  # a host stands in a cluster
    found: Objects = {}
    for name in wanted:
        if not CATALOG.types[name].parent and (name in must or draw(st.booleans())):
            found.update({f"{name}.{label}": body for label, body in draw(known[name]).items()})
    for host in hosts:
        at = f'host.esx["{host}"]'
        found[at] = host_body(host)
        for name in wanted:
            if CATALOG.types[name].parent and (name in must or draw(st.booleans())):
                found.update({child(at, name, label): body for label, body in draw(known[name]).items()})
    return consistent(found)


def child(host: str, rtype: str, label: str) -> str:
    """Address of what hangs on a host; a singleton's label counts for nothing."""
    return str(Address.parse(host).under(rtype, "" if CATALOG.types[rtype].singleton else label))


def host_body(name: str) -> dict[str, Any]:
    return {"name": f"{name}.lab.example", "mac": f"52:54:00:00:00:1{int(name.removeprefix('esx'))}",
            "cluster": "cluster.prod", "image": "esxi8", "root_password": SecretRef("env:ROOT")}


def consistent(drawn: Objects) -> Objects:
    """The fleet without what a configuration's rules would refuse; what stands on something that went, goes, too."""
    found = {str(Address.parse(a)): _completed(Address.parse(a), dict(v)) for a, v in drawn.items()}
    while True:
        bad = next((a for a in found if not _fits(a, found)), None)
        if bad is None:
            return found
        del found[bad]


def _completed(address: Address, body: dict[str, Any]) -> dict[str, Any]:
    """As the configuration would: a root's name is its label; clusters are in dc0."""
    fields = CATALOG.types[address.rtype].fields
    if not address.child_type and "name" in fields:
        body.setdefault("name", address.label)
    if address.rtype == "cluster" and not body.get("folder"):
        body.setdefault("datacenter", "datacenter.dc0")
    return body


def _fits(text: str, found: Objects) -> bool:
    address = Address.parse(text)
    rtype, body = CATALOG.types[address.rtype], found[text]
    if any(target not in found for target in refs_of(rtype.fields, body)):
        return False
    if rtype.validate is not None and list(rtype.validate(body)):
        return False
    earlier = [(Address.parse(a), b) for a, b in _before(text, found)]
    same = [(a, b) for a, b in earlier if a.rtype == address.rtype]
    return (_alone(rtype, address, body, earlier) and _agrees(rtype, address, body, same)
            and (not rtype.parent or _on_its_host(rtype, address, body, found)))


def _before(text: str, found: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for each, body in found.items():
        if each == text:
            return
        yield each, body


def _items(value: Any) -> set[Any]:
    return set() if value in (None, "") else set(value) if isinstance(value, (list, tuple)) else {value}


def _alone(rtype: ResourceType, address: Address, body: Mapping[str, Any],
           earlier: list[tuple[Address, Any]]) -> bool:
    same = [(a, b) for a, b in earlier if a.rtype == address.rtype]
    for name in (rtype.key, *rtype.unique):
        if name and any(_items(body.get(name)) & _items(b.get(name)) for _, b in same):
            return False
    return not any(_taken(rtype, name, body) & _taken(CATALOG.types[a.rtype], name, b) for name in rtype.distinct
                   for a, b in earlier if a.root == address.root and _pool(rtype, name) == _pool(
                       CATALOG.types[a.rtype], name))


def _pool(rtype: ResourceType, name: str) -> str:
    return rtype.pool.get(name) or rtype.name


def _taken(rtype: ResourceType, name: str, body: Mapping[str, Any]) -> set[Any]:
    return {each for each in _items(body.get(name)) if not names_root(rtype.fields.get(name), each)}


def _agrees(rtype: ResourceType, address: Address, body: Mapping[str, Any], same: list[tuple[Address, Any]]) -> bool:
    return all(body.get(name) == b.get(name) for name in rtype.shared for a, b in same if a.child == address.child)


def _on_its_host(rtype: ResourceType, address: Address, body: Mapping[str, Any], found: Objects) -> bool:
    host = address.root
    siblings = {(a.child_type, a.child): b for a, b in ((Address.parse(t), b) for t, b in found.items())
                if a.child_type and a.root == host}
    for name, kind in rtype.siblings.items():
        for value in _items(body.get(name)):
            if (kind, value) not in siblings and value not in CATALOG.types[kind].baseline and \
                    not names_root(rtype.fields[name], value):
                return False
    for name, (of, kind) in rtype.over.items():
        if names_root(rtype.fields[name], body.get(name)):
            carrier, known_by = found[str(body[name])].get(of), CATALOG.types[kind].known_by
            if not any(k == kind and b.get(known_by) == carrier for (k, _), b in siblings.items()):
                return False
    for (kind, _), other in siblings.items():
        for owned_type, names in CATALOG.types[kind].owns.items():
            if owned_type != rtype.name or address.child not in names:
                continue
            if not isinstance(names, Mapping) or other.get(names[address.child]) is not None:
                return False
    if rtype.fits is not None:
        newborn = {(t.name, name): each for t in CATALOG.children() for name, each in t.baseline.items()}
        declared = {(a.child_type, a.name): b for a, b in ((Address.parse(t), b) for t, b in found.items())
                    if a.child_type and a.root == host}
        if rtype.fits(address.name, body, {**newborn, **declared}) is not None:
            return False
    return _within(rtype, body, siblings)


def _within(rtype: ResourceType, body: Mapping[str, Any], siblings: Mapping[tuple[str, str], Any]) -> bool:
    """A number is at most that of the object of this type below it: along the siblings that it names."""
    for name, container in rtype.within.items():
        limit = _below(rtype, body, siblings, name, container, 3)
        if isinstance(limit, int) and isinstance(body.get(name), int) and body[name] > limit:
            return False
    return True


def _below(rtype: ResourceType, body: Mapping[str, Any], siblings: Mapping[tuple[str, str], Any], name: str,
           container: str, depth: int) -> Any:
    for field, kind in rtype.siblings.items():
        label = body.get(field)
        other = siblings.get((kind, str(label))) or CATALOG.types[kind].baseline.get(str(label))
        if other is None or not depth:
            continue
        if kind == container:
            return other.get(name, CATALOG.types[kind].fields[name].default)
        return _below(CATALOG.types[kind], other, siblings, name, container, depth - 1)
    return None
