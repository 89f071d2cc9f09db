"""Policies of a distributed port group's ports: VLAN, teaming, security, shaping. Fields, reading, writing, rules.

VMwareDVSPortSetting: what a group does not set itself it inherits from its switch; that reads, and is written, as
"inherit". Undoing a change therefore gives back exactly what was, inherited parts included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from planner.model import Attrs
from planner.schema import Field, string, strings

INHERIT = "inherit"
TEAMING = ("loadbalance_srcid", "loadbalance_srcmac", "loadbalance_ip", "loadbalance_loadbased", "failover_explicit")
_SECURITY = {"promiscuous": "allowPromiscuous", "mac_changes": "macChanges", "forged_transmits": "forgedTransmits"}
_FLAGS = {"notify": "notifySwitches", "failback": "rollingOrder"}
_SHAPING = {"average": "averageBandwidth", "peak": "peakBandwidth", "burst": "burstSize"}
_DIRECTIONS = {"inbound": "inShapingPolicy", "outbound": "outShapingPolicy"}
_RANGES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


def _either(doc: str) -> Field:
    return Field("scalar", f"{doc} inherit: as the switch.")


def fields() -> dict[str, Field]:
    shaping = {"enabled": _either("Whether traffic is shaped."),
               "average": _either("Average bandwidth, in bits per second."),
               "peak": _either("Peak bandwidth, in bits per second."),
               "burst": _either("Burst size, in bytes.")}
    return {
        "teaming": Field("object", "Failover and load balancing; what is not named stays.", fields={
            "policy": string("How traffic is spread over uplinks.", enum=(*TEAMING, INHERIT)),
            "active": strings("Uplinks (or a LAG) in use, in order; inherit: the switch's, and so for `standby`.",
                              lone=True),
            "standby": strings("Uplinks that take over, in order.", lone=True),
            "notify": _either("Tell the physical switches when an uplink takes over."),
            "failback": _either("An uplink that works again is used again."),
            "check_beacon": _either("Find failed paths by beacons, not by the link alone."),
        }),
        "security": Field("object", "What guests may do; what is not named stays.", fields={
            "promiscuous": _either("Whether a guest may see the frames of others."),
            "mac_changes": _either("Whether a guest may change its MAC address."),
            "forged_transmits": _either("Whether a guest may send from another MAC address."),
        }),
        "shaping": Field("object", "Limits of traffic; what is not named stays.", fields={
            name: Field("object", f"Of {name} traffic.", fields=shaping) for name in _DIRECTIONS}),
    }


# --- reading ------------------------------------------------------------------------------------------------


def _value(policy: Any, group: Any) -> Any:
    """The value of a StringPolicy, BoolPolicy, …; "inherit" where it is the switch's."""
    if policy is None or getattr(policy, "value", None) is None or policy.inherited or group.inherited:
        return INHERIT
    value = policy.value
    return value if isinstance(value, (bool, str)) else int(value)


def read(setting: Any) -> dict[str, Any]:
    """`vlan`, `teaming`, `security`, `shaping` of a VMwareDVSPortSetting; empty where there is none."""
    if setting is None:
        return {}
    return {
        "vlan": _vlan(getattr(setting, "vlan", None)),
        "teaming": _teaming(getattr(setting, "uplinkTeamingPolicy", None)),
        "security": {k: _of(getattr(setting, "securityPolicy", None), name) for k, name in _SECURITY.items()},
        "shaping": {k: _shaping(getattr(setting, name, None)) for k, name in _DIRECTIONS.items()},
    }


def _of(group: Any, name: str) -> Any:
    return INHERIT if group is None else _value(getattr(group, name, None), group)


def _vlan(vlan: Any) -> Any:
    if vlan is None or vlan.inherited:
        return INHERIT
    kind = type(vlan)._wsdlName
    if kind == "VmwareDistributedVirtualSwitchPvlanSpec":
        return f"private:{vlan.pvlanId}"
    if kind == "VmwareDistributedVirtualSwitchTrunkVlanSpec":
        return ",".join(f"{r.start}-{r.end}" if r.start != r.end else str(r.start)
                        for r in sorted(vlan.vlanId or (), key=lambda r: r.start))
    return int(vlan.vlanId)


def _teaming(group: Any) -> dict[str, Any]:
    order: Any = getattr(group, "uplinkPortOrder", None)
    own = order is not None and not order.inherited and not group.inherited
    failback = _of(group, "rollingOrder")
    criteria = getattr(group, "failureCriteria", None)
    return {
        "policy": _of(group, "policy"),
        "active": [str(n) for n in order.activeUplinkPort or ()] if own else [INHERIT],
        "standby": [str(n) for n in order.standbyUplinkPort or ()] if own else [INHERIT],
        "notify": _of(group, "notifySwitches"),
        "failback": failback if failback == INHERIT else not failback,
        "check_beacon": INHERIT if criteria is None or group.inherited else _of(criteria, "checkBeacon"),
    }


def _shaping(group: Any) -> dict[str, Any]:
    return {"enabled": _of(group, "enabled"), **{k: _of(group, name) for k, name in _SHAPING.items()}}


# --- writing ------------------------------------------------------------------------------------------------


def setting(wanted: Attrs, live: Any = None) -> Any:
    """A VMwareDVSPortSetting with what is wanted; what is not named stays. `live`: the group's setting now; an order
    of uplinks is one thing, and what of it is not named is taken from there. None where nothing is wanted."""
    from pyVmomi import vim

    switch = vim.dvs.VmwareDistributedVirtualSwitch
    made = switch.VmwarePortConfigPolicy()
    parts = {name: wanted[name] for name in ("vlan", "teaming", "security", "shaping") if wanted.get(name) is not None}
    if not parts:
        return None
    if "vlan" in parts:
        made.vlan = _vlan_spec(parts["vlan"])
    if isinstance(security := parts.get("security"), Mapping):
        made.securityPolicy = switch.SecurityPolicy(inherited=False, **{
            name: _bool(security[k]) for k, name in _SECURITY.items() if k in security})
    if isinstance(teaming := parts.get("teaming"), Mapping):
        made.uplinkTeamingPolicy = _teaming_spec(teaming, _teaming(getattr(live, "uplinkTeamingPolicy", None)))
    for direction, name in _DIRECTIONS.items():
        shaping: Any = parts.get("shaping") or {}
        if isinstance(part := shaping.get(direction), Mapping):
            policy = vim.dvs.DistributedVirtualPort.TrafficShapingPolicy(inherited=False)
            if "enabled" in part:
                policy.enabled = _bool(part["enabled"])
            for key, field in _SHAPING.items():
                if key in part:
                    given = part[key] == INHERIT
                    setattr(policy, field, vim.LongPolicy(inherited=given, value=None if given else part[key]))
            setattr(made, name, policy)
    return made


def _bool(value: Any, *, turned: bool = False) -> Any:
    from pyVmomi import vim

    if value == INHERIT:
        return vim.BoolPolicy(inherited=True)
    return vim.BoolPolicy(inherited=False, value=bool(value) != turned)


def _vlan_spec(value: Any) -> Any:
    from pyVmomi import vim

    switch = vim.dvs.VmwareDistributedVirtualSwitch
    if isinstance(value, int):
        return switch.VlanIdSpec(inherited=False, vlanId=value)
    if value == INHERIT:
        return switch.VlanIdSpec(inherited=True, vlanId=0)
    if str(value).startswith("private:"):  # only as what was before: it cannot be declared
        return switch.PvlanSpec(inherited=False, pvlanId=int(str(value).partition(":")[2]))
    ranges = [part.partition("-") for part in str(value).split(",") if part]
    return switch.TrunkVlanSpec(inherited=False, vlanId=[
        vim.NumericRange(start=int(low), end=int(high or low)) for low, _, high in ranges])


def _teaming_spec(teaming: Mapping[str, Any], live: Mapping[str, Any]) -> Any:
    from pyVmomi import vim

    switch = vim.dvs.VmwareDistributedVirtualSwitch
    made = switch.UplinkPortTeamingPolicy(inherited=False)
    if "policy" in teaming:
        given = teaming["policy"] == INHERIT
        made.policy = vim.StringPolicy(inherited=given, value=None if given else teaming["policy"])
    if "notify" in teaming:
        made.notifySwitches = _bool(teaming["notify"])
    if "failback" in teaming:
        made.rollingOrder = _bool(teaming["failback"], turned=True)
    if "check_beacon" in teaming:
        made.failureCriteria = switch.FailureCriteria(inherited=False, checkBeacon=_bool(teaming["check_beacon"]))
    if "active" in teaming or "standby" in teaming:
        active, standby = (list(teaming.get(k, live[k])) for k in ("active", "standby"))
        if INHERIT in active or not (active or standby):
            made.uplinkPortOrder = switch.UplinkPortOrderPolicy(inherited=True)
        else:
            made.uplinkPortOrder = switch.UplinkPortOrderPolicy(
                inherited=False, activeUplinkPort=active, standbyUplinkPort=[n for n in standby if n != INHERIT])
    return made


# --- rules --------------------------------------------------------------------------------------------------


def problems(attributes: Attrs) -> Iterable[str]:
    """A sentence for each breach."""
    yield from _vlan_problems(attributes.get("vlan"))
    security, teaming = attributes.get("security"), attributes.get("teaming")
    shaping: Any = attributes.get("shaping")
    for where, part, names in (("security", security, tuple(_SECURITY)),
                               ("teaming", teaming, ("notify", "failback", "check_beacon"))):
        yield from _flag_problems(where, part, names)
    if isinstance(teaming, Mapping):
        yield from _order_problems(teaming)
    for direction in _DIRECTIONS if isinstance(shaping, Mapping) else ():
        yield from _shaping_problems(f"shaping.{direction}", shaping.get(direction) or {})


def _shaping_problems(where: str, part: Any) -> Iterable[str]:
    yield from _flag_problems(where, part, ("enabled",))
    for name in _SHAPING:
        value = part.get(name)
        if value is not None and value != INHERIT and (type(value) is not int or value < 1):
            yield f"{where}.{name} is a number from 1, or inherit, not {value!r}"
    average, peak = part.get("average"), part.get("peak")
    if type(average) is int and type(peak) is int and peak < average:
        yield f"{where}.peak is below its average: set it at least as high"


def _flag_problems(where: str, part: Any, names: Iterable[str]) -> Iterable[str]:
    for name in names if isinstance(part, Mapping) else ():
        if name in part and not isinstance(part[name], bool) and part[name] != INHERIT:
            yield f"{where}.{name} is true, false or inherit, not {part[name]!r}"


def _vlan_problems(vlan: Any) -> Iterable[str]:
    if vlan is None or vlan == INHERIT or (type(vlan) is int and 0 <= vlan <= 4094):
        return
    if isinstance(vlan, str) and vlan.startswith("private:"):
        yield "private VLANs need a map on the switch, which this version does not set: use a VLAN or ranges"
        return
    ends = [int(n) for n in re.findall(r"\d+", vlan)] if isinstance(vlan, str) and _RANGES.fullmatch(vlan) else [-1]
    text = vlan if isinstance(vlan, str) else ""
    parts = [tuple(map(int, (p.partition("-")[0], p.partition("-")[2] or p))) for p in text.split(",")] \
        if ends != [-1] else []
    rising = all(low <= high for low, high in parts) and all(a[1] < b[0] for a, b in pairwise(parts))
    if not parts or not rising or any(n > 4094 for n in ends) or any(
            low == high and "-" in p for (low, high), p in zip(parts, text.split(","), strict=True)):
        yield f"vlan is a number from 0 to 4094, or ranges in rising order such as \"10,100-200\", not {vlan!r}"


def _order_problems(teaming: Mapping[str, Any]) -> Iterable[str]:
    active, standby = teaming.get("active"), teaming.get("standby")
    if standby and standby != [INHERIT] and (not active or active == [INHERIT]):
        yield "teaming.standby without teaming.active: name the uplinks in use, too"
    for name, value in (("active", active), ("standby", standby)):
        if isinstance(value, list) and INHERIT in value and len(value) > 1:
            yield f"teaming.{name} is inherit, or a list of uplinks"
    if isinstance(active, list) and isinstance(standby, list):
        twice = sorted({*map(str, active)} & {*map(str, standby)} - {INHERIT})
        if twice:
            yield f"teaming: {', '.join(twice)} cannot be active and standby"
