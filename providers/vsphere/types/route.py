"""A static route of a host's default TCP/IP stack."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic
from planner.ports import Call
from planner.schema import string
from providers.vsphere.tools import Tools, after

PATH = "config.network.routeTableInfo"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    table = props.get(PATH)
    entries = [*(getattr(table, "ipRoute", None) or ()), *(getattr(table, "ipv6Route", None) or ())]
    return {_network(each): {"gateway": str(each.gateway)} for each in entries if _static(each)}


def _network(entry: Any) -> str:
    return str(ipaddress.ip_network(f"{entry.network}/{int(entry.prefixLength)}", strict=False))


def _static(entry: Any) -> bool:
    """Not the default route, not the networks of the adapters themselves, not what IPv6 makes of itself."""
    network = ipaddress.ip_network(f"{entry.network}/{int(entry.prefixLength)}", strict=False)
    gateway = ipaddress.ip_address(str(entry.gateway).partition("%")[0])
    return bool(network.prefixlen) and not (gateway.is_unspecified or network.is_multicast or network.is_link_local)


def _change(tools: Tools, call: Call, operation: str, gateway: str) -> None:
    from pyVmomi import vim

    network = ipaddress.ip_network(call.address.name)
    entry = vim.host.IpRouteEntry(network=str(network.network_address), prefixLength=network.prefixlen, gateway=gateway)
    one = [vim.host.IpRouteOp(changeOperation=operation, route=entry)]
    config = vim.host.IpRouteTableConfig(ipRoute=one) if network.version == 4 else \
        vim.host.IpRouteTableConfig(ipv6Route=one)
    tools.manager(call, "networkSystem").UpdateIpRouteTableConfig(config=config)


def add(tools: Tools, call: Call) -> None:
    _change(tools, call, "add", str(after(call)["gateway"]))


def remove(tools: Tools, call: Call) -> None:
    _change(tools, call, "remove", str((call.before or {})["gateway"]))


def label(name: str) -> str:
    """A network as live shows it; "" where it is one."""
    try:
        network = ipaddress.ip_network(name)
    except ValueError:
        try:
            meant = ipaddress.ip_network(name, strict=False)
        except ValueError:
            return f"{name!r} is not a network, such as 10.1.0.0/16 or fd00:1::/64"
        return f"{name!r} has bits set beyond its prefix: write {meant}"
    if not network.prefixlen:
        return "the default gateway is no static route: declare `management: {gateway: …}`"
    return "" if str(network) == name else f"write {network} for {name!r}: so live shows it"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """Gateway and network are of one kind."""
    for change in changes:
        gateway = str((change.after or {}).get("gateway") or "")
        if change.action in (Action.CREATE, Action.REPLACE) and (":" in gateway) != (":" in change.address.name):
            yield Diagnostic("error", "this route cannot be", f"{change.address.name} via {gateway}: one of the two is "
                             "IPv6, the other is not", address=change.address, remedy="name a gateway of the same kind")


ROUTE = ResourceType(
    name="route",
    doc="A static route of the default TCP/IP stack.",
    parent="host",
    order=8,
    fields={"gateway": string("Where packets to that network go; an adapter leads to it.", required=True, check="ip",
                              replace=True)},
    shorthand="gateway",
    label_doc="the network: 10.1.0.0/16, fd00:1::/64",
    label=label,
    check=check,
    paths=(PATH,),
    read=read,
    operations=(
        Operation("route.add", "HostNetworkSystem.UpdateIpRouteTableConfig", "create", "Add the route.", add,
                  ("gateway",), inverse="route.remove", privileges=("Host.Config.Network",)),
        Operation("route.remove", "HostNetworkSystem.UpdateIpRouteTableConfig", "delete", "Remove the route.", remove,
                  inverse="route.add", privileges=("Host.Config.Network",)),
    ),
)
