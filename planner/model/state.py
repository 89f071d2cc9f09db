"""What is remembered of the managed objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from planner.model.address import Address
from planner.model.values import Attrs


@dataclass(frozen=True, slots=True)
class StateResource:
    """One managed object. `facts` are computed values (uuid, address, boot_time, certificate, image)."""

    address: Address
    origin: Literal["created", "adopted"]
    attributes: Attrs
    id: str = ""
    facts: Attrs = field(default_factory=dict)
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class State:
    lineage: str
    serial: int
    fleet: str
    instance: str  # vCenter's about.instanceUuid; "" before the first run
    resources: Mapping[Address, StateResource]
    outputs: Attrs = field(default_factory=dict)
    run: str = ""  # the run that wrote it
    merged: int = 0  # journal records of that run that are already in here
    complete: bool = True  # False while that run is open
