"""What a host shows of the distributed switches that it is in."""

from __future__ import annotations

from typing import Any

from providers.twin.core.base import prop
from providers.twin.model import Hypervisor
from providers.twin.views import dvs


class DvsProps:
    """Properties of `HostObject`."""

    def shown(self) -> Hypervisor:
        raise NotImplementedError

    @prop("config.network.proxySwitch")
    def proxy_switch(self) -> Any:
        return dvs.proxies(self.shown().config)
