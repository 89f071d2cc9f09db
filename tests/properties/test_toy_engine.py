"""Random pairs of fleets, kill point, before or after the effect, and ending, on the toy world."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.execute.engine import apply, resume, rollback
from planner.execute.project import current_state
from planner.model import State
from state.local import open_store
from tests.support.places import quick_folder
from tests.support.toy import Killed, World, toy_catalog, toy_engine, toy_fleet, toy_plan

BOX = st.fixed_dictionaries({}, optional={
    "site": st.sampled_from(["site.a", "site.b"]), "size": st.integers(1, 3),
    "color": st.sampled_from(["red", "blue"]), "tags": st.sets(st.sampled_from("pqr")).map(sorted),
})


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    boxes = draw(st.dictionaries(st.sampled_from(["box.x", "box.y", "box.z"]), BOX, max_size=3))
    sites: set[str] = {str(b["site"]) for b in boxes.values() if "site" in b}
    sites |= draw(st.sets(st.sampled_from(["site.a", "site.b"])))
    return {**{s: {"name": draw(st.sampled_from(["A", "B"]))} for s in sorted(sites)}, **boxes}


def _apply(resources: dict[str, Any], world: World, store: Any) -> None:
    fleet = toy_fleet(resources)
    plan = toy_plan(fleet, world, store.read())
    outcome = apply(toy_engine(fleet, world, store), plan)
    assert outcome.exit_code == 0, outcome
    assert toy_plan(fleet, world, store.read()).empty


def _resources(state: State | None) -> Any:
    return state.resources if state else {}


@settings(max_examples=500, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=fleets(), second=fleets(), data=st.data())
def test_killed_apply_ends_right(first: dict[str, Any], second: dict[str, Any], data: st.DataObject) -> None:
    with quick_folder() as folder:
        store, world = open_store(folder, "toy", {}), World()
        _apply(first, world, store)
        before, base = dict(world.objects), store.read()
        fleet = toy_fleet(second)
        plan = toy_plan(fleet, world, base)
        if not plan.steps:
            return
        kill = (data.draw(st.sampled_from(["before", "after"])), data.draw(st.sampled_from(plan.steps)).id)

        def hook(point: str, step: str) -> None:
            if (point, step) == kill:
                raise Killed

        world.hook = hook
        calls = len(world.calls)
        try:
            apply(toy_engine(fleet, world, store), plan)
        except Killed:
            pass
        else:
            raise AssertionError("the kill point was not reached")
        world.hook = lambda _point, _step: None
        store = open_store(folder, "toy", {})
        assert current_state(store, toy_catalog()) is not None
        if data.draw(st.booleans(), label="resume"):
            assert resume(toy_engine(fleet, world, store)).exit_code == 0
            assert toy_plan(fleet, world, store.read()).empty
            assert [f"{s.operation} {s.address}" for s in plan.steps] == world.calls[calls:]
        else:
            assert rollback(toy_engine(fleet, world, store)).exit_code == 0
            assert world.objects == before
            assert _resources(store.read()) == _resources(base)


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=fleets(), second=fleets(), lost=st.sets(st.integers(1, 12)))
def test_lost_replies_are_read_back(first: dict[str, Any], second: dict[str, Any], lost: set[int]) -> None:
    with quick_folder() as folder:
        store, world = open_store(folder, "toy", {}), World()
        _apply(first, world, store)
        fleet = toy_fleet(second)
        plan = toy_plan(fleet, world, store.read())
        calls = len(world.calls)
        world.lost = {f"s{n:04}" for n in lost}
        assert apply(toy_engine(fleet, world, store), plan).exit_code == 0
        assert toy_plan(fleet, world, store.read()).empty
        assert [f"{s.operation} {s.address}" for s in plan.steps] == world.calls[calls:]
        before = dict(world.objects)
        if not plan.steps:
            return
        assert rollback(toy_engine(fleet, world, store)).exit_code == 0
        _apply(second, world, store)
        assert world.objects == before
