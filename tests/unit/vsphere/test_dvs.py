"""Distributed switches, their port groups and hosts against the twin: one call forward, one back to the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from planner.model import Action, Attrs, Change, Step, StepFailed
from providers.twin.house import House
from providers.vsphere import provider
from providers.vsphere.privileges import needed
from tests.unit.vsphere.kit import HOST, MAC, NAME, OPERATIONS, Bench, at, open_bench
from tests.unit.vsphere.test_operations import shows

SWITCH, GROUP, MEMBER = "distributed_switch.prod", "distributed_portgroup.mgmt", f"{HOST}.dvs.prod"
MORE: dict[str, dict[str, Any]] = {
    SWITCH: {"datacenter": "datacenter.dc0"}, GROUP: {"switch": SWITCH}, MEMBER: {"switch": SWITCH},
    "folder.nets": {"datacenter": "datacenter.dc0", "kind": "network"},
    "distributed_switch.inner": {"folder": "folder.nets"},
}
CREATED: dict[str, Any] = {"datacenter": "datacenter.dc0", "mtu": 9000, "uplinks": ["up1", "up2"],
                           "discovery": {"protocol": "lldp", "operation": "both"}, "version": "8.0.0",
                           "contact": {"name": "Net", "details": "net@lab.example"}, "description": "of the lab"}
LAG: dict[str, Any] = {"name": "lag1", "mode": "active", "uplinks": 2, "load_balancing": "srcDestIp"}


def prepared() -> Bench:
    bench = open_bench(MORE)
    bench.joined()
    bench.run(SWITCH, "distributed_switch.create", None, CREATED)
    bench.run(GROUP, "distributed_portgroup.create", None, {"switch": SWITCH, "vlan": 20, "binding": "static"})
    return bench


@pytest.fixture(scope="module", params=["objects", "xml"])
def lab(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A host in its cluster, a switch, a port group. In-process answers as objects, and through real XML."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "xml":
            for door in ("stub", "door"):
                patch.setattr(House, door, partialmethod(getattr(House, door), codec=True))
        yield prepared()


CHANGES: list[tuple[str, str, Attrs | None, Attrs | None]] = [
    (SWITCH, "distributed_switch.update", {"mtu": 9000, "uplinks": ["up1", "up2"]},
     {"mtu": 1500, "uplinks": ["up1", "up2", "up3"]}),
    (SWITCH, "distributed_switch.update", {"discovery": {"operation": "both"}, "contact": {"name": "Net"}},
     {"discovery": {"operation": "none"}, "contact": {"name": "Ops"}}),
    (SWITCH, "distributed_switch.update", {"description": "of the lab"}, {"description": ""}),
    (SWITCH, "distributed_switch.network_io_control", {"network_io_control": False}, {"network_io_control": True}),
    (SWITCH, "distributed_switch.lags", {"lags": []}, {"lags": [LAG, {**LAG, "name": "lag2"}]}),
    (SWITCH, "distributed_switch.rename", {"name": "prod"}, {"name": "prod 100%/a"}),
    ("folder.nets", "folder.create", None, {"name": "nets", "datacenter": "datacenter.dc0", "kind": "network"}),
    ("distributed_portgroup.mgmt", "distributed_portgroup.rename", {"name": "mgmt"}, {"name": "mgmt/2"}),
    (GROUP, "distributed_portgroup.update", {"vlan": 20}, {"vlan": "10,100-200"}),
    (GROUP, "distributed_portgroup.update", {"vlan": 20, "description": "", "ports": 0, "expand": True},
     {"vlan": "inherit", "description": "x", "ports": 16, "expand": False}),
    (GROUP, "distributed_portgroup.update", {"binding": "static"}, {"binding": "ephemeral"}),
    (GROUP, "distributed_portgroup.update",
     {"teaming": {"policy": "inherit", "active": ["inherit"], "standby": ["inherit"], "failback": "inherit",
                  "notify": "inherit", "check_beacon": "inherit"}},
     {"teaming": {"policy": "failover_explicit", "active": ["up2"], "standby": ["up1"], "failback": False,
                  "notify": False, "check_beacon": True}}),
    (GROUP, "distributed_portgroup.update", {"security": {"promiscuous": "inherit", "mac_changes": "inherit"}},
     {"security": {"promiscuous": True, "mac_changes": False}}),
    (GROUP, "distributed_portgroup.update", {"shaping": {"inbound": {"enabled": "inherit", "average": "inherit"}}},
     {"shaping": {"inbound": {"enabled": True, "average": 5_000_000}}}),
    (MEMBER, "dvs.join", None, {"switch": SWITCH}),
]


@pytest.mark.parametrize(("address", "name", "before", "after"), CHANGES,
                         ids=[f"{number}-{c[1]}" for number, c in enumerate(CHANGES)])
def test_one_call_forward_and_one_back_to_the_same(lab: Bench, address: str, name: str, before: Attrs | None,
                                                   after: Attrs | None) -> None:
    operation = OPERATIONS[name]
    inverse = OPERATIONS[operation.inverse]
    dump = lab.house.dump()
    assert shows(lab.observe(address, name, before, after), before)

    assert lab.made(lambda: lab.run(address, name, before, after)) == [operation.call]
    assert shows(lab.observe(address, name, before, after), after)
    assert lab.house.dump() != dump

    assert lab.made(lambda: lab.run(address, inverse.name, after, before)) == [inverse.call]
    assert lab.house.dump() == dump


def test_what_was_asked_for_was_created(lab: Bench) -> None:
    found = lab.snapshot().objects
    assert shows(found[at(SWITCH)].attributes, CREATED)
    assert found[at(SWITCH)].attributes["stale"] == []
    assert shows(found[at(GROUP)].attributes, {"switch": SWITCH, "vlan": 20, "name": "mgmt"})
    assert not [each for each in lab.snapshot().unmanaged if "DVUplinks" in str(each)]


def test_a_switch_in_a_folder() -> None:
    bench = prepared()
    bench.run("folder.nets", "folder.create", None, {"name": "nets", "datacenter": "datacenter.dc0", "kind": "network"})
    bench.run("distributed_switch.inner", "distributed_switch.create", None, {"folder": "folder.nets"})
    assert bench.snapshot().objects[at("distributed_switch.inner")].attributes["folder"] == "folder.nets"
    with pytest.raises(StepFailed, match="not empty"):
        bench.run("folder.nets", "folder.destroy", {}, None)


# --- hosts ------------------------------------------------------------------------------------------------------


VMK = f"{HOST}.vmkernel.vmk0"
STANDARD = {"portgroup": "Management Network"}
DISTRIBUTED = {"portgroup": GROUP}


def test_management_moves_uplink_by_uplink_and_back() -> None:
    bench = prepared()
    dump = bench.house.dump()
    steps: list[tuple[str, str, Attrs | None, Attrs | None]] = [
        (MEMBER, "dvs.join", None, {"switch": SWITCH}),
        (MEMBER, "dvs.uplinks", {"uplinks": []}, {"uplinks": ["vmnic1"]}),
        (VMK, "vmkernel.migrate", STANDARD, DISTRIBUTED),
        (f"{HOST}.vswitch.vSwitch0", "vswitch.update", {"uplinks": ["vmnic0"]}, {"uplinks": []}),
        (MEMBER, "dvs.uplinks", {"uplinks": ["vmnic1"]}, {"uplinks": ["vmnic0", "vmnic1"]}),
    ]
    for address, name, before, after in steps:
        assert shows(bench.observe(address, name, before, after), before)
        assert bench.made(lambda a=address, n=name, b=before, c=after: bench.run(a, n, b, c)) == [  # type: ignore[misc]
            OPERATIONS[name].call]
        assert shows(bench.observe(address, name, before, after), after)
    found = bench.snapshot()
    assert shows(found.objects[at(VMK)].attributes, DISTRIBUTED)
    assert found.hosts[at(HOST)].switches == (SWITCH,)
    for address, name, before, after in reversed(steps):
        bench.run(address, OPERATIONS[name].inverse, after, before)
    assert bench.house.dump() == dump


def test_the_last_uplink_of_management_is_not_given_up() -> None:
    bench = prepared()
    bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH})
    bench.run(MEMBER, "dvs.uplinks", {"uplinks": []}, {"uplinks": ["vmnic1"]})
    bench.run(VMK, "vmkernel.migrate", STANDARD, DISTRIBUTED)
    dump = bench.house.dump()
    with pytest.raises(StepFailed, match="NetworkDisruptedAndConfigRolledBack"):
        bench.run(MEMBER, "dvs.uplinks", {"uplinks": ["vmnic1"]}, {"uplinks": []})
    with pytest.raises(StepFailed, match="vmk0"):
        bench.run(MEMBER, "dvs.leave", {"switch": SWITCH}, None)
    with pytest.raises(StepFailed, match="in use by"):
        bench.run(GROUP, "distributed_portgroup.destroy", {}, None)
    with pytest.raises(StepFailed, match="not empty"):
        bench.run(SWITCH, "distributed_switch.destroy", {}, None)
    assert bench.house.dump() == dump


def test_an_adapter_is_made_on_a_distributed_port_group() -> None:
    bench = prepared()
    bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH})
    dump = bench.house.dump()
    made: dict[str, Any] = {"portgroup": GROUP, "dhcp": False, "ip": "10.0.20.11", "netmask": "255.255.255.0",
                            "mtu": 1500}
    address = f"{HOST}.vmkernel.vmk1"
    assert bench.made(lambda: bench.run(address, "vmkernel.add", None, made)) == ["HostNetworkSystem.AddVirtualNic"]
    assert shows(bench.observe(address, "vmkernel.add", None, made), made)
    bench.run(address, "vmkernel.update", {"mtu": 1500}, {"mtu": 9000})  # it stays where it is
    assert shows(bench.observe(address, "vmkernel.update"), {**made, "mtu": 9000})
    bench.run(address, "vmkernel.remove", made, None)
    assert bench.house.dump() == dump


def test_nics_on_a_lag_and_back_on_uplinks() -> None:
    bench = prepared()
    bench.run(SWITCH, "distributed_switch.lags", {"lags": []}, {"lags": [LAG]})
    bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH})
    bench.run(MEMBER, "dvs.uplinks", {"uplinks": []}, {"uplinks": ["vmnic1", "vmnic2"]})
    bench.run(MEMBER, "dvs.uplinks", {"lag": ""}, {"lag": "lag1"})
    assert shows(bench.observe(MEMBER, "dvs.uplinks"), {"uplinks": ["vmnic1", "vmnic2"], "lag": "lag1"})
    with pytest.raises(StepFailed, match="lag1"):
        bench.run(SWITCH, "distributed_switch.lags", {"lags": [LAG]}, {"lags": []})
    bench.run(MEMBER, "dvs.uplinks", {"lag": "lag1"}, {"lag": ""})
    assert shows(bench.observe(MEMBER, "dvs.uplinks"), {"uplinks": ["vmnic1", "vmnic2"], "lag": ""})
    with pytest.raises(StepFailed, match="no such LAG"):
        bench.run(MEMBER, "dvs.uplinks", {"lag": ""}, {"lag": "lag7"})
    with pytest.raises(StepFailed, match="no uplink of the switch is free"):
        bench.run(MEMBER, "dvs.uplinks", {"uplinks": ["vmnic1", "vmnic2"]},
                  {"uplinks": ["vmnic1", "vmnic2", "vmnic3"]})


def test_what_somebody_changed_meanwhile_is_refused_and_may_be_repeated() -> None:
    bench = prepared()
    bench.house.faults.add(kind="fault", method="*.ReconfigureDvs_Task", fault="vim.fault.ConcurrentAccess", times=1)
    with pytest.raises(StepFailed, match="ConcurrentAccess") as caught:
        bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH})
    assert (caught.value.retry, caught.value.in_doubt) == (True, False)
    assert "nothing was done" in caught.value.remedy
    bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH})


def test_an_upgrade_is_for_good() -> None:
    bench = prepared()
    before = {"version": "8.0.0"}
    assert bench.made(lambda: bench.run(SWITCH, "distributed_switch.upgrade", before, {"version": "8.0.3"})) == [
        "VmwareDistributedVirtualSwitch.PerformDvsProductSpecOperation_Task"]
    assert shows(bench.observe(SWITCH, "distributed_switch.upgrade"), {"version": "8.0.3"})
    with pytest.raises(StepFailed, match="cannot be upgraded"):
        bench.run(SWITCH, "distributed_switch.upgrade", {"version": "8.0.3"}, before)


# --- what is left behind ----------------------------------------------------------------------------------------


GONE = """
datacenters: [dc0]
clusters: {dc0/prod: {}}
hosts:
  gone.test: {mac: 52:54:00:01:00:09, cluster: dc0/prod, state: gone}
  lost.test: {mac: 52:54:00:01:00:08, cluster: dc0/prod, state: gone}
  away.test: {mac: 52:54:00:01:00:07, cluster: dc0/prod, state: disconnected}
switches:
  dc0/prod: {hosts: {gone.test: [vmnic1], lost.test: [vmnic1], away.test: [vmnic1]}}
"""


def test_members_that_are_gone_are_named_and_leave_one_by_one(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(GONE)
    bench = open_bench({SWITCH: {"datacenter": "datacenter.dc0", "stale": []}}, seed=str(seed))
    assert bench.snapshot().objects[at(SWITCH)].attributes["stale"] == ["gone.test", "lost.test"]
    before: Attrs = {"stale": ["gone.test", "lost.test"]}
    after: Attrs = {"stale": ["lost.test"]}
    assert bench.made(lambda: bench.run(SWITCH, "distributed_switch.clean", before, after)) == [
        "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task"]
    assert shows(bench.observe(SWITCH, "distributed_switch.clean"), after)
    with pytest.raises(StepFailed, match="no stale member"):
        bench.run(SWITCH, "distributed_switch.clean", {"stale": ["away.test"]}, {"stale": []})


def test_a_host_that_the_fleet_declares_is_not_stale_but_comes_back(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(GONE.replace("gone.test", NAME).replace("52:54:00:01:00:09", MAC))
    bench = open_bench({SWITCH: {"datacenter": "datacenter.dc0"}}, seed=str(seed))
    found = bench.snapshot()
    assert found.objects[at(SWITCH)].attributes["stale"] == ["lost.test"]
    assert found.hosts[at(HOST)].switches == (SWITCH,)
    member: tuple[Attrs, Attrs] = {"member_of": SWITCH}, {"member_of": ""}
    assert bench.observe(HOST, "host.leave_switch", *member) == {"member_of": SWITCH}
    bench.run(HOST, "host.leave_switch", *member)
    assert bench.observe(HOST, "host.leave_switch", *member) == {"member_of": ""}


def test_two_steps_of_one_switch_take_turns() -> None:
    """The second one reads the configuration's version when the first one has ended: none is refused."""
    bench = prepared()
    bench.house.faults.add(kind="latency", method="*.ReconfigureDvs_Task", seconds=0.3, times=1)
    told: list[str] = []
    begun = threading.Event()

    def join() -> None:
        begun.set()
        bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH})

    first = threading.Thread(target=join)
    first.start()
    begun.wait()
    call = replace(bench.call(SWITCH, "distributed_switch.update", {"mtu": 9000}, {"mtu": 1500}), report=told.append)
    deadline = time.monotonic() + 10
    while not bench.session._turns._locks and time.monotonic() < deadline:
        time.sleep(0.005)
    bench.session.run(OPERATIONS["distributed_switch.update"], call)
    first.join()
    assert told == ["waiting: another host's step changes the same distributed switch"]
    assert shows(bench.observe(SWITCH, "distributed_switch.update"), {"mtu": 1500})
    assert shows(bench.observe(MEMBER, "dvs.join"), {"switch": SWITCH})


def test_who_waits_too_long_for_a_turn_has_done_nothing() -> None:
    bench = prepared()
    switch = bench.session.entity(SWITCH, bench.call(SWITCH, "distributed_switch.update"))
    with bench.session.turn(switch, bench.call(SWITCH, "distributed_switch.update")), \
            pytest.raises(StepFailed, match="its turn did not come") as caught:
        bench.run(MEMBER, "dvs.join", None, {"switch": SWITCH}, seconds=0.1)
    assert (caught.value.retry, caught.value.in_doubt) == (True, False)


def test_privileges_of_a_switch_are_asked_at_the_switch() -> None:
    bench = prepared()
    bench.snapshot()
    step = Step("s1", at(MEMBER), "dvs.uplinks", {"uplinks": []}, {"uplinks": ["vmnic1"]}, (), "", None, "", "")
    found = needed([step], bench.session._resolver.labels.value)
    assert found == {at(HOST): {"Host.Config.Network"}, at(SWITCH): {"DVSwitch.HostOp"}}


# --- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "attributes", "words"), [
    ("distributed_switch", {}, "in a `datacenter` or in a `folder`"),
    ("distributed_switch", {"datacenter": "x", "uplinks": []}, "1 to 32"),
    ("distributed_switch", {"datacenter": "x", "stale": ["a"]}, "only `[]`"),
    ("distributed_switch", {"datacenter": "x", "lags": [{"name": "b"}, {"name": "a"}]}, "rising order"),
    ("distributed_switch", {"datacenter": "x", "uplinks": ["a"], "lags": [{"name": "a"}]}, "one name"),
    ("distributed_portgroup", {"vlan": 4095}, "0 to 4094"),
    ("distributed_portgroup", {"vlan": "20-10"}, "rising order"),
    ("distributed_portgroup", {"vlan": "10-20,15"}, "rising order"),
    ("distributed_portgroup", {"vlan": "10-10"}, "rising order"),
    ("distributed_portgroup", {"vlan": "private:7"}, "private VLANs"),
    ("distributed_portgroup", {"binding": "ephemeral", "ports": 8}, "no fixed ports"),
    ("distributed_portgroup", {"expand": False}, "no port at all"),
    ("distributed_portgroup", {"security": {"promiscuous": "yes"}}, "true, false or inherit"),
    ("distributed_portgroup", {"teaming": {"standby": ["a"]}}, "without teaming.active"),
    ("distributed_portgroup", {"teaming": {"active": ["a"], "standby": ["a"]}}, "active and standby"),
    ("distributed_portgroup", {"teaming": {"active": ["inherit", "a"]}}, "or a list"),
    ("distributed_portgroup", {"shaping": {"inbound": {"average": 0}}}, "from 1"),
    ("distributed_portgroup", {"shaping": {"outbound": {"average": 9, "peak": 8}}}, "below its average"),
    ("dvs", {"uplinks": [], "lag": "lag1"}, "name the NICs"),
])
def test_what_does_not_fit_together_is_said(kind: str, attributes: Attrs, words: str) -> None:
    rtype = next(t for t in provider.types() if t.name == kind)
    assert rtype.validate is not None
    assert [each for each in rtype.validate(attributes) if words in each]


@pytest.mark.parametrize("vlan", [0, 4094, "inherit", "10", "10,20-30", "0-4094"])
def test_vlans_that_fit(vlan: Any) -> None:
    rtype = next(t for t in provider.types() if t.name == "distributed_portgroup")
    assert rtype.validate is not None
    assert not list(rtype.validate({"vlan": vlan}))


def test_a_version_is_not_lowered() -> None:
    rtype = next(t for t in provider.types() if t.name == "distributed_switch")
    assert rtype.check is not None
    up, down = (Change(at(SWITCH), Action.UPDATE, {"version": old}, {"version": new})
                for old, new in (("7.0.3", "8.0.0"), ("8.0.0", "7.0.3")))
    assert not list(rtype.check([up], {}))
    assert [d.severity for d in rtype.check([down], {})] == ["error"]
