"""Applies of the real CLI over real sockets, with connections that break and sessions that end under them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from providers.twin.house import PASSWORD
from tests.faults.vcenter_kit import Door, vcenter_door
from tests.support.lab import CATALOG

APPLY = ("apply", "fleet.yaml", "--auto-approve", "--json", "--reason", "CHG-1")
KINDS: dict[str, dict[str, Any]] = {
    "session expired": {"kind": "expire_session"},
    "connection reset before the effect": {"kind": "reset"},
    "lost reply": {"kind": "lost_reply"},
    "vCenter restarts": {"kind": "restart"},
}


@pytest.fixture
def door() -> Iterator[Door]:
    with vcenter_door() as found:
        found.declare(drs=", drs: {enabled: true}")
        yield found


def reviewed(door: Door) -> list[str]:
    steps = door.site.look("plan", "fleet.yaml", "--json").json["steps"]
    return [CATALOG.operations[s["operation"]].call for s in steps]


def nothing_to_change(door: Door) -> None:
    door.house.faults.clear()
    door.site.look("plan", "fleet.yaml", "--detailed-exitcode")
    door.site.look("drift", "fleet.yaml", "--detailed-exitcode")
    door.site.look("state", "verify", "fleet.yaml")


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_is_hit_once_and_made_once(door: Door, kind: str) -> None:
    """Two hosts at once: each kind of call is hit at the first host that makes it."""
    wanted = reviewed(door)
    for method in sorted(set(wanted)):
        door.house.faults.add({"method": method, **KINDS[kind]})
    done = door.site.look(*APPLY)
    assert done.lines[-1] == done.lines[-1] | {"kind": "outcome", "exit_code": 0, "failures": []}
    assert Counter(door.calls()) == Counter(wanted)
    repeats = [line for line in done.lines if line["kind"] == "readback"]
    assert bool(repeats) == (kind != "session expired")
    nothing_to_change(door)


def gone_at(door: Door, monkeypatch: pytest.MonkeyPatch, method: str, *, lost: bool) -> None:
    """From the first call of that method on nobody is answered; `lost`: the call itself still takes effect."""
    faults = door.house.faults
    judge = faults.judge
    faults.add({"kind": "lost_reply" if lost else "reset", "method": method})

    def gone(at: str, called: str, target: str, *, task: bool = False) -> Any:
        verdict = judge(at, called, target, task=task)
        if called.endswith(f".{method}"):
            monkeypatch.undo()
            faults.refuse_next(at, 10**6)
        return verdict

    monkeypatch.setattr(faults, "judge", gone)


@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("lost", [True, False])
def test_vcenter_goes_away_and_comes_back(door: Door, ending: str, lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before, wanted = door.house.dump(), reviewed(door)
    gone_at(door, monkeypatch, "AddPortGroup", lost=lost)
    outcome = door.site.look(*APPLY, "--parallelism", "1", code=3).lines[-1]
    ((step, error),) = [(f["operation"], f["error"]) for f in outcome["failures"]]
    assert step == "portgroup.add"
    assert "no answer to HostNetworkSystem.AddPortGroup" in error
    assert "live could not be read back" in error
    for command in (("plan", "fleet.yaml"), ("resume", "fleet.yaml", "--auto-approve")):
        assert "is unreachable" in door.site.look(*command, code=1).err
    door.house.faults.clear()
    door.site.look(ending, "fleet.yaml", "--auto-approve")
    if ending == "resume":
        assert Counter(door.calls()) == Counter(wanted)
        nothing_to_change(door)
    else:
        assert door.house.dump() == before
        assert door.site.look("state", "list", "fleet.yaml", "--json").json["resources"] == []


def test_a_session_that_cannot_be_renewed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session expires, and meanwhile the user's password was changed."""
    sessions = door.house.world.sessions
    allowed, authenticate = [2], sessions.authenticate  # the plan's log-in, and the apply's

    def limited(user: str, password: str) -> Any:
        allowed[0] -= 1
        return authenticate(user, password) if allowed[0] >= 0 else None

    monkeypatch.setattr(sessions, "authenticate", limited)
    reviewed(door)
    door.house.faults.add({"kind": "expire_session", "method": "AddPortGroup"})
    done = door.site.look(*APPLY, "--parallelism", "1", code=3)
    (failure,) = done.lines[-1]["failures"]
    assert "session expired" in failure["error"]
    assert "refused" in failure["error"]
    assert "password" in failure["remedy"]
    assert "HostNetworkSystem.AddPortGroup" not in door.calls()
    monkeypatch.undo()
    door.site.look("resume", "fleet.yaml", "--auto-approve")
    nothing_to_change(door)


def test_missing_privileges_are_listed_before_anything_happens(door: Door) -> None:
    from providers.twin.core.sessions import READ_ONLY, Role

    accounts, user = door.house.world.sessions.accounts, "auditor@vsphere.local"
    accounts.set(user, PASSWORD, READ_ONLY)
    door.declare(user=user, drs=", drs: {enabled: true}")
    door.site.look("plan", "fleet.yaml", "--detailed-exitcode", code=2)
    door.site.look("drift", "fleet.yaml")
    problems = door.site.look(*APPLY, code=1).lines[-1]["diagnostics"]
    assert [p["summary"].rpartition(" ")[2] for p in problems] == [
        "Host.Config.DateTime", "Host.Config.NetService", "Host.Config.Network", "Host.Config.Storage",
        "Host.Inventory.EditCluster"]
    assert all(user in p["detail"] and p["remedy"] for p in problems)
    assert 'host.esx["a"], host.esx["b"]' in problems[0]["detail"]
    assert door.calls() == []
    assert door.site.newest() is None
    assert not (door.site.folder / ".fleet/real/state.json").exists()
    accounts.set(user, PASSWORD, Role.of("most", {p["summary"].rpartition(" ")[2] for p in problems[:-1]}))
    (problem,) = door.site.look(*APPLY, code=1).lines[-1]["diagnostics"]
    assert "Host.Inventory.EditCluster" in problem["summary"]
    assert "cluster.prod" in problem["detail"]
    assert door.calls() == []
