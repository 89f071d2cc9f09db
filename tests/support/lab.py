"""A whole fleet on the twin, without sockets: what the property tests of the main job run on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.catalog import Catalog, Operation
from planner.cli.planning import with_evacuations
from planner.execute.engine import Engine, Who
from planner.execute.project import current_state
from planner.model import Address, Attrs, Fleet, Live, Plan, Resource, SecretRef, StateResource, Step, digest
from planner.plan import PlanInputs, PlanOptions, apply_moved, build_plan
from planner.ports import Call, LiveSession, OpenContext, Session
from planner.schema import names_root
from providers.boot import provider as boot
from providers.power import provider as power
from providers.vsphere import provider as vsphere
from state.local import open_store
from tests.support.memory_boot import BUILDS, IMAGE, OTHER, MemoryBoot
from tests.support.san import STEADY, equip

_RUNS = itertools.count(1)


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of the process goes on after it."""


class Ticking:
    """A clock that moves on a little at every look, and by what is slept."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        self.time += 0.25
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def catalog() -> Catalog:
    return Catalog.of(vsphere.types(), [*boot.operations(), *power.operations()])


CATALOG = catalog()


def secret(reference: SecretRef) -> str:
    return {"env:ROOT": "s3cret!", "env:FIRST": "F1rst!pass", "env:KEY": "AAAAA-BBBBB-CCCCC-DDDDD-11111"}[
        reference.reference]


def fleet(resources: Mapping[str, Mapping[str, Any]], **more: Any) -> Fleet:
    """Address text → attributes, completed as the configuration would (always-defaults, references)."""
    found: dict[Address, Resource] = {}
    for text, attributes in resources.items():
        address = Address.parse(text)
        fields = CATALOG.types[address.rtype].fields
        always = {k: f.default for k, f in fields.items() if f.always}
        values: dict[str, Any] = {**always, **attributes}
        refs = tuple(Address.parse(v) for k, v in values.items() if names_root(fields.get(k), v))
        refs += tuple(Address.parse(v) for k, f in fields.items() if f.items is not None and f.items.kind == "ref"
                      for v in values.get(k) or ())
        found[address] = Resource(address, values, refs)
    return Fleet("lab", "lab.yaml", "/", found, {"vsphere": {"server": "twin"}},
                 digest=digest({k: dict(v) for k, v in resources.items()}), **more)


class Hooked:
    """A session whose every effect may be cut short before it, or after it and before its reply."""

    def __init__(self, inner: LiveSession, hook: Callable[[str, str], None]) -> None:
        self.inner, self.hook = inner, hook
        self.instance = inner.instance

    def power(self, declared: Attrs) -> str:
        return self.inner.power(declared)

    def prepare(self, steps: Sequence[Step]) -> None:
        self.inner.prepare(steps)

    def snapshot(self, fleet: Fleet, state: Mapping[Address, StateResource],
                 only: frozenset[Address] | None = None) -> Live:
        return self.inner.snapshot(fleet, state, only)

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        return self.inner.observe(operation, call)

    def guard(self, name: str, call: Call) -> bool:
        return self.inner.guard(name, call)

    def run(self, operation: Operation, call: Call) -> Attrs:
        self.hook("before", call.step)
        result = self.inner.run(operation, call)
        self.hook("after", call.step)
        return result

    def close(self) -> None:
        self.inner.close()


@dataclass
class Lab:
    """`folder` outlives a kill; everything else is opened anew by each `open`."""

    folder: Path
    staged: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: Ticking = field(default_factory=Ticking)
    hook: Callable[[str, str], None] = lambda _point, _step: None
    parallelism: int = 1
    lag: float = 1.0  # seconds, of a clock that costs none

    def open(self, wanted: Fleet, *, writable: bool = True) -> Opened:
        def peer(name: str) -> Any:
            raise AssertionError(name)

        context = OpenContext(wanted, wanted.providers["vsphere"], self.folder, writable, secret, self.clock, peer)
        session = vsphere.open(context)
        session.house.lag.seconds = self.lag
        equip(session.house, STEADY)
        return Opened(self, wanted, session)


@dataclass
class Opened:
    """One process's view of the lab."""

    lab: Lab
    fleet: Fleet
    session: Any

    @property
    def house(self) -> Any:
        return self.session.house

    @property
    def store(self) -> Any:
        return open_store(self.lab.folder, "lab", {})

    def plan(self, **options: Any) -> Plan:
        state = current_state(self.store, CATALOG)
        recorded = apply_moved(state.resources if state else {}, self.fleet.moved)
        live = self.session.snapshot(self.fleet, recorded)
        images = {"esxi8": IMAGE, "esxi9": OTHER}
        inputs = PlanInputs(CATALOG, self.fleet, state, live, images, self.session.power, PlanOptions(**options),
                            image_builds={name: BUILDS[digest] for name, digest in images.items()})
        return with_evacuations(self.session, inputs, build_plan(inputs))

    def engine(self) -> Engine:
        def hook(point: str, step: str) -> None:
            self.lab.hook(point, step)

        live = Hooked(self.session, hook)
        memory = MemoryBoot(self.house, self.lab.staged, hook, self.session.restarted)
        sessions: dict[str, Session] = {"vsphere": live, "boot": memory, "power": memory}
        return Engine(CATALOG, self.fleet, sessions, live, self.store, secret, self.lab.clock, Who("tester", "here"),
                      parallelism=self.lab.parallelism, new_id=lambda: f"run-{next(_RUNS):06}")

    def dump(self) -> Any:
        return self.house.dump()
