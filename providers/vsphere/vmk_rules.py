"""Rules of VMkernel adapters: names that the host gives, addresses, and what may cut management. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from planner.model import Action, Attrs, Change, Diagnostic
from providers.vsphere.dvs.adapters import distributed
from providers.vsphere.ip_rules import gateway_problems, ipv6_problems


def _number(name: str) -> int:
    return int(name[3:]) if name.startswith("vmk") and name[3:].isdigit() else -1


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """A new adapter gets the lowest free vmkN: a label that is not that name would never be met.

    AddVirtualNic refuses a second adapter on one port group.
    """
    leaving = {c.address.name for c in changes if c.action in (Action.DELETE, Action.REPLACE)}
    moving = {c.address.name for c in changes if c.action is Action.UPDATE and "portgroup" in (c.after or {})}
    taken = {_number(name) for name in existing if name not in leaving}
    made = [c for c in changes if c.action in (Action.CREATE, Action.REPLACE)]
    on = {a.get("portgroup"): name for name, a in existing.items() if name not in leaving | moving}
    on |= {(c.after or {})["portgroup"]: c.address.name for c in changes if c.address.name in moving - leaving}
    for change in sorted(made, key=lambda c: _number(c.address.name)):
        lowest = next(n for n in range(len(taken) + 1) if n not in taken)
        taken.add(lowest)
        if change.after and not change.after.get("dhcp") and not change.after.get("ip"):
            yield Diagnostic("error", "a new VMkernel adapter needs an address", "neither `dhcp: true` nor `ip` is set",
                             address=change.address, remedy="set `ip` and `netmask`, or `dhcp: true`")
        portgroup = (change.after or {}).get("portgroup")
        if portgroup and not distributed(portgroup) and \
                on.setdefault(portgroup, change.address.name) != change.address.name:
            yield Diagnostic(
                "error", "this port group has a VMkernel adapter already",
                f"{portgroup!r} carries {on[portgroup]}; AddVirtualNic would fail with AlreadyExists",
                address=change.address, remedy="put it on another port group, or remove the other adapter first")
        if change.address.name != f"vmk{lowest}":
            yield Diagnostic(
                "error", "this VMkernel adapter would get another name",
                f"{change.address.name} is declared; the host names its next adapter vmk{lowest}",
                address=change.address, remedy=f"call it vmk{lowest}, or declare the adapters before it")


def validate(attributes: Attrs) -> Iterable[str]:
    static = attributes.get("ip") or attributes.get("netmask")
    if attributes.get("dhcp") is True and static:
        yield "set `dhcp: true`, or `ip` and `netmask`, not both"
    elif bool(attributes.get("ip")) != bool(attributes.get("netmask")):
        yield "`ip` and `netmask` belong together"
    yield from gateway_problems(attributes)
    yield from ipv6_problems(attributes.get("ipv6"))
    services, stack = attributes.get("services"), attributes.get("stack")
    only = {"vmotion": "vmotion", "vSphereProvisioning": "provisioning"}.get(str(stack), "")
    strange = [str(s) for s in services or () if s != only] if only and isinstance(services, list) else []
    if strange:
        yield f"the stack {stack} carries {only} alone: {', '.join(strange)} cannot use it"


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    """Its address or MTU, where the adapter carries management (`Operation.disruptive` is asked there only)."""
    address = {"dhcp", "ip", "netmask"} & set(now or {})
    if address:
        return "may cut management, which this adapter carries: by its address vCenter has the host. The host takes " \
               "the change back where that is lost; `management:` moves it safely"
    return "may cut management, which this adapter carries" if {"mtu", "gateway", "ipv6"} & set(now or {}) else ""


def cuts_tag(before: Attrs | None, now: Attrs | None) -> str:
    """The management tag; the other services carry no management."""
    old, new = ((a or {}).get("services") or () for a in (before, now))
    return "may cut management" if ("management" in old) != ("management" in new) else ""  # type: ignore[operator]
