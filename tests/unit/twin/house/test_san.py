"""The twin's SAN: adapters, targets, rescans, VMFS, diagnostic partitions; declared faults for bad input."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.twin.seed_format import LunSeed, SanSeed, TargetSeed
from tests.support.san import ARRAY, BLANK, BOOT, CHAP, DUMP, ISCSI, LATE, PORTALS, PROVEN, SEED, VAULT, equip
from tests.support.twin import host, make_house, vcenter

Hba = vim.host.InternetScsiHba
DEVICE = "vmhba64"


@pytest.fixture(params=[False, True], ids=["objects", "xml"])
def esx(request: pytest.FixtureRequest) -> Any:
    house = make_house(hosts=1)
    equip(house)
    return host(vcenter(house, codec=request.param))


def system(esx: Any) -> Any:
    return esx.configManager.storageSystem


def enabled(esx: Any) -> Any:
    system(esx).UpdateSoftwareInternetScsiEnabled(True)
    return system(esx)


def send(portal: str) -> Any:
    address, _, port = portal.partition(":")
    return Hba.SendTarget(address=address, port=int(port))


def static(name: str, portal: str) -> Any:
    address, _, port = portal.partition(":")
    return Hba.StaticTarget(iScsiName=name, address=address, port=int(port))


def disks(esx: Any) -> set[str]:
    return {each.canonicalName for each in esx.config.storageDevice.scsiLun} & {BOOT, LATE, DUMP, BLANK, ISCSI, PROVEN}


def adapter(esx: Any) -> Any:
    return next((each for each in esx.config.storageDevice.hostBusAdapter if isinstance(each, Hba)), None)


def volumes(esx: Any) -> dict[str, tuple[bool, bool]]:
    return {each.volume.name: (each.mountInfo.mounted, each.mountInfo.accessible)
            for each in esx.config.fileSystemVolume.mountInfo}


def test_adapters_disks_and_topology_agree(esx: Any) -> None:
    info = esx.config.storageDevice
    assert disks(esx) == {BOOT, DUMP, BLANK}
    assert adapter(esx) is None
    keys = {each.key for each in info.scsiLun}
    reached = {lun.scsiLun for each in info.scsiTopology.adapter for t in each.target for lun in t.lun}
    assert reached == keys
    assert {each.device for each in info.hostBusAdapter} == {"vmhba0", "vmhba2", "vmhba3"}
    assert {each.key for each in system(esx).storageDeviceInfo.scsiLun} == keys


def test_each_machine_has_its_own_world_wide_names_and_disk() -> None:
    found = vcenter(make_house(hosts=2))

    def own(number: int) -> tuple[Any, ...]:
        info = host(found, number).config.storageDevice
        return (*(h.portWorldWideName for h in info.hostBusAdapter if isinstance(h, vim.host.FibreChannelHba)),
                info.scsiLun[0].canonicalName)

    assert not set(own(1)) & set(own(2))


def test_a_target_shows_its_disks_after_a_rescan_and_keeps_them_until_one(esx: Any) -> None:
    storage = enabled(esx)
    storage.AddInternetScsiSendTargets(DEVICE, [send(PORTALS[0])])
    assert ISCSI not in disks(esx)
    storage.RescanAllHba()
    assert ISCSI in disks(esx)
    assert {(t.iScsiName, t.address, t.discoveryMethod) for t in adapter(esx).configuredStaticTarget} == {
        (ARRAY, p.partition(":")[0], "sendTargetMethod") for p in PORTALS[:2]}
    storage.RemoveInternetScsiSendTargets(DEVICE, [send(PORTALS[0])])
    assert ISCSI in disks(esx)
    storage.RescanAllHba()
    assert ISCSI not in disks(esx)
    assert list(adapter(esx).configuredStaticTarget) == []


def test_what_was_mapped_later_is_found_by_a_rescan(esx: Any) -> None:
    assert LATE not in disks(esx)
    system(esx).RescanAllHba()
    assert LATE in disks(esx)


def test_chap_decides_who_comes_in(esx: Any) -> None:
    storage = enabled(esx)
    storage.AddInternetScsiStaticTargets(DEVICE, [static(VAULT, PORTALS[2])])

    def sees(**auth: Any) -> bool:
        storage.UpdateInternetScsiAuthenticationProperties(
            DEVICE, Hba.AuthenticationProperties(chapAuthEnabled=True, **auth))
        storage.RescanAllHba()
        return PROVEN in disks(esx)

    required = {"chapAuthenticationType": "chapRequired", "chapName": CHAP["name"]}
    assert not sees(**required, chapSecret="another")
    assert sees(**required, chapSecret=CHAP["secret"])
    assert not sees(**required, mutualChapAuthenticationType="chapRequired", mutualChapName="array",
                    mutualChapSecret="another")  # the first secret stays where it is not given
    assert sees(**required, mutualChapAuthenticationType="chapRequired", mutualChapName="array",
                mutualChapSecret=CHAP["mutual_secret"])
    shown = adapter(esx).authenticationProperties
    assert (shown.chapName, shown.chapSecret, shown.mutualChapSecret) == (CHAP["name"], None, None)


def test_secrets_are_kept_as_digests_only() -> None:
    import msgspec

    house = make_house(hosts=1)
    equip(house)
    storage = enabled(host(vcenter(house)))
    storage.UpdateInternetScsiAuthenticationProperties(DEVICE, Hba.AuthenticationProperties(
        chapAuthEnabled=True, chapAuthenticationType="chapRequired", chapName="n", chapSecret="My-Own-Secret"))
    kept = b"".join(msgspec.json.encode(each) for each in house.inventory.docs.values())
    assert b"My-Own-Secret" not in kept
    assert CHAP["secret"].encode() not in kept


@pytest.mark.parametrize(("method", "arguments", "fault"), [
    ("UpdateInternetScsiName", ("vmhba9", "iqn.1998-01.com.vmware:x"), vim.fault.NotFound),
    ("UpdateInternetScsiName", (DEVICE, "esx01"), vim.fault.PlatformConfigFault),
    ("AddInternetScsiStaticTargets", (DEVICE, [static("array", PORTALS[0])]), vim.fault.PlatformConfigFault),
    ("RemoveInternetScsiSendTargets", (DEVICE, [send(PORTALS[0])]), vim.fault.NotFound),
    ("RemoveInternetScsiStaticTargets", (DEVICE, [static(ARRAY, PORTALS[0])]), vim.fault.NotFound),
    ("UpdateInternetScsiAuthenticationProperties", (DEVICE, Hba.AuthenticationProperties(
        chapAuthEnabled=True, chapAuthenticationType="chapRequired")), vim.fault.PlatformConfigFault),
    ("UpdateInternetScsiAuthenticationProperties", (DEVICE, Hba.AuthenticationProperties(
        chapAuthEnabled=True, chapAuthenticationType="chapPreferred", chapName="n", chapSecret="s",
        mutualChapAuthenticationType="chapRequired", mutualChapName="m", mutualChapSecret="t")),
     vim.fault.PlatformConfigFault),
    ("MountVmfsVolume", ("no-such",), vim.fault.NotFound),
    ("RescanHba", ("vmhba9",), vim.fault.NotFound),
    ("RetrieveDiskPartitionInfo", (["/vmfs/devices/disks/no"],), vmodl.fault.InvalidArgument),
])
def test_bad_input_is_refused_with_a_declared_fault(esx: Any, method: str, arguments: tuple[Any, ...],
                                                    fault: Any) -> None:
    storage = enabled(esx)
    with pytest.raises(fault):
        getattr(storage, method)(*arguments)


def test_a_target_twice_is_refused(esx: Any) -> None:
    storage = enabled(esx)
    storage.AddInternetScsiSendTargets(DEVICE, [send(PORTALS[0])])
    with pytest.raises(vim.fault.PlatformConfigFault, match="exists already"):
        storage.AddInternetScsiSendTargets(DEVICE, [send(PORTALS[0])])


def test_nothing_of_iscsi_while_it_is_off(esx: Any) -> None:
    with pytest.raises(vim.fault.NotFound):
        system(esx).AddInternetScsiSendTargets(DEVICE, [send(PORTALS[0])])
    with pytest.raises(vim.fault.NotFound):
        esx.configManager.iscsiManager.BindVnic(DEVICE, "vmk0")


# --- ports ------------------------------------------------------------------------------------------------


def test_ports_are_bound_where_one_uplink_is_active(esx: Any) -> None:
    enabled(esx)
    manager, network = esx.configManager.iscsiManager, esx.configManager.networkSystem
    assert [each.vnicDevice for each in manager.QueryCandidateNics(DEVICE)] == ["vmk0"]
    with pytest.raises(vim.fault.IscsiFaultVnicNotFound):
        manager.BindVnic(DEVICE, "vmk9")
    manager.BindVnic(DEVICE, "vmk0")
    assert [each.vnicDevice for each in manager.QueryBoundVnics(DEVICE)] == ["vmk0"]
    with pytest.raises(vim.fault.IscsiFaultVnicAlreadyBound):
        manager.BindVnic(DEVICE, "vmk0")
    with pytest.raises(vim.fault.HostConfigFault):
        network.RemoveVirtualNic("vmk0")
    manager.UnbindVnic(DEVICE, "vmk0", False)
    with pytest.raises(vim.fault.IscsiFaultVnicNotBound):
        manager.UnbindVnic(DEVICE, "vmk0", False)
    spec = network.networkInfo.vswitch[0].spec
    spec.bridge.nicDevice = ["vmnic0", "vmnic1"]
    spec.policy = None
    network.UpdateVirtualSwitch("vSwitch0", spec)
    with pytest.raises(vim.fault.IscsiFaultVnicHasMultipleUplinks):
        manager.BindVnic(DEVICE, "vmk0")


IN_USE = SanSeed(luns={ISCSI: LunSeed(vmfs="far")}, targets={ARRAY: TargetSeed(portals=[PORTALS[0]], luns=[ISCSI])})


def test_the_last_path_of_a_mounted_volume_stays() -> None:
    house = make_house(hosts=1)
    equip(house, IN_USE)
    esx = host(vcenter(house))
    storage, manager = enabled(esx), esx.configManager.iscsiManager
    manager.BindVnic(DEVICE, "vmk0")
    storage.AddInternetScsiStaticTargets(DEVICE, [static(ARRAY, PORTALS[0])])
    storage.RescanAllHba()
    assert volumes(esx) == {}
    storage.RescanVmfs()
    assert volumes(esx) == {"far": (True, True)}
    with pytest.raises(vim.fault.IscsiFaultVnicIsLastPath):
        manager.UnbindVnic(DEVICE, "vmk0", False)
    with pytest.raises(vim.fault.HostConfigFault, match="far"):
        storage.UpdateSoftwareInternetScsiEnabled(False)
    storage.RemoveInternetScsiStaticTargets(DEVICE, [static(ARRAY, PORTALS[0])])
    storage.RescanAllHba()
    assert volumes(esx) == {"far": (True, False)}  # the disk is gone, the volume is still listed
    storage.RescanVmfs()
    assert volumes(esx) == {}


# --- VMFS -------------------------------------------------------------------------------------------------


def test_a_volume_is_unmounted_and_mounted_again(esx: Any) -> None:
    storage = system(esx)
    uuid = next(each.volume.uuid for each in esx.config.fileSystemVolume.mountInfo)
    assert [each.name for each in esx.datastore] == ["san1"]
    assert esx.datastore[0].info.vmfs.extent[0].diskName == BOOT
    with pytest.raises(vim.fault.InvalidState):
        storage.MountVmfsVolume(uuid)
    storage.UnmountVmfsVolume(uuid)
    assert list(esx.datastore) == []
    assert volumes(esx) == {"san1": (False, False)}
    with pytest.raises(vim.fault.InvalidState):
        storage.UnmountVmfsVolume(uuid)
    storage.MountVmfsVolume(uuid)
    assert [each.name for each in esx.datastore] == ["san1"]


def test_a_volume_with_a_machine_on_it_stays_mounted() -> None:
    seed = ("datacenters: [dc0]\nclusters: {dc0/prod: {}}\n"
            f"san: {{luns: {{{BOOT}: {{hosts: ['*'], vmfs: san1}}}}}}\n"
            "hosts: {esx09.test: {mac: '52:54:00:01:00:09', cluster: dc0/prod}}\n"
            "vms: {web: {host: esx09.test, datastores: [san1]}}\n")
    esx = host(vcenter(make_house(seed=seed)), 9)
    uuid = esx.config.fileSystemVolume.mountInfo[0].volume.uuid
    with pytest.raises(vim.fault.ResourceInUse, match="web"):
        system(esx).UnmountVmfsVolume(uuid)


def test_a_volume_is_made_on_an_empty_disk_and_known_to_others_after_a_scan() -> None:
    house = make_house(hosts=2)
    equip(house)
    found = vcenter(house, codec=True)
    one, two = host(found, 1), host(found, 2)
    stores = one.configManager.datastoreSystem
    free = {each.canonicalName: each.devicePath for each in stores.QueryAvailableDisksForVmfs()}
    assert BLANK in free
    assert BOOT not in free
    spec = stores.QueryVmfsDatastoreCreateOptions(free[BLANK])[0].spec
    spec.vmfs.volumeName = "san1"
    with pytest.raises(vim.fault.DuplicateName):
        stores.CreateVmfsDatastore(spec)
    spec.vmfs.volumeName = "fresh"
    assert stores.CreateVmfsDatastore(spec).name == "fresh"
    assert {"fresh", "san1"} == {each.name for each in one.datastore}
    partitions = system(two).RetrieveDiskPartitionInfo([free[BLANK]])[0].spec.partition
    assert [each.type for each in partitions] == ["vmfs"]
    with pytest.raises(vim.fault.HostConfigFault):
        stores.CreateVmfsDatastore(spec.__class__(diskUuid=spec.diskUuid, partition=spec.partition, vmfs=vim.host.
                                                  VmfsVolume.Specification(extent=spec.vmfs.extent, majorVersion=6,
                                                                           volumeName="again")))
    two.configManager.storageSystem.RescanVmfs()
    assert "fresh" in {each.name for each in two.datastore}


def test_a_copy_of_a_volume_stays_unresolved() -> None:
    house = make_house(hosts=1)
    equip(house, SanSeed(luns={BOOT: LunSeed(hosts=["*"], vmfs="old", copy=True)}))
    esx = host(vcenter(house, codec=True))
    assert volumes(esx) == {}
    assert [each.vmfsLabel for each in system(esx).QueryUnresolvedVmfsVolume()] == ["old"]


# --- the rest ---------------------------------------------------------------------------------------------


def test_diagnostic_partitions(esx: Any) -> None:
    manager = esx.configManager.diagnosticSystem
    assert not esx.config.activeDiagnosticPartition
    found = [(each.id.diskName, each.id.partition) for each in manager.QueryAvailablePartition()]
    assert found == [(DUMP, 2)]
    manager.SelectActivePartition(vim.host.ScsiDisk.Partition(diskName=DUMP, partition=2))
    assert esx.config.activeDiagnosticPartition.id.diskName == DUMP
    with pytest.raises(vim.fault.NotFound):
        manager.SelectActivePartition(vim.host.ScsiDisk.Partition(diskName=DUMP, partition=1))
    manager.SelectActivePartition()
    assert esx.config.activeDiagnosticPartition is None


def test_kerberos_needs_an_nfs_user(esx: Any) -> None:
    spec = vim.host.NasVolume.Specification(
        localPath="k", remoteHost="nas1", remotePath="/k", accessMode="readWrite", type="NFS41",
        remoteHostNames=["nas1", "nas2"], securityType="SEC_KRB5I")
    stores, storage = esx.configManager.datastoreSystem, system(esx)
    with pytest.raises(vim.fault.HostConfigFault, match="Kerberos"):
        stores.CreateNasDatastore(spec)
    storage.SetNFSUser("fleet", "secret")
    assert storage.QueryNFSUser().user == "fleet"
    stores.CreateNasDatastore(spec)
    mount = next(each for each in esx.config.fileSystemVolume.mountInfo if each.volume.name == "k")
    assert (mount.volume.securityType, list(mount.volume.remoteHostNames)) == ("SEC_KRB5I", ["nas1", "nas2"])
    with pytest.raises(vim.fault.HostConfigFault, match="in use"):
        storage.ClearNFSUser()


def test_an_export_whose_server_died_is_inaccessible_and_can_be_removed() -> None:
    house = make_house(hosts=1)
    esx = host(vcenter(house))
    made = esx.configManager.datastoreSystem.CreateNasDatastore(vim.host.NasVolume.Specification(
        localPath="old", remoteHost="nas9", remotePath="/x", accessMode="readWrite"))
    house.inventory.site.unreachable = ["nas9:*"]
    assert volumes(esx) == {"old": (True, False)}
    esx.configManager.datastoreSystem.RemoveDatastore(made)
    assert volumes(esx) == {}


def test_the_seed_is_checked() -> None:
    from planner.model import FleetError

    for text, words in (("luns: {disk1: {}}", "no disk"),
                        ("targets: {t: {portals: [nowhere]}}", "no portal"),
                        (f"targets: {{t: {{portals: ['a:1'], luns: [{BOOT}]}}}}", "under luns"),
                        ("targets: {t: {portals: ['a:1'], chap: {name: n}}}", "name and secret")):
        with pytest.raises(FleetError, match=words):
            make_house(seed=f"datacenters: [dc0]\nsan: {{{text}}}\n")


def test_the_lab_has_what_its_seed_says() -> None:
    assert set(SEED.luns) == {BOOT, LATE, DUMP, BLANK, ISCSI, PROVEN}
