"""HostNetworkInfo and its parts, from a host's configuration. Keys are the ones that a real host builds."""

from __future__ import annotations

from functools import cache
from typing import Any

from pyVmomi import vim

from providers.twin.baseline import NIC_TYPES
from providers.twin.core.meta import data
from providers.twin.model import Box, HostConfig, Plain, Portgroup, Vnic, Vswitch
from providers.twin.plain import from_plain, merge, to_plain

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
    if plain.keys() == _SHAPE and "standbyNic" not in plain["nicTeaming"].get("nicOrder", {}):
        return _usual_policy(plain)
    return from_plain(vim.host.NetworkPolicy, plain)


_SHAPE = {"security", "nicTeaming", "offloadPolicy", "shapingPolicy"}


def _usual_policy(plain: Plain) -> Any:
    """The quick way for the shape that nearly every switch has."""
    teaming = dict(plain["nicTeaming"])
    criteria = teaming.pop("failureCriteria", None)
    order = teaming.pop("nicOrder", None)
    return data(
        vim.host.NetworkPolicy,
        security=data(vim.host.NetworkPolicy.SecurityPolicy, **plain["security"]),
        nicTeaming=data(
            vim.host.NetworkPolicy.NicTeamingPolicy,
            failureCriteria=data(vim.host.NetworkPolicy.NicFailureCriteria, **criteria) if criteria else None,
            nicOrder=data(vim.host.NetworkPolicy.NicOrderPolicy, **order) if order else None,
            **teaming,
        ),
        offloadPolicy=data(vim.host.NetOffloadCapabilities, **plain["offloadPolicy"]),
        shapingPolicy=from_plain(vim.host.NetworkPolicy.TrafficShapingPolicy, plain["shapingPolicy"]),
    )


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
            vim.host.VirtualSwitch.BondBridge,
            nicDevice=list(switch.uplinks),
            beacon=data(vim.host.VirtualSwitch.BeaconConfig, interval=switch.beacon),
            linkDiscoveryProtocolConfig=data(
                vim.host.LinkDiscoveryProtocolConfig, **({"protocol": "cdp", "operation": "listen"} | switch.discovery)
            ),
        )
    return data(
        vim.host.VirtualSwitch,
        name=name,
        key=switch_key(name),
        numPorts=_ELASTIC,
        numPortsAvailable=_ELASTIC - 5 - len(switch.uplinks) - len(groups),
        mtu=switch.mtu,
        portgroup=groups,
        pnic=[uplink_key(each) for each in switch.uplinks],
        spec=data(
            vim.host.VirtualSwitch.Specification,
            numPorts=switch.ports,
            bridge=bridge,
            policy=_policy(policy_of(switch)),
            mtu=switch.mtu if switch.mtu != 1500 else None,
        ),
    )


def portgroups(config: HostConfig) -> list[Any]:
    """HostPortGroup of every port group."""
    return [_portgroup(config, name, group) for name, group in config.portgroups.items()]


def _portgroup(config: HostConfig, name: str, group: Portgroup) -> Any:
    computed = policy_of(config.vswitches[group.vswitch])
    own: Plain = {"security": {}, "nicTeaming": {"failureCriteria": {}}, "offloadPolicy": {}, "shapingPolicy": {}}
    if group.policy:
        computed = merge(computed, group.policy)
        specified = from_plain(vim.host.NetworkPolicy, merge(own, group.policy))
    else:
        specified = data(
            vim.host.NetworkPolicy,
            security=data(vim.host.NetworkPolicy.SecurityPolicy),
            nicTeaming=data(
                vim.host.NetworkPolicy.NicTeamingPolicy, failureCriteria=data(vim.host.NetworkPolicy.NicFailureCriteria)
            ),
            offloadPolicy=data(vim.host.NetOffloadCapabilities),
            shapingPolicy=data(vim.host.NetworkPolicy.TrafficShapingPolicy),
        )
    ports = [
        data(vim.host.PortGroup.Port, key=_port_key(device), mac=[nic.mac], type="host")
        for device, nic in config.vnics.items()
        if nic.portgroup == name
    ]
    return data(
        vim.host.PortGroup,
        key=portgroup_key(name),
        port=ports,
        vswitch=switch_key(group.vswitch),
        computedPolicy=_policy(computed),
        spec=data(
            vim.host.PortGroup.Specification, name=name, vlanId=group.vlan, vswitchName=group.vswitch, policy=specified
        ),
    )


def _port_key(device: str) -> str:
    return f"key-vim.host.PortGroup.Port-{67108873 + int(device[3:])}"


def vnics(config: HostConfig) -> list[Any]:
    """HostVirtualNic of every VMkernel adapter."""
    return [vnic(device, nic) for device, nic in config.vnics.items()]


def vnic(device: str, nic: Vnic, *, prefix: str = "") -> Any:
    """One adapter; `prefix` goes before its key (the network manager's candidates carry their type's name)."""
    return data(
        vim.host.VirtualNic,
        device=device,
        key=prefix + nic_key(device),
        portgroup=nic.portgroup,
        spec=nic_spec(nic),
        port=_port_key(device),
    )


def nic_spec(nic: Vnic) -> Any:
    """HostVirtualNicSpec of an adapter."""
    route = None
    if nic.gateway:
        route = data(
            vim.host.VirtualNic.IpRouteSpec, ipRouteConfig=data(vim.host.IpRouteConfig, defaultGateway=nic.gateway)
        )
    return data(
        vim.host.VirtualNic.Specification,
        ip=data(vim.host.IpConfig, dhcp=nic.dhcp, ipAddress=nic.ip or None, subnetMask=nic.netmask or None),
        mac=nic.mac,
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
    for kind in (only,) if only else NIC_TYPES:
        prefix = f"{kind}."
        found.append(
            data(
                vim.host.VirtualNicManager.NetConfig,
                nicType=kind,
                multiSelectAllowed=True,
                candidateVnic=[vnic(device, nic, prefix=prefix) for device, nic in config.vnics.items()],
                selectedVnic=[prefix + nic_key(device) for device, nic in config.vnics.items() if kind in nic.services],
            )
        )
    return found


def pnics(box: Box) -> list[Any]:
    """PhysicalNic of every port of the machine; all are linked at 10 Gbit/s."""
    return [_pnic(f"vmnic{number}", number, mac) for number, mac in enumerate(box.nics)]


def _pnic(device: str, number: int, mac: str) -> Any:
    return data(
        vim.host.PhysicalNic,
        key=uplink_key(device),
        device=device,
        pci=f"0000:{0x0B + 8 * number:02x}:00.0",
        driver="nvmxnet3",
        driverVersion="2.0.0.31",
        firmwareVersion="7",
        linkSpeed=data(vim.host.PhysicalNic.LinkSpeedDuplex, speedMb=10000, duplex=True),
        validLinkSpecification=[data(vim.host.PhysicalNic.LinkSpeedDuplex, speedMb=10000, duplex=True)],
        spec=data(
            vim.host.PhysicalNic.Specification,
            ip=data(vim.host.IpConfig, dhcp=False, ipAddress="", subnetMask=""),
            linkSpeed=data(vim.host.PhysicalNic.LinkSpeedDuplex, speedMb=10000, duplex=True),
            enableEnhancedNetworkingStack=False,
            ensInterruptEnabled=False,
        ),
        wakeOnLanSupported=False,
        mac=mac,
        vmDirectPathGen2Supported=False,
        resourcePoolSchedulerAllowed=True,
        autoNegotiateSupported=False,
        enhancedNetworkingStackSupported=True,
        ensInterruptSupported=True,
    )


def dns(config: HostConfig) -> Any:
    """HostDnsConfig of the default TCP/IP stack."""
    found = config.dns
    return data(
        vim.host.DnsConfig,
        dhcp=found.dhcp,
        virtualNicDevice="vmk0" if found.dhcp else None,
        hostName=found.hostname,
        domainName=found.domain,
        address=list(found.servers),
        searchDomain=list(found.search),
    )


def network_info(box: Box, config: HostConfig) -> Any:
    """HostNetworkInfo."""
    return data(
        vim.host.NetworkInfo,
        vswitch=vswitches(config),
        portgroup=portgroups(config),
        pnic=pnics(box),
        vnic=vnics(config),
        dnsConfig=dns(config),
        ipRouteConfig=data(vim.host.IpRouteConfig),
        ipV6Enabled=True,
        atBootIpV6Enabled=True,
    )


def network_config(config: HostConfig) -> Any:
    """HostNetworkConfig: the same facts in the form that configures."""
    return data(
        vim.host.NetworkConfig,
        vswitch=[data(vim.host.VirtualSwitch.Config, name=each.name, spec=each.spec) for each in vswitches(config)],
        portgroup=[data(vim.host.PortGroup.Config, spec=each.spec) for each in portgroups(config)],
        vnic=[
            data(vim.host.VirtualNic.Config, device=device, portgroup=nic.portgroup, spec=nic_spec(nic))
            for device, nic in config.vnics.items()
        ],
        dnsConfig=dns(config),
    )


def kept_policy(policy: Any) -> Plain:
    """A client's HostNetworkPolicy as it is kept."""
    kept: Plain = to_plain(policy) if policy is not None else {}
    return kept
