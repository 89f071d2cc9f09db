"""vCenter's inventory: documents, who hangs below whom, ids, and the datastores and networks that hosts bring along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar, cast

from providers.twin.model import (
    Box,
    Cluster,
    Datacenter,
    Datastore,
    Folder,
    FolderKind,
    Host,
    HostConfig,
    Kept,
    Network,
    Nfs,
    Site,
    Vm,
)
from providers.twin.parts.dvs import Dvpg, Dvs
from providers.twin.store import Store

Entity: TypeAlias = Folder | Datacenter | Cluster | Host | Vm | Datastore | Network | Dvs | Dvpg
T = TypeVar("T", bound="Entity | Box | Site")

ROOT = "group-d1"
_FOLDERS: dict[str, tuple[FolderKind, str]] = {
    "vm": ("vm", "group-v"),
    "host": ("host", "group-h"),
    "datastore": ("datastore", "group-s"),
    "network": ("network", "group-n"),
}
FOLDER_IDS: dict[FolderKind, str] = {
    "datacenter": "group-d",
    "host": "group-h",
    "vm": "group-v",
    "datastore": "group-s",
    "network": "group-n",
}


def key_of(document: Kept) -> str:
    """Under what a document is kept: a machine's MAC, "site", else the managed object id."""
    if isinstance(document, Box):
        return document.mac
    return "site" if isinstance(document, Site) else document.id


class Inventory:
    """All documents with their indexes. Every change of a document is announced by `mark`; `flush` writes them."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._dirty: dict[str, Kept] = {}
        self._gone: dict[str, None] = {}
        self._below: dict[str, dict[str, None]] = {}
        self._names: dict[str, dict[str, str]] = {}  # parent → name → id, of networks and datastores
        self._exports: dict[tuple[str, str, str, str], str] = {}  # datacenter, type, server, path → datastore
        self._used: dict[str, dict[str, None]] = {}  # network or datastore → hosts
        self._uses: dict[str, set[str]] = {}  # host → networks and datastores
        self._hosts: dict[str, str] = {}  # MAC → host id
        self._host_names: dict[str, str] = {}
        self._vms: dict[str, dict[str, None]] = {}  # host → virtual machines
        self.docs: dict[str, Kept] = store.documents
        if "site" not in self.docs:
            self.docs["site"] = Site(name)
        if ROOT not in self.docs:
            self.docs[ROOT] = Folder(ROOT, "Datacenters", "", "datacenter")
        self.site = cast(Site, self.docs["site"])

    def reindex(self) -> None:
        """Build all indexes from the documents. The datastores and networks of hosts follow by `attach`."""
        for document in self.docs.values():
            if not isinstance(document, (Box, Site)):
                self._index(document)
            if isinstance(document, Datastore):
                for host in document.hosts:
                    self._mounted(host, document.id)

    # --- reading ------------------------------------------------------------------------------------------

    def get(self, identity: str, kind: type[T]) -> T | None:
        """The document of that id and kind; None where there is none."""
        found = self.docs.get(identity)
        return found if isinstance(found, kind) else None

    def need(self, identity: str, kind: type[T]) -> T:
        """As `get`, for an id that must exist. Raises KeyError."""
        found = self.get(identity, kind)
        if found is None:
            raise KeyError(f"no {kind.__name__} {identity}")
        return found

    def all(self, kind: type[T]) -> list[T]:
        return [each for each in self.docs.values() if isinstance(each, kind)]

    def below(self, parent: str) -> list[Entity]:
        """What hangs right below an entity, in order of creation (a cluster: its hosts)."""
        return [cast("Entity", self.docs[each]) for each in self._below.get(parent, ())]

    def child(self, parent: str, name: str) -> Entity | None:
        """The entity of that name right below `parent`."""
        return next((each for each in self.below(parent) if each.name == name), None)

    def host_of(self, mac: str) -> Host | None:
        """The host that vCenter knows on that machine."""
        found = self._hosts.get(mac)
        return None if found is None else self.need(found, Host)

    def host_named(self, name: str) -> Host | None:
        found = self._host_names.get(name)
        return None if found is None else self.need(found, Host)

    def datacenter_of(self, entity: Entity) -> Datacenter:
        """The datacenter that an entity is in. Raises KeyError for one outside of any."""
        at: Entity = entity
        while not isinstance(at, Datacenter):
            at = cast("Entity", self.docs[at.parent])
        return at

    def path(self, entity: Entity) -> str:
        """Inventory path, without the root: "dc0/host/prod"."""
        parts = []
        at: Entity | None = entity
        while at is not None and at.parent:
            parts.append(at.name)
            at = cast("Entity | None", self.docs.get(at.parent))
        return "/".join(reversed(parts))

    def vms_on(self, host: Host) -> list[Vm]:
        return [self.need(each, Vm) for each in self._vms.get(host.id, ())]

    def users(self, identity: str) -> list[Host]:
        """The hosts that have a network or datastore, in the order in which they got it."""
        return [self.need(each, Host) for each in self._used.get(identity, ())]

    def uses(self, host: Host) -> set[str]:
        """Ids of the networks and datastores of a host."""
        return self._uses.get(host.id, set())

    def used_by(self, host: Host, kind: type[T]) -> list[T]:
        """Networks or datastores of a host, sorted by id."""
        found = (self.get(each, kind) for each in sorted(self._uses.get(host.id, ())))
        return [each for each in found if each is not None]

    def datastore_named(self, datacenter: Datacenter, name: str) -> Datastore | None:
        found = self._names.get(datacenter.datastore, {}).get(name)
        return None if found is None else self.need(found, Datastore)

    def datastore_of(self, datacenter: Datacenter, mount: Nfs) -> Datastore | None:
        """The datastore that this export already is in a datacenter."""
        found = self._exports.get((datacenter.id, mount.type, mount.server, mount.path))
        return None if found is None else self.need(found, Datastore)

    # --- changing -----------------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        """A fresh managed object id ("host-" → "host-1003"), never given out before in this twin's life."""
        self.site.next += 1
        self.mark(self.site)
        return f"{prefix}{self.site.next}"

    def mark(self, *documents: Kept) -> None:
        """These changed: the next `flush` writes them."""
        for each in documents:
            key = key_of(each)
            self._dirty[key] = each
            self._gone.pop(key, None)

    def put(self, document: Entity) -> None:
        """A new entity."""
        self.docs[document.id] = document
        self._index(document)
        self.mark(document)

    def remove(self, document: Entity) -> None:
        """An entity is gone. What hangs below it must be gone already."""
        self._unindex(document)
        del self.docs[document.id]
        self._dirty.pop(document.id, None)
        self._gone[document.id] = None
        for store in document.datastores if isinstance(document, Vm) else ():
            left = self.get(store, Datastore)
            if left is not None and not self._used.get(store) and not self._vms_of(store):
                self.remove(left)

    def rename(self, document: Entity, name: str) -> None:
        self._unindex(document)
        document.name = name
        self._index(document)
        self.mark(document)

    def move(self, document: Entity, parent: str) -> None:
        self._unindex(document)
        document.parent = parent
        self._index(document)
        self.mark(document)

    def place(self, machine: Vm, host: Host) -> None:
        """A virtual machine now lives on that host."""
        self._unindex(machine)
        machine.host = host.id
        self._index(machine)
        self.mark(machine)

    def flush(self) -> None:
        """Write what changed since the last time, as one effect."""
        if self._dirty or self._gone:
            dirty, gone = self._dirty, self._gone
            self._dirty, self._gone = {}, {}
            self._store.save(dirty, gone)

    def add_datacenter(self, name: str, parent: str) -> Datacenter:
        """A datacenter with its four folders."""
        made = Datacenter(self.new_id("datacenter-"), name, parent)
        self.put(made)
        for field, (kind, prefix) in _FOLDERS.items():
            folder = Folder(self.new_id(prefix), field, made.id, kind)
            self.put(folder)
            setattr(made, field, folder.id)
        return made

    def add_folder(self, name: str, parent: Folder) -> Folder:
        made = Folder(self.new_id(FOLDER_IDS[parent.holds]), name, parent.id, parent.holds)
        self.put(made)
        return made

    def add_cluster(self, name: str, parent: Folder) -> Cluster:
        """A cluster; DRS and HA are off."""
        made = Cluster(self.new_id("domain-c"), name, parent.id)
        self.put(made)
        return made

    # --- what hosts bring along ---------------------------------------------------------------------------

    def attach(self, host: Host, config: HostConfig | None) -> None:
        """Datastores and networks follow a host's configuration; None: the host leaves. Names of conflicting NFS mounts
        get a " (1)", and mounts of a known export take its name, as vCenter renames them on the host."""
        datacenter = self.datacenter_of(host)
        wanted: set[str] = set()
        if config is not None:
            wanted.update(self._network(datacenter, name).id for name in config.portgroups)
            for name in list(config.nfs):
                store = self._datastore(datacenter, name, config.nfs[name])
                if store.name != name:
                    config.nfs[store.name] = config.nfs.pop(name)
                wanted.add(store.id)
            wanted.update(each.id for each in self._volumes(host, datacenter, config))
        before = self._uses.get(host.id, set())
        if config is not None:
            wanted |= {each for each in before if isinstance(found := self.docs[each], Datastore) and found.hosts}
        for each in sorted(before - wanted):
            self._release(host, each)
        for each in sorted(wanted - before):
            self._used.setdefault(each, {})[host.id] = None
        if config is None:
            self._uses.pop(host.id, None)
        else:
            self._uses[host.id] = wanted

    def _volumes(self, host: Host, datacenter: Datacenter, config: HostConfig) -> list[Datastore]:
        """Datastores of the VMFS volumes that a host has mounted; a volume takes the datastore's name."""
        from providers.twin.san import mounted_volumes

        box = self.docs.get(host.mac)
        found = []
        for uuid, volume in mounted_volumes(self.site.san, box, config) if isinstance(box, Box) else ():
            store = self._named(datacenter, volume.name, uuid) or Datastore(
                self.new_id("datastore-"), self._free(datacenter, volume.name), datacenter.datastore, "VMFS", path=uuid)
            if store.id not in self.docs:
                self.put(store)
            if store.name != volume.name:
                volume.name = store.name
                self.mark(self.site)
            found.append(store)
        return found

    def _named(self, datacenter: Datacenter, name: str, uuid: str) -> Datastore | None:
        """The datastore of that VMFS volume, which has that name, or that name with a number."""
        taken = self._names.get(datacenter.datastore, {})
        for number in range(len(taken) + 1):
            found = self.get(taken.get(f"{name} ({number})" if number else name, ""), Datastore)
            if found is not None and found.path == uuid:
                return found
        return None

    def vmfs_store(self, host: Host, uuid: str) -> Datastore | None:
        """The datastore of a VMFS volume that a host has."""
        return next((each for each in self.used_by(host, Datastore) if each.type == "VMFS" and each.path == uuid), None)

    def mount(self, host: Host, store: Datastore) -> None:
        """A datastore that does not come from the host's NFS mounts (VMFS) is on this host."""
        store.hosts.append(host.id)
        self.mark(store)
        self._mounted(host.id, store.id)

    def _mounted(self, host: str, identity: str) -> None:
        self._used.setdefault(identity, {})[host] = None
        self._uses.setdefault(host, set()).add(identity)

    def _release(self, host: Host, identity: str) -> None:
        users = self._used.get(identity, {})
        users.pop(host.id, None)
        found = self.docs.get(identity)
        if isinstance(found, Datastore) and host.id in found.hosts:
            found.hosts.remove(host.id)
            self.mark(found)
        if not users and isinstance(found, (Network, Datastore)) and not self._vms_of(identity):
            self._used.pop(identity, None)
            self.remove(found)

    def _vms_of(self, store: str) -> bool:
        """Whether a registered VM is on that datastore: then vCenter knows it, although no host has it."""
        return any(store in each.datastores for each in self.docs.values() if isinstance(each, Vm))

    def _network(self, datacenter: Datacenter, name: str) -> Network:
        found = self._names.get(datacenter.network, {}).get(name)
        if found is not None:
            return self.need(found, Network)
        made = Network(self.new_id("network-"), name, datacenter.network)
        self.put(made)
        return made

    def _datastore(self, datacenter: Datacenter, name: str, mount: Nfs) -> Datastore:
        known = self.datastore_of(datacenter, mount)
        if known is not None:
            return known
        free = self._free(datacenter, name)
        made = Datastore(
            self.new_id("datastore-"), free, datacenter.datastore, mount.type, mount.server, mount.path, mount.servers
        )
        self.put(made)
        return made

    def _free(self, datacenter: Datacenter, name: str) -> str:
        """That name for a new datastore; with a number where it is taken."""
        taken, free, number = self._names.get(datacenter.datastore, {}), name, 0
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        return free

    # --- indexes ------------------------------------------------------------------------------------------

    def _index(self, document: Entity) -> None:
        self._below.setdefault(document.parent, {})[document.id] = None
        if isinstance(document, (Network, Datastore)):
            self._names.setdefault(document.parent, {})[document.name] = document.id
        if isinstance(document, Datastore) and document.server:
            self._exports[self._export(document)] = document.id
        if isinstance(document, Vm):
            self._vms.setdefault(document.host, {})[document.id] = None
        if isinstance(document, Host):
            self._hosts[document.mac] = document.id
            self._host_names[document.name] = document.id

    def _unindex(self, document: Entity) -> None:
        self._below.get(document.parent, {}).pop(document.id, None)
        if isinstance(document, (Network, Datastore)):
            self._names.get(document.parent, {}).pop(document.name, None)
        if isinstance(document, Datastore):
            self._exports.pop(self._export(document), None)
        if isinstance(document, Vm):
            self._vms.get(document.host, {}).pop(document.id, None)
        if isinstance(document, Host):
            self._hosts.pop(document.mac, None)
            self._host_names.pop(document.name, None)

    def _export(self, store: Datastore) -> tuple[str, str, str, str]:
        return self.datacenter_of(store).id, store.type, store.server, store.path


def descend(inventory: Inventory, parent: str) -> Iterator[Entity]:
    """Everything below an entity, parents first."""
    for each in inventory.below(parent):
        yield each
        yield from descend(inventory, each.id)


def names(entities: Iterable[Entity]) -> list[str]:
    return [each.name for each in entities]
