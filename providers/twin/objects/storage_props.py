"""`HostSystem.config.storageDevice`, file systems and the diagnostic partition."""

from __future__ import annotations

from typing import Any

from providers.twin.core.base import prop
from providers.twin.core.meta import data
from providers.twin.model import Box, Hypervisor
from providers.twin.objects.base import HouseObject
from providers.twin.views import inquiry, storage


class StorageProps(HouseObject):
    """A part of HostObject."""

    @property
    def box(self) -> Box:
        raise NotImplementedError

    def shown(self) -> Hypervisor:
        raise NotImplementedError

    @prop("config.storageDevice.hostBusAdapter")
    def host_bus_adapter(self) -> Any:
        return storage.adapters(self.house.inventory.site.san, self.box, self.shown().config)

    @prop("config.storageDevice.scsiLun")
    def scsi_lun(self) -> Any:
        site = self.house.inventory.site
        found = storage.disks(site.san, self.box, self.shown().config)
        return [inquiry.complete(each) for each in found] if site.profile else found

    @prop("config.storageDevice.scsiTopology")
    def scsi_topology(self) -> Any:
        return data("HostScsiTopology", adapter=storage.topology(
            self.house.inventory.site.san, self.box, self.shown().config))

    @prop("config.storageDevice.softwareInternetScsiEnabled")
    def software_iscsi(self) -> bool:
        return self.shown().config.storage.iscsi.enabled

    @prop("config.storageDevice")
    def storage_device(self) -> Any:
        return data("HostStorageDeviceInfo", hostBusAdapter=self.host_bus_adapter(), scsiLun=self.scsi_lun(),
                    scsiTopology=self.scsi_topology(), softwareInternetScsiEnabled=self.software_iscsi())

    @prop("config.fileSystemVolume.mountInfo")
    def mounts(self) -> Any:
        site = self.house.inventory.site
        return storage.mounts(site.san, self.box, self.shown().config, site.unreachable)

    @prop("config.fileSystemVolume")
    def volumes(self) -> Any:
        return data("HostFileSystemVolumeInfo", volumeTypeList=["VMFS", "NFS", "NFS41"], mountInfo=self.mounts())

    @prop("config.activeDiagnosticPartition")
    def active_diagnostic_partition(self) -> Any:
        text = self.shown().config.storage.dump
        return storage.dump(text, self.box) if text else None
