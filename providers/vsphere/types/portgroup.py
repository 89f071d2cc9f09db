"""Port group of a standard switch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Unknown
from planner.ports import Call
from planner.schema import Field, integer
from providers.vsphere.net_policies import INHERIT, group_fields, merge_policy, problems, read_policy
from providers.vsphere.tools import Tools, after, editable, need

PATH = "config.network.portgroup"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    found: dict[str, Attrs] = {}
    for each in props.get(PATH) or ():
        spec = each.spec
        found[spec.name] = {"vswitch": spec.vswitchName, "vlan": int(spec.vlanId), **read_policy(spec.policy, INHERIT)}
    return found


def add(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    wanted = after(call)
    spec = vim.host.PortGroup.Specification(name=call.address.name, vswitchName=wanted["vswitch"],
                                            vlanId=wanted.get("vlan") or 0, policy=merge_policy(None, wanted))
    tools.manager(call, "networkSystem").AddPortGroup(portgrp=spec)


def update(tools: Tools, call: Call) -> None:
    live = tools.read(tools.host(call), PATH).get(PATH) or ()
    group = need(next((g for g in live if g.spec.name == call.address.name), None), "port group", call.address.name)
    spec, wanted = editable(group.spec), after(call)
    if wanted.get("vlan") is not None:
        spec.vlanId = wanted["vlan"]
    spec.policy = merge_policy(spec.policy, wanted)
    tools.manager(call, "networkSystem").UpdatePortGroup(pgName=call.address.name, portgrp=spec)


def remove(tools: Tools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemovePortGroup(pgName=call.address.name)


def _order(attributes: Attrs | None) -> set[str]:
    """NICs that a failover order of its own names."""
    teaming: Any = (attributes or {}).get("teaming")
    named = (teaming.get(k) or () for k in ("active", "standby")) if isinstance(teaming, Mapping) else ()
    return {str(n) for each in named for n in each} - {INHERIT}


def gives_up(before: Attrs, now: Attrs) -> bool:
    """A NIC is given up before the vSwitch releases it, and taken after it has it."""
    return "teaming" in now and bool(_order(before)) and _order(now) < _order(before)


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    """Its VLAN or policies, where the port group carries management (`Operation.disruptive` is asked there only)."""
    why = [f"its {name} changes" for name in ("vlan", "teaming", "shaping") if name in (now or {})]
    return f"may cut management, which runs over this port group: {' and '.join(why)}" if why else ""


def validate(attributes: Attrs) -> Iterable[str]:
    return problems(attributes, inherits=True)


_SET = ("vlan", "security", "teaming", "shaping")
_LATER = dict.fromkeys(_SET[1:], Unknown("read after birth"))

PORTGROUP = ResourceType(
    name="portgroup",
    doc="A port group on a standard switch.",
    parent="host",
    order=7,
    fields={
        "vswitch": Field("string", "The vSwitch of this host that it is on.", required=True, replace=True),
        "vlan": integer("VLAN id: 0 untagged, 4095 all tags.", default=0, check="vlan"),
        **group_fields(),
    },
    validate=validate,
    siblings={"vswitch": "vswitch"},
    label_doc="the port group's name",
    paths=(PATH,),
    read=read,
    baseline={
        "Management Network": {"vswitch": "vSwitch0", "vlan": 0, **_LATER},
        "VM Network": {"vswitch": "vSwitch0", "vlan": 0, **_LATER},
    },
    operations=(
        Operation("portgroup.add", "HostNetworkSystem.AddPortGroup", "create", "Create the port group.", add,
                  ("vswitch", *_SET), inverse="portgroup.remove", privileges=("Host.Config.Network",)),
        Operation("portgroup.update", "HostNetworkSystem.UpdatePortGroup", "update",
                  "Set VLAN and policies; what is not declared stays.", update, _SET, inverse="portgroup.update",
                  disruptive=cuts, early=gives_up, privileges=("Host.Config.Network",)),
        Operation("portgroup.remove", "HostNetworkSystem.RemovePortGroup", "delete", "Remove the port group.", remove,
                  inverse="portgroup.add", privileges=("Host.Config.Network",)),
    ),
    tested=("twin", "recording"),
)
