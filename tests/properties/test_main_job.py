"""The main job: random pairs of fleets, kill point, before or after the effect, and ending, on twin and catalogue."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from planner.execute.engine import apply, resume, rollback
from planner.execute.project import current_state
from planner.model import Address, FleetError, Plan, Step
from tests.support.lab import CATALOG, Killed, Lab, Opened, fleet
from tests.support.lab_fleets import EDITED, FIRST, HOSTS, fleets
from tests.support.memory_boot import BUILDS, VERSION
from tests.support.places import quick_folder

SETTINGS = settings(deadline=None, report_multiple_bugs=False, derandomize=True, database=None,
                    suppress_health_check=list(HealthCheck))


def begun(lab: Lab, resources: dict[str, Any]) -> None:
    """Apply a first fleet, whole; afterwards there is nothing to plan."""
    opened = lab.open(fleet(resources))
    plan = opened.plan()
    outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    facts_are_true(opened)
    again = opened.plan()
    assert again.empty, [str(s) for s in again.steps] + [str(c) for c in again.changes]


def facts_are_true(opened: Opened) -> None:
    """What state says of hosts beside their attributes is what live shows, and does, once a run has ended."""
    state = current_state(opened.store, CATALOG)
    live = opened.session.snapshot(opened.fleet, state.resources if state else {})
    for mac, machine in opened.dump()["machines"].items():  # ntpd follows the servers that it is to follow
        config = machine["config"]
        running = config["services"].get("ntpd", {}).get("running")
        assert config["ntp_heard"] == (config["ntp"] if running else []), mac
    for address, host in live.hosts.items():
        facts = state.resources[address].facts if state and address in state.resources else {}
        shown = {"uuid": host.uuid, "connection": host.connection, "in_maintenance": host.in_maintenance,
                 "door_maintenance": host.in_maintenance}
        assert {k: facts[k] for k in shown if k in facts} == {k: v for k, v in shown.items() if k in facts}, address


def restored(before: dict[str, Any], now: dict[str, Any]) -> None:
    """The inventory is as before, less what a plan announces as irreversible: a machine's power, boot and password.

    A machine that was off before and runs now must at least be as it was born.
    """
    kept = ("inventory", "hosts", "datastores", "vms", "networks")
    assert {k: now.get(k) for k in kept} == {k: before.get(k) for k in kept}
    for mac, machine in now["machines"].items():
        was = before["machines"].get(mac) or newborn(mac, machine["image"])
        assert machine == was, mac


@functools.cache
def newborn(mac: str, image: str) -> Any:
    """The dump of a machine right after its birth."""
    from providers.twin.house import MachineSpec, open_house

    name = {"11": "esx01", "12": "esx02"}[mac[-2:]]
    house = open_house(None, "lab", machines=[MachineSpec(mac, f"{name}.lab.example")], writable=True)
    house.complete_boot(mac, build=BUILDS[image], version=VERSION, image=image)
    return house.dump()["machines"][mac]


def calls_made(opened: Opened, since: int) -> list[str]:
    return [c.method for c in opened.house.calls[since:]]


def reviewed(plan: Plan, skipped: set[str]) -> list[str]:
    return [CATALOG.operations[s.operation].call for s in plan.steps if s.kind == "call" and s.id not in skipped]


def skipped_steps(opened: Opened, run: str) -> set[str]:
    return {r["step"] for r in opened.store.records(run) if r["kind"] == "skipped"}


@dataclass(frozen=True)
class Night:
    """What happens to the lab between the first apply and the second plan: these hosts lose power.

    `late`: vCenter has not noticed yet and still shows them connected when the plan's reconnection comes.
    """

    hosts: tuple[str, ...] = ()
    late: bool = False

    def fall(self, opened: Opened, first: dict[str, Any]) -> tuple[str, ...]:
        macs = [first[f'host.esx["{h}"]']["mac"] for h in self.hosts if f'host.esx["{h}"]' in first]
        for mac in macs:
            opened.house.power(mac, "off")
        return tuple(macs)


REFUSALS = (
    "another name",  # a vmk that the host would call something else
    "in use by a sibling",  # an uplink of a vSwitch that nobody declares now
    "gets no other image by itself",  # a host that boots from its own disk
    "while they get another image one by one",  # a datastore that becomes another export
)


def is_refusal(error: FleetError) -> bool:
    return any(words in str(error) for words in REFUSALS)


def run_pair(first: dict[str, Any], second: dict[str, Any], kill: tuple[str, int] | None, ending: str, folder: Path,
             night: Night = Night()) -> None:
    """One example. `kill`: the point, and which step of the plan (modulo its length)."""
    lab = Lab(folder)
    begun(lab, first)
    opened = lab.open(fleet(second))
    before, base = opened.dump(), opened.store.read()
    lost = night.fall(opened, first)
    opened.house.contact.late = night.late
    try:
        plan = opened.plan()
    except FleetError as refused:
        if is_refusal(refused):
            return
        raise
    killable = [s for s in plan.steps if s.kind in ("call", "boot", "wait")]
    since = len(opened.house.calls)
    if kill is None or not killable:
        outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
        assert outcome.exit_code == 0, outcome
        assert opened.plan().empty
        facts_are_true(opened)
        if outcome.run:
            assert calls_made(opened, since) == reviewed(plan, skipped_steps(opened, outcome.run))
        return
    point = (kill[0], killable[kill[1] % len(killable)].id)

    def hook(where: str, step: str) -> None:
        if (where, step) == point:
            raise Killed

    lab.hook = hook
    try:
        outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    except Killed:
        pass
    else:  # the step was guarded, and its guard not taken
        assert plan_step(plan, point[1]).when, point
        assert outcome.exit_code == 0, outcome
        return
    lab.hook = lambda _where, _step: None
    calls = calls_made(opened, since)
    opened = lab.open(fleet(second))
    opened.house.contact.late = night.late
    assert current_state(opened.store, CATALOG) is not None
    outcome = resume(opened.engine()) if ending == "resume" else rollback(opened.engine())
    assert outcome.exit_code == 0, outcome
    if ending == "resume":
        again = opened.plan()
        assert again.empty, (again.steps, again.changes)
        facts_are_true(opened)
        assert calls + calls_made(opened, 0) == reviewed(plan, skipped_steps(opened, outcome.run))
        return
    now = opened.store.read()
    begun_steps = {r["step"] for r in opened.store.records(outcome.run) if r["kind"] == "done"}
    gone = {s.address for s in plan.steps if s.operation == "host.remove_dead" and s.id in begun_steps}
    assert {a: (r.origin, r.attributes) for a, r in now.resources.items()} == {
        a: (r.origin, r.attributes) for a, r in (base.resources if base else {}).items() if a.root not in gone}
    if lost:  # a reborn host cannot be unborn: the earlier file brings its earlier configuration back
        try:
            begun(lab, first)
        except FleetError as refused:  # nor its image, where it boots from its own disk
            if is_refusal(refused):
                return
            raise
        opened = lab.open(fleet(first))
    restored(before, opened.dump())


def plan_step(plan: Plan, number: str) -> Step:
    return next(s for s in plan.steps if s.id == number)


KILLS = st.tuples(st.sampled_from(["before", "after"]), st.integers(0, 60))
NIGHTS = st.just(Night()) | st.builds(Night, st.sampled_from([("esx01",), ("esx02",), HOSTS]), st.booleans())


def killed(shard: int) -> Callable[[], None]:
    @seed(shard)
    @settings(SETTINGS, derandomize=False, max_examples=150)
    @given(first=fleets(), second=fleets(), kill=KILLS, ending=st.sampled_from(["resume", "rollback"]), night=NIGHTS)
    def example(first: dict[str, Any], second: dict[str, Any], kill: tuple[str, int], ending: str,
                night: Night) -> None:
        with quick_folder() as folder:
            run_pair(first, second, kill, ending, folder, night)

    return example


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(4))
def test_killed(shard: int) -> None:
    """600 examples, in shards so that two cores share them. Seeded: the same ones on every run.

    A thousand more, drawn in the same way over the whole catalogue: tests/properties/test_catalogue.py.
    """
    killed(shard)()


@pytest.mark.slow
@settings(SETTINGS, max_examples=200)
@given(first=fleets(), second=fleets(), night=NIGHTS)
def test_apply_is_the_reviewed_list(first: dict[str, Any], second: dict[str, Any], night: Night) -> None:
    with quick_folder() as folder:
        run_pair(first, second, None, "", folder, night)


@pytest.mark.parametrize("name", sorted(EDITED))
def test_fixed_pairs_apply(name: str) -> None:
    with quick_folder() as folder:
        run_pair(FIRST, EDITED[name], None, "", folder)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", sorted(EDITED))
def test_every_kill_point_of_fixed_pairs(name: str, where: str, ending: str) -> None:
    with quick_folder() as folder:
        lab = Lab(folder)
        begun(lab, FIRST)
        count = len(lab.open(fleet(EDITED[name])).plan().steps)
    for number in range(count):
        with quick_folder() as folder:
            run_pair(FIRST, EDITED[name], (where, number), ending, folder)


# --- a rebirth between apply and rollback ---------------------------------------------------------------------


def rebirth(first: dict[str, Any], second: dict[str, Any], hosts: tuple[str, ...], kill: tuple[str, int] | None,
            folder: Path) -> bool:
    """Apply a pair, let these hosts lose their power, roll back: what was applied before is there again, by itself.

    `kill`: which call of that rollback; `resume` then finishes it. Returns whether there was such a call. Left out: two
    hosts with one datastore name for two exports; vCenter remembers that of the host that is gone, and calls the other
    one "NAME (1)" (exit 3).
    """
    exports = {(Address.parse(n).root, a["server"], a["path"]) for f in (first, second) for n, a in f.items()
               if "server" in a}
    if len({e[1:] for e in exports}) > 1 and len({e[0] for e in exports}) > 1:
        return False
    lab = Lab(folder)
    begun(lab, first)
    opened = lab.open(fleet(second))
    before, base = opened.dump(), opened.store.read()
    try:
        plan = opened.plan()
    except FleetError:
        return False
    outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    if not outcome.run:
        return False
    touched = {s.address.key for s in plan.steps}  # what another run configured is no business of this one
    Night(tuple(h for h in hosts if h in touched)).fall(opened, {**first, **second})
    opened, struck = lab.open(fleet(second)), False
    if kill is not None:
        count = itertools.count()

        def hook(where: str, _step: str) -> None:
            if where == kill[0] and next(count) == kill[1]:
                raise Killed

        lab.hook = hook
        try:
            outcome = rollback(opened.engine())
        except Killed:
            struck = True
            lab.hook = lambda _where, _step: None
            opened = lab.open(fleet(second))
            outcome = resume(opened.engine())
        lab.hook = lambda _where, _step: None
    else:
        outcome = rollback(opened.engine())
    assert outcome.exit_code == 0, outcome.failures or outcome
    now = opened.store.read()
    assert {a: (r.origin, r.attributes) for a, r in now.resources.items()} == {
        a: (r.origin, r.attributes) for a, r in base.resources.items()}
    opened = lab.open(fleet(first))
    again = opened.plan()
    assert again.empty, [str(s) for s in again.steps] + [str(c) for c in again.changes]
    facts_are_true(opened)
    after = opened.dump()
    assert after["inventory"] == before["inventory"]
    assert set(after["hosts"]) == set(before["hosts"])
    assert {n: h["maintenance"] for n, h in after["hosts"].items()} == {
        n: h["maintenance"] for n, h in before["hosts"].items()}
    return struck


REBIRTHS = st.sampled_from([("esx01",), ("esx02",), HOSTS])


@pytest.mark.slow
@settings(SETTINGS, max_examples=100)
@given(first=fleets(), second=fleets(), hosts=REBIRTHS, kill=st.none() | KILLS)
def test_rollback_after_a_rebirth(first: dict[str, Any], second: dict[str, Any], hosts: tuple[str, ...],
                                  kill: tuple[str, int] | None) -> None:
    with quick_folder() as folder:
        rebirth(first, second, hosts, kill, folder)


@pytest.mark.parametrize("name", sorted(EDITED))
def test_rollback_of_fixed_pairs_after_a_rebirth(name: str) -> None:
    with quick_folder() as folder:
        rebirth(FIRST, EDITED[name], HOSTS, None, folder)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", sorted(EDITED))
def test_every_kill_point_of_a_rollback_after_a_rebirth(name: str, where: str) -> None:
    for number in itertools.count(0, 1 if where == "before" else 4):
        with quick_folder() as folder:
            if not rebirth(FIRST, EDITED[name], HOSTS, (where, number), folder):
                break
    assert number > 0
