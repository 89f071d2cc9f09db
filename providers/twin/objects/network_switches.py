"""HostNetworkSystem: standard switches and their port groups."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import method
from providers.twin.model import HostConfig, Plain, Portgroup, Vswitch
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_faults import invalid, known, refused
from providers.twin.plain import merge, prune, to_plain
from providers.twin.views import network


class Switches(HostManager):
    """What NetworkSystem does to switches and port groups."""

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
        return known(config.vswitches, name, self.host.name, "virtual switch")

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
            check_policy(merge(network.default_policy(), wanted))
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
            for proxy in config.proxies.values():
                if device in proxy.uplinks:
                    raise vim.fault.ResourceInUse(
                        type=vim.host.PhysicalNic, name=device, msg=f"{device} is an uplink of {proxy.name} already."
                    )
        if len(set(bridge.nicDevice)) != len(bridge.nicDevice):
            raise invalid("spec.bridge.nicDevice", "A NIC is named twice.")
        switch.uplinks = [str(each) for each in bridge.nicDevice]
        if bridge.beacon is not None:
            if bridge.beacon.interval < 0:
                raise invalid("spec.bridge.beacon.interval", "0 or more seconds.")
            switch.beacon = bridge.beacon.interval
        if bridge.linkDiscoveryProtocolConfig is not None:
            given = bridge.linkDiscoveryProtocolConfig
            if given.protocol != "cdp" or given.operation not in ("none", "listen", "advertise", "both"):
                raise refused("A standard switch speaks cdp: none, listen, advertise or both.")
            switch.discovery = prune(to_plain(given), {"protocol": "cdp", "operation": "listen"})

    @staticmethod
    def _check_order(policy: Plain, switch: Vswitch) -> None:
        strange = [each for each in _ordered(policy) if each not in switch.uplinks]
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
        return known(config.portgroups, name, self.host.name, "port group")

    @staticmethod
    def _set_group(config: HostConfig, group: Portgroup, spec: Any) -> None:
        if not 0 <= spec.vlanId <= 4095:
            raise invalid("portgrp.vlanId", "0 to 4095.")
        group.vlan = spec.vlanId
        if spec.policy is not None:
            wanted = prune(to_plain(spec.policy), {})
            known = Vswitch(uplinks=[*config.vswitches[group.vswitch].uplinks, *_ordered(group.policy)])
            Switches._check_order(wanted, known)  # one that its switch has lost may stay named
            check_policy(wanted)
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


_TEAMING = ("loadbalance_srcid", "loadbalance_srcmac", "loadbalance_ip", "failover_explicit")
"""What a standard switch can do (loadbalance_loadbased is a distributed one's)."""


def _ordered(policy: Plain) -> list[str]:
    """NICs that a policy's failover order names."""
    order = policy.get("nicTeaming", {}).get("nicOrder", {})
    return [each for kind in ("activeNic", "standbyNic") for each in order.get(kind, ())]


def check_policy(policy: Plain) -> None:
    """Raises vmodl.fault.InvalidArgument for a HostNetworkPolicy that no standard switch takes."""
    teaming, shaping = policy.get("nicTeaming", {}), policy.get("shapingPolicy", {})
    if teaming.get("policy", _TEAMING[0]) not in _TEAMING:
        raise invalid("policy.nicTeaming.policy", f"{teaming['policy']!r} is none of {', '.join(_TEAMING)}.")
    if len(set(_ordered(policy))) != len(_ordered(policy)):
        raise invalid("policy.nicTeaming.nicOrder", "A NIC is named twice.")
    if shaping.get("enabled"):
        for name in ("averageBandwidth", "peakBandwidth", "burstSize"):
            if not shaping.get(name, 0) > 0:
                raise invalid(f"policy.shapingPolicy.{name}", "Traffic that is shaped needs it.")
        if shaping["peakBandwidth"] < shaping["averageBandwidth"]:
            raise invalid("policy.shapingPolicy.peakBandwidth", "It is below the average.")
