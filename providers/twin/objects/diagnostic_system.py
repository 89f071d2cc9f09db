"""HostDiagnosticSystem: the partition that core dumps go to."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import san as sight
from providers.twin.core.base import method, prop
from providers.twin.objects.host import HostManager
from providers.twin.views import storage


class DiagnosticSystem(HostManager):
    """`vim.host.DiagnosticSystem`."""

    wire = "HostDiagnosticSystem"
    field, prefix, door_id = "diagnosticSystem", "diagnosticSystem", "ha-diagnosticsystem"

    @prop("activePartition")
    def active(self) -> Any:
        text = self.config.storage.dump
        return storage.dump(text, self.host.box) if text else None

    def _known(self) -> list[str]:
        return sight.dumps(self.house.inventory.site.san, self.host.box, self.config)

    @method("QueryAvailablePartition")
    def available(self) -> Any:
        return [storage.dump(each, self.host.box) for each in self._known()]

    @method("SelectActivePartition", mutates=True)
    def select(self, partition: Any) -> None:
        text = f"{partition.diskName}:{partition.partition}" if partition is not None else ""
        if text and text not in self._known():
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no diagnostic partition {text}.")
        with self.editing() as config:
            config.storage.dump = text

    @method("CreateDiagnosticPartition")
    def create(self, spec: Any) -> None:
        raise vmodl.fault.NotSupported(msg="The twin partitions no disks")
