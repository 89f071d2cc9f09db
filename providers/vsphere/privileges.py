"""Which privileges a run needs, and which of them this user lacks, before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Address, Diagnostic, FleetError, Step

_NETWORK, _SERVICES = ("Host.Config.Network",), ("Host.Config.NetService",)
_MAINTENANCE, _CONNECTION = ("Host.Config.Maintenance",), ("Host.Config.Connection",)
_REMOVE = ("Host.Inventory.RemoveHostFromCluster",)
NEEDED: Mapping[str, tuple[str, ...]] = {
    "datacenter.create": ("Datacenter.Create",), "datacenter.rename": ("Datacenter.Rename",),
    "datacenter.destroy": ("Datacenter.Delete",),
    "folder.create": ("Folder.Create",), "folder.rename": ("Folder.Rename",), "folder.destroy": ("Folder.Delete",),
    "cluster.create": ("Host.Inventory.CreateCluster",), "cluster.update": ("Host.Inventory.EditCluster",),
    "cluster.rename": ("Host.Inventory.RenameCluster",), "cluster.destroy": ("Host.Inventory.DeleteCluster",),
    "host.add": ("Host.Inventory.AddHostToCluster",), "host.remove": _REMOVE, "host.remove_dead": _REMOVE,
    "host.move": ("Host.Inventory.EditCluster", "Host.Inventory.MoveHost"),
    "host.disconnect": _CONNECTION, "host.reconnect": _CONNECTION,
    "host.evacuate": _MAINTENANCE, "host.reboot": _MAINTENANCE,
    "host.enter_maintenance": _MAINTENANCE, "host.exit_maintenance": _MAINTENANCE,
    "dns.update": _NETWORK, "ntp.servers": ("Host.Config.DateTime",), "ntp.policy": _SERVICES,
    "ntp.start": _SERVICES, "ntp.stop": _SERVICES,
    "syslog.targets": ("Host.Config.Settings",), "syslog.open": _SERVICES, "syslog.close": _SERVICES,
    "option.set": ("Host.Config.Settings",),
    "service.policy": _SERVICES, "service.start": _SERVICES, "service.stop": _SERVICES,
    "vswitch.add": _NETWORK, "vswitch.update": _NETWORK, "vswitch.remove": _NETWORK,
    "portgroup.add": _NETWORK, "portgroup.update": _NETWORK, "portgroup.remove": _NETWORK,
    "vmkernel.add": _NETWORK, "vmkernel.update": _NETWORK, "vmkernel.remove": _NETWORK,
    "vmkernel.select": _NETWORK, "vmkernel.deselect": _NETWORK,
    "nfs.mount": ("Host.Config.Storage",), "nfs.unmount": ("Host.Config.Storage",),
}
"""Operation → privilege ids, from the API reference ("Required privileges") of each method."""


def needed(steps: Iterable[Step]) -> dict[Address, set[str]]:
    """Root → privileges that its steps, and undoing them, need. Steps at a host's own door need none of vCenter's."""
    wanted: dict[Address, set[str]] = {}
    for step in steps:
        names = [step.operation, *([step.inverse.operation] if step.inverse else [])]
        for name in names:
            if name in NEEDED:
                wanted.setdefault(step.address.root, set()).update(NEEDED[name])
    return wanted


def check(content: Any, entities: Mapping[Address, Any], wanted: Mapping[Address, set[str]]) -> None:
    """Ask vCenter once per set of privileges. `entities`: each root's object, or the nearest one above that exists.

    Raises FleetError naming every missing privilege.
    """
    session = content.sessionManager.currentSession
    by_set: dict[frozenset[str], dict[str, tuple[Any, Address]]] = {}
    for address, privileges in wanted.items():
        entity = entities[address]
        by_set.setdefault(frozenset(privileges), {}).setdefault(str(entity._moId), (entity, address))
    lacking: dict[str, list[Address]] = {}
    for group, found in by_set.items():
        names = sorted(group)
        answer = content.authorizationManager.HasPrivilegeOnEntities([e for e, _ in found.values()], session.key, names)
        for each in answer or ():
            for privilege in each.privAvailability or ():
                if not privilege.isGranted:
                    lacking.setdefault(privilege.privId, []).append(found[str(each.entity._moId)][1])
    if lacking:
        raise FleetError(*(Diagnostic(
            "error", f"this user lacks the privilege {privilege}",
            f"user {session.userName}, needed for " + ", ".join(str(a) for a in addresses[:5])
            + (f" and {len(addresses) - 5} more" if len(addresses) > 5 else ""),
            remedy="give the user a role with that privilege there, or use another user")
            for privilege, addresses in sorted(lacking.items())))
