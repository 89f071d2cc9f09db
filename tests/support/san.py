"""The SAN of the lab: what its hosts may reach beside NFS."""

from __future__ import annotations

from typing import Any

from providers.twin.seed_format import LunSeed, SanSeed, TargetSeed

BOOT, LATE, DUMP, BLANK, ISCSI, PROVEN = (f"naa.6000000000000000000000000000000{n}" for n in range(1, 7))
"""Fibre Channel: with VMFS `san1`, found by a rescan only, with a diagnostic partition, empty. iSCSI: of the target
that lets everybody in, of the one that wants CHAP."""
ARRAY, VAULT = "iqn.2001-05.com.example:array", "iqn.2001-05.com.example:vault"
PORTALS = ("10.0.30.10:3260", "10.0.30.11:3260", "10.0.30.20:3260")
CHAP = {"name": "esx", "secret": "s3cret!", "mutual_secret": "F1rst!pass"}

SEED = SanSeed(
    luns={
        BOOT: LunSeed(hosts=["*"], vmfs="san1"), LATE: LunSeed(hosts=["*"], late=True),
        DUMP: LunSeed(hosts=["*"], holds=["linux", "vmkDiagnostic"]), BLANK: LunSeed(hosts=["*"]),
        ISCSI: LunSeed(), PROVEN: LunSeed(),
    },
    targets={
        ARRAY: TargetSeed(portals=list(PORTALS[:2]), luns=[ISCSI]),
        VAULT: TargetSeed(portals=[PORTALS[2]], luns=[PROVEN], chap=CHAP),
    },
)

STEADY = SanSeed({name: lun for name, lun in SEED.luns.items() if not lun.late}, SEED.targets)
"""Without what a rescan finds for good: nothing takes that back."""


def equip(house: Any, seed: SanSeed = SEED) -> None:
    """Give a house its SAN, unless it has one. Hosts that run already see it as if they had booted with it."""
    from providers.twin.model import Host
    from providers.twin.seed_storage import lay_san

    site = house.inventory.site
    if site.san.luns:
        return
    lay_san(site.san, seed)
    house.inventory.mark(site)
    for host in house.inventory.all(Host):
        house.inventory.attach(host, house.contact.seen(host).config)
    house.commit()
