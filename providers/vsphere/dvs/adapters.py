"""VMkernel adapters on distributed port groups: reading where they are, connecting, moving between switches.

An adapter's `portgroup` is the name of a standard port group of its host, or the address of a distributed one.
"""

from __future__ import annotations

from typing import Any

from planner.model import Attrs
from planner.ports import Call
from providers.vsphere.tools import Tools, editable, need, pick

PREFIX = "distributed_portgroup."
VNICS = "config.network.vnic"


def distributed(portgroup: Any) -> bool:
    """Whether that is a distributed port group: a declared one, or one that nobody declared."""
    return isinstance(portgroup, str) and portgroup.startswith((PREFIX, "path:", "moid:"))


def in_place(before: Any, after: Any) -> bool:
    """Whether an adapter moves there as it is. Between two standard port groups it is made anew: each takes one."""
    return distributed(before) or distributed(after)


def port_group(vnic: Any) -> str:
    """Where a HostVirtualNic is; a distributed group by its key, which is its MoRef."""
    port = vnic.spec.distributedVirtualPort
    return f"moid:{port.portgroupKey}" if port is not None and port.portgroupKey else str(vnic.portgroup or "")


def connect(tools: Tools, call: Call, spec: Any, portgroup: str) -> str:
    """Put the place into a HostVirtualNicSpec: a port of the group, which the switch chooses.

    Returns the name of a standard group; "" for a distributed one, as AddVirtualNic wants it.
    """
    from pyVmomi import vim

    if not distributed(portgroup):
        spec.distributedVirtualPort = None
        return portgroup
    group = tools.entity(portgroup, call)
    config = tools.read(group, "config")["config"]
    switch = tools.read(config.distributedVirtualSwitch, "uuid")["uuid"]
    spec.distributedVirtualPort = vim.dvs.PortConnection(switchUuid=switch, portgroupKey=config.key)
    return ""


def migrate(tools: Tools, call: Call) -> None:
    """The adapter as it is, on another port group: one call, which the host takes back where it cuts management."""
    name, portgroup = call.address.name, str((call.after or {})["portgroup"])
    live = pick(tools.read(tools.host(call), VNICS).get(VNICS), name, "device")
    spec = editable(need(live, "VMkernel adapter", name).spec)
    spec.portgroup = connect(tools, call, spec, portgroup) or None
    tools.manager(call, "networkSystem").UpdateVirtualNic(device=name, nic=spec)


def cuts_move(before: Attrs | None, now: Attrs | None) -> str:
    """A move to another switch, where the adapter carries management."""
    return "may cut management, which this adapter carries: it moves to another switch"
