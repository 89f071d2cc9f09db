"""Changes → ordered steps: one mutating call each, with needs, windows and inverses compiled in. Pure.

Order on one host: head of its program, removals (innermost first), everything else (outermost first), tail.
Between roots: what is referred to comes first; removals the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner.catalog import Catalog, Draft, Operation, Program, ResourceType
from planner.compare import written
from planner.graph import CycleError, topological
from planner.handover import Placed as _Placed
from planner.handover import Standing, in_safe_order, rank, split_swaps
from planner.members import apart, dropped, replaced
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Diagnostic,
    FleetError,
    Inverse,
    Resource,
    Step,
    Unknown,
)
from planner.schema import names_root
from planner.snapshot import restrict, same
from planner.turns import in_turn


def compile_steps(catalog: Catalog, changes: Mapping[Address, Change], programs: Mapping[Address, Program],
                  desired: Mapping[Address, Resource], stale: Mapping[Address, Attrs] | None = None,
                  management: frozenset[Address] = frozenset(),
                  standing: Mapping[Address, Standing] | None = None) -> tuple[Step, ...]:
    """All steps, in an order that respects every `needs`. Raises FleetError where no operation can make a change.

    `stale`: what vCenter may still believe of objects on hosts that lost everything (recorded, by address).
    `management`: objects that carry a host's management traffic. `standing`: what changed objects are built on.
    """
    rid: dict[Address, list[tuple[Address, Attrs]]] = {}
    for address, attributes in (stale or {}).items():
        if catalog.types[address.rtype].shared:
            rid.setdefault(address.root, []).append((address, attributes))
    chains: dict[tuple[Address, str], list[_Placed]] = {}
    elsewhere = (a.root for a in changes if a.root not in programs)  # vCenter's own objects come first where they can
    roots = list(dict.fromkeys([*elsewhere, *programs]))
    children: dict[Address, list[Change]] = {}
    for change in changes.values():
        if change.address.child_type:
            children.setdefault(change.address.root, []).append(change)
    away = replaced(changes)
    for root in roots:
        for part, placed in _chains(catalog, root, changes.get(root), programs.get(root), children.get(root, []),
                                    standing or {}, management, away):
            if placed:
                head = len(programs[root].head) if root in programs else 0
                if head and root in rid and programs[root].reset:
                    placed[head - 1] = replace(placed[head - 1], releases=tuple(rid[root]))
                elif root in rid and part == "down":  # a host that leaves takes along what hangs on it
                    placed[-1] = replace(placed[-1], releases=tuple(rid[root]))
                chains[root, part] = placed
    needs = in_turn(chains, _chain_needs(catalog, chains, changes, desired), programs)
    return _number(catalog, chains, needs, management)


def _release(chain: list[_Placed], program: Program, change: Change | None,
             rid: Sequence[tuple[Address, Attrs]]) -> None:
    """Note on the step that makes vCenter forget them what a reborn or leaving host is rid of."""
    leaves = change is not None and change.action is Action.DELETE
    at = len(program.head) - 1 if program.reset else len(chain) - 1 if leaves else -1
    if at >= 0:
        chain[at] = replace(chain[at], releases=tuple(rid))


def _chains(catalog: Catalog, root: Address, change: Change | None, program: Program | None,
            children: Sequence[Change], standing: Mapping[Address, Standing],
            management: frozenset[Address], away: frozenset[str]) -> Iterable[tuple[str, list[_Placed]]]:
    """The root's chains of steps: "down" (removal) before "up" (creation), where a replacement has both."""
    if program is None:
        if change is None:
            return
        placed = list(_object_steps(catalog, change, away))
        yield "down", [p for p in placed if p.early]
        yield "up", [p for p in placed if not p.early]
        return
    if program.blocked:
        return
    middle = [p for c in children for p in _object_steps(catalog, c)]
    if not program.window and any(catalog.operations[p.draft.operation].window for p in middle):
        raise FleetError(f"the steps of {root} need maintenance mode, and its program opens no window")
    ordered = sorted(split_swaps(catalog, middle, management), key=lambda p: (not p.early, p.rank))
    ordered = _bracketed(catalog, root, in_safe_order(catalog, ordered, standing, management))
    chain = [*(_Placed(root, d, False, ()) for d in program.head), *ordered,
             *(_Placed(root, d, False, ()) for d in program.tail)]
    leaving = change is not None and change.action is Action.DELETE
    yield ("down" if leaving else "up"), chain


def _bracketed(catalog: Catalog, root: Address, ordered: Sequence[_Placed]) -> list[_Placed]:
    """With the acts that open and close what some of these steps do (see `Operation.opens`)."""
    found = list(ordered)
    for where in ("closes", "opens"):
        named = [(i, getattr(catalog.operations[p.draft.operation], where)) for i, p in enumerate(found)]
        for act in dict.fromkeys(act for _, acts in named for act in acts):
            at = [i for i, acts in named if act in acts]
            one = _Placed(root, Draft(act, {}, {}), False, ())
            place = at[-1] + 1 if where == "closes" else at[0]
            _insert(found, named, place, one)
    return found


def _insert(found: list[_Placed], named: list[tuple[int, tuple[str, ...]]], place: int, one: _Placed) -> None:
    """Acts of one kind stand in the order in which operations name them: each right after the one before it."""
    while place < len(found) and found[place].draft.before == {} and found[place].address == one.address and any(
            found[place].draft.operation in acts for _, acts in named):
        place += 1
    found.insert(place, one)
    named[:] = [(i + (i >= place), acts) for i, acts in named]


# --- the steps of one object ------------------------------------------------------------------------------


def _object_steps(catalog: Catalog, change: Change, away: frozenset[str] = frozenset()) -> Iterable[_Placed]:
    rtype = catalog.types[change.address.rtype]
    _refuse_unknown_lists(rtype, change)
    if change.action in (Action.DELETE, Action.REPLACE):
        for draft in _delete(rtype, change.before or {}):
            yield _Placed(change.address, draft, True, rank(catalog, rtype, change.address, down=True))
    up = rank(catalog, rtype, change.address, down=False)
    if change.action in (Action.CREATE, Action.REPLACE):
        for draft in _create(rtype, change):
            yield _Placed(change.address, draft, False, up)
    elif change.action is Action.UPDATE:
        change, drafts = apart(rtype, change, away)
        for draft, early in drafts:
            yield _Placed(change.address, draft, early, rank(catalog, rtype, change.address, down=early))
        for draft in _update(rtype, change):
            operation = catalog.operations[draft.operation]
            early = operation.early is not None and operation.early(draft.before or {}, draft.after or {})
            yield _Placed(change.address, draft, early,
                          rank(catalog, rtype, change.address, down=True) if early else up)


def _refuse_unknown_lists(rtype: ResourceType, change: Change) -> None:
    """A list that takes a step per item: how many items it has decides what is reviewed."""
    for operation in rtype.operations:
        for key in operation.attributes if operation.does == "add_item" else ():
            if isinstance((change.after or {}).get(key), Unknown):
                raise FleetError(Diagnostic(
                    "error", "how many items this list has must be known when it is planned",
                    f"{key} is known only after apply, and each of its items takes a step", address=change.address,
                    remedy="write it as a list (its items may be known after apply), or apply what it comes from"
                           " first (--target)"))


def _single(rtype: ResourceType, does: str) -> Operation:
    found = [o for o in rtype.operations if o.does == does]
    if len(found) != 1:
        raise FleetError(f"resource type {rtype.name} has {len(found)} operations that {does}, needs one")
    return found[0]


def _create(rtype: ResourceType, change: Change) -> Iterable[Draft]:
    after = change.after or {}
    operation = _single(rtype, "create")
    made = {k: v for k, v in after.items() if k in operation.attributes}
    yield Draft(operation.name, None, made)
    rest = {k: v for k, v in after.items() if k not in operation.attributes and written(rtype, k)}
    yield from _transitions(rtype, {**rtype.initial}, rest)


def _delete(rtype: ResourceType, before: Attrs) -> Iterable[Draft]:
    """Undo first what creation alone does not make, so that each step has an exact inverse."""
    made = set(_single(rtype, "create").attributes)
    initial = {k: v for k, v in rtype.initial.items() if k not in made and k in before}
    yield from _transitions(rtype, before, initial)
    made |= {k for k, f in rtype.fields.items() if f.computed}  # (why it is dead: see `ResourceType.dead`)
    yield Draft(_single(rtype, "delete").name, {k: v for k, v in before.items() if k in made}, None)


def _update(rtype: ResourceType, change: Change) -> Iterable[Draft]:
    after = {k: v for k, v in (change.after or {}).items() if written(rtype, k)}
    if rtype.drafts is not None:
        made: Iterable[Draft] = rtype.drafts(replace(change, after=after))
    else:
        made = (_carrying(rtype, draft, change.before or {}, after)
                for draft in _transitions(rtype, change.before or {}, after))
    for draft in made:
        yield replace(draft, assumed=change.assumed)


def _carrying(rtype: ResourceType, draft: Draft, current: Attrs, wanted: Attrs) -> Draft:
    """With what changes along (see `Operation.carries`)."""
    carries = next(o for o in rtype.operations if o.name == draft.operation).carries
    along = [k for name in carries if name in (draft.after or {}) for k in carries[name]]
    if not along:
        return draft
    before = {k: current[k] for k in along if k in current}
    return replace(draft, before={**(draft.before or {}), **before},
                   after={**(draft.after or {}), **{k: wanted[k] for k in along if k in wanted}})


def _transitions(rtype: ResourceType, current: Attrs, wanted: Attrs) -> Iterable[Draft]:
    """Drafts that bring the wanted attributes from their current values to the wanted ones, in catalogue order."""
    left = [k for k, v in wanted.items() if not same(v, current.get(k)) or isinstance(v, Unknown)]
    for operation in rtype.operations:
        keys = [k for k in left if k in operation.attributes]
        if not keys or operation.does not in ("update", "add_item", "remove_item"):
            continue
        if operation.does == "update":
            if all(same(v, wanted.get(k)) for k, v in operation.to.items()) and \
                    all(same(v, current.get(k)) for k, v in operation.given.items()):
                said = [k for k in operation.attributes if k in wanted] if operation.whole else keys
                draft = Draft(operation.name, {k: restrict(wanted[k], current.get(k)) for k in said},
                              {k: wanted[k] for k in said}, operation.when)
                switched = operation.stopped if current.get(operation.stopped) is True else ""
                yield from _while_off(rtype, switched, wanted, draft) if switched else (draft,)
                left = [k for k in left if k not in keys and k != switched]
        else:
            for key in keys:
                yield from _items(rtype, key, current, wanted)
            left = [k for k in left if k not in keys]
    if left:
        raise FleetError(f"no operation of {rtype.name} changes {', '.join(sorted(left))}")


def _while_off(rtype: ResourceType, switch: str, wanted: Attrs, draft: Draft) -> Iterable[Draft]:
    """A call that takes effect only when something starts: it is stopped before and started after, both ways.

    A restart after the call alone would have no inverse: undone in reverse, it would come before what it is for.
    """
    off, on = (next(o.name for o in rtype.operations if o.to.get(switch) is value) for value in (False, True))
    yield Draft(off, {switch: True}, {switch: False})
    yield draft
    if wanted.get(switch, True) is not False:
        yield Draft(on, {switch: False}, {switch: True})


def _items(rtype: ResourceType, key: str, current: Attrs, wanted: Attrs) -> Iterable[Draft]:
    """A step per item of a list attribute: removals, then additions."""
    old, new = _list(current.get(key)), _list(wanted.get(key))
    now = old
    by = {o.does: o.name for o in rtype.operations if key in o.attributes}
    for item in [i for i in old if i not in new]:
        then = [i for i in now if i != item]
        yield Draft(by["remove_item"], {key: now}, {key: then})
        now = then
    for item in sorted((i for i in new if i not in old), key=lambda i: isinstance(i, Unknown)):
        then = [*sorted(i for i in [*now, item] if not isinstance(i, Unknown)),
                *(i for i in [*now, item] if isinstance(i, Unknown))]
        yield Draft(by["add_item"], {key: now}, {key: then})
        now = then


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


# --- needs and numbers ------------------------------------------------------------------------------------


def _chain_needs(catalog: Catalog, chains: Mapping[tuple[Address, str], Any], changes: Mapping[Address, Change],
                 desired: Mapping[Address, Resource]) -> dict[tuple[Address, str], set[tuple[Address, str]]]:
    """Which chain waits for which: creations for what they refer to, removals for what refers to them."""
    needs: dict[tuple[Address, str], set[tuple[Address, str]]] = {chain: set() for chain in chains}
    hanging: dict[Address, list[Resource]] = {}
    left: dict[Address, list[Address]] = {}  # what objects on a host referred to
    away = replaced(changes)
    for one in changes.values():
        if one.address.child_type and one.before:
            left.setdefault(one.address.root, []).extend(_referred(catalog, one.address, one.before))
    for address, resource in desired.items():
        if resource.references:
            hanging.setdefault(address.root, []).append(resource)
    for root in dict.fromkeys(r for r, _ in chains):
        if (root, "up") in needs and (root, "down") in needs:
            needs[root, "up"].add((root, "down"))
        refers = {t.root for r in hanging.get(root, ()) for t in r.references} - {root}
        for target in refers:
            if (target, "up") in needs and (root, "up") in needs:
                needs[root, "up"].add((target, "up"))
        change = changes.get(root)
        referred = [*_referred(catalog, root, change.before if change else None), *left.get(root, ())]
        for target in dropped(catalog.types[root.type], change, away):
            for part in ("up", "down"):
                if (target, part) in needs and (root, "down") in needs:
                    needs[target, part].add((root, "down"))
        for target in referred:
            for part in ("up", "down"):  # whoever leaves, or moves away, goes before its old parent does
                if (target, "down") in needs and (root, part) in needs and (target, "up") not in needs:
                    needs[target, "down"].add((root, part))
    return needs


def _referred(catalog: Catalog, address: Address, before: Attrs | None) -> Iterable[Address]:
    for name, value in (before or {}).items():
        if names_root(catalog.types[address.rtype].fields.get(name), value):
            yield Address.parse(str(value)).root


def _number(catalog: Catalog, chains: Mapping[tuple[Address, str], list[_Placed]],
            needs: Mapping[tuple[Address, str], set[tuple[Address, str]]],
            management: frozenset[Address]) -> tuple[Step, ...]:
    """Steps in an order that respects every need: those of chains, of chains on chains, and of shared objects."""
    placed: list[_Placed] = []
    before: dict[int, set[int]] = {}
    last: dict[tuple[Address, str], int] = {}
    for chain in topological(chains, needs):
        previous = {last[n] for n in needs[chain]}
        for one in chains[chain]:
            before[len(placed)] = previous
            previous = {len(placed)}
            placed.append(one)
        last[chain] = len(placed) - 1
    for index, others in _shared_needs(catalog, placed).items():
        before[index] = before[index] | others
    try:
        order = topological(range(len(placed)), before)
    except CycleError as error:
        around = " → ".join(dict.fromkeys(str(placed[int(str(i))].address) for i in error.cycle))
        if any(catalog.types[placed[int(str(i))].address.rtype].shared for i in error.cycle):
            raise FleetError(Diagnostic(
                "error", "what hosts share cannot change while they get another image one by one", around,
                remedy="apply one of the two first")) from error
        raise FleetError(Diagnostic("error", "no order of steps is possible", around,
                                    remedy="remove a depends_on between these hosts")) from error
    names = {index: f"s{position:04}" for position, index in enumerate(order, 1)}
    return tuple(_step(catalog, names[i], placed[i], tuple(sorted(names[n] for n in before[i])), management)
                 for i in order)


def _shared_needs(catalog: Catalog, placed: Sequence[_Placed]) -> dict[int, set[int]]:
    """A datastore's name is free for another export only when the last host has let go of the old one.

    Otherwise vCenter would call the new one "NAME (1)" (removals come early on each host, so this makes no cycle).
    """
    released: dict[tuple[str, str], list[tuple[int, Attrs]]] = {}
    for index, one in enumerate(placed):
        rid = list(one.releases)
        if catalog.types[one.address.rtype].shared and one.draft.after is None and one.draft.before is not None:
            rid.append((one.address, one.draft.before))
        for address, attributes in rid:
            released.setdefault((address.rtype, address.name), []).append((index, attributes))
    needs: dict[int, set[int]] = {}
    for index, one in enumerate(placed):
        shared = catalog.types[one.address.rtype].shared
        if shared and one.draft.before is None and one.draft.after is not None:
            needs[index] = {
                i for i, old in released.get((one.address.rtype, one.address.name), ())
                if any(old.get(k) != one.draft.after.get(k) for k in shared)}
    return needs


def _step(catalog: Catalog, number: str, placed: _Placed, needs: tuple[str, ...],
          management: frozenset[Address]) -> Step:
    draft = placed.draft
    operation = catalog.operations[draft.operation]
    marked = not placed.address.child_type or placed.address in management or operation.cuts != "management"
    inverse = None
    why = operation.irreversible
    lasting = why(draft.before, draft.after) if callable(why) else why
    if operation.inverse and not lasting:
        way_back = _cuts(catalog.operations[operation.inverse], draft.after, draft.before) if marked else ""
        inverse = Inverse(operation.inverse, draft.after, draft.before, way_back)
    return Step(
        number, placed.address, operation.name, draft.before, draft.after, needs, draft.when, inverse,
        lasting, _cuts(operation, draft.before, draft.after) if marked else "", operation.kind,
        draft.assumed,
    )


def _cuts(operation: Operation, before: Attrs | None, after: Attrs | None) -> str:
    cuts = operation.disruptive
    return cuts(before, after) if callable(cuts) else cuts
