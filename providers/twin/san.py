"""What a host sees of the SAN: pure functions of the site's storage, the machine and the host's configuration."""

from __future__ import annotations

import hashlib

from providers.twin.model import Box, HostConfig
from providers.twin.parts.storage import Lun, San, Target, Volume

LOCAL, FABRIC, ISCSI = "vmhba0", ("vmhba2", "vmhba3"), "vmhba64"
"""Adapters of every machine; the last one only while software iSCSI is enabled."""
_INSTALLED = ["efi", "vfat", "vfat", "vmfsl"]
"""Partitions of a disk that ESXi is installed on."""


def digest(secret: str) -> str:
    """What is kept of a CHAP secret: enough to compare two of them."""
    return hashlib.sha256(f"chap/{secret}".encode()).hexdigest()[:32]


def local_disk(box: Box) -> str:
    """Canonical name of the machine's own disk."""
    return "naa.5000c5" + hashlib.sha256(f"disk/{box.uuid}".encode()).hexdigest()[:10]


def default_name(box: Box) -> str:
    """The iSCSI name that the host makes up."""
    short = (box.name.partition(".")[0] or "localhost").lower()
    return f"iqn.1998-01.com.vmware:{short}-{hashlib.sha256(box.uuid.encode()).hexdigest()[:8]}"


def name_of(box: Box, config: HostConfig) -> str:
    return config.storage.iscsi.name or default_name(box)


# --- disks --------------------------------------------------------------------------------------------------


def lun_of(san: San, box: Box, disk: str) -> Lun:
    """Facts of a disk that the host sees."""
    if disk != local_disk(box):
        return san.luns.get(disk, Lun())
    kept = box.disk is not None or (box.running is not None and box.running.kept)
    volumes = [each for each in san.volumes.values() if each.lun == disk]
    return Lun(480, holds=[*(_INSTALLED if kept else ()), *("vmfs" for _ in volumes)])


def since_boot(san: San, box: Box) -> dict[str, list[str]]:
    """Disks that need no rescan, and how they are reached."""
    found = {local_disk(box): ["local"]}
    found.update((name, ["fc"]) for name, lun in san.luns.items() if not lun.late and _mapped(lun, box))
    return found


def _mapped(lun: Lun, box: Box) -> bool:
    return "*" in lun.fabric or (bool(box.name) and box.name in lun.fabric)


def visible(san: San, box: Box, config: HostConfig) -> dict[str, list[str]]:
    """Disks that the host knows, and how it reaches them."""
    storage = config.storage
    found = since_boot(san, box)
    for disk, ways in storage.paths.items():
        there = [each for each in ways if each == "fc" or storage.iscsi.enabled]
        if there:
            found.setdefault(disk, []).extend(each for each in there if each not in found[disk])
    return found


# --- rescans ------------------------------------------------------------------------------------------------


def lets_in(target: Target, box: Box, config: HostConfig) -> bool:
    """Whether a target and the host come together: the initiator's name, and CHAP as both want it."""
    chap = config.storage.iscsi.chap
    if target.initiators and name_of(box, config) not in target.initiators:
        return False
    if not target.secret:
        return chap.mode != "chapRequired"
    proves = chap.mode != "chapProhibited" and chap.name == target.user and chap.secret == target.secret
    return proves and (chap.mutual != "chapRequired" or chap.mutual_secret == target.mutual)


def rescan(san: San, box: Box, config: HostConfig) -> None:
    """RescanAllHba: targets are discovered and logged in to, disks come and go. Changes the configuration."""
    storage = config.storage
    iscsi = storage.iscsi
    iscsi.found = sorted({
        f"{name},{portal}" for name, target in san.targets.items() for portal in target.portals
        if set(iscsi.send) & set(target.portals)
        and (not target.initiators or name_of(box, config) in target.initiators)} - set(iscsi.static)) \
        if iscsi.enabled else []
    paths: dict[str, list[str]] = {}
    for way in sorted({*iscsi.static, *iscsi.found}) if iscsi.enabled else ():
        name, _, portal = way.partition(",")
        known = san.targets.get(name)
        if known is not None and portal in known.portals and lets_in(known, box, config):
            for disk in known.luns:
                paths.setdefault(disk, []).append(way)
    for disk, lun in san.luns.items():
        if lun.late and _mapped(lun, box):
            paths.setdefault(disk, []).append("fc")
    storage.paths = dict(sorted(paths.items()))


def scan_vmfs(san: San, box: Box, config: HostConfig) -> None:
    """RescanVmfs: volumes on disks that a rescan found are known; those whose disk is gone are not any more."""
    seen = set(visible(san, box, config)) - set(since_boot(san, box))
    storage = config.storage
    storage.volumes = sorted(uuid for uuid, each in san.volumes.items() if each.lun in seen and not each.copy)
    known = {uuid for uuid, _ in known_volumes(san, box, config)}
    storage.unmounted = [each for each in storage.unmounted if each in known]


# --- volumes ------------------------------------------------------------------------------------------------


def known_volumes(san: San, box: Box, config: HostConfig) -> list[tuple[str, Volume]]:
    """The VMFS volumes that the host lists: (UUID, volume), by name."""
    base = since_boot(san, box)
    return sorted(((uuid, each) for uuid, each in san.volumes.items() if not each.copy and (
        each.lun in base or uuid in config.storage.volumes)), key=lambda item: (item[1].name, item[0]))


def mounted_volumes(san: San, box: Box, config: HostConfig) -> list[tuple[str, Volume]]:
    return [(uuid, each) for uuid, each in known_volumes(san, box, config) if uuid not in config.storage.unmounted]


def over_iscsi(san: San, box: Box, config: HostConfig) -> list[str]:
    """Names of mounted volumes to which working iSCSI paths are the only way."""
    iscsi = config.storage.iscsi
    alive = {*iscsi.static, *iscsi.found}
    base = since_boot(san, box)
    return [each.name for _, each in mounted_volumes(san, box, config) if each.lun not in base and any(
        way in alive for way in config.storage.paths.get(each.lun, ()))
        and "fc" not in config.storage.paths.get(each.lun, ())]


def unresolved(san: San, box: Box, config: HostConfig) -> list[tuple[str, Volume]]:
    """Copies of volumes on disks that the host sees."""
    seen = visible(san, box, config)
    return [(uuid, each) for uuid, each in san.volumes.items() if each.copy and each.lun in seen]


def dumps(san: San, box: Box, config: HostConfig) -> list[str]:
    """Diagnostic partitions: "DISK:PARTITION"."""
    return [f"{disk}:{number}" for disk in visible(san, box, config)
            for number, kind in enumerate(lun_of(san, box, disk).holds, 1) if kind == "vmkDiagnostic"]
