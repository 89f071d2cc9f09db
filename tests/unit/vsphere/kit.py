"""A vSphere session on a twin in memory, and short words for calling its operations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.catalog import Operation
from planner.model import Address, Attrs, Fleet, Live, Resource, SecretRef, StateResource
from planner.ports import Call, OpenContext
from providers.vsphere import provider
from providers.vsphere.session import VsphereSession

PASSWORD = "Lasting.1!"
ROOT = SecretRef("env:ROOT")
OPERATIONS: Mapping[str, Operation] = {o.name: o for t in provider.types() for o in t.operations}
HOST = "host.esx"
MAC, NAME = "52:54:00:00:00:11", "esx.lab.example"


class Clock:
    """Real time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def at(text: str) -> Address:
    return Address.parse(text)


def make_fleet(resources: Mapping[str, Attrs]) -> Fleet:
    """Address text → attributes."""
    return Fleet("test", "test.yaml", "/", {at(t): Resource(at(t), dict(a)) for t, a in resources.items()})


BASE: Mapping[str, Attrs] = {
    "datacenter.dc0": {}, "cluster.prod": {"datacenter": "datacenter.dc0"},
    "cluster.other": {"datacenter": "datacenter.dc0"},
    HOST: {"name": NAME, "mac": MAC, "cluster": "cluster.prod", "root_password": ROOT},
}


@dataclass
class Bench:
    """One open session. `ids` and `facts` are what an executor would remember."""

    session: VsphereSession
    fleet: Fleet
    ids: dict[Address, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    resolve: Callable[[SecretRef], str] = lambda _: PASSWORD

    @property
    def house(self) -> Any:
        return self.session.house

    def call(self, text: str, operation: str, before: Attrs | None = None, after: Attrs | None = None, *,
             declared: Attrs | None = None, seconds: float = 30.0) -> Call:
        address = at(text)
        root = self.fleet.resources.get(address.root)
        attributes = declared if declared is not None else root.attributes if root else {}
        return Call(address, operation, before, after, dict(self.facts), attributes,
                    lambda a: self.ids.get(a, ""), self.resolve, threading.Event(), time.time() + seconds)

    def run(self, text: str, operation: str, before: Attrs | None = None, after: Attrs | None = None,
            **more: Any) -> dict[str, Any]:
        """Make the call; what it returns is remembered."""
        facts = dict(self.session.run(OPERATIONS[operation], self.call(text, operation, before, after, **more)))
        if facts.get("id"):
            self.ids[at(text)] = str(facts["id"])
        self.facts.update({k: v for k, v in facts.items() if k != "id"})
        return facts

    def observe(self, text: str, operation: str, before: Attrs | None = None, after: Attrs | None = None,
                **more: Any) -> Attrs | None:
        return self.session.observe(OPERATIONS[operation], self.call(text, operation, before, after, **more))

    def made(self, doing: Callable[[], object]) -> list[str]:
        """The mutating calls that the twin records meanwhile."""
        count = len(self.house.calls)
        doing()
        return [call.method for call in self.house.calls[count:]]

    def snapshot(self, state: Mapping[Address, StateResource] | None = None,
                 only: frozenset[Address] | None = None) -> Live:
        return self.session.snapshot(self.fleet, state or {}, only)

    def containers(self) -> None:
        self.run("datacenter.dc0", "datacenter.create", None, {"name": "dc0"})
        for name in ("prod", "other"):
            self.run(f"cluster.{name}", "cluster.create", None, {"name": name, "datacenter": "datacenter.dc0"})

    def born(self) -> None:
        """The machine boots; its birth's facts are known."""
        machine = self.house.complete_boot(MAC, build="24022510", version="8.0.3", image="i" * 64)
        self.facts.update(uuid=machine.uuid, ip=machine.ip, certificate=self.house.door_certificate(machine.ip),
                          born=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def joined(self) -> None:
        """Containers, a birth, row 0, and the host in its cluster (in maintenance mode)."""
        self.containers()
        self.born()
        self.door()
        self.run(HOST, "host.add", None, {"name": NAME, "mac": MAC, "cluster": "cluster.prod"})

    def door(self) -> None:
        self.run(HOST, "door.enter_maintenance", {"door_maintenance": False}, {"door_maintenance": True})
        self.run(HOST, "door.set_password", {"password": "initial"}, {"password": "set"})


def open_bench(more: Mapping[str, Attrs] | None = None, **block: Any) -> Bench:
    """A bench on an empty twin that has the one machine."""
    fleet = make_fleet({**BASE, **(more or {})})
    context = OpenContext(fleet, {"server": "twin", **block}, Path("/nonexistent/fleet-test"), False,
                          lambda _: PASSWORD, Clock(), lambda name: None)
    session = provider.open(context)
    session.house.lag.seconds = 0.0  # these tests look at live without the patience of an executor
    return Bench(session, fleet)
