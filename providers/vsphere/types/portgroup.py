"""Port group of a standard switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import Field, integer
from providers.vsphere.tools import Tools, after, editable, need

PATH = "config.network.portgroup"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    found: dict[str, Attrs] = {}
    for each in props.get(PATH) or ():
        spec = each.spec
        found[spec.name] = {"vswitch": spec.vswitchName, "vlan": int(spec.vlanId)}
    return found


def add(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    wanted = after(call)
    spec = vim.host.PortGroup.Specification(name=call.address.name, vswitchName=wanted["vswitch"],
                                            vlanId=wanted.get("vlan") or 0, policy=vim.host.NetworkPolicy())
    tools.manager(call, "networkSystem").AddPortGroup(portgrp=spec)


def update(tools: Tools, call: Call) -> None:
    live = tools.read(tools.host(call), PATH).get(PATH) or ()
    group = need(next((g for g in live if g.spec.name == call.address.name), None), "port group", call.address.name)
    spec = editable(group.spec)
    spec.vlanId = after(call)["vlan"]
    tools.manager(call, "networkSystem").UpdatePortGroup(pgName=call.address.name, portgrp=spec)


def remove(tools: Tools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemovePortGroup(pgName=call.address.name)


PORTGROUP = ResourceType(
    name="portgroup",
    doc="A port group on a standard switch.",
    parent="host",
    order=7,
    fields={
        "vswitch": Field("string", "The vSwitch of this host that it is on.", required=True, replace=True),
        "vlan": integer("VLAN id: 0 untagged, 4095 all tags.", default=0, check="vlan"),
    },
    siblings={"vswitch": "vswitch"},
    label_doc="the port group's name",
    paths=(PATH,),
    read=read,
    baseline={
        "Management Network": {"vswitch": "vSwitch0", "vlan": 0},
        "VM Network": {"vswitch": "vSwitch0", "vlan": 0},
    },
    operations=(
        Operation("portgroup.add", "HostNetworkSystem.AddPortGroup", "create", "Create the port group.", add,
                  ("vswitch", "vlan"), inverse="portgroup.remove", privileges=("Host.Config.Network",)),
        Operation("portgroup.update", "HostNetworkSystem.UpdatePortGroup", "update",
                  "Set the VLAN; its policies stay.", update, ("vlan",), inverse="portgroup.update",
                  disruptive="may cut management, which runs over this port group",
                  privileges=("Host.Config.Network",)),
        Operation("portgroup.remove", "HostNetworkSystem.RemovePortGroup", "delete", "Remove the port group.", remove,
                  inverse="portgroup.add", privileges=("Host.Config.Network",)),
    ),
)
