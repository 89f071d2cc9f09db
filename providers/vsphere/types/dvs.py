"""A host's membership of a distributed switch, with the physical NICs that it brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Change, Diagnostic, StepFailed
from planner.ports import Call
from planner.schema import reference, string, strings
from providers.vsphere.tools import Tools, after
from providers.vsphere.types.vswitch import released

PATH = "config.network.proxySwitch"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """By the switch's name: the reader of live knows it by `switch`, and gives it the label that was declared."""
    found: dict[str, Attrs] = {}
    for each in props.get(PATH) or ():
        nics = _nics(each)
        lags = {str(port.key): str(lag.lagName) for lag in each.hostLag or () for port in lag.uplinkPort or ()}
        on: Any = sorted({lags.get(key, "") for key in nics.values()} - {""})
        uplinks: Any = sorted(nics)
        found[str(each.dvsName)] = {"switch": f"uuid:{each.dvsUuid}", "uplinks": uplinks, "lag": ",".join(on)}
    return found


def _nics(proxy: Any) -> dict[str, str]:
    """vmnic → key of the port that it is on."""
    backing = proxy.spec.backing
    return {str(nic.pnicDevice): str(nic.uplinkPortKey or "") for nic in getattr(backing, "pnicSpec", None) or ()}


def _member(tools: Tools, call: Call, operation: str) -> Any:
    from pyVmomi import vim

    return vim.dvs.HostMember.ConfigSpec(operation=operation, host=tools.host(call))


def _reconfigure(tools: Tools, call: Call, switch: Any, member: Any) -> None:
    """One host of a switch, against the version that its configuration has now. Whoever holds the turn alone does this
    here; where another client comes between, the server refuses (ConcurrentAccess), nothing is done, and the step is
    repeated."""
    from pyVmomi import vim

    version = tools.read(switch, "config.configVersion").get("config.configVersion")
    spec = vim.DistributedVirtualSwitch.ConfigSpec(configVersion=version, host=[member])
    tools.wait(switch.ReconfigureDvs_Task(spec=spec), call)


def _switch(tools: Tools, call: Call) -> Any:
    named = (call.after or {}).get("switch") or (call.before or {}).get("switch") or tools.known(call, "switch")
    return tools.entity(named, call)


def join(tools: Tools, call: Call) -> None:
    """Without a NIC: nothing that runs on the host changes by it."""
    from pyVmomi import vim

    switch, member = _switch(tools, call), _member(tools, call, "add")
    member.backing = vim.dvs.HostMember.PnicBacking(pnicSpec=[])
    with tools.turn(switch, call):
        _reconfigure(tools, call, switch, member)


def leave(tools: Tools, call: Call) -> None:
    switch = _switch(tools, call)
    with tools.turn(switch, call):
        _reconfigure(tools, call, switch, _member(tools, call, "remove"))


def uplinks(tools: Tools, call: Call) -> None:
    """The host's NICs on the switch, all in one call: those that stay keep their ports."""
    from pyVmomi import vim

    switch, member = _switch(tools, call), _member(tools, call, "edit")
    with tools.turn(switch, call):
        uuid = tools.read(switch, "uuid")["uuid"]
        proxies = tools.read(tools.host(call), PATH).get(PATH) or ()
        proxy = next((each for each in proxies if each.dvsUuid == uuid), None)
        if proxy is None:
            raise StepFailed("this host is no member of the switch", str(call.address),
                             "plan again: something took it out since")
        ports = _ports(proxy, call)
        member.backing = vim.dvs.HostMember.PnicBacking(pnicSpec=[
            vim.dvs.HostMember.PnicSpec(pnicDevice=device, uplinkPortKey=key) for device, key in ports.items()])
        _reconfigure(tools, call, switch, member)


def _ports(proxy: Any, call: Call) -> dict[str, str]:
    """vmnic → port, for the NICs to reach: free uplinks in the switch's order, or ports of the LAG."""
    now = _nics(proxy)
    wanted: Any = after(call).get("uplinks", sorted(now))
    lags = {str(lag.lagName): [str(port.key) for port in lag.uplinkPort or ()] for lag in proxy.hostLag or ()}
    of_lags = {key: name for name, keys in lags.items() for key in keys}
    lag = str(after(call)["lag"] or "") if "lag" in after(call) else \
        next((of_lags[key] for key in now.values() if key in of_lags), "")
    if lag and lag not in lags:
        raise StepFailed("this switch has no such LAG", f"{lag}; it has {', '.join(lags) or 'none'}",
                         "declare it in `lags` of the switch")
    places = lags[lag] if lag else [str(port.key) for port in proxy.uplinkPort or () if str(port.key) not in of_lags]
    found = {device: now[device] for device in wanted if now.get(device) in places}
    for device in wanted:
        free = [key for key in places if key not in found.values()]
        if device not in found and not free:
            raise StepFailed("no uplink of the switch is free", f"{len(places)} for {', '.join(wanted)}",
                             f"give {lag or 'the switch'} more uplinks, or declare fewer NICs")
        found.setdefault(str(device), free[0] if free else "")
    return found


def early(before: Attrs, now: Attrs) -> bool:
    """NICs are given up before another switch takes them."""
    return bool(released(before, now))


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    """Uplinks that it gives up, or that move to other ports, where management runs over it."""
    gone = released(before, now)
    why = [f"it gives up {', '.join(gone)}"] if gone else []
    if "lag" in (now or {}):
        why.append("its NICs move to other ports")
    return f"may cut management, which runs over this switch: {' and '.join(why)}" if why else ""


def validate(attributes: Attrs) -> Iterable[str]:
    lag = attributes.get("lag")
    if isinstance(lag, str) and "," in lag:
        yield "a host's NICs are on one LAG of a switch, or on its uplinks"
    if lag and attributes.get("uplinks") == []:
        yield "`lag` without `uplinks`: name the NICs that are its ports"


def around(change: Change, roots: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """The host's NICs have to find places on the switch: its uplinks, or the ports of a LAG."""
    switch = roots.get("distributed_switch")
    if switch is None:
        return
    wanted = change.after or {}
    lags, nics, lag = switch.get("lags", []), wanted.get("uplinks"), wanted.get("lag")  # a new switch has no LAGs
    places: Any = switch.get("uplinks")
    if isinstance(lag, str) and lag and isinstance(lags, (list, tuple)):
        ports = {str(each["name"]): each.get("uplinks") for each in lags if isinstance(each, Mapping)}
        if lag not in ports:
            yield Diagnostic("error", "this switch has no such LAG", f"{lag}; it has {', '.join(ports) or 'none'}",
                             address=change.address, remedy="declare it in `lags` of the switch")
            return
        number = ports[lag]
        places = range(number) if isinstance(number, int) else None
    if isinstance(nics, (list, tuple)) and isinstance(places, (list, tuple, range)) and len(nics) > len(places):
        yield Diagnostic("error", "the switch has too few uplinks for this host's NICs",
                         f"{len(places)} on {lag or 'the switch'}, for {', '.join(map(str, nics))}",
                         address=change.address, remedy=f"give {lag or 'the switch'} more, or declare fewer NICs")


DVS = ResourceType(
    name="dvs",
    doc="Membership of a distributed switch.",
    parent="host",
    order=7,  # row 9 of operations.md: what stands on it is of row 7, and waits for it
    fields={
        "switch": reference("The switch.", "distributed_switch", required=True, replace=True),
        "uplinks": strings("Physical NICs that the host brings (vmnic names).", unordered=True, default=[]),
        "lag": string("The LAG of the switch whose ports they are; its uplinks where unset."),
    },
    distinct=("uplinks",),
    pool={"uplinks": "physical NIC"},
    known_by="switch",
    label_doc="any name; the host is known by `switch`",
    paths=(PATH,),
    read=read,
    validate=validate,
    around=around,
    initial={"uplinks": [], "lag": ""},
    operations=(
        Operation("dvs.join", "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task", "create",
                  "Join the switch, without a NIC yet.", join, ("switch",), inverse="dvs.leave",
                  privileges=("Host.Config.Network", "DVSwitch.HostOp")),
        Operation("dvs.uplinks", "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task", "update",
                  "Set the NICs that the host has on the switch.", uplinks, ("uplinks", "lag"), inverse="dvs.uplinks",
                  early=early, disruptive=cuts, privileges=("Host.Config.Network", "DVSwitch.HostOp")),
        Operation("dvs.leave", "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task", "delete",
                  "Leave the switch; refused while an adapter or a VM of the host is on it.", leave,
                  inverse="dvs.join", privileges=("Host.Config.Network", "DVSwitch.HostOp")),
    ),
    tested=("twin", "vcsim"),  # vcsim: joining and leaving
)
