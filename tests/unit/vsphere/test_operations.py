"""Every operation against the twin: exactly one mutating call, the one that the review names, and exact inverses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partialmethod
from typing import Any

import pytest

from planner.model import Attrs, ReadFailed, SecretRef, StepFailed
from providers.twin.house import House
from tests.unit.vsphere.kit import HOST, MAC, NAME, OPERATIONS, Bench, at, open_bench

NFS: dict[str, Any] = {"server": "nas.lab.example", "path": "/export/a", "version": "4.1", "access": "readOnly"}
VMK: dict[str, Any] = {"portgroup": "VM Network", "dhcp": False, "ip": "10.0.20.11", "netmask": "255.255.255.0",
                       "mtu": 1400}
ON = f"{HOST}."

CHANGES: list[tuple[str, str, Attrs | None, Attrs | None]] = [
    ("datacenter.dc0", "datacenter.rename", {"name": "dc0"}, {"name": "dc 100%/a"}),
    ("cluster.prod", "cluster.update", {"drs": {"enabled": False, "automation": "fullyAutomated"},
                                        "ha": {"enabled": False, "admission_control": True}},
     {"drs": {"enabled": True, "automation": "manual"}, "ha": {"enabled": True, "admission_control": False}}),
    ("cluster.prod", "cluster.rename", {"name": "prod"}, {"name": "prod2"}),
    (HOST, "host.exit_maintenance", {"in_maintenance": True}, {"in_maintenance": False}),
    (HOST, "host.move", {"cluster": "cluster.prod"}, {"cluster": "cluster.other"}),
    (ON + "vswitch.vSwitch1", "vswitch.add", None, {"uplinks": ["vmnic1", "vmnic2"], "mtu": 9000, "ports": 256}),
    (ON + "vswitch.vSwitch0", "vswitch.update", {"uplinks": ["vmnic0"], "mtu": 1500},
     {"uplinks": ["vmnic0", "vmnic1"], "mtu": 9000}),
    (ON + "portgroup.vMotion", "portgroup.add", None, {"vswitch": "vSwitch0", "vlan": 20}),
    (ON + 'portgroup["VM Network"]', "portgroup.update", {"vlan": 0}, {"vlan": 4095}),
    (ON + "vmkernel.vmk1", "vmkernel.add", None, VMK),
    (ON + "vmkernel.vmk0", "vmkernel.update", {"mtu": 1500}, {"mtu": 1300}),
    (ON + "vmkernel.vmk0", "vmkernel.select", {"services": ["management"]}, {"services": ["management", "vmotion"]}),
    (ON + "nfs.a", "nfs.mount", None, NFS),
    (ON + "dns", "dns.update", {"dhcp": True, "servers": [], "domain": "", "search": []},
     {"dhcp": False, "servers": ["10.0.0.53"], "domain": "lab.example", "search": ["lab.example"]}),
    (ON + "ntp", "ntp.servers", {"servers": []}, {"servers": ["10.0.0.1", "10.0.0.2"]}),
    (ON + "ntp", "ntp.policy", {"policy": "off"}, {"policy": "on"}),
    (ON + "ntp", "ntp.start", {"running": False}, {"running": True}),
    (ON + "syslog", "syslog.targets", {"targets": []}, {"targets": ["udp://10.0.0.9:514", "tcp://10.0.0.9:1514"]}),
    (ON + "syslog", "syslog.open", {"firewall": False}, {"firewall": True}),
    (ON + 'service["TSM-SSH"]', "service.policy", {"policy": "off"}, {"policy": "automatic"}),
    (ON + 'service["TSM-SSH"]', "service.start", {"running": False}, {"running": True}),
    (ON + 'option["UserVars.SuppressShellWarning"]', "option.set", {"value": 0}, {"value": 1}),
]


@pytest.fixture(scope="module", params=["objects", "xml"])
def joined(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """In-process answers as objects, and every call through real XML both ways."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "xml":
            for door in ("stub", "door"):
                patch.setattr(House, door, partialmethod(getattr(House, door), codec=True))
        bench = open_bench()
        bench.joined()
        yield bench


def shows(found: Attrs | None, expected: Attrs | None) -> bool:
    """Whether what was observed holds what was expected, nested maps by the expected keys."""
    if expected is None or found is None:
        return expected is None and found is None
    return all(shows(found[k], v) if isinstance(v, dict) else found[k] == v  # type: ignore[arg-type]
               for k, v in expected.items())


@pytest.mark.parametrize(("address", "name", "before", "after"), CHANGES, ids=[f"{c[1]}" for c in CHANGES])
def test_one_call_forward_and_one_back_to_the_same(joined: Bench, address: str, name: str, before: Attrs | None,
                                                   after: Attrs | None) -> None:
    operation = OPERATIONS[name]
    inverse = OPERATIONS[operation.inverse]
    dump = joined.house.dump()
    assert shows(joined.observe(address, name, before, after), before)

    made = joined.made(lambda: joined.run(address, name, before, after))
    assert made == [operation.call]
    assert shows(joined.observe(address, name, before, after), after)
    assert joined.house.dump() != dump

    made = joined.made(lambda: joined.run(address, inverse.name, after, before))
    assert made == [inverse.call]
    assert joined.house.dump() == dump


def test_row_0_at_the_hosts_own_door() -> None:
    bench = open_bench()
    bench.containers()
    bench.born()
    assert bench.observe(HOST, "door.set_password") == {"password": "initial"}
    assert bench.observe(HOST, "door.enter_maintenance") == {"door_maintenance": False}
    assert bench.made(bench.door) == [OPERATIONS[o].call for o in ("door.enter_maintenance", "door.set_password")]
    assert bench.observe(HOST, "door.set_password") == {"password": "set"}
    assert bench.observe(HOST, "door.exit_maintenance") == {"door_maintenance": True}
    bench.run(HOST, "door.exit_maintenance")
    assert bench.observe(HOST, "door.exit_maintenance") == {"door_maintenance": False}


def test_a_door_with_another_certificate_is_not_logged_in_to() -> None:
    bench = open_bench()
    bench.born()
    known = bench.facts["certificate"]
    bench.born()  # another boot, another certificate
    bench.facts["certificate"] = known
    with pytest.raises(StepFailed, match="another certificate"):
        bench.run(HOST, "door.set_password")
    with pytest.raises(ReadFailed, match="another certificate"):
        bench.observe(HOST, "door.set_password")


def test_a_door_that_takes_neither_password_says_so() -> None:
    bench = open_bench()
    bench.born()
    bench.run(HOST, "door.set_password")
    bench.session.house.faults.add(kind="fault", method="*.Login", fault="vim.fault.InvalidLogin", times=0)
    with pytest.raises(StepFailed, match="cannot log in") as caught:
        bench.run(HOST, "door.enter_maintenance")
    assert "Lasting" not in str(caught.value)


def test_no_birth_no_add() -> None:
    bench = open_bench()
    bench.containers()
    with pytest.raises(StepFailed, match="no birth"):
        bench.run(HOST, "host.add", None, {"name": NAME, "mac": MAC, "cluster": "cluster.prod"})
    assert len(bench.house.calls) == 3


def test_add_by_another_certificate_than_the_births_fails() -> None:
    bench = open_bench()
    bench.containers()
    bench.born()
    bench.door()
    known = bench.facts["certificate"]
    bench.born()
    bench.facts["certificate"] = known
    with pytest.raises(StepFailed, match="SSLVerifyFault") as caught:
        bench.run(HOST, "host.add", None, {"name": NAME, "mac": MAC, "cluster": "cluster.prod"})
    assert not caught.value.in_doubt


def test_add_needs_the_password_as_a_reference() -> None:
    bench = open_bench()
    bench.containers()
    bench.born()
    bench.door()
    declared: dict[str, Any] = {"name": NAME, "mac": MAC, "cluster": "cluster.prod", "root_password": None}
    with pytest.raises(StepFailed, match="no root password"):
        bench.run(HOST, "host.add", None, declared, declared=declared)
    declared["root_password"] = SecretRef("env:OTHER")
    assert bench.run(HOST, "host.add", None, declared, declared=declared)["id"].startswith("host-")


def test_removed_and_added_again_by_what_is_recorded() -> None:
    """The inverse of a removal knows only what was recorded; the host gets a new MoRef and is found all the same."""
    bench = open_bench()
    bench.joined()
    before = bench.observe(HOST, "host.remove")
    old = bench.ids[at(HOST)]
    assert bench.made(lambda: bench.run(HOST, "host.remove", {"name": NAME}, None)) == ["HostSystem.Destroy_Task"]
    assert bench.observe(HOST, "host.remove") is None  # the hint is of an object that is gone
    made = bench.made(lambda: bench.run(HOST, "host.add", None, {"name": NAME, "mac": MAC, "cluster": "cluster.prod"}))
    assert made == ["ClusterComputeResource.AddHost_Task"]
    assert bench.ids[at(HOST)] != old
    again = bench.observe(HOST, "host.remove")
    assert before is not None
    assert again is not None
    assert {**again, "id": ""} == {**before, "id": ""}


def test_a_stale_hint_is_looked_up_again_by_identity() -> None:
    bench = open_bench()
    bench.joined()
    bench.session.forget(at(HOST))
    bench.ids[at(HOST)] = "host-9999"
    found = bench.observe(HOST, "host.enter_maintenance")
    assert found == {"in_maintenance": True}


def test_a_host_is_removed_only_in_maintenance() -> None:
    bench = open_bench()
    bench.joined()
    bench.run(HOST, "host.exit_maintenance")
    with pytest.raises(StepFailed, match="only in maintenance"):
        bench.run(HOST, "host.remove")
    with pytest.raises(StepFailed, match="answers again"):
        bench.run(HOST, "host.remove_dead")
    assert bench.house.calls[-1].method == "HostSystem.ExitMaintenanceMode_Task"


def test_containers_with_something_in_them_are_not_destroyed() -> None:
    bench = open_bench({"folder.edge": {"datacenter": "datacenter.dc0", "kind": "host"},
                        "cluster.far": {"folder": "folder.edge"}})
    bench.joined()
    bench.run("folder.edge", "folder.create", None, {"name": "edge", "datacenter": "datacenter.dc0", "kind": "host"})
    bench.run("cluster.far", "cluster.create", None, {"name": "far", "folder": "folder.edge"})
    count = len(bench.house.calls)
    for address, inside in (("cluster.prod", NAME), ("folder.edge", "far"), ("datacenter.dc0", "other")):
        with pytest.raises(StepFailed, match="not empty") as caught:
            bench.run(address, f"{at(address).type}.destroy")
        assert inside in caught.value.detail
    assert len(bench.house.calls) == count


def test_a_reborn_host_is_reconnected() -> None:
    bench = open_bench()
    bench.joined()
    bench.house.power(MAC, "cycle")
    assert bench.session.guard("not-connected", bench.call(HOST, "host.reconnect"))
    bench.born()
    bench.door()
    assert bench.observe(HOST, "host.reconnect") == {"connection": "notResponding"}
    old = bench.facts["boot_time"]
    made = bench.made(lambda: bench.run(HOST, "host.reconnect"))
    assert made == ["HostSystem.ReconnectHost_Task"]
    assert bench.facts["boot_time"] > old
    assert not bench.session.guard("not-connected", bench.call(HOST, "host.reconnect"))


def test_another_machine_is_not_reconnected_as_the_known_one() -> None:
    bench = open_bench()
    bench.joined()
    bench.house.power(MAC, "cycle")
    bench.born()
    bench.facts["uuid"] = "00000000-0000-0000-0000-000000000001"
    with pytest.raises(StepFailed, match="another machine") as caught:
        bench.run(HOST, "host.reconnect")
    assert "--replace" in caught.value.remedy


def test_shown_connected_is_disconnected_first() -> None:
    """vCenter notices late: it shows the old boot as connected."""
    bench = open_bench()
    bench.joined()
    bench.house.contact.late = True
    bench.house.power(MAC, "cycle")
    bench.born()
    bench.door()
    assert bench.session.guard("shown-connected", bench.call(HOST, "host.disconnect"))
    bench.run(HOST, "host.disconnect")
    assert bench.observe(HOST, "host.disconnect") == {"connection": "disconnected"}
    assert bench.session.guard("not-connected", bench.call(HOST, "host.reconnect"))
    facts = bench.run(HOST, "host.reconnect")
    assert bench.observe(HOST, "host.reconnect") == {"connection": "connected", **facts}


def test_unrecognized_host_offers_the_replacement_and_names_what_it_costs() -> None:
    bench = open_bench()
    bench.joined()
    bench.house.power(MAC, "cycle")
    bench.born()
    bench.door()
    task = {"kind": "task_fault", "method": "*.ReconnectHost_Task", "fault": "vim.fault.HostConnectFault"}
    bench.house.faults.add(task)
    with pytest.raises(StepFailed, match="HostConnectFault"):
        bench.run(HOST, "host.reconnect")
    from providers.vsphere.host.operations import unrecognized

    call = bench.call(HOST, "host.reconnect")
    failed = unrecognized(bench.session, call, bench.session.host(call))
    assert f"--replace '{HOST}'" in failed.remedy
    assert "statistics" in failed.detail


def test_a_dead_host_is_removed_for_good() -> None:
    bench = open_bench()
    bench.joined()
    bench.house.power(MAC, "off")
    assert bench.made(lambda: bench.run(HOST, "host.remove_dead")) == ["HostSystem.Destroy_Task"]
    assert bench.observe(HOST, "host.remove_dead") is None


def test_a_vmkernel_adapter_of_another_name_fails(joined: Bench) -> None:
    with pytest.raises(StepFailed, match="another name") as caught:
        joined.run(ON + "vmkernel.vmk7", "vmkernel.add", None, VMK)
    assert "vmk1" in caught.value.detail
    joined.run(ON + "vmkernel.vmk1", "vmkernel.remove", VMK, None)


def test_an_option_is_typed_by_its_live_value(joined: Bench) -> None:
    with pytest.raises(StepFailed, match="no such option"):
        joined.run(ON + 'option["No.Such"]', "option.set", None, {"value": 1})
    with pytest.raises(StepFailed, match="wrong type"):
        joined.run(ON + 'option["UserVars.SuppressShellWarning"]', "option.set", None, {"value": "yes"})


def test_children_of_a_host_that_does_not_answer_are_not_absent() -> None:
    bench = open_bench()
    bench.joined()
    bench.house.power(MAC, "off")
    with pytest.raises(ReadFailed, match="does not respond"):
        bench.observe(ON + "vswitch.vSwitch0", "vswitch.update")
