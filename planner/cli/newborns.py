"""Which hosts have booted since vCenter had them, and are up: a plan that brings them back boots none of them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from planner.model import Address, Attrs, Live, StateResource
from planner.restore import missed, newest_known

if TYPE_CHECKING:
    from planner.cli.wiring import Bench

BOOT = "boot"
LOOKS = 16
"""Hosts whose own doors are looked at, at once."""


def newborns(place: Bench, recorded: Mapping[Address, StateResource], live: Live) -> dict[Address, Attrs]:
    """Host → facts of a birth that vCenter has missed, of hosts that still answer as they were born.

    Asks the boot session's optional `births(since: MAC → born) -> MAC → facts`, and the live session's optional
    `answers(facts) -> bool`. Raises FleetError where births cannot be read.
    """
    hosts: dict[str, StateResource] = {}
    for address, host in live.hosts.items():
        known = recorded.get(address)
        if known is not None and host.connection != "disconnected" and newest_known(known.facts):
            hosts[str(known.attributes.get("mac") or "").lower()] = known
    if not hosts or BOOT not in place.site.providers:
        return {}
    look = getattr(place.sessions[BOOT], "births", None)
    answers = getattr(place.sessions.live, "answers", None)
    if look is None or answers is None:
        return {}
    found = look({mac: newest_known(host.facts) for mac, host in hosts.items()})
    later = {hosts[mac].address: facts for mac, facts in found.items() if missed(hosts[mac].facts, facts)}
    if not later:
        return {}
    with ThreadPoolExecutor(min(LOOKS, len(later)), "fleet-look") as pool:
        return {address: facts for (address, facts), up in zip(later.items(), pool.map(answers, later.values()),
                                                               strict=True) if up}
