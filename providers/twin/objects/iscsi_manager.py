"""IscsiManager: which VMkernel adapters the software iSCSI adapter is bound to."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from providers.twin import san as sight
from providers.twin.core.base import method
from providers.twin.core.meta import data
from providers.twin.model import HostConfig
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_faults import refused
from providers.twin.views import network


class IscsiManager(HostManager):
    """`vim.host.IscsiManager`."""

    wire = "IscsiManager"
    field, prefix, door_id = "iscsiManager", "iscsiManager", "ha-iscsi-manager"

    def _adapter(self, config: HostConfig, device: str) -> None:
        if device != sight.ISCSI or not config.storage.iscsi.enabled:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no iSCSI adapter {device}.")

    def _uplinks(self, config: HostConfig, vnic: str) -> tuple[list[str], list[str]]:
        """Active and standby uplinks of the port group that an adapter is on."""
        group = config.portgroups.get(config.vnics[vnic].portgroup)
        if group is None:
            raise refused(f"The twin binds VMkernel adapters on standard switches only; {vnic} is on none.")
        switch = config.vswitches[group.vswitch]
        own = group.policy.get("nicTeaming", {}).get("nicOrder")
        order = own if own is not None else network.policy_of(switch)["nicTeaming"].get("nicOrder", {})
        return list(order.get("activeNic", ())), list(order.get("standbyNic", ()))

    def _port(self, config: HostConfig, vnic: str) -> Any:
        group = config.vnics[vnic].portgroup
        active = self._uplinks(config, vnic)[0]
        shown = next((each for each in network.vnics(config) if each.device == vnic), None)
        return data(
            "IscsiPortInfo", vnicDevice=vnic, vnic=shown, pnicDevice=active[0] if active else None,
            switchName=config.portgroups[group].vswitch, portgroupName=group,
            complianceStatus=data("IscsiStatus"), pathStatus="active" if config.storage.paths else "notUsed")

    @method("QueryBoundVnics")
    def bound(self, iScsiHbaName: str) -> Any:
        self._adapter(self.config, iScsiHbaName)
        return [self._port(self.config, each) for each in self.config.storage.iscsi.ports]

    @method("QueryCandidateNics")
    def candidates(self, iScsiHbaName: str) -> Any:
        self._adapter(self.config, iScsiHbaName)
        config = self.config
        free = [each for each, nic in config.vnics.items() if nic.portgroup in config.portgroups
                and each not in config.storage.iscsi.ports]
        return [self._port(config, each) for each in free if len(self._uplinks(config, each)[0]) == 1
                and not self._uplinks(config, each)[1]]

    @method("BindVnic", mutates=True)
    def bind(self, iScsiHbaName: str, vnicDevice: str) -> None:
        with self.editing() as config:
            self._adapter(config, iScsiHbaName)
            if vnicDevice not in config.vnics:
                raise vim.fault.IscsiFaultVnicNotFound(
                    vnicDevice=vnicDevice, msg=f"There is no VMkernel adapter {vnicDevice}.")
            if vnicDevice in config.storage.iscsi.ports:
                raise vim.fault.IscsiFaultVnicAlreadyBound(
                    vnicDevice=vnicDevice, msg=f"{vnicDevice} is bound already.")
            active, standby = self._uplinks(config, vnicDevice)
            if not active:
                raise vim.fault.IscsiFaultVnicHasNoUplinks(
                    vnicDevice=vnicDevice, msg=f"The port group of {vnicDevice} has no active uplink.")
            if standby or active[1:]:
                raise vim.fault.IscsiFaultVnicHasMultipleUplinks(
                    vnicDevice=vnicDevice,
                    msg=f"The port group of {vnicDevice} has more than one uplink: {', '.join([*active, *standby])}.")
            config.storage.iscsi.ports = sorted([*config.storage.iscsi.ports, vnicDevice])

    @method("UnbindVnic", mutates=True)
    def unbind(self, iScsiHbaName: str, vnicDevice: str, force: bool) -> None:
        with self.editing() as config:
            self._adapter(config, iScsiHbaName)
            ports = config.storage.iscsi.ports
            if vnicDevice not in ports:
                raise vim.fault.IscsiFaultVnicNotBound(vnicDevice=vnicDevice, msg=f"{vnicDevice} is not bound.")
            used = sight.over_iscsi(self.house.inventory.site.san, self.host.box, config)
            if used and len(ports) == 1 and not force:
                raise vim.fault.IscsiFaultVnicIsLastPath(
                    vnicDevice=vnicDevice, msg=f"{vnicDevice} is the last path of {', '.join(used)}.")
            config.storage.iscsi.ports = [each for each in ports if each != vnicDevice]
