"""A plan as a reviewer reads it: one model, from which text, Markdown and JSON are rendered.

Steps are grouped per host in the order of the plan, with their numbers there. Hosts whose programs are the
same but for values are folded: one host is shown in full, the others as a table of the values that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.catalog import GUARDS, Catalog
from planner.model import Action, Address, Change, Plan, Step, Unknown
from planner.review.fold import Group, fold
from planner.review.values import AS_BEFORE, Line, changed, differences, duration, text

VCENTER = "vCenter"
SILENT = "does not answer: will be booted and reconnected"
BORN = "was born again: will be reconnected"
ROLLED = "will be restarted into another image"
WORDS: Mapping[Action, str] = {
    Action.CREATE: "create", Action.UPDATE: "change", Action.REPLACE: "replace", Action.DELETE: "delete",
    Action.FORGET: "forget", Action.NOOP: "keep",
}


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One address and what happens to it. `name` is relative to its group ("" for the host itself)."""

    change: Change
    name: str
    notes: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class StepView:
    """One step.

    `number` counts from 1 in the plan's order (step 7 is the journal's s0007); `after` are numbers of other groups'.
    """

    number: int
    step: Step
    name: str  # what live calls the object; "" for the host itself and its singletons; an address under vCenter
    call: str  # the API method; the operation's name where this version does not know it
    effect: tuple[Line, ...]
    guard: str = ""  # in words; "" for a step that is always taken
    loses: str = ""  # what is lost for good although the object itself can be brought back
    limit: str = ""  # "20 min" for waits and manual steps
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that a reviewer gets to see of a plan."""

    plan: Plan
    changes: tuple[Group[ChangeView], ...]
    reborn: Mapping[str, int]  # host → how many objects are restored as last applied
    steps: tuple[Group[StepView], ...]
    back_out: tuple[Group[StepView], ...]
    stays: Mapping[tuple[str, str], tuple[int, ...]]  # (operation, why it cannot be undone) → numbers of its steps
    reboots: tuple[str, ...]  # hosts that a back-out reboots
    lost: tuple[str, ...] = ()  # hosts whose configuration a boot of this plan discards: no back-out restores it
    losses: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)  # (operation, what) → step numbers
    details: bool = False  # nothing is folded or cut short
    silent: Mapping[str, str] = field(default_factory=dict)  # of `reborn`: hosts that vCenter has lost, and what then

    def every_step(self) -> Iterator[StepView]:
        for group in self.steps:
            for member in group.members:
                yield from member.items

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers for the summary. Restored objects of reborn hosts are counted apart."""
        found = Counter(str(c.action) for c in self.plan.changes if not _restored(c) and c.action is not Action.NOOP)
        steps = self.plan.steps
        return {
            **{str(action): found[str(action)] for action in Action if action is not Action.NOOP},
            "adopt": sum(c.adopted for c in self.plan.changes),
            "restore": sum(map(_restored, self.plan.changes)),
            "steps": len(steps),
            "hosts": len({s.address.root for s in steps if s.address.root.type == "host"}),
            "irreversible": sum(bool(s.irreversible) for s in steps),
            "disruptive": sum(bool(s.disruptive) for s in steps),
            "manual": sum(s.kind == "manual" for s in steps),
            "guarded": sum(bool(s.when) for s in steps),
            **({"roll": len(self.plan.rolls), "vms_to_move": sum(len(r.evacuation.moves) for r in self.plan.rolls)}
               if self.plan.rolls else {}),
            "drift": len(self.plan.drift),
            "unmanaged": len(self.plan.unmanaged),
        }


def review(plan: Plan, catalog: Catalog, back_out: Sequence[Step] = (), *, details: bool = False) -> Review:
    """The review of a plan. `back_out` are the steps that would undo it, in their order.

    `details`: nothing is folded, and restored objects of reborn hosts are listed one by one.
    """
    numbers = {step.id: number for number, step in enumerate(plan.steps, 1)}
    steps = _step_groups(plan.steps, catalog, numbers, folded=not details)
    undo = _step_groups([_as_before(step) for step in back_out], catalog, numbers, folded=not details)
    stays: dict[tuple[str, str], tuple[int, ...]] = {}
    losses: dict[tuple[str, str], tuple[int, ...]] = {}
    for step in plan.steps:
        operation = catalog.operations.get(step.operation)
        for why, found in ((step.irreversible, stays), (operation.loses if operation else "", losses)):
            if why:
                key = (step.operation, why)
                found[key] = (*found.get(key, ()), numbers[step.id])
    booted = {s.address.root for s in plan.steps if s.kind in ("boot", "manual")}
    silent = {str(s.address.root): SILENT if s.address.root in booted else BORN
              for s in plan.steps if s.kind == "wait"} | {str(r.address): ROLLED for r in plan.rolls}
    return Review(
        plan=plan, changes=_change_groups(plan.changes, details, silent), steps=steps, back_out=undo, stays=stays,
        reborn=Counter(str(c.address.root) for c in plan.changes if _restored(c)),
        reboots=tuple(dict.fromkeys(str(s.address.root) for s in back_out if _powers(s, catalog))),
        lost=_lost(plan), losses=losses, details=details, silent=silent,
    )


def _as_before(step: Step) -> Step:
    """A reverse step whose values apply has yet to read (an assumed before-image)."""
    if step.after is None:
        return step
    return replace(step, after={k: AS_BEFORE if isinstance(v, Unknown) else v for k, v in step.after.items()})


def _restored(change: Change) -> bool:
    """Whether a reborn host gets this object back as it was last applied."""
    return change.reborn and bool(change.address.child_type) and change.action is not Action.NOOP


def _lost(plan: Plan) -> tuple[str, ...]:
    booted = {s.address.root for s in plan.steps if s.kind == "wait"}
    return tuple(str(c.address) for c in plan.changes if c.address in booted and c.action is Action.REPLACE)


def _powers(step: Step, catalog: Catalog) -> bool:
    operation = catalog.operations.get(step.operation)
    return operation is not None and operation.provider == "power"


# --- changes ----------------------------------------------------------------------------------------------


def _change_groups(changes: Sequence[Change], details: bool,
                   silent: Mapping[str, str]) -> tuple[Group[ChangeView], ...]:
    groups: dict[str, list[ChangeView]] = {}
    lines = _Lines()
    for change in changes:
        quiet = not (change.adopted or change.reborn or change.reason.startswith(("blocked", "moved from")))
        if change.action is Action.NOOP and quiet:
            continue
        if change.reborn and change.address.child_type and not details:
            continue
        title = _title(change.address)
        groups.setdefault(title, []).append(_change_view(change, title, lines, silent))
    found = [Group(title, tuple(items)) for title, items in groups.items()]
    found = [replace(group, items=tuple(sorted(group.items, key=lambda v: bool(v.name)))) for group in found]
    return tuple(found) if details else fold(found, _changes_shape, _change_values)


class _Lines:
    """The lines of changes. Hosts of one profile change alike: equal pairs are compared once."""

    def __init__(self) -> None:
        self.updates: dict[tuple[str, str], tuple[Line, ...]] = {}

    def of(self, change: Change) -> tuple[Line, ...]:
        if change.action in (Action.NOOP, Action.FORGET):
            return ()
        if change.action is not Action.UPDATE:
            before = None if change.action is Action.CREATE else change.before
            after = None if change.action is Action.DELETE else change.after
            return differences(before, after, change.unknown)
        pair = text(change.before or {}), text(change.after or {})
        if pair not in self.updates:
            self.updates[pair] = changed(change.before, change.after)
        return self.updates[pair]


def _change_view(change: Change, title: str, lines: _Lines, silent: Mapping[str, str]) -> ChangeView:
    notes = [change.reason] if change.reason else []
    if change.adopted and "adopted" not in change.reason:
        notes.append("adopted: it exists already")
    if change.reborn and not change.address.child_type:
        why = silent.get(str(change.address)) or "reborn: it lost its configuration in a reboot"
        notes += [] if why == ROLLED else [why]  # its reason says it
    if change.action is Action.FORGET:
        notes.append("it leaves state; nothing is called")
    return ChangeView(change, _relative(change.address, title), tuple(notes), lines.of(change))


def _changes_shape(group: Group[ChangeView]) -> Hashable:
    return tuple((v.name, v.change.action, v.notes, tuple((x.sign, x.path) for x in v.lines)) for v in group.items)


def _change_values(group: Group[ChangeView]) -> Mapping[str, str]:
    return {f"{v.name} {x.path}".strip(): _cell(x) for v in group.items for x in v.lines}


# --- steps ------------------------------------------------------------------------------------------------


def _step_groups(steps: Sequence[Step], catalog: Catalog, numbers: Mapping[str, int], *,
                 folded: bool) -> tuple[Group[StepView], ...]:
    """Steps by root. A step of a back-out has the id, and so the number, of the step that it undoes."""
    groups: dict[str, list[Step]] = {}
    for title, step in _titled(steps):
        groups.setdefault(title, []).append(step)
    home = {step.id: title for title, found in groups.items() for step in found}
    views = [Group(title, tuple(_step_view(s, catalog) for s in found)) for title, found in groups.items()]
    result = fold(views, lambda g: _steps_shape(g, home), lambda g: _step_values(g, home, numbers)) if folded \
        else tuple(views)
    return tuple(_numbered(group, numbers, home) for group in result)


def _titled(steps: Sequence[Step]) -> Iterator[tuple[str, Step]]:
    """Steps with the title of their group. What vCenter gets before and after the hosts are groups of their own."""
    part, before = 0, ""
    for step in steps:
        title = _title(step.address)
        if title == VCENTER:
            part += before != VCENTER
            yield VCENTER if part == 1 else f"{VCENTER} ({part})", step
        else:
            yield title, step
        before = title


def _numbered(group: Group[StepView], numbers: Mapping[str, int], home: Mapping[str, str]) -> Group[StepView]:
    items = tuple(
        replace(v, number=numbers[v.step.id],
                after=tuple(sorted(numbers[n] for n in v.step.needs if home.get(n, group.title) != group.title)))
        for v in group.items)
    return replace(group, items=items, alike=tuple(_numbered(other, numbers, home) for other in group.alike))


def _step_view(step: Step, catalog: Catalog) -> StepView:
    operation = catalog.operations.get(step.operation)
    waits = step.kind in ("wait", "manual") and operation is not None
    return StepView(
        number=0, step=step, name=step.address.child if step.address.root.type == "host" else str(step.address),
        call=operation.call if operation else step.operation,
        effect=differences(step.before, step.after),
        guard=GUARDS.get(step.when, step.when) if step.when else "",
        loses=operation.loses if operation else "",
        limit=duration(operation.timeout) if operation and waits else "",
    )


def _steps_shape(group: Group[StepView], home: Mapping[str, str]) -> Hashable:
    at = {view.step.id: index for index, view in enumerate(group.items)}

    def one(view: StepView) -> Hashable:
        step = view.step
        needs = frozenset(at.get(n, "another host" if _of_host(home[n]) else n) for n in step.needs if n in home)
        inverse = step.inverse.operation if step.inverse else ""
        return (view.name, step.operation, step.when, step.kind, step.irreversible, step.disruptive, step.assumed,
                inverse, step.after is None, needs, tuple((x.sign, x.path) for x in view.effect))

    return tuple(one(view) for view in group.items)


def _of_host(title: str) -> bool:
    return not title.startswith(VCENTER)


def _step_values(group: Group[StepView], home: Mapping[str, str], numbers: Mapping[str, int]) -> Mapping[str, str]:
    """What differs between hosts of one shape: values, and which steps of other hosts they wait for."""
    own = {v.step.id for v in group.items}
    waits = {f"{v.step.operation} after step": ", ".join(str(numbers[n]) for n in sorted(others)) for v in group.items
             if (others := [n for n in v.step.needs if n in home and n not in own and _of_host(home[n])])}
    return waits | {f"{_relative(v.step.address, group.title) or v.step.operation} {x.path}": _cell(x)
                    for v in group.items for x in v.effect}


def _cell(line: Line) -> str:
    return f"{line.before} → {line.after}" if line.sign == "~" else str(line.after or line.before)


def _title(address: Address) -> str:
    return str(address.root) if address.root.type == "host" else VCENTER


def _relative(address: Address, title: str) -> str:
    """The address without its group: `vswitch.vSwitch1` under a host, all of it under vCenter."""
    return str(address) if address.root.type != "host" else str(address)[len(title):].lstrip(".")
