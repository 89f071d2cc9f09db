"""What a host's configuration shows of access to it."""

from __future__ import annotations

from typing import Any

from providers.twin.core.base import prop
from providers.twin.model import Hypervisor
from providers.twin.views import access


class AccessProps:
    """For HostSystem."""

    def shown(self) -> Hypervisor:
        raise NotImplementedError

    @prop("config.lockdownMode")
    def lockdown(self) -> str:
        return self.shown().config.access.lockdown

    @prop("config.adminDisabled")
    def admin_disabled(self) -> bool:
        return self.shown().config.access.lockdown != "lockdownDisabled"

    @prop("config.authenticationManagerInfo")
    def authentication_info(self) -> Any:
        return access.authentication_info(self.shown().config)
