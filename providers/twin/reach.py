"""Which of a host's addresses answer: what leads from its VMkernel adapters to vCenter, and what a change would cut."""

from __future__ import annotations

from providers.twin.model import Box, Host, HostConfig, Vnic


def leads(config: HostConfig, nic: Vnic) -> bool:
    """Whether an adapter is on a switch that has a physical port."""
    if nic.port is not None:
        proxy = config.proxies.get(nic.port.switch)
        return proxy is not None and bool(proxy.uplinks)
    group = config.portgroups.get(nic.portgroup)
    return group is not None and bool(config.vswitches[group.vswitch].uplinks)


def carried(box: Box, config: HostConfig, nic: Vnic) -> bool:
    """Whether the site's switches take the adapter's VLAN to vCenter, too (see `Box.vlans`)."""
    if nic.port is not None:
        proxy = config.proxies.get(nic.port.switch)
        vlan = proxy.vlans.get(nic.port.group) if proxy is not None else None
    else:
        group = config.portgroups.get(nic.portgroup)
        vlan = group.vlan if group is not None else None
    return leads(config, nic) and (box.vlans is None or vlan is None or vlan in box.vlans)


def managed(config: HostConfig) -> bool:
    """Whether some adapter tagged for management leads to a physical port."""
    return any("management" in nic.services and leads(config, nic) for nic in config.vnics.values())


def answers(box: Box, config: HostConfig, address: str) -> bool:
    """Whether something of this host answers there. A host takes calls on any of its addresses."""
    return any(nic.ip == address and carried(box, config, nic) for nic in config.vnics.values())


def doors(box: Box, config: HostConfig) -> list[str]:
    """The addresses that the host's name may lead to: of adapters tagged for management, vmk0's first."""
    return [nic.ip for nic in config.vnics.values()
            if nic.ip and "management" in nic.services and carried(box, config, nic)]


def cut(box: Box, config: HostConfig, host: Host | None) -> str:
    """Why vCenter would lose this host by that configuration; "" where it would not."""
    if not managed(config):
        return "no adapter that is tagged for management would lead to the network"
    if host is None or host.seen is not None or host.connection != "connected" or not host.ip:
        return ""
    if answers(box, config, host.ip):
        return ""
    return f"nothing would answer at {host.ip}, by which vCenter is connected"
