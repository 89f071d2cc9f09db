"""Distributed switch: uplinks, MTU, discovery, LACP, network I/O control. Its hosts are declared on the hosts (dvs)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Change, Diagnostic, StepFailed
from planner.ports import Call
from planner.schema import Field, boolean, integer, reference, string, strings
from providers.vsphere.dvs.settings import BALANCES, VERSIONS, lag_specs, settings, spec, whole
from providers.vsphere.tools import Tools, after, changed_item, quoted, refuse_children, unquoted


def create(tools: Tools, call: Call) -> Attrs:
    from pyVmomi import vim

    wanted = after(call)
    if wanted.get("folder"):
        parent = tools.entity(wanted["folder"], call)
    else:
        parent = tools.read(tools.entity(wanted.get("datacenter"), call), "networkFolder")["networkFolder"]
    config = spec(wanted)
    config.name, config.lacpApiVersion = quoted(str(wanted.get("name") or call.address.name)), "multipleLag"
    made = vim.DistributedVirtualSwitch.CreateSpec(configSpec=config)
    if wanted.get("version"):
        made.productInfo = vim.dvs.ProductSpec(version=wanted["version"])
    switch = tools.wait(parent.CreateDVS_Task(spec=made), call)
    tools.keep(call.address, switch)
    return {"id": str(switch._moId)}


def update(tools: Tools, call: Call) -> None:
    """The configuration's version is read in the step: what changed since the plan, but for this, is not in the way."""
    switch = tools.entity(call.address, call)
    with tools.turn(switch, call):
        config = tools.read(switch, "config")["config"]
        change = spec(whole(after(call), settings(config)), str(config.configVersion or ""))
        tools.wait(switch.ReconfigureDvs_Task(spec=change), call)


def lags(tools: Tools, call: Call) -> None:
    switch = tools.entity(call.address, call)
    wanted: Any = after(call).get("lags") or ()
    with tools.turn(switch, call):
        config = tools.read(switch, "config")["config"]
        if str(getattr(config, "lacpApiVersion", "") or "") == "singleLag":
            raise StepFailed("this switch has basic LACP", f"{call.address}: LAGs need enhanced LACP (multipleLag)",
                             "convert it in vCenter first: that changes its port groups, too")
        specs = lag_specs(getattr(config, "lacpGroupConfig", None) or (), wanted)
        tools.wait(switch.UpdateDVSLacpGroupConfig_Task(lacpGroupSpec=specs), call)


def network_io_control(tools: Tools, call: Call) -> None:
    tools.entity(call.address, call).EnableNetworkResourceManagement(enable=after(call)["network_io_control"])


def upgrade(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    switch = tools.entity(call.address, call)
    product = vim.dvs.ProductSpec(version=after(call)["version"])
    with tools.turn(switch, call):
        tools.wait(switch.PerformDvsProductSpecOperation_Task(operation="upgrade", productSpec=product), call)


def rename(tools: Tools, call: Call) -> None:
    tools.wait(tools.entity(call.address, call).Rename_Task(newName=quoted(str(after(call)["name"]))), call)


def destroy(tools: Tools, call: Call) -> None:
    """Its own group of uplinks goes along; hosts, port groups and their VMs do not."""
    switch = tools.entity(call.address, call)
    found = tools.read(switch, "summary.hostMember", "portgroup")
    groups = tools.read_all(found.get("portgroup") or (), "config.uplink")
    own = {group._moId for group, props in groups if props.get("config.uplink")} or \
        ({groups[0][0]._moId} if len(groups) == 1 else set())
    inside = [*(found.get("summary.hostMember") or ()), *(g for g, _ in groups if g._moId not in own)]
    refuse_children(tools, "distributed switch", call.address.name, inside)
    tools.wait(switch.Destroy_Task(), call)


def clean(tools: Tools, call: Call) -> None:
    """One member that is gone, by its name: looked up among the switch's hosts, and only while it does not respond."""
    from pyVmomi import vim

    switch, name = tools.entity(call.address, call), changed_item(call, "stale")
    with tools.turn(switch, call):
        found = tools.read(switch, "config.configVersion", "summary.hostMember")
        hosts = tools.read_all(found.get("summary.hostMember") or (), "name", "runtime.connectionState")
        host = next((h for h, props in hosts if unquoted(str(props.get("name"))) == name
                     and str(props.get("runtime.connectionState")) == "notResponding"), None)
        if host is None:
            raise StepFailed("this host is no stale member", f"{name} is none of {call.address}, or it responds again",
                             "plan again")
        member = vim.dvs.HostMember.ConfigSpec(operation="remove", host=host)
        change = vim.DistributedVirtualSwitch.ConfigSpec(configVersion=found.get("config.configVersion"), host=[member])
        tools.wait(switch.ReconfigureDvs_Task(spec=change), call)


def validate(attributes: Attrs) -> Iterable[str]:
    if bool(attributes.get("datacenter")) == bool(attributes.get("folder")):
        yield "a distributed switch is in a `datacenter` or in a `folder` of kind network: set one of the two"
    uplinks: Any = attributes.get("uplinks")
    if isinstance(uplinks, list) and not 1 <= len(uplinks) <= 32:
        yield "a distributed switch has 1 to 32 uplinks"
    if attributes.get("stale"):
        yield "stale: only `[]` can be declared: no host is wanted that is gone"
    lags: Any = attributes.get("lags")
    names = [str(each.get("name")) for each in lags if isinstance(each, Mapping)] if isinstance(lags, list) else []
    if names != sorted(set(names)):
        yield "lags: each name once, in rising order"
    if isinstance(uplinks, list) and set(names) & set(map(str, uplinks)):
        yield "a LAG and an uplink cannot have one name"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    for change in changes:
        old, new = ((a or {}).get("version") for a in (change.before, change.after))
        if change.action == "update" and isinstance(old, str) and isinstance(new, str) and _number(new) < _number(old):
            yield Diagnostic("error", "the version of a distributed switch cannot be lowered",
                             f"it is {old}, and {new} is declared", address=change.address,
                             remedy=f"declare `version: {old}`, or leave it out")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def cuts(before: Attrs | None, wanted: Attrs | None) -> str:
    """What changes under whatever runs over it, on all of its hosts."""
    what = [words for name, words in (("mtu", "its MTU changes"), ("uplinks", "its uplinks change"),
                                      ("lags", "its LAGs change")) if name in (wanted or {})]
    return f"may cut what runs over this switch, on all of its hosts: {' and '.join(what)}" if what else ""


LAG = {
    "name": string("Its name.", required=True),
    "mode": string("Whether it begins negotiations.", required=True, enum=("active", "passive")),
    "uplinks": integer("Its ports on each host.", required=True, minimum=1, maximum=32),
    "load_balancing": string("How it spreads traffic.", required=True, enum=BALANCES),
}
_SET = ("mtu", "uplinks", "discovery", "description", "contact")

DISTRIBUTED_SWITCH = ResourceType(
    name="distributed_switch",
    doc="A distributed switch; hosts join it by their `dvs`.",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "datacenter": reference("The datacenter that it is in (its top folder of networks).", "datacenter",
                                replace=True),
        "folder": reference("The folder (of kind network) that it is in, instead of a datacenter's top.", "folder",
                            replace=True),
        "version": string("Its product version; vCenter's newest where unset. It can be raised.", enum=VERSIONS),
        "mtu": integer("Largest frame, in bytes.", default=1500, check="mtu"),
        "uplinks": strings("Names of its uplinks, in order: each host has as many. One more or less is added or taken "
                           "away at the end.", default=["Uplink 1", "Uplink 2", "Uplink 3", "Uplink 4"]),
        "discovery": Field("object", "Discovery of physical switches.", fields={
            "protocol": string("cdp or lldp.", enum=("cdp", "lldp")),
            "operation": string("What it does with it.", enum=("none", "listen", "advertise", "both")),
        }),
        "lags": Field("list", "Link aggregation groups (enhanced LACP), by name.",
                      items=Field("object", "A LAG.", fields=LAG)),
        "network_io_control": boolean("Whether network I/O control is on."),
        "description": string("Free text."),
        "contact": Field("object", "Whom to ask.", fields={
            "name": string("Who."), "details": string("How to reach them.")}),
        "stale": strings("Members that are gone: hosts that do not respond, and that the fleet does not declare. `[]` "
                         "takes them out of the switch, by name, a step each.", unordered=True),
    },
    order=0,
    validate=validate,
    check=check,
    initial={"network_io_control": False, "lags": [], "stale": []},
    operations=(
        Operation("distributed_switch.create", "Folder.CreateDVS_Task", "create", "Create the switch.", create,
                  ("name", "datacenter", "folder", "version", *_SET), inverse="distributed_switch.destroy",
                  privileges=("DVSwitch.Create",)),
        Operation("distributed_switch.update", "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task", "update",
                  "Set MTU, uplinks, discovery, description and contact; what is not named stays.", update, _SET,
                  inverse="distributed_switch.update", disruptive=cuts, privileges=("DVSwitch.Modify",)),
        Operation("distributed_switch.lags", "VmwareDistributedVirtualSwitch.UpdateDVSLacpGroupConfig_Task", "update",
                  "Add, change and remove LAGs, in one call.", lags, ("lags",), inverse="distributed_switch.lags",
                  disruptive=cuts, privileges=("DVSwitch.Modify",)),
        Operation("distributed_switch.network_io_control",
                  "VmwareDistributedVirtualSwitch.EnableNetworkResourceManagement", "update",
                  "Switch network I/O control on or off.", network_io_control, ("network_io_control",),
                  inverse="distributed_switch.network_io_control", privileges=("DVSwitch.ResourceManagement",)),
        Operation("distributed_switch.upgrade", "VmwareDistributedVirtualSwitch.PerformDvsProductSpecOperation_Task",
                  "update", "Raise the switch's version.", upgrade, ("version",),
                  irreversible="a distributed switch's version cannot be lowered",
                  disruptive="may interrupt what runs over this switch, on all of its hosts",
                  privileges=("DVSwitch.Modify",)),
        Operation("distributed_switch.clean", "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task", "remove_item",
                  "Take a host that is gone out of the switch.", clean, ("stale",),
                  irreversible="a host that does not answer cannot join a switch again",
                  privileges=("DVSwitch.Modify",)),
        Operation("distributed_switch.rename", "VmwareDistributedVirtualSwitch.Rename_Task", "update",
                  "Rename the switch.", rename, ("name",), inverse="distributed_switch.rename",
                  privileges=("DVSwitch.Modify",)),
        Operation("distributed_switch.destroy", "VmwareDistributedVirtualSwitch.Destroy_Task", "delete",
                  "Destroy the switch; refused unless it has no host and no port group at that moment.", destroy,
                  inverse="distributed_switch.create", privileges=("DVSwitch.Delete",)),
    ),
    label_doc="the switch's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
