"""A cluster whose image is changed while VMs run on it, on the twin in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.execute.engine import ApplyOptions, OnFailure, Outcome, apply
from planner.execute.project import current_state
from planner.model import Address, Plan
from providers.twin.model import Vm
from tests.support.lab import CATALOG, Lab, Opened, fleet
from tests.support.lab_fleets import whole
from tests.support.places import quick_folder

DRS: dict[str, Any] = {"drs": {"enabled": True, "automation": "fullyAutomated"}, "ha": {"enabled": True}}
BODY: dict[str, Any] = {
    "vswitch": {"vSwitch1": {"uplinks": ["vmnic1"], "mtu": 9000}},
    "portgroup": {"vMotion": {"vswitch": "vSwitch1", "vlan": 20}, "Apps": {"vswitch": "vSwitch1", "vlan": 30}},
    "nfs": {"shared": {"server": "nas1", "path": "/vms", "version": "3", "access": "readWrite"}},
    "dns": {"servers": ["10.0.0.53"], "domain": "lab.example"},
}
THREE = {"esx01": "prod", "esx02": "prod", "esx03": "prod"}
TWO = {"esx01": "prod", "esx02": "prod"}


def hosts(where: dict[str, str], image: str = "esxi8", **more: Any) -> dict[str, Any]:
    """A fleet's resources. `more`: what the hosts themselves say besides."""
    def body(number: int) -> dict[str, Any]:
        vmk = {"portgroup": "vMotion", "ip": f"10.0.20.1{number}", "netmask": "255.255.255.0", "services": ["vmotion"]}
        return {**BODY, "vmkernel": {"vmk1": vmk}, "host": {"image": image, **more}}

    return whole({name: (cluster, body(n)) for n, (name, cluster) in enumerate(where.items(), 1)},
                 dict.fromkeys(where.values(), DRS))


def address(name: str) -> Address:
    return Address("host", "esx", name)


@dataclass
class Site:
    """A fleet applied with its first image, and VMs that run on it."""

    lab: Lab
    opened: Opened
    where: dict[str, str]
    watched: list[str] = field(default_factory=list)  # what must never be, and was

    @property
    def house(self) -> Any:
        return self.opened.house

    def host(self, name: str) -> Any:
        found = self.house.inventory.host_named(f"{name}.lab.example")
        assert found is not None
        return found

    def vm(self, name: str, host: str, *, power: str = "poweredOn", networks: tuple[str, ...] = ("Apps",),
           stores: tuple[str, ...] = ("shared",)) -> None:
        with self.house.change():
            inventory, home = self.house.inventory, self.host(host)
            datacenter = inventory.datacenter_of(home)
            ids = [inventory.datastore_named(datacenter, each).id for each in stores]
            inventory.put(Vm(inventory.new_id("vm-"), name, datacenter.vm, home.id, uuid=name, power=power,
                             datastores=ids, networks=list(networks)))

    def vms(self) -> dict[str, tuple[str, str]]:
        """VM → host and power."""
        inventory = self.house.inventory
        return {vm.name: (next(n for n in self.where if self.host(n).id == vm.host), vm.power)
                for vm in inventory.all(Vm)}

    def maintenance(self, name: str, on: bool = True) -> None:
        with self.house.change():
            box = self.house.box(self.host(name).mac)
            box.running.maintenance = on
            self.house.inventory.mark(box)

    def images(self) -> dict[str, str]:
        """Host → the image that its machine runs; "" where it runs none."""
        machines = self.opened.dump()["machines"]
        return {name: str(machines.get(self.host(name).mac, {}).get("image") or "") for name in self.where}

    def reopen(self, wanted: dict[str, Any] | None = None) -> None:
        """As another process would."""
        self.lab.hook = lambda _point, _step: None
        self.opened = self.lab.open(fleet(wanted) if wanted is not None else self.opened.fleet)

    def plan(self, image: str = "esxi9", **options: Any) -> Plan:
        self.reopen(hosts(self.where, image))
        return self.opened.plan(**options)

    def apply(self, plan: Plan, on_failure: OnFailure = "stop") -> Outcome:
        engine = self.opened.engine()
        return apply(engine, plan, ApplyOptions(on_failure), dict(plan.image_digests))

    def watch(self) -> None:
        """At every step: no cluster has two hosts out, and no VM that ran is off."""
        running = {name for name, (_, power) in self.vms().items() if power == "poweredOn"}

        def hook(_point: str, step: str) -> None:
            for cluster in dict.fromkeys(self.where.values()):
                out = [n for n, c in self.where.items() if c == cluster and (
                    self.host(n).connection != "connected" or self.house.contact.seen(self.host(n)).maintenance)]
                if len(out) > 1:
                    self.watched.append(f"{step}: {out} are out of {cluster}")
            off = [n for n, (_, power) in self.vms().items() if n in running and power != "poweredOn"]
            if off:
                self.watched.append(f"{step}: {off} are off")

        self.lab.hook = hook


@contextlib.contextmanager
def site(where: dict[str, str] = THREE, **more: Any) -> Iterator[Site]:
    with quick_folder() as folder:
        lab = Lab(Path(folder))
        opened = lab.open(fleet(hosts(where, **more)))
        here = Site(lab, opened, where)
        plan = opened.plan()
        assert here.apply(plan).exit_code == 0
        assert here.opened.plan().empty
        yield here


def operations(plan: Plan, name: str) -> list[str]:
    return [s.operation for s in plan.steps if s.address == address(name)]


def without_vms(dump: Any) -> Any:
    """Hosts and machines; VMs stay where they have moved to."""
    return {name: {k: v for k, v in each.items() if k != "vms"} for name, each in
            [*dump["hosts"].items(), *dump["machines"].items()]}


def facts(here: Site, name: str) -> dict[str, Any]:
    state = current_state(here.opened.store, CATALOG)
    assert state is not None
    return dict(state.resources[address(name)].facts)
