"""Case files: what state has of one host, what live shows, its birth → the steps of its restore. One YAML file each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.catalog import Catalog
from planner.model import Address, Attrs, Later, Live, LiveHost, LiveObject, Plan, SecretRef, State, StateResource, Step
from planner.restore import Restoration, RestoreInputs, applied_fleet, choose, restoration
from providers.boot import provider as boot
from providers.power import provider as power
from providers.vsphere import provider as vsphere

CASES = sorted(Path(__file__).parent.glob("restore/*.yaml"))
CATALOG = Catalog.of(vsphere.types(), [*boot.operations(), *power.operations()])
HOST, OTHER, CLUSTER = Address("host", "esx"), Address("host", "other"), Address("cluster", "prod")
MAC = "52:54:00:00:00:11"
BODY: dict[str, Any] = {"name": "esx01.lab.example", "mac": MAC, "cluster": "cluster.prod", "image": "esxi8",
                        "root_password": SecretRef("env:ROOT")}
FACTS: dict[str, Any] = {"uuid": "u-1", "boot_time": "2026-01-01T00:00:00Z", "image": "d1", "staged": "d1",
                         "born": "2026-01-01T00:05:00.000000+00:00", "joined": "2026-01-01T00:05:00.000000+00:00"}
BIRTH: dict[str, Any] = {"uuid": "u-1", "mac": MAC, "image": "d1", "born": "2026-01-02T03:00:00.000000+00:00",
                         "ip": "10.0.0.11", "certificate": "PEM"}
LIVE: dict[str, Any] = {"connection": "notResponding", "boot_time": "2026-01-01T00:00:00Z", "uuid": "u-1"}
LATER = Later({"vsphere": {"server": "vc.lab.example"}})


def objects(root: Address, body: dict[str, Any]) -> dict[Address, dict[str, Any]]:
    found: dict[Address, dict[str, Any]] = {}
    for kind, value in body.items():
        if kind != "host":
            singleton = CATALOG.types[kind].singleton
            found.update({root.under(kind): value} if singleton else {
                root.under(kind, name): attributes for name, attributes in value.items()})
    return found


def state_of(case: dict[str, Any]) -> State:
    """The host as last applied; a cluster and another host, whose drift is no business of a restore."""
    body = case.get("state") or {}
    facts = {**FACTS, **body.get("host", {})}
    found = {
        CLUSTER: StateResource(CLUSTER, "created", {"name": "prod", "drs": {"enabled": True}}, "domain-c1"),
        OTHER: StateResource(OTHER, "created", {**BODY, "name": "other.lab.example", "mac": "52:54:00:00:00:12"}),
        HOST: StateResource(HOST, "created", BODY, "host-1", {k: v for k, v in facts.items() if v is not None})}
    found.update({a: StateResource(a, "created", v) for a, v in objects(HOST, body).items()})
    return State("l", 7, "lab", "vc", found)


def live_of(case: dict[str, Any]) -> Live:
    shown = {CLUSTER: LiveObject(CLUSTER, {"name": "prod", "drs": {"enabled": False}}, "domain-c1")}
    hosts = {}
    body = case.get("live", {})
    if body is not None:
        about: dict[str, Any] = {**LIVE, **body.get("host", {})}
        about["problems"] = tuple(about.get("problems", ()))
        hosts[HOST] = LiveHost(HOST, "host-1", **about)
        shown[HOST] = LiveObject(HOST, {k: BODY[k] for k in ("name", "mac", "cluster")}, "host-1")
        shown.update({a: LiveObject(a, v) for a, v in objects(HOST, body).items()})
    unread = {HOST: "it does not respond"} if hosts and hosts[HOST].connection != "connected" else {}
    return Live("vc", shown, hosts, unread=unread)


def later(case: dict[str, Any]) -> Later:
    return replace(LATER, exclusive=(HOST,)) if case.get("exclusive") else LATER


def applied(carried: Later) -> Plan:
    return Plan("lab", "fleet 0.1.0", "l", 6, "vc", "config", {}, {"esxi8": "d1"}, (), (), (), later=carried)


def restored(case: dict[str, Any], births: dict[str, Attrs]) -> tuple[dict[str, str], Restoration | None]:
    state = state_of(case)
    chosen = choose(state, births, [MAC] if case.get("again") else ())
    if not chosen.wanted:
        return {**chosen.left, **dict.fromkeys(chosen.known, "")}, None
    fleet = applied_fleet(CATALOG, state, applied(later(case)), "/")
    return dict(chosen.left), restoration(RestoreInputs(CATALOG, fleet, state, live_of(case), chosen.wanted))


def line(step: Step) -> str:
    where = f" {step.address.name}" if step.address.child else ""
    return f"{step.operation}{where}" + (f" [{step.when}]" if step.when else "")


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    left, made = restored(case, {MAC: {**BIRTH, **case.get("birth", {})}})
    if "left" in case:
        words = [*left.values(), *(made.left.values() if made else ())]
        assert [case["left"] in w for w in words] == [True], words
    else:
        assert left == {}
    if made is None:
        assert "steps" not in case
        return
    assert [case.get("failed", "-") in w for w in made.failed.values()] == ([True] if "failed" in case else []), made
    assert [line(s) for s in (made.plan.steps if made.plan else ())] == case.get("steps", [])
    assert bool(made.done) is case.get("done", False)
    if made.plan is not None:
        assert {s.address.root for s in made.plan.steps} == {HOST}
        assert {c.address.root for c in made.plan.changes} == {HOST}
        assert made.plan.later == later(case)


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
