"""DRS rules: virtual machines that stay together or apart, and groups that run on or off hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Address, Attrs
from planner.ports import Call
from planner.schema import boolean, reference, string, strings
from providers.vsphere.tools import Tools, after, need, pick
from providers.vsphere.types.drs_group import (
    CLUSTER,
    CONFIG,
    EDIT,
    NAME,
    RECONFIGURE,
    Clusters,
    cluster_of,
    find_vms,
    name_of,
    reconfigure,
    vm_names,
)

_KINDS = {"together": "AffinityRuleSpec", "apart": "AntiAffinityRuleSpec", "on": "VmHostRuleInfo",
          "off": "VmHostRuleInfo"}
_WIRES = ("ClusterAffinityRuleSpec", "ClusterAntiAffinityRuleSpec", "ClusterVmHostRuleInfo")
_SET = ("vms", "vm_group", "host_group", "mandatory", "enabled")


def look(tools: Tools, wanted: Mapping[Address, Sequence[Attrs]]) -> dict[Address, Attrs]:
    clusters, found = Clusters(tools), {}
    for address, said in wanted.items():
        rule = clusters.first(address, said, "rule", _WIRES)
        if rule is not None:
            found[address] = _attributes(tools, rule[0], rule[1], said)
    return found


def _attributes(tools: Tools, rule: Any, cluster: str, said: Sequence[Attrs]) -> Attrs:
    common = {"name": rule.name, "cluster": cluster, "enabled": bool(rule.enabled), "mandatory": bool(rule.mandatory)}
    if type(rule)._wsdlName != "ClusterVmHostRuleInfo":
        kind = "together" if type(rule)._wsdlName == "ClusterAffinityRuleSpec" else "apart"
        return {**common, "kind": kind, "vms": vm_names(tools, rule.vm)}
    return {**common, "kind": "on" if rule.affineHostGroupName else "off",
            "vm_group": _group(tools, "vm_group", rule.vmGroupName, said),
            "host_group": _group(tools, "host_group", rule.affineHostGroupName or rule.antiAffineHostGroupName, said)}


def _group(tools: Tools, rtype: str, name: Any, said: Sequence[Attrs]) -> str:
    """A group's address where it is the one that is declared or recorded; "path:NAME" otherwise."""
    for attributes in said:
        text = attributes.get(rtype)
        if isinstance(text, str) and text and name in group_names(tools, text):
            return text
    return f"path:{name}"


def group_names(tools: Tools, text: str) -> list[str]:
    """A group's name in vCenter, by reference: as recorded, and last as declared."""
    if text.startswith("path:"):
        return [text.removeprefix("path:")]
    address = Address.parse(text)
    return [str(attributes.get("name") or address.name) for attributes in tools.said(address)] or [address.name]


def _named(tools: Tools, cluster: Any, text: Any) -> str:
    """The name by which live has a group now; the newest one that was said where it has none of them."""
    live = {each.name for each in getattr(tools.read(cluster, CONFIG).get(CONFIG), "group", None) or ()}
    names = group_names(tools, str(text))
    return next((name for name in reversed(names) if name in live), names[-1])


def _info(tools: Tools, call: Call, cluster: Any) -> Any:
    """The rule's info with everything that is declared."""
    from pyVmomi import vim

    said = {**call.declared, **(call.before or {}), **after(call)}
    made = getattr(vim.cluster, _KINDS[str(said["kind"])])(name=name_of(call))
    wanted = after(call)
    for name in ("enabled", "mandatory"):
        if wanted.get(name) is not None:
            setattr(made, name, wanted[name])
    if "vms" in wanted:
        made.vm = find_vms(tools, call, cluster)
    if wanted.get("vm_group"):
        made.vmGroupName = _named(tools, cluster, wanted["vm_group"])
    if wanted.get("host_group"):
        group = _named(tools, cluster, wanted["host_group"])
        setattr(made, "affineHostGroupName" if said["kind"] == "on" else "antiAffineHostGroupName", group)
    return made


def _live(tools: Tools, call: Call, cluster: Any) -> Any:
    rules = getattr(tools.read(cluster, CONFIG).get(CONFIG), "rule", None)
    return need(pick(rules, name_of(call)), "rule", name_of(call))


def add(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    cluster = cluster_of(tools, call)
    info = _info(tools, call, cluster)
    info.userCreated = True
    reconfigure(tools, call, cluster, rulesSpec=[vim.cluster.RuleSpec(operation="add", info=info)])


def update(tools: Tools, call: Call) -> None:
    """The whole rule goes back with the change: nothing documents what an edit does to what it leaves out."""
    from pyVmomi import vim

    from providers.vsphere.tools import editable

    cluster = cluster_of(tools, call)
    info, changed = editable(_live(tools, call, cluster)), _info(tools, call, cluster)
    for name in ("enabled", "mandatory", "vm", "vmGroupName", "affineHostGroupName", "antiAffineHostGroupName"):
        value = getattr(changed, name, None)
        if value not in (None, []):
            setattr(info, name, value)
    reconfigure(tools, call, cluster, rulesSpec=[vim.cluster.RuleSpec(operation="edit", info=info)])


def remove(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    cluster = cluster_of(tools, call)
    spec = vim.cluster.RuleSpec(operation="remove", removeKey=_live(tools, call, cluster).key)
    reconfigure(tools, call, cluster, rulesSpec=[spec])


def validate(attributes: Attrs) -> Iterable[str]:
    kind = attributes.get("kind")
    vms = attributes.get("vms")
    if kind in ("together", "apart"):
        if attributes.get("vm_group") or attributes.get("host_group"):
            yield f"a rule of kind {kind} is about `vms`, not about groups"
        if not isinstance(vms, (list, tuple)) or len(vms) < 2:
            yield f"a rule of kind {kind} needs `vms`: at least two"
        if attributes.get("mandatory"):
            yield "`mandatory` is of rules between VMs and hosts (kind on, off)"
    elif kind in ("on", "off"):
        if vms:
            yield f"a rule of kind {kind} names a `vm_group`, not `vms`"
        if not attributes.get("vm_group") or not attributes.get("host_group"):
            yield f"a rule of kind {kind} needs `vm_group` and `host_group`"


def pins(before: Attrs | None, wanted: Attrs | None) -> str:
    """What a rule does to VMs that run."""
    now = {**(before or {}), **(wanted or {})}
    if now.get("enabled") is False or wanted is None:
        return ""
    if now.get("mandatory"):
        return "DRS moves running VMs to keep it, and a VM that cannot be where it must be is not started: not by HA " \
               "either, nor does its host enter maintenance mode"
    return "DRS moves running VMs to keep it"


DRS_RULE = ResourceType(
    name="drs_rule",
    doc="A DRS rule of a cluster.",
    order=4,
    fields={
        "name": NAME,
        "cluster": CLUSTER,
        "kind": string("together or apart: its `vms`. on or off: its `vm_group` runs on its `host_group`, or keeps off "
                       "it.", enum=("together", "apart", "on", "off"), required=True, replace=True),
        "vms": strings("Virtual machines, by name.", unordered=True),
        "vm_group": reference("The VMs.", "vm_group"),
        "host_group": reference("The hosts.", "host_group"),
        "mandatory": boolean("Must, not should: HA and maintenance mode heed it, too.", default=False),
        "enabled": boolean("Whether it holds.", default=True),
    },
    alike={"vm_group": "cluster", "host_group": "cluster"},
    validate=validate,
    look=look,
    operations=(
        Operation("drs_rule.add", RECONFIGURE, "create", "Add the rule to its cluster.", add,
                  ("name", "cluster", "kind", *_SET), inverse="drs_rule.remove", disruptive=pins, privileges=EDIT),
        Operation("drs_rule.update", RECONFIGURE, "update", "Change the rule.", update, _SET,
                  inverse="drs_rule.update", disruptive=pins, privileges=EDIT),
        Operation("drs_rule.remove", RECONFIGURE, "delete", "Remove the rule.", remove, inverse="drs_rule.add",
                  privileges=EDIT),
    ),
    label_doc="the rule's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
