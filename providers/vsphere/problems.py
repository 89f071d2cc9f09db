"""Who else configures hosts: attached Host Profiles, clusters that vSphere Lifecycle Manager owns."""

from __future__ import annotations

from typing import Any

from planner.model import Address, Diagnostic
from providers.vsphere.collector import Collector
from providers.vsphere.identity import Inventory
from providers.vsphere.link import Link
from providers.vsphere.resolve import Resolver

_OWNERS = {"lifecycleManaged": "its cluster is managed by vSphere Lifecycle Manager (one image)",
           "configManagerEnabled": "its cluster is managed by a vSphere configuration profile"}


def find_problems(link: Link, collector: Collector, resolver: Resolver, inventory: Inventory,
                  ) -> tuple[dict[str, tuple[str, ...]], list[Diagnostic]]:
    """MoRef of a host or cluster → sentences; and warnings about what could not be seen."""
    found: dict[str, list[str]] = {}
    warnings = _profiles(link, collector, found)
    _lifecycle(link, collector, resolver, inventory, found)
    return {moid: tuple(words) for moid, words in found.items() if words}, warnings


def _profiles(link: Link, collector: Collector, found: dict[str, list[str]]) -> list[Diagnostic]:
    """Every Host Profile, with the entities that it is attached to. The read-only role does not see them."""
    from pyVmomi import vim, vmodl

    manager = link.content.hostProfileManager
    if manager is None:
        return []
    try:
        profiles = collector.one(manager, "profile").get("profile") or ()
    except (vmodl.fault.NotSupported, vmodl.fault.ManagedObjectNotFound):
        return []  # a server that has no Host Profiles at all (twin, vcsim, vSphere 9)
    except vim.fault.NoPermission:
        return [Diagnostic("warning", "it cannot be seen whether Host Profiles are attached",
                           "this user lacks the privilege Profile.View",
                           remedy="add it to the user's role; without it, an attached profile goes unnoticed")]
    for row in collector.many(profiles, "name", "entity"):
        for entity in row.props.get("entity") or ():
            found.setdefault(str(entity._moId), []).append(f"Host Profile {row.props.get('name')!r} is attached")
    return []


def _lifecycle(link: Link, collector: Collector, resolver: Resolver, inventory: Inventory,
               found: dict[str, list[str]]) -> None:
    """ClusterComputeResource says it since 7.0 and 8.0; older servers have no such clusters."""
    from pyVmomi import VmomiSupport, vim, vmodl

    kind = vim.ClusterComputeResource
    newer: Any = VmomiSupport
    asked = [p for p in _OWNERS if newer.IsChildVersion(link.stub.version, kind._GetPropertyInfo(p).version)]
    clusters = [resolver.obj(Address("cluster", "any"), m) for m, c in inventory.containers.items()
                if c.type == "cluster"]
    if not asked or not clusters:
        return
    try:
        rows = collector.many(clusters, *asked)
    except (vmodl.fault.NotSupported, vmodl.query.InvalidProperty):
        return  # a server without Lifecycle Manager
    for row in rows:
        found.setdefault(row.moid, []).extend(words for p, words in _OWNERS.items() if row.props.get(p))
