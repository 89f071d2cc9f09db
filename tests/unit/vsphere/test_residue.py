"""What is left of hosts that went away: VMs that vCenter has lost leave it by name, and come back by their file."""

from __future__ import annotations

from typing import Any

import pytest

from planner.model import Attrs, StepFailed, Stray
from providers.vsphere.host.residue import removal, unknown_file
from providers.vsphere.types.host import HOST as HOST_TYPE
from tests.unit.vsphere.kit import HOST, MAC, Bench, at, open_bench

WEB: Attrs = {"registered": {"name": "web/1", "vmx": "[images] web1/web1.vmx", "folder": "datacenter.dc0",
                             "state": "orphaned"}}
NONE: Attrs = {"registered": None}


@pytest.fixture
def bench() -> Bench:
    from providers.twin.model import Vm

    made = open_bench()
    made.joined()
    made.run(f"{HOST}.nfs.images", "nfs.mount", None, {"server": "nas1", "path": "/x"})
    house = made.house
    host = house.inventory.host_of(MAC)
    center = house.inventory.datacenter_of(host)
    store = house.inventory.datastore_named(center, "images")
    with house.change():
        for name, state, vmx in (("web%2f1", "orphaned", "[images] web1/web1.vmx"), ("db1", "connected", "")):
            house.inventory.put(Vm(house.inventory.new_id("vm-"), name, center.vm, host.id, state=state, vmx=vmx,
                                   uuid=house.derived_uuid(name), datastores=[store.id]))
    return made


def shown(bench: Bench) -> tuple[Stray, ...]:
    return bench.snapshot().hosts[at(HOST)].strays


def test_an_orphan_is_named_with_its_file_and_folder(bench: Bench) -> None:
    assert shown(bench) == (Stray("web/1", "orphaned", "[images] web1/web1.vmx", "datacenter.dc0"),)


def test_unregistered_and_registered_again(bench: Bench) -> None:
    dump = bench.house.dump()
    assert bench.observe(HOST, "host.unregister_vm", WEB, NONE) == WEB
    made = bench.made(lambda: bench.run(HOST, "host.unregister_vm", WEB, NONE))
    assert made == ["VirtualMachine.UnregisterVM"]
    assert bench.observe(HOST, "host.unregister_vm", WEB, NONE) == NONE
    assert shown(bench) == ()
    made = bench.made(lambda: bench.run(HOST, "host.register_vm", NONE, WEB))
    assert made == ["Folder.RegisterVM_Task"]
    assert bench.observe(HOST, "host.register_vm", NONE, WEB) == WEB
    now = bench.house.dump()
    machine = "dc0/vm/web%2f1"
    assert now["vms"][machine] == {**dump["vms"][machine], "state": "connected"}
    assert {k: v for k, v in now.items() if k != "vms"} == {k: v for k, v in dump.items() if k != "vms"}


def test_in_its_own_folder_again(bench: Bench) -> None:
    """Which nobody declared: it is referred to by its path."""
    from providers.twin.model import Folder, Vm

    house, inventory = bench.house, bench.house.inventory
    machine = next(v for v in inventory.all(Vm) if v.state == "orphaned")
    with house.change():
        folder = inventory.add_folder("Web", inventory.need(machine.parent, Folder))
        inventory.move(machine, folder.id)
    bench.session._resolver.containers(fresh=True)
    [stray] = shown(bench)
    assert stray.folder == "path:dc0/Web"
    about: Attrs = {"registered": {"name": stray.name, "vmx": stray.vmx, "folder": stray.folder, "state": stray.state}}
    bench.run(HOST, "host.unregister_vm", about, NONE)
    bench.run(HOST, "host.register_vm", NONE, about)
    assert "dc0/vm/Web/web%2f1" in house.dump()["vms"]


def test_what_is_not_lost_is_left_alone(bench: Bench) -> None:
    fine: Attrs = {"registered": {"name": "db1", "vmx": "[images] db1/db1.vmx", "folder": "datacenter.dc0",
                                  "state": "orphaned"}}
    found = bench.observe(HOST, "host.unregister_vm", fine, NONE)
    assert found is not None
    assert found["registered"] != fine["registered"]  # its state is another one: the step is not made
    calls = len(bench.house.calls)
    with pytest.raises(StepFailed, match="not lost any more"):
        bench.run(HOST, "host.unregister_vm", fine, NONE)
    gone: Attrs = {"registered": {"name": "none", "vmx": "", "folder": "", "state": "orphaned"}}
    with pytest.raises(StepFailed, match="none is gone"):
        bench.run(HOST, "host.unregister_vm", gone, NONE)
    assert len(bench.house.calls) == calls


def test_a_machine_whose_datastore_is_not_there_is_inaccessible(bench: Bench) -> None:
    house = bench.house
    with house.change():  # as after a reboot that loses the mounts
        house.box(MAC).running.config.nfs.clear()
        house.inventory.attach(house.inventory.host_of(MAC), house.box(MAC).running.config)
    assert [(s.name, s.state) for s in shown(bench)] == [("db1", "inaccessible"), ("web/1", "orphaned")]


def test_nothing_registers_what_has_no_file(bench: Bench) -> None:
    assert unknown_file(WEB, NONE) == ""
    lost: Attrs = {"registered": {"name": "a", "vmx": "", "folder": "", "state": "orphaned"}}
    assert "nothing can register it again" in unknown_file(lost, NONE)
    with pytest.raises(StepFailed, match="InvalidDatastore"):
        bench.run(HOST, "host.register_vm", NONE, {"registered": {
            "name": "a", "vmx": "[none] a/a.vmx", "folder": "datacenter.dc0", "state": "orphaned"}})


def test_a_host_that_does_not_answer_shows_all_of_its_machines(bench: Bench) -> None:
    bench.house.stop_responding(MAC)
    live = bench.snapshot().hosts[at(HOST)]
    assert [(s.name, s.state) for s in live.strays] == [("db1", "disconnected"), ("web/1", "orphaned")]
    change: Any = type("Given", (), {"change": type("Change", (), {"address": at(HOST)})})
    [lost] = removal(live, change)
    assert lost.detail == "db1 ([images] db1/db1.vmx), web/1 ([images] web1/web1.vmx)"


def test_never_destroy() -> None:
    assert "VirtualMachine.Destroy_Task" not in {o.call for o in HOST_TYPE.operations}
