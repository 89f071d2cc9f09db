"""VMkernel adapters on ports of a distributed switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from providers.twin.model import HostConfig
from providers.twin.objects.dvs_members import connected as users
from providers.twin.objects.dvs_members import new_port
from providers.twin.objects.network_faults import invalid, refused
from providers.twin.parts.dvs import Dvpg, DvPort, Dvs

if TYPE_CHECKING:
    from providers.twin.objects.host import HostManager


def connected(manager: HostManager, config: HostConfig, spec: Any, before: DvPort | None) -> DvPort | None:
    """The port that a HostVirtualNicSpec asks for; `before` where it is that group's already; None: it asks for none.

    Raises vmodl.fault.InvalidArgument, and PlatformConfigFault where the group has no free port.
    """
    given = spec.distributedVirtualPort
    if given is None:
        return None
    if given.switchUuid not in config.proxies:
        raise invalid("nic.distributedVirtualPort.switchUuid",
                      f"The host {manager.host.name} is in no distributed switch {given.switchUuid}.")
    inventory = manager.house.inventory
    group = inventory.get(str(given.portgroupKey or ""), Dvpg)
    switch = next(each for each in inventory.all(Dvs) if each.uuid == given.switchUuid)
    if given.portKey and before is not None and (before.switch, before.key) == (given.switchUuid, given.portKey):
        return before
    if given.portKey or group is None or group.switch != switch.id or group.uplink:
        raise invalid("nic.distributedVirtualPort", f"{switch.name} has no such port group or free port.")
    if before is not None and before.group == group.id:
        return before
    if group.binding == "earlyBinding" and not group.expand and len(users(manager.house, group)) >= group.ports:
        raise refused(f"All {group.ports} ports of {group.name} are in use.")
    port = DvPort(switch.uuid, group.id, new_port(switch))
    inventory.mark(switch)
    return port
