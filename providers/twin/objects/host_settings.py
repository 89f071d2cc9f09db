"""HostPowerSystem, HostKernelModuleSystem, HostVsanSystem."""

from __future__ import annotations

import re
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import method, prop
from providers.twin.core.meta import field_types
from providers.twin.facts.modules import MODULES
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_faults import invalid, refused
from providers.twin.views import settings

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


class PowerSystem(HostManager):
    """`vim.host.PowerSystem`."""

    wire = "HostPowerSystem"
    field, prefix, door_id = "powerSystem", "powerSystem", "ha-power-system"

    @prop("info")
    def info(self) -> Any:
        return settings.power_info(self.config.settings)

    @prop("capability")
    def capability(self) -> Any:
        return settings.power_capability()

    @method("ConfigurePowerPolicy", mutates=True)
    def configure(self, key: int) -> None:
        self.host.open()
        if key not in settings.POLICIES:
            raise refused(f"The host {self.host.name} has no power policy {key}.")
        with self.editing() as config:
            config.settings.power_policy = int(key)


class KernelModuleSystem(HostManager):
    """`vim.host.KernelModuleSystem`. What is set counts from the next boot on, and a stateless one forgets it."""

    wire = "HostKernelModuleSystem"
    field, prefix, door_id = "kernelModuleSystem", "kernelModuleSystem", "ha-kernel-module-system"

    @method("QueryModules")
    def query_modules(self) -> Any:
        self.host.open()
        return settings.modules(self.config.settings)

    @method("QueryConfiguredModuleOptionString")
    def query(self, name: str) -> str:
        self._known(name)
        return self.config.settings.modules.get(name, "")

    @method("UpdateModuleOptionString", mutates=True)
    def update(self, name: str, options: str) -> None:
        self._known(name)
        with self.editing() as config:
            if options:
                config.settings.modules[name] = str(options)
            else:
                config.settings.modules.pop(name, None)

    def _known(self, name: str) -> None:
        self.host.open()
        if name not in MODULES:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no kernel module {name}.")


class VsanSystem(HostManager):
    """`vim.host.VsanSystem`: whether the service runs, and in which cluster. No disks, no objects."""

    wire = "HostVsanSystem"
    field, prefix, door_id = "vsanSystem", "vsanSystem", "ha-vsan-system"

    @prop("config")
    def vsan_config(self) -> Any:
        return settings.vsan(self.config.settings, self.host.ref())

    @method("UpdateVsan_Task", mutates=True, task=True)
    def update(self, config: Any) -> None:
        self.host.open()
        for name in field_types(type(config)):
            if name not in ("enabled", "hostSystem", "clusterInfo") and getattr(config, name) not in (None, []):
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate VsanHostConfigInfo.{name}")
        if config.hostSystem is not None and self.world.resolve(config.hostSystem) is not self.host and \
                config.hostSystem._moId != self.host.moid:
            raise invalid("config.hostSystem", "It is another host.")
        wanted = str((config.clusterInfo and config.clusterInfo.uuid) or "")
        if wanted and not _UUID.match(wanted):
            raise invalid("config.clusterInfo.uuid", f"{wanted!r} is no UUID.")
        with self.editing() as edited:
            kept = edited.settings
            if wanted and kept.vsan and config.enabled is not False and wanted != kept.vsan_cluster:
                raise invalid("config.clusterInfo.uuid", "It cannot be changed while the vSAN service is enabled.")
            if config.enabled is None or config.enabled == kept.vsan:
                return
            kept.vsan = bool(config.enabled)
            made = self.house.derived_uuid("vsan", self.host.box.mac)
            kept.vsan_cluster = (wanted or made) if kept.vsan else ""
