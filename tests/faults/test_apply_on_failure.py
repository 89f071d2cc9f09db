"""`--on-failure rollback` of a real process: undone by itself, exit 4; killed while it undoes, finished by `resume`.

vCenter is the twin in this process, behind TLS.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.test_apply_signals import Slow, interrupted, records
from tests.faults.vcenter_kit import Door, vcenter_door

APPLY = ("apply", "fleet.yaml", "--auto-approve", "--on-failure", "rollback", "--parallelism", "1")


@pytest.fixture
def door() -> Iterator[Door]:
    with vcenter_door() as found:
        yield found


def fails_late(door: Door) -> Any:
    """The second host's port group cannot be added, for ever. What live was before."""
    door.house.faults.add(kind="fault", method="AddPortGroup", fault="vim.fault.NotFound", nth=2, times=0,
                          message="no such vSwitch")
    return door.house.dump()


def undone(door: Door, before: Any) -> None:
    """Live and state are as before, nothing is open, and the next apply goes through."""
    assert door.house.dump() == before
    assert records(door)[-1]["outcome"] == "rolled-back"
    assert door.site.look("state", "list", "fleet.yaml", "--json").json["resources"] == []
    door.site.look("state", "verify", "fleet.yaml")
    door.house.faults.clear()
    door.site.look("apply", "fleet.yaml", "--auto-approve")
    door.site.look("plan", "fleet.yaml", "--detailed-exitcode")


def test_it_is_undone_by_itself(door: Door) -> None:
    before = fails_late(door)
    done = door.site.run(*APPLY, code=4)
    assert "no such vSwitch" in done.err
    assert done.out.endswith("rolled back, verified equal to before.\n")
    kinds = [r["kind"] for r in records(door)]
    assert kinds.index("failed") < kinds.index("rollback") < kinds.index("undone")
    undone(door, before)


@pytest.mark.parametrize("effect", ["took effect", "never took effect"])
@pytest.mark.parametrize("method", ["RemovePortGroup", "RemoveVirtualSwitch"])
def test_killed_while_it_is_undone(door: Door, monkeypatch: pytest.MonkeyPatch, method: str, effect: str) -> None:
    """SIGKILL while a call of the automatic rollback is under way. `resume` goes on backward, never forward."""
    before = fails_late(door)
    slow = Slow(door, monkeypatch, method)

    def act(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if effect == "never took effect":
            door.house.faults.add(kind="reset", method=method)
        slow.go.set()

    done = interrupted(door, slow, act, *APPLY)
    assert done.code == -signal.SIGKILL
    assert records(door)[-1]["kind"] == "undoing"
    made = len(door.calls())
    while effect == "took effect" and not any(c.endswith(method) for c in door.calls()):
        threading.Event().wait(0.01)  # vCenter goes on with it
    resumed = door.site.run("resume", "fleet.yaml", "--auto-approve")
    assert resumed.out.endswith("rolled back, verified equal to before.\n")
    forward = [c for c in door.calls()[made:] if ".Add" in c]
    assert forward == []
    undone(door, before)
