"""The steps of a change of management, and its rules. Pure.

Where vmk0 gets another static address: a second adapter takes the new address first, on a port group of its own with
the new VLAN, while vmk0 keeps the old one. Only when the new address answers, vCenter is connected by it; then the two
adapters change places in one transaction, so that the old address goes on answering; what was opened goes last. Each
step has its inverse, and at no moment nothing answers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Draft
from planner.model import Attrs, Change, Diagnostic, Unknown
from providers.vsphere.ip_rules import DEFAULT, gateway_problems

FIELDS = ("dhcp", "ip", "netmask", "gateway", "vlan")
GROUP = "Management Network"
"""vmk0's port group on a newborn host."""
_AS_BEFORE = Unknown("what management had before")


def drafts(change: Change) -> Sequence[Draft]:
    before, after = change.before or {}, change.after or {}
    changed = [k for k in FIELDS if k in after and after[k] != before.get(k)]
    middle = Draft("management.update", {k: before.get(k) for k in changed}, {k: after[k] for k in changed})
    if "ip" not in changed or not after["ip"]:
        return (middle,) if changed else ()
    opened = "beside" if change.assumed else ""  # a newborn may have got this very address by its lease
    bits = ipaddress.ip_interface(f"{after['ip']}/{after['netmask']}").network.prefixlen
    adapter = f"{after['ip']}/{bits}"
    via = {"via": after["gateway"]} if after.get("gateway") else {}
    network: dict[str, Any] = {"network": True}
    if "vlan" in after:
        network["on_vlan"] = after["vlan"]
    return (
        Draft("management.open_network", {"network": False}, {**network, "at": after["ip"]},
              "moves" if change.assumed else ""),
        Draft("management.open_adapter", {"adapter": ""}, {"adapter": adapter, **via}, opened),
        Draft("management.select", {"adapter": adapter, "open": False}, {"adapter": adapter, "open": True}, opened),
        Draft("management.disconnect", {"connected": True, "at": before.get("ip") or _AS_BEFORE},
              {"connected": False, "at": ""}, opened),
        Draft("management.reconnect", {"connected": False, "at": ""}, {"connected": True, "at": after["ip"]}, opened),
        middle,
        Draft("management.deselect", {"adapter": _AS_BEFORE, "open": True}, {"open": False}, opened),
        Draft("management.close_adapter", {"adapter": _AS_BEFORE}, {"adapter": ""}, opened),
        Draft("management.close_network", {"network": True, "on_vlan": _AS_BEFORE}, {"network": False}, opened),
    )


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    """Its address, VLAN or gateway; the host takes it back where vCenter would lose it."""
    old, new = before or {}, now or {}
    why = [f"vmk0's {name} becomes {new[name] or 'what DHCP brings'}" for name in ("ip", "netmask", "gateway", "vlan")
           if name in new and new[name] != old.get(name)]
    why += ["vmk0 asks DHCP for its address"] if new.get("dhcp") else []
    return f"may cut management: {', '.join(why)}; the host takes the change back where vCenter would lose it" \
        if why else ""


def validate(attributes: Attrs) -> Iterable[str]:
    static = [k for k in ("ip", "netmask", "gateway") if attributes.get(k)]
    if attributes.get("dhcp") is True and static:
        yield f"with `dhcp: true` {', '.join(static)} come from DHCP: leave them out"
    elif bool(attributes.get("ip")) != bool(attributes.get("netmask")):
        yield "`ip` and `netmask` belong together"
    elif attributes.get("dhcp") is False and not attributes.get("ip"):
        yield "`dhcp: false` needs `ip` and `netmask`"
    yield from gateway_problems(attributes)


def claims(own: Attrs, declared: Mapping[tuple[str, str], Attrs]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """vmk0's address, its port group's VLAN and the default gateway: each is declared here, or there."""
    if {"dhcp", "ip", "netmask"} & set(own):
        yield "vmkernel", "vmk0", ("dhcp", "ip", "netmask", "gateway")
    if "vlan" in own:
        group = declared.get(("vmkernel", "vmk0"), {}).get("portgroup", GROUP)
        yield "portgroup", str(group), ("vlan",)
    if "gateway" in own:
        yield "tcpip_stack", DEFAULT, ("gateway",)


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """A distributed port group's VLAN is not one host's to change."""
    for change in changes:
        if "vlan" not in existing.get("management", {"vlan": 0}):
            yield Diagnostic("error", "management is moved on a standard switch only",
                             "vmk0 is on a distributed port group", address=change.address,
                             remedy="declare its address under `vmkernel: {vmk0: …}`, and the VLAN of the group itself")
