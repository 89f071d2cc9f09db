"""A host's TCP/IP stacks and routes, where they are not as newborn (see `HostConfig.network`)."""

from __future__ import annotations

import msgspec

from providers.twin.parts import Document

DEFAULT = "defaultTcpipStack"
SYSTEM = ("ops", "mirror", "vSphereProvisioning", "vmotion", DEFAULT)
"""Stacks that every ESXi 8 has, in the order in which it lists them."""


class Stack(Document):
    """A TCP/IP stack. The default one's resolver is `HostConfig.dns`; its gateways are "" where a lease brings them."""

    gateway: str = ""
    gateway6: str = ""
    hostname: str = ""
    domain: str = ""
    servers: list[str] = msgspec.field(default_factory=list)
    search: list[str] = msgspec.field(default_factory=list)
    congestion: str = "newreno"
    connections: int = 11000


class Networking(Document):
    """`stacks`: what differs from newborn, and stacks beside the system's. `routes`: network → gateway, static ones of
    the default stack."""

    stacks: dict[str, Stack] = msgspec.field(default_factory=dict)
    routes: dict[str, str] = msgspec.field(default_factory=dict)

    def stack(self, key: str) -> Stack | None:
        """A stack as it is; None for one that the host does not have."""
        return self.stacks.get(key) or (Stack() if key in SYSTEM else None)

    def put(self, key: str, stack: Stack) -> None:
        """Keep a stack: a system's only where it differs from newborn."""
        if key in SYSTEM and stack == Stack():
            self.stacks.pop(key, None)
        else:
            self.stacks[key] = stack
