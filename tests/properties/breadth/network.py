"""Strategies of the network of one host: switches, port groups, adapters, stacks, routes, management."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.breadth.existing import GROUPS, MTU, Labelled, labelled, single, some

BOOL = st.booleans()
INHERIT = "inherit"
UPLINKS = {"vSwitch0": [["vmnic0"], ["vmnic0", "vmnic3"]], "vSwitch1": [[], ["vmnic1"]], "vSwitch2": [["vmnic2"]]}
SHAPING = {"enabled": True, "average": 100_000, "peak": 200_000, "burst": 1000}


def switch(choices: list[list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    """What stands in an order is an uplink; discovery and beacon need one."""
    def more(uplinks: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        order: dict[str, st.SearchStrategy[Any]] = {} if not uplinks else {
            "active": st.just(uplinks[:1]), "standby": st.just(uplinks[1:])}
        wired = {} if not uplinks else {"discovery": st.sampled_from(["none", "both"]), "beacon": st.integers(1, 3)}
        teaming = some({}, policy=st.sampled_from(["loadbalance_srcid", "loadbalance_ip"]), notify=BOOL, failback=BOOL,
                       check_beacon=BOOL)
        both = teaming if not uplinks else st.builds(lambda a, b: {**a, **b}, teaming, st.just({}) | some(order))
        return some({"uplinks": st.just(uplinks), "mtu": MTU}, security=security(BOOL), teaming=both,
                    shaping=st.just(SHAPING) | st.just({"enabled": False}), **wired)

    return st.sampled_from(choices).flatmap(more)


def security(value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return some({}, promiscuous=value, mac_changes=value, forged_transmits=value)


def group() -> st.SearchStrategy[dict[str, Any]]:
    """Overrides of the policy; no order of NICs: its switch may not have them."""
    value = BOOL | st.just(INHERIT)
    teaming = some({}, policy=st.sampled_from(["failover_explicit", INHERIT]), notify=value, failback=value,
                   check_beacon=value, active=st.just([INHERIT]))
    shaping = st.just(SHAPING) | st.just(dict.fromkeys(SHAPING, INHERIT))
    return some({"vswitch": st.sampled_from(["vSwitch0", "vSwitch1"]), "vlan": st.sampled_from([0, 20, 4095])},
                security=security(value), teaming=teaming, shaping=shaping)


def adapters() -> Labelled:
    """vmk1 and vmk2: the host names them in this order, so the second is never alone."""
    def adapter(number: int) -> st.SearchStrategy[dict[str, Any]]:
        ipv6 = some({}, dhcp=BOOL, autoconf=BOOL, addresses=st.sampled_from([[], [f"fd00:{number}::11/64"]]),
                    gateway=st.just(f"fd00:{number}::1"))
        plain = {"portgroup": st.sampled_from([GROUPS[number - 1], "distributed_portgroup.vm"]),
                 "ip": st.just(f"10.0.2{number}.11"),
                 "netmask": st.just("255.255.255.0"), "mtu": MTU}
        services = st.sets(st.sampled_from(["vmotion", "provisioning"])).map(sorted)
        here = some({**plain, "services": services}, ipv6=ipv6)
        apart = some({**plain, "stack": st.just("vmotion"), "services": st.sampled_from([[], ["vmotion"]])},
                     ipv6=ipv6, gateway=st.just(f"10.0.2{number}.1"))
        return here | apart

    return st.builds(lambda first, second: {"vmk1": first, **({"vmk2": second} if second else {})},
                     adapter(1), st.none() | adapter(2))


def stacks() -> Labelled:
    """No gateways: an adapter would have to lead to them."""
    dns = some({}, servers=st.sampled_from([["10.0.0.53"], []]), domain=st.sampled_from(["lab.example", "x.example"]),
               search=st.sampled_from([["lab.example"], []]))
    own = some({}, dns=dns, congestion=st.sampled_from(["newreno", "cubic"]), connections=st.integers(1, 9) | st.none())
    return st.fixed_dictionaries({}, optional={name: own.map(lambda each: {k: v for k, v in each.items() if v != []
                                                                            and v is not None})
                                               for name in ("vmotion", "vSphereProvisioning")})


def routes() -> Labelled:
    """By gateways that vmk0's lease leads to, whatever machine it is."""
    return labelled(("10.9.0.0/16", "192.168.7.0/24"), some({"gateway": st.sampled_from(["10.128.0.2", "10.128.0.3"])}))


def management() -> Labelled:
    """Another address; VLAN and gateway with it or not. In the lease's network: routes go on leading somewhere."""
    far = some({"ip": st.sampled_from(["10.200.0.5", "10.200.0.6"]), "netmask": st.just("255.128.0.0")},
               gateway=st.just("10.128.0.9"), vlan=st.sampled_from([0, 77]))
    return single(far | some({"vlan": st.sampled_from([0, 5])}))


def strategies() -> dict[str, Labelled]:
    return {
        "vswitch": st.fixed_dictionaries({}, optional={name: switch(each) for name, each in UPLINKS.items()}),
        "portgroup": labelled(("vMotion", "Storage"), group()),
        "vmkernel": adapters(),
        "tcpip_stack": stacks(),
        "route": routes(),
        "management": management(),
    }
