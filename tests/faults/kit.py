"""Whole applies on the lab's twin, with a fault injected at one chosen step: shared by the `test_apply_*` suites."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from planner.execute.engine import ApplyOptions, Engine, OnFailure, Outcome, apply
from planner.execute.project import current_state
from planner.model import Plan, Step
from planner.ports import Event
from tests.support.lab import CATALOG, Lab, Opened, Ticking, fleet
from tests.support.lab_fleets import EDITED, FIRST
from tests.support.memory_boot import BUILD, VERSION
from tests.support.places import quick_folder

Rule = dict[str, Any]

ROLLED = {a: {**v, "image": "esxi9"} if "image" in v else v for a, v in FIRST.items()}
MOVED = {"ip": "10.77.0.5", "netmask": "255.255.255.0", "gateway": "10.77.0.1", "vlan": 77}
FIXED: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "birth": ({}, FIRST),
    "installation": (FIRST, EDITED["another host is installed"]),
    "changes": (FIRST, EDITED["everything on the host changes"]),
    "move": (FIRST, EDITED["the host moves and loses all"]),
    "leave": (FIRST, EDITED["the host leaves"]),
    "roll": (FIRST, ROLLED),
    "management": (FIRST, {**FIRST, 'host.esx["esx01"].management': MOVED}),
    "revive": (FIRST, FIRST),  # and the host is gone: its machine was switched off
}
MAC = "52:54:00:00:00:11"


@dataclass
class Bench:
    """One example: a lab whose fleet is to become `wanted`, the plan for it, and how everything was before."""

    lab: Lab
    opened: Opened
    plan: Plan
    before: Any
    base: Any
    since: int
    earlier: list[str] = field(default_factory=list)

    @property
    def calls(self) -> list[Step]:
        return [s for s in self.plan.steps if s.kind == "call"]

    @property
    def house(self) -> Any:
        return self.opened.house

    def reviewed(self) -> list[str]:
        """The API calls that were reviewed, less guarded ones that the newest run did not take."""
        skipped = {r["step"] for r in self.records() if r["kind"] == "skipped"}
        return [CATALOG.operations[s.operation].call for s in self.calls if s.id not in skipped]

    def made(self) -> list[str]:
        """The mutating calls that took effect since the plan was made."""
        return self.earlier + [c.method for c in self.house.calls[self.since:]]

    def reopen(self) -> None:
        """As another process would: nothing is known but what is in the folder."""
        self.earlier, self.since = self.made(), 0
        self.opened = self.lab.open(self.opened.fleet)

    def records(self) -> Sequence[Mapping[str, Any]]:
        runs = self.opened.store.runs()
        return self.opened.store.records(runs[-1].run) if runs else ()

    def engine(self, at: Injection | None = None) -> Engine:
        engine = self.opened.engine()
        return replace(engine, listener=at.listener(self)) if at is not None else engine

    def apply(self, at: Injection | None = None, on_failure: OnFailure = "stop") -> Outcome:
        if at is not None:
            self.lab.hook = at.hook(self)
        outcome = apply(self.engine(at), self.plan, ApplyOptions(on_failure), dict(self.plan.image_digests))
        self.lab.hook = lambda _point, _step: None
        return outcome

    @property
    def recorded(self) -> dict[str, Any]:
        """What state had before, as `state` tells it."""
        return {} if self.base is None else {
            str(a): (r.origin, dict(r.attributes)) for a, r in self.base.resources.items()}

    def state(self) -> dict[str, Any]:
        state = current_state(self.opened.store, CATALOG)
        return {} if state is None else {str(a): (r.origin, dict(r.attributes)) for a, r in state.resources.items()}


@dataclass
class Injection:
    """Where a fault goes in: at a step's own call ("call"), or at the readings that come before it ("look")."""

    step: str
    rules: Sequence[Rule]
    at: str = "call"
    action: Callable[[Any], None] | None = None  # instead of rules, or with them: done to the house
    done: bool = field(default=False)

    def strike(self, bench: Bench) -> None:
        if self.done:
            return
        self.done = True
        for rule in self.rules:
            bench.house.faults.add(rule)
        if self.action is not None:
            self.action(bench.house)

    def hook(self, bench: Bench) -> Callable[[str, str], None]:
        def hook(point: str, step: str) -> None:
            if self.at == "call" and (point, step) == ("before", self.step):
                self.strike(bench)

        return hook

    def listener(self, bench: Bench) -> Callable[[Event], None]:
        """With one thread, what follows the end of the step before is this step's own reading."""
        order = [s.id for s in bench.plan.steps]
        index = order.index(self.step)
        wanted = ("start", "") if index == 0 else ("", order[index - 1])

        def listen(event: Event) -> None:
            ended = event.kind in ("done", "skipped")
            here = (event.kind, "") == wanted if index == 0 else ended and event.step == wanted[1]
            if self.at == "look" and here:
                self.strike(bench)

        return listen


@functools.cache
def _base(name: str) -> tuple[Any, Path, dict[str, dict[str, Any]], float]:
    """A folder with the first fleet of a fixed pair applied; made once, copied by each example."""
    holder = quick_folder()
    folder = holder.__enter__()  # lives as long as the process, and with its folder
    lab = Lab(folder)
    first = FIXED[name][0]
    if first:
        opened = lab.open(fleet(first))
        plan = opened.plan()
        outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
        assert outcome.exit_code == 0, outcome
        if name == "revive":
            opened.house.power(MAC, "off")
    return holder, folder, lab.staged, lab.clock.time


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """A fresh copy of a fixed pair, planned."""
    _, source, staged, time = _base(name)
    with quick_folder() as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        clock = Ticking()
        clock.time = time
        lab = Lab(folder, dict(staged), clock)
        yield planned(lab, FIXED[name][1])


@functools.cache
def _done(name: str) -> tuple[Any, Bench]:
    """A fixed pair applied; made once, copied by each example."""
    holder = bench(name)
    here = holder.__enter__()
    assert here.apply().exit_code == 0
    return holder, here


@contextmanager
def applied(name: str) -> Iterator[Bench]:
    """A fresh copy of a fixed pair, applied: what `rollback` starts from."""
    done = _done(name)[1]
    with quick_folder() as folder:
        shutil.copytree(done.lab.folder, folder, dirs_exist_ok=True)
        clock = Ticking()
        clock.time = done.lab.clock.time
        lab = Lab(folder, dict(done.lab.staged), clock)
        yield replace(done, lab=lab, opened=lab.open(done.opened.fleet), since=0)


def planned(lab: Lab, wanted: dict[str, Any]) -> Bench:
    opened = lab.open(fleet(wanted))
    return Bench(lab, opened, opened.plan(), opened.dump(), opened.store.read(), len(opened.house.calls))


@functools.cache
def reference(name: str) -> tuple[Any, int]:
    """The inventory after an apply of that pair without any fault, and the number of its steps."""
    with bench(name) as here:
        outcome = here.apply()
        assert outcome.exit_code == 0, outcome
        assert here.made() == here.reviewed()
        return here.opened.dump(), len(here.plan.steps)


# --- what must be true afterwards -----------------------------------------------------------------------------


def complete(here: Bench, name: str) -> None:
    """Live is as an undisturbed apply leaves it, state knows it, and every call was made once, in order."""
    assert here.opened.dump() == reference(name)[0]
    again = here.opened.plan()
    assert again.empty, ([str(s) for s in again.steps], [str(c) for c in again.changes])
    assert here.made() == here.reviewed()
    assert here.opened.store.runs()[-1].outcome == "applied"
    assert list(here.opened.store.verify()) == []


def restored(here: Bench) -> None:
    """Live and state are as before the run, announced irreversible effects aside: power, boot, password, connection.

    A machine that was off before and runs now must be as it was born, a reconnected host as vCenter sees it then.
    """
    now, before = here.opened.dump(), here.before
    kept = ["inventory", "hosts", "machines", "datastores", "networks", "vms", "settings"]
    machines = {mac: before["machines"].get(mac) or newborn(mac) for mac in now["machines"]}
    hosts = dict(before["hosts"])
    for name in (n for n, c in now["connections"].items() if before["connections"].get(n, c) != c):
        mac = hosts[name]["mac"]
        machines[mac] = {**machines[mac], "managed": "this vCenter"}
        hosts[name] = {**hosts[name], "config": machines[mac]["config"]}
        kept = [k for k in kept if k not in ("datastores", "networks")]  # they follow what the host has now
    wanted = {**before, "hosts": hosts, "machines": machines}
    assert {k: now[k] for k in kept} == {k: wanted[k] for k in kept}
    assert here.state() == here.recorded
    assert here.opened.store.runs()[-1].outcome == "rolled-back"
    assert list(here.opened.store.verify()) == []


@functools.cache
def newborn(mac: str) -> Any:
    """The dump of a machine right after its birth."""
    from providers.twin.house import MachineSpec, open_house

    house = open_house(None, "lab", machines=[MachineSpec(mac, f"esx{int(mac[-1]):02}.lab.example")], writable=True)
    house.complete_boot(mac, build=BUILD, version=VERSION, image="d" * 64)
    return house.dump()["machines"][mac]


@contextmanager
def two_hosts(parallelism: int = 1) -> Iterator[Bench]:
    """An empty twin; planned: datacenter, cluster, and two hosts that are born and configured."""
    with quick_folder() as folder:
        yield planned(Lab(folder, parallelism=parallelism), EDITED["another host is born"])


@functools.cache
def two_hosts_done() -> Any:
    """The inventory after an undisturbed apply of `two_hosts`."""
    with two_hosts() as here:
        assert here.apply().exit_code == 0
        return here.opened.dump()
