"""A distributed switch's own settings: reading its configuration, and specs that change it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Attrs

BALANCES = ("srcMac", "destMac", "srcDestMac", "destIpVlan", "srcIpVlan", "srcDestIpVlan", "destTcpUdpPort",
            "srcTcpUdpPort", "srcDestTcpUdpPort", "destIpTcpUdpPort", "srcIpTcpUdpPort", "srcDestIpTcpUdpPort",
            "destIpTcpUdpPortVlan", "srcIpTcpUdpPortVlan", "srcDestIpTcpUdpPortVlan", "destIp", "srcIp", "srcDestIp",
            "vlan", "srcPortId")
"""VmwareDistributedVirtualSwitch.LacpLoadBalanceAlgorithm."""
VERSIONS = ("6.5.0", "6.6.0", "7.0.0", "7.0.2", "7.0.3", "8.0.0", "8.0.3", "9.0.0")
"""Product versions of switches that vCenter 7 to 9 make; which of them it takes, it says itself."""


def settings(config: Any) -> dict[str, Any]:
    """Attributes of a VMwareDVSConfigInfo (some are unset where a switch of another kind or a simulator shows it)."""
    found: dict[str, Any] = {
        "version": str(getattr(config.productInfo, "version", "") or ""),
        "uplinks": [str(each) for each in getattr(config.uplinkPortPolicy, "uplinkPortName", None) or ()],
        "description": str(config.description or ""),
        "contact": {"name": str(getattr(config.contact, "name", "") or ""),
                    "details": str(getattr(config.contact, "contact", "") or "")},
        "network_io_control": bool(config.networkResourceManagementEnabled),
        "lags": sorted((_lag(each) for each in getattr(config, "lacpGroupConfig", None) or ()),
                       key=lambda each: str(each["name"])),
    }
    if getattr(config, "maxMtu", None):
        found["mtu"] = int(config.maxMtu)
    discovery = getattr(config, "linkDiscoveryProtocolConfig", None)
    if discovery is not None:
        found["discovery"] = {"protocol": str(discovery.protocol), "operation": str(discovery.operation)}
    return found


def _lag(found: Any) -> dict[str, Any]:
    return {"name": str(found.name), "mode": str(found.mode), "uplinks": int(found.uplinkNum or 0),
            "load_balancing": str(found.loadbalanceAlgorithm or "")}


def spec(wanted: Mapping[str, Any], version: str = "") -> Any:
    """A VMwareDVSConfigSpec with what is wanted; what is not named stays. `version`: of the configuration changed."""
    from pyVmomi import vim

    switch = vim.dvs.VmwareDistributedVirtualSwitch
    made = switch.ConfigSpec()
    if version:
        made.configVersion = version
    if wanted.get("mtu") is not None:
        made.maxMtu = wanted["mtu"]
    if wanted.get("uplinks") is not None:
        made.uplinkPortPolicy = vim.DistributedVirtualSwitch.NameArrayUplinkPortPolicy(
            uplinkPortName=list(wanted["uplinks"]))
    if wanted.get("description") is not None:
        made.description = wanted["description"]
    contact, discovery = wanted.get("contact"), wanted.get("discovery")
    if isinstance(contact, Mapping):
        made.contact = vim.DistributedVirtualSwitch.ContactInfo(
            name=contact.get("name"), contact=contact.get("details"))
    if isinstance(discovery, Mapping):
        made.linkDiscoveryProtocolConfig = vim.host.LinkDiscoveryProtocolConfig(
            protocol=discovery.get("protocol") or "cdp", operation=discovery.get("operation") or "listen")
    return made


def whole(wanted: Attrs, live: Mapping[str, Any]) -> dict[str, Any]:
    """Objects of which a part is wanted, completed with what live has: the API takes them whole."""
    found: dict[str, Any] = dict(wanted)
    for name in ("contact", "discovery"):
        part, now = wanted.get(name), live.get(name)
        if isinstance(part, Mapping) and isinstance(now, Mapping):
            found[name] = {**now, **part}
    return found


def lag_specs(before: Iterable[Any], wanted: Iterable[Mapping[str, Any]]) -> list[Any]:
    """VMwareDvsLacpGroupSpecs that lead from the live LAGs (`before`, as the API has them) to the wanted ones."""
    from pyVmomi import vim

    group = vim.dvs.VmwareDistributedVirtualSwitch
    live, names = {str(each.name): each for each in before}, {str(each["name"]) for each in wanted}
    made = [group.LacpGroupSpec(operation="remove", lacpGroupConfig=group.LacpGroupConfig(key=each.key))
            for name, each in live.items() if name not in names]
    for each in wanted:
        found = live.get(str(each["name"]))
        if found is not None and _lag(found) == dict(each):
            continue
        config = group.LacpGroupConfig(name=each["name"], mode=each["mode"], uplinkNum=each["uplinks"],
                                       loadbalanceAlgorithm=each["load_balancing"])
        if found is not None:
            config.key = found.key
        made.append(group.LacpGroupSpec(operation="edit" if found is not None else "add", lacpGroupConfig=config))
    return made
