"""build_plan: needs, targets, guards against the wrong vCenter; plan files."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from planner.execute.engine import apply, resume, rollback
from planner.model import (
    Action,
    Address,
    Change,
    FleetError,
    Incomplete,
    Inverse,
    Lifecycle,
    Stale,
    State,
    StateResource,
)
from planner.plan import decode_plan, encode_plan, is_plan
from state.local import open_store
from tests.support.toy import World, toy_engine, toy_fleet, toy_plan

TWO: dict[str, dict[str, Any]] = {"site.a": {"name": "A"}, "box.x": {"site": "site.a", "tags": ["q"]}, "box.y": {}}


def _names(plan: Any) -> list[str]:
    return [f"{s.operation} {s.address}" for s in plan.steps]


def test_what_is_referred_to_is_created_first_and_destroyed_last(tmp_path: Path) -> None:
    world, store, fleet = World(), open_store(tmp_path, "toy", {}), toy_fleet(TWO)
    plan = toy_plan(fleet, world, None)
    assert _names(plan) == ["site.create site.a", "box.create box.x", "box.tag box.x", "box.create box.y"]
    assert plan.steps[1].needs == ("s0001",)
    assert apply(toy_engine(fleet, world, store), plan).exit_code == 0
    down = toy_plan(fleet, world, store.read(), destroy=True)
    assert _names(down) == ["box.untag box.x", "box.destroy box.x", "box.destroy box.y", "site.destroy site.a"]
    assert apply(toy_engine(fleet, world, store), down).exit_code == 0
    assert not world.objects


def test_target_takes_what_it_needs_and_exclude_what_needs_it() -> None:
    world, fleet = World(), toy_fleet(TWO)
    assert _names(toy_plan(fleet, world, None, targets=(Address.parse("box.x"),)))[0] == "site.create site.a"
    assert len(toy_plan(fleet, world, None, targets=(Address.parse("box.y"),)).steps) == 1
    assert _names(toy_plan(fleet, world, None, excludes=(Address.parse("site.a"),))) == ["box.create box.y"]


@pytest.mark.parametrize("option", ["targets", "excludes", "replaces"])
@pytest.mark.parametrize("name", ["box.nobody", 'box.x["key"]', "box.x.lid"])
def test_an_address_that_names_nothing_is_an_error(option: str, name: str) -> None:
    with pytest.raises(FleetError, match="no such address") as caught:
        toy_plan(toy_fleet(TWO), World(), None, **{option: (Address.parse("box.x"), Address.parse(name))})
    assert [d.detail for d in caught.value.diagnostics] == [name]


def test_what_only_state_knows_can_be_a_target() -> None:
    _fleet, world, state = _applied_one()
    assert _names(toy_plan(toy_fleet({"box.x": {}}), world, state, targets=(Address.parse("box.y"),))) == [
        "box.destroy box.y"]


def test_replace_names_one_declared_object() -> None:
    fleet, world, state = _applied_one()
    with pytest.raises(FleetError, match="one declared object"):
        toy_plan(toy_fleet({}), world, state, replaces=(Address.parse("box.y"),))
    assert _names(toy_plan(fleet, world, state, replaces=(Address.parse("box.y"),))) == [
        "box.destroy box.y", "box.create box.y"]


def test_prevent_destroy() -> None:
    fleet, world, state = _applied_one()
    resources = {a: replace(r, lifecycle=Lifecycle(prevent_destroy=True)) for a, r in fleet.resources.items()}
    with pytest.raises(FleetError, match="prevent_destroy"):
        toy_plan(replace(fleet, resources=resources), world, state, destroy=True)


def _applied_one() -> tuple[Any, World, State]:
    fleet, world = toy_fleet({"box.y": {}}), World()
    address = Address.parse("box.y")
    world.objects[address] = {"size": 1, "color": "red", "tags": []}
    return fleet, world, State("l", 1, "toy", "toy-instance",
                               {address: StateResource(address, "created", {"size": 1, "color": "red"})})


def test_state_of_another_vcenter_is_refused() -> None:
    fleet, world, state = _applied_one()
    with pytest.raises(FleetError, match="another vCenter") as caught:
        toy_plan(fleet, world, replace(state, instance="production"))
    assert caught.value.exit_code == 1


def test_moved_keeps_the_object() -> None:
    _fleet, world, state = _applied_one()
    old, new = Address.parse("box.y"), Address.parse("box.z")
    world.objects[new] = world.objects.pop(old)
    moved = toy_fleet({"box.z": {}}, moved=((old, new),))
    plan = toy_plan(moved, world, state)
    assert not plan.steps
    assert plan.empty
    assert [(str(c.address), c.action, c.reason) for c in plan.changes] == [
        ("box.z", Action.NOOP, "moved from box.y")]


def test_a_move_is_recorded_by_apply_and_then_needs_no_block(tmp_path: Path) -> None:
    world, store = World(), open_store(tmp_path, "toy", {})
    first = toy_fleet({"box.y": {}})
    assert apply(toy_engine(first, world, store), toy_plan(first, world, None)).exit_code == 0
    old, new = Address.parse("box.y"), Address.parse("box.z")
    world.objects[new] = world.objects.pop(old)
    moved = toy_fleet({"box.z": {}}, moved=((old, new),))
    assert apply(toy_engine(moved, world, store), toy_plan(moved, world, store.read())).exit_code == 0
    bare = toy_fleet({"box.z": {}})
    assert not toy_plan(bare, world, store.read()).changes
    assert rollback(toy_engine(bare, world, store)).exit_code == 0
    state = store.read()
    assert state is not None
    assert set(state.resources) == {old}


def test_drift_is_apart_from_changes() -> None:
    fleet, world, state = _applied_one()
    world.objects[Address.parse("box.y")]["color"] = "blue"
    plan = toy_plan(fleet, world, state)
    (drift,) = plan.drift
    assert (str(drift.address), drift.attribute, drift.expected, drift.found) == ("box.y", "color", "red", "blue")
    assert not plan.steps  # `color` is unset in the file: left as it is


@pytest.mark.parametrize("compress", [False, True])
def test_plan_files_read_back(compress: bool) -> None:
    plan = toy_plan(toy_fleet(TWO), World(), None)
    data = encode_plan(plan, compress=compress)
    assert is_plan(data)
    assert decode_plan(data) == plan


@pytest.mark.parametrize(("data", "words"), [
    (b"{}", "not a plan file"), (b"\x1f\x8bxx", "damaged"), (b"{", "damaged"),
    (b'{"kind":"fleet.plan","format":9}', "format"), (b'{"kind":"fleet.plan","format":1}', "damaged"),
    (gzip.compress(b"nonsense", mtime=0), "damaged"),
])
def test_damaged_plan_files_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(FleetError, match=words):
        decode_plan(data)


def test_a_plan_goes_stale(tmp_path: Path) -> None:
    world, store, fleet = World(), open_store(tmp_path, "toy", {}), toy_fleet(TWO)
    plan = toy_plan(fleet, world, None)
    with pytest.raises(Stale, match="configuration changed"):
        apply(toy_engine(replace(fleet, digest="other"), world, store), plan)
    world.objects[Address.parse("box.y")] = {"size": 9, "color": "red", "tags": []}
    with pytest.raises(Stale, match=r"box\.y changed on live") as caught:
        apply(toy_engine(fleet, world, store), plan)
    assert caught.value.exit_code == 5
    del world.objects[Address.parse("box.y")]
    assert apply(toy_engine(fleet, world, store), plan).exit_code == 0
    with pytest.raises(Stale, match="a state exists now"):
        apply(toy_engine(fleet, world, store), plan)


def test_a_change_between_plan_and_step_fails_that_step_and_resume_goes_on(tmp_path: Path) -> None:
    world, store, fleet = World(), open_store(tmp_path, "toy", {}), toy_fleet(TWO)
    assert apply(toy_engine(fleet, world, store), toy_plan(fleet, world, None)).exit_code == 0
    changed = toy_fleet({**TWO, "box.x": {"site": "site.a", "tags": ["q"], "color": "blue"}, "box.y": {"size": 5}})
    plan = toy_plan(changed, world, store.read())
    box = world.objects[Address.parse("box.y")]

    def hook(point: str, step: str) -> None:
        if point == "after" and step == "s0001":
            box["size"] = 7

    world.hook = hook
    outcome = apply(toy_engine(changed, world, store), plan)
    assert outcome.exit_code == 3
    assert "size is 7, expected 1" in outcome.failures[0][1]
    assert box["size"] == 7
    with pytest.raises(Incomplete, match="not complete"):
        apply(toy_engine(changed, world, store), plan)
    box["size"] = 1
    assert resume(toy_engine(changed, world, store)).exit_code == 0
    assert rollback(toy_engine(changed, world, store)).exit_code == 0
    assert world.objects[Address.parse("box.y")]["size"] == 1
    with pytest.raises(FleetError, match="no run is open"):
        resume(toy_engine(changed, world, store))


@pytest.mark.parametrize("how", [
    {"operation": "box.vanish"}, {"needs": ("s0099",)}, {"when": "some-guard"}, {"address": Address("crate", "x")},
    {"inverse": Inverse("box.vanish", None, None)}])
def test_a_plan_that_cannot_be_run_starts_no_run(tmp_path: Path, how: dict[str, Any]) -> None:
    world, store, fleet = World(), open_store(tmp_path, "toy", {}), toy_fleet(TWO)
    plan = toy_plan(fleet, world, None)
    plan = replace(plan, steps=(replace(plan.steps[0], **how), *plan.steps[1:]))
    with pytest.raises(FleetError, match="cannot run this plan"):
        apply(toy_engine(fleet, world, store), plan)
    assert not store.runs()


def test_a_plan_file_that_was_edited_is_refused() -> None:
    data = encode_plan(toy_plan(toy_fleet(TWO), World(), None))
    assert decode_plan(msgspec.json.encode(msgspec.json.decode(data), order="deterministic")).steps
    with pytest.raises(FleetError, match="changed after it was made"):
        decode_plan(data.replace(b'"q"', b'"z"'))


def test_a_plan_of_blocked_hosts_only_is_idle() -> None:
    blocked = Change(Address("box", "x"), Action.NOOP, {}, {}, reason="blocked: somebody disconnected it")
    plan = replace(toy_plan(toy_fleet({}), World(), None), changes=(blocked,))
    assert plan.idle
    assert not replace(plan, changes=(replace(blocked, reason="moved from box.y"),)).idle
    assert not replace(plan, changes=(replace(blocked, adopted=True),)).idle
