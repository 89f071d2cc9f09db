"""NFS datastores, through vCenter and real XML."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import VmomiSupport, vim, vmodl

from tests.support.twin import host, make_house, vcenter


def nas(name: str = "images", path: str = "/export/images", server: str = "nas1", **more: Any) -> Any:
    return vim.host.NasVolume.Specification(
        **{"localPath": name, "remotePath": path, "remoteHost": server, "accessMode": "readOnly", **more})


def stores(esx: Any) -> Any:
    return esx.configManager.datastoreSystem


def test_one_export_on_two_hosts_is_one_datastore() -> None:
    found = vcenter(make_house(hosts=2), codec=True)
    one, two = host(found, 1), host(found, 2)
    made = stores(one).CreateNasDatastore(nas())
    assert stores(two).CreateNasDatastore(nas()) == made
    assert (made.name, made.summary.type, made.info.nas.remoteHost) == ("images", "NFS", "nas1")
    assert {each.key.name: each.mountInfo.accessMode for each in made.host} == {
        "esx01.test": "readOnly", "esx02.test": "readOnly"}
    assert [each.volume.remotePath for each in one.config.fileSystemVolume.mountInfo] == ["/export/images"]
    stores(one).RemoveDatastore(made)
    assert list(one.datastore) == []
    assert [each.name for each in two.datastore] == ["images"]
    stores(two).RemoveDatastore(made)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = made.name


def test_mounting_opens_the_firewall_and_unmounting_closes_it() -> None:
    esx = host(vcenter(make_house(hosts=1)))

    def opened() -> set[str]:
        return {each.key for each in esx.config.firewall.ruleset if each.enabled}

    before = opened()
    made = stores(esx).CreateNasDatastore(nas())
    assert opened() - before == {"nfsClient"}
    stores(esx).RemoveDatastore(made)
    assert opened() == before


def test_nfs_41() -> None:
    esx = host(vcenter(make_house(hosts=1), codec=True))
    made = stores(esx).CreateNasDatastore(nas(type="NFS41", server="", remoteHostNames=["nas1", "nas2"]))
    assert (made.summary.type, list(made.info.nas.remoteHostNames)) == ("NFS41", ["nas1", "nas2"])


def test_a_name_that_another_export_has_gets_a_number() -> None:
    found = vcenter(make_house(hosts=2))
    stores(host(found, 1)).CreateNasDatastore(nas())
    made = stores(host(found, 2)).CreateNasDatastore(nas(server="nas1.lab.example"))
    assert made.name == "images (1)"
    assert host(found, 2).config.fileSystemVolume.mountInfo[0].volume.name == "images (1)"


@pytest.mark.parametrize(("spec", "fault"), [
    (nas(path="/other"), vim.fault.DuplicateName),
    (nas("again"), vim.fault.AlreadyExists),
    (nas("shared", server="nas2"), vim.fault.DuplicateName),  # known as "two" on the other host
    (nas("x", path="/x", accessMode="sometimes"), vmodl.fault.InvalidArgument),
    (nas("", path="/x"), vmodl.fault.InvalidArgument),
    (nas("gone", path="/gone", server="nas9"), vim.fault.HostConfigFault),
    (nas("x", path="/x", type="SMB"), vmodl.fault.NotSupported),
])
def test_refused(spec: Any, fault: Any) -> None:
    house = make_house(hosts=2)
    house.inventory.site.unreachable = ["nas9:*"]
    found = vcenter(house, codec=True)
    stores(host(found, 1)).CreateNasDatastore(nas())
    stores(host(found, 2)).CreateNasDatastore(nas("two", server="nas2"))
    before = house.dump()
    with pytest.raises(fault):
        stores(host(found, 1)).CreateNasDatastore(spec)
    assert house.dump() == before


def test_as_many_mounts_as_the_host_is_set_to() -> None:
    esx = host(vcenter(make_house(hosts=1)))
    option = vim.option.OptionValue(key="NFS.MaxVolumes", value=VmomiSupport.vmodlTypes["long"](8))
    esx.configManager.advancedOption.UpdateOptions([option])
    for number in range(8):
        stores(esx).CreateNasDatastore(nas(f"n{number}", f"/{number}"))
    with pytest.raises(vim.fault.HostConfigFault, match="maximum number"):
        stores(esx).CreateNasDatastore(nas("n8", "/8"))


SEED = """
datacenters: [dc0]
clusters: {dc0/prod: {}}
hosts:
  esx01.test:
    mac: 52:54:00:01:00:01
    cluster: dc0/prod
    config: {nfs: {images: {server: nas1, path: /export/images}, free: {server: nas1, path: /free}}}
  esx02.test: {mac: 52:54:00:01:00:02, cluster: dc0/prod}
vms: {web1: {host: esx01.test, datastores: [images], networks: [VM Network]}}
"""


def test_removing_a_datastore() -> None:
    found = vcenter(make_house(seed=SEED), codec=True)
    one = host(found, 1)
    images, free = sorted(one.datastore, key=lambda each: str(each.name), reverse=True)
    with pytest.raises(vim.fault.ResourceInUse, match="web1"):
        stores(one).RemoveDatastore(images)
    with pytest.raises(vim.fault.NotFound):
        stores(host(found, 2)).RemoveDatastore(free)
    stores(one).RemoveDatastore(free)
    assert [each.name for each in images.vm] == ["web1"]


def test_renaming_a_datastore_renames_it_on_its_hosts() -> None:
    from tests.support.twin import done

    esx = host(vcenter(make_house(hosts=1)))
    made = stores(esx).CreateNasDatastore(nas())
    done(made.Rename_Task("pictures"))
    assert esx.config.fileSystemVolume.mountInfo[0].volume.name == "pictures"
