"""HostNetworkInfo and its parts, from a host's configuration. Keys are the ones that a real host builds."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from providers.twin.baseline import NIC_TYPES
from providers.twin.core.meta import data, vim_type
from providers.twin.model import Box, HostConfig, Plain, Portgroup, Vnic, Vswitch
from providers.twin.plain import from_plain, merge, to_plain
from providers.twin.views import dvs, stacks
from providers.twin.views.stacks import dns as dns

_ELASTIC = 2560  # ports that a host shows for a switch whatever its specification says (since 5.5)


@cache
def default_policy() -> Plain:
    """The policy of a new standard switch (ESXi 8: everything is rejected, load is balanced by port)."""
    return {
        "security": {"allowPromiscuous": False, "macChanges": False, "forgedTransmits": False},
        "nicTeaming": {
            "policy": "loadbalance_srcid",
            "reversePolicy": True,
            "notifySwitches": True,
            "rollingOrder": False,
            "failureCriteria": {
                "checkSpeed": "minimum",
                "speed": 10,
                "checkDuplex": False,
                "fullDuplex": False,
                "checkErrorPercent": False,
                "percentage": 0,
                "checkBeacon": False,
            },
        },
        "offloadPolicy": {"csumOffload": True, "tcpSegmentation": True, "zeroCopyXmit": True},
        "shapingPolicy": {"enabled": False},
    }


def policy_of(switch: Vswitch) -> Plain:
    """A switch's whole policy: what was set, over the defaults; all uplinks are active where nothing else was said."""
    policy = merge(default_policy(), switch.policy)
    teaming = policy["nicTeaming"]
    if switch.uplinks and not teaming.get("nicOrder"):
        policy["nicTeaming"] = {**teaming, "nicOrder": {"activeNic": list(switch.uplinks)}}
    return policy


def _policy(plain: Plain) -> Any:
    return from_plain(vim_type("HostNetworkPolicy"), plain)


@lru_cache(maxsize=256)
def _usual_policy(uplinks: tuple[str, ...]) -> Any:
    """The policy of a switch with these uplinks on which nothing was set."""
    return _policy(policy_of(Vswitch(uplinks=list(uplinks))))


def _switch_policy(switch: Vswitch) -> Any:
    return _policy(policy_of(switch)) if switch.policy else _usual_policy(tuple(switch.uplinks))


@cache
def _no_overrides() -> Any:
    """The policy of a port group that takes everything from its switch."""
    return _policy(_NO_OVERRIDES)


_NO_OVERRIDES: Plain = {
    "security": {}, "nicTeaming": {"failureCriteria": {}}, "offloadPolicy": {}, "shapingPolicy": {},
}


def switch_key(name: str) -> str:
    return f"key-vim.host.VirtualSwitch-{name}"


def portgroup_key(name: str) -> str:
    return f"key-vim.host.PortGroup-{name}"


def nic_key(device: str) -> str:
    return f"key-vim.host.VirtualNic-{device}"


def uplink_key(device: str) -> str:
    return f"key-vim.host.PhysicalNic-{device}"


def vswitches(config: HostConfig) -> list[Any]:
    """HostVirtualSwitch of every standard switch."""
    return [_vswitch(config, name, switch) for name, switch in config.vswitches.items()]


def _vswitch(config: HostConfig, name: str, switch: Vswitch) -> Any:
    groups = [portgroup_key(each) for each, group in config.portgroups.items() if group.vswitch == name]
    bridge = None
    if switch.uplinks:
        bridge = data(
            "HostVirtualSwitchBondBridge",
            nicDevice=list(switch.uplinks),
            beacon=data("HostVirtualSwitchBeaconConfig", interval=switch.beacon),
            linkDiscoveryProtocolConfig=data(
                "LinkDiscoveryProtocolConfig", **({"protocol": "cdp", "operation": "listen"} | switch.discovery)
            ),
        )
    return data(
        "HostVirtualSwitch",
        name=name,
        key=switch_key(name),
        numPorts=_ELASTIC,
        numPortsAvailable=_ELASTIC - 5 - len(switch.uplinks) - len(groups),
        mtu=switch.mtu,
        portgroup=groups,
        pnic=[uplink_key(each) for each in switch.uplinks],
        spec=data(
            "HostVirtualSwitchSpec",
            numPorts=switch.ports,
            bridge=bridge,
            policy=_switch_policy(switch),
            mtu=switch.mtu if switch.mtu != 1500 else None,
        ),
    )


def portgroups(config: HostConfig) -> list[Any]:
    """HostPortGroup of every port group."""
    return [_portgroup(config, name, group) for name, group in config.portgroups.items()]


def _portgroup(config: HostConfig, name: str, group: Portgroup) -> Any:
    switch = config.vswitches[group.vswitch]
    computed, specified = _switch_policy(switch), _no_overrides()
    if group.policy:
        computed = _policy(merge(policy_of(switch), group.policy))
        specified = _policy(merge(_NO_OVERRIDES, group.policy))
    ports = [
        data("HostPortGroupPort", key=_port_key(device), mac=[nic.mac], type="host")
        for device, nic in config.vnics.items()
        if nic.portgroup == name
    ]
    return data(
        "HostPortGroup",
        key=portgroup_key(name),
        port=ports,
        vswitch=switch_key(group.vswitch),
        computedPolicy=computed,
        spec=data(
            "HostPortGroupSpec", name=name, vlanId=group.vlan, vswitchName=group.vswitch, policy=specified
        ),
    )


def _port_key(device: str) -> str:
    return f"key-vim.host.PortGroup.Port-{67108873 + int(device[3:])}"


def vnics(config: HostConfig) -> list[Any]:
    """HostVirtualNic of every VMkernel adapter."""
    return [vnic(device, nic) for device, nic in config.vnics.items()]


def vnic(device: str, nic: Vnic) -> Any:
    """One adapter."""
    return _vnic(device, nic, nic_spec(nic), "")


def _vnic(device: str, nic: Vnic, spec: Any, prefix: str) -> Any:
    """`prefix` goes before the key: the network manager's candidates carry their type's name."""
    return data(
        "HostVirtualNic",
        device=device,
        key=prefix + nic_key(device),
        portgroup=nic.portgroup,
        spec=spec,
        port=_port_key(device),
    )


def nic_spec(nic: Vnic) -> Any:
    """HostVirtualNicSpec of an adapter."""
    route = None
    if nic.gateway or nic.gateway6:
        own = data("HostIpRouteConfig", defaultGateway=nic.gateway or None, ipV6DefaultGateway=nic.gateway6 or None)
        route = data("HostVirtualNicIpRouteSpec", ipRouteConfig=own)
    return data(
        "HostVirtualNicSpec",
        ip=stacks.ip_config(nic),
        mac=nic.mac,
        distributedVirtualPort=dvs.port(nic.port) if nic.port is not None else None,
        portgroup=nic.portgroup,
        mtu=nic.mtu,
        tsoEnabled=True,
        netStackInstanceKey=nic.stack,
        systemOwned=False,
        ipRouteSpec=route,
    )


def net_configs(config: HostConfig, only: str = "") -> list[Any]:
    """HostVirtualNicManagerNetConfig of every nic type (or of one)."""
    found = []
    specs = [(device, nic, nic_spec(nic)) for device, nic in config.vnics.items()]
    for kind in (only,) if only else NIC_TYPES:
        prefix = f"{kind}."
        found.append(
            data(
                "VirtualNicManagerNetConfig",
                nicType=kind,
                multiSelectAllowed=True,
                candidateVnic=[_vnic(device, nic, spec, prefix) for device, nic, spec in specs],
                selectedVnic=[prefix + nic_key(device) for device, nic, _ in specs if kind in nic.services],
            )
        )
    return found


def pnics(box: Box) -> list[Any]:
    """PhysicalNic of every port of the machine; all are linked at 10 Gbit/s."""
    return [_pnic(f"vmnic{number}", number, mac) for number, mac in enumerate(box.nics)]


@cache
def _link_speed() -> Any:
    return data("PhysicalNicLinkInfo", speedMb=10000, duplex=True)


@cache
def _uplink_spec() -> Any:
    return data(
        "PhysicalNicSpec",
        ip=data("HostIpConfig", dhcp=False, ipAddress="", subnetMask=""),
        linkSpeed=_link_speed(),
        enableEnhancedNetworkingStack=False,
        ensInterruptEnabled=False,
    )


def _pnic(device: str, number: int, mac: str) -> Any:
    return data(
        "PhysicalNic",
        key=uplink_key(device),
        device=device,
        pci=f"0000:{0x0B + 8 * number:02x}:00.0",
        driver="nvmxnet3",
        driverVersion="2.0.0.31",
        firmwareVersion="7",
        linkSpeed=_link_speed(),
        validLinkSpecification=[_link_speed()],
        spec=_uplink_spec(),
        wakeOnLanSupported=False,
        mac=mac,
        vmDirectPathGen2Supported=False,
        resourcePoolSchedulerAllowed=True,
        autoNegotiateSupported=False,
        enhancedNetworkingStackSupported=True,
        ensInterruptSupported=True,
    )


def network_info(box: Box, config: HostConfig) -> Any:
    """HostNetworkInfo."""
    return data(
        "HostNetworkInfo",
        vswitch=vswitches(config),
        proxySwitch=dvs.proxies(config),
        portgroup=portgroups(config),
        pnic=pnics(box),
        vnic=vnics(config),
        dnsConfig=dns(config),
        ipRouteConfig=stacks.ip_route_config(config),
        routeTableInfo=stacks.route_table_info(config),
        netStackInstance=stacks.net_stacks(config),
        ipV6Enabled=True,
        atBootIpV6Enabled=True,
    )


def network_config(config: HostConfig) -> Any:
    """HostNetworkConfig: the same facts in the form that configures."""
    return data(
        "HostNetworkConfig",
        vswitch=[data("HostVirtualSwitchConfig", name=each.name, spec=each.spec) for each in vswitches(config)],
        portgroup=[data("HostPortGroupConfig", spec=each.spec) for each in portgroups(config)],
        vnic=[
            data("HostVirtualNicConfig", device=device, portgroup=nic.portgroup, spec=nic_spec(nic))
            for device, nic in config.vnics.items()
        ],
        dnsConfig=dns(config),
        ipRouteConfig=stacks.ip_route_config(config),
    )


def kept_policy(policy: Any) -> Plain:
    """A client's HostNetworkPolicy as it is kept."""
    kept: Plain = to_plain(policy) if policy is not None else {}
    return kept
