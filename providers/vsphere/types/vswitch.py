"""Standard virtual switch of a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed, Unknown
from planner.ports import Call
from planner.schema import integer, string, strings
from providers.vsphere.net_policies import merge_policy, problems, read_policy, switch_fields
from providers.vsphere.tools import Tools, after, editable, need, pick

PATH = "config.network.vswitch"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    found: dict[str, Attrs] = {}
    for each in props.get(PATH) or ():
        spec = each.spec
        uplinks: Any = sorted(_uplinks(spec))
        beacon, discovery = (getattr(spec.bridge, k, None) for k in ("beacon", "linkDiscoveryProtocolConfig"))
        found[each.name] = {
            "uplinks": uplinks, "mtu": int(each.mtu or spec.mtu or 1500), "ports": int(spec.numPorts),
            **read_policy(spec.policy), "discovery": str(discovery.operation) if discovery is not None else "",
            "beacon": int(beacon.interval) if beacon is not None else 0}
    return found


def _uplinks(spec: Any) -> list[str]:
    nics = getattr(spec.bridge, "nicDevice", None) or []  # BondBridge: a list; SimpleBridge: one name
    return [nics] if isinstance(nics, str) else [str(n) for n in nics]


def _bridge(spec: Any, uplinks: list[str]) -> None:
    """Put these uplinks into a spec, and keep its failover order to NICs that it has (the API refuses others)."""
    from pyVmomi import vim

    had = _uplinks(spec)
    if not uplinks:
        spec.bridge = None
    elif isinstance(spec.bridge, vim.host.VirtualSwitch.BondBridge):
        spec.bridge.nicDevice = uplinks
    else:
        spec.bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=uplinks)
    order = getattr(getattr(spec.policy, "nicTeaming", None), "nicOrder", None)
    if order is not None:
        standby = [n for n in order.standbyNic or () if n in uplinks]
        active = [n for n in order.activeNic or () if n in uplinks]
        order.activeNic = active + [n for n in uplinks if n not in had and n not in active + standby]
        order.standbyNic = standby


def _rest(spec: Any, wanted: Attrs) -> None:
    """Put policies, link discovery and beacon into a spec that has its uplinks."""
    from pyVmomi import vim

    if {"security", "teaming", "shaping"} & set(wanted):
        spec.policy = merge_policy(spec.policy, wanted)
        if spec.bridge is None and spec.policy.nicTeaming is not None:
            spec.policy.nicTeaming.nicOrder = None
    if spec.bridge is None:
        return
    if wanted.get("discovery"):
        spec.bridge.linkDiscoveryProtocolConfig = vim.host.LinkDiscoveryProtocolConfig(
            protocol="cdp", operation=wanted["discovery"])
    if wanted.get("beacon"):
        spec.bridge.beacon = vim.host.VirtualSwitch.BeaconConfig(interval=wanted["beacon"])


def add(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    wanted = after(call)
    spec = vim.host.VirtualSwitch.Specification(numPorts=wanted.get("ports") or 128, mtu=wanted.get("mtu") or 1500)
    _bridge(spec, [str(n) for n in wanted.get("uplinks") or ()])  # type: ignore[union-attr]
    _rest(spec, wanted)
    tools.manager(call, "networkSystem").AddVirtualSwitch(vswitchName=call.address.name, spec=spec)


def update(tools: Tools, call: Call) -> None:
    live = tools.read(tools.host(call), PATH).get(PATH)
    spec, wanted = editable(need(pick(live, call.address.name), "vSwitch", call.address.name).spec), after(call)
    if "uplinks" in wanted:
        _bridge(spec, [str(n) for n in wanted["uplinks"] or ()])  # type: ignore[union-attr]
    if wanted.get("mtu") is not None:
        spec.mtu = wanted["mtu"]
    if wanted.get("ports") is not None:
        spec.numPorts = wanted["ports"]
    if spec.bridge is None and (wanted.get("discovery") or wanted.get("beacon")):
        raise StepFailed("this vSwitch has no uplinks", f"{call.address.name}: discovery and beacon are theirs",
                         "declare `uplinks`, or leave the two out")
    _rest(spec, wanted)
    tools.manager(call, "networkSystem").UpdateVirtualSwitch(vswitchName=call.address.name, spec=spec)


def remove(tools: Tools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemoveVirtualSwitch(vswitchName=call.address.name)


def released(before: Attrs | None, now: Attrs | None) -> list[str]:
    """Uplinks that the vSwitch gives up."""
    old, new = (before or {}).get("uplinks") or (), (now or {}).get("uplinks") or ()
    return [str(n) for n in old if n not in new] if "uplinks" in (now or {}) else []  # type: ignore[union-attr, operator]


def shrinks(before: Attrs, now: Attrs) -> bool:
    """A smaller MTU goes innermost first; an uplink is released before another switch takes it."""
    return bool(released(before, now)) or mtu_shrinks(before, now)


def mtu_shrinks(before: Attrs, now: Attrs) -> bool:
    old, new = before.get("mtu"), now.get("mtu")
    return isinstance(old, int) and isinstance(new, int) and new < old


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    """Its uplinks or MTU, where the vSwitch carries management (`Operation.disruptive` is asked there only)."""
    gone = released(before, now)
    why = [f"it gives up {', '.join(gone)}"] if gone else []
    if "mtu" in (now or {}) and (before or {}).get("mtu") != (now or {}).get("mtu"):
        why.append("its MTU changes")
    why += [f"its {name} changes" for name in ("teaming", "shaping") if name in (now or {})]
    return f"may cut management, which runs over this vSwitch: {' and '.join(why)}" if why else ""


def validate(attributes: Attrs) -> Iterable[str]:
    yield from problems(attributes, inherits=False)
    uplinks, teaming = attributes.get("uplinks"), attributes.get("teaming")
    if not isinstance(uplinks, list):
        return
    if not uplinks and (attributes.get("discovery") or attributes.get("beacon")):
        yield "discovery and beacon are those of uplinks: declare some, or leave the two out"
    if isinstance(teaming, Mapping):
        named: list[Any] = [*(teaming.get("active") or ()), *(teaming.get("standby") or ())]  # type: ignore[misc]
        strange = [str(n) for n in named if n not in uplinks]
        if strange:
            yield f"teaming names {', '.join(strange)}, no uplink of this vSwitch: add it to `uplinks`, or take it out"


_SET = ("uplinks", "mtu", "ports", "security", "teaming", "shaping", "discovery", "beacon")
_LATER = dict.fromkeys(_SET[2:], Unknown("read after birth"))

VSWITCH = ResourceType(
    name="vswitch",
    doc="A standard virtual switch.",
    parent="host",
    order=7,
    fields={
        "uplinks": strings("Physical NICs that it uses (vmnic names).", unordered=True, default=[]),
        "mtu": integer("Largest frame, in bytes.", default=1500, check="mtu"),
        "ports": integer("Number of ports (fixed by newer ESXi itself).", minimum=1, maximum=4088),
        **switch_fields(),
        "discovery": string("What it does with CDP: none, listen, advertise or both (it needs uplinks).",
                            enum=("none", "listen", "advertise", "both")),
        "beacon": integer("Seconds between beacons (it needs uplinks).", minimum=1),
    },
    validate=validate,
    distinct=("uplinks",),
    pool={"uplinks": "physical NIC"},
    label_doc="the switch's name",
    paths=(PATH,),
    read=read,
    baseline={"vSwitch0": {"uplinks": ["vmnic0"], "mtu": 1500, **_LATER}},
    operations=(
        Operation("vswitch.add", "HostNetworkSystem.AddVirtualSwitch", "create", "Create the vSwitch.", add,
                  _SET, inverse="vswitch.remove", privileges=("Host.Config.Network",)),
        Operation("vswitch.update", "HostNetworkSystem.UpdateVirtualSwitch", "update",
                  "Set uplinks, MTU, ports and policies; what is not declared stays.", update, _SET,
                  carries={"uplinks": ("teaming", "discovery", "beacon")}, inverse="vswitch.update",
                  disruptive=cuts, early=shrinks, privileges=("Host.Config.Network",)),
        Operation("vswitch.remove", "HostNetworkSystem.RemoveVirtualSwitch", "delete", "Remove the vSwitch.", remove,
                  inverse="vswitch.add", privileges=("Host.Config.Network",)),
    ),
    tested=("twin", "recording"),
)
