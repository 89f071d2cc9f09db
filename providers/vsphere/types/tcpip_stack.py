"""A TCP/IP stack of a host: its default gateways and its resolver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field, integer, string, strings
from providers.vsphere.ip_rules import DEFAULT
from providers.vsphere.tools import Tools, after, editable, need, pick

PATH = "config.network.netStackInstance"
SYSTEM = (DEFAULT, "vmotion", "vSphereProvisioning", "ops", "mirror")
"""Stacks that every ESXi 8 has (HostNetStackInstance.SystemStackKey)."""


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    return {str(each.key): _attributes(each) for each in props.get(PATH) or () if each.key in wanted}


def _attributes(stack: Any) -> Attrs:
    route, dns = stack.ipRouteConfig, stack.dnsConfig
    return {
        "gateway": str(getattr(route, "defaultGateway", None) or ""),
        "gateway6": str(getattr(route, "ipV6DefaultGateway", None) or ""),
        "dns": {"servers": [str(a) for a in getattr(dns, "address", None) or ()],
                "domain": str(getattr(dns, "domainName", None) or ""),
                "search": [str(d) for d in getattr(dns, "searchDomain", None) or ()]},
        "congestion": str(stack.congestionControlAlgorithm or ""),
        "connections": int(stack.requestedMaxNumberOfConnections or 0),
    }


def update(tools: Tools, call: Call) -> None:
    """One stack, by UpdateNetworkConfig in the mode that changes nothing else; a stack has no narrower call."""
    from pyVmomi import vim

    name, wanted = call.address.name, after(call)
    live = need(pick(tools.read(tools.host(call), PATH).get(PATH), name, "key"), "TCP/IP stack", name)
    if name == DEFAULT and "dns" in wanted:
        raise StepFailed("the default stack has its resolver under `dns:`", name, "declare `dns:` on this host instead")
    stack = vim.host.NetStackInstance(key=name)
    if {"gateway", "gateway6"} & set(wanted):
        stack.ipRouteConfig = _route(editable(live.ipRouteConfig), wanted)
    if "dns" in wanted:
        stack.dnsConfig = _resolver(editable(live.dnsConfig), wanted["dns"])
    if wanted.get("congestion"):
        stack.congestionControlAlgorithm = str(wanted["congestion"])
    if wanted.get("connections"):
        stack.requestedMaxNumberOfConnections = int(wanted["connections"])  # type: ignore[arg-type]
    spec = vim.host.NetworkConfig.NetStackSpec(netStackInstance=stack, operation="edit")
    tools.manager(call, "networkSystem").UpdateNetworkConfig(
        config=vim.host.NetworkConfig(netStackSpec=[spec]), changeMode="modify")


def _route(route: Any, wanted: Attrs) -> Any:
    from pyVmomi import vim

    route = route if route is not None else vim.host.IpRouteConfig()
    if "gateway" in wanted:
        route.defaultGateway = wanted["gateway"] or None
    if "gateway6" in wanted:
        route.ipV6DefaultGateway = wanted["gateway6"] or None
    return route


def _resolver(dns: Any, wanted: Any) -> Any:
    from pyVmomi import vim

    dns = dns if dns is not None else vim.host.DnsConfig(dhcp=False, hostName="", domainName="")
    for key, name in (("servers", "address"), ("domain", "domainName"), ("search", "searchDomain")):
        if key in wanted:
            value = wanted[key]
            setattr(dns, name, list(value) if isinstance(value, (list, tuple)) else value)
    return dns


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    """A change of the stack that carries management (`Operation.disruptive` is asked there only)."""
    return "may cut management: its default gateway changes" if {"gateway", "gateway6"} & set(now or {}) else ""


def label(name: str) -> str:
    return "" if name in SYSTEM or name.isidentifier() else "a stack's name has letters, digits and underscores only"


def validate(attributes: Attrs) -> Iterable[str]:
    gateway6 = attributes.get("gateway6")
    if isinstance(gateway6, str) and gateway6 and ":" not in gateway6:
        yield f"gateway6 is an IPv6 address, not {gateway6!r}"


_SET = ("gateway", "gateway6", "dns", "congestion", "connections")

TCPIP_STACK = ResourceType(
    name="tcpip_stack",
    doc="A TCP/IP stack: its gateways, resolver and limits. One of its own is made on the host (esxcli network ip "
        "netstack add): no call of the API makes one.",
    parent="host",
    setting=True,
    order=8,
    fields={
        "gateway": string("Default gateway; an adapter of this stack leads to it.", check="ipv4"),
        "gateway6": string("Default IPv6 gateway.", check="ip"),
        "dns": Field("object", "Its resolver; that of the default stack is `dns:`.", fields={
            "servers": strings("Addresses of the DNS servers, in order.", check="ip"),
            "domain": string("Domain name.", check="fqdn"),
            "search": strings("Domains to search, in order.", check="fqdn"),
        }),
        "congestion": string("How TCP handles congestion.", enum=("newreno", "cubic")),
        "connections": integer("Most TCP connections.", minimum=1, maximum=1_000_000),
    },
    label_doc="the stack's key: defaultTcpipStack, vmotion, vSphereProvisioning, or its name",
    validate=validate,
    paths=(PATH,),
    read=read,
    baseline={name: dict.fromkeys(_SET, Unknown("read after birth")) for name in SYSTEM},
    operations=(
        Operation("tcpip_stack.update", "HostNetworkSystem.UpdateNetworkConfig", "update",
                  "Set gateways, resolver and limits of one stack; what is not declared stays.", update, _SET,
                  inverse="tcpip_stack.update", disruptive=cuts, privileges=("Host.Config.Network",)),
    ),
    tested=("twin", "recording"),
)
