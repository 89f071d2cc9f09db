"""Between vCenter and its hosts: who answers, what vCenter remembers of a host that does not, and where VMs may go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from providers.twin.machines import tls_identity
from providers.twin.model import Box, Cluster, Host, Hypervisor, Vm
from providers.twin.parts.cluster import ClusterParts
from providers.twin.parts.dvs import Dvpg, Dvs
from providers.twin.reach import answers, doors

if TYPE_CHECKING:
    from providers.twin.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Move:
    """A VM that DRS moved from one host to another, by vMotion where it was `running`."""

    vm: str
    source: str
    target: str
    running: bool


class Contact:
    """vCenter's side of its connections. `late`: a host that is gone shows as connected until something asks it.
    `follows`: DNS gets the address of a host that moves, in time.
    """

    def __init__(self, inventory: Inventory, fleet: str, instance: str) -> None:
        self.inventory = inventory
        self.fleet = fleet
        self.instance = instance
        self.late = False
        self.follows = True
        self.records: dict[str, str] = {}  # what an administrator has set in DNS, by MAC: it ends with the process
        self.moves: list[Move] = []

    def box(self, mac: str) -> Box | None:
        return self.inventory.get(mac, Box)

    def box_at(self, name: str) -> Box | None:
        """The machine that this name or address leads to, whether it answers or not."""
        wanted = name.lower()
        boxes = self.inventory.all(Box)
        for box in boxes:
            leased = box.ip == wanted and (box.running is None or wanted in doors(box, box.running.config))
            if leased or box.name.lower() == wanted:
                return box
        found = next((box for box in boxes if box.running and wanted in doors(box, box.running.config)), None)
        return found or next((box for box in boxes if wanted in map(str.lower, box.former)), None)

    def seen(self, host: Host) -> Hypervisor:
        """What vCenter shows of a host: what runs there, or its copy from when contact was lost."""
        if host.seen is not None:
            return host.seen
        box = self.inventory.need(host.mac, Box)
        if box.running is None:
            raise AssertionError(f"{host.name} is connected, but machine {host.mac} is {box.power}")
        return box.running

    def reachable(self, host: Host) -> Box | None:
        """The machine behind a connected host; None where vCenter cannot talk to it."""
        return None if host.seen is not None else self.inventory.need(host.mac, Box)

    def connect(self, host: Host, box: Box, at: str = "") -> None:
        """vCenter has just logged in and made its own account: the machine is the truth again. `at`: by this address;
        where unset by the one of before, or by what the host's name leads to."""
        running = box.running
        if running is None:
            raise AssertionError(f"machine {box.mac} is {box.power}")
        running.manager = self.instance
        host.connection, host.seen, host.boots = "connected", None, running.born
        host.uuid, host.serial, host.ip = box.uuid, box.serial, at or host.ip
        self.meet(host, box)
        host.thumbprint = ""
        self.inventory.mark(host, box)
        self.inventory.attach(host, running.config)

    def point(self, name: str, wanted: str = "") -> str:
        """What DNS has of this name; "" where nothing answers to it. Its record becomes the address that is `wanted`,
        unless nobody cares for it (`follows`)."""
        box = self.box_at(name)
        if box is None or box.running is None:
            return ""
        found = doors(box, box.running.config)
        if wanted in found and self.follows:
            self.records[box.mac] = wanted
        record = self.records.get(box.mac, "")
        return record if record in found else next(iter(found), "")

    def meet(self, host: Host, box: Box) -> None:
        """vCenter's connection is by an address that answers, where one does."""
        if box.running is not None and not answers(box, box.running.config, host.ip):
            host.ip = next(iter(doors(box, box.running.config)), box.ip)

    def thumbprint(self, host: Host) -> str:
        """The SHA-1 thumbprint that vCenter trusts for a host (kept when contact is lost)."""
        if host.thumbprint:
            return host.thumbprint
        return tls_identity(self.fleet, self.inventory.need(host.mac, Box)).sha1

    def lose(self, host: Host, *, gone: bool) -> None:
        """Contact is lost: vCenter keeps a copy of what it last saw. `gone`: the hypervisor ends, VMs with it."""
        if host.seen is not None:
            return
        host.thumbprint = self.thumbprint(host)
        copy = clone(self.seen(host))
        copy.accounts = {}
        host.seen = copy
        if not self.late:
            host.connection = "notResponding"
        self.inventory.mark(host)
        if gone:
            self._lose_vms(host)

    def notice(self, host: Host) -> None:
        """vCenter finds out that a host which it shows as connected does not answer."""
        if host.seen is not None and host.connection == "connected":
            host.connection = "notResponding"
            self.inventory.mark(host)

    def _lose_vms(self, host: Host) -> None:
        cluster = self.inventory.get(host.parent, Cluster)
        restarts = cluster is not None and bool(cluster.das.get("enabled"))
        for machine in self.inventory.vms_on(host):
            if machine.power != "poweredOn":
                continue
            target = self.target(machine, host, running=False) if restarts else None
            if target is not None:
                self.inventory.place(machine, target)
            else:
                machine.power = "poweredOff"
                self.inventory.mark(machine)

    # --- where virtual machines may go --------------------------------------------------------------------

    def target(self, machine: Vm, source: Host, *, running: bool) -> Host | None:
        """The host of the same cluster that can take a VM and has the fewest. `running`: by vMotion, so both ends need
        a tagged adapter."""
        fits = [host for host in self.inventory.below(source.parent) if isinstance(host, Host) and
                host.id != source.id and self.takes(machine, source, host, running=running)]
        return min(fits, key=lambda host: len(self.inventory.vms_on(host)), default=None)

    def takes(self, machine: Vm, source: Host, target: Host, *, running: bool) -> bool:
        """Whether a VM can live on that host: datastores, port groups, vMotion adapters, no maintenance."""
        if target.connection != "connected" or target.seen is not None:
            return False
        there = self.seen(target)
        if there.maintenance or not set(machine.networks) <= self._networks(target, there):
            return False
        if not set(machine.datastores) <= self.inventory.uses(target) or not self._ruled(machine, target):
            return False
        return not running or (tagged(self.seen(source), "vmotion") and tagged(there, "vmotion"))

    def _ruled(self, machine: Vm, target: Host) -> bool:
        """Whether every mandatory DRS rule lets the machine be there: DRS, HA and maintenance mode heed them."""
        cluster = self.inventory.get(target.parent, Cluster)
        parts = cluster.parts if cluster is not None else ClusterParts()
        for rule in parts.rules.values():
            if rule.kind != "hosts" or not (rule.enabled and rule.mandatory):
                continue
            if machine.id in parts.groups[rule.vm_group].members:
                inside = target.id in parts.groups[rule.affine or rule.anti].members
                if inside != bool(rule.affine):
                    return False
        return True

    def _networks(self, host: Host, there: Hypervisor) -> set[str]:
        """Names of the port groups, standard and distributed, that a host offers to virtual machines."""
        switches = {each.id for each in self.inventory.all(Dvs) if each.uuid in there.config.proxies}
        groups = (each.name for each in self.inventory.all(Dvpg) if each.switch in switches and not each.uplink)
        return {*there.config.portgroups, *groups}

    def evacuate(self, host: Host, *, powered_off: bool) -> list[str]:
        """Move VMs away for maintenance mode, one by one: fully automated DRS does. Each move is kept by itself, and
        noted in `moves`. Returns the names of running VMs that stay: what could move has moved all the same.
        """
        cluster = self.inventory.get(host.parent, Cluster)
        automatic = cluster is not None and bool(cluster.drs.get("enabled")) and (
            cluster.drs.get("defaultVmBehavior", "fullyAutomated") == "fullyAutomated"
        )
        stuck: list[str] = []
        for machine in self.inventory.vms_on(host):
            on = machine.power == "poweredOn"
            if not on and not (powered_off and automatic):
                continue
            target = self.target(machine, host, running=on) if automatic else None
            if target is not None:
                self.inventory.place(machine, target)
                self.inventory.flush()
                self.moves.append(Move(machine.name, host.name, target.name, running=on))
            elif on:
                stuck.append(machine.name)
        return stuck


def tagged(hypervisor: Hypervisor, service: str) -> bool:
    """Whether some VMkernel adapter is tagged for that service."""
    return any(service in nic.services for nic in hypervisor.config.vnics.values())


def clone(hypervisor: Hypervisor) -> Hypervisor:
    """A deep copy."""
    return msgspec.convert(msgspec.to_builtins(hypervisor), Hypervisor)
