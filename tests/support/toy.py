"""A tiny world with a catalogue of its own: what the planner's core is tested and measured on, without vSphere."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planner.catalog import Catalog, Operation, ResourceType
from planner.execute.engine import Engine, Who
from planner.model import (
    Address,
    Attrs,
    Fleet,
    Live,
    LiveObject,
    Plan,
    Resource,
    SecretRef,
    State,
    StateResource,
    Step,
    StepFailed,
    digest,
)
from planner.plan import PlanInputs, PlanOptions, build_plan
from planner.ports import Call, Session, StateStore
from planner.schema import integer, reference, string, strings

INSTANCE = "toy-instance"


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of the process goes on after it."""


def _merge(world: World, call: Call) -> None:
    world.objects[call.address] = {**world.objects.get(call.address, {}), **(call.after or {})}


def _op(name: str, does: Any, inverse: str, attributes: tuple[str, ...] = (), **more: Any) -> Operation:
    def run(world: World, call: Call) -> Attrs | None:
        return world.effect(name, call)

    return Operation(name, f"Toy.{name}", does, name, run, attributes, inverse, provider="toy", **more)


def toy_catalog() -> Catalog:
    site = ResourceType("site", "a place", {"name": string("name")}, (
        _op("site.create", "create", "site.destroy", ("name",)),
        _op("site.update", "update", "site.update", ("name",)),
        _op("site.destroy", "delete", "site.create", ("name",)),
    ), order=1)
    box = ResourceType("box", "a box", {
        "site": reference("where", "site", replace=True), "size": integer("size", default=1),
        "color": string("color", default="red"), "tags": strings("tags", unordered=True), "names": strings("names"),
    }, (
        _op("box.create", "create", "box.destroy", ("site", "size", "color")),
        _op("box.paint", "update", "box.paint", ("color",)),
        _op("box.resize", "update", "box.resize", ("size",)),
        _op("box.name", "update", "box.name", ("names",)),
        _op("box.tag", "add_item", "box.untag", ("tags",)),
        _op("box.untag", "remove_item", "box.tag", ("tags",)),
        _op("box.destroy", "delete", "box.create", ("site", "size", "color")),
    ), order=2, initial={"tags": [], "names": []})
    return Catalog.of([site, box])


@dataclass
class World:
    """Objects, and every effect in order. `hook(point, step)` is called before and after each effect."""

    objects: dict[Address, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    hook: Callable[[str, str], None] = lambda _point, _step: None
    lost: set[str] = field(default_factory=set)  # steps whose reply is lost once

    def effect(self, name: str, call: Call) -> Attrs | None:
        self.hook("before", call.step)
        if name.endswith(".destroy"):
            del self.objects[call.address]
        else:
            _merge(self, call)
            if name == "box.create":
                self.objects[call.address].setdefault("tags", [])
                self.objects[call.address].setdefault("names", [])
        self.calls.append(f"{call.operation} {call.address}")
        self.hook("after", call.step)
        if call.step in self.lost:
            self.lost.discard(call.step)
            raise StepFailed("connection reset", in_doubt=True)
        return None


class ToySession:
    """A LiveSession over a World."""

    instance = INSTANCE

    def __init__(self, world: World) -> None:
        self.world = world

    def power(self, declared: Attrs) -> str:
        return "manual"

    def prepare(self, steps: Sequence[Step]) -> None:
        return

    def snapshot(self, fleet: Fleet, state: Mapping[Address, StateResource],
                 only: frozenset[Address] | None = None) -> Live:
        objects = {a: LiveObject(a, dict(v), f"id-{a}") for a, v in self.world.objects.items()
                   if a in fleet.resources or a in state}
        return Live(INSTANCE, objects, {})

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        found = self.world.objects.get(call.address)
        return dict(found) if found is not None else None

    def run(self, operation: Operation, call: Call) -> Attrs:
        return operation.run(self.world, call) or {}

    def guard(self, name: str, call: Call) -> bool:
        return True

    def close(self) -> None:
        return


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def toy_fleet(resources: Mapping[str, Attrs], **more: Any) -> Fleet:
    """A fleet from address text → attributes; references are found in attribute values."""
    found = {}
    for text, attributes in resources.items():
        address = Address.parse(text)
        refs = tuple(Address.parse(str(attributes[k])) for k in ("site",) if attributes.get(k))
        found[address] = Resource(address, attributes, refs)
    return replace(Fleet("toy", "toy.yaml", "/", found, digest=digest({k: dict(v) for k, v in resources.items()})),
                   **more)


def toy_plan(fleet: Fleet, world: World, state: State | None, **options: Any) -> Plan:
    live = ToySession(world).snapshot(fleet, state.resources if state else {})
    return build_plan(PlanInputs(toy_catalog(), fleet, state, live, options=PlanOptions(**options)))


_RUNS = itertools.count(1)


def _no_secret(reference: SecretRef) -> str:
    raise AssertionError(f"the toy has no secrets: {reference}")


def toy_engine(fleet: Fleet, world: World, store: StateStore, *, parallelism: int = 1) -> Engine:
    session = ToySession(world)
    sessions: dict[str, Session] = {"toy": session}
    return Engine(toy_catalog(), fleet, sessions, session, store, _no_secret, FakeClock(),
                  Who("tester", "here"), parallelism=parallelism, new_id=lambda: f"run-{next(_RUNS):06}")
