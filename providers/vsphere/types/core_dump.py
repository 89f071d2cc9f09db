"""The partition that a host's core dumps go to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, string
from providers.vsphere.tools import Tools, after

PATH = "config.activeDiagnosticPartition"
_NAME = re.compile(r"(\S+):(\d{1,3})")
NO_API = "the vSphere API has no call for it (esxcli only)"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    active = props.get(PATH)
    return {"core_dump": {"partition": name(active) if active is not None else ""}}


def name(partition: Any) -> str:
    """DISK:NUMBER of a HostDiagnosticPartition."""
    return f"{partition.id.diskName}:{partition.id.partition}"


def validate(attributes: Attrs) -> Iterable[str]:
    partition = attributes.get("partition")
    if isinstance(partition, str) and partition and not _NAME.fullmatch(partition):
        yield f"{partition!r} is no partition: write DISK:NUMBER, as naa.5000c500a1b2c3d4:7, or \"\" for none"
    if "network" in attributes:
        yield f"`network`: dumps over the network cannot be set: {NO_API}. Set it by the image (esxcli system " \
              "coredump network), and remove it here"
    if "file" in attributes:
        yield f"`file`: a dump file on a datastore cannot be set: {NO_API}. Set it by the image (esxcli system " \
              "coredump file), and remove it here"


def select(tools: Tools, call: Call) -> None:
    """Raises StepFailed where the host has no such diagnostic partition: none is ever created on a disk."""
    manager, wanted = tools.manager(call, "diagnosticSystem"), str(after(call)["partition"])
    if not wanted:
        manager.SelectActivePartition()
        return
    found = {name(each): each for each in manager.QueryAvailablePartition() or ()}
    if wanted not in found:
        raise StepFailed("this host has no such diagnostic partition", f"{wanted}; it has {', '.join(found) or 'none'}",
                         "choose one of those: fleet partitions no disk")
    manager.SelectActivePartition(partition=found[wanted].id)


CORE_DUMP = ResourceType(
    name="core_dump",
    doc="Where the host's core dumps go. ESXi 7 and later dump to a file of their own unless a partition is active.",
    parent="host",
    singleton=True,
    setting=True,
    order=13,
    fields={
        "partition": string("DISK:NUMBER of an existing diagnostic partition; \"\": none is active."),
        "network": Field("scalar", f"Refused: {NO_API}."),
        "file": Field("scalar", f"Refused: {NO_API}."),
    },
    paths=(PATH,),
    read=read,
    validate=validate,
    baseline={"core_dump": {"partition": ""}},
    operations=(
        Operation("core_dump.select", "HostDiagnosticSystem.SelectActivePartition", "update",
                  "Let core dumps go to this partition.", select, ("partition",), inverse="core_dump.select",
                  privileges=("Host.Config.Storage",)),
    ),
)
