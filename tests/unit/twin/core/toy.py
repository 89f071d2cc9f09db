"""A toy inventory on the twin's base: one folder of hosts with a network system each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

from planner.ports import Clock
from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.meta import data
from providers.twin.core.service import open_services, vcenter_about
from providers.twin.core.sessions import Role
from providers.twin.soap.stub import InProcessStub

USER, PASSWORD = "administrator@vsphere.local", "right horse"


class Root(ManagedObject):
    wire = "Folder"

    def __init__(self, world: World) -> None:
        super().__init__(world, "group-d1")
        self.hosts: list[Host] = []

    @property
    def name(self) -> str:
        return "Datacenters"

    def children(self) -> Iterable[ManagedObject]:
        return self.hosts

    @prop("name")
    def name_property(self) -> str:
        return self.name

    @prop("childEntity")
    def child_entity(self) -> list[ManagedObject]:
        return list(self.hosts)

    @method("CreateFolder", mutates=True)
    def create_folder(self, name: str) -> Any:
        raise vim.fault.HostConnectFault()  # deliberately not declared for this method


class Host(ManagedObject):
    wire = "HostSystem"

    def __init__(self, world: World, root: Root, number: int) -> None:
        super().__init__(world, f"host-{number}")
        self.root, self.number = root, number
        self.switches: dict[str, int] = {"vSwitch0": 1500}
        self.maintenance = False
        self.dead = False
        self.network = Network(world, self)
        root.hosts.append(self)
        world.add(self, self.network)

    @property
    def name(self) -> str:
        return f"esx{self.number:02}.lab.example"

    @property
    def parent(self) -> ManagedObject | None:
        return self.root

    @prop("name")
    def name_property(self) -> str:
        return self.name

    @prop("parent")
    def parent_property(self) -> ManagedObject:
        return self.root

    @prop("runtime.inMaintenanceMode", "summary.runtime.inMaintenanceMode")
    def in_maintenance(self) -> bool:
        return self.maintenance

    @prop("config.network.vswitch")
    def vswitch(self) -> list[Any]:
        if self.dead:
            raise vmodl.fault.HostNotConnected()
        return [data("HostVirtualSwitch", name=name, key=f"key-vim.host.VirtualSwitch-{name}", numPorts=128, mtu=mtu,
                     numPortsAvailable=120, pnic=["key-vmnic0"],
                     spec=data("HostVirtualSwitchSpec", numPorts=128, mtu=mtu,
                               bridge=data("HostVirtualSwitchBondBridge", nicDevice=["vmnic0"])))
                for name, mtu in self.switches.items()]

    @prop("config.option")
    def option(self) -> list[Any]:
        return [data("OptionValue", key="Syslog.global.logHost", value="udp://10.0.0.9:514"),
                data("OptionValue", key="Mem.Big", value=2**40)]

    @prop("hardware.memorySize")
    def memory(self) -> int:
        return 64 * 2**30

    @prop("hardware.systemInfo.uuid")
    def uuid(self) -> str:
        return f"00000000-0000-0000-0000-{self.number:012}"

    @prop("config.network.dnsConfig.hostName")
    def dns_name(self) -> str:
        return f"esx{self.number:02}"

    @prop("configManager")
    def config_manager(self) -> Any:
        return data("HostConfigManager", networkSystem=self.network.ref())

    @prop("disabledMethod")
    def disabled_method(self) -> list[Any]:
        return [vim.HostSystem.ExitMaintenanceMode]

    @method("EnterMaintenanceMode_Task", mutates=True, task=True, cancelable=True)
    def enter_maintenance(self, timeout: int, evacuatePoweredOffVms: Any = None, maintenanceSpec: Any = None) -> None:
        if self.maintenance:
            raise vim.fault.InvalidState(msg="already in maintenance mode")
        self.maintenance = True

    @method("Destroy_Task", mutates=True, task=True, privilege="Host.Inventory.RemoveHostFromCluster")
    def destroy(self) -> None:
        self.root.hosts.remove(self)
        self.world.discard(self, self.network)


class Network(ManagedObject):
    wire = "HostNetworkSystem"

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, f"networkSystem-{host.number}")
        self.host = host
        self.last_spec: Any = None

    @property
    def entity(self) -> ManagedObject:
        return self.host

    @method("AddVirtualSwitch", mutates=True)
    def add_virtual_switch(self, vswitchName: str, spec: Any = None) -> None:
        if vswitchName in self.host.switches:
            raise vim.fault.AlreadyExists(name=vswitchName)
        self.last_spec = spec
        self.host.switches[vswitchName] = (spec.mtu if spec else None) or 1500


@dataclass
class ManualClock:
    """Time that moves only when somebody sleeps."""

    time: float = 1_700_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@dataclass
class Toy:
    world: World
    root: Root
    commits: list[int]
    stopped: list[str]

    def stub(self, *, codec: bool = False) -> InProcessStub:
        return InProcessStub(self.world, codec=codec)

    def login(self, *, codec: bool = False, user: str = USER) -> Any:
        """ServiceContent of a fresh, logged-in client."""
        content = content_of(self.stub(codec=codec))
        content.sessionManager.Login(user, PASSWORD)
        return content


def content_of(stub: Any) -> Any:
    """ServiceContent at a door, without login."""
    return vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()


def make_toy(hosts: int = 3, clock: Clock | None = None) -> Toy:
    commits: list[int] = []
    stopped: list[str] = []
    world = World(clock=clock, on_commit=lambda: commits.append(len(commits)), on_host_stops=stopped.append)
    root = Root(world)
    world.add(root)
    for number in range(1, hosts + 1):
        Host(world, root, number)
    open_services(world, root, vcenter_about(version="8.0.3", build="24022510", instance="toy-instance"))
    world.sessions.accounts.set(USER, PASSWORD)
    world.sessions.accounts.set("reader", PASSWORD, Role.of("ReadOnly", ()))
    return Toy(world, root, commits, stopped)


def host_spec(content: Any, *paths: str, everything: bool = False) -> Any:
    """A filter spec over all hosts below the root, by a container view."""
    collector = vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    walk = collector.TraversalSpec(name="view", type=vim.view.ContainerView, path="view")
    return collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[collector.PropertySpec(type=vim.HostSystem, pathSet=list(paths), all=everything)])


def read_hosts(content: Any, *paths: str) -> dict[str, dict[str, Any]]:
    """Property values by host id."""
    options = vmodl.query.PropertyCollector.RetrieveOptions()
    found = content.propertyCollector.RetrievePropertiesEx([host_spec(content, *paths)], options)
    return {each.obj._moId: {str(p.name): p.val for p in each.propSet} for each in found.objects}
