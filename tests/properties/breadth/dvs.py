"""Strategies of distributed switches: the switch, its port groups, hosts of it. Adapters on them: `network.py`.

Not drawn: `version` (raising it cannot be undone), `stale` (only hosts that are gone), `lag` of a host (its LAG must be
one of the switch's own).
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.properties.breadth.existing import MTU, Labelled, labelled, some

SWITCH = "distributed_switch.prod"
EITHER = st.sampled_from([True, False, "inherit"])
LAG = {"name": "lag1", "mode": "active", "uplinks": 2, "load_balancing": "srcDestIp"}


def switches() -> Labelled:
    return st.fixed_dictionaries({"prod": some(
        {"datacenter": st.just("datacenter.dc0"), "uplinks": st.sampled_from([["up1", "up2"], ["up1", "up2", "up3"]])},
        mtu=MTU, description=st.sampled_from(["", "lab"]), network_io_control=st.booleans(),
        discovery=some({"protocol": st.sampled_from(["cdp", "lldp"])}, operation=st.sampled_from(["listen", "both"])),
        contact=some({}, name=st.just("Net"), details=st.just("net@lab.example")),
        lags=st.sampled_from([[], [LAG], [LAG, {**LAG, "name": "lag2", "mode": "passive"}]]))})


def groups() -> Labelled:
    teaming = some({}, policy=st.sampled_from(["failover_explicit", "loadbalance_ip", "inherit"]), notify=EITHER,
                   failback=EITHER, check_beacon=EITHER, active=st.sampled_from([["up1"], ["up2", "up1"]]))
    shaping = some({}, enabled=EITHER, average=st.sampled_from([1_000_000, "inherit"]))
    return labelled(("vm", "storage"), some(
        {"switch": st.just(SWITCH)}, vlan=st.sampled_from([0, 20, "10,100-200", "inherit"]), ports=st.integers(2, 16),
        expand=st.booleans(), description=st.sampled_from(["", "x"]), teaming=teaming,
        security=some({}, promiscuous=EITHER, mac_changes=EITHER, forged_transmits=EITHER),
        shaping=some({}, inbound=shaping, outbound=shaping)), 2)


def members() -> Labelled:
    return st.fixed_dictionaries({"prod": some(
        {"switch": st.just(SWITCH)}, uplinks=st.sampled_from([[], ["vmnic1"], ["vmnic2"], ["vmnic2", "vmnic3"]]))})


def strategies() -> dict[str, Labelled]:
    return {"distributed_switch": switches(), "distributed_portgroup": groups(), "dvs": members()}
