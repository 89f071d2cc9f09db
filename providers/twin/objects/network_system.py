"""HostNetworkSystem: standard switches, port groups, VMkernel adapters, DNS."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import method, prop
from providers.twin.model import Dns, HostConfig, Plain, Portgroup, Vnic, Vswitch
from providers.twin.objects.host import HostManager
from providers.twin.plain import prune, to_plain
from providers.twin.views import network

_ADAPTERS = 256  # VMkernel adapters of a host
_STACKS = (None, "", "defaultTcpipStack")


def invalid(name: str, text: str) -> Exception:
    """vmodl.fault.InvalidArgument for that argument."""
    fault: Exception = vmodl.fault.InvalidArgument(
        invalidProperty=name, msg=f"A specified parameter was not correct: {name}. {text}"
    )
    return fault


def refused(text: str) -> Exception:
    """vim.fault.PlatformConfigFault: the host's own answer to what it cannot do."""
    fault: Exception = vim.fault.PlatformConfigFault(text=text, msg=text)
    return fault


class NetworkSystem(HostManager):
    """`vim.host.NetworkSystem`."""

    wire = "HostNetworkSystem"
    field, prefix, door_id = "networkSystem", "networkSystem", "networkSystem"

    @prop("networkInfo")
    def network_info(self) -> Any:
        return network.network_info(self.host.box, self.config)

    @prop("networkInfo.vswitch")
    def vswitch(self) -> Any:
        return network.vswitches(self.config)

    @prop("networkInfo.portgroup")
    def portgroup(self) -> Any:
        return network.portgroups(self.config)

    @prop("networkInfo.vnic")
    def vnic(self) -> Any:
        return network.vnics(self.config)

    @prop("networkInfo.pnic")
    def pnic(self) -> Any:
        return network.pnics(self.host.box)

    @prop("networkConfig")
    def network_config(self) -> Any:
        return network.network_config(self.config)

    @prop("dnsConfig", "networkInfo.dnsConfig")
    def dns_config(self) -> Any:
        return network.dns(self.config)

    @method("RefreshNetworkSystem")
    def refresh(self) -> None:
        self.host.open()

    # --- switches -----------------------------------------------------------------------------------------

    @method("AddVirtualSwitch", mutates=True)
    def add_virtual_switch(self, vswitchName: str, spec: Any = None) -> None:
        with self.editing() as config:
            if vswitchName in config.vswitches:
                raise vim.fault.AlreadyExists(name=vswitchName, msg=f"The virtual switch {vswitchName} already exists.")
            if not vswitchName or len(vswitchName) > 31:
                raise invalid("vswitchName", "A switch's name has 1 to 31 characters.")
            made = Vswitch()
            if spec is not None:
                self._set_switch(config, vswitchName, made, spec)
            config.vswitches[vswitchName] = made

    @method("UpdateVirtualSwitch", mutates=True)
    def update_virtual_switch(self, vswitchName: str, spec: Any) -> None:
        with self.editing() as config:
            self._set_switch(config, vswitchName, self._switch(config, vswitchName), spec)

    @method("RemoveVirtualSwitch", mutates=True)
    def remove_virtual_switch(self, vswitchName: str) -> None:
        with self.editing() as config:
            self._switch(config, vswitchName)
            groups = [name for name, group in config.portgroups.items() if group.vswitch == vswitchName]
            for name in groups:
                self._unused(config, name, "HostVirtualSwitch", vswitchName)
            for name in groups:
                del config.portgroups[name]
            del config.vswitches[vswitchName]

    def _switch(self, config: HostConfig, name: str) -> Vswitch:
        found = config.vswitches.get(name)
        if found is None:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no virtual switch {name}.")
        return found

    def _set_switch(self, config: HostConfig, name: str, switch: Vswitch, spec: Any) -> None:
        """Bring a switch to its specification. Unset mtu and policy stay; an unset bridge means no uplinks."""
        if not 0 < spec.numPorts <= 4096:
            raise invalid("spec.numPorts", "1 to 4096 ports.")
        if spec.mtu is not None:
            if not 1280 <= spec.mtu <= 9000:
                raise invalid("spec.mtu", "1280 to 9000.")
            switch.mtu = spec.mtu
        switch.ports = spec.numPorts
        self._set_uplinks(config, name, switch, spec.bridge)
        if spec.policy is not None:
            wanted = to_plain(spec.policy)
            usual = network.policy_of(Vswitch(uplinks=switch.uplinks))
            self._check_order(wanted, switch)
            switch.policy = prune(wanted, usual)
        self._check_order(switch.policy, switch)

    def _set_uplinks(self, config: HostConfig, name: str, switch: Vswitch, bridge: Any) -> None:
        if bridge is None:
            switch.uplinks = []
            return
        if not isinstance(bridge, vim.host.VirtualSwitch.BondBridge):
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate a {type(bridge)._wsdlName}")
        devices = {f"vmnic{number}" for number in range(len(self.host.box.nics))}
        for device in bridge.nicDevice:
            if device not in devices:
                raise refused(f"The host {self.host.name} has no physical NIC {device}.")
            for other, each in config.vswitches.items():
                if other != name and device in each.uplinks:
                    raise vim.fault.ResourceInUse(
                        type=vim.host.PhysicalNic, name=device, msg=f"{device} is an uplink of {other} already."
                    )
        if len(set(bridge.nicDevice)) != len(bridge.nicDevice):
            raise invalid("spec.bridge.nicDevice", "A NIC is named twice.")
        switch.uplinks = [str(each) for each in bridge.nicDevice]
        if bridge.beacon is not None:
            switch.beacon = bridge.beacon.interval
        if bridge.linkDiscoveryProtocolConfig is not None:
            switch.discovery = prune(
                to_plain(bridge.linkDiscoveryProtocolConfig), {"protocol": "cdp", "operation": "listen"}
            )

    @staticmethod
    def _check_order(policy: Plain, switch: Vswitch) -> None:
        order = policy.get("nicTeaming", {}).get("nicOrder", {})
        strange = [each for kind in ("activeNic", "standbyNic") for each in order.get(kind, ())
                   if each not in switch.uplinks]
        if strange:
            raise refused(f"The NIC order names {', '.join(strange)}, which is no uplink of the switch.")

    # --- port groups --------------------------------------------------------------------------------------

    @method("AddPortGroup", mutates=True)
    def add_port_group(self, portgrp: Any) -> None:
        with self.editing() as config:
            if portgrp.name in config.portgroups:
                raise vim.fault.AlreadyExists(name=portgrp.name, msg=f"The port group {portgrp.name} already exists.")
            self._switch(config, portgrp.vswitchName)
            if not portgrp.name:
                raise invalid("portgrp.name", "A port group has a name.")
            made = Portgroup(portgrp.vswitchName)
            self._set_group(config, made, portgrp)
            config.portgroups[portgrp.name] = made

    @method("UpdatePortGroup", mutates=True)
    def update_port_group(self, pgName: str, portgrp: Any) -> None:
        with self.editing() as config:
            group = self._group(config, pgName)
            if portgrp.vswitchName != group.vswitch:
                raise invalid("portgrp.vswitchName", "A port group cannot move to another switch.")
            self._set_group(config, group, portgrp)
            if portgrp.name != pgName:
                self._rename_group(config, pgName, portgrp.name)

    @method("RemovePortGroup", mutates=True)
    def remove_port_group(self, pgName: str) -> None:
        with self.editing() as config:
            self._group(config, pgName)
            self._unused(config, pgName, "HostPortGroup", pgName)
            del config.portgroups[pgName]

    def _group(self, config: HostConfig, name: str) -> Portgroup:
        found = config.portgroups.get(name)
        if found is None:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no port group {name}.")
        return found

    @staticmethod
    def _set_group(config: HostConfig, group: Portgroup, spec: Any) -> None:
        if not 0 <= spec.vlanId <= 4095:
            raise invalid("portgrp.vlanId", "0 to 4095.")
        group.vlan = spec.vlanId
        if spec.policy is not None:
            wanted = prune(to_plain(spec.policy), {})
            NetworkSystem._check_order(wanted, config.vswitches[group.vswitch])
            group.policy = wanted

    @staticmethod
    def _rename_group(config: HostConfig, before: str, after: str) -> None:
        if not after:
            raise invalid("portgrp.name", "A port group has a name.")
        if after in config.portgroups:
            raise vim.fault.AlreadyExists(name=after, msg=f"The port group {after} already exists.")
        config.portgroups = {after if name == before else name: each for name, each in config.portgroups.items()}
        for nic in config.vnics.values():
            if nic.portgroup == before:
                nic.portgroup = after

    def _unused(self, config: HostConfig, group: str, kind: str, name: str) -> None:
        """Raises vim.fault.ResourceInUse where an adapter or a running VM is connected to the port group."""
        users = [device for device, nic in config.vnics.items() if nic.portgroup == group]
        host = self.house.inventory.host_of(self.host.box.mac)
        if host is not None:
            users += [
                vm.name for vm in self.house.inventory.vms_on(host) if group in vm.networks and vm.power == "poweredOn"
            ]
        if users:
            raise vim.fault.ResourceInUse(
                type=vim.host.PortGroup, name=name, msg=f"The port group {group} is in use by {', '.join(users)}."
            )

    # --- adapters -----------------------------------------------------------------------------------------

    @method("AddVirtualNic", mutates=True)
    def add_virtual_nic(self, portgroup: str, nic: Any) -> str:
        with self.editing() as config:
            if portgroup not in config.portgroups:
                raise invalid("portgroup", f"The host {self.host.name} has no port group {portgroup!r}.")
            self._free_group(config, portgroup, "")
            if len(config.vnics) >= _ADAPTERS:
                raise refused(f"A host has at most {_ADAPTERS} VMkernel adapters.")
            device = next(name for name in map("vmk{}".format, range(_ADAPTERS)) if name not in config.vnics)
            if nic.ip is None:
                raise invalid("nic.ip", "The adapter needs an IP configuration.")
            made = Vnic(portgroup, mac=nic.mac or self._derived("mac", device))
            self._set_nic(made, nic, device)
            config.vnics[device] = made
            config.vnics = dict(sorted(config.vnics.items(), key=lambda item: int(item[0][3:])))
        return device

    @method("UpdateVirtualNic", mutates=True)
    def update_virtual_nic(self, device: str, nic: Any) -> None:
        with self.editing() as config:
            found = self._nic(config, device)
            if nic.portgroup and nic.portgroup != found.portgroup:
                if nic.portgroup not in config.portgroups:
                    raise vim.fault.NotFound(msg=f"The host {self.host.name} has no port group {nic.portgroup}.")
                self._free_group(config, nic.portgroup, device, move=True)
                found.portgroup = str(nic.portgroup)
            self._set_nic(found, nic, device)

    @method("RemoveVirtualNic", mutates=True)
    def remove_virtual_nic(self, device: str) -> None:
        with self.editing() as config:
            self._nic(config, device)
            del config.vnics[device]

    def _nic(self, config: HostConfig, device: str) -> Vnic:
        found = config.vnics.get(device)
        if found is None:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no VMkernel adapter {device}.")
        return found

    @staticmethod
    def _free_group(config: HostConfig, group: str, device: str, *, move: bool = False) -> None:
        """A port group of a standard switch takes one adapter."""
        for other, each in config.vnics.items():
            if each.portgroup == group and other != device:
                text = f"The port group {group} already has the VMkernel adapter {other}."
                raise refused(text) if move else vim.fault.AlreadyExists(name=group, msg=text)

    def _set_nic(self, nic: Vnic, spec: Any, device: str) -> None:
        """Bring an adapter to its specification; what is unset stays as it is."""
        for name in ("distributedVirtualPort", "opaqueNetwork", "externalId", "pinnedPnic"):
            if getattr(spec, name):
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate HostVirtualNicSpec.{name}")
        if spec.netStackInstanceKey not in _STACKS:
            raise vmodl.fault.NotSupported(
                msg=f"The twin does not simulate the TCP/IP stack {spec.netStackInstanceKey}"
            )
        if spec.mtu is not None:
            if not 1280 <= spec.mtu <= 9000:
                raise invalid("nic.mtu", "1280 to 9000.")
            nic.mtu = spec.mtu
        if spec.ip is not None:
            self._set_address(nic, spec.ip, device)
        if spec.ipRouteSpec is not None and spec.ipRouteSpec.ipRouteConfig is not None:
            nic.gateway = spec.ipRouteSpec.ipRouteConfig.defaultGateway or ""

    def _set_address(self, nic: Vnic, ip: Any, device: str) -> None:
        if ip.ipV6Config is not None and (ip.ipV6Config.ipV6Address or ip.ipV6Config.dhcpV6Enabled):
            raise vmodl.fault.NotSupported(msg="The twin does not simulate IPv6 addresses of VMkernel adapters")
        if ip.dhcp:
            if not nic.dhcp:
                nic.ip, nic.netmask = self._lease(device)
        else:
            nic.ip, nic.netmask = _address(ip.ipAddress, ip.subnetMask)
        nic.dhcp = bool(ip.dhcp)

    def _lease(self, device: str) -> tuple[str, str]:
        """What DHCP hands an adapter: vmk0 the machine's own address, others one of 100.64.0.0/10."""
        from providers.twin.baseline import NETMASK

        return (self.host.box.ip, NETMASK) if device == "vmk0" else (self._derived("ip", device), "255.192.0.0")

    def _derived(self, what: str, device: str) -> str:
        digest = hashlib.sha256(f"{self.host.box.uuid}/{device}".encode()).digest()
        if what == "mac":
            return f"00:50:56:6{digest[0] & 15:x}:{digest[1]:02x}:{digest[2]:02x}"
        return str(ipaddress.IPv4Address(0x64400000 | (int.from_bytes(digest[:4], "big") & 0x3FFFFF)))

    # --- DNS ----------------------------------------------------------------------------------------------

    @method("UpdateDnsConfig", mutates=True)
    def update_dns_config(self, config: Any) -> None:
        with self.editing() as edited:
            if config.dhcp:
                if config.virtualNicDevice and config.virtualNicDevice not in edited.vnics:
                    raise vim.fault.NotFound(msg=f"There is no VMkernel adapter {config.virtualNicDevice}.")
                edited.dns = Dns(True, edited.dns.hostname)  # everything else comes with the lease
                return
            for address in config.address:
                _ip("config.address", address)
            edited.dns = Dns(
                False, config.hostName or "", config.domainName or "", [str(each) for each in config.address],
                [str(each) for each in config.searchDomain],
            )


def _ip(name: str, text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text or "")
    except ValueError:
        raise invalid(name, f"{text!r} is not an IP address.") from None


def _address(ip: str | None, mask: str | None) -> tuple[str, str]:
    """Address and netmask, checked. Raises vmodl.fault.InvalidArgument."""
    address = _ip("nic.ip.ipAddress", ip)
    bits = int(_ip("nic.ip.subnetMask", mask))
    if address.version != 4 or address.is_multicast or address.is_unspecified:
        raise invalid("nic.ip.ipAddress", f"{ip} cannot be a host's address.")
    if (~bits & 0xFFFFFFFF) & ((~bits & 0xFFFFFFFF) + 1) or bits == 0:
        raise invalid("nic.ip.subnetMask", f"{mask} is no netmask.")
    return str(ip), str(mask)
