"""How a host trades power for speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Change, Diagnostic, StepFailed
from planner.ports import Call
from planner.schema import Field, string
from providers.vsphere.tools import Tools, after, pick

CURRENT, AVAILABLE = "config.powerSystemInfo.currentPolicy", "config.powerSystemCapability.availablePolicy"
POLICIES = ("static", "dynamic", "low", "custom")
"""HostPowerPolicy.shortName: high performance, balanced, low power, custom."""


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    now = props.get(CURRENT)
    offered: Any = [str(each.shortName) for each in props.get(AVAILABLE) or ()]
    return {} if now is None else {"power_policy": {"policy": str(now.shortName), "available": offered}}


def configure(tools: Tools, call: Call) -> None:
    """By key: which number a policy has is the host's business."""
    name = str(after(call)["policy"])
    found = pick(tools.read(tools.host(call), AVAILABLE).get(AVAILABLE), name, "shortName")
    if found is None:
        raise StepFailed("this host has no such power policy", name, "choose another, or let the firmware leave power "
                         "to the operating system")
    tools.manager(call, "powerSystem").ConfigurePowerPolicy(key=found.key)


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    offered: Any = existing.get("power_policy", {}).get("available")
    for change in changes:
        wanted = (change.after or {}).get("policy")
        if offered and isinstance(wanted, str) and wanted not in offered:
            yield Diagnostic("error", "this host has no such power policy", f"{wanted}; it has {', '.join(offered)}",
                             address=change.address, remedy="choose one that it has")


POWER_POLICY = ResourceType(
    name="power_policy",
    doc="The power policy of the host.",
    parent="host",
    singleton=True,
    setting=True,
    shorthand="policy",
    order=14,
    fields={
        "policy": string("High performance (static), balanced (dynamic), low power (low), or custom.", required=True,
                         enum=POLICIES),
        "available": Field("list", "What the host offers.", items=string("A policy."), computed=True),
    },
    paths=(CURRENT, AVAILABLE),
    read=read,
    check=check,
    baseline={"power_policy": {"policy": "dynamic", "available": list(POLICIES)}},
    operations=(
        Operation("power_policy.set", "HostPowerSystem.ConfigurePowerPolicy", "update", "Set the power policy.",
                  configure, ("policy",), inverse="power_policy.set", privileges=("Host.Config.Power",)),
    ),
    tested=("twin", "recording"),
)
