"""A reading that fails is never taken for "not there": nothing is planned, forgotten or deleted because of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vmodl

from planner.model import Action, Address, FleetError, Plan
from providers.twin.objects.host_vcenter import VcenterHost
from tests.faults.kit import MAC, Bench, two_hosts
from tests.support.lab import fleet
from tests.support.lab_fleets import EDITED
from tests.support.twin import vcenter

WHOLE = EDITED["another host is born"]
ESX01 = Address.parse('host.esx["esx01"]')
EDITS: dict[str, dict[str, Any]] = {
    "the same fleet": WHOLE,
    "a fleet with less on every host": {k: v for k, v in WHOLE.items() if "portgroup" not in k and "vmkernel" not in k},
}


@pytest.fixture
def here() -> Iterator[Bench]:
    """Two hosts, as declared."""
    with two_hosts() as found:
        assert found.apply().exit_code == 0
        found.reopen()
        yield found


def wanted(here: Bench, name: str) -> Any:
    here.opened = here.lab.open(fleet(EDITS[name]))
    return here.opened


def unreadable(monkeypatch: pytest.MonkeyPatch, prop: str, fault: Exception) -> None:
    """One property of esx01 cannot be read: the collector lists it as missing."""
    original = getattr(VcenterHost, prop)

    def read(host: Any) -> Any:
        if host.name.startswith("esx01"):
            raise fault
        return original(host)

    monkeypatch.setattr(VcenterHost, prop, read)


def of_host(plan: Plan, key: str) -> set[str]:
    return {s.operation for s in plan.steps if s.address.key == key}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(("prop", "fault"), [
    ("vswitch", vmodl.fault.SystemError(reason="x", msg="a general system error")),
    ("mounts", vmodl.fault.HostNotReachable(msg="no answer")),
    ("net_config", vmodl.fault.SecurityError(msg="not allowed")),
    ("product", vmodl.fault.SystemError(reason="x", msg="a general system error"))])
def test_a_property_that_cannot_be_read_is_an_error_that_names_the_host(
        here: Bench, monkeypatch: pytest.MonkeyPatch, edit: str, prop: str, fault: Exception) -> None:
    opened = wanted(here, edit)
    before, state = opened.dump(), here.state()
    unreadable(monkeypatch, prop, fault)
    with pytest.raises(FleetError) as caught:
        opened.plan()
    (problem,) = caught.value.diagnostics
    assert (problem.severity, problem.address) == ("error", ESX01)
    assert problem.summary == "live could not be read"
    assert type(fault).__name__.rpartition(".")[2] in problem.detail
    assert "--exclude" in problem.remedy
    without = opened.plan(excludes=(ESX01,))  # the way out that the message names
    assert of_host(without, "esx01") == set()
    assert not [c for c in without.changes if c.address.key == "esx01"]
    assert ("portgroup.remove" in of_host(without, "esx02")) == (edit != "the same fleet")
    assert (opened.dump(), here.state()) == (before, state)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("prop", ["name", "parent", "runtime.connectionState", "summary.hardware.uuid"])
def test_a_host_that_cannot_be_told_from_others_is_left_alone(here: Bench, monkeypatch: pytest.MonkeyPatch, edit: str,
                                                              prop: str) -> None:
    """Whether it is connected, or which one it is, is not known: it is neither booted nor removed, nor drift."""
    opened = wanted(here, edit)
    dark(monkeypatch, prop, lambda obj: obj.wire == "HostSystem" and obj.name.startswith("esx01"))
    with pytest.raises(FleetError) as caught:
        opened.plan()
    (problem,) = caught.value.diagnostics
    assert (problem.summary, problem.address) == ("live could not be read", ESX01)
    assert prop in problem.detail
    without = opened.plan(excludes=(ESX01,))
    assert of_host(without, "esx01") == set()
    assert ("portgroup.remove" in of_host(without, "esx02")) == (edit != "the same fleet")
    live = opened.session.snapshot(opened.fleet, here.base.resources if here.base else {})
    assert prop in live.unknown(ESX01.under("dns"))


@pytest.mark.parametrize("wire", ["Folder", "Datacenter", "ClusterComputeResource"])
def test_a_place_without_a_name_makes_every_place_unknown(here: Bench, monkeypatch: pytest.MonkeyPatch,
                                                          wire: str) -> None:
    opened = wanted(here, "the same fleet")
    dark(monkeypatch, "name", lambda obj: obj.wire == wire)
    with pytest.raises(FleetError) as caught:
        opened.plan()
    assert {d.summary for d in caught.value.diagnostics} == {"live could not be read"}
    assert {str(d.address) for d in caught.value.diagnostics} >= {"datacenter.dc0", "cluster.prod", str(ESX01)}


def dark(monkeypatch: pytest.MonkeyPatch, prop: str, which: Any) -> None:
    """One property of some objects is listed as missing."""
    from providers.twin.core import paths, selection

    original = paths.read_compiled

    def read(obj: Any, compiled: Any, path: str) -> Any:
        if path == prop and which(obj):
            raise vmodl.fault.SystemError(reason="x", msg="a general system error")
        return original(obj, compiled, path)

    monkeypatch.setattr(selection, "read_compiled", read)


@pytest.mark.parametrize("edit", EDITS)
def test_the_whole_reading_fails(here: Bench, edit: str) -> None:
    opened = wanted(here, edit)
    opened.house.faults.add(kind="fault", method="RetrievePropertiesEx", fault="vmodl.fault.SystemError", times=0)
    with pytest.raises(FleetError, match="SystemError"):
        opened.plan()
    opened.house.faults.clear()
    opened.house.faults.add(kind="reset", method="RetrievePropertiesEx", times=0)
    with pytest.raises(FleetError, match="reset"):
        opened.plan()


@pytest.mark.parametrize("edit", EDITS)
def test_a_disconnected_host_blocks_only_itself(here: Bench, edit: str) -> None:
    """Somebody disconnected it: it stays so, nothing of it is forgotten, the other host is planned."""
    opened = wanted(here, edit)
    state = here.state()
    vcenter(opened.house).searchIndex.FindByDnsName(None, "esx01.lab.example", False).DisconnectHost_Task()
    plan = opened.plan()
    assert of_host(plan, "esx01") == set()
    assert {c.action for c in plan.changes if c.address.key == "esx01"} <= {Action.NOOP}
    ((problem, why),) = [(d.address, d.detail) for d in plan.diagnostics]
    assert problem == ESX01
    assert "disconnected" in why
    assert ("portgroup.remove" in of_host(plan, "esx02")) == (edit != "the same fleet")
    assert not [d for d in plan.drift if d.address.key == "esx01"]
    here.plan = plan
    assert here.apply().exit_code == 0
    after = here.state()
    assert {a: r for a, r in after.items() if "esx01" in a} == {a: r for a, r in state.items() if "esx01" in a}
    assert opened.dump()["connections"] == {"esx01.lab.example": "disconnected", "esx02.lab.example": "connected"}


def test_a_host_that_does_not_respond_is_booted_again_and_not_forgotten(here: Bench) -> None:
    """Its attributes are unknown: no drift, nothing deleted; what it should have is restored after its birth."""
    here.house.power(MAC, "off")
    plan = here.opened.plan()
    assert not [d for d in plan.drift if d.address.key == "esx01"]
    assert not [c for c in plan.changes if c.action in (Action.DELETE, Action.FORGET, Action.REPLACE)]
    assert {"power.boot", "birth.wait", "host.reconnect", "vswitch.add"} <= of_host(plan, "esx01")
    assert of_host(plan, "esx02") == set()


def test_a_readback_that_fails_in_verify_leaves_the_host_in_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compliance read before a host leaves maintenance mode: what cannot be read is not clean."""
    with two_hosts() as found:
        exit_step = next(s for s in found.plan.steps if s.operation == "host.exit_maintenance"
                         and s.address.key == "esx01")
        nfs = next(s for s in found.plan.steps if s.operation == "nfs.mount" and s.address.key == "esx01")
        original = VcenterHost.option_value
        broken = [False]

        def hook(point: str, step: str) -> None:
            broken[0] = broken[0] or (point, step) == ("after", nfs.id)

        def option(host: Any, key: str) -> Any:
            if broken[0] and host.name.startswith("esx01"):
                raise vmodl.fault.SystemError(reason="x", msg="a general system error")
            return original(host, key)

        monkeypatch.setattr(VcenterHost, "option_value", option)
        found.lab.hook = hook
        outcome = found.apply(on_failure="continue")
        assert outcome.exit_code == 3
        assert all(s.address.key == "esx01" for s, _, _ in outcome.failures)
        assert exit_step.id not in {r["step"] for r in found.records() if r["kind"] == "begin"}
        assert found.opened.dump()["hosts"]["esx01.lab.example"]["maintenance"]
        assert not found.opened.dump()["hosts"]["esx02.lab.example"]["maintenance"]
