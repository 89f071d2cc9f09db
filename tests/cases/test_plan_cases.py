"""Case files: one host's live and desired objects → the steps, in order. One YAML file a case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.catalog import Catalog
from planner.model import (
    Action,
    Address,
    Fleet,
    FleetError,
    Live,
    LiveHost,
    LiveObject,
    Plan,
    Resource,
    State,
    StateResource,
    Step,
)
from planner.plan import PlanInputs, PlanOptions, back_out, build_plan
from providers.boot import provider as boot
from providers.power import provider as power
from providers.vsphere import provider as vsphere

CASES = sorted(Path(__file__).parent.glob("plan/*.yaml"))
HOST = Address("host", "esx")
CLUSTER = Address("cluster", "prod")
BODY = {"name": "esx01.lab.example", "mac": "52:54:00:00:00:11", "cluster": "cluster.prod", "image": "esxi8"}


def catalog() -> Catalog:
    return Catalog.of(vsphere.types(), [*boot.operations(), *power.operations()])


def _objects(body: dict[str, Any]) -> dict[Address, dict[str, Any]]:
    """`{vswitch: {vSwitch0: {…}}, dns: {…}, host: {…}}` → address → attributes."""
    found: dict[Address, dict[str, Any]] = {}
    types = catalog().types
    for kind, value in body.items():
        if kind == "host":
            continue
        if types[kind].singleton:
            found[HOST.under(kind)] = value
        else:
            found.update({HOST.under(kind, name): attributes for name, attributes in value.items()})
    return found


def _plan(case: dict[str, Any]) -> Plan:
    types = catalog().types
    desired = case.get("desired") or {}
    resources = {CLUSTER: Resource(CLUSTER, {"name": "prod"})}
    objects = {CLUSTER: LiveObject(CLUSTER, {"name": "prod"}, "domain-c1")}
    state = {CLUSTER: StateResource(CLUSTER, "created", {"name": "prod"})}
    if case.get("desired") is not None:
        body = {**BODY, **desired.get("host", {})}
        resources[HOST] = Resource(HOST, body, (CLUSTER,), exclusive=bool(case.get("exclusive")))
    for text, attributes in (case.get("roots") or {}).items():  # declared, applied, and as they should be
        root = Address.parse(text)
        resources[root] = Resource(root, attributes)
        objects[root] = LiveObject(root, {**attributes, **case.get("live_roots", {}).get(text, {})}, f"id-{text}")
        state[root] = StateResource(root, "created", attributes)
    for address, attributes in _objects(desired).items():
        always = {k: f.default for k, f in types[address.rtype].fields.items() if f.always}
        resources[address] = Resource(address, {**always, **attributes})
    hosts: dict[Address, LiveHost] = {}
    live = case.get("live")
    if live is not None:
        about = {"connection": "connected", "boot_time": "2026-01-01T00:00:00Z", "uuid": "u-1", **live.get("host", {})}
        hosts[HOST] = LiveHost(HOST, "host-1", **about)
        shown = {k: v for k, v in {**BODY, **case.get("live_host", {})}.items() if k != "image"}
        objects[HOST] = LiveObject(HOST, shown, "host-1")
        objects.update({a: LiveObject(a, v) for a, v in _objects(live).items()})
    origins = case.get("origin", "created")
    for address, attributes in _objects(case.get("state") or {}).items():
        state[address] = StateResource(address, origins, attributes)
    if case.get("state") is not None:
        facts = {"uuid": "u-1", "boot_time": "2026-01-01T00:00:00Z", "image": "d1", **case["state"].get("host", {})}
        state[HOST] = StateResource(HOST, origins, BODY, "host-1", facts)
    unread = {HOST: "not responding"} if hosts and hosts[HOST].connection != "connected" else {}
    unmanaged = tuple(a for a in objects if a.child_type and a not in resources and a not in state)

    def named(option: str) -> tuple[Address, ...]:
        return tuple(map(Address.parse, case.get(option, ())))

    inputs = PlanInputs(
        catalog(), Fleet("lab", "lab.yaml", "/", resources), State("l", 1, "lab", "vc", state),
        Live("vc", objects, hosts, unmanaged, unread), {"esxi8": "d1"},
        lambda _declared: str(case.get("power", "twin")),
        PlanOptions(named("target"), named("exclude"), named("replace"), destroy=bool(case.get("destroy"))))
    return build_plan(inputs)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_words(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_words, value)) + "]"
    return "?" if not isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _line(step: Step) -> str:
    where = step.address.name if step.address.child else ""
    text = f"{step.operation} {where}".rstrip()
    if step.address.child_type and step.after is not None:
        parts = []
        for key, value in step.after.items():
            old = "" if step.before is None else f"{_words(step.before.get(key))} -> "
            parts.append(f"{key} {old}{_words(value)}")
        text += ": " + ", ".join(parts)
    if step.when:
        text += f" [{step.when}]"
    return text


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    if "error" in case:
        with pytest.raises(FleetError, match=case["error"]):
            _plan(case)
        return
    plan = _plan(case)
    assert [_line(s) for s in plan.steps] == case["steps"]
    if "changes" in case:
        found = {str(c.address): c.action.value + (" adopted" if c.adopted else "") for c in plan.changes
                 if c.action is not Action.NOOP or c.adopted}
        assert found == case["changes"]
    if "disruptive" in case:
        assert [f"{s.operation} {s.address.name}" for s in plan.steps if s.disruptive] == case["disruptive"]
    if "back" in case:
        assert [s.operation for s in back_out(plan)] == case["back"]
    if "disruptive_back" in case:
        assert [f"{s.operation} {s.address.name}" for s in back_out(plan) if s.disruptive] == case["disruptive_back"]
    if "unmanaged" in case:
        assert list(plan.unmanaged) == case["unmanaged"]
    if "warnings" in case:
        assert [d.detail for d in plan.diagnostics] == case["warnings"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 20
