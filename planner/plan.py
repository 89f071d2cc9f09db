"""Builds a plan (pure), and reads and writes plan files.

A plan is bound to what it was made from: lineage and serial of the state, vCenter's instance, the configuration's
digest, the digest of every image, and a live digest per planned address.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from planner.backout import back_out
from planner.catalog import GUARDS, Catalog
from planner.diff import DiffInputs, DiffResult, compute, manual
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Diagnostic,
    Fleet,
    FleetError,
    Later,
    Live,
    Plan,
    Resource,
    State,
    StateResource,
)
from planner.planfile import decode_plan, encode_plan, is_plan, plan_document
from planner.selection import check_asked, selection
from planner.snapshot import find_drift, from_state, live_digests
from planner.steps import compile_steps

__all__ = [
    "PlanInputs", "PlanOptions", "apply_moved", "back_out", "build_plan", "check_plan", "decode_plan", "encode_plan",
    "is_plan", "plan_document", "plan_options",
]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user asked for. `targets`/`excludes`/`replaces` name roots or objects on them."""

    targets: tuple[Address, ...] = ()
    excludes: tuple[Address, ...] = ()
    replaces: tuple[Address, ...] = ()
    destroy: bool = False
    refresh: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    var_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Everything that plan may look at. `live` is None with `--no-refresh`."""

    catalog: Catalog
    fleet: Fleet
    state: State | None
    live: Live | None
    image_digests: Mapping[str, str] = field(default_factory=dict)
    power: Callable[[Attrs], str] = manual
    image_builds: Mapping[str, str] = field(default_factory=dict, kw_only=True)  # name → `build=`; "" where none
    options: PlanOptions = PlanOptions()
    provider_options: Mapping[str, Any] = field(default_factory=dict)  # e.g. coexist
    births: Mapping[Address, Attrs] = field(default_factory=dict)  # see ProgramInput.birth
    files: Mapping[str, str] = field(default_factory=dict)  # see Later
    cautions: tuple[Diagnostic, ...] = ()  # what providers have to say about the fleet and live
    tool: str = ""
    by: str = ""
    now: str = ""


def apply_moved(resources: Mapping[Address, StateResource], moved: Iterable[tuple[Address, Address]],
                ) -> dict[Address, StateResource]:
    """State resources under their new addresses; what hangs on a moved host moves along, references too."""
    result = dict(resources)
    for old, new in moved:
        renamed: dict[Address, StateResource] = {}
        for address, resource in result.items():
            target = address
            if address == old:
                target = new
            elif address.child_type and address.root == old:
                target = Address(new.type, new.label, new.key, address.child_type, address.child)
            if target in result and target != address:
                raise FleetError(Diagnostic("error", "moved names an address that state has already",
                                            f"{old} → {new}", address=new, remedy="remove the moved block"))
            attributes = {k: str(new) if v == str(old) else v for k, v in resource.attributes.items()}
            renamed[target] = replace(resource, address=target, attributes=attributes)
        result = renamed
    return result


def build_plan(inputs: PlanInputs) -> Plan:
    """Diff and compile. Raises FleetError with every diagnostic that makes a plan impossible."""
    fleet, state, options = inputs.fleet, inputs.state, inputs.options
    live = inputs.live if inputs.live is not None else from_state(state)
    check_instance(state, live)
    recorded = apply_moved(state.resources if state else {}, fleet.moved)
    desired = {} if options.destroy else dict(fleet.resources)
    if options.destroy and options.replaces:
        raise FleetError("--replace and --destroy exclude each other")
    check_asked(inputs.catalog, fleet, recorded, (*options.targets, *options.excludes), options.replaces)
    selected = selection(inputs.catalog, fleet, recorded, options.targets, options.excludes,
                         destroy=options.destroy)
    if selected is not None:
        kept = {a.root for a in selected} - selected if options.destroy else set()  # where only a child was named
        desired = {a: r for a, r in fleet.resources.items() if a in (kept if options.destroy else selected)}
        recorded = {a: r for a, r in recorded.items() if a in selected or a in kept}
    result = compute(DiffInputs(
        inputs.catalog, desired, recorded, live, inputs.image_digests, inputs.power,
        frozenset(options.replaces), frozenset(a for a, destroy in fleet.removed.items() if not destroy),
        inputs.provider_options, "asked for by destroy" if options.destroy else "no longer declared", inputs.births,
        inputs.image_builds, {} if selected is None else _parts(fleet, state, selected),
    ))
    changes = {**result.changes, **_moves(fleet, state, recorded, desired, result.changes)}
    diagnostics = [_placed(d, fleet) for d in (*live.diagnostics, *result.diagnostics, *inputs.cautions,
                                               *_check_lifecycle(fleet, result))]
    if any(d.severity == "error" for d in diagnostics):
        raise FleetError(*diagnostics)
    stale = {a: r.attributes for a, r in recorded.items() if a.child_type}
    try:
        steps = compile_steps(inputs.catalog, result.changes, result.programs, desired, stale, result.management,
                              result.standing)
    except FleetError as error:
        raise FleetError(*(_placed(d, fleet) for d in error.diagnostics)) from error
    void = frozenset(a for a, p in result.programs.items() if p.reborn or (p.reset and p.roll is None))
    drift = find_drift(inputs.catalog, recorded, live, desired, void) if inputs.live is not None else ()
    rolls = {a: p.roll for a, p in result.programs.items() if p.roll is not None}
    touched = [a for a, c in result.changes.items() if c.action is not Action.NOOP or c.adopted]
    touched += [s.address for s in steps]
    return Plan(
        fleet.name, inputs.tool, state.lineage if state else "", state.serial if state else 0, live.instance,
        fleet.digest, live_digests(inputs.catalog, live, touched), dict(inputs.image_digests), drift,
        tuple(changes.values()), steps, tuple(str(a) for a in live.unmanaged if a not in changes), fleet.checks,
        (*fleet.warnings, *(d for d in diagnostics if d.severity == "warning")), inputs.now, inputs.by,
        inputs.live is not None, fleet.path, _options_record(options),
        Later(dict(fleet.providers), dict(inputs.files), tuple(a for a, r in fleet.resources.items() if r.exclusive)),
        tuple(rolls[a] for a in dict.fromkeys(s.address for s in steps) if a in rolls),
    )


def _parts(fleet: Fleet, state: State | None, selected: Collection[Address]) -> dict[Address, str]:
    """Hosts of which only a part was asked for: they are not to lose the rest by a reboot."""
    everything = {*fleet.resources, *apply_moved(state.resources if state else {}, fleet.moved)}
    return {a.root: "only a part of it was asked for" for a in everything if a not in selected}


def _placed(found: Diagnostic, fleet: Fleet) -> Diagnostic:
    """With the place in the fleet's files of what it is about."""
    resource = fleet.resources.get(found.address) if found.address and not found.mark else None
    return replace(found, mark=resource.mark) if resource is not None else found


def _moves(fleet: Fleet, state: State | None, recorded: Mapping[Address, StateResource],
           desired: Mapping[Address, Resource], changes: Mapping[Address, Change]) -> dict[Address, Change]:
    """What state has under another address: a change of its own where nothing else happens to the object."""
    found: dict[Address, Change] = {}
    for old, new in fleet.moved:
        if state is None or old not in state.resources or new not in recorded or new not in desired:
            continue
        why = f"moved from {old}"
        change = changes.get(new)
        if change is None:
            attributes = recorded[new].attributes
            found[new] = Change(new, Action.NOOP, attributes, attributes, reason=why)
        else:
            found[new] = replace(change, reason=f"{why}; {change.reason}" if change.reason else why)
    return found


def _options_record(options: PlanOptions) -> dict[str, Any]:
    record: dict[str, Any] = {
        "targets": [str(a) for a in options.targets], "excludes": [str(a) for a in options.excludes],
        "replaces": [str(a) for a in options.replaces], "destroy": options.destroy,
        "variables": dict(options.variables), "var_files": list(options.var_files),
    }
    return {k: v for k, v in record.items() if v}


def plan_options(plan: Plan) -> PlanOptions:
    """The options that a saved plan was made with."""
    record = plan.options
    targets, excludes, replaces = (
        tuple(Address.parse(a) for a in record.get(k, ())) for k in ("targets", "excludes", "replaces"))
    return PlanOptions(
        targets, excludes, replaces,
        bool(record.get("destroy")), plan.refreshed, record.get("variables", {}), tuple(record.get("var_files", ())),
    )


def check_instance(state: State | None, live: Live) -> None:
    """Raise FleetError where the state was made on another vCenter than the one that was read."""
    if state is not None and state.instance and live.instance and state.instance != live.instance:
        raise FleetError(Diagnostic(
            "error", "this state belongs to another vCenter",
            f"state was made on instance {state.instance}, this server is instance {live.instance}",
            remedy="point provider.vsphere.server at the vCenter that the state describes, or use another fleet name"))


def check_plan(catalog: Catalog, plan: Plan) -> None:
    """Refuse a plan that this catalogue cannot run, before anything starts. Raises FleetError."""
    wrong: dict[str, None] = {}
    seen: set[str] = set()
    for step in plan.steps:
        names = [step.operation, *([step.inverse.operation] if step.inverse else [])]
        wrong.update((f"operation {name}", None) for name in names if name not in catalog.operations)
        wrong.update((f"step {need}, which {step.id} needs", None) for need in step.needs if need not in seen)
        if step.when and step.when not in GUARDS:
            wrong[f"guard {step.when}"] = None
        seen.add(step.id)
    addresses = [s.address for s in plan.steps] + [c.address for c in plan.changes]
    kinds = [kind for address in addresses for kind in (address.type, address.rtype)]
    wrong.update((f"resource type {name}", None) for name in kinds if name not in catalog.types)
    if wrong:
        raise FleetError(Diagnostic(
            "error", "this version of fleet cannot run this plan", f"it does not know {', '.join(wrong)}",
            remedy=f"use the version that made it ({plan.tool}), or make the plan again"))


def _check_lifecycle(fleet: Fleet, result: DiffResult) -> list[Diagnostic]:
    found = []
    for address, change in result.changes.items():
        resource = fleet.resources.get(address) or fleet.resources.get(address.root)
        if change.action in (Action.DELETE, Action.REPLACE) and resource and resource.lifecycle.prevent_destroy:
            found.append(Diagnostic(
                "error", "prevent_destroy forbids this plan", f"{address} would be destroyed ({change.reason})",
                resource.mark, address, "remove lifecycle.prevent_destroy, or undo the change that asks for it"))
    return found


def needs_steps(changes: Iterable[Change]) -> list[Change]:
    """The changes that a reviewer counts: everything but plain bookkeeping."""
    return [c for c in changes if c.action is not Action.NOOP]
