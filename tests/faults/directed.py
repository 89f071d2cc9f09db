"""Pairs of fleets for operations that drawn pairs rarely plan: what is added to the smallest site, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.breadth import Objects, child, consistent, host_body
from tests.support.san import ARRAY, PORTALS

HOST = 'host.esx["esx01"]'
DVS: Objects = {
    "distributed_switch.prod": {"datacenter": "datacenter.dc0", "uplinks": ["up1", "up2"], "version": "7.0.3"},
    "distributed_portgroup.vm": {"switch": "distributed_switch.prod"}}
MEMBER: dict[str, Any] = {"switch": "distributed_switch.prod", "uplinks": ["vmnic1"]}
GROUPS: Objects = {"host_group.even": {"cluster": "cluster.prod", "hosts": [HOST]},
                   "vm_group.web": {"cluster": "cluster.prod", "vms": []}}
RULE: dict[str, Any] = {"cluster": "cluster.prod", "kind": "on", "vm_group": "vm_group.web",
                        "host_group": "host_group.even"}
VMK: dict[str, Any] = {"portgroup": "VM Network", "ip": "10.0.21.11", "netmask": "255.255.255.0"}
VALUE: dict[str, Any] = {"entity": "cluster.prod", "attribute": "custom_attribute.owner"}


def on_host(rtype: str, label: str, **body: Any) -> Objects:
    return {child(HOST, rtype, label): body}


def named(address: str, body: Mapping[str, Any], **more: Any) -> Objects:
    return {address: {**body, **more}}


PAIRS: tuple[tuple[Objects, Objects], ...] = (
    ({"datacenter.dc1": {"name": "dc1"}}, {"datacenter.dc1": {"name": "other"}}),
    ({}, {"datacenter.dc1": {"name": "dc1"}}),
    ({"folder.racks": {"datacenter": "datacenter.dc0", "kind": "host", "name": "racks"}},
     {"folder.racks": {"datacenter": "datacenter.dc0", "kind": "host", "name": "rooms"}}),
    ({}, {"cluster.prod": {"name": "production"}}),
    (DVS, {**DVS, **named("distributed_switch.prod", DVS["distributed_switch.prod"], name="production")}),
    (DVS, {**DVS, **named("distributed_portgroup.vm", DVS["distributed_portgroup.vm"], name="machines")}),
    (DVS, {**DVS, **named("distributed_switch.prod", DVS["distributed_switch.prod"], version="8.0.0")}),
    (GROUPS, {**GROUPS, "drs_rule.home": RULE}),
    ({**GROUPS, "drs_rule.home": RULE}, GROUPS),
    ({**GROUPS, "drs_rule.home": RULE}, {**GROUPS, "drs_rule.home": {**RULE, "enabled": False, "mandatory": True}}),
    ({"custom_attribute.owner": {}, "custom_value.one": {**VALUE, "value": "a"}},
     {"custom_attribute.owner": {}, "custom_value.one": {**VALUE, "value": "b"}}),
    (on_host("vmkernel", "vmk1", **VMK, mtu=1400, services=["vmotion"]),
     on_host("vmkernel", "vmk1", **{**VMK, "ip": "10.0.21.12"}, mtu=1500, services=["provisioning"])),
    ({**DVS, **on_host("dvs", "prod", **MEMBER), **on_host("vmkernel", "vmk1", **VMK)},
     {**DVS, **on_host("dvs", "prod", **MEMBER), **on_host("vmkernel", "vmk1", **{
         **VMK, "portgroup": "distributed_portgroup.vm"})}),
    (on_host("ptp", "", domain=1), on_host("ntp", "", servers=["10.0.0.1"], protocol="ntp")),
    (on_host("service", "TSM-SSH", policy="on", running=True),
     on_host("service", "TSM-SSH", policy="off", running=False)),
    ({**on_host("iscsi", "", enabled=True), **on_host("iscsi_static_target", ARRAY, portals=[PORTALS[0]])},
     {**on_host("iscsi", "", enabled=True), **on_host("iscsi_static_target", ARRAY, portals=sorted(PORTALS[:2]))}),
    ({**on_host("iscsi", "", enabled=True), **on_host("iscsi_static_target", ARRAY, portals=sorted(PORTALS[:2]))},
     {**on_host("iscsi", "", enabled=True), **on_host("iscsi_static_target", ARRAY, portals=[PORTALS[0]])}),
)


def pairs() -> Iterator[tuple[Objects, Objects]]:
    """Each pair, with the datacenter, the cluster and the host that everything stands on."""
    base: Objects = {"datacenter.dc0": {}, "cluster.prod": {}, HOST: host_body("esx01")}
    for first, second in PAIRS:
        yield consistent({**base, **first}), consistent({**base, **second})
