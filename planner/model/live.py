"""What live looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from planner.model.address import Address
from planner.model.errors import Diagnostic
from planner.model.values import Attrs

Connection = Literal["connected", "disconnected", "notResponding"]


@dataclass(frozen=True, slots=True)
class LiveObject:
    """One object that live has and that is declared or in state. `id` is a hint (a MoRef), not identity."""

    address: Address
    attributes: Attrs
    id: str = ""


@dataclass(frozen=True, slots=True)
class Mate:
    """Another host of the same cluster that takes no VMs now. `address`: as text, "" where nobody declared it."""

    name: str
    why: Literal["maintenance", "notResponding", "disconnected"]
    address: str = ""

    def __str__(self) -> str:
        words = {"maintenance": "is in maintenance mode", "notResponding": "does not respond",
                 "disconnected": "is disconnected"}
        return f"{self.name} {words[self.why]}"


@dataclass(frozen=True, slots=True)
class Evacuation:
    """What maintenance mode means for the running VMs of a host: names of those that have to move.

    `stuck`: those that no other host can take, each with the reason. `by_hand`: those that nobody moves by itself.
    """

    moves: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """A virtual machine that vCenter has lost on its host. `state`: orphaned (no host has it), inaccessible (its files
    cannot be read), or that of its host. `vmx`: path of its file, "" where vCenter does not say; `folder`: as text."""

    name: str
    state: str
    vmx: str = ""
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.vmx})" if self.vmx else self.name


@dataclass(frozen=True, slots=True)
class LiveHost:
    """The status of a host that vCenter knows. A host that vCenter does not know has no `LiveHost`."""

    address: Address
    id: str
    connection: Connection
    uuid: str = ""
    mac: str = ""
    boot_time: str = ""  # ISO 8601, UTC
    build: str = ""
    in_maintenance: bool = False
    vms: tuple[str, ...] = ()  # names of registered VMs
    ip: str = ""
    problems: tuple[str, ...] = ()  # e.g. "host profile attached"
    mates: tuple[Mate, ...] = ()  # hosts of its cluster that are out; only where all hosts were read
    guests: tuple[tuple[str, str], ...] = ()  # VM, and a host name or address of its guest, as far as its tools tell
    switches: tuple[str, ...] = ()  # distributed switches that count it among their hosts: addresses as text
    strays: tuple[Stray, ...] = ()  # VMs that vCenter has lost there; of a host that is not connected: all of them
    permissions: tuple[str, ...] = ()  # of a host that is not connected: who has permissions that are set on it


@dataclass(frozen=True, slots=True)
class Live:
    """What one reading of vCenter found, matched to addresses."""

    instance: str  # about.instanceUuid
    objects: Mapping[Address, LiveObject]
    hosts: Mapping[Address, LiveHost]
    unmanaged: tuple[Address | str, ...] = ()  # undeclared objects on declared parents; str: inventory paths
    unread: Mapping[Address, str] = field(default_factory=dict)  # hosts whose attributes are unknown, and why
    hidden: Mapping[Address, str] = field(default_factory=dict)  # roots that may be there, or not, or moved; and why
    diagnostics: tuple[Diagnostic, ...] = ()
    evacuations: Mapping[Address, Evacuation] = field(default_factory=dict)  # of hosts whose image is to be changed

    def unknown(self, address: Address) -> str:
        """Why nothing can be said of what live has at an address; "" where it can."""
        return self.hidden.get(address.root) or self.unread.get(address) or self.unread.get(address.root) or ""
