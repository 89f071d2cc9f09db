"""What a host of the twin may send: every sender goes through its own rule set, as ESXi's firewall has it.

A sender is let out by its own rule set only. On ESXi 8.0.3 others leave 80 and 443 open by default (updateManager,
vsanmgmt-https-tunnel); on 6.x and 7.0 none does, so that no payload may count on them.
"""

from __future__ import annotations

from typing import Any, Protocol

from providers.twin.baseline import ruleset, set_ruleset
from providers.twin.facts.firewall import covers, passes, rulesets
from providers.twin.model import Hypervisor


class Blocked(TimeoutError):
    """The firewall drops what a host sends; the sender sees silence. Names the rule set."""


class Firewall(Protocol):
    """The rule sets of one running host."""

    def is_open(self, key: str) -> bool:
        """Raises KeyError for an unknown rule set."""

    def set(self, key: str, wanted: bool) -> None: ...

    def allowed(self, key: str) -> list[str] | None:
        """The addresses and networks that the rule set is open to; None: all."""


class NewbornFirewall:
    """Of a host right after a stateless boot; kept by nobody."""

    def __init__(self) -> None:
        self._open = {key: fact.enabled for key, fact in rulesets().items()}

    def is_open(self, key: str) -> bool:
        return self._open[key]

    def set(self, key: str, wanted: bool) -> None:
        self._open[key] = wanted

    def allowed(self, key: str) -> list[str] | None:
        return None


class HouseFirewall:
    """Of what runs on a machine of the house since that boot."""

    def __init__(self, house: Any, mac: str, boot: int) -> None:
        self._house, self._mac, self._boot = house, mac, boot

    def is_open(self, key: str) -> bool:
        """A host that is gone sends nothing."""
        with self._house.lock:
            box = self._house.box(self._mac)
            gone = box.running is None or box.boots != self._boot
            return not gone and ruleset(box.running, key)

    def allowed(self, key: str) -> list[str] | None:
        with self._house.lock:
            running = self._house.box(self._mac).running
            found: list[str] | None = running.config.settings.allowed.get(key) if running is not None else []
            return found

    def set(self, key: str, wanted: bool) -> None:
        """Kept with the house's next effect, along with what its payload will set back (`settle`)."""
        with self._house.lock:
            box = self._house.box(self._mac)
            if box.running is None or box.boots != self._boot:
                return
            before = box.running.passing.setdefault(key, ruleset(box.running, key))
            if before == wanted:
                del box.running.passing[key]
            set_ruleset(box.running.config, key, wanted)
            self._house.inventory.mark(box)


def payload_over(running: Hypervisor) -> bool:
    """A payload runs on its machine, not in the process that was killed: it has set back what it opened."""
    over = bool(running.passing)
    for key, wanted in running.passing.items():
        set_ruleset(running.config, key, wanted)
    running.passing.clear()
    return over


def let_out(firewall: Firewall, key: str, protocol: str, port: int, address: str = "") -> None:
    """Raises Blocked where the sender's rule set is closed, does not cover that port (`udp` or `tcp`), or is open to
    other addresses only. A name is looked up where there is a list; what has no `address` is not held against one."""
    if not covers(key, protocol, port):
        raise Blocked(f"no rule of {key} lets {protocol} port {port} out")
    if not firewall.is_open(key):
        raise Blocked(f"the rule set {key} is closed")
    allowed = firewall.allowed(key) if address else None
    if allowed is not None and not any(passes(allowed, each) for each in _looked_up(address)):
        raise Blocked(f"the rule set {key} is not open to {address}")


def _looked_up(name: str) -> list[str]:
    """The addresses of a name, or the address itself; a name that cannot be looked up has none."""
    import socket

    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None)})
    except OSError:
        return []
