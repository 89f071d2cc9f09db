"""A host's own SDK door: the host by itself, its managers, and root's log-in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyVmomi import vim

from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.meta import vim_type
from providers.twin.core.service import host_about, open_services
from providers.twin.core.sessions import ADMIN, Role
from providers.twin.machines import knows
from providers.twin.model import Box, Hypervisor
from providers.twin.objects.base import HouseObject, HouseWorld
from providers.twin.objects.host import HostManager, HostObject
from providers.twin.objects.managers import MANAGERS
from providers.twin.views import access

if TYPE_CHECKING:
    from providers.twin.house import House


class DoorWorld(HouseWorld):
    """The objects of one host, for as long as that boot lasts. All of them are registered."""

    def __init__(self, house: House, box: Box) -> None:
        super().__init__(house, box.name or box.ip)
        self.mac = box.mac
        self.boot = box.boots

    def make(self, moid: str) -> ManagedObject | None:
        return None

    @property
    def box(self) -> Box:
        return self.house.box(self.mac)

    def running(self) -> Hypervisor:
        """What runs there. Raises ConnectionResetError when that boot is over."""
        box = self.box
        if box.running is None or box.boots != self.boot or box.cut:
            raise ConnectionResetError(f"the host at {box.ip} is gone")
        return box.running


class Container(HouseObject):
    """What stands above a host at its own door; it never changes."""

    def __init__(self, world: World, moid: str, label: str, above: ManagedObject | None) -> None:
        super().__init__(world, moid)
        self.label = label
        self.above = above
        self.below: list[ManagedObject] = []

    @property
    def name(self) -> str:
        return self.label

    @property
    def parent(self) -> ManagedObject | None:
        return self.above

    def children(self) -> Iterable[ManagedObject]:
        return tuple(self.below)

    @prop("name")
    def p_name(self) -> str:
        return self.label

    @prop("parent")
    def p_parent(self) -> ManagedObject | None:
        return self.above


class DoorFolder(Container):
    wire = "Folder"

    @prop("childEntity")
    def child_entity(self) -> list[ManagedObject]:
        return self.below

    @prop("childType")
    def child_type(self) -> Any:
        return [vim_type("Datacenter" if self.moid == "ha-folder-root" else "ComputeResource")]


class DoorDatacenter(Container):
    wire = "Datacenter"

    @prop("hostFolder")
    def host_folder(self) -> ManagedObject:
        return self.below[0]


class DoorCompute(Container):
    wire = "ComputeResource"

    @prop("host")
    def host(self) -> list[ManagedObject]:
        return self.below


class DoorHost(HostObject):
    """The host itself, as it shows itself."""

    @property
    def own(self) -> DoorWorld:
        if not isinstance(self.world, DoorWorld):
            raise AssertionError("a door's host lives in a door's world")
        return self.world

    @property
    def name(self) -> str:
        return self.box.name or self.box.ip

    @property
    def parent(self) -> ManagedObject | None:
        return self.world.find("ha-compute-res")

    @property
    def box(self) -> Box:
        return self.own.box

    def hypervisor(self) -> Hypervisor:
        return self.own.running()

    def open(self) -> tuple[Box, Hypervisor]:
        return self.box, self.own.running()

    def manager_id(self, kind: type[HostManager]) -> str:
        return kind.door_id

    def _running_vms(self) -> list[str]:
        host = self.house.inventory.host_of(self.box.mac)
        if host is None or host.boots != self.box.boots:
            return []
        return [each.name for each in self.house.inventory.vms_on(host) if each.power == "poweredOn"]

    @method("EnterMaintenanceMode_Task", mutates=True, task=True)
    def enter_maintenance(self, timeout: int, evacuatePoweredOffVms: bool | None = None,
                          maintenanceSpec: Any = None) -> None:
        box, running = self.open()
        if running.maintenance:
            raise vim.fault.InvalidState(msg=f"The host {self.name} is already in maintenance mode.")
        stuck = self._running_vms()
        if stuck:
            raise vim.fault.Timedout(msg=f"Virtual machines still run on {self.name}: {', '.join(stuck)}.")
        running.maintenance = True
        self.house.inventory.mark(box)

    @method("ExitMaintenanceMode_Task", mutates=True, task=True)
    def exit_maintenance(self, timeout: int) -> None:
        box, running = self.open()
        if not running.maintenance:
            raise vim.fault.InvalidState(msg=f"The host {self.name} is not in maintenance mode.")
        running.maintenance = False
        self.house.inventory.mark(box)

    @method("RebootHost_Task", mutates=True, task=True)
    def reboot(self, force: bool) -> None:
        box, running = self.open()
        if not (running.maintenance or force):
            raise vim.fault.InvalidState(msg=f"The host {self.name} is not in maintenance mode.")
        self.house.reboot(box.mac)


def let_in(running: Hypervisor, user: str) -> bool:
    """Whether a user may log in at the host itself: an administrator, and in lockdown mode one of the exceptions. The
    twin knows no other role at a host's own door."""
    entries = access.access_entries(running)
    return any(each.principal == user and each.accessMode == access.ADMIN for each in entries)


def door_world(house: House, box: Box) -> DoorWorld:
    """The objects behind the door of what runs on a machine now."""
    if box.running is None:
        raise AssertionError(f"machine {box.mac} is {box.power}: it has no door")
    world = DoorWorld(house, box)
    root = DoorFolder(world, "ha-folder-root", "ha-folder-root", None)
    datacenter = DoorDatacenter(world, "ha-datacenter", "ha-datacenter", root)
    hosts = DoorFolder(world, "ha-folder-host", "host", datacenter)
    compute = DoorCompute(world, "ha-compute-res", box.name or box.ip, hosts)
    host = DoorHost(world, "ha-host")
    for above, below in ((root, datacenter), (datacenter, hosts), (hosts, compute), (compute, host)):
        above.below.append(below)
    made = [kind(host, kind.door_id) for kind in MANAGERS]
    managers = {each.field: each for each in made if each.field}
    world.add(root, datacenter, hosts, compute, host, *made)
    open_services(
        world, root, host_about(version=box.running.version, build=box.running.build), host=True,
        accountManager=managers["accountManager"], setting=managers["advancedOption"],
        userDirectory=managers["userDirectory"],
    )

    def authenticate(user: str, password: str) -> Role | None:
        return ADMIN if let_in(world.running(), user) and knows(world.running(), user, password) else None

    world.sessions.authenticate = authenticate
    return world
