"""What the wire does: lost replies, resets, expired sessions, busy objects, tasks that fail or hang."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from planner.model import ReadFailed, StepFailed
from tests.unit.vsphere.kit import HOST, OPERATIONS, Bench, at, open_bench

GROUP = f"{HOST}.portgroup.a"
ADD: tuple[str, str, None, dict[str, Any]] = (GROUP, "portgroup.add", None, {"vswitch": "vSwitch0", "vlan": 7})


@pytest.fixture(scope="module")
def joined() -> Bench:
    bench = open_bench()
    bench.joined()
    return bench


@pytest.fixture
def bench(joined: Bench) -> Any:
    yield joined
    joined.house.faults.clear()
    if joined.observe(GROUP, "portgroup.add") is not None:
        joined.run(GROUP, "portgroup.remove")


def failure(bench: Bench, *change: Any) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        bench.run(*change)
    return caught.value


def test_a_lost_reply_leaves_the_step_in_doubt(bench: Bench) -> None:
    bench.house.faults.add(kind="lost_reply", method="*.AddPortGroup")
    assert failure(bench, *ADD).in_doubt
    assert (bench.observe(*ADD) or {}).items() >= ADD[3].items()


def test_a_reset_before_the_effect_leaves_it_in_doubt_too(bench: Bench) -> None:
    bench.house.faults.add(kind="reset", method="*.AddPortGroup")
    assert failure(bench, *ADD).in_doubt
    assert bench.observe(*ADD) is None


def test_a_reset_while_reading_is_read_again(bench: Bench) -> None:
    bench.house.faults.add(kind="reset", method="*.RetrievePropertiesEx", times=1)
    assert bench.observe(*ADD) is None


def test_what_was_never_sent_is_not_in_doubt(bench: Bench) -> None:
    bench.house.faults.refuse_next("vcenter", 50)
    failed = failure(bench, *ADD)
    assert failed.retry
    assert not failed.in_doubt
    with pytest.raises(ReadFailed):
        bench.observe(*ADD)


@pytest.mark.parametrize("method", ["*.AddPortGroup", "*.RetrievePropertiesEx"])
def test_an_expired_session_is_renewed_and_the_call_repeated(bench: Bench, method: str) -> None:
    bench.house.faults.add(kind="expire_session", method=method)
    bench.run(*ADD)
    assert (bench.observe(*ADD) or {}).items() >= ADD[3].items()


def test_an_expired_session_in_the_middle_of_a_bulk_read(bench: Bench) -> None:
    for method in ("*.CreateContainerView", "*.RetrievePropertiesEx", "*.DestroyView"):
        bench.house.faults.clear()
        bench.house.faults.add(kind="expire_session", method=method)
        assert at(HOST) in bench.snapshot().hosts


def test_many_threads_renew_one_session_once(bench: Bench) -> None:
    bench.house.faults.add(kind="latency", method="*.Login", seconds=0.05, times=0)
    bench.session._link.content.sessionManager.Logout()
    logins = [0]
    login = bench.session._link._login

    def counted(content: Any) -> None:
        logins[0] += 1
        login(content)

    bench.session._link._login = counted
    try:
        threads = [threading.Thread(target=bench.observe, args=ADD) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        bench.session._link._login = login
    assert logins == [1]


def test_a_busy_object_may_be_tried_again(bench: Bench) -> None:
    bench.house.faults.add(kind="task_fault", method="*.Destroy_Task", fault="vim.fault.TaskInProgress")
    failed = failure(bench, "cluster.other", "cluster.destroy")
    assert failed.retry
    assert "TaskInProgress" in failed.summary


def test_a_fault_names_its_type_and_what_the_server_says(bench: Bench) -> None:
    bench.house.faults.add(kind="fault", method="*.AddPortGroup", fault="vim.fault.HostConfigFault",
                           message="the switch is on fire")
    failed = failure(bench, *ADD)
    assert failed.summary == "HostNetworkSystem.AddPortGroup failed with HostConfigFault"
    assert failed.detail == "the switch is on fire"
    assert not failed.in_doubt
    assert not failed.retry


def test_a_failed_task_names_its_fault(bench: Bench) -> None:
    bench.house.faults.add(kind="task_fault", method="*.ExitMaintenanceMode_Task", fault="vim.fault.InvalidState",
                           message="not now")
    failed = failure(bench, HOST, "host.exit_maintenance")
    assert failed.summary == "HostSystem.ExitMaintenanceMode_Task failed with InvalidState"
    assert failed.detail == "not now"


def test_a_task_that_does_not_end_in_time_is_in_doubt(bench: Bench) -> None:
    bench.house.faults.add(kind="slow_task", method="*.ExitMaintenanceMode_Task", seconds=0.3)
    call = bench.call(HOST, "host.exit_maintenance", seconds=0.1)
    with pytest.raises(StepFailed, match="did not end in time") as caught:
        bench.session.run(OPERATIONS["host.exit_maintenance"], call)
    assert caught.value.in_doubt
    _until(bench, False)
    bench.run(HOST, "host.enter_maintenance")


def test_a_task_is_left_to_itself_on_a_hard_stop(bench: Bench) -> None:
    bench.house.faults.add(kind="slow_task", method="*.ExitMaintenanceMode_Task", seconds=0.2)
    call = bench.call(HOST, "host.exit_maintenance")
    call.stop.set()
    with pytest.raises(StepFailed, match="stopped while") as caught:
        bench.session.run(OPERATIONS["host.exit_maintenance"], call)
    assert caught.value.in_doubt
    _until(bench, False)
    bench.run(HOST, "host.enter_maintenance")


def test_after_a_lost_reply_its_task_is_waited_for(bench: Bench) -> None:
    """Read back at once, the step would look as if it had no effect, and be made a second time."""
    bench.house.faults.add(kind="slow_task", method="*.ExitMaintenanceMode_Task", seconds=0.2)
    bench.house.faults.add(kind="lost_reply", method="*.ExitMaintenanceMode_Task")
    assert failure(bench, HOST, "host.exit_maintenance").in_doubt
    assert bench.observe(HOST, "host.exit_maintenance") == {"in_maintenance": False}
    bench.run(HOST, "host.enter_maintenance")


def test_a_lost_reply_at_the_hosts_own_door_is_in_doubt(bench: Bench) -> None:
    bench.house.faults.add(kind="lost_reply", method="*.UpdateUser")
    assert failure(bench, HOST, "door.set_password").in_doubt


def test_progress_of_a_task_is_reported(bench: Bench) -> None:
    told: list[str] = []
    bench.house.faults.add(kind="slow_task", method="*.ExitMaintenanceMode_Task", seconds=0.1)
    call = replace(bench.call(HOST, "host.exit_maintenance"), report=told.append)
    bench.session.run(OPERATIONS["host.exit_maintenance"], call)
    assert told[0] == "task running"
    bench.run(HOST, "host.enter_maintenance")


def _until(bench: Bench, in_maintenance: bool) -> None:
    deadline = time.time() + 10
    while bench.observe(HOST, "host.exit_maintenance") != {"in_maintenance": in_maintenance}:
        assert time.time() < deadline
        time.sleep(0.02)
