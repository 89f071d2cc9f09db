"""HostNetworkSystem: standard switches, port groups, VMkernel adapters, TCP/IP."""

from __future__ import annotations

from typing import Any

from providers.twin.core.base import method, prop
from providers.twin.objects.network_faults import invalid as invalid
from providers.twin.objects.network_faults import refused as refused
from providers.twin.objects.network_stacks import Stacks
from providers.twin.views import network, stacks


class NetworkSystem(Stacks):
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

    @prop("ipRouteConfig", "networkInfo.ipRouteConfig")
    def ip_route_config(self) -> Any:
        return stacks.ip_route_config(self.config)

    @prop("networkInfo.routeTableInfo")
    def route_table_info(self) -> Any:
        return stacks.route_table_info(self.config)

    @prop("networkInfo.netStackInstance")
    def net_stacks(self) -> Any:
        return stacks.net_stacks(self.config)

    @method("RefreshNetworkSystem")
    def refresh(self) -> None:
        self.host.open()
