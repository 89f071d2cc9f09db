"""HostStorageDeviceInfo, file systems and diagnostic partitions, from the site's SAN and a host's configuration."""

from __future__ import annotations

import hashlib
from typing import Any

from pyVmomi import VmomiSupport as Vm

from providers.twin import san as sight
from providers.twin.core.meta import data
from providers.twin.model import Box, HostConfig, Nfs
from providers.twin.parts.storage import SECTOR, San, Volume

_MODEL = "TWINDISK"
_GIB = 1 << 30


# --- adapters -------------------------------------------------------------------------------------------------


def adapters(san: San, box: Box, config: HostConfig) -> list[Any]:
    """HostHostBusAdapter: a local one, two ports of Fibre Channel, software iSCSI where it is enabled."""
    common = {"bus": 0, "status": "unknown", "storageProtocol": "scsi"}
    found = [data("HostBlockHba", key=f"key-vim.host.BlockHba-{sight.LOCAL}", device=sight.LOCAL,
                  model="Twin SATA Controller", driver="vmw_ahci", pci="0000:00:11.4", **common)]
    node = int(hashlib.sha256(box.uuid.encode()).hexdigest()[:8], 16)
    for number, device in enumerate(sight.FABRIC):
        found.append(data(
            "HostFibreChannelHba", key=f"key-vim.host.FibreChannelHba-{device}", device=device,
            model="Twin 32Gb FC Adapter", driver="lpfc", pci=f"0000:3b:00.{number}",
            portWorldWideName=Vm.long(0x2100000000000000 | (number << 48) | node),
            nodeWorldWideName=Vm.long(0x2000000000000000 | node), portType="fabric", speed=Vm.long(32), **common))
    if config.storage.iscsi.enabled:
        found.append(_iscsi(box, config, common))
    return found


def _iscsi(box: Box, config: HostConfig, common: dict[str, Any]) -> Any:
    iscsi = config.storage.iscsi
    yes = dict.fromkeys(("chapAuthSettable", "mutualChapSettable", "targetChapSettable", "targetMutualChapSettable"),
                        True)
    return data(
        "HostInternetScsiHba", key=f"key-vim.host.InternetScsiHba-{sight.ISCSI}", device=sight.ISCSI,
        model="iSCSI Software Adapter", driver="iscsi_vmk", isSoftwareBased=True, canBeDisabled=True,
        networkBindingSupport="optional", iScsiName=sight.name_of(box, config), iScsiAlias=iscsi.alias or None,
        maxSpeedMb=0, currentSpeedMb=0,
        discoveryCapabilities=data("HostInternetScsiHbaDiscoveryCapabilities", iSnsDiscoverySettable=False,
                                   slpDiscoverySettable=False, staticTargetDiscoverySettable=False,
                                   sendTargetsDiscoverySettable=False),
        discoveryProperties=data("HostInternetScsiHbaDiscoveryProperties", iSnsDiscoveryEnabled=False,
                                 slpDiscoveryEnabled=False, staticTargetDiscoveryEnabled=True,
                                 sendTargetsDiscoveryEnabled=True),
        authenticationCapabilities=data("HostInternetScsiHbaAuthenticationCapabilities", krb5AuthSettable=False,
                                        srpAuthSettable=False, spkmAuthSettable=False, **yes),
        authenticationProperties=authentication(config),
        ipCapabilities=data(
            "HostInternetScsiHbaIPCapabilities", addressSettable=False, ipConfigurationMethodSettable=False,
            subnetMaskSettable=False, defaultGatewaySettable=False, primaryDnsServerAddressSettable=False,
            alternateDnsServerAddressSettable=False),
        ipProperties=data("HostInternetScsiHbaIPProperties", dhcpConfigurationEnabled=False),
        configuredSendTarget=[data("HostInternetScsiHbaSendTarget", address=address, port=port)
                              for address, port in map(split, iscsi.send)],
        configuredStaticTarget=[
            *(_target(way, "staticMethod") for way in iscsi.static),
            *(_target(way, "sendTargetMethod") for way in iscsi.found)],
        **common)


def authentication(config: HostConfig) -> Any:
    """Without secrets: the API shows none."""
    chap = config.storage.iscsi.chap
    return data(
        "HostInternetScsiHbaAuthenticationProperties", chapAuthEnabled=chap.mode != "chapProhibited",
        chapName=chap.name or None, chapAuthenticationType=chap.mode, mutualChapName=chap.mutual_name or None,
        mutualChapAuthenticationType=chap.mutual)


def split(portal: str) -> tuple[str, int]:
    """Address and port of a portal."""
    address, _, port = portal.rpartition(":")
    return address.strip("[]"), int(port)


def join(address: str, port: int | None) -> str:
    """The reverse."""
    return f"[{address}]:{port or 3260}" if ":" in address else f"{address}:{port or 3260}"


def _target(way: str, method: str) -> Any:
    name, _, portal = way.partition(",")
    address, port = split(portal)
    return data("HostInternetScsiHbaStaticTarget", address=address, port=port, iScsiName=name, discoveryMethod=method)


# --- disks ----------------------------------------------------------------------------------------------------


def lun_uuid(disk: str, number: int = 0) -> str:
    """As ESXi composes it: type, LUN number, world-wide name, model."""
    return f"0200{number & 255:02x}0000{disk.partition('.')[2]}{_MODEL[:6].encode().hex()}"


def disk_key(disk: str, number: int = 0) -> str:
    return f"key-vim.host.ScsiDisk-{lun_uuid(disk, number)}"


def device_path(disk: str) -> str:
    return f"/vmfs/devices/disks/{disk}"


def numbers(san: San, box: Box, config: HostConfig) -> dict[str, int]:
    """LUN numbers of the disks in sight."""
    return {disk: number for number, disk in enumerate(sight.visible(san, box, config))}


def disks(san: San, box: Box, config: HostConfig) -> list[Any]:
    """HostScsiDisk of every disk in sight."""
    return [disk(san, box, name, number) for name, number in numbers(san, box, config).items()]


def disk(san: San, box: Box, name: str, number: int) -> Any:
    lun, own = sight.lun_of(san, box, name), name == sight.local_disk(box)
    return data(
        "HostScsiDisk", key=disk_key(name, number), uuid=lun_uuid(name, number), canonicalName=name,
        displayName=f"{'Local' if own else 'Twin'} Disk ({name})", deviceName=device_path(name),
        devicePath=device_path(name), deviceType="disk", lunType="disk", vendor="TWIN", model=_MODEL, revision="1.0",
        operationalState=["ok"], localDisk=own, ssd=False,
        capacity=data("HostDiskDimensionsLba", blockSize=SECTOR, block=Vm.long(lun.size * _GIB // SECTOR)))


def topology(san: San, box: Box, config: HostConfig) -> list[Any]:
    """HostScsiTopologyInterface: which adapter reaches which disk through which target."""
    ways: dict[str, dict[str, list[str]]] = {sight.LOCAL: {}, **{each: {} for each in sight.FABRIC}}
    if config.storage.iscsi.enabled:
        ways[sight.ISCSI] = {}
    for name, paths in sight.visible(san, box, config).items():
        for way in paths:
            devices = (sight.LOCAL,) if way == "local" else sight.FABRIC if way == "fc" else (sight.ISCSI,)
            for device in devices:
                ways[device].setdefault(way, []).append(name)
    known = numbers(san, box, config)
    kinds = dict(zip((sight.LOCAL, *sight.FABRIC, sight.ISCSI),
                     ("BlockHba", "FibreChannelHba", "FibreChannelHba", "InternetScsiHba"), strict=True))
    return [data(
        "HostScsiTopologyInterface", key=f"key-vim.host.ScsiTopology.Interface-{device}",
        adapter=f"key-vim.host.{kinds[device]}-{device}",
        target=[_topology_target(device, index, way, [(each, known[each]) for each in names])
                for index, (way, names) in enumerate(targets.items())])
        for device, targets in ways.items()]


def _topology_target(device: str, index: int, way: str, names: list[tuple[str, int]]) -> Any:
    if way == "local":
        transport = data("HostBlockAdapterTargetTransport")
    elif way == "fc":
        transport = data("HostFibreChannelTargetTransport", portWorldWideName=Vm.long(0x5000097000000000 | index),
                         nodeWorldWideName=Vm.long(0x5000097000000000))
    else:
        name, _, portal = way.partition(",")
        transport = data("HostInternetScsiTargetTransport", iScsiName=name, iScsiAlias="", address=[portal])
    return data(
        "HostScsiTopologyTarget", key=f"key-vim.host.ScsiTopology.Target-{device}:0:{index}", target=index,
        transport=transport, lun=[
            data("HostScsiTopologyLun", key=f"key-vim.host.ScsiTopology.Lun-{lun_uuid(each, number)}", lun=number,
                 scsiLun=disk_key(each, number)) for each, number in names])


def partitions(san: San, box: Box, name: str) -> Any:
    """HostDiskPartitionInfo: equal slices, in order."""
    lun = sight.lun_of(san, box, name)
    total = lun.size * _GIB // SECTOR
    each = (total - 4096) // max(len(lun.holds), 1)
    slices = [(number, kind, 2048 + (number - 1) * each, 2048 + number * each - 1)
              for number, kind in enumerate(lun.holds, 1)]

    def lba(sector: int) -> Any:
        return data("HostDiskDimensionsLba", blockSize=SECTOR, block=Vm.long(sector))

    return data(
        "HostDiskPartitionInfo", deviceName=device_path(name),
        spec=data("HostDiskPartitionSpec", partitionFormat="gpt", totalSectors=Vm.long(total), sectorSize=SECTOR,
                  partition=[data("HostDiskPartitionAttributes", partition=number, startSector=Vm.long(start),
                                  endSector=Vm.long(end), type=kind, logical=False, attributes=Vm.byte(0))
                             for number, kind, start, end in slices]),
        layout=data("HostDiskPartitionLayout", total=lba(total), partition=[
            data("HostDiskPartitionBlockRange", partition=number, type=kind, start=lba(start), end=lba(end))
            for number, kind, start, end in slices]))


# --- file systems ---------------------------------------------------------------------------------------------


def mounts(san: San, box: Box, config: HostConfig, unreachable: list[str]) -> list[Any]:
    """HostFileSystemMountInfo: exports and VMFS volumes."""
    seen = sight.visible(san, box, config)
    known = [_vmfs(san, box, config, uuid, each, each.lun in seen)
             for uuid, each in sight.known_volumes(san, box, config)]
    return [*(_nfs(name, mount, unreachable) for name, mount in config.nfs.items()), *known]


def gone(mount: Nfs, unreachable: list[str]) -> bool:
    """Whether no server of an export answers."""
    return all(f"{server}:{mount.path}" in unreachable or f"{server}:*" in unreachable
               for server in mount.servers or [mount.server])


def _nfs(name: str, mount: Nfs, unreachable: list[str]) -> Any:
    lost = gone(mount, unreachable)
    volume = data(
        "HostNasVolume", type=mount.type, name=name, capacity=Vm.long(0 if lost else 4 << 40), remoteHost=mount.server,
        remotePath=mount.path, remoteHostNames=list(mount.servers) or [mount.server], protocolEndpoint=False,
        securityType=mount.security)
    info = data("HostMountInfo", path=f"/vmfs/volumes/{name}", accessMode=mount.access, mounted=True,
                accessible=not lost, inaccessibleReason="AllPathsDown_Timeout" if lost else None)
    return data("HostFileSystemMountInfo", mountInfo=info, volume=volume)


def volume(san: San, box: Box, uuid: str, each: Volume) -> Any:
    """HostVmfsVolume."""
    lun = sight.lun_of(san, box, each.lun)
    return data(
        "HostVmfsVolume", type="VMFS", name=each.name, capacity=Vm.long(lun.size * _GIB), blockSizeMb=1,
        blockSize=1024, unmapGranularity=1024, unmapPriority="low", maxBlocks=63963136, majorVersion=6, version="6.82",
        uuid=uuid, vmfsUpgradable=False, ssd=False, local=each.lun == sight.local_disk(box),
        extent=[data("HostScsiDiskPartition", diskName=each.lun, partition=max(
            (n for n, kind in enumerate(lun.holds, 1) if kind == "vmfs"), default=1))])


def _vmfs(san: San, box: Box, config: HostConfig, uuid: str, each: Volume, there: bool) -> Any:
    mounted = uuid not in config.storage.unmounted
    info = data("HostMountInfo", path=f"/vmfs/volumes/{uuid}", accessMode="readWrite", mounted=mounted,
                accessible=mounted and there, inaccessibleReason=None if there else "PermanentDeviceLoss")
    return data("HostFileSystemMountInfo", mountInfo=info, volume=volume(san, box, uuid, each),
                vStorageSupport="vStorageUnsupported")


# --- diagnostic partitions ------------------------------------------------------------------------------------


def dump(text: str, box: Box) -> Any:
    """HostDiagnosticPartition of "DISK:PARTITION"."""
    name, _, number = text.rpartition(":")
    return data("HostDiagnosticPartition", storageType="directAttached" if name == sight.local_disk(box) else
                "networkAttached", diagnosticType="singleHost", slots=1,
                id=data("HostScsiDiskPartition", diskName=name, partition=int(number)))
