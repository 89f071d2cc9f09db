"""HostNetworkSystem: VMkernel adapters."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import method
from providers.twin.model import HostConfig, Vnic
from providers.twin.objects import dvs_ports
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_faults import invalid, ip, known, refused
from providers.twin.parts.network import DEFAULT

_ADAPTERS = 256  # VMkernel adapters of a host


class Adapters(HostManager):
    """What NetworkSystem does to VMkernel adapters."""

    # --- adapters -----------------------------------------------------------------------------------------

    @method("AddVirtualNic", mutates=True)
    def add_virtual_nic(self, portgroup: str, nic: Any) -> str:
        with self.editing() as config:
            port = dvs_ports.connected(self, config, nic, None)
            if port is None and portgroup not in config.portgroups:
                raise invalid("portgroup", f"The host {self.host.name} has no port group {portgroup!r}.")
            if port is not None and portgroup:
                raise invalid("portgroup", "An adapter is on a port group or on a distributed port, not on both.")
            self._free_group(config, portgroup, "")
            if len(config.vnics) >= _ADAPTERS:
                raise refused(f"A host has at most {_ADAPTERS} VMkernel adapters.")
            device = next(name for name in map("vmk{}".format, range(_ADAPTERS)) if name not in config.vnics)
            if nic.ip is None:
                raise invalid("nic.ip", "The adapter needs an IP configuration.")
            self._make_nic(config, device, portgroup, nic)
            config.vnics[device].port = port
        return device

    def _make_nic(self, config: HostConfig, device: str, portgroup: str, spec: Any) -> None:
        key = spec.netStackInstanceKey or DEFAULT
        if config.network.stack(key) is None:
            raise refused(f"The host {self.host.name} has no TCP/IP stack {key}.")
        made = Vnic(portgroup, mac=spec.mac or self._derived("mac", device), stack=str(key))
        self._set_nic(config, made, spec, device)
        config.vnics[device] = made
        config.vnics = dict(sorted(config.vnics.items(), key=lambda item: int(item[0][3:])))

    @method("UpdateVirtualNic", mutates=True)
    def update_virtual_nic(self, device: str, nic: Any) -> None:
        with self.editing() as config:
            found = self._nic(config, device)
            port = dvs_ports.connected(self, config, nic, found.port)
            if port is not None and nic.portgroup:
                raise invalid("nic.portgroup", "An adapter is on a port group or on a distributed port, not on both.")
            if port is not None:
                found.port, found.portgroup = port, ""
            elif nic.portgroup and nic.portgroup != found.portgroup:
                if nic.portgroup not in config.portgroups:
                    raise vim.fault.NotFound(msg=f"The host {self.host.name} has no port group {nic.portgroup}.")
                self._free_group(config, nic.portgroup, device, move=True)
                found.portgroup, found.port = str(nic.portgroup), None
            self._set_nic(config, found, nic, device)

    @method("RemoveVirtualNic", mutates=True)
    def remove_virtual_nic(self, device: str) -> None:
        with self.editing() as config:
            self._nic(config, device)
            if device in config.storage.iscsi.ports:
                raise refused(f"{device} is bound to the iSCSI adapter.")
            del config.vnics[device]

    def _nic(self, config: HostConfig, device: str) -> Vnic:
        return known(config.vnics, device, self.host.name, "VMkernel adapter")

    @staticmethod
    def _free_group(config: HostConfig, group: str, device: str, *, move: bool = False) -> None:
        """A port group of a standard switch takes one adapter."""
        for other, each in config.vnics.items():
            if group and each.portgroup == group and other != device:
                text = f"The port group {group} already has the VMkernel adapter {other}."
                raise refused(text) if move else vim.fault.AlreadyExists(name=group, msg=text)

    def _set_nic(self, config: HostConfig, nic: Vnic, spec: Any, device: str) -> None:
        """Bring an adapter to its specification; what is unset stays as it is."""
        for name in ("opaqueNetwork", "externalId", "pinnedPnic"):
            if getattr(spec, name):
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate HostVirtualNicSpec.{name}")
        if spec.netStackInstanceKey and spec.netStackInstanceKey != nic.stack:
            raise refused(f"The TCP/IP stack of {device} is {nic.stack}: it cannot be changed.")
        if spec.mtu is not None:
            if not 1280 <= spec.mtu <= 9000:
                raise invalid("nic.mtu", "1280 to 9000.")
            nic.mtu = spec.mtu
        if spec.ip is not None:
            self._set_address(config, nic, spec.ip, device)
        if spec.ipRouteSpec is not None and spec.ipRouteSpec.ipRouteConfig is not None:
            self._set_gateways(nic, spec.ipRouteSpec.ipRouteConfig)

    def _set_address(self, config: HostConfig, nic: Vnic, given: Any, device: str) -> None:
        if given.dhcp:
            if not nic.dhcp:
                nic.ip, nic.netmask = self._lease(device)
                stack = config.network.stack(nic.stack)
                if stack is not None and stack.gateway:  # the lease brings one
                    stack.gateway = ""
                    config.network.put(nic.stack, stack)
        else:
            nic.ip, nic.netmask = _address(given.ipAddress, given.subnetMask)
        nic.dhcp = bool(given.dhcp)
        if given.ipV6Config is not None:
            _set_address6(nic, given.ipV6Config)

    @staticmethod
    def _set_gateways(nic: Vnic, given: Any) -> None:
        """The adapter's own default gateways: unset ones are taken away."""
        if given.defaultGateway:
            own = ipaddress.ip_interface(f"{nic.ip}/{nic.netmask}").network if nic.ip else None
            if own is None or ip("nic.ipRouteSpec", given.defaultGateway) not in own:
                raise refused(f"The gateway {given.defaultGateway} is not in the network of the adapter.")
        if given.ipV6DefaultGateway:
            ip("nic.ipRouteSpec", given.ipV6DefaultGateway)
        nic.gateway, nic.gateway6 = str(given.defaultGateway or ""), str(given.ipV6DefaultGateway or "")

    def _lease(self, device: str) -> tuple[str, str]:
        """What DHCP hands an adapter: vmk0 the machine's own address, others one of 100.64.0.0/10."""
        from providers.twin.baseline import NETMASK

        return (self.host.box.ip, NETMASK) if device == "vmk0" else (self._derived("ip", device), "255.192.0.0")

    def _derived(self, what: str, device: str) -> str:
        digest = hashlib.sha256(f"{self.host.box.uuid}/{device}".encode()).digest()
        if what == "mac":
            return f"00:50:56:6{digest[0] & 15:x}:{digest[1]:02x}:{digest[2]:02x}"
        return str(ipaddress.IPv4Address(0x64400000 | (int.from_bytes(digest[:4], "big") & 0x3FFFFF)))


def _address(given: str | None, mask: str | None) -> tuple[str, str]:
    """Address and netmask, checked. Raises vmodl.fault.InvalidArgument."""
    address = ip("nic.ip.ipAddress", given)
    bits = int(ip("nic.ip.subnetMask", mask))
    if address.version != 4 or address.is_multicast or address.is_unspecified:
        raise invalid("nic.ip.ipAddress", f"{given} cannot be a host's address.")
    if (~bits & 0xFFFFFFFF) & ((~bits & 0xFFFFFFFF) + 1) or bits == 0:
        raise invalid("nic.ip.subnetMask", f"{mask} is no netmask.")
    return str(given), str(mask)


def _set_address6(nic: Vnic, given: Any) -> None:
    """IPv6: flags that are set, and addresses by their operation (none: an address to have)."""
    if given.autoConfigurationEnabled is not None:
        nic.autoconf = bool(given.autoConfigurationEnabled)
    if given.dhcpV6Enabled is not None:
        nic.dhcp6 = bool(given.dhcpV6Enabled)
    for each in given.ipV6Address:
        if each.operation is None and each.origin not in (None, "manual"):
            continue  # what the host made itself, read and written back
        address = ip("nic.ip.ipV6Config.ipV6Address", each.ipAddress)
        if address.version != 6 or address.is_multicast or not 0 < each.prefixLength <= 128:
            raise invalid("nic.ip.ipV6Config.ipV6Address", f"{each.ipAddress}/{each.prefixLength} is none.")
        text = f"{address}/{each.prefixLength}"
        if each.operation == "remove":
            if text not in nic.ip6:
                raise refused(f"The adapter has no address {text}.")
            nic.ip6.remove(text)
        elif text not in nic.ip6:
            nic.ip6 = sorted([*nic.ip6, text])
        elif each.operation == "add":
            raise refused(f"The adapter has the address {text} already.")
