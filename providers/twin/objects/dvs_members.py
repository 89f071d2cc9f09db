"""Hosts of a distributed switch: joining, their NICs, leaving. What vCenter decides is pushed to the host at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from pyVmomi import vim

from providers.twin.model import Box, Host, HostConfig, Hypervisor, Network, Vm
from providers.twin.objects.network_faults import invalid
from providers.twin.parts.dvs import Dvpg, Dvs, Member, Proxy
from providers.twin.reach import cut
from providers.twin.views.dvs import lag_ports

if TYPE_CHECKING:
    from providers.twin.house import House


def apply_host(house: House, switch: Dvs, spec: Any, reference: Any) -> None:
    """One DistributedVirtualSwitchHostMemberConfigSpec. `reference`: of the host, for faults.

    Raises vim.fault.AlreadyExists, NotFound, ResourceInUse, ResourceNotAvailable, DvsOperationBulkFault (with what the
    host said) and vmodl.fault.InvalidArgument.
    """
    host = house.inventory.get(reference._moId, Host)
    if host is None:
        raise invalid("spec.host", "There is no such host.")
    if spec.operation == "remove":
        _remove(house, switch, host)
        return
    if house.inventory.datacenter_of(host).id != house.inventory.datacenter_of(switch).id:
        raise invalid("spec.host", f"{host.name} is in another datacenter than {switch.name}.")
    known = switch.members.get(host.id)
    if spec.operation == "add" and known is not None:
        raise vim.fault.AlreadyExists(name=host.name, msg=f"{host.name} is a member of {switch.name} already.")
    if spec.operation == "edit" and known is None:
        raise vim.fault.NotFound(msg=f"{host.name} is no member of {switch.name}.")
    if spec.operation not in ("add", "edit"):
        raise invalid("spec.host.operation", f"{spec.operation!r} is none of add, edit, remove.")
    box, running = _answering(house, host, reference)
    if _number(running.version) < _number(switch.version):
        raise _host_fault(reference, vim.fault.PlatformConfigFault(
            text="version", msg=f"{host.name} runs {running.version}: it cannot join a switch of version "
                                f"{switch.version}."))
    if spec.operation == "edit" and switch.uuid not in running.config.proxies:
        raise _host_fault(reference, vim.fault.NotFound(
            msg=f"{host.name} has lost its part of {switch.name} (it was reborn): remove it, and add it again."))
    made = _clone(known) if known is not None else ports_for(switch, Member())
    if spec.backing is not None:
        _set_uplinks(box, running.config, switch, made, spec.backing)
    _push(house, switch, host, reference, made)
    switch.members[host.id] = made


def _clone(member: Member) -> Member:
    return msgspec.convert(msgspec.to_builtins(member), Member)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _answering(house: House, host: Host, reference: Any) -> tuple[Box, Hypervisor]:
    box = house.contact.reachable(host)
    if host.connection != "connected" or box is None or box.running is None:
        raise _host_fault(reference, _not_connected(host))
    return box, box.running


def _not_connected(host: Host) -> Any:
    from pyVmomi import vmodl

    return vmodl.fault.HostNotConnected(msg=f"Unable to communicate with {host.name}: it is {host.connection}.")


def _host_fault(reference: Any, fault: Any) -> Exception:
    """What went wrong on a host, as a switch's call says it."""
    found: Exception = vim.fault.DvsOperationBulkFault(
        hostFault=[vim.fault.DvsOperationBulkFault.FaultOnHost(host=reference, fault=fault)],
        msg="A distributed switch operation failed on one or more hosts.")
    return found


def ports_for(switch: Dvs, member: Member) -> Member:
    """The member with a port for each uplink of the switch, and for each of its LAGs; ports that it has stay."""
    member.ports = {name: member.ports.get(name) or _port(switch) for name in switch.uplinks}
    member.lags = {name: {port: member.lags.get(name, {}).get(port) or _port(switch) for port in lag_ports(name, each)}
                   for name, each in switch.lags.items()}
    return member


def _port(switch: Dvs) -> str:
    switch.next += 1
    return str(switch.next)


def new_port(switch: Dvs) -> str:
    """A fresh port key."""
    return _port(switch)


def _set_uplinks(box: Box, config: HostConfig, switch: Dvs, member: Member, backing: Any) -> None:
    """The NICs that a member has from now on: all that the backing names, and no other."""
    if not isinstance(backing, vim.dvs.HostMember.PnicBacking):
        raise invalid("spec.host.backing", "A member is backed by physical NICs.")
    devices = [str(each.pnicDevice) for each in backing.pnicSpec]
    if len(set(devices)) != len(devices):
        raise invalid("spec.host.backing.pnicSpec", "A NIC is named twice.")
    for device in devices:
        if device not in {f"vmnic{number}" for number in range(len(box.nics))}:
            raise vim.fault.NotFound(msg=f"The host has no physical NIC {device}.")
        owner = [n for n, each in config.vswitches.items() if device in each.uplinks]
        owner += [each.name for uuid, each in config.proxies.items() if uuid != switch.uuid and device in each.uplinks]
        if owner:
            raise vim.fault.ResourceInUse(type=vim.host.PhysicalNic, name=device,
                                          msg=f"{device} is an uplink of {owner[0]} already.")
    known = {*member.ports.values(), *(key for ports in member.lags.values() for key in ports.values())}
    wanted = {str(each.pnicDevice): str(each.uplinkPortKey or "") for each in backing.pnicSpec}
    taken: set[str] = set()
    for key in filter(None, wanted.values()):
        if key not in known:
            raise invalid("spec.host.backing.pnicSpec.uplinkPortKey", f"The host has no uplink port {key}.")
        if key in taken:
            raise vim.fault.ResourceInUse(type=vim.DistributedVirtualSwitch, name=key,
                                          msg=f"Two NICs on the uplink port {key}.")
        taken.add(key)
    for device, key in wanted.items():
        if not key:
            free = [each for each in member.ports.values() if each not in taken]
            if not free:
                raise vim.fault.ResourceNotAvailable(
                    containerType="DistributedVirtualSwitch", containerName=switch.name, type="uplink port",
                    msg=f"{switch.name} has {len(member.ports)} uplinks on each host, and all of them are in use.")
            wanted[device] = free[0]
            taken.add(free[0])
    member.uplinks = wanted


def proxy(house: House, switch: Dvs, member: Member) -> Proxy:
    """What a host knows of its part of a switch."""
    vlans = {each.id: int(each.setting.get("vlan", {}).get("vlanId", 0)) for each in groups_of(house, switch)
             if isinstance(each.setting.get("vlan", {}).get("vlanId", 0), int)}
    return Proxy(switch.name, switch.mtu, switch.group, dict(member.ports),
                 {name: dict(ports) for name, ports in member.lags.items()}, dict(member.uplinks), vlans)


def _push(house: House, switch: Dvs, host: Host, reference: Any, member: Member) -> None:
    """The host takes it, or takes it back where it would lose its management network."""
    box, running = _answering(house, host, reference)
    config = msgspec.convert(msgspec.to_builtins(running.config), HostConfig)
    config.proxies[switch.uuid] = proxy(house, switch, member)
    _check_reach(box, config, host, reference)
    _keep(house, host, box, config)


def _check_reach(box: Box, config: HostConfig, host: Host, reference: Any) -> None:
    why = cut(box, config, host)
    if why:
        raise _host_fault(reference, vim.fault.NetworkDisruptedAndConfigRolledBack(
            host=host.name, msg=f"Network configuration on {host.name} is rolled back: {why}."))


def _keep(house: House, host: Host, box: Box, config: HostConfig) -> None:
    running = box.running
    assert running is not None  # noqa: S101 -- whoever calls has just looked
    house.lag.changed(box.mac, box.boots, running.config)
    running.config = config
    house.inventory.mark(box)
    house.inventory.attach(host, config)


def _remove(house: House, switch: Dvs, host: Host) -> None:
    if host.id not in switch.members:
        raise vim.fault.NotFound(msg=f"{host.name} is no member of {switch.name}.")
    box = house.contact.reachable(host)
    there = box.running.config if box is not None and box.running is not None else None
    users = [] if there is None else [
        device for device, nic in there.vnics.items() if nic.port is not None and nic.port.switch == switch.uuid]
    names = {each.name for each in groups_of(house, switch)}
    users += [vm.name for vm in house.inventory.vms_on(host) if names & set(vm.networks) and vm.power == "poweredOn"]
    if users:
        raise vim.fault.ResourceInUse(type=vim.HostSystem, name=host.name, msg=f"{', '.join(users)} of {host.name} "
                                      f"{'is' if len(users) == 1 else 'are'} connected to {switch.name}.")
    if box is not None and there is not None and switch.uuid in there.proxies:
        config = msgspec.convert(msgspec.to_builtins(there), HostConfig)
        del config.proxies[switch.uuid]
        _keep(house, host, box, config)
    del switch.members[host.id]


def groups_of(house: House, switch: Dvs) -> list[Dvpg]:
    return [each for each in house.inventory.all(Dvpg) if each.switch == switch.id]


def push_all(house: House, switch: Dvs, reference: Any) -> None:
    """Name, MTU, uplinks, LAGs or port groups changed: every host that answers learns it, or none does.

    `reference`: host id → its reference. Raises vim.fault.DvsOperationBulkFault where one would lose its management.
    """
    changed: list[tuple[Host, Box, HostConfig]] = []
    for identity, member in switch.members.items():
        ports_for(switch, member)
        host = house.inventory.get(identity, Host)
        box = house.contact.reachable(host) if host is not None else None
        if host is None or box is None or box.running is None or switch.uuid not in box.running.config.proxies:
            continue
        config = msgspec.convert(msgspec.to_builtins(box.running.config), HostConfig)
        config.proxies[switch.uuid] = proxy(house, switch, member)
        if config.proxies[switch.uuid] != box.running.config.proxies[switch.uuid]:
            _check_reach(box, config, host, reference(host.id))
            changed.append((host, box, config))
    for host, box, config in changed:
        _keep(house, host, box, config)


def forget_host(house: House, host: Host) -> None:
    """A host that leaves vCenter leaves its switches. The host itself goes on with its part of them, as ESXi does."""
    for switch in house.inventory.all(Dvs):
        if switch.members.pop(host.id, None) is not None:
            house.inventory.mark(switch)


def connected(house: House, group: Dvpg) -> list[str]:
    """Names of what is connected to a port group: adapters (as HOST/vmk1), and running virtual machines."""
    found = []
    for box in house.inventory.all(Box):
        nics = box.running.config.vnics if box.running is not None else {}
        found += [f"{box.name}/{device}" for device, nic in nics.items() if nic.port and nic.port.group == group.id]
    return found + [vm.name for vm in house.inventory.all(Vm) if group.name in vm.networks and _in(house, vm, group)]


def _in(house: House, machine: Vm, group: Dvpg) -> bool:
    """Whether a VM's network of that name is this group: its host is a member, and has no standard one of that name."""
    switch, host = house.inventory.need(group.switch, Dvs), house.inventory.get(machine.host, Host)
    return host is not None and host.id in switch.members and not any(
        each.name == group.name for each in house.inventory.used_by(host, Network))
