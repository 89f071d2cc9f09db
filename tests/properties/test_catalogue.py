"""The main job over the whole catalogue: every type alone with what it stands on, and random fleets of all of them.

Held in each example: an apply leaves nothing to plan; killed at any step, before or after the effect, `resume` finishes
it with exactly the reviewed calls; `rollback` leaves live as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, event, given, seed, settings
from hypothesis import strategies as st

from planner.execute.engine import apply, resume, rollback
from planner.execute.project import current_state
from planner.model import FleetError, Plan, Step
from tests.properties.test_main_job import calls_made, facts_are_true, newborn, reviewed, skipped_steps
from tests.support.breadth import Objects, covered, needed, seed_of, sites
from tests.support.lab import CATALOG, Killed, Lab, Opened, fleet
from tests.support.places import quick_folder

SETTINGS = settings(deadline=None, report_multiple_bugs=False, database=None,
                    phases=(Phase.explicit, Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck))
APART = ("machines", "power", "connections", "passwords")
"""Of a dump: what an apply announces that it cannot take back (machines are looked at one by one)."""

MISSING: frozenset[str] = frozenset()
"""Types of the catalogue that have no strategy yet. It must be empty when a version is released."""


def test_every_type_has_a_strategy() -> None:
    """A new type needs one in `tests/properties/breadth/<domain>.py`; the host is the harness's own."""
    assert set(CATALOG.types) - {"host"} - set(covered()) == MISSING


def planned(opened: Opened) -> Plan | None:
    """The plan, or None where the drawn fleets refuse each other (a name that a host would not give, …)."""
    try:
        return opened.plan()
    except FleetError as refused:
        errors = [problem for problem in refused.diagnostics if problem.severity == "error"]
        if not errors or any(not problem.remedy for problem in errors):
            raise AssertionError("a refusal without a remedy") from refused
        return None


def applied(opened: Opened, plan: Plan) -> None:
    since = len(opened.house.calls)
    outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    again = opened.plan()
    assert again.empty, ([str(s) for s in again.steps], [str(c) for c in again.changes])
    facts_are_true(opened)
    if outcome.run:
        assert calls_made(opened, since) == reviewed(plan, skipped_steps(opened, outcome.run))


def unchanged(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Live is as it was; a machine that was off before and runs now is as it was born."""
    for key in before.keys() - set(APART):
        assert now[key] == before[key], key
    for mac, machine in now["machines"].items():
        assert machine == (before["machines"].get(mac) or newborn(mac, machine["image"])), mac


def untold(step: Step) -> bool:
    """Whether nobody can tell if this step took effect: live does not show it, or not what it changes (a password)."""
    operation, fields = CATALOG.operations[step.operation], CATALOG.types[step.address.rtype].fields
    shown = [{k: v for k, v in (a or {}).items() if k not in fields or fields[k].observed}
             for a in (step.before, step.after)]
    return operation.again or (operation.observe is None and None not in (step.before, step.after)
                               and shown[0] == shown[1])


def there_already(opened: Opened, run: str, step: str) -> set[str]:
    """The step killed before its effect, where live had that by itself (a newborn's value, unknown to the plan): the
    read-back takes it as done, and nobody calls."""
    begun = [r for r in opened.store.records(run) if r.get("step") == step and r["kind"] == "begin"]
    wanted, live = begun[0]["after"] or {}, begun[0]["live"] or {}
    met = len(begun) == 1 and wanted and all(k in live and live[k] == v for k, v in wanted.items())
    return {step} if met else set()


def run(first: Objects, second: Objects, kill: tuple[str, int], ending: str, folder: Path) -> str:
    """One example; says what became of it. `kill`: before or after the effect of which step (modulo their number)."""
    lab = Lab(folder)
    opened = lab.open(fleet(first))
    plan = planned(opened)
    if plan is None:
        return "the first fleet is refused"
    applied(opened, plan)
    opened = lab.open(fleet(second))
    plan = planned(opened)
    if plan is None:
        return "the second fleet is refused"
    killable = [s for s in plan.steps if s.kind in ("call", "boot", "wait")]
    if kill[0] == "never" or not killable:
        applied(opened, plan)
        return "applied" if killable else "nothing to do"
    before, base, since = opened.dump(), opened.store.read(), len(opened.house.calls)
    point = (kill[0], killable[kill[1] % len(killable)].id)

    def hook(where: str, step: str) -> None:
        if (where, step) == point:
            raise Killed

    lab.hook = hook
    try:
        outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    except Killed:
        lab.hook = lambda _where, _step: None
    else:
        assert outcome.exit_code == 0, outcome
        return "its guard was not taken"
    calls = calls_made(opened, since)
    opened = lab.open(fleet(second))
    if ending == "resume":
        outcome = resume(opened.engine())
        assert outcome.exit_code == 0, outcome
        again = opened.plan()
        assert again.empty, ([str(s) for s in again.steps], [str(c) for c in again.changes])
        facts_are_true(opened)
        if point[0] == "after" and untold(next(s for s in plan.steps if s.id == point[1])):  # it is made once more
            calls.pop()
        done = there_already(opened, outcome.run, point[1]) if point[0] == "before" else set()
        assert calls + calls_made(opened, 0) == reviewed(plan, skipped_steps(opened, outcome.run) | done)
    else:
        outcome = rollback(opened.engine())
        assert outcome.exit_code == 0, outcome
        now = current_state(opened.store, CATALOG)
        assert {a: (r.origin, r.attributes) for a, r in (now.resources if now else {}).items()} == {
            a: (r.origin, r.attributes) for a, r in (base.resources if base else {}).items()}
        unchanged(before, opened.dump())
    return f"killed, {ending}"


KILLS = st.tuples(st.sampled_from(["before", "after", "never"]), st.integers(0, 60))
ENDINGS = st.sampled_from(["resume", "rollback"])


def pairs(first: st.SearchStrategy[Objects], second: st.SearchStrategy[Objects], number: int, examples: int,
          most_idle: float) -> Callable[[], None]:
    """`examples` pairs, the same ones on every run. Fails where more than this part of them say nothing."""
    ends: list[str] = []

    @seed(number)
    @settings(SETTINGS, max_examples=examples)
    @given(first=first, second=second, kill=KILLS, ending=ENDINGS)
    def example(first: Objects, second: Objects, kill: tuple[str, int], ending: str) -> None:
        with quick_folder() as folder:
            ends.append(run(first, second, kill, ending, folder))
            event(ends[-1])

    def whole() -> None:
        cast(Callable[[], None], example)()
        idle = sum(end.endswith("refused") or end == "nothing to do" for end in ends)
        assert idle <= len(ends) * most_idle, f"{idle} of {len(ends)} examples say nothing"

    return whole


@pytest.mark.slow
@pytest.mark.parametrize("name", covered())
def test_each_type(name: str) -> None:
    """The type and what it stands on: added, changed, taken away."""
    types = needed(name)
    drawn = sites(types, always=(name,))
    unborn = sites(types, hosts=())
    pairs(drawn | unborn, sites(types) | drawn, seed_of(name), 12, 0.5)()


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(4))
def test_all_types_together(shard: int) -> None:
    pairs(sites(), sites(), shard, 40, 0.6)()


@pytest.mark.slow
def test_all_types_on_two_hosts() -> None:
    hosts = ("esx01", "esx02")
    pairs(sites(hosts=hosts), sites(hosts=hosts) | sites(), 11, 24, 0.6)()
