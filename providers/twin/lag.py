"""Reads lag calls: for a moment vCenter shows a host's configuration as it was before a change.

Only `HostSystem.config.*` lags, and only at vCenter's door: managers (`HostNetworkSystem.networkInfo`), tasks and the
host's own door show at once what is. Nothing of it is kept: the next process finds vCenter caught up.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.ports import Clock
    from providers.twin.model import HostConfig


@dataclass(frozen=True, slots=True)
class _Old:
    until: float
    boot: int
    config: HostConfig


class Lag:
    """`seconds` by the house's clock; 0: none."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        self.clock, self.seconds = clock, seconds
        self._lock = threading.Lock()
        self._old: dict[str, list[_Old]] = {}

    def changed(self, mac: str, boot: int, before: HostConfig) -> None:
        """What runs on that machine had this configuration until now; it is never changed any more."""
        if self.seconds > 0:
            with self._lock:
                self._old.setdefault(mac, []).append(_Old(self.clock.now() + self.seconds, boot, before))

    def shown(self, mac: str, boot: int, config: HostConfig) -> HostConfig:
        """What vCenter shows of a configuration: the one before the oldest change that has not come through."""
        if mac not in self._old:
            return config
        with self._lock:
            now = self.clock.now()
            left = [old for old in self._old.get(mac, ()) if old.until > now and old.boot == boot]
            if left:
                self._old[mac] = left
            else:
                self._old.pop(mac, None)
        return left[0].config if left else config
