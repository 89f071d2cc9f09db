"""Rules of storage that no single object shows: between hosts, between a host and how it boots, and dead datastores."""

from __future__ import annotations

from collections.abc import Iterator

from planner.model import Address, Attrs, Diagnostic, Fleet, Live
from providers.vsphere.types.nfs import dead


def storage_problems(fleet: Fleet) -> Iterator[Diagnostic]:
    """What shows without a server."""
    yield from _made_twice(fleet)
    for address, resource in fleet.resources.items():
        host = fleet.resources.get(address.root)
        if address.rtype == "scratch" and host is not None and _stateless(host.attributes):
            yield Diagnostic(
                "error", "scratch never takes effect on a stateless host",
                f"{address.root} boots {host.attributes['image']} from the network each time, and forgets the setting "
                "with the reboot that it waits for", resource.mark, address,
                "send its logs away with `syslog:`, or let it run from its own disk (`install:`)")


def _stateless(attributes: Attrs) -> bool:
    return bool(attributes.get("image")) and not attributes.get("install") and attributes.get("netboot") != "once"


def _made_twice(fleet: Fleet) -> Iterator[Diagnostic]:
    """Two hosts that format one disk at the same time would each find it empty."""
    first: dict[str, Address] = {}
    for address, resource in fleet.resources.items():
        disk = resource.attributes.get("disk")
        if address.rtype != "vmfs" or not resource.attributes.get("create") or not isinstance(disk, str):
            continue
        if not disk.startswith(("naa.", "eui.", "t10.")):  # the name of a disk on each host
            continue
        other = first.setdefault(disk, address)
        if other != address:
            yield Diagnostic(
                "error", "two hosts would make a volume on one disk", f"{other} makes one on {disk}, too",
                resource.mark, address, "leave `create` out here: it finds the volume that the other one makes")


def storage_cautions(fleet: Fleet, live: Live) -> Iterator[Diagnostic]:
    """Mounts whose server is gone. Those that nobody declares are somebody else's: they are named, and left alone."""
    for address, found in live.objects.items():
        why = dead(found.attributes) if address.rtype == "nfs" else ""
        if not why:
            continue
        resource = fleet.resources.get(address)
        if resource is not None:
            yield Diagnostic("warning", "this datastore is dead", why, resource.mark, address,
                             "bring its server back, or remove it from the file")
        elif address in live.unmanaged:
            yield Diagnostic(
                "warning", "a dead datastore of this host's own",
                f"{address.name} ({found.attributes['server']}:{found.attributes['path']}): {why}", address=address,
                remedy="remove it in vCenter; or say `exclusive: true` on this host, and the plan removes it")
