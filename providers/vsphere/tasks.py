"""Waiting for a task, with a deadline, and its fault as StepFailed."""

from __future__ import annotations

from typing import Any

from planner.model import StepFailed
from planner.ports import Call, Clock
from providers.vsphere import faults
from providers.vsphere.collector import Collector
from providers.vsphere.link import NETWORK

_UNFINISHED = ("queued", "running")

_FIRST, _LONGEST = 0.05, 2.0  # seconds between two looks at a task


def wait(collector: Collector, clock: Clock, task: Any, call: Call, api_call: str) -> Any:
    """The task's result. Raises StepFailed: with the fault's type and text where it failed, in doubt at the deadline.

    A reading that fails is tried again until the deadline: the task goes on without us.
    """
    pause, told, problem = _FIRST, "", None
    while True:
        try:
            info = collector.one(task, "info.state", "info.error", "info.result", "info.progress")
            problem = None
        except NETWORK as broken:
            info, problem = {}, broken
        state = str(info.get("info.state", ""))
        if state == "success":
            return info.get("info.result")
        if state == "error":
            raise faults.from_fault(api_call, info.get("info.error"), sent=True)
        if call.stop.is_set():
            raise StepFailed(f"stopped while {api_call} was running", "the task goes on in vCenter", in_doubt=True)
        if clock.now() >= call.deadline:
            if problem is not None:
                raise faults.from_network(api_call, problem, sent=True)
            raise StepFailed(f"{api_call} did not end in time", f"its task is still {state or 'unknown'}",
                             "look at the task in vCenter; resume reads back what became of it", in_doubt=True)
        progress = info.get("info.progress")
        words = f"task {state}" + (f", {progress} %" if progress else "")
        if words != told:
            told = words
            call.report(words)
        clock.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)


def settle(collector: Collector, manager: Any, clock: Clock, entity: Any, call: Call) -> None:
    """After a lost reply: wait until no task runs on the entity, so that reading back shows what became of the call.

    `manager` is the TaskManager. Best effort: where it cannot be seen, the step stays in doubt all the same.
    """
    from pyVmomi import vmodl

    pause = _FIRST
    while not call.stop.is_set() and clock.now() < call.deadline:
        try:
            recent = collector.one(manager, "recentTask").get("recentTask") or ()
            running = [row for row in collector.many(recent, "info.state", "info.entity")
                       if str(row.props.get("info.state")) in _UNFINISHED
                       and getattr(row.props.get("info.entity"), "_moId", "") == entity._moId]
        except vmodl.MethodFault:
            return
        except NETWORK:
            pass  # not reachable again yet
        else:
            if not running:
                return
        call.report("waiting for the task whose answer was lost")
        clock.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
