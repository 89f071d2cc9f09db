"""HostSystem: what is the same at vCenter and at the host's own door, and the base of the host's managers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

import msgspec
from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim

from providers.twin.core.base import ManagedObject, item, prop
from providers.twin.core.meta import data
from providers.twin.core.service import host_about
from providers.twin.machines import tls_identity
from providers.twin.model import Box, HostConfig, Hypervisor
from providers.twin.objects.access_props import AccessProps
from providers.twin.objects.base import HouseObject
from providers.twin.objects.dvs_props import DvsProps
from providers.twin.objects.network_props import NetworkProps
from providers.twin.objects.services_props import ServicesProps
from providers.twin.objects.storage_props import StorageProps
from providers.twin.reach import cut
from providers.twin.views import network, options, services

_MEMORY = 512 << 30  # bytes
_CORES, _MHZ = 32, 2400
VENDOR, MODEL = "Fleet", "Twin Server G1"


def moment(seconds: float) -> datetime:
    """A time as the API shows it."""
    return datetime.fromtimestamp(seconds, UTC)


class HostObject(NetworkProps, AccessProps, ServicesProps, DvsProps, StorageProps):
    """`vim.HostSystem`."""

    wire = "HostSystem"

    @property
    def box(self) -> Box:
        """The machine."""
        raise NotImplementedError

    def hypervisor(self) -> Hypervisor:
        """What to show: what runs there, or what vCenter remembers of it."""
        raise NotImplementedError

    def open(self) -> tuple[Box, Hypervisor]:
        """For a change: what runs there. Raises vmodl.fault.HostNotConnected or HostNotReachable."""
        raise NotImplementedError

    def manager_id(self, kind: type[HostManager]) -> str:
        """Id of this host's manager of that class."""
        raise NotImplementedError

    def manager(self, kind: type[HostManager]) -> ManagedObject:
        found = self.world.find(self.manager_id(kind))
        if found is None:
            raise AssertionError(f"no {kind.field} of {self.name}")
        return found

    def changed(self) -> None:
        """The configuration of what runs here changed: keep it, and let vCenter's datastores and networks follow."""
        box = self.box
        self.house.inventory.mark(box)
        host = self.house.inventory.host_of(box.mac)
        if host is not None and host.seen is None and box.running is not None:
            self.house.inventory.attach(host, box.running.config)

    # --- status -------------------------------------------------------------------------------------------

    @prop("name")
    def p_name(self) -> str:
        return self.name

    @prop("parent")
    def p_parent(self) -> ManagedObject | None:
        return self.parent

    @prop("runtime.connectionState")
    def connection_state(self) -> str:
        return "connected"

    @prop("runtime.powerState")
    def power_state(self) -> str:
        return "poweredOn" if self.connection_state() == "connected" else "unknown"

    @prop("runtime.inMaintenanceMode")
    def in_maintenance(self) -> bool:
        return self.hypervisor().maintenance

    @prop("runtime.bootTime")
    def boot_time(self) -> datetime:
        return moment(self.hypervisor().boot_time)

    @prop("runtime", "summary.runtime")
    def runtime(self) -> Any:
        return data(
            "HostRuntimeInfo", connectionState=self.connection_state(), powerState=self.power_state(),
            standbyMode="none", inMaintenanceMode=self.in_maintenance(), inQuarantineMode=False,
            bootTime=self.boot_time(), hostMaxVirtualDiskCapacity=Vm.long(62 << 40), cryptoState="incapable",
        )

    # --- hardware -----------------------------------------------------------------------------------------

    def identity(self) -> tuple[str, str]:
        """Hardware UUID and serial number to show."""
        return self.box.uuid, self.box.serial

    @prop("hardware.systemInfo")
    def system_info(self) -> Any:
        uuid, serial = self.identity()
        return data(
            "HostSystemInfo", vendor=VENDOR, model=MODEL, uuid=uuid, serialNumber=serial,
            otherIdentifyingInfo=[data(
                "HostSystemIdentificationInfo", identifierValue=serial,
                identifierType=data("ElementDescription", label="Service tag", summary="Service tag of the system",
                                    key="ServiceTag"),
            )],
        )

    @prop("hardware")
    def hardware(self) -> Any:
        return data(
            "HostHardwareInfo", systemInfo=self.system_info(), memorySize=Vm.long(_MEMORY),
            cpuInfo=data("HostCpuInfo", numCpuPackages=2, numCpuCores=_CORES, numCpuThreads=2 * _CORES,
                         hz=Vm.long(_MHZ * 1_000_000)),
            biosInfo=data("HostBIOSInfo", biosVersion="1.0", vendor=VENDOR),
            cpuPkg=[
                data("HostCpuPackage", index=number, vendor="other", hz=Vm.long(_MHZ * 1_000_000),
                     busHz=Vm.long(100_000_000), description="Twin CPU @ 2.40GHz",
                     threadId=list(range(number * _CORES, (number + 1) * _CORES)))
                for number in range(2)
            ],
        )

    @prop("summary.hardware")
    def summary_hardware(self) -> Any:
        uuid, _ = self.identity()
        return data(
            "HostHardwareSummary", vendor=VENDOR, model=MODEL, uuid=uuid, memorySize=Vm.long(_MEMORY),
            cpuModel="Twin CPU @ 2.40GHz", cpuMhz=_MHZ, numCpuPkgs=2, numCpuCores=_CORES, numCpuThreads=2 * _CORES,
            numNics=len(self.box.nics), numHBAs=3 + self.hypervisor().config.storage.iscsi.enabled,
        )

    @prop("config.product", "summary.config.product")
    def product(self) -> Any:
        found = self.hypervisor()
        return _about(found.version, found.build)

    def thumbprint(self) -> str:
        """SHA-1 of the certificate to show."""
        return tls_identity(self.house.name, self.box).sha1

    @prop("summary.config")
    def summary_config(self) -> Any:
        nics = self.hypervisor().config.vnics.values()
        return data(
            "HostConfigSummary", name=self.name, port=443, sslThumbprint=self.thumbprint(),
            product=self.product(), vmotionEnabled=any("vmotion" in nic.services for nic in nics),
            faultToleranceEnabled=any("faultToleranceLogging" in nic.services for nic in nics),
        )

    @prop("summary.managementServerIp")
    def management_server(self) -> str | None:
        return None

    @prop("summary")
    def summary(self) -> Any:
        return data(
            "HostListSummary", host=self.ref(), hardware=self.summary_hardware(), runtime=self.runtime(),
            config=self.summary_config(), quickStats=data("HostListSummaryQuickStats"), overallStatus="green",
            rebootRequired=False, managementServerIp=self.management_server(),
        )

    # --- configuration ------------------------------------------------------------------------------------

    def shown(self) -> Hypervisor:
        """What `config` shows of what runs here; vCenter's lags calls."""
        return self.hypervisor()

    @prop("config.network.vswitch")
    def vswitch(self) -> Any:
        return network.vswitches(self.shown().config)

    @prop("config.network.portgroup")
    def portgroup(self) -> Any:
        return network.portgroups(self.shown().config)

    @prop("config.network.vnic")
    def vnic(self) -> Any:
        return network.vnics(self.shown().config)

    @prop("config.network.pnic")
    def pnic(self) -> Any:
        return network.pnics(self.box)

    @prop("config.network.dnsConfig")
    def dns_config(self) -> Any:
        return network.dns(self.shown().config)

    @prop("config.network")
    def network_info(self) -> Any:
        return network.network_info(self.box, self.shown().config)

    @prop("config.virtualNicManagerInfo.netConfig")
    def net_config(self) -> Any:
        return network.net_configs(self.shown().config)

    @prop("config.virtualNicManagerInfo")
    def nic_manager_info(self) -> Any:
        return data("HostVirtualNicManagerInfo", netConfig=self.net_config())

    @prop("config.dateTimeInfo")
    def date_time_info(self) -> Any:
        return services.date_time_info(self.shown())

    @prop("config.service")
    def service_info(self) -> Any:
        return services.service_info(self.shown())

    @prop("config.firewall")
    def firewall_info(self) -> Any:
        return services.firewall_info(self.shown())

    @prop("config.option")
    def option_values(self) -> Any:
        return options.values(self.shown().config)

    @item("config.option")
    def option_value(self, key: str) -> Any:
        return options.value(self.shown().config, key)

    @prop("config.optionDef")
    def option_definitions(self) -> Any:
        return options.definitions()

    @prop("config.certificate")
    def certificate(self) -> Any:
        """The PEM that the host shows, as signed bytes; unset where nothing runs."""
        box = self.box
        if box.running is None:
            return None
        pem = tls_identity(self.house.name, box).certificate.encode()
        return [Vm.byte(each - 256 if each > 127 else each) for each in pem]

    @prop("config.deploymentInfo")
    def deployment_info(self) -> Any:
        return data("HostDeploymentInfo", bootedFromStatelessCache=False)

    @prop("config.wakeOnLanCapable")
    def wake_on_lan(self) -> bool:
        return False

    @prop("config.host")
    def p_host(self) -> Any:
        return self.ref()

    @prop("config")
    def config(self) -> Any:
        """Everything that has a property of its own."""
        parts = {path.partition(".")[2]: name for path, name in self.props.items() if path.count(".") == 1
                 and path.startswith("config.")}
        return data("HostConfigInfo", **{field: getattr(self, name)() for field, name in parts.items()})

    @prop("configManager")
    def config_manager(self) -> Any:
        from providers.twin.objects.managers import MANAGERS

        return data("HostConfigManager", **{kind.field: self.manager(kind).ref() for kind in MANAGERS if kind.field})


@cache
def _about(version: str, build: str) -> Any:
    return host_about(version=version, build=build)


class HostManager(HouseObject):
    """A manager object of a host: another view of the same configuration. Listed in `objects/managers.py`."""

    field: ClassVar[str] = ""  # of HostConfigManager; "": another manager leads to it
    prefix: ClassVar[str] = ""  # of its id in vCenter: "networkSystem-12" belongs to host-12
    door_id: ClassVar[str] = ""  # its id at the host's own door

    def __init__(self, host: HostObject, moid: str) -> None:
        super().__init__(host.world, moid)
        self.host = host

    @property
    def entity(self) -> ManagedObject:
        return self.host

    def hypervisor(self) -> Hypervisor:
        return self.host.hypervisor()

    @property
    def config(self) -> HostConfig:
        return self.hypervisor().config

    @contextmanager
    def editing(self) -> Iterator[HostConfig]:
        """A copy of the configuration to change; it holds once the block ends well.

        Raises vim.fault.HostConfigFault, caused by NetworkDisruptedAndConfigRolledBack, for a change that would make
        vCenter lose the host: it rolls back.
        """
        box, running = self.host.open()
        config = msgspec.convert(msgspec.to_builtins(running.config), HostConfig)
        yield config
        why = cut(box, config, self.house.inventory.host_of(box.mac))
        if why:
            cause = vim.fault.NetworkDisruptedAndConfigRolledBack(
                host=self.host.name, msg=f"Network configuration on {self.host.name} is rolled back: {why}.")
            raise vim.fault.HostConfigFault(
                faultCause=cause,
                msg=f"The change would cut {self.host.name} from its management network; it was rolled back.")
        self.house.lag.changed(box.mac, box.boots, running.config)
        running.config = config
        self.host.changed()
