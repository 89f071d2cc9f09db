"""Distributed switches as the API shows them: configuration, port groups, and a member host's proxy switch."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from providers.twin.core.meta import data, vim_type
from providers.twin.model import HostConfig, Plain
from providers.twin.parts.dvs import Dvpg, DvPort, Dvs, Lag, Proxy
from providers.twin.plain import from_plain, merge

VENDOR = "VMware, Inc."
PORTS_OF_A_HOST = 2560


@cache
def base_setting() -> Plain:
    """What a new switch hands its port groups (VMwareDVSPortSetting), without the order of uplinks."""
    def flag(value: bool) -> Plain:
        return {"inherited": False, "value": value}

    shaping = {"inherited": False, "enabled": flag(False), **{
        name: {"inherited": False, "value": value} for name, value in
        (("averageBandwidth", 100_000_000), ("peakBandwidth", 100_000_000), ("burstSize", 104_857_600))}}
    return {
        "blocked": flag(False),
        "vmDirectPathGen2Allowed": flag(False),
        "inShapingPolicy": shaping,
        "outShapingPolicy": shaping,
        "vlan": {"_type": "VmwareDistributedVirtualSwitchVlanIdSpec", "inherited": False, "vlanId": 0},
        "uplinkTeamingPolicy": {
            "inherited": False,
            "policy": {"inherited": False, "value": "loadbalance_srcid"},
            "reversePolicy": flag(True),
            "notifySwitches": flag(True),
            "rollingOrder": flag(False),
            "failureCriteria": {"inherited": False, "checkBeacon": flag(False)},
        },
        "securityPolicy": {
            "inherited": False, "allowPromiscuous": flag(False), "macChanges": flag(False),
            "forgedTransmits": flag(False),
        },
        "ipfixEnabled": flag(False),
        "txUplink": flag(False),
    }


def switch_setting(switch: Dvs) -> Plain:
    """A switch's own port setting: all its uplinks are active."""
    order = {"uplinkTeamingPolicy": {"uplinkPortOrder": {"inherited": False, "activeUplinkPort": list(switch.uplinks)}}}
    return merge(base_setting(), order)


def inherited(plain: Plain) -> Plain:
    """The same values, marked as somebody else's."""
    return {name: True if name == "inherited" else inherited(each) if isinstance(each, dict) else each
            for name, each in plain.items()}


def setting(switch: Dvs, group: Dvpg) -> Any:
    """VMwareDVSPortSetting of a port group: its own parts, and the switch's for the rest."""
    usual, own = inherited(switch_setting(switch)), group.setting
    plain = merge({k: v for k, v in usual.items() if not (k == "vlan" and "vlan" in own)}, own)
    return from_plain(vim_type("VMwareDVSPortSetting"), plain)


def product(switch: Dvs) -> Any:
    return data("DistributedVirtualSwitchProductSpec", name="DVS", vendor=VENDOR, version=switch.version,
                build="24022515", forwardingClass="etherswitch")


def contact(switch: Dvs) -> Any:
    return data("DVSContactInfo", name=switch.contact, contact=switch.details)


def lag(name: str, found: Lag) -> Any:
    """VMwareDvsLacpGroupConfig."""
    return data(
        "VMwareDvsLacpGroupConfig", key=found.key, name=name, mode=found.mode, uplinkNum=found.uplinks,
        loadbalanceAlgorithm=found.balance, uplinkName=lag_ports(name, found), uplinkPortKey=[],
        vlan=data("VMwareDvsLagVlanConfig"), ipfix=data("VMwareDvsLagIpfixConfig"), timeoutMode=found.timeout or None,
    )


def lag_ports(name: str, found: Lag) -> list[str]:
    return [f"{name}-{number}" for number in range(found.uplinks)]


def config(switch: Dvs, group: Any, hosts: list[Any], ports: int) -> Any:
    """VMwareDVSConfigInfo. `group`: reference of the port group of uplinks; `hosts`: DistributedVirtualSwitchHostMember
    of each member."""
    return data(
        "VMwareDVSConfigInfo", uuid=switch.uuid, name=switch.name, numStandalonePorts=0, numPorts=ports,
        maxPorts=2147483647,
        uplinkPortPolicy=data("DVSNameArrayUplinkPortPolicy", uplinkPortName=list(switch.uplinks)),
        uplinkPortgroup=[group] if group is not None else [],
        defaultPortConfig=from_plain(vim_type("VMwareDVSPortSetting"), switch_setting(switch)), host=hosts,
        productInfo=product(switch), description=switch.description or None, configVersion=str(switch.serial),
        contact=contact(switch), createTime=datetime.fromtimestamp(switch.created, UTC),
        policy=data("DVSPolicy", autoPreInstallAllowed=False, autoUpgradeAllowed=False, partialUpgradeAllowed=True),
        networkResourceManagementEnabled=switch.managed, networkResourceControlVersion="version3",
        defaultProxySwitchMaxNumPorts=2147483647, maxMtu=switch.mtu,
        linkDiscoveryProtocolConfig=data("LinkDiscoveryProtocolConfig", protocol=switch.protocol,
                                         operation=switch.operation),
        lacpGroupConfig=[lag(name, each) for name, each in switch.lags.items()], lacpApiVersion="multipleLag",
        multicastFilteringMode="legacyFiltering",
    )


def backing(uplinks: dict[str, str], group: str) -> Any:
    """DistributedVirtualSwitchHostMemberPnicBacking. `uplinks`: vmnic → port key."""
    return data("DistributedVirtualSwitchHostMemberPnicBacking", pnicSpec=[
        data("DistributedVirtualSwitchHostMemberPnicSpec", pnicDevice=device, uplinkPortKey=key,
             uplinkPortgroupKey=group, connectionCookie=int(key))
        for device, key in uplinks.items()
    ])


def proxies(found: HostConfig) -> list[Any]:
    """HostProxySwitch of each distributed switch that a host is in."""
    return [_proxy(number, uuid, each) for number, (uuid, each) in enumerate(found.proxies.items())]


def _proxy(number: int, uuid: str, found: Proxy) -> Any:
    return data(
        "HostProxySwitch", dvsUuid=uuid, dvsName=found.name, key=f"DvsPortset-{number}", numPorts=PORTS_OF_A_HOST,
        configNumPorts=512, numPortsAvailable=PORTS_OF_A_HOST - 10, mtu=found.mtu,
        uplinkPort=[data("KeyValue", key=key, value=name) for name, key in found.ports.items()],
        pnic=[f"key-vim.host.PhysicalNic-{device}" for device in found.uplinks],
        spec=data("HostProxySwitchSpec", backing=backing(found.uplinks, found.group)),
        hostLag=[data("HostProxySwitchHostLagConfig", lagKey=name, lagName=name, uplinkPort=[
            data("KeyValue", key=key, value=port) for port, key in ports.items()])
            for name, ports in found.lags.items()],
        networkReservationSupported=True, nsxtEnabled=False, ensEnabled=False, ensInterruptEnabled=False,
    )


def group_config(group: Dvpg, switch: Dvs, reference: Any) -> Any:
    """DVPortgroupConfigInfo. `reference`: of its switch."""
    return data(
        "DVPortgroupConfigInfo", key=group.id, name=group.name, numPorts=group.ports,
        distributedVirtualSwitch=reference, defaultPortConfig=setting(switch, group),
        description=group.description or None, type=group.binding, backingType="standard",
        policy=data(
            "VMwareDVSPortgroupPolicy", blockOverrideAllowed=True, shapingOverrideAllowed=False,
            vendorConfigOverrideAllowed=False, livePortMovingAllowed=False, portConfigResetAtDisconnect=True,
            networkResourcePoolOverrideAllowed=False, trafficFilterOverrideAllowed=False, vlanOverrideAllowed=False,
            uplinkTeamingOverrideAllowed=False, securityPolicyOverrideAllowed=False, ipfixOverrideAllowed=False,
            macManagementOverrideAllowed=False),
        configVersion=str(group.serial), autoExpand=group.expand if group.binding == "earlyBinding" else None,
        uplink=group.uplink,
    )


def port(found: DvPort) -> Any:
    """DistributedVirtualSwitchPortConnection."""
    return data("DistributedVirtualSwitchPortConnection", switchUuid=found.switch, portgroupKey=found.group,
                portKey=found.key, connectionCookie=int(found.key))
