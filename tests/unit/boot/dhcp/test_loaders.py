"""Which file each firmware loads first: by image, by what is in the folder of loaders, by what the fleet asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.model import FleetError
from providers.boot.dhcp.check import checked_site
from providers.boot.dhcp.site import BootFiles
from tests.support.dhcp.fleets import choices_of, place

FLEET = """fleet: {{name: lab}}
provider:
  vsphere: {{server: twin}}
  boot: {{listen: 10.0.0.2, ports: {{http: 80}}, loaders: loaders, dhcp: {{subnet: 10.0.0.0/24, loader: {{{own}}}}}}}
image: {{image: {{source: {image}}}}}
datacenter: {{dc0: {{}}}}
cluster: {{prod: {{datacenter: '${{datacenter.dc0}}'}}}}
host:
  a:
    name: a.lab.example
    mac: '52:54:00:00:00:01'
    boot_address: 10.0.0.11
    cluster: '${{cluster.prod}}'
    image: '${{image.image}}'
    root_password: '${{secret("env:P")}}'
"""


@pytest.mark.parametrize(("image", "own", "there", "files"), [
    ("esx8", "", "pxelinux.0 undionly.kpxe snponly.efi", BootFiles("pxelinux.0", "mboot.efi", "mboot.efi")),
    ("esx8", "", "undionly.kpxe", BootFiles("undionly.kpxe", "mboot.efi", "mboot.efi")),
    ("esx8", "", "", BootFiles("", "mboot.efi", "mboot.efi")),
    ("esx8", "bios: undionly.kpxe, uefi: ipxe.efi", "pxelinux.0 undionly.kpxe ipxe.efi",
     BootFiles("undionly.kpxe", "ipxe.efi", "mboot.efi")),
    ("esx41", "", "undionly.kpxe snponly.efi", BootFiles("undionly.kpxe")),
    ("esx41", "uefi: snponly.efi", "pxelinux.0 snponly.efi", BootFiles("pxelinux.0")),
    ("rescue", "", "pxelinux.0 undionly.kpxe ipxe.efi snponly.efi ipxe-arm64.efi",
     BootFiles("undionly.kpxe", "snponly.efi", "ipxe-arm64.efi")),
    ("rescue", "", "pxelinux.0 ipxe.efi", BootFiles("pxelinux.0", "ipxe.efi")),
    ("rescue", "uefi: mboot.efi, bios: my.kpxe", "my.kpxe snponly.efi", BootFiles("my.kpxe", "snponly.efi")),
])
def test_a_loader_is_named_where_it_is_there(image: str, own: str, there: str, files: BootFiles,
                                             tmp_path: Path) -> None:
    path = place(tmp_path, FLEET.format(image=image, own=own))
    for file in (tmp_path / "loaders").iterdir():
        file.unlink()
    for name in there.split():
        (tmp_path / "loaders" / name).touch()
    site, warnings = checked_site(*choices_of(path), "dnsmasq")
    assert [group.files for group in site.groups] == [files]
    assert site.machines[0].group == site.groups[0].name
    assert warnings == []


def test_an_esxi_image_without_a_uefi_loader_goes_through_ipxe(tmp_path: Path) -> None:
    path = place(tmp_path, FLEET.format(image="esx8", own=""))
    (tmp_path / "esx8" / "mboot.efi").unlink()
    assert [group.files.uefi for group in checked_site(*choices_of(path), "kea")[0].groups] == ["snponly.efi"]


def test_a_folder_is_no_loader(tmp_path: Path) -> None:
    path = place(tmp_path, FLEET.format(image="esx8", own="bios: sub"))
    (tmp_path / "loaders" / "sub").mkdir()
    with pytest.raises(FleetError, match="a boot loader is missing"):
        checked_site(*choices_of(path), "kea")
