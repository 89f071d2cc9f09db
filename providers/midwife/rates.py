"""Token buckets: how much one address may ask for. Pure values; whoever asks brings the time."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

MAX_ADDRESSES = 4096
"""Addresses that are remembered; the one that was quiet longest is forgotten first."""


class Bucket:
    """`rate` tokens a second flow in, up to `burst`. Begins full."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, -1.0

    def take(self, cost: float, now: float) -> bool:
        """`now` in seconds of a monotonic clock. False, and nothing taken, where less than one token is there."""
        if self._at >= 0:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= cost  # may go below zero: what costs more than is there is paid off later
        return True

    def charge(self, cost: float) -> None:
        """Take afterwards, whatever is there; at most one burst of debt."""
        self._tokens = max(-self._burst, self._tokens - cost)


class Buckets:
    """One bucket per address; the addresses of one IPv6 /64 share one, for one machine may use them all."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._known: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, now: float) -> bool:
        return self._bucket(address).take(1.0, now)

    def charge(self, address: str, cost: float) -> None:
        self._bucket(address).charge(cost)

    def __len__(self) -> int:
        return len(self._known)

    def _bucket(self, address: str) -> Bucket:
        name = network_of(address)
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = Bucket(self._rate, self._burst)
            if len(self._known) > MAX_ADDRESSES:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return found


def network_of(address: str) -> str:
    """An IPv4 address itself (mapped ones too), the /64 of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
