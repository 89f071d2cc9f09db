"""ClusterComputeResource and its root resource pool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.objects import evc
from providers.twin.objects.adding import add_host
from providers.twin.objects.base import EntityObject, HouseObject
from providers.twin.objects.cluster_config import ClusterViews, reconfigure
from providers.twin.objects.drs_rules import drop_member
from providers.twin.objects.removal import remove_below

_PER_CLUSTER = 96  # hosts in a cluster, vSphere 8 configuration maximums
_CORES, _MHZ, _MEMORY = 32, 2400, 512 << 30


class ClusterObject(EntityObject):
    """`vim.ClusterComputeResource`."""

    wire = "ClusterComputeResource"
    kind = model.Cluster

    @property
    def _hosts(self) -> list[model.Host]:
        return [each for each in self.house.inventory.below(self.moid) if isinstance(each, model.Host)]

    def contents(self) -> Iterable[ManagedObject]:
        return self.objects(vm for host in self._hosts for vm in self.house.inventory.vms_on(host))

    @prop("host")
    def host(self) -> list[ManagedObject]:
        return self.objects(self._hosts)

    @prop("resourcePool")
    def resource_pool(self) -> ManagedObject:
        return self.at(pool_id(self.moid))

    def _of_hosts(self, kind: Any) -> list[ManagedObject]:
        found: dict[str, Any] = {}
        for host in self._hosts:
            found.update({each.id: each for each in self.house.inventory.used_by(host, kind)})
        return self.objects(found.values())

    @prop("datastore")
    def datastore(self) -> list[ManagedObject]:
        return self._of_hosts(model.Datastore)

    @prop("network")
    def network(self) -> list[ManagedObject]:
        return self._of_hosts(model.Network)

    @prop("summary")
    def summary(self) -> Any:
        hosts = self._hosts
        usable = [
            each for each in hosts
            if each.connection == "connected" and not self.house.contact.seen(each).maintenance
        ]
        return data(
            "ClusterComputeResourceSummary",
            totalCpu=len(hosts) * _CORES * _MHZ,
            totalMemory=len(hosts) * _MEMORY,
            numCpuCores=len(hosts) * _CORES,
            numCpuThreads=len(hosts) * _CORES * 2,
            effectiveCpu=len(usable) * _CORES * _MHZ,
            effectiveMemory=len(usable) * (_MEMORY >> 20),
            numHosts=len(hosts),
            numEffectiveHosts=len(usable),
            overallStatus="green",
            numVmotions=0,
            currentEVCModeKey=self.evc_mode(),
        )

    @property
    def _views(self) -> ClusterViews:
        return ClusterViews(self, self.doc)

    @prop("configurationEx.dasConfig")
    def das_config(self) -> Any:
        return self._views.das()

    @prop("configurationEx.drsConfig")
    def drs_config(self) -> Any:
        return self._views.drs()

    @prop("configurationEx")
    def configuration_ex(self) -> Any:
        return self._views.whole()

    @prop("summary.currentEVCModeKey")
    def evc_mode(self) -> str | None:
        return self.doc.parts.evc or None

    @prop("lifecycleManaged", "configManagerEnabled")
    def by_image(self) -> bool:
        return False

    @prop("recommendation", "drsRecommendation", "migrationHistory", "actionHistory", "drsFault")
    def nothing_yet(self) -> list[Any]:
        return []

    @method("AddHost_Task", mutates=True, task=True)
    def add(self, spec: Any, asConnected: bool, resourcePool: Any = None, license: str | None = None) -> ManagedObject:
        if resourcePool is not None and self.world.resolve(resourcePool).moid != pool_id(self.moid):
            raise vmodl.fault.InvalidArgument(
                invalidProperty="resourcePool", msg=f"The resource pool is not the root pool of {self.name}."
            )
        if license:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate AddHost_Task with a licence key")
        added = add_host(self.house, self, spec, connected=asConnected)
        self.changes(added.name)
        return self.at(added.id)

    @method("MoveInto_Task", mutates=True, task=True)
    def move_into(self, host: Any) -> None:
        moving = [self.world.resolve(each).doc for each in host]
        for each in moving:
            self._check_move(each)
        if len(self._hosts) + sum(each.parent != self.moid for each in moving) > _PER_CLUSTER:
            raise vim.fault.TooManyHosts(msg=f"A cluster takes at most {_PER_CLUSTER} hosts.")
        for each in moving:
            drop_member(self.house, each.id, stays=self.moid)
            for machine in self.house.inventory.vms_on(each):
                drop_member(self.house, machine.id, stays=self.moid)
            self.house.inventory.move(each, self.moid)
            self.changes(each.name)

    def _check_move(self, host: model.Host) -> None:
        inventory = self.house.inventory
        if inventory.datacenter_of(host).id != inventory.datacenter_of(self.doc).id:
            raise vmodl.fault.InvalidArgument(
                invalidProperty="host", msg=f"The host {host.name} is in another datacenter than {self.name}."
            )
        if host.connection != "connected":
            raise vmodl.fault.HostNotConnected(msg=f"The host {host.name} is {host.connection}: it cannot be moved.")
        if host.parent != self.moid and not self.house.contact.seen(host).maintenance:
            raise vim.fault.InvalidState(
                msg=f"The host {host.name} is part of a cluster and not in maintenance mode: it cannot be moved."
            )
        evc.check_host(self.house, self.doc, self.house.inventory.need(host.mac, model.Box), host.name)

    @method("ReconfigureComputeResource_Task", mutates=True, task=True)
    def reconfigure_ex(self, spec: Any, modify: bool) -> None:
        reconfigure(self.house, self.doc, spec, modify=modify)
        self.house.inventory.mark(self.doc)

    @method("EvcManager")
    def evc_manager(self) -> ManagedObject:
        return self.at(evc.manager_id(self.moid))

    @method("Destroy_Task", mutates=True, task=True, privilege="Host.Inventory.DeleteCluster")
    def destroy(self) -> None:
        remove_below(self.house, self.doc)


def pool_id(cluster: str) -> str:
    """Id of a cluster's root resource pool."""
    return cluster.replace("domain-c", "resgroup-")


def cluster_id(pool: str) -> str:
    return pool.replace("resgroup-", "domain-c")


class PoolObject(HouseObject):
    """`vim.ResourcePool`: the root pool of a cluster."""

    wire = "ResourcePool"

    @property
    def name(self) -> str:
        return "Resources"

    @property
    def parent(self) -> ManagedObject | None:
        return self.world.find(cluster_id(self.moid))

    @prop("name")
    def p_name(self) -> str:
        return self.name

    @prop("parent", "owner")
    def p_owner(self) -> ManagedObject | None:
        return self.parent

    @prop("resourcePool")
    def p_pools(self) -> list[Any]:
        return []

    @prop("vm")
    def p_vm(self) -> list[ManagedObject]:
        return list(self.parent.contents()) if self.parent is not None else []
