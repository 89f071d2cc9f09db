"""Objects that move from one carrier to another on one host, in an order that never leaves them without one. Pure.

An adapter that moves from a standard switch to a distributed one takes physical NICs along, and a NIC serves one
switch at a time. So the new switch gets what it can have without the old one's last NIC, the adapters move, and only
then the old switch gives up the rest (or goes). Undone in reverse, that is the safe order of the way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from planner.catalog import Catalog, Draft, ResourceType
from planner.graph import CycleError, topological
from planner.model import Address, Attrs, Diagnostic, FleetError

Item: TypeAlias = tuple[str, str]
"""What one object only may have: (pool, name): ("physical NIC", "vmnic1")."""


class Standing(NamedTuple):
    """What an object is built on, directly and below that, before and after its change."""

    before: frozenset[Address]
    after: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Placed:
    """A draft with its address and its place on its host."""

    address: Address
    draft: Draft
    early: bool
    rank: tuple[Any, ...]
    releases: tuple[tuple[Address, Attrs], ...] = ()  # what a reborn host is rid of, once vCenter has seen it anew


def rank(catalog: Catalog, rtype: ResourceType, address: Address, *, down: bool) -> tuple[Any, ...]:
    """Row of operations.md, then nesting (vSwitch, port group, vmkernel adapter), then the name, numbers as numbers."""
    depth = _depth(catalog, rtype)
    name = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", address.name) if p)
    if down:  # innermost first, and the highest vmk number first
        name = tuple((-a, -b, c) for a, b, c in name)
        return (-rtype.order, -depth, name)
    return (rtype.order, depth, name)


def _depth(catalog: Catalog, rtype: ResourceType) -> int:
    return max((1 + _depth(catalog, catalog.types[t]) for t in rtype.siblings.values()), default=0)


def in_safe_order(catalog: Catalog, ordered: Sequence[Placed], standing: Mapping[Address, Standing],
                  management: frozenset[Address]) -> list[Placed]:
    """The steps of one host, rearranged and split where something moves from one carrier to another; else as given.

    Raises FleetError where management traffic could only move with its last NIC, or no order exists.
    """
    movers = {p.address: standing[p.address] for p in ordered if _moves(catalog, p, standing)}
    if not movers and not _hands_over(catalog, ordered):
        return list(ordered)
    sources = frozenset(a for s in movers.values() for a in s.before - s.after)
    first = _first(catalog, ordered, movers, management)
    late = {i for p in ordered if p.address in sources for i in _released(catalog, p)} - first
    parts = [part for p in ordered for part in _split(catalog, p, first, late)]
    try:
        order = topological(range(len(parts)), _needs(catalog, parts, standing, movers, late))
    except CycleError as error:
        around = [parts[int(str(i))].address for i in error.cycle]
        raise FleetError(Diagnostic(
            "error", "no safe order of these steps is possible", " → ".join(dict.fromkeys(map(str, around))),
            address=around[0], remedy="make the change in two applies")) from error
    return [parts[i] for i in order]


def _hands_over(catalog: Catalog, ordered: Sequence[Placed]) -> bool:
    """Whether one object takes what another one gives up."""
    givers = {i: p.address for p in ordered for i in _released(catalog, p)}
    return any(givers.get(i, p.address) != p.address for p in ordered for i in _claimed(catalog, p))


def _moves(catalog: Catalog, p: Placed, standing: Mapping[Address, Standing]) -> bool:
    """Whether this step puts an existing object on other carriers."""
    found, rtype = standing.get(p.address), catalog.types[p.address.rtype]
    return found is not None and p.draft.before is not None and bool(found.before - found.after) and any(
        k in (p.draft.after or {}) for k in rtype.moves)


def _items(rtype: ResourceType, attributes: Attrs | None, within: Attrs | None) -> set[Item]:
    """Pool items in these attributes; only of those attributes that `within` names, too."""
    found: set[Item] = set()
    for key, pool in rtype.pool.items():
        value = (attributes or {}).get(key)
        if isinstance(value, (list, tuple)) and (within is None or key in within):
            found |= {(pool, str(each)) for each in value}
    return found


def _released(catalog: Catalog, p: Placed) -> set[Item]:
    rtype = catalog.types[p.address.rtype]
    before, after = p.draft.before, p.draft.after
    return _items(rtype, before, after) - _items(rtype, after, None)


def _claimed(catalog: Catalog, p: Placed) -> set[Item]:
    rtype = catalog.types[p.address.rtype]
    return _items(rtype, p.draft.after, None) - _items(rtype, p.draft.before, None)


def _first(catalog: Catalog, ordered: Sequence[Placed], movers: Mapping[Address, Standing],
           management: frozenset[Address]) -> set[Item]:
    """Items that leave their old carrier before anything moves: for a new carrier that would have none, one."""
    first: set[Item] = set()
    for address, stands in movers.items():
        given = {i: p for p in ordered if p.address in stands.before - stands.after for i in _released(catalog, p)}
        for target in stands.after - stands.before:
            steps = [p for p in ordered if p.address == target and p.draft.after is not None]
            claimed = {i for p in steps for i in _claimed(catalog, p)}
            kept = {i for p in steps for i in _items(catalog.types[target.rtype], p.draft.after, None)} - claimed
            wanted = claimed & set(given)
            if not wanted or kept or claimed - set(given) or wanted & first:
                continue
            spare = [i for i in wanted if len(_items(catalog.types[given[i].address.rtype], given[i].draft.before,
                                                     None)) > 1]
            if spare:
                first.add(max(spare, key=_natural))  # the last: the first is the one that hosts boot from
            elif address in management:
                raise FleetError(Diagnostic(
                    "error", "this would cut the host off", f"{address.name} carries management, and can only move "
                    f"together with {', '.join(sorted(n for _, n in wanted))}, the one NIC of its switch",
                    address=address, remedy=f"give {target.name} or the old switch another NIC first"))
            else:
                first |= wanted
    return first


def _natural(item: Item) -> tuple[Any, ...]:
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", item[1]) if part)


# --- splitting --------------------------------------------------------------------------------------------


def _split(catalog: Catalog, p: Placed, first: set[Item], late: set[Item]) -> list[Placed]:
    """A step in up to two: what may happen before anything moves, and what has to wait."""
    rtype = catalog.types[p.address.rtype]
    before, after = p.draft.before, p.draft.after
    for key, pool in rtype.pool.items():
        old, new = _list(before, key), _list(after, key)
        goes = [i for i in old if (pool, i) in first and i not in new]
        waits = [i for i in new if (pool, i) in late and i not in old]
        stays = [i for i in old if (pool, i) in late and i not in new and after is not None and key in after]
        update = next((o for o in rtype.operations if o.does == "update" and key in o.attributes), None)
        if update is None or not (goes or waits):
            continue
        operation, along = update.name, update.carries.get(key, ())
        if after is None:  # removed: it gives up in advance what has to go first
            halfway = [i for i in old if i not in goes]
            return [replace(p, draft=Draft(operation, {key: old}, {key: halfway})),
                    replace(p, draft=replace(p.draft, before={**(before or {}), key: halfway}))]
        if (goes and stays) or waits:
            halfway = [*(i for i in new if i not in waits), *stays]
            halfway = sorted(halfway) if rtype.fields[key].unordered else halfway
            if before is not None and halfway == old:
                return [p]  # all of it waits
            if before is not None and waits:  # an order among NICs can only name those that are there
                alone = {k: v for k, v in before.items() if k not in after or k in along}  # changes along: is put back
                first_half = Draft(operation, {**alone, key: old}, {key: halfway}, assumed=p.draft.assumed)
                rest = replace(p.draft, before={
                    **{k: v for k, v in before.items() if k in after and k not in along}, key: halfway})
            else:
                first_half = replace(p.draft, after={**after, key: halfway})
                rest = Draft(operation, {key: halfway}, {key: new}, assumed=p.draft.assumed)
            return [replace(p, draft=first_half), replace(p, draft=rest, early=False)]
    return [p]


def _list(attributes: Attrs | None, key: str) -> list[Any]:
    value = (attributes or {}).get(key)
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else []


# --- what has to come before what -------------------------------------------------------------------------


def _vacated(catalog: Catalog, parts: Sequence[Placed], index: int, moving: set[int],
             movers: Mapping[Address, Standing]) -> set[int]:
    """The moves that free what this step takes, and one object only may have (a standard port group's adapter)."""
    p = parts[index]
    rtype = catalog.types[p.address.rtype]
    taken = {p.address.root.under(sibling, str((p.draft.after or {}).get(field)))
             for field, sibling in rtype.siblings.items() if field in rtype.distinct}
    return {i for i in moving if i != index and taken & (movers[parts[i].address].before)}


def _needs(catalog: Catalog, parts: Sequence[Placed], standing: Mapping[Address, Standing],
           movers: Mapping[Address, Standing], late: set[Item]) -> dict[int, set[int]]:
    needs: dict[int, set[int]] = {index: set() for index in range(len(parts))}
    released = [_released(catalog, p) for p in parts]
    claimed = [_claimed(catalog, p) for p in parts]
    moving = {i for i, p in enumerate(parts) if p.address in movers and _moves(catalog, p, standing)}
    last: dict[Address, int] = {}
    for index, p in enumerate(parts):
        if p.address in last:  # one object's steps stay in their order
            needs[index].add(last[p.address])
        last[p.address] = index
        needs[index] |= {i for i, items in enumerate(released) if items & claimed[index] and i != index}
        waits = claimed[index] & late or released[index] & late
        for mover in moving:
            stands = movers[parts[mover].address]
            if p.address in stands.before - stands.after and (p.draft.after is None or waits):
                needs[index].add(mover)
        if p.draft.before is None or index in moving:  # made, or moved: after what it then stands on
            stands = standing.get(p.address, Standing(frozenset(), frozenset()))
            needs[index] |= _vacated(catalog, parts, index, moving, movers)
            needs[index] |= {i for i, below in enumerate(parts) if below.address in stands.after
                             and below.draft.after is not None and not claimed[i] & late and not released[i] & late}
    return needs


# --- two that swap ------------------------------------------------------------------------------------------


def split_swaps(catalog: Catalog, placed: Sequence[Placed], management: frozenset[Address]) -> Iterable[Placed]:
    """Two vSwitches that swap uplinks: release first what another one claims, claim in a second call.

    An early update that also gains items still owned by a sibling would otherwise depend on itself. The one that
    carries management swaps in one call, between the two calls of the other: it is never without an uplink.
    """
    def pool(p: Placed, key: str) -> tuple[str, str]:
        return catalog.types[p.address.rtype].pool.get(key) or p.address.rtype, key

    owned = {(pool(p, k), item): p.address for p in placed if p.draft.before
             for k, v in p.draft.before.items() if isinstance(v, (list, tuple)) for item in map(str, v)}
    for p in placed:
        before, after = p.draft.before, p.draft.after
        if not p.early or not before or not after:
            yield p
            continue
        taken = [k for k, v in after.items() if isinstance(v, (list, tuple)) and any(
            owned.get((pool(p, k), str(item)), p.address) != p.address
            for item in v if item not in _each(before.get(k)))]
        if not taken or (p.address in management and not any(
                owned.get((pool(p, k), str(item)), p.address) in management - {p.address}
                for k in taken for item in _each(after[k]) if item not in _each(before.get(k)))):
            yield p
            continue
        kept = {k: [i for i in _each(before[k]) if i in _each(after[k])] for k in taken}
        carries = catalog.operations[p.draft.operation].carries
        along = {k for name in taken for k in carries.get(name, ()) if k in after}
        middle: dict[str, Any] = {k: v for k, v in {**after, **kept}.items() if k not in along}
        yield replace(p, draft=replace(p.draft, after=middle))
        late = replace(p.draft, before={k: middle[k] for k in taken},
                       after={k: after[k] for k in after if k in taken or k in along})
        yield replace(p, draft=late, early=False,
                      rank=rank(catalog, catalog.types[p.address.rtype], p.address, down=False))


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
