"""HostDatastoreSystem: VMFS datastores on empty disks."""

from __future__ import annotations

import hashlib
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim, vmodl

from providers.twin import san as sight
from providers.twin.core.base import ManagedObject, method
from providers.twin.core.meta import data
from providers.twin.model import Datastore, Host
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_faults import refused
from providers.twin.parts.storage import SECTOR, Lun, San, Volume
from providers.twin.views import storage

_LEAST = 2  # GiB


class VmfsStores(HostManager):
    """A part of DatastoreSystem."""

    def _host(self) -> Host:
        raise NotImplementedError

    def _objects(self, stores: list[Datastore]) -> list[ManagedObject]:
        raise NotImplementedError

    @property
    def san(self) -> San:
        return self.house.inventory.site.san

    def _free(self) -> dict[str, int]:
        """Disks that hold no VMFS and are large enough, with their LUN numbers. Other partitions do not matter: the
        server offers to overwrite them."""
        box, config = self.host.box, self.config
        found = {}
        for name, number in storage.numbers(self.san, box, config).items():
            lun = sight.lun_of(self.san, box, name)
            if lun.size >= _LEAST and not {"vmfs", "vmfsl"} & set(lun.holds):
                found[name] = number
        return found

    @method("QueryAvailableDisksForVmfs")
    def available_disks(self, datastore: Any) -> Any:
        if datastore is not None:
            raise vmodl.fault.NotSupported(msg="The twin does not extend VMFS datastores")
        return [storage.disk(self.san, self.host.box, name, number) for name, number in self._free().items()]

    @method("QueryVmfsDatastoreCreateOptions")
    def create_options(self, devicePath: str, vmfsMajorVersion: Any) -> Any:
        """One: the whole disk, in a single partition."""
        name = next((each for each in self._free() if storage.device_path(each) == devicePath), None)
        if name is None:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no disk {devicePath} that VMFS could be on.")
        if vmfsMajorVersion not in (None, 6):
            raise vmodl.fault.NotSupported(msg="The twin makes VMFS 6 only")
        lun = sight.lun_of(self.san, self.host.box, name)
        total = lun.size * (1 << 30) // SECTOR
        start, end = (data("HostDiskDimensionsLba", blockSize=SECTOR, block=Vm.long(at)) for at in (2048, total - 34))
        layout = data("HostDiskPartitionLayout", total=data(
            "HostDiskDimensionsLba", blockSize=SECTOR, block=Vm.long(total)), partition=[
            data("HostDiskPartitionBlockRange", partition=1, type="vmfs", start=start, end=end)])
        return [data(
            "VmfsDatastoreOption",
            info=data("VmfsDatastoreAllExtentOption", layout=layout, partitionFormatChange=False,
                      vmfsExtent=layout.partition[0]),
            spec=data(
                "VmfsDatastoreCreateSpec", diskUuid=storage.lun_uuid(name, self._free()[name]),
                partition=data("HostDiskPartitionSpec", partitionFormat="gpt", totalSectors=Vm.long(total), partition=[
                    data("HostDiskPartitionAttributes", partition=1, startSector=Vm.long(2048),
                         endSector=Vm.long(total - 34), type="vmfs", logical=False, attributes=Vm.byte(0))]),
                vmfs=data("HostVmfsSpec", majorVersion=6, volumeName="", extent=data(
                    "HostScsiDiskPartition", diskName=name, partition=1))))]

    @method("CreateVmfsDatastore", mutates=True)
    def create_vmfs(self, spec: Any) -> ManagedObject:
        host, box = self._host(), self.host.box
        name, disk = spec.vmfs.volumeName, spec.vmfs.extent.diskName
        self.host.open()
        datacenter = self.house.inventory.datacenter_of(host)
        taken = self.house.inventory.datastore_named(datacenter, name)
        if taken is not None:
            raise vim.fault.DuplicateName(name=name, object=self._objects([taken])[0].ref(),
                                          msg=f"The datacenter already has a datastore {name}.")
        if not name or "/" in name or len(name) > 42:
            raise refused(f"{name!r} cannot be the name of a datastore.")
        number = self._free().get(disk)
        if number is None or storage.lun_uuid(disk, number) != spec.diskUuid:
            raise refused(f"Unable to create a VMFS file system on {disk}: it is in use, or not there.")
        uuid = self._uuid(name, disk)
        if disk != sight.local_disk(box):  # what was on it is overwritten, as a real host does
            known = self.san.luns.setdefault(disk, Lun())
            known.holds = ["vmfs"]
        self.san.volumes[uuid] = Volume(name, disk)
        self.house.inventory.mark(self.house.inventory.site)
        with self.editing() as config:
            if disk not in sight.since_boot(self.san, box):
                config.storage.volumes = sorted([*config.storage.volumes, uuid])
        made = self.house.inventory.vmfs_store(host, uuid)
        if made is None:
            raise AssertionError(f"{name} was made, but is no datastore")
        return self._objects([made])[0]

    def _uuid(self, name: str, disk: str) -> str:
        digest = hashlib.sha256(f"{disk}/{name}/{len(self.san.volumes)}".encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:16]}-{digest[16:20]}-{digest[20:32]}"
