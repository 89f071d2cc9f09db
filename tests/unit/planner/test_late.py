"""Values that only apply can know: filled in before the call, in the journal, in state, and on the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import Engine, Outcome, apply, resume, rollback
from planner.execute.project import current_state
from planner.model import Address, Attrs, Fleet, FleetError, State, Unknown
from state.local import open_store
from tests.support.toy import Killed, World, toy_catalog, toy_engine, toy_fleet, toy_plan

X, Y = Address.parse("box.x"), Address.parse("box.y")


LATER = Unknown("box.x.size")


def fleet(size: Any = LATER) -> Fleet:
    """The size of y is known when x exists."""
    return replace(toy_fleet({"box.x": {"size": 7}, "box.y": {"size": size, "color": "blue"}}), digest="d")


class Lab:
    def __init__(self, folder: Path) -> None:
        self.world, self.store = World(), open_store(folder, "toy", {})

    def resolve(self, state: State) -> dict[Address, Attrs]:
        known = state.resources.get(X)
        return {Y: fleet(known.attributes["size"] if known else LATER).resources[Y].attributes}

    def engine(self, **more: Any) -> Engine:
        return replace(toy_engine(fleet(), self.world, self.store), **{"resolve": self.resolve, **more})

    def apply(self, **more: Any) -> Outcome:
        return apply(self.engine(**more), toy_plan(fleet(), self.world, self.store.read()))

    @property
    def recorded(self) -> Attrs:
        state = current_state(self.store, toy_catalog())
        assert state is not None
        return state.resources[Y].attributes


def test_the_call_and_state_get_the_value(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.apply().exit_code == 0
    assert (lab.world.objects[Y]["size"], lab.recorded["size"]) == (7, 7)
    assert toy_plan(fleet(7), lab.world, lab.store.read()).empty
    assert rollback(lab.engine()).exit_code == 0
    assert not lab.world.objects


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("ending", [resume, rollback])
def test_killed_in_that_step(tmp_path: Path, point: str, ending: Any) -> None:
    lab = Lab(tmp_path)

    def hook(at: str, step: str) -> None:
        if (at, step) == (point, "s0002"):
            raise Killed

    lab.world.hook = hook
    with pytest.raises(Killed):
        lab.apply()
    lab.world.hook = lambda _point, _step: None
    assert ending(lab.engine()).exit_code == 0
    if ending is rollback:
        assert not lab.world.objects
    else:
        assert (lab.world.objects[Y]["size"], lab.recorded["size"]) == (7, 7)
        assert lab.world.calls.count("box.create box.y") == 1


def test_a_value_that_stays_unknown_stops_that_step(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    outcome = lab.apply(resolve=lambda _state: {})
    assert outcome.exit_code == 3
    assert "still not known" in outcome.failures[0][1]
    assert Y not in lab.world.objects


def test_a_fleet_with_errors_by_now_stops_that_step(tmp_path: Path) -> None:
    def broken(_state: State) -> dict[Address, Attrs]:
        raise FleetError("not an IPv4 address")

    outcome = Lab(tmp_path).apply(resolve=broken)
    assert outcome.exit_code == 3
    assert "not an IPv4 address" in outcome.failures[0][1]


# --- lists --------------------------------------------------------------------------------------------------


class Lists(Lab):
    """Lists of y whose items are known when x exists. `learnt`: what they turn out to be."""

    def __init__(self, folder: Path, planned: Any, learnt: Any, now: Any = None) -> None:
        super().__init__(folder)
        self.planned, self.learnt = planned, learnt
        self.world.objects[Y] = {"site": "", "size": 1, "color": "red", "tags": [], "names": [], **(now or {})}

    def wanted(self, values: Any) -> Fleet:
        return replace(toy_fleet({"box.x": {"size": 7}, "box.y": values}), digest="d")

    def resolve(self, state: State) -> dict[Address, Attrs]:
        return {Y: self.learnt if X in state.resources else self.planned}

    def engine(self, **more: Any) -> Engine:
        return replace(toy_engine(self.wanted(self.planned), self.world, self.store), resolve=self.resolve, **more)

    def apply(self, **more: Any) -> Outcome:
        return apply(self.engine(**more), toy_plan(self.wanted(self.planned), self.world, self.store.read()))


def test_a_list_that_one_call_sets_gets_its_items(tmp_path: Path) -> None:
    lab = Lists(tmp_path, {"names": ["a", LATER]}, {"names": ["a", "seven"]})
    assert lab.apply().exit_code == 0
    assert (lab.world.objects[Y]["names"], lab.recorded["names"]) == (["a", "seven"], ["a", "seven"])
    assert toy_plan(lab.wanted(lab.learnt), lab.world, lab.store.read()).empty
    assert rollback(lab.engine()).exit_code == 0
    assert lab.world.objects[Y]["names"] == []


@pytest.mark.parametrize(("learnt", "calls"), [
    (["a", "m", "z"], 3), (["a", "z"], 2), (["a"], 1),  # two that turn out to be one, or one that is there
])
def test_a_list_of_a_call_per_item_gets_its_items(tmp_path: Path, learnt: list[str], calls: int) -> None:
    planned = {"tags": ["a", LATER, Unknown("box.x.color")]}
    lab = Lists(tmp_path, planned, {"tags": learnt}, {"tags": ["old"]})
    assert lab.apply().exit_code == 0
    assert lab.world.objects[Y]["tags"] == learnt
    assert [c.split()[0] for c in lab.world.calls if "box.y" in c] == ["box.untag"] + ["box.tag"] * calls
    assert toy_plan(lab.wanted({"tags": learnt}), lab.world, lab.store.read()).empty
    assert rollback(lab.engine()).exit_code == 0
    assert lab.world.objects[Y]["tags"] == ["old"]
    assert X not in lab.world.objects


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("step", range(1, 6))
@pytest.mark.parametrize("ending", [resume, rollback])
def test_killed_between_items(tmp_path: Path, point: str, step: int, ending: Any) -> None:
    planned = {"tags": ["a", LATER, Unknown("box.x.color")]}
    lab = Lists(tmp_path, planned, {"tags": ["a", "m", "z"]}, {"tags": ["old"]})

    def hook(at: str, number: str) -> None:
        if (at, number) == (point, f"s{step:04}"):
            raise Killed

    lab.world.hook = hook
    with pytest.raises(Killed):
        lab.apply()
    lab.world.hook = lambda _point, _step: None
    assert ending(lab.engine()).exit_code == 0
    assert lab.world.objects[Y]["tags"] == (["old"] if ending is rollback else ["a", "m", "z"])
    assert (X in lab.world.objects) is (ending is resume)


def test_how_many_steps_a_list_takes_must_be_known(tmp_path: Path) -> None:
    """Before: all that the list had was removed, and then the run stopped."""
    lab = Lists(tmp_path, {"tags": LATER}, {"tags": ["a"]}, {"tags": ["old"]})
    with pytest.raises(FleetError, match="must be known when it is planned") as caught:
        lab.apply()
    assert caught.value.diagnostics[0].address == Y
    assert lab.world.objects[Y]["tags"] == ["old"]
    assert not lab.world.calls
