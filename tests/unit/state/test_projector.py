"""The projection of journal records onto state: births, adoptions, facts, undo, serials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.catalog import Catalog, Operation, ResourceType
from planner.execute.projector import Projector
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Inverse,
    Plan,
    SecretRef,
    State,
    StateResource,
    Step,
    StepKind,
    Unknown,
)
from planner.schema import integer, secret, string

ESX = Address("host", "esx", "esx01")
SWITCH = ESX.under("vswitch", "vSwitch0")
GROUP = ESX.under("portgroup", "vMotion")
TYPES = {
    "host": ResourceType("host", "", {"name": string(""), "mac": string(""), "root_password": secret("")}, (), 1),
    "vswitch": ResourceType("vswitch", "", {"mtu": integer(""), "uplink": string("")}, (), 2, parent="host"),
    "portgroup": ResourceType("portgroup", "", {"vlan": integer(""), "vswitch": string("")}, (), 2, parent="host"),
}
PASSWORD = SecretRef("env:ESX")


def step(number: int, address: Address, operation: str, before: Attrs | None, after: Attrs | None,
         kind: StepKind = "call", *, back: bool = True) -> Step:
    return Step(f"s{number}", address, operation, before, after, kind=kind,
                inverse=Inverse("undo." + operation, after, before) if back else None,
                irreversible="" if back else "it cannot")


NEW_HOST = (
    step(1, ESX, "boot.stage", {"staged": None}, {"staged": "sha"}, "boot"),
    step(2, ESX, "power.boot", None, None, "boot", back=False),
    step(3, ESX, "birth.wait", None, None, "wait", back=False),
    step(4, ESX, "door.set_password", {"password": "initial"}, {"password": "set"}, back=False),
    step(5, ESX, "host.add", None, {"name": "esx01", "mac": "aa"}),
    step(6, SWITCH, "vswitch.update", {"mtu": 1500}, {"mtu": 9000}),
    step(7, GROUP, "portgroup.add", None, {"vlan": 20, "vswitch": "vSwitch0"}),
    step(8, ESX, "host.exit_maintenance", {"in_maintenance": True}, {"in_maintenance": False}),
)
NEW_CHANGES = (
    Change(ESX, Action.CREATE, None, {"name": "esx01", "mac": "aa", "root_password": PASSWORD}),
    Change(SWITCH, Action.UPDATE, {"mtu": 1500, "uplink": "vmnic0"}, {"mtu": 9000, "uplink": "vmnic0"}, adopted=True,
           assumed=True),
    Change(GROUP, Action.CREATE, None, {"vlan": 20, "vswitch": "vSwitch0"}),
)


def plan_of(steps: tuple[Step, ...], changes: tuple[Change, ...]) -> Plan:
    return Plan("lab", "", "", 0, "vc", "", {}, {}, (), changes, steps)


def projector(base: State | None, steps: tuple[Step, ...], changes: tuple[Change, ...], **head: Any) -> Projector:
    made = Projector(base, plan_of(steps, changes), Catalog(TYPES, {}), "r1", "lin")
    made.apply({"kind": "head", **head})
    return made


def done(made: Projector, *numbers: int, **facts: Any) -> None:
    for number in numbers:
        made.apply({"kind": "begin", "step": f"s{number}", "live": None})
        made.apply({"kind": "done", "step": f"s{number}", "facts": facts})


def undone(made: Projector, *numbers: int) -> None:
    for number in numbers:
        made.apply({"kind": "undoing", "step": f"s{number}"})
        made.apply({"kind": "undone", "step": f"s{number}"})


def base_of(*resources: StateResource) -> State:
    return State("lin", 4, "lab", "vc", {r.address: r for r in resources}, {"old": 1}, "r0", 9)


HOST = StateResource(ESX, "created", {"name": "esx01", "mac": "aa", "root_password": PASSWORD}, "host-1",
                     {"uuid": "u1", "boot_time": "t0"})
SWITCH_HERE = StateResource(SWITCH, "adopted", {"mtu": 1500}, "sw-1")


def test_a_new_host_enters_state_when_it_is_added_with_all_that_its_birth_brought() -> None:
    made = projector(None, NEW_HOST, NEW_CHANGES)
    done(made, 1, 2)
    done(made, 3, uuid="u1", thumbprint="AA")
    done(made, 4)
    assert made.state().resources == {}
    done(made, 5, id="host-7", boot_time="t1")
    resources = made.state().resources
    assert resources[ESX] == StateResource(ESX, "created", {"name": "esx01", "mac": "aa"}, "host-7", {
        "staged": "sha", "uuid": "u1", "thumbprint": "AA", "password": "set", "boot_time": "t1"})
    assert resources[SWITCH] == StateResource(SWITCH, "adopted", {"mtu": 1500, "uplink": "vmnic0"})
    done(made, 6)
    assert made.state().resources[SWITCH].attributes == {"mtu": 9000, "uplink": "vmnic0"}
    done(made, 7, id="pg-1")
    assert made.state().resources[GROUP] == StateResource(GROUP, "created", {"vlan": 20, "vswitch": "vSwitch0"}, "pg-1")
    done(made, 8)
    made.apply({"kind": "end", "outcome": "applied"})
    state = made.state()
    assert (state.serial, state.complete, state.run, state.merged, state.instance) == (1, True, "r1", 18, "vc")
    for change in NEW_CHANGES:
        assert state.resources[change.address].attributes == change.after


def test_a_fact_that_a_later_step_ends_is_not_kept() -> None:
    """Maintenance mode, entered at the host's own door, ends in vCenter: state must not go on saying that it holds."""
    enter = step(9, ESX, "door.enter", {"door_maintenance": False}, {"door_maintenance": True})
    steps = (*NEW_HOST[:4], enter, *NEW_HOST[4:])
    ends = Operation("host.exit_maintenance", "Exit", "act", "", lambda _session, _call: None, irreversible="a test",
                     settles={"door_maintenance": None})
    made = Projector(None, plan_of(steps, NEW_CHANGES), Catalog(TYPES, {ends.name: ends}), "r1", "lin")
    made.apply({"kind": "head"})
    done(made, 1, 2, 3, 4, 9, 5, 6, 7)
    assert made.state().resources[ESX].facts["door_maintenance"] is True
    done(made, 8)
    assert made.state().resources[ESX].facts == {"staged": "sha", "password": "set", "in_maintenance": False}
    undone(made, 8)
    assert made.state().resources[ESX].facts["door_maintenance"] is True


@pytest.mark.parametrize("order", [(8, 7, 6, 5, 1), (7, 8, 6, 1, 5)])
def test_a_new_host_leaves_state_when_it_is_undone(order: tuple[int, ...]) -> None:
    made = projector(None, NEW_HOST, NEW_CHANGES)
    done(made, *range(1, 9))
    made.apply({"kind": "rollback"})
    undone(made, order[0])
    assert ESX in made.state().resources
    undone(made, *order[1:])
    assert made.state().resources == {}
    made.apply({"kind": "end", "outcome": "rolled-back"})
    assert made.state().resources == {}
    assert made.state().complete


def test_a_run_stopped_before_birth_leaves_nothing_of_the_host() -> None:
    made = projector(None, NEW_HOST, NEW_CHANGES)
    done(made, 1, 2)
    made.apply({"kind": "end", "outcome": "incomplete"})
    assert made.state().resources == {}
    assert not made.state().complete


REBORN = (
    step(1, ESX, "boot.stage", {"staged": None}, {"staged": "sha"}, "boot"),
    step(2, ESX, "birth.wait", None, None, "wait", back=False),
    step(3, ESX, "host.reconnect", {"connection": "notResponding"}, {"connection": "connected"}, back=False),
    step(4, GROUP, "portgroup.add", None, {"vlan": 20, "vswitch": "vSwitch0"}),
)
REBORN_CHANGES = (
    Change(SWITCH, Action.NOOP, {"mtu": 1500}, {"mtu": 1500}, adopted=True, assumed=True),
    Change(GROUP, Action.CREATE, None, {"vlan": 20, "vswitch": "vSwitch0"}, reason="restored as declared"),
)


def test_a_reborn_host_keeps_the_facts_of_its_birth_through_a_rollback() -> None:
    group = StateResource(GROUP, "adopted", {"vlan": 30, "vswitch": "vSwitch0"}, "pg-old")
    base = base_of(HOST, group)
    made = projector(base, REBORN, REBORN_CHANGES)
    done(made, 1)
    assert SWITCH not in made.state().resources  # adopted once the host is born
    done(made, 2, boot_time="t1", certificate="PEM")
    assert made.state().resources[SWITCH] == StateResource(SWITCH, "adopted", {"mtu": 1500})
    done(made, 3)
    done(made, 4, id="pg-new")
    restored = made.state().resources[GROUP]
    assert (restored.origin, restored.attributes["vlan"], restored.id) == ("created", 20, "pg-new")
    made.apply({"kind": "rollback"})
    undone(made, 4, 1)
    resources = made.state().resources
    assert set(resources) == {ESX, GROUP}
    assert resources[GROUP] == group
    assert resources[ESX] == replace(HOST, facts={
        "uuid": "u1", "boot_time": "t1", "certificate": "PEM", "connection": "connected"})


def test_settings_of_a_live_host_go_forward_and_back() -> None:
    steps = (step(1, SWITCH, "vswitch.mtu", {"mtu": 1500}, {"mtu": 9000}),
             step(2, SWITCH, "vswitch.uplink", {"uplink": "vmnic0"}, {"uplink": "vmnic1"}))
    change = Change(SWITCH, Action.UPDATE, {"mtu": 1500, "uplink": "vmnic0"}, {"mtu": 9000, "uplink": "vmnic1"})
    base = base_of(HOST, SWITCH_HERE)
    made = projector(base, steps, (change,))
    done(made, 1)
    assert made.state().resources[SWITCH] == replace(SWITCH_HERE, attributes={"mtu": 9000})
    done(made, 2, note="x")
    assert made.state().resources[SWITCH] == replace(SWITCH_HERE, attributes=change.after or {}, facts={"note": "x"})
    undone(made, 1)
    assert made.state().resources[SWITCH].attributes == {"mtu": 1500, "uplink": "vmnic1"}
    undone(made, 2)
    assert made.state().resources == base.resources
    assert made.state().outputs == {"old": 1}


def test_a_host_that_leaves_takes_its_children_along_and_brings_them_back() -> None:
    steps = (step(1, ESX, "host.enter_maintenance", {"in_maintenance": False}, {"in_maintenance": True}),
             step(2, ESX, "host.remove", {"name": "esx01", "mac": "aa"}, None))
    changes = (Change(ESX, Action.DELETE, HOST.attributes, None),
               Change(SWITCH, Action.FORGET, SWITCH_HERE.attributes, None, reason="leaves with its host"))
    base = base_of(HOST, SWITCH_HERE)
    made = projector(base, steps, changes)
    done(made, 1)
    assert set(made.state().resources) == {ESX, SWITCH}
    done(made, 2)
    assert made.state().resources == {}
    made.apply({"kind": "rollback"})
    made.apply({"kind": "undone", "step": "s2", "facts": {"id": "host-2"}})
    assert made.state().resources[ESX].facts == {**HOST.facts, "in_maintenance": True}
    assert made.state().resources[SWITCH] == SWITCH_HERE
    undone(made, 1)
    assert made.state().resources == {**base.resources, ESX: replace(HOST, id="host-2")}


def test_adoptions_forgets_and_moves_are_bookkeeping_that_a_rollback_takes_back() -> None:
    old = Address("host", "old")
    base = base_of(replace(HOST, address=old), replace(SWITCH_HERE, address=old.under("vswitch", "vSwitch0")),
                   StateResource(GROUP, "adopted", {"vlan": 1}))
    other = Address("host", "other")
    changes = (Change(GROUP, Action.FORGET, {"vlan": 1}, None),
               Change(other, Action.NOOP, {"name": "b", "mac": "bb"}, {"name": "b", "root_password": PASSWORD},
                      adopted=True))
    made = projector(base, (), changes, moved=[[str(old), str(ESX)]],
                     adopted={str(other): {"id": "host-3", "facts": {"uuid": "u3"}}})
    assert made.state().resources == {
        ESX: HOST, SWITCH: SWITCH_HERE,
        other: StateResource(other, "adopted", {"name": "b", "root_password": PASSWORD}, "host-3", {"uuid": "u3"})}
    made.apply({"kind": "end", "outcome": "applied"})
    assert made.state().serial == 5
    made.apply({"kind": "rollback"})
    assert made.state().resources == base.resources
    assert (made.state().serial, made.state().complete) == (6, False)
    made.apply({"kind": "end", "outcome": "rolled-back"})
    assert made.state().resources == base.resources
    assert made.state().complete


def test_what_live_has_already_is_recorded_and_what_is_blocked_is_not() -> None:
    there = Change(SWITCH, Action.NOOP, {"mtu": 9000}, {"mtu": 9000}, reason="recorded: live has it already")
    blocked = Change(ESX, Action.NOOP, {"name": "esx01"}, {"name": "new", "root_password": SecretRef("env:NEW")},
                     reason="blocked: disconnected by a person")
    made = projector(base_of(HOST, SWITCH_HERE), (), (there, blocked))
    made.apply({"kind": "end", "outcome": "applied"})
    assert made.state().resources[SWITCH].attributes == {"mtu": 9000}
    assert made.state().resources[ESX] == HOST


def test_replacing_forgets_the_old_object() -> None:
    steps = (step(1, GROUP, "portgroup.remove", {"vlan": 1}, None),
             step(2, GROUP, "portgroup.add", None, {"vlan": 1, "vswitch": "vSwitch1"}))
    old = StateResource(GROUP, "adopted", {"vlan": 1, "vswitch": "vSwitch0"}, "pg-1", {"note": "old"})
    change = Change(GROUP, Action.REPLACE, {"vlan": 1}, {"vlan": 1, "vswitch": "vSwitch1"})
    made = projector(base_of(HOST, old), steps, (change,))
    done(made, 1)
    assert GROUP not in made.state().resources
    done(made, 2, id="pg-2")
    assert made.state().resources[GROUP] == StateResource(GROUP, "created", change.after or {}, "pg-2")
    undone(made, 2)
    assert GROUP not in made.state().resources
    undone(made, 1)
    assert made.state().resources[GROUP] == old


def test_unknown_values_are_not_recorded_and_guards_not_taken_count_as_settled() -> None:
    steps = (step(1, SWITCH, "vswitch.mtu", {"mtu": Unknown("read after birth")}, {"mtu": 9000}),
             step(2, SWITCH, "vswitch.uplink", {"uplink": "a"}, {"uplink": Unknown("DHCP")}))
    change = Change(SWITCH, Action.UPDATE, {"mtu": Unknown("read after birth"), "uplink": "a"},
                    {"mtu": 9000, "uplink": Unknown("DHCP")}, adopted=True)
    made = projector(base_of(HOST), steps, (change,))
    assert made.state().resources[SWITCH].attributes == {"uplink": "a"}
    made.apply({"kind": "begin", "step": "s1", "live": {"mtu": 1450}})
    made.apply({"kind": "done", "step": "s1", "facts": {}})
    made.apply({"kind": "skipped", "step": "s2", "guard": "not-connected"})
    assert made.state().resources[SWITCH].attributes == {"mtu": 9000, "uplink": "a"}
    second = projector(base_of(HOST), steps, (change,))
    second.apply({"kind": "begin", "step": "s1", "live": {"mtu": 1450}})
    second.apply({"kind": "done", "step": "s1", "facts": {}})
    done(second, 2)
    undone(second, 1)
    assert second.state().resources[SWITCH].attributes == {"uplink": "a", "mtu": 1450}


def test_a_fact_that_became_null_is_gone() -> None:
    steps = (step(1, ESX, "boot.unstage", {"staged": "sha"}, {"staged": None}),)
    staged = replace(HOST, facts={**HOST.facts, "staged": "sha"})
    made = projector(base_of(staged), steps, ())
    done(made, 1)
    assert made.state().resources[ESX] == HOST
    undone(made, 1)
    assert made.state().resources[ESX] == staged


def test_records_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth, not time: twice the steps at one address, twice the work."""
    def work(count: int) -> int:
        steps = tuple(step(n, SWITCH, "vswitch.mtu", {"mtu": n}, {"mtu": n + 1}) for n in range(count))
        change = Change(SWITCH, Action.UPDATE, {"mtu": 0}, {"mtu": count})
        made = projector(base_of(HOST, SWITCH_HERE), steps, (change,))
        calls = 0
        original = made._effect

        def counted(*arguments: Any) -> StateResource | None:
            nonlocal calls
            calls += 1
            return original(*arguments)

        monkeypatch.setattr(made, "_effect", counted)
        done(made, *range(count))
        return calls

    assert work(200) == 2 * work(100)
