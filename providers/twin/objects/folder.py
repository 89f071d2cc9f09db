"""Folder and Datacenter."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.inventory import ROOT
from providers.twin.objects.base import EntityObject, check_name
from providers.twin.objects.dvs import DvsFolder
from providers.twin.objects.removal import remove_below

_CHILDREN = {
    "datacenter": ("Folder", "Datacenter"),
    "host": ("Folder", "ComputeResource"),
    "vm": ("Folder", "VirtualMachine", "VirtualApp"),
    "datastore": ("Folder", "Datastore", "StoragePod"),
    "network": ("Folder", "Network", "DistributedVirtualSwitch"),
}


class FolderObject(DvsFolder):
    """`vim.Folder`."""

    wire = "Folder"
    kind = model.Folder

    def _only(self, *kinds: str, what: str) -> None:
        if self.doc.holds not in kinds:
            raise vmodl.fault.NotSupported(msg=f"A {self.doc.holds} folder cannot hold a {what}.")

    @prop("childType")
    def child_type(self) -> Any:
        from providers.twin.core.meta import vim_type

        return [vim_type(each) for each in _CHILDREN[self.doc.holds]]

    @prop("childEntity")
    def child_entity(self) -> list[ManagedObject]:
        return list(self.children())

    @method("CreateDatacenter", mutates=True)
    def create_datacenter(self, name: str) -> ManagedObject:
        self._only("datacenter", what="datacenter")
        wanted = check_name(name)
        self.house_child(self.moid, wanted)
        return self.at(self.house.inventory.add_datacenter(wanted, self.moid).id)

    @method("CreateFolder", mutates=True)
    def create_folder(self, name: str) -> ManagedObject:
        wanted = check_name(name)
        self.house_child(self.moid, wanted)
        return self.at(self.house.inventory.add_folder(wanted, self.doc).id)

    @method("CreateClusterEx", mutates=True)
    def create_cluster(self, name: str, spec: Any) -> ManagedObject:
        from providers.twin.objects.cluster_config import reconfigure

        self._only("host", what="cluster")
        wanted = check_name(name)
        self.house_child(self.moid, wanted)
        made = self.house.inventory.add_cluster(wanted, self.doc)
        try:
            reconfigure(self.house, made, spec, modify=True)
        except Exception:
            self.house.inventory.remove(made)
            raise
        return self.at(made.id)

    @method("RegisterVM_Task", mutates=True, task=True)
    def register_vm(self, path: str, asTemplate: bool, name: str | None = None, pool: Any = None,
                    host: Any = None) -> ManagedObject:
        from providers.twin.objects.cluster import pool_id
        from providers.twin.objects.vm_files import registered

        self._only("vm", what="virtual machine")
        if asTemplate:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate RegisterVM_Task of a template")
        if pool is None or host is None:
            raise vmodl.fault.InvalidArgument(
                invalidProperty="pool" if pool is None else "host",
                msg="The twin registers a virtual machine in a resource pool, on a host: name both.")
        target = self.world.resolve(host).doc
        if self.world.resolve(pool).moid != pool_id(target.parent):
            raise vmodl.fault.InvalidArgument(
                invalidProperty="host", msg=f"{target.name} is not in the cluster of that resource pool.")
        made = registered(self.house, self.moid, path, check_name(name) if name else None, target)
        return self.at(made.id)

    @method("Destroy_Task", mutates=True, task=True, privilege="Folder.Delete")
    def destroy(self) -> None:
        if self.moid == ROOT or isinstance(self.house.inventory.docs.get(self.doc.parent), model.Datacenter):
            raise vim.fault.InvalidState(msg=f"The folder {self.name} belongs to its datacenter and cannot be deleted.")
        remove_below(self.house, self.doc)


class DatacenterObject(EntityObject):
    """`vim.Datacenter`."""

    wire = "Datacenter"
    kind = model.Datacenter

    @prop("vmFolder")
    def vm_folder(self) -> ManagedObject:
        return self.at(self.doc.vm)

    @prop("hostFolder")
    def host_folder(self) -> ManagedObject:
        return self.at(self.doc.host)

    @prop("datastoreFolder")
    def datastore_folder(self) -> ManagedObject:
        return self.at(self.doc.datastore)

    @prop("networkFolder")
    def network_folder(self) -> ManagedObject:
        return self.at(self.doc.network)

    @prop("datastore")
    def datastore(self) -> list[ManagedObject]:
        return self.objects(self.house.inventory.below(self.doc.datastore))

    @prop("network")
    def network(self) -> list[ManagedObject]:
        return self.objects(self.house.inventory.below(self.doc.network))

    @method("Destroy_Task", mutates=True, task=True, privilege="Datacenter.Delete")
    def destroy(self) -> None:
        remove_below(self.house, self.doc)
