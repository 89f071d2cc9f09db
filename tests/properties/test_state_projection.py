"""State is always what the journal says, and never loses a step, wherever the process dies."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.execute.engine import apply, resume, rollback
from planner.execute.project import Projector, base_of, current_state, is_open, settle
from planner.model import Address, SecretRef, State, StateResource, Step, Unknown, contains_unknown
from planner.plan import decode_plan
from state.document import Encoder, load
from state.local import LocalStore
from tests.properties.test_toy_engine import fleets
from tests.support.toy import Killed, World, toy_catalog, toy_engine, toy_fleet, toy_plan

CATALOG = toy_catalog()


def _killed_apply(store: LocalStore, world: World, resources: dict[str, Any], record: int) -> None:
    """Apply, and die right after the journal's record of that number (or not at all)."""
    fleet = toy_fleet(resources)
    plan = toy_plan(fleet, world, settle(store, CATALOG))
    begin = store.begin

    def dying(run: str, data: bytes) -> Any:
        journal = begin(run, data)
        append, left = journal.append, [record]

        def counted(one: dict[str, Any]) -> None:
            append(one)
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        journal.append = counted  # type: ignore[method-assign,assignment]
        return journal

    store.begin = dying  # type: ignore[method-assign,assignment]
    with contextlib.suppress(Killed):
        apply(toy_engine(fleet, world, store), plan)


@settings(max_examples=120, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=fleets(), second=fleets(), record=st.integers(1, 25), data=st.data())
def test_a_killed_run_is_projected_in_full(first: dict[str, Any], second: dict[str, Any], record: int,
                                           data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World()
        _killed_apply(LocalStore(Path(folder), "toy"), world, first, 0)
        base = LocalStore(Path(folder), "toy").read()
        _killed_apply(LocalStore(Path(folder), "toy"), world, second, record)
        store = LocalStore(Path(folder), "toy")
        state = current_state(store, CATALOG)
        runs = store.runs()
        if state is None or state == base:
            return
        info = runs[-1]
        records = store.records(info.run)
        plan = decode_plan(store.plan(info.run))
        done = {r["step"] for r in records if r["kind"] == "done"}
        _agrees_with(state, world, plan.steps, done)

        if not is_open(info.outcome):  # it died after its last record: nothing may be missing for the next run
            for change in plan.changes:
                if change.after is not None:
                    assert state.resources[change.address].attributes == {
                        k: v for k, v in change.after.items() if not contains_unknown(v)}
            assert settle(store, CATALOG) == LocalStore(Path(folder), "toy").read()
        undone = data.draw(st.permutations([s for s in plan.steps if s.id in done]))
        projector = Projector(base_of(store, info), plan, CATALOG, info.run, "")
        for one in [*records, {"kind": "rollback"}, *({"kind": "undone", "step": s.id} for s in undone)]:
            projector.apply(one)
        assert projector.state().resources == (base.resources if base else {})


def _agrees_with(state: State, world: World, steps: tuple[Step, ...], done: set[str]) -> None:
    """An object whose last step is done is in state as it is on live; one whose removal is done is not."""
    last = {}
    for step in steps:
        if step.id in done:
            last[step.address] = step
    begun = {s.address for s in steps if s.id not in done}
    for address, step in last.items():
        assert (address in state.resources) == (step.after is not None)
        if address in state.resources and address not in begun:
            live = world.objects[address]
            recorded = state.resources[address].attributes
            assert recorded == {k: live[k] for k in recorded}


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(runs=st.lists(fleets(), min_size=2, max_size=4))
def test_runs_are_undone_one_after_another_and_serials_only_rise(runs: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, world = LocalStore(Path(folder), "toy"), World()
        before: list[Mapping[Address, StateResource]] = []
        for resources in runs:
            state = store.read()
            fleet = toy_fleet(resources)
            outcome = apply(toy_engine(fleet, world, store), toy_plan(fleet, world, state))
            assert outcome.exit_code == 0
            if outcome.run:
                before.append(state.resources if state else {})
        serials = [s.serial for s in store.history()]
        for earlier in reversed(before):
            assert rollback(toy_engine(toy_fleet({}), world, store)).exit_code == 0
            state = store.read()
            assert state is not None
            assert state.resources == earlier
            serials.append(state.serial)
        assert serials == sorted(set(serials))
        assert list(store.verify()) == []


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=fleets(), second=fleets(), record=st.integers(1, 12))
def test_an_interrupted_rollback_is_finished(first: dict[str, Any], second: dict[str, Any], record: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World()
        _killed_apply(LocalStore(Path(folder), "toy"), world, first, 0)
        before, base = dict(world.objects), LocalStore(Path(folder), "toy").read()
        _killed_apply(LocalStore(Path(folder), "toy"), world, second, 0)
        store = LocalStore(Path(folder), "toy")
        if store.read() == base:
            return
        calls = [record]

        def hook(_point: str, _step: str) -> None:
            calls[0] -= 1
            if calls[0] == 0:
                raise Killed

        world.hook = hook
        try:
            rollback(toy_engine(toy_fleet(second), world, store))
        except Killed:
            world.hook = lambda _point, _step: None
            store = LocalStore(Path(folder), "toy")
            assert current_state(store, CATALOG) is not None
            assert resume(toy_engine(toy_fleet(second), world, store)).exit_code == 0
        state = store.read()
        assert state is not None
        assert state.resources == (base.resources if base else {})
        assert world.objects == before
        assert list(store.verify()) == []


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8) | st.builds(Unknown, st.text("ab"))
    | st.builds(SecretRef, st.just("env:X")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
ADDRESSES = st.builds(Address, st.just("host"), st.sampled_from(["a", "b"]), st.text("x\"\\]é\n.", max_size=4),
                      st.sampled_from(["", "portgroup"])).map(
    lambda a: a.under("portgroup", "VM \"x\"]") if a.child_type else a)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.dictionaries(ADDRESSES, st.tuples(
    st.dictionaries(st.text("abc", max_size=3), VALUES, max_size=3), VALUES)))
def test_any_state_survives_its_document(data: dict[Address, Any]) -> None:
    resources = {a: StateResource(a, "created", attributes, "id", {"fact": fact})
                 for a, (attributes, fact) in data.items()}
    state = State("lin", 3, "lab", "vc", resources, {"out": [Unknown("x")]}, "r", 5, False)
    document = b"".join(Encoder().encode(state))
    assert load(document, "state.json", remedy="") == state
