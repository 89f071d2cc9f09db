"""`HostSystem.config.network.*`: routes and TCP/IP stacks."""

from __future__ import annotations

from typing import Any

from providers.twin.core.base import prop
from providers.twin.model import Hypervisor
from providers.twin.views import stacks


class NetworkProps:
    """A part of HostObject."""

    def shown(self) -> Hypervisor:
        raise NotImplementedError

    @prop("config.network.ipRouteConfig")
    def ip_route_config(self) -> Any:
        return stacks.ip_route_config(self.shown().config)

    @prop("config.network.routeTableInfo")
    def route_table_info(self) -> Any:
        return stacks.route_table_info(self.shown().config)

    @prop("config.network.netStackInstance")
    def net_stack_instance(self) -> Any:
        return stacks.net_stacks(self.shown().config)
