"""`HostSystem.config.*`: power, autostart, vSAN, swap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from providers.twin.core.base import method, prop
from providers.twin.views import settings

if TYPE_CHECKING:
    from providers.twin.objects.host import HostObject


class ServicesProps:
    """A part of HostObject."""

    @property
    def _host(self) -> HostObject:
        return cast("HostObject", self)

    @prop("config.powerSystemInfo")
    def power_info(self) -> Any:
        return settings.power_info(self._host.shown().config.settings)

    @prop("config.powerSystemCapability")
    def power_capability(self) -> Any:
        return settings.power_capability()

    @prop("config.autoStart")
    def autostart_config(self) -> Any:
        from providers.twin.objects.host_autostart import view

        return view(self._host, self._host.shown().config.settings)

    @prop("config.vsanHostConfig")
    def vsan_config(self) -> Any:
        return settings.vsan(self._host.shown().config.settings, self._host.ref())

    @prop("config.localSwapDatastore")
    def local_swap(self) -> Any:
        from providers.twin.objects.host_swap import store_named

        found = store_named(self._host, self._host.shown().config.settings.swap)
        return found.ref() if found is not None else None

    @prop("config.systemSwapConfiguration")
    def system_swap(self) -> Any:
        return settings.system_swap(self._host.shown().config.settings)

    @method("UpdateSystemSwapConfiguration", mutates=True)
    def update_system_swap(self, sysSwapConfig: Any) -> None:
        from providers.twin.objects.host import HostManager
        from providers.twin.objects.host_settings import PowerSystem
        from providers.twin.objects.host_swap import update_system_swap

        update_system_swap(cast(HostManager, self._host.manager(PowerSystem)), sysSwapConfig)
