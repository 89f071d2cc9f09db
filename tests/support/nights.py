"""Nights of a fleet on the embedded twin: machines lose their power, and are born by the boot files that stand."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.cli.workshop import CliWorkshop
from planner.model import Attrs
from planner.ports import Clock, RestoreOutcome
from providers.boot.machines import BORN_FACTS
from providers.midwife.desk import Desk, iso
from providers.midwife.inbox import Birth, Inbox
from providers.midwife.standing import Standings
from providers.twin.house import House, MachineSpec, open_house
from tests.support.places import quick_folder
from tests.support.process import Site

PASSWORD = "Night-1!"
BUILD, VERSION = "24022510", "8.0.3"


class Wall(Clock):
    """Time as it is; births of one night are told apart by microseconds."""

    def now(self) -> float:
        import time

        return time.time()

    def sleep(self, seconds: float) -> None:
        import time

        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Night:
    """A fleet that was applied. Its machines are the twin's in the folder; no command runs meanwhile."""

    site: Site

    @property
    def folder(self) -> Path:
        return self.site.folder / ".fleet" / self.site.fleet

    @contextmanager
    def house(self) -> Iterator[House]:
        """The twin, for what no command of a fleet does: power cuts, a person at vCenter."""
        found = open_house(self.folder / "twin", self.site.fleet, machines=[], writable=True)
        try:
            yield found
        finally:
            found.close()

    def macs(self) -> list[str]:
        with self.house() as house:
            return sorted(machine.mac for machine in house.machines())

    def power_cut(self, *macs: str, late: bool = False) -> dict[str, str]:
        """All of these machines lose their power, and boot what stands for them: as their births would be taken in.

        MAC → when it was born. `late`: vCenter does not notice.
        """
        standings, inbox = Standings(self.folder / "boot"), Inbox(self.folder / "midwife")
        found: dict[str, str] = {}
        try:
            with self.house() as house:
                house.contact.late = late
                for mac in macs or [m.mac for m in house.machines()]:
                    standing = standings.get(mac)
                    assert standing is not None, f"nothing stands for {mac}"
                    house.power(mac, "cycle")
                    up = house.complete_boot(mac, build=BUILD, version=VERSION, image=standing.image)
                    identity = house.door_identity(up.ip)
                    found[mac] = iso(Wall().now())
                    inbox.append({
                        "born": found[mac], "mac": mac, "uuid": up.uuid, "serial": up.serial, "ip": up.ip,
                        "version": VERSION, "build": BUILD, "certificate": identity.certificate,
                        "thumbprint": identity.sha256, "image": standing.image, "generation": standing.generation,
                        "boot": f"boot-{mac}-{up.boot}", "body_sha256": "", "from": up.ip}).result(30)
        finally:
            inbox.close()
        return found

    def births(self) -> dict[str, Attrs]:
        """MAC → facts of the newest birth that answers what stands."""
        with nursery(self) as found:
            return {mac: {k: birth[k] for k in BORN_FACTS} for mac in found.macs(self.site.fleet)
                    if (birth := found.birth(mac)) is not None}

    def restore(self, **more: Any) -> RestoreOutcome:
        with environment(self.site.env):
            return CliWorkshop().restore(self.folder, self.site.fleet, self.births(), **more)

    # --- what must be true afterwards -------------------------------------------------------------------------

    def plan(self, *options: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.site.look("plan", "fleet.yaml", "--json", *options, code=code).json
        return found

    def as_applied(self) -> None:
        """Nothing is to be done, and every host is in service."""
        self.site.look("plan", "fleet.yaml", "--detailed-exitcode")
        self.site.look("state", "verify", "fleet.yaml")
        with self.house() as house:
            dump = house.dump()
        assert set(dump["connections"].values()) == {"connected"}, dump["connections"]
        assert [n for n, h in dump["hosts"].items() if h["maintenance"]] == []

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.site.look("state", "history", "fleet.yaml", "--json").json["history"]
        return found


@dataclass(frozen=True, slots=True)
class LocalNursery:
    """`providers.midwife.restore.Nursery` of fleets that are kept in working directories."""

    nights: Mapping[str, Night]
    desks: Mapping[str, Desk]

    def birth(self, mac: str) -> Birth | None:
        return next((found for desk in self.desks.values() if (found := desk.birth(mac)) is not None), None)

    def fleets(self) -> list[str]:
        return sorted(self.nights)

    def macs(self, fleet: str) -> list[str]:
        return sorted(Standings(self.folder(fleet) / "boot").all())

    def folder(self, fleet: str) -> Path:
        return self.nights[fleet].folder


@contextmanager
def nursery(*nights: Night) -> Iterator[LocalNursery]:
    """Births and stagings of these fleets, read anew."""
    inboxes = {night.site.fleet: Inbox(night.folder / "midwife") for night in nights}
    try:
        yield LocalNursery({night.site.fleet: night for night in nights}, {
            night.site.fleet: Desk(Standings(night.folder / "boot"), inboxes[night.site.fleet], Wall())
            for night in nights})
    finally:
        for inbox in inboxes.values():
            inbox.close()


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def applied(folder: Path, text: str = "", fleet: str = "lab") -> Night:
    """The starter fleet (two hosts), or another one, applied in that folder."""
    site = Site(folder, fleet, {"ESX_ROOT_PASSWORD": PASSWORD})
    site.look("init")
    path = folder / "fleet.yaml"
    starter = path.read_text(encoding="utf-8").replace(
        'secret("file:secrets/esx-root")', 'secret("env:ESX_ROOT_PASSWORD")')
    path.write_text(text or starter, encoding="utf-8")
    site.look("apply", "fleet.yaml", "--auto-approve")
    return Night(site)


@contextmanager
def night() -> Iterator[Night]:
    """A fresh copy of the starter fleet, applied."""
    with quick_folder() as folder:
        yield applied(folder)


__all__ = ["LocalNursery", "MachineSpec", "Night", "applied", "environment", "night", "nursery"]
