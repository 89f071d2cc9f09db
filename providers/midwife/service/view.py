"""What was born, as one fleet may see it, and as the site's page shows it. Nobody sees another fleet's hosts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.midwife.footprints import Footprints, Prints
from providers.midwife.inbox import Birth, Inbox
from providers.midwife.service.macs import Macs
from providers.midwife.view import REFUSALS, Births, RunView

WINDOW = 10
"""Times as many records are looked through as are asked for, for most may be another fleet's."""


@dataclass(frozen=True, slots=True)
class _Own:
    """What one fleet may see of the whole: its own births, and who asked that nobody owns."""

    fleet: str
    registered: Macs
    inbox: Inbox
    footprints: Footprints

    def latest(self, limit: int = 100, mac: str = "") -> list[Birth]:
        if not mac:
            return self.inbox.latest_of(self.fleet, limit)
        return [b for b in self.inbox.latest(limit * WINDOW, mac) if b.get("fleet") == self.fleet][-limit:]

    def refused(self, limit: int = REFUSALS, mac: str = "") -> list[Birth]:
        found = self.inbox.refused(limit * WINDOW, mac)
        return [r for r in found if self._sees(str(r.get("mac", "")))][-limit:]

    def macs(self) -> list[tuple[str, Birth]]:
        return [(mac, birth) for mac, birth in self.inbox.macs() if birth.get("fleet") == self.fleet]

    def read(self) -> dict[str, Prints]:
        return {mac: prints for mac, prints in self.footprints.read().items() if self._sees(mac)}

    def _sees(self, mac: str) -> bool:
        owned = self.registered.owner(mac)
        return owned is None or owned.fleet == self.fleet


def fleet_births(fleet: str, macs: Macs, inbox: Inbox, footprints: Footprints, run: RunView | None = None) -> Births:
    """For `fleet births` of that fleet, on another machine."""
    own = _Own(fleet, macs, inbox, footprints)
    return Births(fleet, lambda: {mac: (owned.host, owned.name) for mac, owned in sorted(
        macs.of(fleet).items(), key=lambda item: _counted(item[1].host))}, own, own, {}, run)


def site_births(macs: Macs, inbox: Inbox, footprints: Footprints, run: RunView | None = None) -> Births:
    """All fleets, for the page."""
    return Births("this site", lambda: {mac: (f"{owned.fleet} {owned.host}", owned.name) for mac, owned in sorted(
        macs.all().items(), key=lambda item: (item[1].fleet, _counted(item[1].host)))}, inbox, footprints, {}, run)


def _counted(text: str) -> list[str | int]:
    """To sort by: esx2 comes before esx10."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"([0-9]+)", text))]
