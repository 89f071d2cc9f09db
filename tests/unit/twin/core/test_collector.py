"""Property collector: reading, paging, waiting."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from pyVmomi import VmomiSupport, vim, vmodl

from tests.unit.twin.core.toy import Toy, content_of, host_spec, make_toy, read_hosts

Collector = vmodl.query.PropertyCollector


def test_narrow_paths_in_bulk(toy: Toy, codec: bool) -> None:
    found = read_hosts(toy.login(codec=codec), "name", "config.network.vswitch", "summary.runtime.inMaintenanceMode")
    assert list(found) == ["host-1", "host-2", "host-3"]
    values = found["host-2"]
    assert values["name"] == "esx02.lab.example"
    assert values["summary.runtime.inMaintenanceMode"] is False
    assert values["config.network.vswitch"][0].spec.bridge.nicDevice == ["vmnic0"]


def test_indexed_and_deep_paths(toy: Toy, codec: bool) -> None:
    paths = ('config.option["Syslog.global.logHost"].value', 'config.option["Mem.Big"].value', "hardware.memorySize",
             'config.network.vswitch["key-vim.host.VirtualSwitch-vSwitch0"].mtu', 'config.option["nobody"].value')
    values = read_hosts(toy.login(codec=codec), *paths)["host-1"]
    assert values[paths[0]] == "udp://10.0.0.9:514"
    assert values[paths[1]] == 2**40
    assert values["hardware.memorySize"] == 64 * 2**30
    assert isinstance(values["hardware.memorySize"], VmomiSupport.long)
    assert values[paths[3]] == 1500
    assert paths[4] not in values


@pytest.mark.parametrize("path", ["nothing", "config.nothing", "name.length", "config.option.key", "parent.name",
                                  'name["x"]', "config..network", "a b", ""])
def test_wrong_paths_are_named(toy: Toy, path: str, codec: bool) -> None:
    content = toy.login(codec=codec)
    with pytest.raises(vmodl.query.InvalidProperty) as caught:
        read_hosts(content, path)
    assert (caught.value.name or "") == path


def test_a_property_that_cannot_be_read_is_missing_not_absent(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    toy.root.hosts[1].dead = True
    options = Collector.RetrieveOptions()
    spec = host_spec(content, "name", "config.network.vswitch")
    objects = content.propertyCollector.RetrievePropertiesEx([spec], options).objects
    assert [len(each.propSet) for each in objects] == [2, 1, 2]
    (missing,) = objects[1].missingSet
    assert missing.path == "config.network.vswitch"
    assert isinstance(missing.fault, vmodl.fault.HostNotConnected)


def test_not_simulated_is_loud_when_named_and_listed_with_all(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    with pytest.raises(vmodl.fault.NotSupported, match=r"HostSystem\.config\.product"):
        read_hosts(content, "config.product")
    spec = host_spec(content, everything=True)
    first = content.propertyCollector.RetrieveProperties([spec])[0]
    assert "name" in {each.name for each in first.propSet}
    assert "capability" in {each.path for each in first.missingSet}


def test_pages(codec: bool) -> None:
    content = make_toy(7).login(codec=codec)
    collector, spec = content.propertyCollector, host_spec(content, "name")
    page = collector.RetrievePropertiesEx([spec], Collector.RetrieveOptions(maxObjects=3))
    sizes = [len(page.objects)]
    while page.token:
        token = page.token
        page = collector.ContinueRetrievePropertiesEx(token)
        sizes.append(len(page.objects))
    assert sizes == [3, 3, 1]
    with pytest.raises(vmodl.fault.InvalidArgument):
        collector.ContinueRetrievePropertiesEx(token)


def test_named_recursive_traversal(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    walk = Collector.TraversalSpec(name="visit", type=vim.Folder, path="childEntity", selectSet=[
        Collector.SelectionSpec(name="visit"), Collector.SelectionSpec(name="up")])
    up = Collector.TraversalSpec(name="up", type=vim.HostSystem, path="parent", selectSet=[
        Collector.SelectionSpec(name="visit")])
    spec = Collector.FilterSpec(
        objectSet=[Collector.ObjectSpec(obj=content.rootFolder, selectSet=[walk, up])],
        propSet=[Collector.PropertySpec(type=vim.ManagedEntity, pathSet=["name"])])
    found = content.propertyCollector.RetrieveProperties([spec])
    assert [each.obj._moId for each in found] == ["group-d1", "host-1", "host-2", "host-3"]
    spec.objectSet[0].selectSet = [Collector.SelectionSpec(name="nowhere")]
    with pytest.raises(vmodl.fault.InvalidArgument, match="nowhere"):
        content.propertyCollector.RetrieveProperties([spec])


def test_views_end_with_destroy_and_are_live(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    assert len(view.view) == 3
    content.rootFolder.childEntity[0].Destroy_Task()
    assert [each._moId for each in view.view] == ["host-2", "host-3"]
    listed = content.viewManager.CreateListView(list(view.view))
    unknown = listed.ModifyListView(add=[vim.HostSystem("gone", None)], remove=list(view.view)[:1])
    assert [each._moId for each in unknown] == ["gone"]
    assert [each._moId for each in listed.view] == ["host-3"]
    view.DestroyView()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = view.view


def _changes(update: Any) -> dict[tuple[str, str, str], Any]:
    return {(str(each.kind), each.obj._moId, str(change.name)): change.val
            for one in update.filterSet for each in one.objectSet for change in each.changeSet}


def test_updates_come_in_one_batch_and_only_what_changed(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    collector = content.propertyCollector.CreatePropertyCollector()
    collector.CreateFilter(host_spec(content, "name", "runtime.inMaintenanceMode"), False)
    first = collector.WaitForUpdatesEx("", Collector.WaitOptions(maxWaitSeconds=0))
    assert len(_changes(first)) == 6
    assert collector.WaitForUpdatesEx(first.version, Collector.WaitOptions(maxWaitSeconds=0)) is None
    hosts = list(content.rootFolder.childEntity)
    hosts[0].EnterMaintenanceMode_Task(0)
    hosts[1].EnterMaintenanceMode_Task(0)
    hosts[2].Destroy_Task()
    second = collector.WaitForUpdatesEx(first.version, Collector.WaitOptions(maxWaitSeconds=0))
    assert _changes(second) == {("modify", "host-1", "runtime.inMaintenanceMode"): True,
                                ("modify", "host-2", "runtime.inMaintenanceMode"): True}
    assert [(str(u.kind), u.obj._moId) for f in second.filterSet for u in f.objectSet][-1] == ("leave", "host-3")
    again = collector.WaitForUpdatesEx(first.version, Collector.WaitOptions(maxWaitSeconds=0))
    assert again.version == second.version  # its reply was lost: the same answer once more
    assert _changes(again) == _changes(second)
    with pytest.raises(vmodl.query.InvalidCollectorVersion):
        collector.WaitForUpdatesEx("77", Collector.WaitOptions(maxWaitSeconds=0))
    collector.DestroyPropertyCollector()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        collector.WaitForUpdatesEx("")


def test_updates_are_truncated_to_the_asked_number(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    collector = content.propertyCollector
    collector.CreateFilter(host_spec(content, "name"), False)
    options = Collector.WaitOptions(maxWaitSeconds=0, maxObjectUpdates=2)
    first = collector.WaitForUpdatesEx("", options)
    assert (len(_changes(first)), first.truncated) == (2, True)
    second = collector.WaitForUpdatesEx(first.version, options)
    assert (len(_changes(second)), bool(second.truncated)) == (1, False)
    assert collector.WaitForUpdatesEx(second.version, options) is None


def _waiter(collector: Any, version: str, out: list[Any]) -> threading.Thread:
    def run() -> None:
        try:
            out.append(collector.WaitForUpdatesEx(version, Collector.WaitOptions(maxWaitSeconds=30)))
        except vmodl.MethodFault as fault:
            out.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_wait_wakes_up_on_change_cancel_and_session_end(toy: Toy, codec: bool) -> None:
    content = content_of(toy.stub(codec=codec))
    content.sessionManager.Login("reader", "right horse")
    collector = content.propertyCollector
    collector.CreateFilter(host_spec(content, "runtime.inMaintenanceMode"), False)
    version = collector.WaitForUpdatesEx("", Collector.WaitOptions(maxWaitSeconds=0)).version
    out: list[Any] = []
    thread = _waiter(collector, version, out)
    time.sleep(0.02)
    toy.login(codec=codec).rootFolder.childEntity[0].EnterMaintenanceMode_Task(0)
    thread.join(10)
    assert _changes(out[0]) == {("modify", "host-1", "runtime.inMaintenanceMode"): True}
    thread = _waiter(collector, out[0].version, out)
    while thread.is_alive():
        collector.CancelWaitForUpdates()
        thread.join(0.02)
    assert isinstance(out[1], vmodl.fault.RequestCanceled)
    thread = _waiter(collector, out[0].version, out)
    time.sleep(0.02)
    toy.world.sessions.end_all()
    thread.join(10)
    assert isinstance(out[2], vim.fault.NotAuthenticated)


def test_a_thousand_hosts_cost_little_in_process() -> None:
    content = make_toy(1000).login()
    paths = ("name", "config.network.vswitch", "summary.runtime.inMaintenanceMode", "hardware.memorySize",
             "config.option", "hardware.systemInfo.uuid")
    before = time.process_time()
    found = read_hosts(content, *paths)
    assert len(found) == 1000
    assert all(len(values) == len(paths) for values in found.values())
    assert time.process_time() - before < 1.5  # CPU time, not wall time
