"""Policies of switches and port groups, adapters, TCP/IP stacks, routes: each call, its effect, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from planner.model import Attrs, StepFailed
from tests.unit.vsphere.kit import HOST, OPERATIONS, Bench, open_bench

ON = f"{HOST}."
SHAPED: dict[str, Any] = {"enabled": True, "average": 100_000, "peak": 200_000, "burst": 1000}

CHANGES: list[tuple[str, str, str, Attrs | None, Attrs | None]] = [
    ("a switch's security", "vswitch.vSwitch0", "vswitch.update", {"security": {"promiscuous": False}},
     {"security": {"promiscuous": True}}),
    ("a switch's shaping", "vswitch.vSwitch0", "vswitch.update",
     {"shaping": {"enabled": False, "average": 0, "peak": 0, "burst": 0}}, {"shaping": SHAPED}),
    ("a switch's teaming", "vswitch.vSwitch0", "vswitch.update",
     {"teaming": {"policy": "loadbalance_srcid", "notify": True, "failback": True, "check_beacon": False}},
     {"teaming": {"policy": "failover_explicit", "notify": False, "failback": False, "check_beacon": True}}),
    ("discovery and beacon", "vswitch.vSwitch0", "vswitch.update", {"discovery": "listen", "beacon": 1},
     {"discovery": "both", "beacon": 3}),
    ("uplinks, with an order", "vswitch.vSwitch0", "vswitch.update",
     {"uplinks": ["vmnic0"], "teaming": {"active": ["vmnic0"], "standby": []}},
     {"uplinks": ["vmnic0", "vmnic1", "vmnic2"], "teaming": {"active": ["vmnic2", "vmnic0"], "standby": ["vmnic1"]}}),
    ("a new switch", "vswitch.vSwitch1", "vswitch.add", None,
     {"uplinks": ["vmnic1", "vmnic2"], "mtu": 9000, "ports": 128, "discovery": "none", "beacon": 2,
      "security": {"promiscuous": True, "mac_changes": True, "forged_transmits": True}, "shaping": SHAPED,
      "teaming": {"policy": "loadbalance_ip", "active": ["vmnic2"], "standby": ["vmnic1"], "notify": False,
                  "failback": False, "check_beacon": False}}),
    ("a group's own security", 'portgroup["VM Network"]', "portgroup.update",
     {"security": {"promiscuous": "inherit", "mac_changes": "inherit"}},
     {"security": {"promiscuous": True, "mac_changes": False}}),
    ("a group's own order", 'portgroup["VM Network"]', "portgroup.update",
     {"teaming": {"active": ["inherit"], "standby": ["inherit"], "failback": "inherit", "check_beacon": "inherit"}},
     {"teaming": {"active": ["vmnic0"], "standby": [], "failback": False, "check_beacon": True}}),
    ("a group's own shaping", 'portgroup["VM Network"]', "portgroup.update",
     {"vlan": 0, "shaping": dict.fromkeys(SHAPED, "inherit")}, {"vlan": 7, "shaping": SHAPED}),
    ("a new group", "portgroup.new", "portgroup.add", None,
     {"vswitch": "vSwitch0", "vlan": 9, "security": {"forged_transmits": True},
      "teaming": {"policy": "loadbalance_srcmac", "notify": "inherit"}}),
    ("an adapter on a stack of its own", "vmkernel.vmk1", "vmkernel.add", None,
     {"portgroup": "VM Network", "dhcp": False, "ip": "10.0.20.11", "netmask": "255.255.255.0", "mtu": 1400,
      "gateway": "10.0.20.1", "stack": "vmotion",
      "ipv6": {"dhcp": True, "autoconf": True, "addresses": ["fd00:20::11/64"], "gateway": "fd00:20::1"}}),
    ("IPv6", "vmkernel.vmk0", "vmkernel.update",
     {"ipv6": {"dhcp": False, "autoconf": True, "addresses": [], "gateway": ""}},
     {"ipv6": {"dhcp": True, "autoconf": False, "addresses": ["fd00::5/64", "fd00::6/64"], "gateway": "fd00::1"}}),
    ("an own gateway", "vmkernel.vmk0", "vmkernel.update", {"gateway": ""}, {"gateway": "10.128.0.9"}),
    ("a stack's resolver and limits", "tcpip_stack.vmotion", "tcpip_stack.update",
     {"dns": {"servers": [], "domain": "", "search": []}, "congestion": "newreno", "connections": 11000},
     {"dns": {"servers": ["10.0.0.53"], "domain": "lab.example", "search": ["lab.example"]}, "congestion": "cubic",
      "connections": 2000}),
    ("the default stack's gateway", "tcpip_stack.defaultTcpipStack", "tcpip_stack.update", {"gateway": "10.128.0.1"},
     {"gateway": "10.128.0.7"}),
    ("a route", 'route["10.9.0.0/16"]', "route.add", None, {"gateway": "10.128.0.2"}),
]


@pytest.fixture(scope="module")
def joined() -> Bench:
    bench = open_bench()
    bench.joined()
    return bench


def shows(found: Attrs | None, expected: Attrs | None) -> bool:
    if expected is None or found is None:
        return expected is None and found is None
    return all(shows(found[k], v) if isinstance(v, dict) else found[k] == v  # type: ignore[arg-type]
               for k, v in expected.items())


@pytest.mark.parametrize(("address", "name", "before", "after"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_one_call_forward_and_one_back_to_the_same(joined: Bench, address: str, name: str, before: Attrs | None,
                                                   after: Attrs | None) -> None:
    operation = OPERATIONS[name]
    dump = joined.house.dump()
    assert shows(joined.observe(ON + address, name), before)
    assert joined.made(lambda: joined.run(ON + address, name, before, after)) == [operation.call]
    assert shows(joined.observe(ON + address, name), after)
    assert joined.house.dump() != dump
    inverse = OPERATIONS[operation.inverse]
    assert joined.made(lambda: joined.run(ON + address, inverse.name, after, before)) == [inverse.call]
    assert joined.house.dump() == dump


def test_a_gateway_of_a_stack_needs_an_adapter_that_leads_to_it(joined: Bench) -> None:
    change: tuple[Attrs, Attrs] = {"gateway": ""}, {"gateway": "10.0.20.1"}
    with pytest.raises(StepFailed, match="unreachable"):
        joined.run(ON + "tcpip_stack.vmotion", "tcpip_stack.update", *change)
    vmk = {"portgroup": "VM Network", "ip": "10.0.20.11", "netmask": "255.255.255.0", "stack": "vmotion"}
    joined.run(ON + "vmkernel.vmk1", "vmkernel.add", None, vmk)
    joined.run(ON + "tcpip_stack.vmotion", "tcpip_stack.update", *change)
    assert shows(joined.observe(ON + "tcpip_stack.vmotion", "tcpip_stack.update"), {"gateway": "10.0.20.1"})
    joined.run(ON + "tcpip_stack.vmotion", "tcpip_stack.update", *reversed(change))
    joined.run(ON + "vmkernel.vmk1", "vmkernel.remove", vmk, None)


def test_ipv6_routes(joined: Bench) -> None:
    joined.run(ON + "vmkernel.vmk0", "vmkernel.update", {"ipv6": {"addresses": []}},
               {"ipv6": {"addresses": ["fd00::5/64"]}})
    joined.run(ON + 'route["fd00:9::/48"]', "route.add", None, {"gateway": "fd00::1"})
    assert joined.observe(ON + 'route["fd00:9::/48"]', "route.add") == {"gateway": "fd00::1"}
    joined.run(ON + 'route["fd00:9::/48"]', "route.remove", {"gateway": "fd00::1"}, None)
    joined.run(ON + "vmkernel.vmk0", "vmkernel.update", {"ipv6": {"addresses": ["fd00::5/64"]}},
               {"ipv6": {"addresses": []}})


REFUSED: list[tuple[str, str, str, Attrs | None, Attrs, str]] = [
    ("an order of strange NICs", 'portgroup["VM Network"]', "portgroup.update", {},
     {"teaming": {"active": ["vmnic3"]}}, "vmnic3"),
    ("a policy of distributed switches", "vswitch.vSwitch0", "vswitch.update", {},
     {"teaming": {"policy": "loadbalance_loadbased"}}, "none of"),
    ("shaping without numbers", 'portgroup["VM Network"]', "portgroup.update", {}, {"shaping": {"enabled": True}},
     "averageBandwidth"),
    ("discovery without uplinks", "vswitch.empty", "vswitch.update", {}, {"discovery": "both"}, "no uplinks"),
    ("a route to nowhere", 'route["10.9.0.0/16"]', "route.add", None, {"gateway": "192.0.2.1"}, "unreachable"),
    ("a gateway elsewhere", "vmkernel.vmk0", "vmkernel.update", {}, {"gateway": "192.0.2.1"}, "not in the network"),
    ("the default stack's resolver", "tcpip_stack.defaultTcpipStack", "tcpip_stack.update", {},
     {"dns": {"servers": ["10.0.0.53"]}}, "`dns:`"),
    ("no such stack", "tcpip_stack.x", "tcpip_stack.update", {}, {"connections": 5}, "does not exist"),
]


@pytest.mark.parametrize(("address", "name", "before", "after", "words"), [c[1:] for c in REFUSED],
                         ids=[c[0] for c in REFUSED])
def test_refused_and_nothing_changed(joined: Bench, address: str, name: str, before: Attrs | None, after: Attrs,
                                     words: str) -> None:
    if "empty" in address:
        joined.run(ON + address, "vswitch.add", None, {"uplinks": []})
    dump = joined.house.dump()
    with pytest.raises(StepFailed, match=words):
        joined.run(ON + address, name, before, after)
    assert joined.house.dump() == dump


def test_what_live_shows_of_others_is_no_static_route(joined: Bench) -> None:
    live = joined.snapshot()
    assert not [a for a in live.unmanaged if "route" in str(a)]
