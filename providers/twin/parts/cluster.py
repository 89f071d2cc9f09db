"""A cluster beyond its HA and DRS switches: admission control, DPM, EVC, groups and rules."""

from __future__ import annotations

from typing import Literal

import msgspec

from providers.twin.parts import Document, Plain

RuleKind = Literal["together", "apart", "hosts"]


class Group(Document):
    """A DRS group. `members` are ids of hosts (`hosts`) or of virtual machines."""

    hosts: bool
    members: list[str] = msgspec.field(default_factory=list)


class Rule(Document):
    """A DRS rule: of virtual machines (ids), or of a VM group that runs on (`affine`) or off (`anti`) a host group."""

    key: int
    kind: RuleKind
    enabled: bool = True
    mandatory: bool = False
    vms: list[str] = msgspec.field(default_factory=list)
    vm_group: str = ""
    affine: str = ""
    anti: str = ""


class ClusterParts(Document):
    """What differs from a new cluster. `policy` is a DasAdmissionControlPolicy without its hosts; {} the usual one."""

    policy: Plain = msgspec.field(default_factory=dict)
    failover: list[str] = msgspec.field(default_factory=list)  # ids of dedicated failover hosts
    heartbeat: list[str] = msgspec.field(default_factory=list)  # ids of datastores
    dpm: Plain = msgspec.field(default_factory=dict)  # ClusterDpmConfigInfo
    predictive: bool = False
    swap: str = "vmDirectory"
    evc: str = ""  # key of the EVC mode; "" off
    groups: dict[str, Group] = msgspec.field(default_factory=dict)
    rules: dict[str, Rule] = msgspec.field(default_factory=dict)
    keys: int = 0  # the last key that was given to a rule
