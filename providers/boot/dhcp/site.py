"""What a DHCP configuration is made of: subnets, machines, and what each group of machines boots. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from planner.model import Address, Mark

BIOS = (0x0000,)
UEFI = (0x0006, 0x0007, 0x0009)
UEFI_HTTP = (0x0010,)
ARM64 = (0x000B,)
ARM64_HTTP = (0x0013,)
"""Architectures as option 93 spells them: IANA's registry "Processor Architecture Types" (RFC 4578, 5970)."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses for machines without one of their own; both ends belong to it."""

    first: IPv4Address
    last: IPv4Address

    def __contains__(self, address: IPv4Address) -> bool:
        return self.first <= address <= self.last

    def __len__(self) -> int:
        return max(0, int(self.last) - int(self.first) + 1)


@dataclass(frozen=True, slots=True)
class Subnet:
    """`path`: where it is declared ("provider.boot.dhcp", or "provider.boot.dhcp.subnets[0]"). `lease`: seconds."""

    path: str
    network: IPv4Network
    lease: int
    router: IPv4Address | None = None
    pool: Pool | None = None
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""


@dataclass(frozen=True, slots=True)
class BootFiles:
    """What firmware is told to load, by kind; "" where there is nothing for it. Names below the root of the tree."""

    bios: str = ""
    uefi: str = ""
    arm64: str = ""

    def by_arch(self) -> tuple[tuple[str, tuple[int, ...], str, bool], ...]:
        """(name of the class, option 93, file, whether it is fetched by HTTP) of every file that there is."""
        rows = (("bios", BIOS, self.bios, False), ("uefi", UEFI, self.uefi, False),
                ("uefi-http", UEFI_HTTP, self.uefi, True), ("arm64", ARM64, self.arm64, False),
                ("arm64-http", ARM64_HTTP, self.arm64, True))
        return tuple(row for row in rows if row[2])


@dataclass(frozen=True, slots=True)
class Group:
    """Machines that load the same files first. `name` goes into the configuration: letters, digits, hyphens."""

    name: str
    files: BootFiles


@dataclass(frozen=True, slots=True)
class Machine:
    """One declared host. `group`: "" where it has no image, so that it gets an address and nothing to boot."""

    address: Address
    mac: str
    name: str  # the first label of its name
    ip: IPv4Address | None = None
    group: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that a renderer needs."""

    fleet: str
    listen: str  # TFTP server, and host of the URLs
    http: str  # http://10.0.0.2, without a slash at its end
    subnets: tuple[Subnet, ...]
    machines: tuple[Machine, ...]
    groups: tuple[Group, ...]
    interface: str = ""
    strangers: bool = False  # machines that are not declared get an address

    @property
    def script(self) -> str:
        """The URL that every iPXE is sent to."""
        return f"{self.http}/boot.ipxe"

    def url(self, file: str) -> str:
        return f"{self.http}/{file}"
