"""Roots that list other roots (a DRS group its hosts): what is dropped goes first, what is added comes when it is in.

A root that is replaced is away in between, and the server drops it from such lists by itself: it is taken out before
that, and put in again afterwards, so that every step finds what it expects, both ways. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from planner.catalog import Catalog, Draft, ResourceType
from planner.model import Action, Address, Attrs, Change, Live, Resource
from planner.snapshot import restrict


def member_fields(rtype: ResourceType) -> tuple[str, ...]:
    """Attributes that are lists of references."""
    return tuple(name for name, declared in rtype.fields.items()
                 if declared.kind == "list" and declared.items is not None and declared.items.kind == "ref")


def replaced(changes: Mapping[Address, Change]) -> frozenset[str]:
    """Addresses, as text, of the roots that this plan replaces."""
    return frozenset(str(a) for a, c in changes.items() if not a.child_type and c.action is Action.REPLACE)


def dropped(rtype: ResourceType, change: Change | None, away: Collection[str]) -> Iterable[Address]:
    """What a change takes out of such a list, for a while or for good."""
    if change is None or change.before is None or change.action in (Action.NOOP, Action.FORGET):
        return
    if change.action is not Action.UPDATE:
        yield from (Address.parse(t) for t in _scalars(rtype, change.before) if t in away)
    for name in member_fields(rtype):
        after = _items(change.after, name) if change.action is Action.UPDATE else []
        for each in _items(change.before, name):
            if (each not in after or each in away) and not each.startswith("path:"):
                yield Address.parse(each)


def apart(rtype: ResourceType, change: Change, away: Collection[str]) -> tuple[Change, list[tuple[Draft, bool]]]:
    """The change without its lists of references, and the steps of these: drafts, each with whether it comes early."""
    names = [n for n in member_fields(rtype) if n in (change.after or {})]
    drafts: list[tuple[Draft, bool]] = []
    for name in names:
        before, after = _items(change.before, name), _items(change.after, name)
        middle = [each for each in before if each in after and each not in away]
        operation = next(o.name for o in rtype.operations if o.does == "update" and name in o.attributes)
        drafts += [(Draft(operation, {name: old}, {name: new}, assumed=change.assumed), early)
                   for old, new, early in ((before, middle, True), (middle, after, False)) if old != new]
    if not names:
        return change, []
    before_rest, after_rest = ({k: v for k, v in (side or {}).items() if k not in names}
                               for side in (change.before, change.after))
    return replace(change, before=before_rest, after=after_rest), drafts


def listed_again(catalog: Catalog, desired: Mapping[Address, Resource], live: Live,
                 changes: Mapping[Address, Change]) -> dict[Address, Change]:
    """Of objects that otherwise stay as they are: what lists a root that is replaced is left without it, and given it
    again."""
    found = _rebuilt(catalog, desired, live, changes)
    away = replaced({**changes, **found})
    for address, resource in desired.items() if away else ():
        names = () if address.child_type else member_fields(catalog.types[address.type])
        now, known = live.objects.get(address), changes.get(address)
        if not names or address in found or now is None or (known is not None and known.action is not Action.NOOP):
            continue
        lists = {n: v for n in names if isinstance(v := resource.attributes.get(n), (list, tuple))
                 and away.intersection(map(str, v))}
        if lists:
            before = {k: restrict(v, now.attributes[k]) for k, v in resource.attributes.items() if k in now.attributes}
            found[address] = replace(
                known or Change(address, Action.UPDATE, before, dict(resource.attributes)), action=Action.UPDATE,
                reason="something that it lists is replaced")
    return found


def _rebuilt(catalog: Catalog, desired: Mapping[Address, Resource], live: Live,
             changes: Mapping[Address, Change]) -> dict[Address, Change]:
    """Roots that are no entities go with what they refer to: nothing removes a DRS group that a rule names. So does
    what is inside of its own kind: a folder in a folder."""
    found: dict[Address, Change] = {}
    while True:
        away = replaced({**changes, **found})
        more = dict(found)
        for address, resource in desired.items() if away else ():
            rtype, now = catalog.types[address.rtype], live.objects.get(address)
            known = changes.get(address)
            if address.child_type or now is None or address in found or \
                    (known is not None and known.action not in (Action.NOOP, Action.UPDATE)):
                continue
            on = [t for t in _scalars(rtype, resource.attributes) if t in away
                  and (rtype.look is not None or Address.parse(t).type == address.type)]
            if on:
                before = {k: v for k, v in now.attributes.items() if k in rtype.fields}
                after = {k: f.default for k, f in rtype.fields.items() if f.default is not None}
                more[address] = Change(address, Action.REPLACE, before, {**after, **resource.attributes},
                                       reason=f"refers to {on[0]}, which is replaced")
        if len(more) == len(found):
            return found
        found = more


def _scalars(rtype: ResourceType, attributes: Attrs) -> list[str]:
    return [v for n, v in attributes.items() if isinstance(v, str) and not v.startswith("path:")
            and n in rtype.fields and rtype.fields[n].kind == "ref"]


def _items(attributes: Attrs | None, name: str) -> list[Any]:
    found = (attributes or {}).get(name)
    return list(found) if isinstance(found, (list, tuple)) else []
