"""Ctrl-C and SIGTERM at a chosen moment of a real process: while it reads, while a call runs, and twice.

vCenter is the twin in this process, behind TLS: it tells when a call arrives, and takes its time to answer.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.vcenter_kit import Door, vcenter_door
from tests.support.lab import CATALOG
from tests.support.process import SECONDS, Done

SIGNALS = [signal.SIGINT, signal.SIGTERM]
APPLY = ("apply", "fleet.yaml", "--auto-approve", "--parallelism", "1")


@pytest.fixture
def door() -> Iterator[Door]:
    with vcenter_door() as found:
        yield found


class Slow:
    """vCenter answers the `nth` call of a method only once `go` is set; `arrived` says that it is there."""

    def __init__(self, door: Door, monkeypatch: pytest.MonkeyPatch, method: str, nth: int = 1) -> None:
        self.arrived, self.go = threading.Event(), threading.Event()
        faults, left = door.house.faults, [nth]
        judge = faults.judge

        def slow(at: str, called: str, target: str, *, task: bool = False) -> Any:
            verdict = judge(at, called, target, task=task)
            if called.endswith(f".{method}"):
                left[0] -= 1
                if left[0] == 0:
                    return Late(verdict, self.arrived, self.go)
            return verdict

        monkeypatch.setattr(faults, "judge", slow)


class Late:
    """A verdict that waits outside of the house's lock, before any effect."""

    def __init__(self, verdict: Any, arrived: threading.Event, go: threading.Event) -> None:
        self.verdict, self.arrived, self.go = verdict, arrived, go

    def before(self, world: Any, context: Any) -> None:
        self.arrived.set()
        assert self.go.wait(SECONDS)
        self.verdict.before(world, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.verdict, name)


def interrupted(door: Door, slow: Slow, act: Callable[[subprocess.Popen[str]], None], *command: str) -> Done:
    process = door.site.start(*command)
    try:
        assert slow.arrived.wait(SECONDS)
        act(process)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        slow.go.set()
    return Done(process.returncode, out, err)


def send_then_go(slow: Slow, number: signal.Signals) -> Callable[[subprocess.Popen[str]], None]:
    """The signal, and once the process has said so, the answer."""
    def act(process: subprocess.Popen[str]) -> None:
        process.send_signal(number)
        assert process.stderr is not None
        for line in process.stderr:
            if "Stopping" in line:
                break
        slow.go.set()

    return act


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", [("plan", "fleet.yaml"), APPLY])
def test_while_it_plans(door: Door, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...],
                        number: signal.Signals) -> None:
    slow = Slow(door, monkeypatch, "RetrievePropertiesEx")

    def act(process: subprocess.Popen[str]) -> None:
        process.send_signal(number)

    done = interrupted(door, slow, act, *command)
    assert done.code == 130, done
    assert "interrupted; nothing was changed" in done.err
    assert "Traceback" not in done.err
    assert door.calls() == []
    assert door.site.newest() is None


@pytest.mark.parametrize("number", SIGNALS)
def test_in_a_run_before_its_first_call(door: Door, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """While privileges are checked: no step is started, nothing is open afterwards, and the next apply works."""
    slow = Slow(door, monkeypatch, "HasPrivilegeOnEntities")
    done = interrupted(door, slow, send_then_go(slow, number), *APPLY)
    assert done.code == 130, done
    assert "nothing was changed" in done.out
    assert door.calls() == []
    assert door.site.look("state", "list", "fleet.yaml", "--json").json["resources"] == []
    door.site.look("apply", "fleet.yaml", "--auto-approve")
    door.site.look("plan", "fleet.yaml", "--detailed-exitcode")


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, "resume"), (signal.SIGTERM, "rollback")])
def test_while_a_call_runs(door: Door, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, ending: str) -> None:
    """The running call ends and is written down, none is started: 3. Then the run is finished, or undone."""
    before = door.house.dump()
    slow = Slow(door, monkeypatch, "AddVirtualSwitch")
    done = interrupted(door, slow, send_then_go(slow, number), *APPLY)
    assert done.code == 3, done
    assert "`fleet resume` or `fleet rollback` ends the run" in done.out
    assert door.calls()[-1] == "HostNetworkSystem.AddVirtualSwitch"
    kinds = Counter(r["kind"] for r in records(door))
    assert kinds["begin"] == kinds["done"] == len(door.calls())
    assert records(door)[-1]["outcome"] == "incomplete"
    finished(door, ending, before)


@pytest.mark.parametrize(("effect", "ending"), [
    ("took effect later", "resume"), ("took effect later", "rollback"), ("never took effect", "resume")])
def test_the_second_one_stops_hard(door: Door, monkeypatch: pytest.MonkeyPatch, effect: str, ending: str) -> None:
    """The call in flight is left: in doubt. Whatever becomes of it, it is read back, and made once."""
    before = door.house.dump()
    slow = Slow(door, monkeypatch, "AddVirtualSwitch")

    def act(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        for line in process.stderr:
            if "Stopping:" in line:
                break
        process.send_signal(signal.SIGINT)

    if effect == "never took effect":
        door.house.faults.add(kind="reset", method="AddVirtualSwitch")
    done = interrupted(door, slow, act, *APPLY)  # it ends although the call has no answer yet
    assert done.code == 3, done
    assert "Stopping hard" in done.err
    assert records(door)[-1]["kind"] == "begin"
    arrived = [c for c in door.calls() if c.endswith("AddVirtualSwitch")]
    while effect == "took effect later" and not arrived:  # vCenter goes on with it
        threading.Event().wait(0.01)
        arrived = [c for c in door.calls() if c.endswith("AddVirtualSwitch")]
    finished(door, ending, before)


def records(door: Door) -> list[dict[str, Any]]:
    from state.records import scan

    path = door.site.newest()
    assert path is not None
    return scan(path.read_bytes()).records


def finished(door: Door, ending: str, before: Any) -> None:
    reviewed = [s["operation"] for s in door.site.look("show", "--json", str(plan_of(door))).json["steps"]]
    door.site.look(ending, "fleet.yaml", "--auto-approve")
    if ending == "resume":
        assert Counter(door.calls()) == Counter(CATALOG.operations[name].call for name in reviewed)
        door.site.look("plan", "fleet.yaml", "--detailed-exitcode")
    else:
        assert door.house.dump() == before
        assert door.site.look("state", "list", "fleet.yaml", "--json").json["resources"] == []
    door.site.look("state", "verify", "fleet.yaml")


def plan_of(door: Door) -> Any:
    path = door.site.newest()
    assert path is not None
    return path.with_suffix(".plan")
