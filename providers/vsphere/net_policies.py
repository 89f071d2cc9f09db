"""Security, teaming and shaping of standard switches and their port groups: fields, reading, merging into live specs.

HostNetworkPolicy: what a port group leaves unset it inherits from its switch; that reads, and is written, as "inherit".
A failover order is one thing: a port group has one of its own, or that of its switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Attrs
from planner.schema import Field, boolean, integer, string, strings

INHERIT = "inherit"
POLICIES = ("loadbalance_srcid", "loadbalance_srcmac", "loadbalance_ip", "failover_explicit")
"""HostNicTeamingPolicy.policy of standard switches (nicTeamingPolicyType)."""

_SECURITY = {"promiscuous": "allowPromiscuous", "mac_changes": "macChanges", "forged_transmits": "forgedTransmits"}
_TEAMING = {"policy": "policy", "notify": "notifySwitches", "failback": "rollingOrder"}
_SHAPING = {"enabled": "enabled", "average": "averageBandwidth", "peak": "peakBandwidth", "burst": "burstSize"}
_WORDS = {
    "promiscuous": "Whether a guest may see the frames of others.",
    "mac_changes": "Whether a guest may change its MAC address.",
    "forged_transmits": "Whether a guest may send from another MAC address.",
    "policy": "How traffic is spread: by port, source MAC, IP hash, or in the order of `active`.",
    "notify": "Tell the physical switches when a NIC takes over.",
    "failback": "A NIC that works again is used again.",
    "check_beacon": "Find failed paths by beacons, not by the link alone.",
    "enabled": "Whether traffic is shaped.",
    "average": "Average bandwidth, in bits per second.",
    "peak": "Peak bandwidth, in bits per second.",
    "burst": "Burst size, in bytes.",
}
_NUMBERS = ("average", "peak", "burst")


def switch_fields() -> dict[str, Field]:
    """Of a vSwitch."""
    teaming = {
        "policy": string(_WORDS["policy"], enum=POLICIES),
        "active": strings("NICs in use, in order."),
        "standby": strings("NICs that take over, in order."),
        **{k: boolean(_WORDS[k]) for k in ("notify", "failback", "check_beacon")},
    }
    shaping = {"enabled": boolean(_WORDS["enabled"]), **{k: integer(_WORDS[k], minimum=1) for k in _NUMBERS}}
    return _groups({k: boolean(_WORDS[k]) for k in _SECURITY}, teaming, shaping, "")


def group_fields() -> dict[str, Field]:
    """Of a port group: the same, or "inherit"."""
    teaming = {
        "policy": string(_WORDS["policy"], enum=(*POLICIES, INHERIT)),
        "active": strings("NICs in use, in order; inherit: the vSwitch's, and so for `standby`.", lone=True),
        "standby": strings("NICs that take over, in order.", lone=True),
        **{k: Field("scalar", _WORDS[k]) for k in ("notify", "failback", "check_beacon")},
    }
    shaping = {k: Field("scalar", _WORDS[k]) for k in ("enabled", *_NUMBERS)}
    return _groups({k: Field("scalar", _WORDS[k]) for k in _SECURITY}, teaming, shaping,
                   "; what was never set, or is set to inherit, is the vSwitch's")


def _groups(security: Mapping[str, Field], teaming: Mapping[str, Field], shaping: Mapping[str, Field],
            more: str) -> dict[str, Field]:
    return {
        "security": Field("object", f"What guests may do{more}.", fields=security),
        "teaming": Field("object", f"Failover and load balancing{more}.", fields=teaming),
        "shaping": Field("object", f"Limits of outbound traffic{more}.", fields=shaping),
    }


# --- reading ------------------------------------------------------------------------------------------------


def read_policy(policy: Any, unset: str = "") -> dict[str, Any]:
    """`security`, `teaming` and `shaping` of a HostNetworkPolicy. `unset`: what stands for unset values of any kind;
    "" gives those of a switch (False, 0, no NICs)."""
    security, teaming, shaping = (getattr(policy, k, None) for k in ("security", "nicTeaming", "shapingPolicy"))
    order, criteria = getattr(teaming, "nicOrder", None), getattr(teaming, "failureCriteria", None)

    def of(part: Any, name: str, usual: Any) -> Any:
        value = getattr(part, name, None)
        return value if value is not None else unset or usual

    rolling = getattr(teaming, "rollingOrder", None)
    lone: list[str] = [unset] if unset else []
    return {
        "security": {k: of(security, name, False) for k, name in _SECURITY.items()},
        "teaming": {
            "policy": str(of(teaming, "policy", "")),
            "active": [str(n) for n in order.activeNic or ()] if order is not None else lone,
            "standby": [str(n) for n in order.standbyNic or ()] if order is not None else lone,
            "notify": of(teaming, "notifySwitches", False),
            "failback": unset or True if rolling is None else not rolling,
            "check_beacon": of(criteria, "checkBeacon", False),
        },
        "shaping": {k: _number(of(shaping, name, 0)) for k, name in _SHAPING.items() if k != "enabled"} | {
            "enabled": of(shaping, "enabled", False)},
    }


def _number(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)


# --- writing ------------------------------------------------------------------------------------------------


def merge_policy(policy: Any, wanted: Attrs) -> Any:
    """A HostNetworkPolicy with what is wanted put in; what is not named stays. `policy` None: a new one."""
    from pyVmomi import vim

    policy = policy if policy is not None else vim.host.NetworkPolicy()
    if "security" in wanted:
        policy.security = policy.security or vim.host.NetworkPolicy.SecurityPolicy()
        _put(policy.security, _SECURITY, wanted["security"])
    if "teaming" in wanted:
        policy.nicTeaming = policy.nicTeaming or vim.host.NetworkPolicy.NicTeamingPolicy()
        _team(policy.nicTeaming, wanted["teaming"])
    if "shaping" in wanted:
        policy.shapingPolicy = policy.shapingPolicy or vim.host.NetworkPolicy.TrafficShapingPolicy()
        _put(policy.shapingPolicy, _SHAPING, wanted["shaping"])
    return policy


def _given(value: Any) -> Any:
    return None if value in (INHERIT, "") or (value == 0 and value is not False) else value


def _put(part: Any, names: Mapping[str, str], wanted: Any) -> None:
    for key, name in names.items():
        if key in wanted:
            setattr(part, name, _given(wanted[key]))


def _team(teaming: Any, wanted: Any) -> None:
    from pyVmomi import vim

    _put(teaming, {k: v for k, v in _TEAMING.items() if k != "failback"}, wanted)
    if "failback" in wanted:
        value = _given(wanted["failback"])
        teaming.rollingOrder = None if value is None else not value
    if "check_beacon" in wanted:
        teaming.failureCriteria = teaming.failureCriteria or vim.host.NetworkPolicy.NicFailureCriteria()
        teaming.failureCriteria.checkBeacon = _given(wanted["check_beacon"])
    if "active" not in wanted and "standby" not in wanted:
        return
    order = teaming.nicOrder
    active = wanted.get("active", list(order.activeNic or ()) if order is not None else [])
    standby = wanted.get("standby", list(order.standbyNic or ()) if order is not None else [])
    active, standby = ([str(n) for n in each] for each in (active, standby))
    if active == [INHERIT] or not (active or standby):
        teaming.nicOrder = None
    else:
        teaming.nicOrder = vim.host.NetworkPolicy.NicOrderPolicy(
            activeNic=active, standbyNic=[n for n in standby if n != INHERIT])


# --- rules --------------------------------------------------------------------------------------------------


def problems(attributes: Attrs, *, inherits: bool) -> Iterable[str]:
    """A sentence for each breach. `inherits`: of a port group."""
    for group, names in (("security", tuple(_SECURITY)), ("teaming", ("notify", "failback", "check_beacon")),
                         ("shaping", ("enabled",))):
        part: Any = attributes.get(group)
        for name in names if inherits and isinstance(part, Mapping) else ():
            if name in part and not isinstance(part[name], bool) and part[name] != INHERIT:
                yield f"{group}.{name} is true, false or inherit, not {part[name]!r}"
    shaping: Any = attributes.get("shaping")
    if isinstance(shaping, Mapping):
        yield from _shaping_problems(shaping, inherits=inherits)
    teaming: Any = attributes.get("teaming")
    if isinstance(teaming, Mapping):
        yield from _teaming_problems(teaming)


def _shaping_problems(shaping: Mapping[str, Any], *, inherits: bool) -> Iterable[str]:
    for name in _NUMBERS if inherits else ():
        value = shaping.get(name)
        if value is not None and value != INHERIT and (type(value) is not int or value < 1):
            yield f"shaping.{name} is a number from 1, or inherit, not {value!r}"
    average, peak = shaping.get("average"), shaping.get("peak")
    if isinstance(average, int) and isinstance(peak, int) and peak < average:
        yield "shaping.peak is below shaping.average: set it at least as high"


def _teaming_problems(teaming: Mapping[str, Any]) -> Iterable[str]:
    active, standby = teaming.get("active"), teaming.get("standby")
    if standby and not active:
        yield "teaming.standby without teaming.active: name the NICs in use, too"
    if isinstance(active, list) and isinstance(standby, list):
        twice = sorted({*map(str, active)} & {*map(str, standby)} - {INHERIT})
        if twice:
            yield f"teaming: {', '.join(twice)} cannot be active and standby"
        if (INHERIT in active) != (INHERIT in standby) and standby:
            yield "teaming: active and standby are inherited together, or not at all"
    for name, value in (("active", active), ("standby", standby)):
        if isinstance(value, list) and INHERIT in value and len(value) > 1:
            yield f"teaming.{name} is inherit, or a list of NICs"
