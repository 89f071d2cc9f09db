"""Management, and another adapter, that wander between a standard and a distributed switch with any NICs of the host.

Held: as in `test_catalogue`; and no step ever cuts management, or the host would take it back and the apply would fail.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from tests.properties.test_catalogue import ENDINGS, KILLS, SETTINGS, run
from tests.support.breadth import Objects, consistent, host_body
from tests.support.places import quick_folder

NICS = ["vmnic0", "vmnic1", "vmnic2", "vmnic3"]
GROUP, SWITCH = "distributed_portgroup.vm", "distributed_switch.prod"
ROOTS: Objects = {
    "datacenter.dc0": {}, "cluster.prod": {"datacenter": "datacenter.dc0"},
    SWITCH: {"datacenter": "datacenter.dc0", "uplinks": ["up1", "up2", "up3", "up4"]}, GROUP: {"switch": SWITCH},
}


@st.composite
def sites(draw: st.DrawFn, hosts: tuple[str, ...]) -> Objects:
    found: Objects = {address: dict(body) for address, body in ROOTS.items()}
    for host in hosts:
        at = f'host.esx["{host}"]'
        found[at] = host_body(host)
        found |= {f"{at}.{name}": body for name, body in _network(draw, int(host.removeprefix("esx"))).items()}
    return consistent(found)


def _network(draw: st.DrawFn, number: int) -> dict[str, dict[str, Any]]:
    nics, cut = draw(st.permutations(NICS)), draw(st.integers(1, 3))
    first, second = sorted(nics[:cut]), sorted(nics[cut:cut + draw(st.integers(1, 3))])
    standard: dict[str, Any] = {"uplinks": first}
    member: dict[str, Any] = {"switch": SWITCH, "uplinks": second}
    where = draw(st.sampled_from(["standard", "distributed", "never"]))
    if where == "never":
        return {"vswitch.vSwitch0": standard}
    (member if where == "standard" else standard)["uplinks"] = draw(st.sampled_from(
        [second if where == "standard" else first, []]))
    made: dict[str, dict[str, Any]] = {
        "vswitch.vSwitch0": standard, "dvs.prod": member, "portgroup.A": {"vswitch": "vSwitch0", "vlan": 0},
        "vmkernel.vmk0": {"portgroup": "Management Network" if where == "standard" else GROUP, "dhcp": True}}
    if draw(st.booleans()):
        made["vmkernel.vmk1"] = {"portgroup": draw(st.sampled_from(["A", GROUP])), "ip": f"10.0.2.{number}",
                                 "netmask": "255.255.255.0"}
    return made


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [("esx01",), ("esx01", "esx02")], ids=["one host", "two hosts"])
def test_no_step_cuts_management(hosts: tuple[str, ...]) -> None:
    ends: list[str] = []

    @seed(5)
    @settings(SETTINGS, max_examples=60)
    @given(first=sites(hosts), second=sites(hosts), kill=KILLS, ending=ENDINGS)
    def example(first: Objects, second: Objects, kill: tuple[str, int], ending: str) -> None:
        with quick_folder() as folder:
            ends.append(run(first, second, kill, ending, folder))

    example()
    assert sum(end.startswith(("applied", "killed")) for end in ends) > len(ends) / 2, ends
