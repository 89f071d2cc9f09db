"""Members of a distributed switch that have lost their part of it: a stateless host that has booted."""

from __future__ import annotations

from typing import Any

from planner.model import Attrs
from planner.ports import Call
from providers.vsphere.tools import Tools


def _named(call: Call) -> str:
    return str((call.before or {}).get("member_of") or (call.after or {}).get("member_of") or "")


def _members(tools: Tools, switch: Any) -> set[str]:
    return {str(host._moId) for host in tools.read(switch, "summary.hostMember").get("summary.hostMember") or ()}


def observe(tools: Tools, call: Call) -> Attrs:
    """`member_of`: the switch, while it counts the host among its own; else ""."""
    name = _named(call)
    there = name and str(tools.host(call)._moId) in _members(tools, tools.entity(name, call))
    return {"member_of": name if there else ""}


def leave(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    switch = tools.entity(_named(call), call)
    with tools.turn(switch, call):
        version = tools.read(switch, "config.configVersion").get("config.configVersion")
        member = vim.dvs.HostMember.ConfigSpec(operation="remove", host=tools.host(call))
        spec = vim.DistributedVirtualSwitch.ConfigSpec(configVersion=version, host=[member])
        tools.wait(switch.ReconfigureDvs_Task(spec=spec), call)
