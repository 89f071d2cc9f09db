"""HostAutoStartManager: which VMs start and stop with a host. Not in a cluster with HA."""

from __future__ import annotations

from typing import Any

from pyVmomi import vmodl

from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.model import Cluster, Host
from providers.twin.objects.host import HostManager, HostObject
from providers.twin.objects.network_faults import invalid
from providers.twin.parts.services import AutoPower, Autostart
from providers.twin.views import settings

_STOPS = ("none", "systemdefault", "poweroff", "suspend", "guestshutdown")
_DEFAULTS = {"enabled": "enabled", "startDelay": "start_delay", "stopDelay": "stop_delay",
             "waitForHeartbeat": "heartbeat", "stopAction": "stop"}


def machines(host: HostObject) -> dict[str, ManagedObject]:
    """The VMs that this door shows on a host, by id."""
    found = host.house.inventory.host_of(host.box.mac)
    shown = ((each.id, host.world.find(each.id)) for each in (host.house.inventory.vms_on(found) if found else ()))
    return {moid: vm for moid, vm in shown if vm is not None}


def available(host: HostObject) -> bool:
    """HA starts VMs by itself: hosts of its clusters have no autostart."""
    found = host.house.inventory.host_of(host.box.mac)
    cluster = host.house.inventory.get(found.parent, Cluster) if isinstance(found, Host) else None
    return cluster is None or not cluster.das.get("enabled")


def view(host: HostObject, kept: Any) -> Any:
    """HostAutoStartManagerConfig of these settings."""
    return settings.autostart(kept, {moid: vm.ref() for moid, vm in machines(host).items()}, available=available(host))


class AutoStartManager(HostManager):
    """`vim.host.AutoStartManager`. Powering VMs by it is not simulated."""

    wire = "HostAutoStartManager"
    field, prefix, door_id = "autoStartManager", "autoStartManager", "ha-autostart-mgr"

    @prop("config")
    def autostart_config(self) -> Any:
        return view(self.host, self.config.settings)

    @method("ReconfigureAutostart", mutates=True)
    def reconfigure(self, spec: Any) -> None:
        """Only what is given changes; the VMs are changed one after the other."""
        self.host.open()
        if not available(self.host):
            raise vmodl.fault.NotSupported(
                msg=f"Autostart of {self.host.name} is disabled: its cluster has vSphere HA.")
        there = machines(self.host)
        with self.editing() as config:
            kept = config.settings.autostart
            if spec.defaults is not None:
                self._defaults(kept, spec.defaults)
            for each in spec.powerInfo or ():
                self._place(kept, each, there)

    @staticmethod
    def _defaults(kept: Autostart, defaults: Any) -> None:
        for name, ours in _DEFAULTS.items():
            value = getattr(defaults, name)
            if value is None:
                continue
            if name.endswith("Delay") and value < 0:
                raise invalid(f"spec.defaults.{name}", "It is a number of seconds.")
            if name == "stopAction":
                if value.lower() not in _STOPS or value.lower() == "systemdefault":
                    raise invalid("spec.defaults.stopAction", f"{value!r} is no action.")
                value = value[:1].upper() + value[1:]  # as a host writes it back
            setattr(kept, ours, value)

    @staticmethod
    def _place(kept: Autostart, info: Any, there: dict[str, ManagedObject]) -> None:
        moid = info.key._moId
        before = next((n for n, each in enumerate(kept.vms) if each.vm == moid), None)
        if before is not None:
            kept.vms.pop(before)
        if str(info.startAction).lower() == "none" and str(info.stopAction).lower() == "none":
            return
        if moid not in there:
            raise invalid("spec.powerInfo.key", f"{moid} is no virtual machine of this host.")
        if str(info.startAction).lower() not in ("none", "poweron") or str(info.stopAction).lower() not in _STOPS:
            raise invalid("spec.powerInfo.startAction", f"{info.startAction!r} or {info.stopAction!r} is no action.")
        if min(info.startDelay, info.stopDelay) < -1 or info.startOrder < -1:
            raise invalid("spec.powerInfo", "A delay or an order is -1 or more.")
        made = AutoPower(moid, info.startOrder > 0, info.startDelay, info.stopDelay, str(info.waitForHeartbeat),
                         str(info.startAction), str(info.stopAction))
        ordered = sum(each.ordered for each in kept.vms)
        kept.vms.insert(min(info.startOrder - 1, ordered) if made.ordered else len(kept.vms), made)
