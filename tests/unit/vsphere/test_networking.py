"""Policies of switches and port groups, adapters, TCP/IP stacks, routes: each call, its effect, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from planner.model import Attrs
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
