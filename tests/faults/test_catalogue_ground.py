"""Ground that moves or cannot be seen, for every type of the catalogue.

What somebody changed between plan and apply is stale and is not overwritten; a host that is disconnected blocks only
itself; a reading that fails is never taken for "not there".
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from pyVmomi import vmodl

from planner.model import Action, Address, FleetError, Plan, Stale, Step
from providers.twin.core import paths, selection
from providers.twin.core.faults import FaultRules
from tests.faults.breadth_kit import Ground, witnesses
from tests.support.breadth import HOSTS, Objects, covered, needed, seed_of, sites
from tests.support.lab import CATALOG, Lab, Opened, fleet
from tests.support.places import quick_folder
from tests.support.twin import vcenter

CHILDREN = [name for name in covered() if CATALOG.types[name].parent]


# --- stale ----------------------------------------------------------------------------------------------------


def shows(step: Step) -> bool:
    """Whether live shows what the step changes (it does not show a password)."""
    fields = CATALOG.types[step.address.rtype].fields
    if step.before is None or step.after is None:
        return True
    changed = {k for k in step.after if step.after.get(k) != step.before.get(k)}
    return any(fields[k].observed for k in changed if k in fields)


@pytest.mark.slow
@pytest.mark.parametrize("name", covered())
def test_what_somebody_changed_since_the_plan_is_stale_and_stays(name: str) -> None:
    """Somebody does, past this fleet's state, what the plan would do: the plan no longer fits, and nothing is done."""
    tried = unseen = 0
    for witness in witnesses(name).values():
        with quick_folder() as folder:
            ground = Ground(witness, folder)
            with ground.bench() as here, ground.bench() as other:
                if not shows(witness.step(here.plan)):
                    unseen += 1
                    continue
                assert other.apply().exit_code == 0
                for part in (other.lab.folder / "twin").iterdir():
                    shutil.copy(part, here.lab.folder / "twin" / part.name)
                here.reopen()
                before = here.opened.dump()
                with pytest.raises(Stale, match="changed on live") as caught:
                    here.apply()
                assert str(witness.step(here.plan).address) in str(caught.value), witness.operation
                assert here.opened.dump() == before
                assert here.state() == here.recorded
                tried += 1
    assert tried or unseen == len(witnesses(name))


# --- disconnected ---------------------------------------------------------------------------------------------


def drawn(name: str, hosts: tuple[str, ...], enough: Callable[[Objects], bool]) -> Objects:
    """The first drawn fleet of this type and what it stands on, with services on each host, that is enough."""
    found: list[Objects] = []

    @seed(seed_of(name))
    @settings(deadline=None, max_examples=60, database=None, phases=(Phase.generate,),
              suppress_health_check=list(HealthCheck))
    @given(site=sites([*needed(name), "service"], hosts, always=(name, "service")))
    def look(site: Objects) -> None:
        if not found and enough(site):
            found.append(site)

    cast(Any, look)()
    assert found, f"no drawn fleet of {name} is enough"
    return found[0]


def bare(site: Objects) -> Objects:
    """The same roots and hosts, with nothing on the hosts."""
    return {a: b for a, b in site.items() if not Address.parse(a).child_type}


def on(plan: Plan, key: str) -> list[Step]:
    return [s for s in plan.steps if s.address.type == "host" and s.address.key == key]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHILDREN)
def test_a_disconnected_host_blocks_only_itself(name: str) -> None:
    def enough(site: Objects) -> bool:
        kinds = {(Address.parse(a).key, Address.parse(a).child_type) for a in site}
        return {("esx01", name), ("esx02", "service")} <= kinds and plannable(bare(site), site)

    site = drawn(name, HOSTS, enough)
    with standing(bare(site)) as lab:
        opened = lab.open(fleet(site))
        wanted = [s.operation for s in on(opened.plan(), "esx01")]
        vcenter(opened.house).searchIndex.FindByDnsName(None, "esx02.lab.example", False).DisconnectHost_Task()
        plan = opened.plan()
        assert [s.operation for s in on(plan, "esx01")] == wanted
        assert on(plan, "esx02") == []
        assert [d.address for d in plan.diagnostics if "disconnected" in d.summary + d.detail] == [
            Address.parse('host.esx["esx02"]')]
        assert {c.action for c in plan.changes if c.address.key == "esx02"} <= {Action.NOOP}
        before = opened.dump()["machines"]["52:54:00:00:00:12"]
        assert applied(opened, plan) == 0
        assert opened.dump()["machines"]["52:54:00:00:00:12"] == before


def plannable(first: Objects, second: Objects) -> bool:
    """Whether the second fleet can be planned on the first one, with steps for both."""
    try:
        with standing(first) as lab:
            return bool(lab.open(fleet(second)).plan().steps)
    except FleetError:
        return False


@contextmanager
def standing(site: Objects) -> Iterator[Lab]:
    """A lab with this fleet applied."""
    with quick_folder() as folder:
        lab = Lab(folder)
        opened = lab.open(fleet(site))
        assert applied(opened, opened.plan()) == 0
        yield lab


def applied(opened: Opened, plan: Plan) -> int:
    from planner.execute.engine import apply

    return apply(opened.engine(), plan, images=dict(plan.image_digests)).exit_code


# --- readings that fail ---------------------------------------------------------------------------------------

Reading = tuple[str, str]
"""Wire type and property path; or wire type and method, with brackets."""

SESSION = ("SessionManager", "ServiceInstance", "PropertyCollector", "ViewManager", "ContainerView", "ListView")


class Readings:
    """Notes what is read of the twin, and makes one of these readings fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: set[Reading] = set()
        self.failing: Reading | None = None
        original, judge = paths.read_compiled, FaultRules.judge

        def read(obj: Any, compiled: Any, path: str) -> Any:
            self.note((obj.wire, path.partition("[")[0]))
            return original(obj, compiled, path)

        def judged(rules: FaultRules, door: str, method: str, target: str, **more: Any) -> Any:
            wire, _, name = method.partition(".")
            if wire not in SESSION:
                self.note((wire, f"{name}()"))
            return judge(rules, door, method, target, **more)

        monkeypatch.setattr(selection, "read_compiled", read)
        monkeypatch.setattr(FaultRules, "judge", judged)

    def note(self, reading: Reading) -> None:
        self.seen.add(reading)
        if reading == self.failing:
            raise vmodl.fault.SystemError(reason="x", msg="a general system error occurred")


@pytest.mark.slow
@pytest.mark.parametrize("name", covered())
def test_a_reading_that_fails_is_never_taken_for_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read for a plan with nothing to do: where it fails, the plan fails, or still has nothing to do."""
    site = drawn(name, HOSTS[:1], lambda each: plannable({}, each))
    with standing(site) as lab:
        readings = Readings(monkeypatch)
        assert lab.open(fleet(site)).plan().empty
        loud = 0
        for reading in sorted(readings.seen):
            readings.failing = reading
            try:
                plan = lab.open(fleet(site)).plan()
            except FleetError:
                loud += 1
                continue
            assert plan.empty, (reading, [str(s) for s in plan.steps], [str(c) for c in plan.changes])
        assert loud, "no failing reading was noticed"
