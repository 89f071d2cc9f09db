"""DRS groups and rules of a cluster: adding, editing, removing, showing; and what becomes of them without a member."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.meta import data
from providers.twin.parts.cluster import ClusterParts, Group, Rule

if TYPE_CHECKING:
    from providers.twin.house import House

_KINDS = {"ClusterAffinityRuleSpec": "together", "ClusterAntiAffinityRuleSpec": "apart",
          "ClusterVmHostRuleInfo": "hosts"}
_WIRES = {kind: wire for wire, kind in _KINDS.items()}


def _refused(where: str, text: str) -> Exception:
    made: Exception = vmodl.fault.InvalidArgument(invalidProperty=where, msg=text)
    return made


# --- groups -----------------------------------------------------------------------------------------------


def change_groups(house: House, cluster: model.Cluster, parts: ClusterParts, specs: Iterable[Any]) -> None:
    """Apply ClusterGroupSpecs, in order. Raises vmodl.fault.InvalidArgument."""
    for each in specs or ():
        if each.operation == "remove":
            name = str(each.removeKey or "")
            _known(parts, name)
            used = [r for r, rule in parts.rules.items() if name in (rule.vm_group, rule.affine, rule.anti)]
            if used:
                raise _refused("groupSpec.removeKey", f"The group {name} is used by the rule {', '.join(used)}.")
            del parts.groups[name]
            continue
        if each.info is None or not each.info.name:
            raise _refused("groupSpec.info", "A group has a name.")
        name, hosts = str(each.info.name), isinstance(each.info, vim.cluster.HostGroup)
        if each.operation == "add" and name in parts.groups:
            raise _refused("groupSpec.info.name", f"The cluster has a group {name} already.")
        if each.operation == "edit" and _known(parts, name).hosts != hosts:
            raise _refused("groupSpec.info", f"The group {name} is of the other kind.")
        members = each.info.host if hosts else each.info.vm
        parts.groups[name] = Group(hosts, [_member(house, cluster, m, hosts=hosts) for m in members or ()])


def _known(parts: ClusterParts, name: str) -> Group:
    found = parts.groups.get(name)
    if found is None:
        raise _refused("groupSpec", f"The cluster has no group {name}.")
    return found


def _member(house: House, cluster: model.Cluster, ref: Any, *, hosts: bool) -> str:
    moid = str(ref._moId)
    if hosts:
        host = house.inventory.get(moid, model.Host)
        inside = host is not None and host.parent == cluster.id
    else:
        machine = house.inventory.get(moid, model.Vm)
        on = house.inventory.get(machine.host, model.Host) if machine is not None else None
        inside = on is not None and on.parent == cluster.id
    if not inside:
        raise _refused("groupSpec.info" if hosts else "vm", f"{moid} is not in the cluster {cluster.name}.")
    return moid


def group_info(name: str, group: Group, members: list[Any]) -> Any:
    """ClusterHostGroup or ClusterVmGroup."""
    if group.hosts:
        return data("ClusterHostGroup", name=name, userCreated=True, host=members)
    return data("ClusterVmGroup", name=name, userCreated=True, vm=members)


# --- rules ------------------------------------------------------------------------------------------------


def change_rules(house: House, cluster: model.Cluster, parts: ClusterParts, specs: Iterable[Any]) -> None:
    """Apply ClusterRuleSpecs, in order. Raises vmodl.fault.InvalidArgument, NotSupported."""
    for each in specs or ():
        if each.operation == "remove":
            del parts.rules[_by_key(parts, each.removeKey)]
            continue
        if each.info is None:
            raise _refused("rulesSpec.info", "A rule is described by its info.")
        kind = _KINDS.get(type(each.info)._wsdlName)
        if kind is None:
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate a {type(each.info)._wsdlName}")
        if each.operation == "add":
            parts.keys += 1
            rule, before = Rule(parts.keys, kind), ""  # type: ignore[arg-type]
        else:
            before = _by_key(parts, each.info.key)
            rule = parts.rules[before]
            if rule.kind != kind:
                raise _refused("rulesSpec.info", f"The rule {before} is of another kind.")
        name = str(each.info.name or before)
        if not name or (name != before and name in parts.rules):
            raise _refused("rulesSpec.info.name", f"{name!r} is no free name for a rule.")
        _edit(house, cluster, rule, each.info)
        _check(parts, name, rule)
        parts.rules = {name if n == before else n: r for n, r in parts.rules.items()} | {name: rule}


def _by_key(parts: ClusterParts, key: Any) -> str:
    found = next((name for name, rule in parts.rules.items() if rule.key == key), None)
    if found is None:
        raise _refused("rulesSpec", f"The cluster has no rule with the key {key}.")
    return found


def _edit(house: House, cluster: model.Cluster, rule: Rule, info: Any) -> None:
    if info.enabled is not None:
        rule.enabled = bool(info.enabled)
    if info.mandatory is not None:
        rule.mandatory = bool(info.mandatory)
    if rule.kind != "hosts":
        rule.vms = [_member(house, cluster, m, hosts=False) for m in info.vm or ()] or rule.vms
        return
    rule.vm_group = str(info.vmGroupName or rule.vm_group)
    if info.affineHostGroupName or info.antiAffineHostGroupName:
        rule.affine, rule.anti = str(info.affineHostGroupName or ""), str(info.antiAffineHostGroupName or "")


def _check(parts: ClusterParts, name: str, rule: Rule) -> None:
    if rule.kind != "hosts":
        if len(set(rule.vms)) < 2:
            raise _refused("rulesSpec.info.vm", f"The rule {name} is about at least two virtual machines.")
        return
    if bool(rule.affine) == bool(rule.anti):
        raise _refused("rulesSpec.info", f"The rule {name} names one host group, to run on or to keep off.")
    for group, hosts in ((rule.vm_group, False), (rule.affine or rule.anti, True)):
        if group not in parts.groups or parts.groups[group].hosts != hosts:
            raise _refused("rulesSpec.info", f"The cluster has no {'host' if hosts else 'VM'} group {group!r}.")


def rule_info(cluster: str, name: str, rule: Rule, vms: list[Any]) -> Any:
    """ClusterAffinityRuleSpec, ClusterAntiAffinityRuleSpec or ClusterVmHostRuleInfo."""
    common = {"key": rule.key, "status": "green", "enabled": rule.enabled, "name": name, "mandatory": rule.mandatory,
              "userCreated": True, "inCompliance": True,
              "ruleUuid": str(uuid5(NAMESPACE_OID, f"{cluster} rule {rule.key}"))}
    if rule.kind != "hosts":
        return data(_WIRES[rule.kind], vm=vms, **common)
    return data("ClusterVmHostRuleInfo", vmGroupName=rule.vm_group, affineHostGroupName=rule.affine or None,
                antiAffineHostGroupName=rule.anti or None, **common)


# --- members that go --------------------------------------------------------------------------------------


def drop_member(house: House, identity: str, stays: str = "") -> None:
    """A host or virtual machine is in no group, rule or failover list any more (but of the cluster `stays`)."""
    for cluster in house.inventory.all(model.Cluster):
        parts = cluster.parts
        lists = [g.members for g in parts.groups.values()] + [r.vms for r in parts.rules.values()] + [parts.failover]
        if cluster.id == stays or not any(identity in each for each in lists):
            continue
        for each in lists:
            if identity in each:
                each.remove(identity)
        house.inventory.mark(cluster)
