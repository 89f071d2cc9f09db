"""Datastore, Network and VirtualMachine."""

from __future__ import annotations

from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.objects.base import EntityObject
from providers.twin.objects.cluster import pool_id
from providers.twin.objects.removal import forget_vm
from providers.twin.objects.vm_files import vmx_path
from providers.twin.views import storage

_CAPACITY = 4 << 40  # bytes


def volume_path(store: model.Datastore) -> str:
    """Where a host mounts a datastore."""
    return f"/vmfs/volumes/{store.id.replace('datastore-', '7e0a11c0-')}"


class DatastoreObject(EntityObject):
    """`vim.Datastore`: an NFS export shared by the hosts that mount it, or a VMFS volume of the seed."""

    wire = "Datastore"
    kind = model.Datastore

    def _accessible(self) -> bool:
        return any(each.connection == "connected" for each in self.house.inventory.users(self.moid))

    @prop("summary")
    def summary(self) -> Any:
        doc = self.doc
        return data(
            "DatastoreSummary",
            datastore=self.ref(),
            name=doc.name,
            url=f"ds://{volume_path(doc)}/",
            capacity=Vm.long(_CAPACITY),
            freeSpace=Vm.long(_CAPACITY // 2),
            accessible=self._accessible(),
            multipleHostAccess=len(self.house.inventory.users(self.moid)) > 1,
            type=doc.type,
            maintenanceMode="normal",
        )

    @prop("info")
    def info(self) -> Any:
        doc = self.doc
        common = {
            "name": doc.name, "url": f"ds://{volume_path(doc)}/", "freeSpace": Vm.long(_CAPACITY // 2),
            "maxFileSize": Vm.long(62 << 40),
        }
        if doc.type == "VMFS":
            return self._vmfs_info(common)
        return data("NasDatastoreInfo", nas=nas_volume(doc), **common)

    def _vmfs_info(self, common: dict[str, Any]) -> Any:
        """Of a volume of the seed that is on no disk of the SAN nothing more is known."""
        found = self.house.inventory.site.san.volumes.get(self.doc.path)
        users = self.house.inventory.users(self.moid)
        if found is None or not users:
            return data("DatastoreInfo", **common)
        box = self.house.inventory.need(users[0].mac, model.Box)
        return data("VmfsDatastoreInfo", vmfs=storage.volume(self.house.inventory.site.san, box, self.doc.path, found),
                    **common)

    @prop("host")
    def host(self) -> Any:
        mounts = []
        for each in self.house.inventory.users(self.moid):
            mount = self.house.contact.seen(each).config.nfs.get(self.doc.name)
            mounts.append(data(
                "DatastoreHostMount", key=self.at(each.id).ref(),
                mountInfo=mount_info(self.doc, mount.access if mount else "readWrite"),
            ))
        return mounts

    @prop("vm")
    def vm(self) -> list[ManagedObject]:
        return self.objects(each for each in self.house.inventory.all(model.Vm) if self.moid in each.datastores)

    @method("Rename_Task", mutates=True, task=True)
    def rename(self, newName: str) -> None:
        wanted, before = self.new_name(newName), self.doc.name
        if not wanted:
            return
        for host in self.house.inventory.users(self.moid):
            config = self.house.contact.seen(host).config
            if before in config.nfs:
                config.nfs[wanted] = config.nfs.pop(before)
            if self.doc.path in self.house.inventory.site.san.volumes:
                self.house.inventory.site.san.volumes[self.doc.path].name = wanted
                self.house.inventory.mark(self.house.inventory.site)
            box = self.house.contact.reachable(host)
            self.house.inventory.mark(box if box is not None else host)
        self.house.inventory.rename(self.doc, wanted)


def nas_volume(store: model.Datastore) -> Any:
    """HostNasVolume of an NFS datastore."""
    return data(
        "HostNasVolume", type=store.type, name=store.name, capacity=Vm.long(_CAPACITY), remoteHost=store.server,
        remotePath=store.path, remoteHostNames=list(store.servers) or [store.server], protocolEndpoint=False,
        securityType="AUTH_SYS",
    )


def mount_info(store: model.Datastore, access: str) -> Any:
    """HostMountInfo."""
    return data("HostMountInfo", path=volume_path(store), accessMode=access, mounted=True, accessible=True)


class NetworkObject(EntityObject):
    """`vim.Network`: a port group name in use on at least one host of the datacenter."""

    wire = "Network"
    kind = model.Network

    @prop("summary")
    def summary(self) -> Any:
        return data("NetworkSummary", network=self.ref(), name=self.name, accessible=True, ipPoolName="")

    @prop("host")
    def host(self) -> list[ManagedObject]:
        return self.objects(self.house.inventory.users(self.moid))

    @prop("vm")
    def vm(self) -> list[ManagedObject]:
        hosts = {each.id for each in self.house.inventory.users(self.moid)}
        return self.objects(
            each for each in self.house.inventory.all(model.Vm) if self.name in each.networks and each.host in hosts
        )


class VmObject(EntityObject):
    """`vim.VirtualMachine`: what planning and evacuation need of one."""

    wire = "VirtualMachine"
    kind = model.Vm

    @property
    def _host(self) -> model.Host:
        return self.house.inventory.need(self.doc.host, model.Host)

    @prop("runtime.powerState")
    def power_state(self) -> str:
        return str(self.doc.power)

    @prop("runtime.connectionState")
    def connection_state(self) -> str:
        """A reborn host that was reconnected without syncState leaves its machines orphaned; one that lacks a datastore
        of theirs makes them inaccessible."""
        if self.doc.state != "connected":
            return str(self.doc.state)
        if self._host.connection != "connected":
            return "disconnected"
        there = set(self.doc.datastores) <= self.house.inventory.uses(self._host)
        return "connected" if there else "inaccessible"

    @prop("runtime.host")
    def runtime_host(self) -> ManagedObject:
        return self.at(self.doc.host)

    @prop("runtime", "summary.runtime")
    def runtime(self) -> Any:
        return data(
            "VirtualMachineRuntimeInfo", host=self.at(self.doc.host).ref(), connectionState=self.connection_state(),
            powerState=self.doc.power, toolsInstallerMounted=False, numMksConnections=0, recordReplayState="inactive",
            suspendInterval=Vm.long(0), onlineStandby=False, consolidationNeeded=False,
            faultToleranceState="notConfigured",
        )

    @prop("summary.config.vmPathName", "config.files.vmPathName")
    def vmx(self) -> str:
        return vmx_path(self.house, self.doc)

    @prop("summary.config")
    def summary_config(self) -> Any:
        return data(
            "VirtualMachineConfigSummary", name=self.name, template=False, uuid=self.doc.uuid, vmPathName=self.vmx(),
            instanceUuid=self.house.derived_uuid("vm instance", self.doc.uuid),
        )

    @prop("summary")
    def summary(self) -> Any:
        return data("VirtualMachineSummary", vm=self.ref(), runtime=self.runtime(), config=self.summary_config(),
                    quickStats=data("VirtualMachineQuickStats", guestHeartbeatStatus="gray"), overallStatus="green")

    @prop("config.uuid")
    def uuid(self) -> str:
        return str(self.doc.uuid)

    @prop("config.instanceUuid")
    def instance_uuid(self) -> str:
        return self.house.derived_uuid("vm instance", self.doc.uuid)

    @prop("config.name")
    def config_name(self) -> str:
        return self.name

    @prop("config.template")
    def template(self) -> bool:
        return False

    @prop("guest.hostName")
    def guest_name(self) -> str | None:
        return self.doc.guest_name or None

    @prop("guest.ipAddress")
    def guest_ip(self) -> str | None:
        return self.doc.guest_ip or None

    @prop("datastore")
    def datastore(self) -> list[ManagedObject]:
        found = (self.house.inventory.get(each, model.Datastore) for each in self.doc.datastores)
        return self.objects(each for each in found if each is not None)

    @prop("network")
    def network(self) -> list[ManagedObject]:
        return self.objects(
            each for each in self.house.inventory.used_by(self._host, model.Network) if each.name in self.doc.networks
        )

    @prop("resourcePool")
    def resource_pool(self) -> ManagedObject:
        return self.at(pool_id(self._host.parent))

    def _reachable(self) -> None:
        if self.house.contact.reachable(self._host) is None:
            raise vmodl.fault.HostNotConnected(msg=f"The host {self._host.name} is not connected.")
        if self.connection_state() != "connected":
            raise vim.fault.InvalidState(msg=f"The virtual machine {self.name} is {self.connection_state()}.")

    def _power(self, wanted: str) -> None:
        self._reachable()
        if self.doc.power == wanted:
            raise vim.fault.InvalidPowerState(requestedState=wanted, existingState=wanted)
        if wanted == "poweredOn" and self.house.contact.seen(self._host).maintenance:
            raise vim.fault.InvalidState(msg=f"The host {self._host.name} is in maintenance mode.")
        self.doc.power = wanted
        cluster = self.house.inventory.get(self._host.parent, model.Cluster)
        self.doc.cpu = cluster.parts.evc if cluster is not None and wanted == "poweredOn" else ""
        self.house.inventory.mark(self.doc)

    @method("PowerOnVM_Task", mutates=True, task=True)
    def power_on(self, host: Any = None) -> None:
        if host is not None and host._moId != self.doc.host:
            raise vmodl.fault.NotSupported(msg="The twin powers a VM on only where it is registered")
        self._power("poweredOn")

    @method("PowerOffVM_Task", mutates=True, task=True)
    def power_off(self) -> None:
        self._power("poweredOff")

    @method("UnregisterVM", mutates=True)
    def unregister(self) -> None:
        if self.doc.power == "poweredOn" and self._host.connection == "connected":
            raise vim.fault.InvalidPowerState(requestedState="poweredOff", existingState="poweredOn")
        forget_vm(self.house, self.doc)
