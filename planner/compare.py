"""What two sets of attributes, or the objects of one host, have to say of each other. Pure; deepdiff lives here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from planner.catalog import Catalog, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, SecretRef, Unknown, walk_secrets
from planner.schema import names_root
from planner.snapshot import restrict, same

Key: TypeAlias = tuple[str, str]
"""An object on one host: (type, name)."""
Roots: TypeAlias = "Callable[[str], Attrs]"
"""Attributes of a root, by its address as text; empty where nobody knows it."""


def below(catalog: Catalog, objects: Mapping[Key, Attrs], key: Key, roots: Roots) -> Iterable[Key]:
    """What this object is built on: the siblings that it names, and those that stand for the roots that it names."""
    rtype, attributes = catalog.types[key[0]], objects.get(key, {})
    for attribute, sibling in rtype.siblings.items():
        value = attributes.get(attribute)
        if not (attribute in rtype.over and _elsewhere(rtype, attribute, value)):
            yield sibling, str(value)
    for attribute, (of, sibling) in rtype.over.items():
        value = attributes.get(attribute)
        if not _elsewhere(rtype, attribute, value):
            continue
        wanted, known = roots(str(value)).get(of), catalog.types[sibling].known_by
        for kind, name in objects:  # of a root that nobody declared it is not known which one: any of them
            if kind == sibling and (wanted is None or objects[kind, name].get(known) == wanted):
                yield kind, name


def _elsewhere(rtype: ResourceType, attribute: str, value: Any) -> bool:
    return names_root(rtype.fields[attribute], value) or (isinstance(value, str) and value.startswith("path:"))


def standing(catalog: Catalog, objects: Mapping[Key, Attrs], keys: Iterable[Key], roots: Roots) -> set[Key]:
    """These objects and everything below them."""
    found = set(keys)
    stack = list(found)
    while stack:
        for key in below(catalog, objects, stack.pop(), roots):
            if key not in found:
                found.add(key)
                stack.append(key)
    return found


def carriers(catalog: Catalog, objects: Mapping[Key, Attrs], roots: Roots) -> set[Key]:
    """(type, name) of everything that management traffic of one host runs over: vmk0, its port group, its vSwitch."""
    tagged = []
    for key, attributes in objects.items():
        services = attributes.get("services")
        if isinstance(services, (list, tuple)) and "management" in services:
            tagged.append(key)
    return standing(catalog, objects, tagged, roots)


def claimed_twice(attributes: Mapping[str, str], changes: Iterable[Change], existing: Mapping[Key, Attrs],
                  ) -> Iterable[Diagnostic]:
    """An item that a change claims while a sibling keeps it (an uplink of a vSwitch that nobody declares).

    `attributes`: type → the attribute that holds such items; several types may draw on one pool of them.
    """
    changes = list(changes)
    after: dict[Key, Attrs] = dict(existing)
    for change in changes:
        key = change.address.rtype, change.address.name
        if change.action is Action.DELETE:
            after.pop(key, None)
        elif change.action is not Action.FORGET:
            after[key] = {**after.get(key, {}), **(change.after or {})}
    owners: dict[str, list[Key]] = {}
    for key, known in after.items():
        items = known.get(attributes.get(key[0], ""))
        for item in items if isinstance(items, (list, tuple)) else ():
            owners.setdefault(str(item), []).append(key)
    for change in changes:
        key = change.address.rtype, change.address.name
        for item, found in owners.items():
            others = [name if kind == key[0] else f"{kind} {name}" for kind, name in found if (kind, name) != key]
            if key in found and others and change.action in (Action.CREATE, Action.UPDATE, Action.REPLACE):
                yield Diagnostic(
                    "error", "this is in use by a sibling",
                    f"{item} of {attributes[key[0]]} stays with {', '.join(others)}", address=change.address,
                    remedy=f"declare {others[0]} without {item}, or choose another")


def undermined(catalog: Catalog, before: Mapping[Key, Attrs], changes: Iterable[Change], roots: Roots,
               ) -> Iterable[Diagnostic]:
    """Removals that cannot go well: something stays on what is removed, or nothing is left that carries management."""
    changes = list(changes)
    gone = {(c.address.rtype, c.address.name): c for c in changes if c.action in (Action.DELETE, Action.REPLACE)}
    after = dict(before)  # what moves away in time stays on nothing
    for each in (c for c in changes if c.action is Action.UPDATE):
        moved = each.address.rtype, each.address.name
        after[moved] = {**after.get(moved, {}), **(each.after or {})}
    for key in before:
        for on in () if key in gone else below(catalog, after, key, roots):
            change = gone.get(on)
            if change is not None:
                yield Diagnostic(
                    "error", "something stays on what this plan removes", f"{key[0]} {key[1]!r} is on "
                    f"{change.address.name!r} ({change.reason})", address=change.address,
                    remedy=f"declare {key[0]}[\"{key[1]}\"] elsewhere, remove it from the host, or keep "
                           f"{change.address.name!r} as it is")
    carrying = carriers(catalog, before, roots)
    if carrying and not carriers(catalog, {k: v for k, v in before.items() if k not in gone}, roots):
        for change in (c for k, c in gone.items() if k in carrying and "services" in (c.before or {})):
            yield Diagnostic(
                "error", "this would cut the host off", f"{change.address.name} carries management, no other adapter "
                f"does, and it would be removed ({change.reason})", address=change.address,
                remedy="give another adapter the management service first, in an apply of its own")


def laid_over(below: Attrs, above: Attrs) -> dict[str, Any]:
    """Attributes with others laid over them; maps merge."""
    found: dict[str, Any] = dict(below)
    for key, value in above.items():
        old = found.get(key)
        found[key] = laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found


def in_order(rtype: ResourceType, attributes: Attrs) -> dict[str, Any]:
    """Attributes in the order of the schema: reviews then list them alike, however the file has them."""
    return {**{k: attributes[k] for k in rtype.fields if k in attributes},
            **{k: v for k, v in attributes.items() if k not in rtype.fields}}


def observed(rtype: ResourceType, attributes: Attrs) -> dict[str, Any]:
    """The attributes that can be written back: schema fields that live shows, computed ones left out."""
    return {k: v for k, v in attributes.items() if k in rtype.fields and not rtype.fields[k].computed}


def written(rtype: ResourceType, name: str) -> bool:
    """Whether a change of this attribute is a step: live shows it, or some update writes it unseen (a password)."""
    return rtype.fields[name].observed or any(
        name in o.attributes for o in rtype.operations if o.does == "update")


def changed_attributes(rtype: ResourceType, wanted: Attrs, found: Attrs, ignored: Iterable[str] = (),
                       recorded: Attrs | None = None) -> list[str]:
    """Names of attributes whose declared value live does not have, in schema order.

    What cannot be read back is compared with what was `recorded`, unless live says that it is none, or unknown. Where
    nothing is recorded it differs: nobody knows whether the declared password is the one that holds.
    """
    candidates = [k for k, v in wanted.items() if k not in ignored and (
        not same(v, found.get(k)) if rtype.fields[k].observed else
        written(rtype, k) and not same(v, _unseen(k, found, recorded or {})))]
    if not candidates:
        return []
    position: Callable[[str], int] = list(rtype.fields).index
    return sorted(candidates, key=position)


def as_recorded(found: Attrs, recorded: Attrs | None) -> Attrs:
    """What live says that it hides now (unknown) is taken as it was recorded."""
    if recorded is None or not any(isinstance(v, Unknown) for v in found.values()):
        return found
    return {k: recorded.get(k, v) if isinstance(v, Unknown) else v for k, v in found.items()}


def _unseen(name: str, found: Attrs, recorded: Attrs) -> Any:
    """A reference that live itself gives (to a key that the server keeps) is what undoing needs; it equals nothing."""
    value = found.get(name)
    return recorded.get(name) if name not in found or any(walk_secrets(value)) else value


def differences(before: Attrs | None, after: Attrs | None) -> list[tuple[str, Any, Any]]:
    """(path, before, after) of every attribute that differs, nested ones by dotted path; for reviews.

    Only for objects that did change: deepdiff costs about a hundred times an `==`.
    """
    if before is None or after is None:
        one = after if before is None else before
        return [(k, None, v) if before is None else (k, v, None) for k, v in (one or {}).items()]
    from deepdiff import DeepDiff

    def plain(value: Any) -> Any:
        """Secrets and unknowns as text: deepdiff would look inside of them."""
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, (Unknown, SecretRef)):
            return str(value)
        return value if not isinstance(value, (list, tuple)) else [plain(v) for v in value]

    old, new = {k: restrict(v, before.get(k)) for k, v in after.items()}, after
    tree = DeepDiff(plain(old), plain(new), view="tree", ignore_order=False, threshold_to_diff_deeper=0)
    paths: dict[tuple[str, ...], None] = {}
    for found in tree.values():
        for item in found:
            keys: list[str] = []
            for part in item.path(output_format="list"):  # a list is one attribute: stop where the path enters one
                if isinstance(part, int):
                    break
                keys.append(str(part))
            paths.setdefault(tuple(keys))
    result = []
    position = {key: number for number, key in enumerate(new)}
    for path in sorted(paths, key=lambda p: (position.get(p[0], len(position)), p)):
        result.append((".".join(path), _at(old, path), _at(new, path)))
    return result


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
