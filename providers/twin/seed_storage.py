"""Seeds: the SAN of a site, and what a host has set up of it. The format: `providers.twin.seed`."""

from __future__ import annotations

import hashlib
import re

from providers.twin import san as sight
from providers.twin.model import Box, HostConfig
from providers.twin.parts.storage import Iscsi, Lun, San, Target, Volume
from providers.twin.seed_file import SeedError, Where
from providers.twin.seed_format import IscsiSeed, SanSeed, TargetSeed

_DISK = re.compile(r"naa\.[0-9a-f]{16,32}")
_PORTAL = re.compile(r"\S+:\d{1,5}")


def lay_san(san: San, seed: SanSeed) -> None:
    """Disks, volumes and targets. Raises SeedError."""
    for name, facts in seed.luns.items():
        if not _DISK.fullmatch(name):
            raise SeedError(("san", "luns", name), f"{name!r} is no disk", "write naa. and 16 or 32 hex digits")
        holds = list(facts.holds) or (["vmfs"] if facts.vmfs else [])
        san.luns[name] = Lun(facts.size, list(facts.hosts), facts.late, holds)
        if facts.vmfs:
            digest = hashlib.sha256(f"{name}/{facts.vmfs}".encode()).hexdigest()
            uuid = f"{digest[:8]}-{digest[8:16]}-{digest[16:20]}-{digest[20:32]}"
            san.volumes[uuid] = Volume(facts.vmfs, name, facts.copy)
    for name, target in seed.targets.items():
        san.targets[name] = _target(san, target, ("san", "targets", name))


def _target(san: San, seed: TargetSeed, where: Where) -> Target:
    for number, portal in enumerate(seed.portals):
        if not _PORTAL.fullmatch(portal):
            raise SeedError((*where, "portals", str(number)), f"{portal!r} is no portal", "write ADDRESS:PORT")
    for number, disk in enumerate(seed.luns):
        if disk not in san.luns:
            raise SeedError((*where, "luns", str(number)), f"no disk {disk!r} under luns:")
    strange = set(seed.chap) - {"name", "secret", "mutual_secret"}
    if strange or (seed.chap and not {"name", "secret"} <= set(seed.chap)):
        raise SeedError((*where, "chap"), "it takes name and secret, and mutual_secret if the target proves itself")
    mutual = seed.chap.get("mutual_secret", "")
    return Target(list(seed.portals), list(seed.luns), list(seed.initiators), seed.chap.get("name", ""),
                  sight.digest(seed.chap["secret"]) if seed.chap else "", sight.digest(mutual) if mutual else "")


def lay_iscsi(san: San, box: Box, config: HostConfig, seed: IscsiSeed, where: Where) -> None:
    """A host's iSCSI adapter. Raises SeedError."""
    for number, device in enumerate(seed.ports):
        if device not in config.vnics:
            raise SeedError((*where, "ports", str(number)), f"no vmkernel {device}")
    config.storage.iscsi = Iscsi(
        seed.enabled, seed.iqn, ports=sorted(seed.ports), send=sorted(seed.targets),
        static=sorted(f"{name},{portal}" for name, portals in seed.static.items() for portal in portals))
    if seed.rescanned:
        sight.rescan(san, box, config)
        sight.scan_vmfs(san, box, config)
