"""Host profiles: what a host that has been in service for a while has, in the shape of a recorded ESXi 8.0.3 host.

The recording (of a real vCenter 8.0.3) has four physical adapters, two VMkernel adapters, eight disks, NTP, 25 services
and 57 rule sets. A profile lays the same down in the twin's own documents, so that every call works on such a host as
on any other; identity (UUID, MACs, serial, addresses, its own disk) is per host. A test compares the shapes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from providers.twin import baseline
from providers.twin.model import Box, Dns, HostConfig, Nfs, Portgroup, ServiceState, Vnic, Vswitch
from providers.twin.parts.storage import Lun, Volume

if TYPE_CHECKING:
    from providers.twin.house import House

NEWBORN, ESXI8 = "newborn", "esxi-8.0.3"
PROFILES = (NEWBORN, ESXI8)
"""What `fleet twin serve --hosts N --profile` takes."""

_LUNS = 7  # beside the host's own disk
_VOLUMES = 2


def lay_site(house: House, profile: str) -> None:
    """What all hosts of a profile share: the disks that they see over Fibre Channel, some with VMFS."""
    if profile != ESXI8:
        return
    with house.change():
        site = house.inventory.site
        site.profile = profile
        for number in range(_LUNS):
            name = "naa.60" + _hex(house.name, "lun", number)[:30]
            has_volume = number < _VOLUMES
            site.san.luns[name] = Lun(2048, ["*"], holds=["vmfs"] if has_volume else [])
            if has_volume:
                digest = _hex(house.name, "vmfs", number)
                uuid = f"{digest[:8]}-{digest[8:16]}-{digest[16:20]}-{digest[20:32]}"
                site.san.volumes[uuid] = Volume(f"san{number + 1}", name)
        house.inventory.mark(site)


def lay_host(house: House, mac: str, profile: str, number: int) -> None:
    """Configure a connected host as the profile has it. `number` counts from 1 and makes its addresses."""
    if profile != ESXI8:
        return
    with house.change():
        host = house.inventory.host_of(mac)
        box = house.inventory.need(mac, Box)
        if host is None or box.running is None:
            raise ValueError(f"no connected host has the MAC {mac}")
        _configure(box, box.running.config, number)
        house.inventory.mark(box)
        house.inventory.attach(host, box.running.config)


def _configure(box: Box, config: HostConfig, number: int) -> None:
    config.vswitches["vSwitch0"] = Vswitch(uplinks=["vmnic0", "vmnic1"])
    config.vswitches["vSwitch1"] = Vswitch(uplinks=["vmnic2", "vmnic3"], mtu=9000)
    config.portgroups["vMotion"] = Portgroup("vSwitch1", vlan=20)
    config.portgroups["Storage"] = Portgroup("vSwitch1", vlan=30)
    mac = _hex("vmk1", box.uuid)
    config.vnics["vmk1"] = Vnic(
        "vMotion", mac=f"00:50:56:6{mac[0]}:{mac[1:3]}:{mac[3:5]}", ip=f"10.20.{number >> 8}.{number & 255}",
        netmask="255.255.0.0", mtu=9000, services=["vmotion"], autoconf=True)
    domain = box.name.partition(".")[2]
    config.dns = Dns(dhcp=False, hostname=baseline.short_name(box), domain=domain, servers=["10.0.0.53", "10.0.0.54"],
                     search=[domain] if domain else [])
    config.ntp = ["10.0.0.1", "10.0.0.2"]
    config.services["ntpd"] = ServiceState("on", True)
    config.services["TSM-SSH"] = ServiceState("on", True)
    config.options["Syslog.global.logHost"] = "udp://10.0.0.9:514"
    config.options["UserVars.SuppressShellWarning"] = 1
    config.rulesets["syslog"] = True
    config.nfs["images"] = Nfs("nas1.twin.example", "/export/images", access="readOnly")
    config.nfs["scratch"] = Nfs("nas1.twin.example", "/export/scratch")


def _hex(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
