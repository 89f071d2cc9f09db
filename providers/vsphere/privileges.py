"""Which privileges a run needs, and which of them this user lacks, before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from planner.model import Address, Diagnostic, FleetError, Step
from providers.vsphere.types import TYPES


def needed(steps: Iterable[Step], named: Callable[[Address], str] = lambda _address: "") -> dict[Address, set[str]]:
    """Root → privileges that its steps, and undoing them, need. Steps at a host's own door need none of vCenter's.

    `named`: the root that an object on a host stands for there (a distributed switch); its privileges are asked there.
    """
    by_name = {o.name: o.privileges for t in TYPES for o in t.operations}
    wanted: dict[Address, set[str]] = {}
    for step in steps:
        names = [step.operation, *([step.inverse.operation] if step.inverse else [])]
        for name in names:
            for privilege in by_name.get(name, ()):
                there = named(step.address) if privilege.startswith("DVSwitch.") else ""
                root = Address.parse(there) if there and not there.startswith("path:") else step.address.root
                wanted.setdefault(root, set()).add(privilege)
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
