"""What failed in the last run is said again by a plan that would do it once more, and by no other."""

from __future__ import annotations

from pathlib import Path

from planner.cli.failures import failures, said_again
from planner.execute.engine import apply
from planner.model import Address, StepFailed
from planner.ports import StateStore
from state.local import open_store
from tests.support.toy import World, toy_engine, toy_fleet, toy_plan

BOX = Address("box", "b")
FAILURE = StepFailed("vCenter does not recognise it", "adding it anew would lose x", "plan again with --replace")


def failed(folder: Path) -> tuple[World, StateStore]:
    """The store after an apply in which painting the box failed."""
    world, store = World(), open_store(folder / ".fleet" / "toy", "toy", {})
    first = toy_fleet({"box.b": {"size": 1}})
    assert apply(toy_engine(first, world, store), toy_plan(first, world, store.read())).exit_code == 0
    wanted = toy_fleet({"box.b": {"size": 1, "color": "blue"}})

    def hook(point: str, step: str) -> None:
        if point == "before":
            raise FAILURE

    world.hook = hook
    assert apply(toy_engine(wanted, world, store), toy_plan(wanted, world, store.read())).exit_code != 0
    world.hook = lambda _point, _step: None
    return world, store


def test_it_is_said_until_it_was_done(tmp_path: Path) -> None:
    world, store = failed(tmp_path)
    wanted = toy_fleet({"box.b": {"size": 1, "color": "blue"}})
    (said,) = said_again(store, toy_plan(wanted, world, store.read()))
    assert (said.severity, said.address, said.remedy) == ("warning", BOX, "plan again with --replace")
    assert said.summary == f"this step failed in run {store.runs()[-1].run}: box.paint"
    assert said.detail == "vCenter does not recognise it: adding it anew would lose x"
    other = toy_fleet({"box.b": {"size": 2}})
    assert said_again(store, toy_plan(other, world, store.read())) == ()
    assert apply(toy_engine(wanted, world, store), toy_plan(wanted, world, store.read())).exit_code == 0
    again = toy_fleet({"box.b": {"size": 1, "color": "green"}})
    assert said_again(store, toy_plan(again, world, store.read())) == ()


def test_nothing_is_said_without_runs(tmp_path: Path) -> None:
    world, store = World(), open_store(tmp_path / ".fleet" / "toy", "toy", {})
    assert said_again(store, toy_plan(toy_fleet({"box.b": {"size": 1}}), world, None)) == ()


def test_a_failure_that_was_made_up_for_and_one_of_undoing_do_not_count() -> None:
    begin = {"kind": "begin", "step": "s1", "address": "box.b", "operation": "box.paint"}
    wrong = {"kind": "failed", "step": "s1", "error": "no", "remedy": "do"}
    done, undoing = {"kind": "done", "step": "s1"}, {"kind": "undoing", "step": "s1"}
    assert set(failures([begin, wrong])) == {("box.b", "box.paint")}
    assert failures([begin, wrong, begin, done]) == {}
    assert failures([begin, done, undoing, wrong]) == {}
