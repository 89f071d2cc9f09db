"""VMkernel adapter on a port group of a standard switch, with its service tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field, boolean, integer, string, strings
from providers.vsphere.tools import Tools, after, changed_item, editable, need, pick
from providers.vsphere.types.vswitch import mtu_shrinks

VNICS, TAGS = "config.network.vnic", "config.virtualNicManagerInfo.netConfig"
NIC_TYPES = {s: s for s in ("vmotion", "management", "faultToleranceLogging", "vSphereReplication",
                            "vSphereReplicationNFC", "vsan")} | {"provisioning": "vSphereProvisioning"}
"""Service → HostVirtualNicManager.NicType."""
_SERVICES = {nic_type: service for service, nic_type in NIC_TYPES.items()}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    tags: dict[str, list[str]] = {}
    for config in props.get(TAGS) or ():
        service = _SERVICES.get(config.nicType)
        for key in (config.selectedVnic or ()) if service else ():
            # "vmotion.key-vim.host.VirtualNic-vmk1": the device is what follows the last dash
            tags.setdefault(str(key).rpartition("-")[2], []).append(str(service))
    return {vnic.device: _attributes(vnic, tags) for vnic in props.get(VNICS) or ()}


def _attributes(vnic: Any, tags: Mapping[str, list[str]]) -> Attrs:
    spec, ip = vnic.spec, vnic.spec.ip
    services: Any = sorted(tags.get(vnic.device, ()))
    return {"portgroup": vnic.portgroup or "", "dhcp": bool(ip and ip.dhcp), "ip": (ip and ip.ipAddress) or "",
            "netmask": (ip and ip.subnetMask) or "", "mtu": int(spec.mtu or 1500),
            "services": services}


def _ip(wanted: Attrs) -> Any:
    from pyVmomi import vim

    if wanted.get("dhcp"):
        return vim.host.IpConfig(dhcp=True)
    return vim.host.IpConfig(dhcp=False, ipAddress=wanted.get("ip") or None, subnetMask=wanted.get("netmask") or None)


def add(tools: Tools, call: Call) -> None:
    """ESXi picks the device name: the lowest free vmkN. `check` makes sure at plan that it is the declared one."""
    from pyVmomi import vim

    wanted = after(call)
    spec = vim.host.VirtualNic.Specification(ip=_ip(wanted), mtu=wanted.get("mtu") or 1500)
    made = tools.manager(call, "networkSystem").AddVirtualNic(portgroup=wanted["portgroup"], nic=spec)
    if made != call.address.name:
        raise StepFailed("the host gave the new VMkernel adapter another name",
                         f"{call.address.name} was declared, {made} was made on {wanted['portgroup']}",
                         f"remove {made} on that host, then plan again")


def update(tools: Tools, call: Call) -> None:
    name, wanted = call.address.name, after(call)
    live = pick(tools.read(tools.host(call), VNICS).get(VNICS), name, "device")
    spec = editable(need(live, "VMkernel adapter", name).spec)
    if {"dhcp", "ip", "netmask"} & set(wanted):
        now = {"dhcp": bool(spec.ip and spec.ip.dhcp), "ip": spec.ip and spec.ip.ipAddress,
               "netmask": spec.ip and spec.ip.subnetMask}
        fresh = _ip({**now, **wanted})
        if spec.ip is None:
            spec.ip = fresh
        else:  # its IPv6 configuration stays
            spec.ip.dhcp, spec.ip.ipAddress, spec.ip.subnetMask = fresh.dhcp, fresh.ipAddress, fresh.subnetMask
    if wanted.get("mtu") is not None:
        spec.mtu = wanted["mtu"]
    tools.manager(call, "networkSystem").UpdateVirtualNic(device=name, nic=spec)


def remove(tools: Tools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemoveVirtualNic(device=call.address.name)


def select(tools: Tools, call: Call) -> None:
    tools.manager(call, "virtualNicManager").SelectVnicForNicType(
        nicType=NIC_TYPES[changed_item(call, "services")], device=call.address.name)


def deselect(tools: Tools, call: Call) -> None:
    tools.manager(call, "virtualNicManager").DeselectVnicForNicType(
        nicType=NIC_TYPES[changed_item(call, "services")], device=call.address.name)


def _number(name: str) -> int:
    return int(name[3:]) if name.startswith("vmk") and name[3:].isdigit() else -1


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """A new adapter gets the lowest free vmkN: a label that is not that name would never be met."""
    leaving = {c.address.name for c in changes if c.action in (Action.DELETE, Action.REPLACE)}
    taken = {_number(name) for name in existing if name not in leaving}
    made = [c for c in changes if c.action in (Action.CREATE, Action.REPLACE)]
    for change in sorted(made, key=lambda c: _number(c.address.name)):
        lowest = next(n for n in range(len(taken) + 1) if n not in taken)
        taken.add(lowest)
        if change.after and not change.after.get("dhcp") and not change.after.get("ip"):
            yield Diagnostic("error", "a new VMkernel adapter needs an address", "neither `dhcp: true` nor `ip` is set",
                             address=change.address, remedy="set `ip` and `netmask`, or `dhcp: true`")
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


def cuts(before: Attrs | None, now: Attrs | None) -> str:
    changed = {"dhcp", "ip", "netmask"} & set(now or {})
    return "may cut management, where this adapter carries it" if changed else ""


def cuts_tag(before: Attrs | None, now: Attrs | None) -> str:
    """The management tag; the other services do not carry management."""
    old, new = ((a or {}).get("services") or () for a in (before, now))
    return "may cut management" if ("management" in old) != ("management" in new) else ""  # type: ignore[operator]


def cuts_removed(before: Attrs | None, now: Attrs | None) -> str:
    return "may cut management" if (before or {}).get("portgroup") == "Management Network" else ""


VMKERNEL = ResourceType(
    name="vmkernel",
    doc="A VMkernel adapter: the host's own address on a network, and the services that use it.",
    parent="host",
    order=7,
    fields={
        "portgroup": Field("string", "The port group of this host that it is on.", required=True, replace=True),
        "dhcp": boolean("Whether its address comes from DHCP.", default=False),
        "ip": string("Its IPv4 address.", check="ipv4"),
        "netmask": string("Its subnet mask.", check="netmask"),
        "mtu": integer("Largest packet, in bytes; at most the vSwitch's.", default=1500, check="mtu"),
        "services": strings("Services that use it.", unordered=True, enum=tuple(sorted(NIC_TYPES))),
    },
    siblings={"portgroup": "portgroup"},
    unique=("ip",),
    label_doc="vmk0, vmk1, …: the host names a new adapter with the lowest free number",
    paths=(VNICS, TAGS),
    read=read,
    check=check,
    validate=validate,
    initial={"services": []},
    baseline={"vmk0": {
        "portgroup": "Management Network", "dhcp": True, "ip": Unknown("read after birth"),
        "netmask": Unknown("read after birth"), "mtu": 1500, "services": ["management"],
    }},
    operations=(
        Operation("vmkernel.add", "HostNetworkSystem.AddVirtualNic", "create", "Create the adapter.", add,
                  ("portgroup", "dhcp", "ip", "netmask", "mtu"), inverse="vmkernel.remove"),
        Operation("vmkernel.update", "HostNetworkSystem.UpdateVirtualNic", "update",
                  "Set address and MTU; the rest of it stays.", update, ("dhcp", "ip", "netmask", "mtu"),
                  inverse="vmkernel.update", disruptive=cuts, early=mtu_shrinks),
        Operation("vmkernel.deselect", "HostVirtualNicManager.DeselectVnicForNicType", "remove_item",
                  "Take a service off the adapter.", deselect, ("services",), inverse="vmkernel.select",
                  disruptive=cuts_tag),
        Operation("vmkernel.select", "HostVirtualNicManager.SelectVnicForNicType", "add_item",
                  "Let a service use the adapter.", select, ("services",), inverse="vmkernel.deselect",
                  disruptive=cuts_tag),
        Operation("vmkernel.remove", "HostNetworkSystem.RemoveVirtualNic", "delete", "Remove the adapter.", remove,
                  inverse="vmkernel.add", disruptive=cuts_removed),
    ),
)
