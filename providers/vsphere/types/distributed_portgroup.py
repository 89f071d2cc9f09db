"""Distributed port group: VLAN or trunk, teaming, security, shaping, binding and ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import Field, boolean, integer, reference, string
from providers.vsphere.dvs import policies
from providers.vsphere.tools import Tools, after, quoted, refuse_children

BINDINGS = {"static": "earlyBinding", "ephemeral": "ephemeral"}
_BINDING = {kind: name for name, kind in BINDINGS.items()}


def settings(config: Any) -> dict[str, Any]:
    """Attributes of a DVPortgroupConfigInfo, all but its name and switch."""
    binding = str(config.type or "earlyBinding")
    return {"binding": _BINDING.get(binding, binding), "ports": int(config.numPorts or 0),
            "expand": bool(config.autoExpand), "description": str(config.description or ""),
            **policies.read(config.defaultPortConfig)}


def _spec(wanted: Mapping[str, Any], live: Any = None) -> Any:
    """A DVPortgroupConfigSpec with what is wanted. `live`: the group's port setting now."""
    from pyVmomi import vim

    made = vim.dvs.DistributedVirtualPortgroup.ConfigSpec()
    if wanted.get("binding"):
        made.type = BINDINGS.get(str(wanted["binding"]), str(wanted["binding"]))
    if wanted.get("ports") is not None and wanted.get("binding") != "ephemeral":
        made.numPorts = wanted["ports"]
    if wanted.get("expand") is not None:
        made.autoExpand = wanted["expand"]
    if wanted.get("description") is not None:
        made.description = wanted["description"]
    made.defaultPortConfig = policies.setting(wanted, live)
    return made


def create(tools: Tools, call: Call) -> Attrs:
    wanted = after(call)
    switch, name = tools.entity(wanted["switch"], call), quoted(str(wanted.get("name") or call.address.name))
    spec = _spec(wanted)
    spec.name = name
    spec.type = spec.type or BINDINGS["static"]
    with tools.turn(switch, call):
        tools.wait(switch.AddDVPortgroup_Task(spec=[spec]), call)
    groups = tools.read(switch, "portgroup").get("portgroup") or ()
    made = next(group for group, props in tools.read_all(groups, "name") if props.get("name") == name)
    tools.keep(call.address, made)
    return {"id": str(made._moId)}


def update(tools: Tools, call: Call) -> None:
    """The configuration's version is read in the step; what is not named stays."""
    group = tools.entity(call.address, call)
    config = tools.read(group, "config")["config"]
    spec = _spec(after(call), config.defaultPortConfig)
    spec.configVersion = config.configVersion
    tools.wait(group.ReconfigureDVPortgroup_Task(spec=spec), call)


def rename(tools: Tools, call: Call) -> None:
    tools.wait(tools.entity(call.address, call).Rename_Task(newName=quoted(str(after(call)["name"]))), call)


def destroy(tools: Tools, call: Call) -> None:
    """What is connected to it is asked for at that moment; of VMkernel adapters vCenter itself says so."""
    group = tools.entity(call.address, call)
    refuse_children(tools, "distributed port group", call.address.name, tools.read(group, "vm").get("vm") or ())
    tools.wait(group.Destroy_Task(), call)


def validate(attributes: Attrs) -> Iterable[str]:
    if attributes.get("binding") == "ephemeral" and (attributes.get("ports") or attributes.get("expand")):
        yield "an ephemeral port group has no fixed ports: leave `ports` and `expand` out"
    elif attributes.get("expand") is False and not attributes.get("ports"):
        yield "`expand: false` without `ports`: the port group would have no port at all"
    yield from policies.problems(attributes)


def cuts(before: Attrs | None, wanted: Attrs | None) -> str:
    """A change of VLAN, teaming or shaping reaches every adapter and VM on it, on all hosts."""
    what = [name for name in ("vlan", "teaming", "shaping") if name in (wanted or {})]
    return f"may cut every adapter and VM on it, on all hosts: its {' and '.join(what)} change" if what else ""


_SET = ("vlan", "binding", "ports", "expand", "description", "teaming", "security", "shaping")

DISTRIBUTED_PORTGROUP = ResourceType(
    name="distributed_portgroup",
    doc="A port group of a distributed switch.",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "switch": reference("The switch that it is on.", "distributed_switch", required=True, replace=True),
        "vlan": Field("scalar", "VLAN id (0: untagged), or trunked ranges: \"10,100-200\".", default=0),
        "binding": string("When a port is assigned: static (kept), or ephemeral (while something is on).",
                          default="static", enum=tuple(BINDINGS)),
        "ports": integer("Number of ports (static binding).", minimum=0, maximum=8192),
        "expand": boolean("Whether ports are added when all are taken (static binding)."),
        "description": string("Free text."),
        **policies.fields(),
    },
    order=0,
    validate=validate,
    operations=(
        Operation("distributed_portgroup.create", "VmwareDistributedVirtualSwitch.AddDVPortgroup_Task", "create",
                  "Create the port group.", create, ("name", "switch", *_SET),
                  inverse="distributed_portgroup.destroy", privileges=("DVPortgroup.Create",)),
        Operation("distributed_portgroup.update", "DistributedVirtualPortgroup.ReconfigureDVPortgroup_Task", "update",
                  "Set VLAN, policies, binding and ports; what is not named stays.", update, _SET,
                  inverse="distributed_portgroup.update", disruptive=cuts, privileges=("DVPortgroup.Modify",)),
        Operation("distributed_portgroup.rename", "DistributedVirtualPortgroup.Rename_Task", "update",
                  "Rename the port group.", rename, ("name",), inverse="distributed_portgroup.rename",
                  privileges=("DVPortgroup.Modify",)),
        Operation("distributed_portgroup.destroy", "DistributedVirtualPortgroup.Destroy_Task", "delete",
                  "Destroy the port group; refused while a VM or an adapter is on it.", destroy,
                  inverse="distributed_portgroup.create", privileges=("DVPortgroup.Delete",)),
    ),
    label_doc="the port group's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
