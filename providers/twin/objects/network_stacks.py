"""HostNetworkSystem: resolver, routes, TCP/IP stacks, and several changes in one transaction."""

from __future__ import annotations

import ipaddress
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import method
from providers.twin.model import Dns, HostConfig
from providers.twin.objects.network_adapters import Adapters
from providers.twin.objects.network_faults import invalid, ip, refused
from providers.twin.objects.network_switches import Switches
from providers.twin.parts.network import DEFAULT
from providers.twin.views import stacks

_PARTS = ("portgroup", "vnic", "ipRouteConfig", "netStackSpec")
"""What of a HostNetworkConfig the twin changes in one transaction."""


class Stacks(Switches, Adapters):
    """What NetworkSystem does to TCP/IP."""

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
                ip("config.address", address)
            edited.dns = Dns(
                False, config.hostName or "", config.domainName or "", [str(each) for each in config.address],
                [str(each) for each in config.searchDomain],
            )

    # --- routes and stacks --------------------------------------------------------------------------------

    @method("UpdateIpRouteConfig", mutates=True)
    def update_ip_route_config(self, config: Any) -> None:
        with self.editing() as edited:
            self._set_gateway(edited, DEFAULT, config)

    @method("UpdateIpRouteTableConfig", mutates=True)
    def update_ip_route_table_config(self, config: Any) -> None:
        with self.editing() as edited:
            for each in [*config.ipRoute, *config.ipv6Route]:
                if each.changeOperation == "add":
                    self._add_route(edited, each.route)
                elif each.changeOperation == "remove":
                    self._remove_route(edited, each.route)
                elif each.changeOperation != "ignore":
                    raise invalid("config.ipRoute.changeOperation", f"{each.changeOperation!r} is not simulated.")

    @staticmethod
    def _network(entry: Any) -> str:
        ip("config.ipRoute.network", entry.network)
        try:
            return str(ipaddress.ip_network(f"{entry.network}/{entry.prefixLength}"))
        except ValueError as error:
            raise invalid("config.ipRoute.network", str(error)) from None

    def _add_route(self, config: HostConfig, entry: Any) -> None:
        network = self._network(entry)
        if ip("config.ipRoute.gateway", entry.gateway).version != ipaddress.ip_network(network).version:
            raise invalid("config.ipRoute.gateway", f"{entry.gateway} is of another kind than {network}.")
        if entry.prefixLength == 0:
            raise refused("The default gateway is no static route.")
        if network in config.network.routes:
            raise refused(f"There is a route to {network} already.")
        if not stacks.reaches(config, entry.gateway):
            raise refused(f"Network is unreachable: no adapter leads to {entry.gateway}.")
        config.network.routes[network] = str(entry.gateway)

    def _remove_route(self, config: HostConfig, entry: Any) -> None:
        network = self._network(entry)
        if config.network.routes.get(network) != entry.gateway:
            raise refused(f"There is no route to {network} via {entry.gateway}.")
        del config.network.routes[network]

    @staticmethod
    def _set_gateway(config: HostConfig, key: str, given: Any) -> None:
        """Default gateways of a stack; unset ones are taken away. What a lease brings is not written down."""
        stack = config.network.stack(key)
        if stack is None:
            raise vim.fault.NotFound(msg=f"There is no TCP/IP stack {key}.")
        for text in (given.defaultGateway, given.ipV6DefaultGateway):
            if text:
                ip("config.ipRouteConfig", text)
                if not stacks.reaches(config, text, key):
                    raise refused(f"Network is unreachable: no adapter of {key} leads to {text}.")
        lease = stacks.leased_gateway(config, key)[0]
        wanted = str(given.defaultGateway or "")
        stack.gateway, stack.gateway6 = "" if wanted == lease else wanted, str(given.ipV6DefaultGateway or "")
        config.network.put(key, stack)

    def _edit_stack(self, config: HostConfig, spec: Any) -> None:
        given = spec.netStackInstance
        key = str(given.key or "")
        stack = config.network.stack(key)
        if spec.operation not in (None, "edit"):
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate the operation {spec.operation!r} on stacks")
        if stack is None:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no TCP/IP stack {key}.")
        if given.congestionControlAlgorithm:
            if given.congestionControlAlgorithm not in ("newreno", "cubic"):
                raise invalid("config.netStackSpec.netStackInstance.congestionControlAlgorithm", "newreno or cubic.")
            stack.congestion = str(given.congestionControlAlgorithm)
        if given.requestedMaxNumberOfConnections:
            stack.connections = int(given.requestedMaxNumberOfConnections)
        resolver = given.dnsConfig
        if resolver is not None and key != DEFAULT:
            for address in resolver.address:
                ip("config.netStackSpec.netStackInstance.dnsConfig.address", address)
            stack.hostname, stack.domain = str(resolver.hostName or ""), str(resolver.domainName or "")
            stack.servers, stack.search = [str(a) for a in resolver.address], [str(d) for d in resolver.searchDomain]
        elif resolver is not None:
            raise vmodl.fault.NotSupported(msg="The twin sets the default stack's resolver by UpdateDnsConfig only")
        config.network.put(key, stack)
        if given.ipRouteConfig is not None:
            self._set_gateway(config, key, given.ipRouteConfig)

    # --- one transaction ----------------------------------------------------------------------------------

    @method("UpdateNetworkConfig", mutates=True, privilege="Host.Config.Network")
    def update_network_config(self, config: Any, changeMode: str) -> Any:
        if changeMode != "modify":
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate UpdateNetworkConfig in mode {changeMode!r}")
        for info in type(config)._GetPropertyList():
            if info.name not in _PARTS and getattr(config, info.name):
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate HostNetworkConfig.{info.name}")
        made = []
        with self.editing() as edited:
            for each in config.portgroup:
                self._edit_group(edited, each)
            for each in config.vnic:
                made += self._edit_nic(edited, each)
            if config.ipRouteConfig is not None:
                self._set_gateway(edited, DEFAULT, config.ipRouteConfig)
            for each in config.netStackSpec:
                self._edit_stack(edited, each)
        return vim.host.NetworkConfig.Result(vnicDevice=made)

    def _edit_group(self, config: HostConfig, each: Any) -> None:
        if each.changeOperation != "edit" or each.spec is None:
            raise vmodl.fault.NotSupported(msg="The twin edits port groups in a transaction only")
        group = self._group(config, each.spec.name)
        if each.spec.vswitchName != group.vswitch:
            raise invalid("config.portgroup.spec.vswitchName", "A port group cannot move to another switch.")
        self._set_group(config, group, each.spec)

    def _edit_nic(self, config: HostConfig, each: Any) -> list[str]:
        if each.changeOperation != "edit" or each.spec is None:
            raise vmodl.fault.NotSupported(msg="The twin edits VMkernel adapters in a transaction only")
        self._set_nic(config, self._nic(config, each.device or ""), each.spec, each.device)
        return []
