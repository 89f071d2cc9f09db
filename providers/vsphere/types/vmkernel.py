"""VMkernel adapter on a port group of a standard or a distributed switch, with its service tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field, boolean, integer, string, strings
from providers.vsphere.dvs.adapters import connect, cuts_move, in_place, migrate, port_group
from providers.vsphere.ip_rules import DEFAULT, IPV6, gateways, read_ipv6, set_gateways, set_ipv6
from providers.vsphere.tools import Tools, after, changed_item, editable, need, pick
from providers.vsphere.types.vswitch import mtu_shrinks
from providers.vsphere.vmk_rules import check, cuts, cuts_tag, validate

VNICS, TAGS = "config.network.vnic", "config.virtualNicManagerInfo.netConfig"
NIC_TYPES = {s: s for s in ("vmotion", "management", "faultToleranceLogging", "vSphereReplication",
                            "vSphereReplicationNFC", "vsan", "vsanWitness", "nvmeTcp", "nvmeRdma", "ptp")} | {
    "provisioning": "vSphereProvisioning", "backupNFC": "vSphereBackupNFC"}
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
    return {"portgroup": port_group(vnic), "dhcp": bool(ip and ip.dhcp), "ip": (ip and ip.ipAddress) or "",
            "netmask": (ip and ip.subnetMask) or "", "mtu": int(spec.mtu or 1500),
            "gateway": gateways(spec)[0], "ipv6": read_ipv6(spec), "stack": str(spec.netStackInstanceKey or DEFAULT),
            "services": services}


def _ip(wanted: Attrs) -> Any:
    from pyVmomi import vim

    if wanted.get("dhcp"):
        return vim.host.IpConfig(dhcp=True)
    return vim.host.IpConfig(dhcp=False, ipAddress=wanted.get("ip") or None, subnetMask=wanted.get("netmask") or None)


def _rest(spec: Any, wanted: Attrs) -> None:
    """Put MTU, own gateways and IPv6 into a spec that has its IPv4 configuration."""
    ipv6: Any = wanted.get("ipv6") or {}
    if wanted.get("mtu") is not None:
        spec.mtu = wanted["mtu"]
    if "gateway" in wanted or "gateway" in ipv6:
        set_gateways(spec, wanted.get("gateway"), ipv6.get("gateway"))
    if ipv6:
        set_ipv6(spec.ip, ipv6)


def add(tools: Tools, call: Call) -> None:
    """ESXi picks the device name: the lowest free vmkN. `check` makes sure at plan that it is the declared one."""
    from pyVmomi import vim

    wanted = after(call)
    spec = vim.host.VirtualNic.Specification(ip=_ip(wanted), mtu=1500, netStackInstanceKey=wanted.get("stack"))
    _rest(spec, wanted)
    group = connect(tools, call, spec, str(wanted["portgroup"]))
    made = tools.manager(call, "networkSystem").AddVirtualNic(portgroup=group, nic=spec)
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
    if spec.ip is None:
        spec.ip = _ip({})
    _rest(spec, wanted)
    tools.manager(call, "networkSystem").UpdateVirtualNic(device=name, nic=spec)


def remove(tools: Tools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemoveVirtualNic(device=call.address.name)


def select(tools: Tools, call: Call) -> None:
    tools.manager(call, "virtualNicManager").SelectVnicForNicType(
        nicType=NIC_TYPES[changed_item(call, "services")], device=call.address.name)


def deselect(tools: Tools, call: Call) -> None:
    tools.manager(call, "virtualNicManager").DeselectVnicForNicType(
        nicType=NIC_TYPES[changed_item(call, "services")], device=call.address.name)


_SET = ("dhcp", "ip", "netmask", "mtu", "gateway", "ipv6")
_LATER = Unknown("read after birth")

VMKERNEL = ResourceType(
    name="vmkernel",
    doc="A VMkernel adapter: the host's own address on a network, and the services that use it.",
    parent="host",
    order=7,
    fields={
        "portgroup": Field("string", "The port group of this host that it is on, or a distributed one: "
                           "${distributed_portgroup.LABEL}. To or from a distributed one it moves in place.",
                           required=True, replace=True, to=("distributed_portgroup",)),
        "dhcp": boolean("Whether its address comes from DHCP.", default=False),
        "ip": string("Its IPv4 address.", check="ipv4"),
        "netmask": string("Its subnet mask.", check="netmask"),
        "mtu": integer("Largest packet, in bytes; at most the vSwitch's.", default=1500, check="mtu"),
        "gateway": string("Its own default gateway; the stack's where unset.", check="ipv4"),
        "ipv6": Field("object", "Its IPv6 configuration; what is unset stays as it is.", fields=IPV6),
        "stack": Field("string", "Its TCP/IP stack: defaultTcpipStack, vmotion, vSphereProvisioning, or a made one.",
                       replace=True),
        "services": strings("Services that use it.", unordered=True, enum=tuple(sorted(NIC_TYPES))),
    },
    siblings={"portgroup": "portgroup", "stack": "tcpip_stack"},
    over={"portgroup": ("switch", "dvs")},
    moves={"portgroup": in_place},
    within={"mtu": "vswitch"},
    unique=("ip",),
    distinct=("portgroup",),  # AddVirtualNic refuses a second one: AlreadyExists
    label_doc="vmk0, vmk1, …: the host names a new adapter with the lowest free number",
    paths=(VNICS, TAGS),
    read=read,
    check=check,
    validate=validate,
    initial={"services": []},
    baseline={"vmk0": {
        "portgroup": "Management Network", "dhcp": True, "ip": _LATER, "netmask": _LATER, "mtu": 1500,
        "gateway": "", "ipv6": _LATER, "stack": DEFAULT, "services": ["management"],
    }},
    operations=(
        Operation("vmkernel.add", "HostNetworkSystem.AddVirtualNic", "create", "Create the adapter.", add,
                  ("portgroup", *_SET, "stack"), inverse="vmkernel.remove",
                  privileges=("Host.Config.Network",)),
        Operation("vmkernel.update", "HostNetworkSystem.UpdateVirtualNic", "update",
                  "Set addresses, gateways and MTU; the rest of it stays.", update, _SET,
                  inverse="vmkernel.update", disruptive=cuts, early=mtu_shrinks, privileges=("Host.Config.Network",)),
        Operation("vmkernel.migrate", "HostNetworkSystem.UpdateVirtualNic", "update",
                  "Move the adapter to another port group, of another kind of switch; the rest of it stays.", migrate,
                  ("portgroup",), inverse="vmkernel.migrate", disruptive=cuts_move,
                  privileges=("Host.Config.Network",)),
        Operation("vmkernel.deselect", "HostVirtualNicManager.DeselectVnicForNicType", "remove_item",
                  "Take a service off the adapter.", deselect, ("services",), inverse="vmkernel.select",
                  disruptive=cuts_tag, privileges=("Host.Config.Network",)),
        Operation("vmkernel.select", "HostVirtualNicManager.SelectVnicForNicType", "add_item",
                  "Let a service use the adapter.", select, ("services",), inverse="vmkernel.deselect",
                  disruptive=cuts_tag, privileges=("Host.Config.Network",)),
        Operation("vmkernel.remove", "HostNetworkSystem.RemoveVirtualNic", "delete", "Remove the adapter.", remove,
                  inverse="vmkernel.add", disruptive="may cut management, which this adapter carries",
                  privileges=("Host.Config.Network",)),
    ),
    tested=("twin", "recording"),
)
