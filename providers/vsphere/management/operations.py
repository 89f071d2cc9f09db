"""The calls by which management moves: each step one of them."""

from __future__ import annotations

import ipaddress
from typing import Any

from planner.model import Attrs, ReadFailed, StepFailed
from planner.ports import Call
from providers.vsphere.ip_rules import DEFAULT, set_gateways
from providers.vsphere.management.path import (
    DEVICE,
    SPARE,
    Path,
    PathTools,
    address,
    attributes,
    look,
)
from providers.vsphere.tools import after, editable, need

ANSWER_SECONDS = 60.0
"""How long a new address may take to answer: spanning tree may block a port for half a minute."""
RETURN_SECONDS = 180.0
"""How long a host may be gone while it takes a change back (its own limit is 30 s, then vCenter has to find it)."""


# --- the second path ----------------------------------------------------------------------------------------


def open_network(tools: PathTools, call: Call) -> None:
    """As vmk0's port group, but for the VLAN where another one is to come."""
    path = look(tools, call)
    spec = editable(path.group.spec)
    spec.name = SPARE
    vlan = after(call).get("on_vlan")
    spec.vlanId = vlan if isinstance(vlan, int) else spec.vlanId
    tools.manager(call, "networkSystem").AddPortGroup(portgrp=spec)


def close_network(tools: PathTools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemovePortGroup(pgName=SPARE)


def open_adapter(tools: PathTools, call: Call) -> None:
    from pyVmomi import vim

    spec = vim.host.VirtualNic.Specification(mtu=look(tools, call).vmk0.spec.mtu, netStackInstanceKey=DEFAULT)
    _address(spec, str(after(call)["adapter"]), str(after(call).get("via") or ""))
    tools.manager(call, "networkSystem").AddVirtualNic(portgroup=SPARE, nic=spec)


def _address(spec: Any, text: str, gateway: str) -> None:
    """Put "10.0.0.5/24" and a gateway of its own into a HostVirtualNicSpec: the stack's leads elsewhere."""
    from pyVmomi import vim

    wanted = ipaddress.IPv4Interface(text)
    near = bool(gateway) and ipaddress.ip_address(gateway) in wanted.network
    spec.ip = vim.host.IpConfig(dhcp=False, ipAddress=str(wanted.ip), subnetMask=str(wanted.netmask))
    set_gateways(spec, gateway if near else "", None)


def close_adapter(tools: PathTools, call: Call) -> None:
    tools.manager(call, "networkSystem").RemoveVirtualNic(device=_spare(tools, call).device)


def _spare(tools: PathTools, call: Call) -> Any:
    return need(look(tools, call).adapter, "VMkernel adapter", f"on {SPARE}")


def select(tools: PathTools, call: Call) -> None:
    tools.manager(call, "virtualNicManager").SelectVnicForNicType(
        nicType="management", device=_spare(tools, call).device)


def deselect(tools: PathTools, call: Call) -> None:
    tools.manager(call, "virtualNicManager").DeselectVnicForNicType(
        nicType="management", device=_spare(tools, call).device)


# --- vCenter's connection -----------------------------------------------------------------------------------


def disconnect(tools: PathTools, call: Call) -> None:
    """Only when the other path answers, and the host's name leads to it: until then nothing was cut."""
    path = look(tools, call)
    known = (call.before or {}).get("at")
    now = known if known and isinstance(known, str) else address(path.vmk0)
    other = next((a for a in (address(path.adapter), address(path.vmk0)) if a and a != now), "")
    if not other:
        raise StepFailed("there is no second path to this host", f"it answers at {now} only", "roll back, plan again")
    _await_answer(tools, call, other)
    _check_name(tools, call, other)
    tools.wait(tools.host(call).DisconnectHost_Task(), call)


def _await_answer(tools: PathTools, call: Call, where: str) -> None:
    limit = min(tools.now() + ANSWER_SECONDS, call.deadline)
    birth = {"ip": where, "certificate": _certificate(tools, call)}
    while not tools.answers(birth):
        if tools.now() >= limit:
            raise StepFailed(
                "the new management address does not answer", f"nobody at {where} shows this host's certificate",
                "check that VLAN, netmask and gateway are those of that network, and that the physical switch carries "
                "it; the host still has its old address, and `fleet rollback` takes the second path away")
        tools.pause(2.0, call)


def _certificate(tools: PathTools, call: Call) -> str:
    """PEM that the host shows: as vCenter has it now, else as its birth brought it."""
    found = tools.read(tools.host(call), "config.certificate").get("config.certificate")
    pem = bytes(b & 0xFF for b in found).decode("ascii", "replace") if found else ""
    pem = pem or str(call.facts.get("certificate") or "")
    if not pem:
        raise ReadFailed("the host's certificate is not known", "vCenter does not tell, and no birth brought it")
    return pem


def _name(tools: PathTools, call: Call) -> str:
    return str(call.declared.get("name") or tools.read(tools.host(call), "name").get("name") or "")


def _check_name(tools: PathTools, call: Call, where: str) -> None:
    name = _name(tools, call)
    found = tools.leads(name, where)
    if found and where not in found:
        raise StepFailed(
            "the host's name does not lead to its new address", f"{name} leads to {', '.join(sorted(found))}, and not "
            f"to {where}", f"change the DNS record of {name} to {where}, then `fleet resume`")


def reconnect(tools: PathTools, call: Call) -> None:
    """By its name, which leads to the other address now (ReconnectHost_Task takes a changed address)."""
    from pyVmomi import vim

    where = str(after(call).get("at") or "")
    if where:
        _check_name(tools, call, where)
    spec = vim.host.ConnectSpec(hostName=_name(tools, call), force=False)
    tools.wait(tools.host(call).ReconnectHost_Task(cnxSpec=spec, reconnectSpec=None), call)


# --- the change itself --------------------------------------------------------------------------------------


def update(tools: PathTools, call: Call) -> None:
    """Address, VLAN and gateway in one transaction; where there is a second path it takes what vmk0 had."""
    from pyVmomi import vim, vmodl

    path, wanted = look(tools, call), after(call)
    config = vim.host.NetworkConfig(vnic=_adapters(path, wanted), portgroup=_groups(path, wanted))
    gateway = _gateway(path, wanted)
    if gateway:
        config.ipRouteConfig = vim.host.IpRouteConfig(defaultGateway=gateway)
    system = tools.manager(call, "networkSystem")
    try:
        system.UpdateNetworkConfig(config=config, changeMode="modify")
    except vmodl.fault.HostCommunication as problem:  # HostNotConnected and HostNotReachable among them
        _settle(tools, call, problem)


def _groups(path: Path, wanted: Attrs) -> list[Any]:
    from pyVmomi import vim

    vlan = wanted.get("vlan")
    if not isinstance(vlan, int):
        return []
    changed = [(path.group, vlan)]
    if path.network is not None:
        changed.append((path.network, int(path.group.spec.vlanId)))
    found = []
    for group, number in changed:
        spec = editable(group.spec)
        spec.vlanId = number
        found.append(vim.host.PortGroup.Config(changeOperation="edit", spec=spec))
    return found


def _adapters(path: Path, wanted: Attrs) -> list[Any]:
    from pyVmomi import vim

    if not {"dhcp", "ip", "netmask"} & set(wanted):
        return []
    found = [(DEVICE, _vmk0(path, wanted))]
    if path.adapter is not None:  # the old path goes on answering, there
        spare = editable(path.adapter.spec)
        own = ipaddress.ip_interface(f"{address(path.vmk0)}/{path.vmk0.spec.ip.subnetMask}")
        _address(spare, f"{own.ip}/{own.network.prefixlen}", path.gateway)
        found.append((path.adapter.device, spare))
    return [vim.host.VirtualNic.Config(changeOperation="edit", device=device, spec=spec) for device, spec in found]


def _vmk0(path: Path, wanted: Attrs) -> Any:
    spec = editable(path.vmk0.spec)
    static = wanted.get("ip") or (wanted.get("dhcp") is False and address(path.vmk0))
    if wanted.get("dhcp") is True or (wanted.get("ip") == "" and not static):
        spec.ip.dhcp, spec.ip.ipAddress, spec.ip.subnetMask = True, None, None
        return spec
    spec.ip.dhcp = False
    spec.ip.ipAddress = static or spec.ip.ipAddress
    spec.ip.subnetMask = wanted.get("netmask") or spec.ip.subnetMask
    return spec


def _gateway(path: Path, wanted: Attrs) -> str:
    """The default gateway to set; "" where it stays, or comes with a lease. That of a lease that ends stays."""
    if wanted.get("gateway"):
        return str(wanted["gateway"])
    leased = bool(path.vmk0.spec.ip.dhcp)
    return path.gateway if leased and wanted.get("ip") and "gateway" not in wanted else ""


def _settle(tools: PathTools, call: Call, problem: Any) -> None:
    """vCenter lost the host on the way. Either it comes back as changed, or it has taken the change back."""
    from providers.vsphere.faults import fault_name, fault_text

    limit = min(tools.now() + RETURN_SECONDS, call.deadline)
    while (status := tools.live_host(call)) is None or status["connection"] != "connected":
        if tools.now() >= limit:
            raise problem
        tools.pause(2.0, call)
    found = attributes(look(tools, call))
    if all(found.get(k) == v for k, v in after(call).items()):
        return
    if any(found.get(k) != v for k, v in (call.before or {}).items()):
        raise problem
    raise StepFailed("the host took the change of its management network back",
                     f"{fault_name(problem)}: {fault_text(problem) or 'vCenter gave no reason'}",
                     "it has its old address; check the new VLAN, address and gateway, then `fleet resume`")
