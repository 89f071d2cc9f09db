"""What brings hosts back that booted while nobody applied anything: their steps, as last applied. Pure.

A stateless host loses its configuration with its power. What it had is in the state; which vCenter it belongs to is in
the plan that was applied last. From those two, and from the births of the hosts, comes a plan with nothing but these
hosts' steps: no file is read, so nothing that nobody approved can come in, and nothing is booted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from planner.catalog import Catalog
from planner.model import (
    Action,
    Address,
    Attrs,
    Diagnostic,
    Fleet,
    FleetError,
    Image,
    Live,
    Plan,
    Resource,
    State,
    StateResource,
    contains_unknown,
)
from planner.plan import PlanInputs, build_plan
from planner.schema import names_root

BOOTS = ("boot", "manual")
NEWER = ("joined", "born")
"""The fact that says which birth of a host vCenter has; older states know only which one was last taken."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which births ask for a restore. `left`: MACs that get none, and why. `known`: MACs of which vCenter has that
    birth."""

    wanted: Mapping[Address, Attrs]  # host → facts of its birth; {}: vCenter has it, but its restore did not end
    left: Mapping[str, str]
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoreInputs:
    """`births`: the chosen ones. `fleet`: everything as last applied (see `applied_fleet`)."""

    catalog: Catalog
    fleet: Fleet
    state: State
    live: Live
    births: Mapping[Address, Attrs]
    provider_options: Mapping[str, Any] = field(default_factory=dict)
    tool: str = ""
    by: str = ""
    now: str = ""


@dataclass(frozen=True, slots=True)
class Restoration:
    """`plan` is None where no host is left to restore. `left`: hosts that stay as they are, for a reason that a person
    has to look at. `failed`: hosts that cannot be planned now. `done`: hosts on which nothing is to be done."""

    plan: Plan | None
    left: Mapping[Address, str]
    failed: Mapping[Address, str] = field(default_factory=dict)
    done: tuple[Address, ...] = ()


# --- which hosts ------------------------------------------------------------------------------------------


def missed(facts: Attrs, birth: Attrs) -> bool:
    """Whether vCenter does not have that birth of a host: it was accepted after the last one that it joined with."""
    return str(birth.get("born") or "") > newest_known(facts)


def newest_known(facts: Attrs) -> str:
    """When the birth was accepted by which vCenter has the host (ISO 8601, UTC); "" where it has none by a birth."""
    return next((str(facts[name]) for name in NEWER if facts.get(name)), "")


def choose(state: State | None, births: Mapping[str, Attrs], again: Iterable[str] = ()) -> Chosen:
    """`births`: MAC (lower case) → facts of its newest birth. `again`: MACs whose restore was begun and did not end."""
    hosts: dict[str, StateResource] = {}
    for address, resource in (state.resources if state else {}).items():
        if address.type == "host" and not address.child_type:
            hosts[str(resource.attributes.get("mac") or "").lower()] = resource
    wanted: dict[Address, Attrs] = {}
    left: dict[str, str] = {}
    known: list[str] = []
    begun = set(again)
    for mac, birth in births.items():
        host = hosts.get(mac)
        if host is None:
            left[mac] = "it was never applied: `fleet apply` configures it"
        elif missed(host.facts, birth):
            why = _another(host.facts, birth)
            if why:
                left[mac] = why
            else:
                wanted[host.address] = birth
        elif mac in begun:
            wanted[host.address] = {}
        else:
            known.append(mac)
    return Chosen(wanted, left, tuple(known))


def _another(facts: Attrs, birth: Attrs) -> str:
    """Why this is not the host that was last applied; "" where it is."""
    known, uuid = str(facts.get("uuid") or ""), str(birth.get("uuid") or "")
    if known and uuid and known.lower() != uuid.lower():
        return f"another machine was born than the recorded one: hardware UUID {uuid}, recorded {known}"
    images = {str(facts[name]) for name in ("image", "staged") if facts.get(name)}
    booted = str(birth.get("image") or "")
    if images and booted not in images:
        return f"it booted image {booted[:12]}, and {' or '.join(sorted(i[:12] for i in images))} was last applied"
    return ""


# --- the fleet as last applied ----------------------------------------------------------------------------


def applied_fleet(catalog: Catalog, state: State, plan: Plan, folder: str) -> Fleet:
    """A fleet that declares what state has, with the provider blocks of the plan that was applied last.

    Raises FleetError where that plan carries none.
    """
    if not plan.later.providers:
        raise FleetError(Diagnostic(
            "error", "the last run does not say which vCenter these hosts belong to",
            f"its plan was made by {plan.tool or 'an earlier version'}", remedy="apply the fleet once with this "
            "version: from then on its hosts are restored"))
    exclusive = set(plan.later.exclusive)
    resources = {a: as_applied(catalog, r, exclusive=a in exclusive) for a, r in state.resources.items()}
    names = {str(r.attributes.get("image") or "") for r in resources.values()} - {""}
    return Fleet(state.fleet, plan.source, folder, resources, plan.later.providers, {n: Image(n, "") for n in names},
                 digest=plan.config_digest)


def as_applied(catalog: Catalog, resource: StateResource, *, exclusive: bool = False) -> Resource:
    """A resource that declares what was last applied of it."""
    fields = catalog.types[resource.address.rtype].fields
    attributes = {k: v for k, v in resource.attributes.items()
                  if k in fields and not fields[k].computed and not contains_unknown(v)}
    refers = tuple(Address.parse(str(v)) for k, v in attributes.items()
                   if names_root(fields[k], v))
    return Resource(resource.address, attributes, refers, exclusive=exclusive)


# --- the plan ---------------------------------------------------------------------------------------------


def restoration(given: RestoreInputs) -> Restoration:
    """One plan for all hosts that can be restored. Raises FleetError for what concerns none of them alone."""
    left: dict[Address, str] = {}
    failed: dict[Address, str] = {}
    for root, birth in given.births.items():
        host = given.live.hosts.get(root)
        if host is None:
            left[root] = "vCenter does not know it any more: somebody removed it"
        elif not birth and host.connection == "notResponding":
            failed[root] = "it does not answer, and was not born again"
    while wanted := {a: b for a, b in given.births.items() if a not in left and a not in failed}:
        try:
            plan = _plan(given, wanted)
        except FleetError as error:
            bad = {d.address.root: str(FleetError(d)) for d in error.diagnostics
                   if d.severity == "error" and d.address is not None and d.address.root in wanted}
            if not bad:
                raise
            failed.update(bad)
            continue
        refused = _refused(plan, wanted)
        if not refused:
            busy = {s.address.root for s in plan.steps}
            done = tuple(a for a in wanted if a not in busy)
            return Restoration(plan if plan.steps else None, left, failed, done)
        left.update(refused)
    return Restoration(None, left, failed)


def _refused(plan: Plan, wanted: Iterable[Address]) -> dict[Address, str]:
    """Hosts that stay as they are: a person's will, or something that takes a person's approval."""
    found: dict[Address, str] = {}
    for change in plan.changes:
        if change.address in wanted and change.reason.startswith("blocked: "):
            found[change.address] = change.reason.removeprefix("blocked: ")
        elif change.address in wanted and change.action not in (Action.NOOP, Action.UPDATE):
            found[change.address] = f"it would take a {change.action.value} ({change.reason}): `fleet plan` shows it"
    for step in plan.steps:
        if step.kind in BOOTS:
            found.setdefault(step.address.root, "it would have to be booted again: `fleet plan` shows it")
    return found


def _plan(given: RestoreInputs, wanted: Mapping[Address, Attrs]) -> Plan:
    """Only these hosts are declared and recorded, so that whatever else differs stays as it is."""
    fleet = replace(given.fleet, resources={a: r for a, r in given.fleet.resources.items() if a.root in wanted})
    state = replace(given.state, resources={a: r for a, r in given.state.resources.items() if a.root in wanted})
    live = replace(given.live, diagnostics=tuple(d for d in given.live.diagnostics
                                                 if d.address is not None and d.address.root in wanted),
                   unmanaged=tuple(a for a in given.live.unmanaged if isinstance(a, Address) and a.root in wanted))
    plan = build_plan(PlanInputs(given.catalog, fleet, state, live, provider_options=given.provider_options,
                                 tool=given.tool, by=given.by, now=given.now,
                                 births={a: b for a, b in wanted.items() if b}))
    images = {str(fleet.resources[a].attributes.get("image")): str(b["image"]) for a, b in wanted.items() if b}
    later = replace(plan.later, exclusive=tuple(a for a, r in given.fleet.resources.items() if r.exclusive))
    return replace(plan, image_digests=images, later=later)


# --- after a restore that did not end ---------------------------------------------------------------------


def unfinished(plan: Plan, settled: Iterable[str]) -> frozenset[Address]:
    """Hosts of which not every step is done or skipped."""
    over = set(settled)
    return frozenset(s.address.root for s in plan.steps if s.id not in over)
