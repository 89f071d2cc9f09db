"""Fault rules, at the in-process door."""

from __future__ import annotations

import http.client
import threading

import pytest
from pyVmomi import vim, vmodl

from providers.twin.core.faults import FaultRule, FaultRules
from tests.unit.twin.core.toy import ManualClock, Toy, make_toy


def test_rules_load_from_yaml_and_name_what_is_wrong() -> None:
    rules = FaultRules.load("seed: 3\nrules:\n- {kind: reset, method: '*.AddHost_Task', nth: 2}\n")
    assert not rules.judge("vcenter", "ClusterComputeResource.AddHost_Task", "c").rules
    assert rules.judge("vcenter", "ClusterComputeResource.AddHost_Task", "c").rules[0].nth == 2
    assert not rules.judge("vcenter", "ClusterComputeResource.AddHost_Task", "c").rules
    for text, said in (("- {kind: nope}", "unknown fault kind 'nope'"), ("- {method: x}", "no kind"),
                       ("- {kind: reset, nht: 2}", "unknown key 'nht'"), ("- {kind: fault}", "must name its fault"),
                       ("- {kind: fault, fault: Nonsense}", "'Nonsense'"), ("a: 1", "list of rules"),
                       ("- {kind: reset, nth: many}", "nth must be"), ("[", "not YAML")):
        with pytest.raises(ValueError, match=said):
            FaultRules.load(text)


def test_probability_is_repeatable() -> None:
    def draw(seed: int) -> list[bool]:
        rules = FaultRules([FaultRule("reset", times=0, probability=0.5)], seed=seed)
        return [bool(rules.judge("vcenter", "A.B", "").rules) for _ in range(40)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert 5 < sum(draw(1)) < 35


def test_reset_takes_no_effect_and_lost_reply_does(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    network = content.rootFolder.childEntity[0].configManager.networkSystem
    toy.world.faults.add(kind="reset", method="AddVirtualSwitch", target="esx01*")
    with pytest.raises(ConnectionResetError):
        network.AddVirtualSwitch("a")
    assert "a" not in toy.root.hosts[0].switches
    toy.world.faults.add(kind="lost_reply", method="HostNetworkSystem.Add*")
    with pytest.raises(http.client.RemoteDisconnected):
        network.AddVirtualSwitch("b")
    assert "b" in toy.root.hosts[0].switches
    assert len(toy.commits) == len(toy.world.calls) == 1
    network.AddVirtualSwitch("c")
    assert "c" in toy.root.hosts[0].switches


def test_declared_fault_before_and_after_the_effect(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    network = content.rootFolder.childEntity[0].configManager.networkSystem
    toy.world.faults.add(kind="fault", method="AddVirtualSwitch", fault="vim.fault.HostConfigFault", message="no room")
    with pytest.raises(vim.fault.HostConfigFault) as caught:
        network.AddVirtualSwitch("a")
    assert "no room" in str(caught.value)
    assert "a" not in toy.root.hosts[0].switches
    toy.world.faults.add(kind="fault", method="AddVirtualSwitch", fault="HostConfigFault", after=True)
    with pytest.raises(vim.fault.HostConfigFault):
        network.AddVirtualSwitch("a")
    assert "a" in toy.root.hosts[0].switches
    toy.world.faults.add(kind="fault", method="AddVirtualSwitch", fault="vim.fault.InvalidLogin")
    with pytest.raises(ValueError, match=r"HostNetworkSystem\.AddVirtualSwitch does not declare vim\.fault\.Inv"):
        network.AddVirtualSwitch("b")


def test_task_fault_and_stopped_host(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    host = content.rootFolder.childEntity[0]
    toy.world.faults.add(kind="task_fault", method="EnterMaintenanceMode_Task", fault="vim.fault.Timedout")
    assert isinstance(host.EnterMaintenanceMode_Task(0).info.error, vim.fault.Timedout)
    assert not toy.root.hosts[0].maintenance
    toy.world.faults.add(kind="host_stops", method="EnterMaintenanceMode_Task")
    info = host.EnterMaintenanceMode_Task(0).info
    assert isinstance(info.error, vmodl.fault.HostCommunication)
    assert toy.stopped == ["esx01.lab.example"]
    toy.world.faults.add(kind="host_stops", method="AddVirtualSwitch", target="esx02*")
    with pytest.raises(vmodl.fault.HostCommunication):
        content.rootFolder.childEntity[1].configManager.networkSystem.AddVirtualSwitch("a")
    assert toy.stopped == ["esx01.lab.example", "esx02.lab.example"]
    assert toy.world.calls == []


def test_expired_session_and_restart(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    toy.world.faults.add(kind="expire_session", method="Fetch", target="esx01*")
    host = content.rootFolder.childEntity[0]
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = host.name
    content.sessionManager.Login("reader", "right horse")
    assert host.name == "esx01.lab.example"
    toy.world.faults.add(kind="restart", method="Fetch", refuse=2)
    with pytest.raises(ConnectionResetError):
        _ = host.name
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            _ = host.name
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = host.name


def test_latency_sleeps_outside_the_lock(codec: bool) -> None:
    clock = ManualClock()
    toy = make_toy(1, clock)
    content = toy.login(codec=codec)
    held: list[bool] = []

    def take() -> None:
        held.append(toy.world.lock.acquire(timeout=5))
        toy.world.lock.release()

    def sleep(seconds: float) -> None:
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        clock.time += seconds

    clock.sleep = sleep  # type: ignore[method-assign]
    toy.world.faults.add(kind="latency", method="CurrentTime", seconds=7.5)
    service = vim.ServiceInstance("ServiceInstance", content.rootFolder._stub)
    assert service.CurrentTime().timestamp() == 1_700_000_007.5
    assert held == [True]


def test_slow_task_runs_and_can_be_cancelled() -> None:
    wakes = threading.Semaphore(0)
    clock = ManualClock()
    clock.sleep = lambda _seconds: wakes.acquire(timeout=10) or None  # type: ignore[assignment]
    toy = make_toy(2, clock)
    content = toy.login()
    toy.world.faults.add(kind="slow_task", method="EnterMaintenanceMode_Task", seconds=60, times=2)
    task = content.rootFolder.childEntity[0].EnterMaintenanceMode_Task(0)
    assert (task.info.state, task.info.cancelable, toy.root.hosts[0].maintenance) == ("running", True, False)
    wakes.release()
    with toy.world.lock:
        while task.info.state == "running":
            toy.world.changed.wait(5)
    assert (task.info.state, toy.root.hosts[0].maintenance) == ("success", True)
    second = content.rootFolder.childEntity[1].EnterMaintenanceMode_Task(0)
    second.CancelTask()
    wakes.release()
    with toy.world.lock:
        while second.info.state == "running":
            toy.world.changed.wait(5)
    assert isinstance(second.info.error, vmodl.fault.RequestCanceled)
    assert not toy.root.hosts[1].maintenance


def test_an_idle_session_ends() -> None:
    clock = ManualClock()
    content = make_toy(1, clock).login()
    clock.time += 1700
    assert content.rootFolder.childEntity
    clock.time += 1900
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = content.rootFolder.childEntity
