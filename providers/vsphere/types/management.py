"""A host's management network: vmk0's address, the VLAN of its port group, the default gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Unknown
from planner.schema import boolean, integer, string
from providers.vsphere.management import operations as do
from providers.vsphere.management import path
from providers.vsphere.management.plan import FIELDS, check, claims, cuts, drafts, validate
from providers.vsphere.tools import pick

VNICS, GROUPS, ROUTE = "config.network.vnic", "config.network.portgroup", "config.network.ipRouteConfig"
_NETWORK, _CONNECTION = ("Host.Config.Network",), ("Host.Config.Connection",)
_FORGET: Attrs = dict.fromkeys(("network", "on_vlan", "adapter", "open", "connected", "at", "via"))


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """With DHCP address, netmask and gateway are "": they are the lease's. A distributed port group has no `vlan`."""
    vmk0 = pick(props.get(VNICS), path.DEVICE, "device")
    if vmk0 is None:
        return {}
    group = next((g for g in props.get(GROUPS) or () if g.spec.name == vmk0.portgroup), None)
    gateway = str(getattr(props.get(ROUTE), "defaultGateway", None) or "")
    found: dict[str, Any] = path.of(vmk0.spec.ip, gateway)
    return {"management": found | ({"vlan": int(group.spec.vlanId)} if group is not None else {})}


def _act(name: str, call: str, doc: str, run: Any, inverse: str, observe: Any = path.observe_path,
         privileges: tuple[str, ...] = _NETWORK, disruptive: str = "") -> Operation:
    return Operation(f"management.{name}", call, "act", doc, run, inverse=f"management.{inverse}", observe=observe,
                     privileges=privileges, disruptive=disruptive, settles=_FORGET)


MANAGEMENT = ResourceType(
    name="management",
    doc="vmk0's address, its port group's VLAN and the default gateway. Another address is opened beside the old one, "
        "and vCenter is connected by it before the old one goes.",
    parent="host",
    singleton=True,
    setting=True,
    order=8,
    fields={
        "dhcp": boolean("Whether vmk0's address and the gateway come from DHCP."),
        "ip": string("vmk0's IPv4 address. The host's name has to lead to it when it changes.", check="ipv4"),
        "netmask": string("Its subnet mask.", check="netmask"),
        "gateway": string("The host's default gateway.", check="ipv4"),
        "vlan": integer("VLAN id of vmk0's port group: 0 untagged.", check="vlan"),
    },
    unique=("ip",),
    validate=validate,
    claims=claims,
    check=check,
    manages=True,
    drafts=drafts,
    paths=(VNICS, GROUPS, ROUTE),
    read=read,
    baseline={"management": {"dhcp": True, "ip": "", "netmask": "", "gateway": "",
                             "vlan": Unknown("read after birth")}},
    operations=(
        Operation("management.update", "HostNetworkSystem.UpdateNetworkConfig", "update",
                  "Set vmk0's address, its VLAN and the gateway in one transaction; a second path takes the old ones.",
                  do.update, FIELDS, inverse="management.update", disruptive=cuts, privileges=_NETWORK),
        _act("open_network", "HostNetworkSystem.AddPortGroup", "Make a port group for a second path.",
             do.open_network, "close_network"),
        _act("open_adapter", "HostNetworkSystem.AddVirtualNic", "Give the host the new address beside the old one.",
             do.open_adapter, "close_adapter"),
        _act("select", "HostVirtualNicManager.SelectVnicForNicType", "Let the second path carry management.",
             do.select, "deselect"),
        _act("disconnect", "HostSystem.DisconnectHost_Task", "Once the other address answers: disconnect the host.",
             do.disconnect, "reconnect", path.observe_connection, _CONNECTION,
             "vCenter does not have the host until it is connected by its other address"),
        _act("reconnect", "HostSystem.ReconnectHost_Task", "Connect the host by its other address.",
             do.reconnect, "disconnect", path.observe_connection, _CONNECTION),
        _act("deselect", "HostVirtualNicManager.DeselectVnicForNicType", "The second path carries no management.",
             do.deselect, "select"),
        _act("close_adapter", "HostNetworkSystem.RemoveVirtualNic", "Remove the second adapter.", do.close_adapter,
             "open_adapter"),
        _act("close_network", "HostNetworkSystem.RemovePortGroup", "Remove the second path's port group.",
             do.close_network, "open_network"),
    ),
)
