"""Enhanced vMotion Compatibility: a cluster's manager of it, and which hosts a mode keeps out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyVmomi import vim

from providers.twin import model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.objects.base import HouseObject

if TYPE_CHECKING:
    from providers.twin.house import House

_INTEL = ("merom", "penryn", "nehalem", "westmere", "sandybridge", "ivybridge", "haswell", "broadwell", "skylake",
          "cascadelake", "icelake", "sapphirerapids")
_AMD = ("rev-e", "rev-f", "greyhound-no3dnow", "greyhound", "bulldozer", "piledriver", "steamroller", "zen", "zen2",
        "zen3", "zen4")
VENDORS = {"intel": _INTEL, "amd": _AMD}
"""EVC modes by vendor, oldest first; a mode's key is "intel-broadwell" (VMware KB 1003212)."""
NEWEST = "intel-sapphirerapids"


def tier(mode: str) -> tuple[str, int]:
    """Vendor and age of a mode: of one vendor, the higher has more CPU features. Raises ValueError, KeyError."""
    vendor, _, name = mode.partition("-")
    return vendor, VENDORS[vendor].index(name)


def known(mode: str) -> bool:
    vendor, _, name = mode.partition("-")
    return name in VENDORS.get(vendor, ())


def offers(box: model.Box, mode: str) -> bool:
    """Whether the CPU of a machine has everything that the mode promises."""
    mine, wanted = tier(box.evc or NEWEST), tier(mode)
    return mine[0] == wanted[0] and mine[1] >= wanted[1]


def beyond(house: House, machine: model.Vm, mode: str) -> bool:
    """Whether a running VM may use CPU features that the mode hides."""
    host = house.inventory.need(machine.host, model.Host)
    started = machine.cpu or house.inventory.need(host.mac, model.Box).evc or NEWEST
    return machine.power == "poweredOn" and tier(started)[1] > tier(mode)[1]


def check_host(house: House, cluster: model.Cluster, box: model.Box, name: str) -> None:
    """Raises vim.fault.EVCAdmissionFailedCPUFeaturesForMode for a host that is to enter a cluster it does not fit."""
    mode = cluster.parts.evc
    if mode and not offers(box, mode):
        raise vim.fault.EVCAdmissionFailedCPUFeaturesForMode(
            currentEVCModeKey=mode, msg=f"The CPU of {name} lacks features of the EVC mode {mode} of {cluster.name}.")


def manager_id(cluster: str) -> str:
    return cluster.replace("domain-c", "evcmanager-")


def cluster_of(manager: str) -> str:
    return manager.replace("evcmanager-", "domain-c")


class EvcManager(HouseObject):
    """`vim.cluster.EVCManager` of one cluster."""

    wire = "ClusterEVCManager"

    @property
    def _cluster(self) -> model.Cluster:
        return self.house.inventory.need(cluster_of(self.moid), model.Cluster)

    @property
    def _hosts(self) -> list[model.Host]:
        return [each for each in self.house.inventory.below(self._cluster.id) if isinstance(each, model.Host)]

    @property
    def entity(self) -> ManagedObject:
        found = self.world.find(cluster_of(self.moid))
        return self if found is None else found

    @prop("managedCluster")
    def managed_cluster(self) -> ManagedObject:
        return self.entity

    @prop("evcState")
    def state(self) -> Any:
        boxes = [self.house.inventory.need(each.mac, model.Box) for each in self._hosts]
        every = [f"{vendor}-{name}" for vendor, names in VENDORS.items() for name in names]
        return data("ClusterEVCManagerEVCState", currentEVCModeKey=self._cluster.parts.evc or None,
                    supportedEVCMode=[_mode(each) for each in every if all(offers(box, each) for box in boxes)])

    def _problems(self, mode: str) -> list[tuple[Any, list[model.Host]]]:
        """What keeps the cluster from that mode: faults, each with its hosts."""
        inventory = self.house.inventory
        if not known(mode):
            return [(vim.fault.EVCModeIllegalByVendor(
                clusterCPUVendor="intel", modeCPUVendor=mode.partition("-")[0], msg=f"{mode!r} is no EVC mode."), [])]
        old = [each for each in self._hosts if not offers(inventory.need(each.mac, model.Box), mode)]
        busy = [each for each in self._hosts if any(beyond(self.house, vm, mode) for vm in inventory.vms_on(each))]
        gone = [each for each in self._hosts if each.connection != "connected"]
        found: list[tuple[Any, list[model.Host]]] = []
        if old:
            found.append((vim.fault.EVCModeUnsupportedByHosts(
                evcMode=mode, hostName=[h.name for h in old], host=self._refs(old),
                msg=f"The CPU of these hosts lacks features of {mode}: {', '.join(h.name for h in old)}."), old))
        if busy:
            found.append((vim.fault.ActiveVMsBlockingEVC(
                evcMode=mode, hostName=[h.name for h in busy], host=self._refs(busy),
                msg=f"Running virtual machines use more than {mode} on {', '.join(h.name for h in busy)}."), busy))
        if gone:
            found.append((vim.fault.DisconnectedHostsBlockingEVC(
                msg=f"Hosts are not connected: {', '.join(h.name for h in gone)}."), gone))
        return found

    def _refs(self, hosts: list[model.Host]) -> list[Any]:
        found = (self.world.find(each.id) for each in hosts)
        return [each.ref() for each in found if each is not None]

    @method("CheckConfigureEvcMode_Task", task=True)
    def check(self, evcModeKey: str, evcGraphicsModeKey: str | None = None) -> Any:
        return [data("ClusterEVCManagerCheckResult", evcModeKey=evcModeKey, error=fault, host=self._refs(hosts))
                for fault, hosts in self._problems(evcModeKey)]

    @method("ConfigureEvcMode_Task", mutates=True, task=True)
    def configure(self, evcModeKey: str, evcGraphicsModeKey: str | None = None) -> None:
        if evcGraphicsModeKey:
            from pyVmomi import vmodl

            raise vmodl.fault.NotSupported(msg="The twin does not simulate EVC for graphics")
        for fault, _ in self._problems(evcModeKey):
            raise fault
        self._set(evcModeKey)

    @method("DisableEvcMode_Task", mutates=True, task=True)
    def disable(self) -> None:
        self._set("")

    def _set(self, mode: str) -> None:
        """Running VMs keep what they were started with (`Vm.cpu`)."""
        cluster = self._cluster
        cluster.parts.evc = mode
        self.house.inventory.mark(cluster)


def _mode(key: str) -> Any:
    vendor, number = tier(key)
    return data("EVCMode", key=key, label=key, summary=key, vendor=vendor, vendorTier=number,
                track=[f"{vendor}-{name}" for name in VENDORS[vendor][:number + 1]])
