"""A host's resolver: servers, names, search list (of its default TCP/IP stack)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Unknown
from planner.ports import Call
from planner.schema import Field, string, strings
from providers.vsphere.tools import Tools, after, editable, need

PATH = "config.network.dnsConfig"
LEASED = Unknown("comes with the DHCP lease, read after birth")


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    config = props.get(PATH)
    if config is None:
        return {}
    return {"dns": {"dhcp": bool(config.dhcp), "servers": [str(a) for a in config.address or ()],
                    "domain": config.domainName or "", "hostname": config.hostName or "",
                    "search": [str(d) for d in config.searchDomain or ()]}}


def update(tools: Tools, call: Call) -> None:
    config = editable(need(tools.read(tools.host(call), PATH).get(PATH), "DNS configuration", call.address.name))
    wanted = after(call)
    config.dhcp = bool(wanted.get("dhcp", config.dhcp))
    if not config.dhcp:
        config.virtualNicDevice = None
    for attribute, field in (("servers", "address"), ("domain", "domainName"), ("hostname", "hostName"),
                             ("search", "searchDomain")):
        if attribute in wanted:
            value = wanted[attribute]
            setattr(config, field, list(value) if isinstance(value, (list, tuple)) else value)
    tools.manager(call, "networkSystem").UpdateDnsConfig(config=config)


def validate(attributes: Attrs) -> Iterable[str]:
    if attributes.get("dhcp") and any(attributes.get(k) for k in ("servers", "domain", "search")):
        yield "with `dhcp: true` servers, domain and search list come from DHCP: leave them out"


DNS = ResourceType(
    name="dns",
    doc="DNS servers, names and search list.",
    parent="host",
    singleton=True,
    setting=True,
    order=5,
    fields={
        "dhcp": Field("bool", "Whether DHCP sets all of this. A fresh host has it on.", default=False, always=True),
        "servers": strings("Addresses of the DNS servers, in order.", check="ip"),
        "domain": string("Domain name.", check="fqdn"),
        "hostname": string("Host name without domain.", check="hostname"),
        "search": strings("Domains to search, in order.", check="fqdn"),
    },
    validate=validate,
    paths=(PATH,),
    read=read,
    baseline={"dns": dict.fromkeys(("dhcp", "servers", "domain", "hostname", "search"), LEASED)},
    operations=(
        Operation("dns.update", "HostNetworkSystem.UpdateDnsConfig", "update", "Set the resolver in one call.",
                  update, ("dhcp", "servers", "domain", "hostname", "search"), inverse="dns.update",
                  privileges=("Host.Config.Network",)),
    ),
    tested=("twin", "recording"),
)
