"""DistributedVirtualPortgroup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data, field_types
from providers.twin.model import Host, Plain, Vm
from providers.twin.objects import dvs_members as members
from providers.twin.objects.base import EntityObject, check_name
from providers.twin.objects.dvs import current
from providers.twin.objects.network_faults import invalid
from providers.twin.parts.dvs import Dvpg, Dvs
from providers.twin.plain import merge, to_plain
from providers.twin.views import dvs as views

if TYPE_CHECKING:
    from providers.twin.house import House

BINDINGS = ("earlyBinding", "ephemeral")
TEAMING = ("loadbalance_ip", "loadbalance_srcmac", "loadbalance_srcid", "failover_explicit", "loadbalance_loadbased")
_PLAYED = ("configVersion", "name", "numPorts", "defaultPortConfig", "description", "type", "autoExpand",
           "dynamicType", "dynamicProperty")
_PARTS = ("blocked", "inShapingPolicy", "outShapingPolicy", "vlan", "uplinkTeamingPolicy", "securityPolicy")


def set_group(house: House, switch: Dvs, group: Dvpg, spec: Any, *, new: bool = False) -> None:
    """Bring a port group to its specification; unset parts stay as they are. Raises what the API declares."""
    for name in field_types(type(spec)):
        if getattr(spec, name) not in (None, []) and name not in _PLAYED:
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate DVPortgroupConfigSpec.{name}")
    if spec.type is not None:
        if spec.type not in BINDINGS:
            raise invalid("spec.type", f"{spec.type!r} is none of {', '.join(BINDINGS)}.")
        used = [] if new else members.connected(house, group)
        if spec.type != group.binding and used:
            raise vim.fault.DvsFault(msg=f"{', '.join(used)} is connected: the binding of {group.name} is fixed.")
        group.binding = spec.type
    _set_ports(house, group, spec, new=new)
    if spec.description is not None:
        group.description = spec.description
    if spec.defaultPortConfig is not None:
        group.setting = _setting(switch, group.setting, spec.defaultPortConfig)
    if not new:
        group.serial += 1


def _set_ports(house: House, group: Dvpg, spec: Any, *, new: bool) -> None:
    """A group that expands keeps what is in use, beyond its number."""
    wanted = group.ports if spec.numPorts is None else spec.numPorts
    expand = group.expand if spec.autoExpand is None else spec.autoExpand
    used = 0 if new else len(members.connected(house, group))
    if not 0 <= wanted <= 8192:
        raise invalid("spec.numPorts", "0 to 8192.")
    if wanted < used and not expand and group.binding != "ephemeral":
        raise vim.fault.DvsFault(msg=f"{used} ports of {group.name} are in use: it cannot have {wanted}.")
    group.ports, group.expand = 0 if group.binding == "ephemeral" else wanted, expand


def _setting(switch: Dvs, before: Plain, given: Any) -> Plain:
    """What is the group's own of its port setting. A part that is marked as inherited is the switch's again."""
    if not isinstance(given, vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy):
        raise invalid("spec.defaultPortConfig", "A VMware switch takes a VMwareDVSPortSetting.")
    for name in field_types(type(given)):
        if getattr(given, name) not in (None, []) and name not in (*_PARTS, "dynamicType", "dynamicProperty"):
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate VMwareDVSPortSetting.{name}")
    after = dict(before)
    for name in _PARTS:
        part = getattr(given, name)
        if part is None:
            continue
        plain = to_plain(part)
        if name == "vlan":
            _check_vlan(part)
            plain["_type"] = type(part)._wsdlName
            after[name] = plain
        else:
            after[name] = _own(merge(after.get(name, {}), plain))
        if part.inherited or set(after[name]) <= {"inherited"}:
            del after[name]
    _check_teaming(switch, after.get("uplinkTeamingPolicy", {}))
    return after


def _own(plain: Plain) -> Plain:
    """Without what is inherited."""
    kept = {name: _own(each) if isinstance(each, dict) else each for name, each in plain.items()}
    return {name: each for name, each in kept.items() if not (
        isinstance(each, dict) and (each.get("inherited") is True or set(each) <= {"inherited"}))}


def _check_vlan(vlan: Any) -> None:
    kind = type(vlan)._wsdlName
    if kind == "VmwareDistributedVirtualSwitchVlanIdSpec":
        if not 0 <= vlan.vlanId <= 4094:
            raise invalid("spec.defaultPortConfig.vlan", "0 to 4094.")
    elif kind == "VmwareDistributedVirtualSwitchTrunkVlanSpec":
        if any(not 0 <= each.start <= each.end <= 4094 for each in vlan.vlanId):
            raise invalid("spec.defaultPortConfig.vlan", "Ranges within 0 to 4094.")
    else:
        raise vmodl.fault.NotSupported(msg=f"The twin does not simulate a {kind}")


def _check_teaming(switch: Dvs, teaming: Plain) -> None:
    policy = teaming.get("policy", {}).get("value")
    if policy is not None and policy not in TEAMING:
        raise invalid("spec.defaultPortConfig.uplinkTeamingPolicy.policy", f"{policy!r}")
    order = teaming.get("uplinkPortOrder", {})
    named = [*order.get("activeUplinkPort", ()), *order.get("standbyUplinkPort", ())]
    strange = [each for each in named if each not in (*switch.uplinks, *switch.lags)]
    if strange or len(set(named)) != len(named):
        raise invalid("spec.defaultPortConfig.uplinkTeamingPolicy.uplinkPortOrder",
                      f"{', '.join(strange) or 'an uplink twice'}: {switch.name} has {', '.join(switch.uplinks)}.")


class DvpgObject(EntityObject):
    """`vim.dvs.DistributedVirtualPortgroup`."""

    wire = "DistributedVirtualPortgroup"
    kind = Dvpg

    @property
    def _switch(self) -> Dvs:
        return self.house.inventory.need(self.doc.switch, Dvs)

    def children(self) -> Iterable[ManagedObject]:
        return ()

    @prop("key")
    def key(self) -> str:
        return self.moid

    @prop("config")
    def config(self) -> Any:
        return views.group_config(self.doc, self._switch, self.at(self.doc.switch).ref())

    @prop("config.configVersion")
    def config_version(self) -> str:
        return str(self.doc.serial)

    @prop("config.uplink")
    def uplink(self) -> bool:
        return bool(self.doc.uplink)

    @prop("summary")
    def summary(self) -> Any:
        return data("NetworkSummary", network=self.ref(), name=self.name, accessible=True, ipPoolName="")

    @prop("host")
    def host(self) -> list[ManagedObject]:
        found = (self.house.inventory.get(each, Host) for each in self._switch.members)
        return self.objects(each for each in found if each is not None)

    @prop("vm")
    def vm(self) -> list[ManagedObject]:
        names = members.connected(self.house, self.doc)
        return self.objects(each for each in self.house.inventory.all(Vm) if each.name in names)

    @prop("portKeys")
    def port_keys(self) -> list[str]:
        return [str(number) for number in range(self.doc.ports)]

    @method("ReconfigureDVPortgroup_Task", mutates=True, task=True, privilege="DVPortgroup.Modify")
    def reconfigure(self, spec: Any) -> None:
        doc = self.doc
        current(spec.configVersion, doc.serial, doc.name)
        if spec.name is not None and check_name(spec.name) != doc.name:
            raise vmodl.fault.NotSupported(msg="The twin renames a port group by Rename_Task only")
        before = dict(doc.setting)
        set_group(self.house, self._switch, doc, spec)
        try:
            members.push_all(self.house, self._switch, lambda identity: self.at(identity).ref())
        except vim.fault.DvsFault:
            doc.setting, doc.serial = before, doc.serial - 1
            raise
        self.house.inventory.mark(doc)

    @method("Rename_Task", mutates=True, task=True, privilege="DVPortgroup.Modify")
    def rename(self, newName: str) -> None:
        wanted = self.new_name(newName)
        if not wanted:
            return
        for machine in self.vm():
            found = machine.doc  # type: ignore[attr-defined]
            found.networks = [wanted if each == self.doc.name else each for each in found.networks]
            self.house.inventory.mark(found)
        self.house.inventory.rename(self.doc, wanted)

    @method("Destroy_Task", mutates=True, task=True, privilege="DVPortgroup.Delete")
    def destroy(self) -> None:
        if self.doc.uplink:
            raise vim.fault.InvalidState(msg=f"{self.name} holds the uplinks of {self._switch.name}: it goes with it.")
        used = members.connected(self.house, self.doc)
        if used:
            raise vim.fault.ResourceInUse(type=vim.dvs.DistributedVirtualPortgroup, name=self.name,
                                          msg=f"The port group {self.name} is in use by {', '.join(used)}.")
        self.house.inventory.remove(self.doc)
