"""Distributed switches: what vCenter keeps of them, and what a member host has of one."""

from __future__ import annotations

import msgspec

from providers.twin.parts import Document, Plain


class DvPort(Document):
    """Where a VMkernel adapter is connected: the switch's UUID, the port group's key, the port's key."""

    switch: str
    group: str
    key: str


class Proxy(Document):
    """A host's part of a distributed switch (HostProxySwitch), as vCenter has pushed it there.

    `ports`: uplink name → port key; `lags`: LAG → its ports by name; `uplinks`: vmnic → key of the port that it is on.
    `group`: key of the port group of uplinks; `vlans`: key of a port group → its VLAN (trunks are not among them).
    """

    name: str
    mtu: int = 1500
    group: str = ""
    ports: dict[str, str] = msgspec.field(default_factory=dict)
    lags: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    uplinks: dict[str, str] = msgspec.field(default_factory=dict)
    vlans: dict[str, int] = msgspec.field(default_factory=dict)


class Lag(Document):
    """A link aggregation group (VMwareDvsLacpGroupConfig)."""

    key: str
    mode: str = "passive"
    uplinks: int = 2
    balance: str = "srcDestIpTcpUdpPortVlan"
    timeout: str = ""


class Member(Document):
    """A host of a switch: the keys of its uplink ports by name, those of LAGs by LAG, and which NIC is on which."""

    ports: dict[str, str] = msgspec.field(default_factory=dict)
    lags: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    uplinks: dict[str, str] = msgspec.field(default_factory=dict)


class Dvs(Document, tag="dvs", tag_field="kind"):
    """A distributed switch. `members`: host id → what it has of it; a reborn host stays one until it is removed."""

    id: str
    name: str
    parent: str
    uuid: str = ""
    version: str = ""
    mtu: int = 1500
    uplinks: list[str] = msgspec.field(default_factory=list)
    description: str = ""
    contact: str = ""
    details: str = ""  # of the contact
    protocol: str = "cdp"
    operation: str = "listen"
    managed: bool = False  # network I/O control
    group: str = ""  # id of its port group of uplinks
    lags: dict[str, Lag] = msgspec.field(default_factory=dict)
    members: dict[str, Member] = msgspec.field(default_factory=dict)
    serial: int = 1  # of its configuration
    next: int = 0  # port key
    created: float = 0.0


class Dvpg(Document, tag="dvportgroup", tag_field="kind"):
    """A distributed port group. `switch`: the switch's id; `setting`: what of VMwareDVSPortSetting is its own."""

    id: str
    name: str
    parent: str
    switch: str
    uplink: bool = False  # the switch's own group of uplinks
    binding: str = "earlyBinding"
    ports: int = 0
    expand: bool = True
    description: str = ""
    setting: Plain = msgspec.field(default_factory=dict)
    serial: int = 1
