"""Storage: the SAN of a site, and what a host has set up and found of it.

Names of disks are canonical names (naa.…). Portals are "ADDRESS:PORT"; a path over iSCSI is "TARGET,PORTAL".
"""

from __future__ import annotations

import msgspec

from providers.twin.parts import Document

SECTOR = 512


class Lun(Document):
    """A disk of the SAN. `fabric`: names of the hosts that it is mapped to over Fibre Channel ("*": all); `late`:
    mapped after they booted, so that only a rescan finds it. `holds`: types of its partitions."""

    size: int = 1024  # GiB
    fabric: list[str] = msgspec.field(default_factory=list)
    late: bool = False
    holds: list[str] = msgspec.field(default_factory=list)


class Target(Document):
    """An iSCSI target. `initiators`: names that it lets in (none: all). `secret`, `mutual`: digests (see `digest`);
    "" where it asks nobody, or proves nothing."""

    portals: list[str]
    luns: list[str] = msgspec.field(default_factory=list)
    initiators: list[str] = msgspec.field(default_factory=list)
    user: str = ""
    secret: str = ""
    mutual: str = ""


class Volume(Document):
    """A VMFS volume, known by its UUID. `copy`: its signature is that of another disk (a snapshot LUN): unresolved."""

    name: str
    lun: str
    copy: bool = False


class San(Document):
    """All storage that hosts may reach beside NFS. Disks inside of machines are here only as far as they hold VMFS."""

    luns: dict[str, Lun] = msgspec.field(default_factory=dict)
    targets: dict[str, Target] = msgspec.field(default_factory=dict)
    volumes: dict[str, Volume] = msgspec.field(default_factory=dict)  # by UUID


class Chap(Document):
    """HostInternetScsiHbaAuthenticationProperties; of secrets only digests are kept."""

    mode: str = "chapProhibited"
    name: str = ""
    secret: str = ""
    mutual: str = "chapProhibited"
    mutual_name: str = ""
    mutual_secret: str = ""


class Iscsi(Document):
    """The software iSCSI adapter. What it was told stays while it is switched off."""

    enabled: bool = False
    name: str = ""  # "" is the one that the host makes up
    alias: str = ""
    chap: Chap = msgspec.field(default_factory=Chap)
    ports: list[str] = msgspec.field(default_factory=list)  # bound VMkernel adapters, sorted
    send: list[str] = msgspec.field(default_factory=list)  # portals, sorted
    static: list[str] = msgspec.field(default_factory=list)  # "TARGET,PORTAL", sorted
    found: list[str] = msgspec.field(default_factory=list)  # by the last rescan, the same


class Storage(Document):
    """Everything here is as newborn by default: Fibre Channel and local disks are there since boot."""

    iscsi: Iscsi = msgspec.field(default_factory=Iscsi)
    paths: dict[str, list[str]] = msgspec.field(default_factory=dict)  # disk → "TARGET,PORTAL" or "fc", by a rescan
    volumes: list[str] = msgspec.field(default_factory=list)  # UUIDs that a rescan found, sorted
    unmounted: list[str] = msgspec.field(default_factory=list)  # UUIDs, sorted
    nfs_user: str = ""  # Kerberos principal of NFS 4.1
    dump: str = ""  # "DISK:PARTITION" of the active diagnostic partition
