"""management: the second path, the name, the transaction, what the host takes back, and who owns its facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from planner.execute.engine import apply, resume, rollback
from planner.model import Address, StepFailed
from tests.support.lab import Lab, Opened, fleet
from tests.support.lab_fleets import FIRST
from tests.support.places import quick_folder
from tests.unit.vsphere.kit import HOST, MAC, NAME, Bench, open_bench

AT = f"{HOST}.management"
MOVED: dict[str, Any] = {"ip": "10.77.0.5", "netmask": "255.255.255.0", "gateway": "10.77.0.1", "vlan": 77}
LEASED: dict[str, Any] = {"ip": "", "netmask": "", "gateway": "", "vlan": 0}
ADAPTER = "10.77.0.5/24"
HOSTS = 'host.esx["esx01"]'


@pytest.fixture
def bench() -> Bench:
    made = open_bench()
    made.joined()
    return made


def opened(bench: Bench) -> None:
    """The second path, as the first three steps make it."""
    bench.run(AT, "management.open_network", {"network": False}, {"network": True, "on_vlan": 77, "at": "10.77.0.5"})
    bench.run(AT, "management.open_adapter", {"adapter": ""}, {"adapter": ADAPTER, "via": "10.77.0.1"})
    bench.run(AT, "management.select", {"adapter": ADAPTER, "open": False}, {"adapter": ADAPTER, "open": True})


def test_what_comes_with_a_lease_is_no_fact_of_its_own(bench: Bench) -> None:
    assert bench.observe(AT, "management.update") == {"dhcp": True, **LEASED}


def test_the_second_path_is_opened_and_closed_call_by_call(bench: Bench) -> None:
    dump = bench.house.dump()
    assert bench.made(lambda: opened(bench)) == [
        "HostNetworkSystem.AddPortGroup", "HostNetworkSystem.AddVirtualNic",
        "HostVirtualNicManager.SelectVnicForNicType"]
    shown = bench.observe(AT, "management.select", None, {"adapter": ADAPTER})
    assert shown == {"network": True, "on_vlan": 77, "adapter": ADAPTER, "open": True, "at": "", "via": ""}
    bench.run(AT, "management.deselect", {"open": True}, {"open": False})
    bench.run(AT, "management.close_adapter", {"adapter": ADAPTER}, {"adapter": ""})
    bench.run(AT, "management.close_network", {"network": True}, {"network": False})
    assert bench.house.dump() == dump


def test_without_a_second_path_the_host_takes_a_new_address_back(bench: Bench) -> None:
    dump = bench.house.dump()
    with pytest.raises(StepFailed, match="HostConfigFault") as failed:
        bench.run(AT, "management.update", LEASED, MOVED)
    assert "NetworkDisruptedAndConfigRolledBack" in failed.value.detail
    assert "took the change back" in failed.value.remedy
    assert not failed.value.in_doubt
    assert bench.house.dump() == dump


def test_a_vlan_that_the_site_does_not_carry_is_taken_back(bench: Bench) -> None:
    bench.house.box(MAC).vlans = [0, 20]
    dump = bench.house.dump()
    bench.run(AT, "management.update", {"vlan": 0}, {"vlan": 20})
    bench.run(AT, "management.update", {"vlan": 20}, {"vlan": 0})
    assert bench.house.dump() == dump
    with pytest.raises(StepFailed, match="HostConfigFault"):
        bench.run(AT, "management.update", {"vlan": 0}, {"vlan": 77})
    assert bench.house.dump() == dump


def test_a_new_address_that_does_not_answer_cuts_nothing(bench: Bench) -> None:
    bench.house.box(MAC).vlans = [0]
    opened(bench)
    before: dict[str, Any] = {"connected": True, "at": ""}
    with pytest.raises(StepFailed, match="does not answer") as failed:
        bench.run(AT, "management.disconnect", before, {"connected": False, "at": ""}, seconds=0.1)
    assert "VLAN" in failed.value.remedy
    assert bench.house.calls[-1].method == "HostVirtualNicManager.SelectVnicForNicType"
    assert bench.observe(AT, "management.disconnect", before)["connected"] is True  # type: ignore[index]


def test_a_name_that_leads_to_the_old_address_stops_it(bench: Bench) -> None:
    bench.house.contact.follows = False
    opened(bench)
    with pytest.raises(StepFailed, match="does not lead to its new address") as failed:
        bench.run(AT, "management.disconnect", {"connected": True, "at": ""}, {"connected": False, "at": ""})
    assert failed.value.remedy == f"change the DNS record of {NAME} to 10.77.0.5, then `fleet resume`"


def test_who_else_disconnects_the_only_path_is_refused(bench: Bench) -> None:
    with pytest.raises(StepFailed, match="no second path"):
        bench.run(AT, "management.disconnect", {"connected": True, "at": ""}, {"connected": False, "at": ""})


def test_the_guards_of_a_newborn(bench: Bench) -> None:
    leased = bench.house.machine(MAC).ip
    for at, moves in ((leased, False), ("10.77.0.5", True)):
        call = bench.call(AT, "management.open_network", None, {"network": True, "at": at})
        assert bench.session.guard("moves", call) is moves
    assert bench.session.guard("beside", call) is False
    opened(bench)
    assert bench.session.guard("beside", call) is True


def test_a_static_address_that_is_the_lease_needs_no_second_path(bench: Bench) -> None:
    leased = bench.house.machine(MAC).ip
    dump = bench.house.dump()
    wanted: dict[str, Any] = {"ip": leased, "netmask": "255.128.0.0"}
    bench.run(AT, "management.update", {"ip": "", "netmask": ""}, wanted)
    found = bench.observe(AT, "management.update")
    assert found == {"dhcp": False, **wanted, "gateway": "10.128.0.1", "vlan": 0}  # the lease's gateway stays
    bench.run(AT, "management.update", wanted, {"ip": "", "netmask": ""})
    assert bench.house.dump() == dump


@pytest.mark.parametrize("after", [True, False], ids=["it came back changed", "it came back as it was"])
def test_vcenter_loses_the_host_on_the_way(bench: Bench, after: bool) -> None:
    rule = {"kind": "fault", "method": "*.UpdateNetworkConfig", "fault": "vmodl.fault.HostCommunication",
            "after": after}
    bench.house.faults.add(rule)
    if after:
        bench.run(AT, "management.update", {"vlan": 0}, {"vlan": 5})
    else:
        with pytest.raises(StepFailed, match="took the change of its management network back") as failed:
            bench.run(AT, "management.update", {"vlan": 0}, {"vlan": 5})
        assert not failed.value.in_doubt
    assert bench.observe(AT, "management.update")["vlan"] == (5 if after else 0)  # type: ignore[index]


# --- whole applies ------------------------------------------------------------------------------------------


@pytest.fixture
def lab() -> Iterator[Opened]:
    """FIRST applied; its host is to get another address now."""
    with quick_folder() as folder:
        here = Lab(folder)
        first = here.open(fleet(FIRST))
        plan = first.plan()
        assert apply(first.engine(), plan, images=dict(plan.image_digests)).exit_code == 0
        yield here.open(fleet({**FIRST, f"{HOSTS}.management": MOVED}))


def test_every_step_that_may_cut_says_so(lab: Opened) -> None:
    steps = [s for s in lab.plan().steps if s.address.rtype == "management"]
    assert [s.operation.partition(".")[2] for s in steps] == [
        "open_network", "open_adapter", "select", "disconnect", "reconnect", "update", "deselect", "close_adapter",
        "close_network"]
    (update,) = (s for s in steps if s.operation == "management.update")
    assert update.disruptive.startswith("may cut management: vmk0's ip becomes 10.77.0.5")
    assert update.inverse is not None
    assert "what DHCP brings" in update.inverse.disruptive


@pytest.mark.parametrize("ending", ["resume", "rollback"])
def test_the_server_rolls_back_and_the_apply_recovers(lab: Opened, ending: str) -> None:
    """The step failed, live is unchanged, the reason has a name; once its cause is gone the run goes on, or back."""
    before = lab.dump()
    plan = lab.plan()
    lab.house.faults.add({"kind": "fault", "method": "*.UpdateNetworkConfig", "fault": "vim.fault.HostConfigFault"})
    outcome = apply(lab.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 3
    assert [(s.operation, str(e)) for s, e, _ in outcome.failures if "HostConfigFault" in str(e)]
    vmk0 = lab.dump()["hosts"]["esx01.lab.example"]["config"]["vnics"]["vmk0"]
    assert vmk0 == before["hosts"]["esx01.lab.example"]["config"]["vnics"]["vmk0"]
    outcome = (resume if ending == "resume" else rollback)(lab.engine())
    assert outcome.exit_code == 0, outcome
    if ending == "rollback":
        assert lab.dump() == before
    else:
        assert lab.plan().empty
        assert lab.house.inventory.host_named("esx01.lab.example").ip == "10.77.0.5"


def test_nothing_but_the_plan_is_left_of_it(lab: Opened) -> None:
    plan = lab.plan()
    assert apply(lab.engine(), plan, images=dict(plan.image_digests)).exit_code == 0
    host = lab.dump()["hosts"]["esx01.lab.example"]["config"]
    assert "fleet management" not in host["portgroups"]
    assert set(host["vnics"]) == {"vmk0", "vmk1"}
    resource = lab.store.read().resources[Address.parse(f"{HOSTS}.management")]
    assert resource.attributes == MOVED
    assert resource.facts == {}
