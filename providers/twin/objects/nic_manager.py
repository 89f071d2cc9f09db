"""HostVirtualNicManager: which adapter carries which service."""

from __future__ import annotations

from typing import Any

from providers.twin.baseline import NIC_TYPES
from providers.twin.core.base import method, prop
from providers.twin.core.meta import data
from providers.twin.model import HostConfig, Vnic
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_system import invalid
from providers.twin.views import network


class NicManager(HostManager):
    """`vim.host.VirtualNicManager`."""

    wire = "HostVirtualNicManager"
    field, prefix, door_id = "virtualNicManager", "virtualNicManager", "ha-vnic-mgr"

    @prop("info.netConfig")
    def net_config(self) -> Any:
        return network.net_configs(self.config)

    @prop("info")
    def info(self) -> Any:
        return data("HostVirtualNicManagerInfo", netConfig=self.net_config())

    @method("QueryNetConfig")
    def query_net_config(self, nicType: str) -> Any:
        self._known(nicType)
        return network.net_configs(self.config, nicType)[0]

    @method("SelectVnicForNicType", mutates=True)
    def select(self, nicType: str, device: str) -> None:
        with self.editing() as config:
            nic = self._nic(config, nicType, device)
            nic.services = sorted({*nic.services, nicType})

    @method("DeselectVnicForNicType", mutates=True)
    def deselect(self, nicType: str, device: str) -> None:
        with self.editing() as config:
            nic = self._nic(config, nicType, device)
            if nicType not in nic.services:
                raise invalid("device", f"{device} is not selected for {nicType}.")
            nic.services = [each for each in nic.services if each != nicType]

    def _nic(self, config: HostConfig, kind: str, device: str) -> Vnic:
        self._known(kind)
        found = config.vnics.get(device)
        if found is None:
            raise invalid("device", f"The host {self.host.name} has no VMkernel adapter {device!r}.")
        return found

    @staticmethod
    def _known(kind: str) -> None:
        if kind not in NIC_TYPES:
            raise invalid("nicType", f"{kind!r} is none of {', '.join(NIC_TYPES)}.")
