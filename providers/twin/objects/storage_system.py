"""HostStorageSystem: adapters, software iSCSI, rescans, VMFS volumes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import san as sight
from providers.twin.core.base import method, prop
from providers.twin.core.meta import data
from providers.twin.model import HostConfig
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_faults import refused
from providers.twin.parts.storage import Chap, Iscsi, San
from providers.twin.views import storage

_NAME = re.compile(r"(iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(:\S+)?|eui\.[0-9a-fA-F]{16}|naa\.[0-9a-fA-F]{16,32})")
_MODES = ("chapProhibited", "chapDiscouraged", "chapPreferred", "chapRequired")


class StorageSystem(HostManager):
    """`vim.host.StorageSystem`."""

    wire = "HostStorageSystem"
    field, prefix, door_id = "storageSystem", "storageSystem", "storageSystem"

    @property
    def san(self) -> San:
        return self.house.inventory.site.san

    # --- what there is ------------------------------------------------------------------------------------

    @prop("storageDeviceInfo.hostBusAdapter")
    def host_bus_adapter(self) -> Any:
        return storage.adapters(self.san, self.host.box, self.config)

    @prop("storageDeviceInfo.scsiLun")
    def scsi_lun(self) -> Any:
        return storage.disks(self.san, self.host.box, self.config)

    @prop("storageDeviceInfo.scsiTopology")
    def scsi_topology(self) -> Any:
        return data("HostScsiTopology", adapter=storage.topology(self.san, self.host.box, self.config))

    @prop("storageDeviceInfo.softwareInternetScsiEnabled")
    def software_iscsi(self) -> bool:
        return self.config.storage.iscsi.enabled

    @prop("storageDeviceInfo")
    def storage_device_info(self) -> Any:
        return data("HostStorageDeviceInfo", hostBusAdapter=self.host_bus_adapter(), scsiLun=self.scsi_lun(),
                    scsiTopology=self.scsi_topology(), softwareInternetScsiEnabled=self.software_iscsi())

    @prop("fileSystemVolumeInfo.mountInfo")
    def mounts(self) -> Any:
        return storage.mounts(self.san, self.host.box, self.config, self.house.inventory.site.unreachable)

    @prop("fileSystemVolumeInfo")
    def file_systems(self) -> Any:
        return data("HostFileSystemVolumeInfo", volumeTypeList=["VMFS", "NFS", "NFS41"], mountInfo=self.mounts())

    @method("RetrieveDiskPartitionInfo")
    def partition_info(self, devicePath: Any) -> Any:
        seen = {storage.device_path(each): each for each in sight.visible(self.san, self.host.box, self.config)}
        for path in devicePath:
            if path not in seen:
                raise vmodl.fault.InvalidArgument(invalidProperty="devicePath", msg=f"There is no disk {path}.")
        return [storage.partitions(self.san, self.host.box, seen[path]) for path in devicePath]

    @method("QueryUnresolvedVmfsVolume")
    def unresolved(self) -> Any:
        found = sight.unresolved(self.san, self.host.box, self.config)
        return [data(
            "HostUnresolvedVmfsVolume", vmfsLabel=each.name, vmfsUuid=uuid, totalBlocks=1048576,
            resolveStatus=data("HostUnresolvedVmfsVolumeResolveStatus", resolvable=True),
            extent=[data("HostUnresolvedVmfsExtent", device=data("HostScsiDiskPartition", diskName=each.lun,
                                                                 partition=1),
                         devicePath=f"{storage.device_path(each.lun)}:1", vmfsUuid=uuid, isHeadExtent=True, ordinal=0,
                         startBlock=0, endBlock=1048575, reason="diskIdMismatch")]) for uuid, each in found]

    # --- rescans ------------------------------------------------------------------------------------------

    @method("RefreshStorageSystem", mutates=True)
    def refresh(self) -> None:
        """What is known stays as it is: here nothing is cached."""
        with self.editing():
            pass

    @method("RescanAllHba", mutates=True)
    def rescan_all(self) -> None:
        with self.editing() as config:
            sight.rescan(self.san, self.host.box, config)

    @method("RescanHba", mutates=True)
    def rescan(self, hbaDevice: str) -> None:
        if hbaDevice not in {each.device for each in self.host_bus_adapter()}:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no storage adapter {hbaDevice}.")
        raise vmodl.fault.NotSupported(msg="The twin rescans all adapters at once (RescanAllHba)")

    @method("RescanVmfs", mutates=True)
    def rescan_vmfs(self) -> None:
        with self.editing() as config:
            sight.scan_vmfs(self.san, self.host.box, config)

    # --- software iSCSI -----------------------------------------------------------------------------------

    @method("UpdateSoftwareInternetScsiEnabled", mutates=True)
    def enable(self, enabled: bool) -> None:
        with self.editing() as config:
            if not enabled:
                self._idle(config, "The software iSCSI adapter")
            config.storage.iscsi.enabled = enabled

    def _idle(self, config: HostConfig, what: str) -> None:
        """Raises PlatformConfigFault where a mounted volume has no paths but iSCSI ones."""
        used = sight.over_iscsi(self.san, self.host.box, config)
        if used:
            raise refused(f"{what} is in use: {', '.join(used)}.")

    def _iscsi(self, config: HostConfig, device: str) -> Iscsi:
        if device != sight.ISCSI or not config.storage.iscsi.enabled:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no iSCSI adapter {device}.")
        return config.storage.iscsi

    @method("UpdateInternetScsiName", mutates=True)
    def rename(self, iScsiHbaDevice: str, iScsiName: str) -> None:
        with self.editing() as config:
            iscsi = self._iscsi(config, iScsiHbaDevice)
            if not _NAME.fullmatch(iScsiName) or len(iScsiName) > 223:
                raise refused(f"{iScsiName!r} is no valid iSCSI name.")
            iscsi.name = "" if iScsiName == sight.default_name(self.host.box) else iScsiName

    @method("UpdateInternetScsiAlias", mutates=True)
    def alias(self, iScsiHbaDevice: str, iScsiAlias: str) -> None:
        with self.editing() as config:
            self._iscsi(config, iScsiHbaDevice).alias = iScsiAlias

    @method("UpdateInternetScsiAuthenticationProperties", mutates=True)
    def authenticate(self, iScsiHbaDevice: str, authenticationProperties: Any, targetSet: Any) -> None:
        if targetSet is not None:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate CHAP of single targets")
        given = authenticationProperties
        with self.editing() as config:
            iscsi = self._iscsi(config, iScsiHbaDevice)
            mode = given.chapAuthenticationType or ("chapPreferred" if given.chapAuthEnabled else "chapProhibited")
            mutual = given.mutualChapAuthenticationType or "chapProhibited"
            if mode not in _MODES or mutual not in ("chapProhibited", "chapRequired"):
                raise refused(f"{mode} and {mutual} cannot be CHAP settings of an adapter.")
            if mutual == "chapRequired" and mode != "chapRequired":
                raise refused("Mutual CHAP needs required CHAP.")
            before = iscsi.chap
            made = Chap(mode)
            if mode != "chapProhibited":
                made.name, made.secret = self._proof(given.chapName, given.chapSecret, before.name, before.secret)
            if mutual != "chapProhibited":
                made.mutual = mutual
                made.mutual_name, made.mutual_secret = self._proof(
                    given.mutualChapName, given.mutualChapSecret, before.mutual_name, before.mutual_secret)
                if made.mutual_secret == made.secret:
                    raise refused("The CHAP secrets of the two directions must differ.")
            iscsi.chap = made

    @staticmethod
    def _proof(name: str | None, secret: str | None, old_name: str, old_secret: str) -> tuple[str, str]:
        """A name and the digest of a secret; unset ones stay."""
        made = name or old_name, sight.digest(secret) if secret else old_secret
        if not all(made):
            raise refused("CHAP needs a name and a secret.")
        return made

    # --- targets ------------------------------------------------------------------------------------------

    @method("AddInternetScsiSendTargets", mutates=True)
    def add_send(self, iScsiHbaDevice: str, targets: Any) -> None:
        with self.editing() as config:
            iscsi = self._iscsi(config, iScsiHbaDevice)
            iscsi.send = self._added(iscsi.send, (self._portal(each) for each in targets))

    @method("RemoveInternetScsiSendTargets", mutates=True)
    def remove_send(self, iScsiHbaDevice: str, targets: Any, force: Any) -> None:
        """What they had shown stays known until the next rescan."""
        if force:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate a forced removal of targets")
        with self.editing() as config:
            iscsi = self._iscsi(config, iScsiHbaDevice)
            iscsi.send = self._removed(iscsi.send, (self._portal(each) for each in targets))

    @method("AddInternetScsiStaticTargets", mutates=True)
    def add_static(self, iScsiHbaDevice: str, targets: Any) -> None:
        with self.editing() as config:
            iscsi = self._iscsi(config, iScsiHbaDevice)
            wanted = [f"{each.iScsiName},{self._portal(each)}" for each in targets]
            for each in targets:
                if not _NAME.fullmatch(each.iScsiName):
                    raise refused(f"{each.iScsiName!r} is no valid iSCSI name.")
            iscsi.static = self._added(iscsi.static, wanted)
            iscsi.found = sorted(set(iscsi.found) - set(wanted))

    @method("RemoveInternetScsiStaticTargets", mutates=True)
    def remove_static(self, iScsiHbaDevice: str, targets: Any) -> None:
        with self.editing() as config:
            iscsi = self._iscsi(config, iScsiHbaDevice)
            iscsi.static = self._removed(iscsi.static, (f"{each.iScsiName},{self._portal(each)}" for each in targets))

    @staticmethod
    def _portal(target: Any) -> str:
        if not target.address:
            raise refused("A target has an address.")
        if target.authenticationProperties is not None and not target.authenticationProperties.chapInherited:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate CHAP of single targets")
        return storage.join(target.address, target.port)

    @staticmethod
    def _added(known: list[str], wanted: Iterable[str]) -> list[str]:
        for each in wanted:
            if each in known:
                raise refused(f"The target {each} exists already.")
            known = sorted([*known, each])
        return known

    @staticmethod
    def _removed(known: list[str], unwanted: Iterable[str]) -> list[str]:
        for each in unwanted:
            if each not in known:
                raise vim.fault.NotFound(msg=f"There is no target {each}.")
            known = [other for other in known if other != each]
        return known

    # --- VMFS ---------------------------------------------------------------------------------------------

    def _volume(self, config: HostConfig, uuid: str) -> str:
        known = dict(sight.known_volumes(self.san, self.host.box, config))
        if uuid not in known:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no VMFS volume {uuid}.")
        return known[uuid].name

    @method("MountVmfsVolume", mutates=True)
    def mount(self, vmfsUuid: str) -> None:
        with self.editing() as config:
            name = self._volume(config, vmfsUuid)
            if vmfsUuid not in config.storage.unmounted:
                raise vim.fault.InvalidState(msg=f"The volume {name} is mounted already.")
            config.storage.unmounted = [each for each in config.storage.unmounted if each != vmfsUuid]

    @method("UnmountVmfsVolume", mutates=True)
    def unmount(self, vmfsUuid: str) -> None:
        with self.editing() as config:
            name = self._volume(config, vmfsUuid)
            if vmfsUuid in config.storage.unmounted:
                raise vim.fault.InvalidState(msg=f"The volume {name} is not mounted.")
            host = self.house.inventory.host_of(self.host.box.mac)
            store = self.house.inventory.vmfs_store(host, vmfsUuid) if host is not None else None
            users = [each.name for each in self.house.inventory.vms_on(host)
                     if store.id in each.datastores] if host is not None and store is not None else []
            if users:
                raise vim.fault.ResourceInUse(
                    type=vim.Datastore, name=name, msg=f"The volume {name} is in use by {', '.join(users)}.")
            config.storage.unmounted = sorted([*config.storage.unmounted, vmfsUuid])

    @method("FormatVmfs")
    def format_vmfs(self, createSpec: Any) -> Any:
        raise vmodl.fault.NotSupported(msg="The twin makes VMFS volumes through HostDatastoreSystem only")

    # --- NFS users ----------------------------------------------------------------------------------------

    @method("SetNFSUser", mutates=True)
    def set_nfs_user(self, user: str, password: str) -> None:
        with self.editing() as config:
            if config.storage.nfs_user:
                raise refused(f"There is an NFS user already: {config.storage.nfs_user}.")
            if not user or not password:
                raise refused("An NFS user has a name and a password.")
            config.storage.nfs_user = user

    @method("ChangeNFSUserPassword", mutates=True)
    def change_nfs_user_password(self, password: str) -> None:
        if not self.config.storage.nfs_user or not password:
            raise refused("There is no NFS user." if password else "An NFS user has a password.")

    @method("ClearNFSUser", mutates=True)
    def clear_nfs_user(self) -> None:
        with self.editing() as config:
            if any(each.security != "AUTH_SYS" for each in config.nfs.values()):
                raise refused("The NFS user is in use by a datastore with Kerberos.")
            config.storage.nfs_user = ""

    @method("QueryNFSUser")
    def query_nfs_user(self) -> Any:
        user = self.config.storage.nfs_user
        return data("HostNasVolumeUserInfo", user=user) if user else None
