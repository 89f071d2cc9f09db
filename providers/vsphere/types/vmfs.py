"""VMFS volumes: visible, mounted; made only where the file asks for it, and only on an empty disk.

Nothing here formats a disk with partitions, resolves or resignatures a copy of a volume, or deletes a volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field, boolean, string
from providers.vsphere.tools import HostView, Tools, after, need

PATH = "config.fileSystemVolume.mountInfo"
DISKS = "fleet.vmfs.disks"
_LIVE = "fileSystemVolumeInfo.mountInfo"
_LUNS = "storageDeviceInfo.scsiLun"
_STORAGE = ("Host.Config.Storage",)


def volumes(mounts: Iterable[Any] | None) -> dict[str, Any]:
    """HostFileSystemMountInfo of VMFS volumes, by name."""
    return {each.volume.name: each for each in mounts or () if each.volume.type == "VMFS"}


def _named(props: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = volumes(props.get(PATH))
    return {name: found[name] for name in names if name in found}


def ask(host: HostView, names: frozenset[str], props: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is on the disks, where a declared volume is not in sight: it may be one that is to be made."""
    if len(_named(props, names)) == len(names):
        return {}
    return {DISKS: contents(host, host.manager("storageSystem"))}


def contents(tools: HostView | Tools, system: Any) -> dict[str, str]:
    """Canonical name of each disk → what it holds in words; "" where it is empty."""
    disks = {d.devicePath: d.canonicalName for d in tools.read(system, _LUNS).get(_LUNS) or ()
             if getattr(d, "devicePath", None)}
    found = dict.fromkeys(disks.values(), "")
    for each in system.RetrieveDiskPartitionInfo(devicePath=sorted(disks)) if disks else ():
        kinds = [str(p.type) for p in each.spec.partition or () if p.type != "none"]
        if kinds:
            name = disks.get(each.deviceName) or str(each.deviceName).rpartition("/")[2]
            found[name] = f"{len(kinds)} partition{'s' if kinds[1:] else ''} ({', '.join(kinds[:4])})"
    return found


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """Of one that is not in sight: once it is, its host has mounted it (VMFS volumes are mounted as they appear)."""
    found: dict[str, Attrs] = {}
    for name, each in _named(props, wanted).items():
        extents = each.volume.extent or ()
        found[name] = {"present": True, "create": True, "mounted": each.mountInfo.mounted is not False,
                       "disk": str(extents[0].diskName) if extents else "", "uuid": str(each.volume.uuid),
                       "disks": {}}
    for name in wanted - found.keys():
        found[name] = {"present": False, "create": False, "mounted": True, "uuid": "",
                       "disk": Unknown("the volume is not in sight"), "disks": dict(props.get(DISKS) or {})}
    return found


def validate(attributes: Attrs) -> Iterable[str]:
    if attributes.get("create") is False:
        yield "leave `create` out: nothing is made unless it says true"
    if attributes.get("create") and not attributes.get("disk"):
        yield "`create: true` needs `disk`: the canonical name of an empty disk"
    if attributes.get("present") is False:
        yield "a volume cannot be declared absent: fleet deletes no volume. Remove it from the file"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """What must not be formatted is refused before anything starts; the operation looks again."""
    for change in changes:
        now, wanted = existing.get(change.address.name, {}), change.after or {}
        if change.action in (Action.FORGET, Action.DELETE) or isinstance(now.get("present"), Unknown):
            continue
        disk, is_on = wanted.get("disk"), now.get("disk")
        if now.get("present") and disk and is_on != disk:
            yield Diagnostic("error", "this volume is on another disk", f"{change.address.name} is on {is_on}",
                             address=change.address, remedy="correct `disk`, or choose another name")
        elif now.get("present") is False and wanted.get("create"):
            disks: Any = now.get("disks") or {}
            if disks.get(disk):
                yield Diagnostic("error", "this disk is not empty", f"{disk} holds {disks[disk]}",
                                 address=change.address,
                                 remedy="fleet never formats such a disk: choose another, or empty it in vCenter")


# --- operations -------------------------------------------------------------------------------------------


def _volume(tools: Tools, call: Call) -> Any:
    system = tools.manager(call, "storageSystem")
    return volumes(tools.read(system, _LIVE).get(_LIVE)).get(call.address.name)


def scan(tools: Tools, call: Call) -> None:
    """Raises StepFailed where the volume is not there after it."""
    tools.manager(call, "storageSystem").RescanVmfs()
    found = _volume(tools, call)
    if found is None:
        raise StepFailed("this VMFS volume is not in sight of the host", call.address.name,
                         "declare its LUN under `fc:` (or its iSCSI target), or make it: `create: true` with `disk`")
    disk = after(call).get("disk")
    extents = [str(e.diskName) for e in found.volume.extent or ()]
    if disk and disk not in extents:
        raise StepFailed("this volume is on another disk", f"{call.address.name} is on {', '.join(extents)}",
                         "correct `disk`, or choose another name")
    if found.mountInfo.mounted is False:
        raise StepFailed("this volume is in sight, but not mounted", call.address.name,
                         "plan again: it is mounted then")


def create(tools: Tools, call: Call) -> None:
    """Only on a disk that holds nothing, in the host's own words of this moment. Raises StepFailed."""
    name, disk = call.address.name, str(after(call)["disk"])
    system, stores = tools.manager(call, "storageSystem"), tools.manager(call, "datastoreSystem")
    held = contents(tools, system).get(disk)
    if held is None:
        raise StepFailed("this disk is not in sight of the host", disk, "declare it under `fc:`, or its iSCSI target")
    if held:
        raise StepFailed("this disk is not empty: it is not formatted", f"{disk} holds {held}",
                         "choose another disk, or empty it in vCenter")
    for copy in system.QueryUnresolvedVmfsVolume() or ():
        if any(disk in str(e.devicePath) or disk == str(e.device.diskName) for e in copy.extent or ()):
            raise StepFailed("this disk holds a copy of a VMFS volume: it is not formatted",
                             f"{disk}: {copy.vmfsLabel}", "choose another disk, or resolve the copy in vCenter")
    free = {d.canonicalName: d.devicePath for d in stores.QueryAvailableDisksForVmfs() or ()}
    path = need(free.get(disk), "disk that the host offers for VMFS", disk)
    options = stores.QueryVmfsDatastoreCreateOptions(devicePath=path)
    spec = need(next((o.spec for o in options or () if o.spec.vmfs.extent.diskName == disk), None),
                "way to put VMFS on this disk", disk)
    spec.vmfs.volumeName = name
    made = stores.CreateVmfsDatastore(spec=spec)
    named = str(tools.read(made, "name").get("name") or "")
    if named != name:
        raise StepFailed("vCenter gave the new volume's datastore another name", f"{name} became {named}",
                         f"rename {named} in vCenter, then plan again")


def _uuid(tools: Tools, call: Call) -> str:
    return str(need(_volume(tools, call), "VMFS volume", call.address.name).volume.uuid)


def mount(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").MountVmfsVolume(vmfsUuid=_uuid(tools, call))


def unmount(tools: Tools, call: Call) -> None:
    """The host refuses where a virtual machine is on it."""
    tools.manager(call, "storageSystem").UnmountVmfsVolume(vmfsUuid=_uuid(tools, call))


VMFS = ResourceType(
    name="vmfs",
    doc="A VMFS volume that the host uses. It is made only where `create` says so, and never deleted.",
    parent="host",
    setting=True,
    order=12,
    fields={
        "mounted": boolean("Whether this host has it mounted.", default=True, always=True),
        "disk": string("Canonical name of its (first) disk: naa.…"),
        "create": boolean("true: make the volume on `disk` where it is not there. A disk with partitions is refused."),
        "present": boolean("Always true: a volume that is declared must be there.", default=True, always=True),
        "uuid": Field("string", "The volume's UUID.", computed=True),
        "disks": Field("map", "What the host's disks hold, while the volume is not in sight.", computed=True,
                       items=Field("string", "Words; empty: nothing.")),
    },
    label_doc="the volume's name, which is the datastore's",
    paths=(PATH,),
    ask=ask,
    read=read,
    validate=validate,
    check=check,
    baseline={"*": {"present": False, "create": False, "mounted": True,
                    "disk": Unknown("read after birth"), "uuid": Unknown("read after birth")}},
    operations=(
        Operation("vmfs.create", "HostDatastoreSystem.CreateVmfsDatastore", "update",
                  "Make the volume on its empty disk; skipped where the volume is there by now.", create,
                  ("present", "disk", "create"), to={"present": True, "create": True},
                  carries={"present": ("disk", "create")},
                  irreversible="it formats the disk: the volume stays, fleet deletes none", when="not-yet",
                  opens=("host.scan_vmfs",), privileges=_STORAGE),
        Operation("vmfs.scan", "HostStorageSystem.RescanVmfs", "update",
                  "Rescan for this volume; fails where it is not there then.", scan, ("present", "disk"),
                  to={"present": True}, irreversible="a rescan only looks: what it finds stays in sight",
                  when="not-yet", carries={"present": ("disk",)}, privileges=_STORAGE),
        Operation("vmfs.mount", "HostStorageSystem.MountVmfsVolume", "update", "Mount the volume.", mount,
                  ("mounted",), inverse="vmfs.unmount", to={"mounted": True}, privileges=_STORAGE),
        Operation("vmfs.unmount", "HostStorageSystem.UnmountVmfsVolume", "update",
                  "Unmount the volume; what is on it stays.", unmount, ("mounted",), inverse="vmfs.mount",
                  to={"mounted": False}, disruptive="whatever uses this volume here loses it", cuts="storage",
                  privileges=_STORAGE),
    ),
)
