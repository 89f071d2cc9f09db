"""Reading: property values of one host → attributes, with pyVmomi objects made by hand. Pure."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from planner.model import Action, Attrs, Change, StepFailed, Unknown
from providers.vsphere.tools import quoted, unquoted
from providers.vsphere.types import option
from providers.vsphere.types.cluster import settings, touches_vms
from providers.vsphere.types.dns import DNS
from providers.vsphere.types.management import MANAGEMENT
from providers.vsphere.types.nfs import NFS
from providers.vsphere.types.ntp import NTP
from providers.vsphere.types.option import OPTION
from providers.vsphere.types.portgroup import PORTGROUP
from providers.vsphere.types.route import ROUTE
from providers.vsphere.types.service import SERVICE
from providers.vsphere.types.syslog import SYSLOG
from providers.vsphere.types.tcpip_stack import TCPIP_STACK
from providers.vsphere.types.vmkernel import VMKERNEL
from providers.vsphere.types.vswitch import VSWITCH, released, shrinks
from providers.vsphere.vmk_rules import check, cuts, cuts_tag, validate
from tests.unit.vsphere.kit import at

Switch, Specification = vim.host.VirtualSwitch, vim.host.VirtualSwitch.Specification


def read(rtype: Any, props: dict[str, Any], *wanted: str) -> dict[str, Any]:
    return dict(rtype.read(props, frozenset(wanted)))


def switch(name: str, bridge: Any = None, mtu: int | None = None) -> Any:
    return Switch(name=name, key=name, numPorts=2560, mtu=mtu, spec=Specification(numPorts=128, bridge=bridge))


def test_vswitch_with_and_without_uplinks() -> None:
    props = {"config.network.vswitch": [
        switch("a", Switch.BondBridge(nicDevice=["vmnic2", "vmnic1"]), 9000), switch("b"),
        switch("c", Switch.SimpleBridge(nicDevice="vmnic3"))]}
    found = read(VSWITCH, props)
    assert {name: {k: each[k] for k in ("uplinks", "mtu", "ports")} for name, each in found.items()} == {
        "a": {"uplinks": ["vmnic1", "vmnic2"], "mtu": 9000, "ports": 128},
        "b": {"uplinks": [], "mtu": 1500, "ports": 128}, "c": {"uplinks": ["vmnic3"], "mtu": 1500, "ports": 128}}
    assert read(VSWITCH, {}) == {}


def test_policies_of_a_switch_discovery_and_beacon() -> None:
    policy = vim.host.NetworkPolicy(
        security=vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=True, macChanges=False, forgedTransmits=False),
        nicTeaming=vim.host.NetworkPolicy.NicTeamingPolicy(
            policy="failover_explicit", notifySwitches=True, rollingOrder=True,
            nicOrder=vim.host.NetworkPolicy.NicOrderPolicy(activeNic=["vmnic2"], standbyNic=["vmnic1"])),
        shapingPolicy=vim.host.NetworkPolicy.TrafficShapingPolicy(
            enabled=True, averageBandwidth=10, peakBandwidth=20, burstSize=30))
    bridge = Switch.BondBridge(nicDevice=["vmnic1", "vmnic2"], beacon=Switch.BeaconConfig(interval=4),
                               linkDiscoveryProtocolConfig=vim.host.LinkDiscoveryProtocolConfig(
                                   protocol="cdp", operation="both"))
    made = switch("a", bridge)
    made.spec.policy = policy
    found = read(VSWITCH, {"config.network.vswitch": [made]})["a"]
    assert found["security"] == {"promiscuous": True, "mac_changes": False, "forged_transmits": False}
    assert found["teaming"] == {"policy": "failover_explicit", "active": ["vmnic2"], "standby": ["vmnic1"],
                                "notify": True, "failback": False, "check_beacon": False}
    assert found["shaping"] == {"enabled": True, "average": 10, "peak": 20, "burst": 30}
    assert (found["discovery"], found["beacon"]) == ("both", 4)
    bare = read(VSWITCH, {"config.network.vswitch": [switch("b")]})["b"]
    assert (bare["discovery"], bare["beacon"], bare["teaming"]["active"]) == ("", 0, [])


def test_portgroup() -> None:
    spec = vim.host.PortGroup.Specification(name="VM Network", vlanId=4095, vswitchName="vSwitch0",
                                            policy=vim.host.NetworkPolicy())
    group = vim.host.PortGroup(spec=spec, computedPolicy=vim.host.NetworkPolicy())
    found = read(PORTGROUP, {"config.network.portgroup": [group]})["VM Network"]
    assert (found["vswitch"], found["vlan"]) == ("vSwitch0", 4095)
    assert {v for k in ("security", "shaping") for v in found[k].values()} == {"inherit"}
    assert found["teaming"] == {"policy": "inherit", "active": ["inherit"], "standby": ["inherit"],
                                "notify": "inherit", "failback": "inherit", "check_beacon": "inherit"}


def vnic(device: str, ip: Any, mtu: int | None = None) -> Any:
    return vim.host.VirtualNic(device=device, key=f"key-vim.host.VirtualNic-{device}", portgroup="pg",
                               spec=vim.host.VirtualNic.Specification(ip=ip, mtu=mtu))


def test_vmkernel_services_come_from_the_managers_selection() -> None:
    """Keys as a real vCenter 8.0.3 writes them: "VMotionConfig.vmotion.key-vim.host.VirtualNic-vmk1"."""
    config = vim.host.VirtualNicManager.NetConfig
    props = {
        "config.network.vnic": [
            vnic("vmk0", vim.host.IpConfig(dhcp=True, ipAddress="10.0.0.5", subnetMask="255.0.0.0")),
            vnic("vmk1", vim.host.IpConfig(dhcp=False, ipAddress="10.1.0.5", subnetMask="255.255.0.0"), 9000),
            vnic("vmk10", None)],
        "config.virtualNicManagerInfo.netConfig": [
            config(nicType="vmotion", selectedVnic=["VMotionConfig.vmotion.key-vim.host.VirtualNic-vmk1"]),
            config(nicType="vSphereProvisioning", selectedVnic=["vSphereProvisioning.key-vim.host.VirtualNic-vmk1"]),
            config(nicType="management", selectedVnic=["management.key-vim.host.VirtualNic-vmk0"]),
            config(nicType="nvmeTcp", selectedVnic=["nvmeTcp.key-vim.host.VirtualNic-vmk1"]),
            config(nicType="vsan")]}
    found = read(VMKERNEL, props)
    bare = {"gateway": "", "stack": "defaultTcpipStack",
            "ipv6": {"dhcp": False, "autoconf": False, "addresses": [], "gateway": ""}}
    assert found["vmk0"] == {"portgroup": "pg", "dhcp": True, "ip": "10.0.0.5", "netmask": "255.0.0.0", "mtu": 1500,
                             "services": ["management"], **bare}
    assert found["vmk1"]["services"] == ["nvmeTcp", "provisioning", "vmotion"]
    assert found["vmk1"]["mtu"] == 9000
    assert found["vmk10"] == {"portgroup": "pg", "dhcp": False, "ip": "", "netmask": "", "mtu": 1500, "services": [],
                              **bare}


def test_ipv6_of_an_adapter_is_what_somebody_set() -> None:
    """As a real ESXi 8.0.3 shows it: its link-local address is of origin "other", an advertised one "linklayer"."""
    address = vim.host.IpConfig.IpV6Address
    made = vim.host.IpConfig.IpV6AddressConfiguration
    config = made(autoConfigurationEnabled=True, dhcpV6Enabled=False, ipV6Address=[
        address(ipAddress="fe80::1", prefixLength=64, origin="other"),
        address(ipAddress="fd00:1::1", prefixLength=64, origin="linklayer"),
        address(ipAddress="fd00:2:0::5", prefixLength=64, origin="manual")])
    one = vnic("vmk0", vim.host.IpConfig(dhcp=True, ipV6Config=config))
    route = vim.host.IpRouteConfig(defaultGateway="10.0.0.1", ipV6DefaultGateway="fd00:2::1")
    one.spec.ipRouteSpec = vim.host.VirtualNic.IpRouteSpec(ipRouteConfig=route)
    one.spec.netStackInstanceKey = "vmotion"
    found = read(VMKERNEL, {"config.network.vnic": [one]})["vmk0"]
    assert found["ipv6"] == {"dhcp": False, "autoconf": True, "addresses": ["fd00:2::5/64"], "gateway": "fd00:2::1"}
    assert (found["gateway"], found["stack"]) == ("10.0.0.1", "vmotion")


def test_static_routes_are_what_no_adapter_makes() -> None:
    """As a real ESXi 8.0.3 shows its table: default routes, connected networks, link-local and multicast ones."""
    entry = vim.host.IpRouteEntry
    table = vim.host.IpRouteTableInfo(
        ipRoute=[entry(network="0.0.0.0", prefixLength=0, gateway="10.0.0.254", deviceName="vmk0"),
                 entry(network="10.0.0.0", prefixLength=20, gateway="0.0.0.0", deviceName="vmk0"),
                 entry(network="10.9.0.0", prefixLength=16, gateway="10.0.0.3", deviceName="vmk0")],
        ipv6Route=[entry(network="::", prefixLength=0, gateway="fe80::1", deviceName="vmk0"),
                   entry(network="fe80::", prefixLength=64, gateway="::", deviceName="vmk0"),
                   entry(network="ff01::", prefixLength=32, gateway="fe80::5", deviceName="vmk0"),
                   entry(network="fd00:9::", prefixLength=48, gateway="fd00::3", deviceName="vmk0")])
    assert read(ROUTE, {"config.network.routeTableInfo": table}) == {
        "10.9.0.0/16": {"gateway": "10.0.0.3"}, "fd00:9::/48": {"gateway": "fd00::3"}}
    assert read(ROUTE, {}) == {}


def test_management_is_vmk0_and_what_it_is_on() -> None:
    spec = vim.host.PortGroup.Specification(name="pg", vlanId=7, vswitchName="vSwitch0",
                                            policy=vim.host.NetworkPolicy())
    group = vim.host.PortGroup(spec=spec, computedPolicy=vim.host.NetworkPolicy())
    ip = vim.host.IpConfig(dhcp=False, ipAddress="10.0.0.5", subnetMask="255.0.0.0")
    props: dict[str, Any] = {"config.network.vnic": [vnic("vmk0", ip)], "config.network.portgroup": [group],
                             "config.network.ipRouteConfig": vim.host.IpRouteConfig(defaultGateway="10.0.0.1")}
    static = {"dhcp": False, "ip": "10.0.0.5", "netmask": "255.0.0.0", "gateway": "10.0.0.1"}
    assert read(MANAGEMENT, props, "management") == {"management": {**static, "vlan": 7}}
    assert read(MANAGEMENT, {**props, "config.network.portgroup": []}, "management") == {"management": static}
    assert read(MANAGEMENT, {}, "management") == {}


def test_a_stack_is_read_by_name() -> None:
    dns = vim.host.DnsConfig(dhcp=False, hostName="", domainName="b.c", address=["1.1.1.1"])
    stack = vim.host.NetStackInstance(key="vmotion", dnsConfig=dns, congestionControlAlgorithm="newreno",
                                      ipRouteConfig=vim.host.IpRouteConfig(defaultGateway="10.0.0.1"))
    assert read(TCPIP_STACK, {"config.network.netStackInstance": [stack]}, "vmotion", "x") == {"vmotion": {
        "gateway": "10.0.0.1", "gateway6": "", "dns": {"servers": ["1.1.1.1"], "domain": "b.c", "search": []},
        "congestion": "newreno", "connections": 0}}


def test_nfs_of_both_versions_and_no_vmfs() -> None:
    def mounted(volume: Any, access: str) -> Any:
        return vim.host.FileSystemMountInfo(volume=volume, mountInfo=vim.host.MountInfo(accessMode=access))

    nas, volumes = vim.host.NasVolume, []
    volumes.append(mounted(nas(type="NFS", name="a", remoteHost="nas", remotePath="/a", capacity=0), "readOnly"))
    volumes.append(mounted(nas(type="NFS41", name="b", remoteHost="n1", remotePath="/b", capacity=0,
                               remoteHostNames=["n1", "n2"], securityType="SEC_KRB5I"), "readWrite"))
    volumes.append(mounted(vim.host.VmfsVolume(type="VMFS", name="c", capacity=0), "readWrite"))
    assert read(NFS, {"config.fileSystemVolume.mountInfo": volumes}) == {
        "a": {"server": "nas", "path": "/a", "version": "3", "access": "readOnly", "security": "AUTH_SYS"},
        "b": {"server": "n1,n2", "path": "/b", "version": "4.1", "access": "readWrite", "security": "SEC_KRB5I"}}


def test_dns() -> None:
    config = vim.host.DnsConfig(dhcp=False, hostName="a", domainName="b.c", address=["1.1.1.1"], searchDomain=["b.c"])
    assert read(DNS, {"config.network.dnsConfig": config}, "dns") == {
        "dns": {"dhcp": False, "servers": ["1.1.1.1"], "domain": "b.c", "hostname": "a", "search": ["b.c"]}}
    assert read(DNS, {}, "dns") == {}


def service(key: str, *, running: bool) -> Any:
    return vim.host.Service(key=key, label=key, required=False, uninstallable=False, running=running, policy="on")


def test_services_are_read_for_the_wanted_names_only() -> None:
    props = {"config.service.service": [service("ntpd", running=True), service("TSM", running=False)]}
    assert read(SERVICE, props, "TSM", "nope") == {"TSM": {"policy": "on", "running": False}}


def test_ntp_is_servers_and_its_service() -> None:
    props = {"config.service.service": [service("ntpd", running=True)],
             "config.dateTimeInfo.ntpConfig.server": ["10.0.0.1"]}
    assert read(NTP, props, "ntp") == {"ntp": {"protocol": "ntp", "servers": ["10.0.0.1"], "policy": "on",
                                               "running": True}}
    assert read(NTP, {}, "ntp") == {}


@pytest.mark.parametrize(("value", "targets"), [
    ("", []), ("<none>", []), ("udp://a:514", ["udp://a:514"]), ("udp://a:514, ssl://b:1514", ["udp://a:514",
                                                                                              "ssl://b:1514"])])
def test_syslog(value: str, targets: list[str]) -> None:
    rule = vim.host.Ruleset(key="syslog", label="syslog", required=False, enabled=True)
    props = {"config.option": [vim.option.OptionValue(key="Syslog.global.logHost", value=value)],
             "config.firewall.ruleset": [rule]}
    assert read(SYSLOG, props, "syslog") == {"syslog": {"targets": targets, "firewall": True, "allowed": ["all"]}}
    assert read(SYSLOG, {"config.option": props["config.option"]}, "syslog") == {}


def test_options_lose_the_types_of_the_wire() -> None:
    from pyVmomi.VmomiSupport import long

    made = [vim.option.OptionValue(key=k, value=v) for k, v in (("a", long(5)), ("b", True), ("c", "x"))]
    found = read(OPTION, {"config.option": made}, "a", "b", "c")
    assert found == {"a": {"value": 5}, "b": {"value": True}, "c": {"value": "x"}}
    assert type(found["a"]["value"]) is int


@pytest.mark.parametrize(("live", "value", "expected"), [
    (5, 6, 6), (5, 6.0, 6), (5, True, 1), (True, 0, False), (True, False, False), ("a", "b", "b"), (0.5, 1, 1.0)])
def test_an_option_takes_the_live_type(live: Any, value: Any, expected: Any) -> None:
    found = option.coerce("k", value, live)
    assert found == expected
    assert type(found) is type(live)


@pytest.mark.parametrize(("live", "value"), [(5, "6"), (5, 6.5), ("a", 5), (True, "true"), (True, 2), (0.5, "x")])
def test_an_option_of_another_type_is_refused(live: Any, value: Any) -> None:
    with pytest.raises(StepFailed, match="wrong type"):
        option.coerce("k", value, live)
    change = Change(at("host.a.option.k"), Action.UPDATE, {"value": live}, {"value": value})
    assert [d.severity for d in option.check([change], {"k": {"value": live}})] == ["error"]
    assert not list(option.check([change], {"*": {"value": Unknown()}}))


def test_cluster_settings() -> None:
    config = vim.cluster.ConfigInfoEx(
        drsConfig=vim.cluster.DrsConfigInfo(enabled=True, defaultVmBehavior="manual"),
        dasConfig=vim.cluster.DasConfigInfo(enabled=False, admissionControlEnabled=True))
    found = settings({"configurationEx": config})
    assert (found["drs"]["enabled"], found["drs"]["automation"]) == (True, "manual")
    assert (found["ha"]["enabled"], found["ha"]["admission_control"]) == (False, True)


# --- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after", "early"), [
    ({"mtu": 9000}, {"mtu": 1500}, True), ({"mtu": 1500}, {"mtu": 9000}, False),
    ({"uplinks": ["a"]}, {"uplinks": []}, True), ({"uplinks": ["a"]}, {"uplinks": ["a", "b"]}, False),
    ({"uplinks": ["a"], "mtu": 1500}, {"uplinks": ["b"], "mtu": 9000}, True)])
def test_what_shrinks_goes_early(before: Attrs, after: Attrs, early: bool) -> None:
    assert shrinks(before, after) is early


def test_released_uplinks_may_cut_management() -> None:
    assert released({"uplinks": ["a", "b"]}, {"uplinks": ["b"]}) == ["a"]
    assert released({"uplinks": ["a", "b"]}, {"mtu": 9000}) == []


def change(name: str, action: Action = Action.CREATE, **after: Any) -> Change:
    return Change(at(f"host.a.vmkernel.{name}"), action, None, {"ip": "10.0.0.1", **after})


@pytest.mark.parametrize(("changes", "live", "wrong"), [
    ([change("vmk1")], ["vmk0"], []),
    ([change("vmk2"), change("vmk1")], ["vmk0"], []),
    ([change("vmk2")], ["vmk0"], ["vmk2"]),
    ([change("vmk3")], ["vmk0", "vmk1", "vmk2"], []),
    ([change("vmk1")], ["vmk0", "vmk2"], []),
    ([change("vmk1", Action.REPLACE)], ["vmk0", "vmk1"], []),
    ([change("vmk2"), change("vmk1", Action.DELETE)], ["vmk0", "vmk1"], ["vmk2"]),
    ([change("storage")], ["vmk0"], ["storage"])])
def test_a_new_adapter_gets_the_lowest_free_number(changes: list[Change], live: list[str], wrong: list[str]) -> None:
    found = list(check(changes, {name: {} for name in live}))
    assert [d.address.child for d in found if d.address] == wrong


@pytest.mark.parametrize(("changes", "wrong"), [
    ([change("vmk1", portgroup="A")], ["vmk1"]),
    ([change("vmk1", portgroup="B")], []),
    ([change("vmk1", portgroup="B"), change("vmk2", portgroup="B")], ["vmk2"]),
    ([change("vmk0", Action.REPLACE, portgroup="B"), change("vmk1", portgroup="A")], []),
    ([change("vmk0", Action.UPDATE, portgroup="A")], [])])
def test_a_port_group_carries_one_adapter(changes: list[Change], wrong: list[str]) -> None:
    found = list(check(changes, {"vmk0": {"portgroup": "A"}}))
    assert [(d.address.child, d.summary) for d in found if d.address] == [
        (name, "this port group has a VMkernel adapter already") for name in wrong]


def test_a_new_adapter_needs_an_address() -> None:
    assert [d.summary for d in check([change("vmk0", ip=None)], {})] == ["a new VMkernel adapter needs an address"]
    assert not list(check([change("vmk0", ip=None, dhcp=True)], {}))
    assert list(validate({"dhcp": True, "ip": "10.0.0.1", "netmask": "255.0.0.0"}))
    assert list(validate({"ip": "10.0.0.1"}))
    assert not list(validate({"mtu": 9000}))


def test_what_may_cut_management() -> None:
    assert "management" in cuts({"ip": "a"}, {"ip": "b"})
    assert "management" in cuts({"mtu": 1500}, {"mtu": 9000})  # larger packets than the way takes are dropped
    assert not cuts({}, {})
    assert cuts_tag({"services": ["management"]}, {"services": []})
    assert not cuts_tag({"services": ["management"]}, {"services": ["management", "vmotion"]})


@pytest.mark.parametrize("name", ["a/b", "a%2fb", "100%", "a\\b", "%25", "plain"])
def test_names_come_back_as_they_were_written(name: str) -> None:
    # the server escapes slashes, backslashes, and the percents that begin no escape sequence
    stored = quoted(name).replace("/", "%2f").replace("\\", "%5c")
    assert unquoted(stored) == name


@pytest.mark.parametrize(("before", "after", "words"), [
    ({"drs": {"enabled": False}}, {"drs": {"enabled": True, "automation": "fullyAutomated"}}, "moves running VMs"),
    ({"drs": {"automation": "manual"}}, {"drs": {"automation": "fullyAutomated"}}, "moves running VMs"),
    ({"drs": {"enabled": False}}, {"drs": {"enabled": True, "automation": "manual"}}, ""),
    ({"drs": {"enabled": True}}, {"drs": {"enabled": False}}, "resource pools"),
    ({"drs": {"enabled": True, "automation": "fullyAutomated"}, "ha": {"enabled": True}},
     {"drs": {"enabled": True, "automation": "fullyAutomated"}, "ha": {"enabled": False}}, "HA restarts no VM"),
    ({"ha": {"enabled": False}}, {"ha": {"enabled": True}}, "")])
def test_what_a_cluster_does_to_virtual_machines(before: Attrs, after: Attrs, words: str) -> None:
    found = touches_vms(before, after)
    assert words in found
    assert bool(found) == bool(words)
