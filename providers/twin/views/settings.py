"""Data objects of a host's settings: power, autostart, vSAN, swap, kernel modules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from providers.twin.core.meta import data, vim_type
from providers.twin.facts.modules import MODULES
from providers.twin.parts.services import Settings

POLICIES: Mapping[int, str] = {1: "static", 2: "dynamic", 3: "low", 4: "custom"}
"""HostPowerPolicy.key → shortName, as ESXi 8.0.3 has them."""


@cache
def power_policy(key: int) -> Any:
    name = POLICIES[key]
    return data("HostPowerPolicy", key=key, name=f"PowerPolicy.{name}.name", shortName=name,
                description=f"PowerPolicy.{name}.description")


def power_info(settings: Settings) -> Any:
    return data("PowerSystemInfo", currentPolicy=power_policy(settings.power_policy))


@cache
def power_capability() -> Any:
    return data("PowerSystemCapability", availablePolicy=[power_policy(key) for key in POLICIES])


def modules(settings: Settings) -> list[Any]:
    """KernelModuleInfo of every module; all of them are loaded."""
    section = data("KernelModuleSectionInfo", address=vim_long(0), length=0)
    return [data("KernelModuleInfo", id=number, name=name, version="1.0", filename=f"/usr/lib/vmware/vmkmod/{name}",
                 optionString=settings.modules.get(name, ""), loaded=True, enabled=True, useCount=1,
                 readOnlySection=section, writableSection=section, textSection=section, dataSection=section,
                 bssSection=section)
            for number, name in enumerate(MODULES, 1)]


def vim_long(value: int) -> Any:
    from pyVmomi import VmomiSupport as Vm

    return Vm.long(value)


def autostart(settings: Settings, machines: Mapping[str, Any], *, available: bool) -> Any:
    """HostAutoStartManagerConfig. `machines`: the host's VMs by id; `available`: no HA has taken it over."""
    kept = settings.autostart
    info, place = [], 0
    for each in kept.vms:
        place += each.ordered
        if each.vm in machines:
            info.append(data(
                "AutoStartPowerInfo", key=machines[each.vm], startOrder=place if each.ordered else -1,
                startDelay=each.start_delay, waitForHeartbeat=each.heartbeat, startAction=each.start,
                stopDelay=each.stop_delay, stopAction=each.stop))
    defaults = data("AutoStartDefaults", enabled=kept.enabled if available else None, startDelay=kept.start_delay,
                    stopDelay=kept.stop_delay, waitForHeartbeat=kept.heartbeat, stopAction=kept.stop)
    return data("HostAutoStartManagerConfig", defaults=defaults, powerInfo=info)


def vsan(settings: Settings, host: Any) -> Any:
    """VsanHostConfigInfo of a host without disks of vSAN."""
    uuid = settings.vsan_cluster or None
    return data("VsanHostConfigInfo", enabled=settings.vsan, hostSystem=host,
                clusterInfo=data("VsanHostConfigInfoClusterInfo", uuid=uuid, nodeUuid=None))


def system_swap(settings: Settings) -> Any:
    """HostSystemSwapConfiguration."""
    options = []
    for key, name in enumerate(settings.system_swap or ["DisabledOption"]):
        option = vim_type(f"HostSystemSwapConfiguration{name}")
        more = {"datastore": settings.system_swap_store} if name == "DatastoreOption" else {}
        options.append(data(option, key=key, **more))
    return data("HostSystemSwapConfiguration", option=options)
