"""The list of mutating calls that took effect: what tests compare with the reviewed steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MutatingCall:
    """One mutating call that took effect.

    `method` is `<WireType>.<WireMethod>` ("HostNetworkSystem.AddVirtualSwitch"), `target` the inventory name of the
    entity it was made on, `host` the name of the host that it changes ("" where it changes none).
    """

    method: str
    target: str
    host: str = ""
