"""Which live object is which declared one. Pure: rows in, matches and diagnostics out.

A container is known by its MoRef hint, then by name below its matched parent. A host is known by hardware UUID,
then by boot MAC, then by the name that AddHost used; the MoRef is only a hint, because it changes when a host is
removed and added again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.model import Address, Attrs, Diagnostic
from providers.vsphere.tools import unquoted
from providers.vsphere.types.folder import KINDS


@dataclass(frozen=True, slots=True)
class Container:
    """A datacenter, folder or cluster as live has it. `props` holds what was read, by path."""

    moid: str
    type: str
    name: str
    parent: str
    props: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HostRow:
    """What identifies one live host. MACs are lower case, vmnic0's first."""

    moid: str
    name: str
    uuid: str
    macs: tuple[str, ...]
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Want:
    """What is declared or recorded about one root. `attributes`: alternatives to look by, recorded ones first."""

    address: Address
    attributes: tuple[Attrs, ...]
    id: str = ""
    uuid: str = ""
    declared: bool = True  # False: only state knows it


@dataclass(slots=True)
class Inventory:
    """All containers of a vCenter, and which address each one is."""

    root: str
    containers: Mapping[str, Container]
    matched: dict[Address, str] = field(default_factory=dict)  # address → MoRef
    standard: frozenset[str] = frozenset()  # the folders that every datacenter has
    addresses: dict[str, Address] = field(default_factory=dict)  # the reverse
    by_uuid: Mapping[str, str] = field(default_factory=dict)  # of distributed switches: UUID → MoRef
    dark: Mapping[str, str] = field(default_factory=dict)  # MoRef → why something of it is not known
    lost: str = ""  # why nobody can tell what is where: the name or the place of a container is not known

    def hidden(self, address: Address) -> str:
        """Why nothing can be said of a root; "" where it can."""
        return self.lost or self.dark.get(self.matched.get(address, ""), "")

    def match(self, wants: Iterable[Want]) -> None:
        """Find every wanted container; parents first, whatever the order of `wants`."""
        left = {w.address: w for w in wants}
        by_place: dict[tuple[str, str, str], str] = {
            (c.type, c.parent, unquoted(c.name)): c.moid for c in self.containers.values()}
        visiting: set[Address] = set()

        def find(address: Address) -> str:
            want = left.get(address)
            if address in self.matched or want is None or address in visiting:
                return self.matched.get(address, "")
            visiting.add(address)
            hinted = self.containers.get(want.id)
            moid = want.id if hinted is not None and hinted.type == address.type else ""
            for attributes in () if moid else want.attributes:
                parent = self._parent(address, attributes, find)
                name = str(attributes.get("name") or address.name)
                moid = moid or (by_place.get((address.type, parent, name), "") if parent else "")
            if moid:
                self.matched[address] = moid
                self.addresses[moid] = address
            visiting.discard(address)
            return moid

        for address in left:
            find(address)

    def _parent(self, address: Address, attributes: Attrs, find: Any) -> str:
        """MoRef of the container that the attributes say; "" where it does not exist (yet)."""
        if address.type == "distributed_portgroup":  # beside its switch
            switch = attributes.get("switch")
            found = self.containers.get(str(find(Address.parse(switch)))) if isinstance(switch, str) and switch and \
                not switch.startswith("path:") else None
            return found.parent if found is not None else ""
        above = attributes.get("parent") if address.type == "folder" else attributes.get("folder")
        if isinstance(above, str) and above:
            return "" if above.startswith("path:") else str(find(Address.parse(above)))
        if address.type == "datacenter" or attributes.get("kind") == "datacenter":
            return self.root
        datacenter = attributes.get("datacenter")
        if not isinstance(datacenter, str) or not datacenter or datacenter.startswith("path:"):
            return ""
        found = self.containers.get(str(find(Address.parse(datacenter))))
        place = KINDS[str(attributes.get("kind") or "host")] if address.type == "folder" else \
            "networkFolder" if address.type == "distributed_switch" else "hostFolder"
        return str(found.props[place]._moId) if found is not None and place in found.props else ""

    # --- what live says about a container -----------------------------------------------------------------

    def path(self, moid: str) -> str:
        """Inventory path without the root and without the folders that every datacenter has: "dc0/edge/prod"."""
        parts: list[str] = []
        while moid in self.containers:
            here = self.containers[moid]
            if moid not in self.standard:
                parts.append(unquoted(here.name))
            moid = here.parent
        return "/".join(reversed(parts))

    def reference(self, moid: str) -> str:
        """The address of a container as text; "path:…" where nobody declared it."""
        known = self.addresses.get(moid)
        return str(known) if known is not None else f"path:{self.path(moid) or moid}"

    def attributes(self, moid: str) -> dict[str, Any]:
        """A container's attributes as its resource type has them."""
        from providers.vsphere.types.cluster import settings

        here = self.containers[moid]
        found: dict[str, Any] = {"name": unquoted(here.name)}
        if here.type == "folder":
            found["kind"] = self._kind(here)
        if here.type == "distributed_portgroup":
            found.update(_port_group(here.props), switch=self.reference(_moid(here.props, "distributedVirtualSwitch")))
            return found
        if here.parent in self.standard:
            found["datacenter"] = self.reference(self.containers[here.parent].parent)
        elif here.parent != self.root:
            found["parent" if here.type == "folder" else "folder"] = self.reference(here.parent)
        if here.type == "cluster" and here.props.get("configurationEx") is not None:
            found.update(settings(here.props, here.props.get("failover")))
        if here.type == "distributed_switch" and here.props.get("config") is not None:
            from providers.vsphere.dvs.settings import settings as of_switch

            found.update(of_switch(here.props["config"]), stale=list(here.props.get("stale") or ()))
        return found

    def members(self, moid: str) -> list[str]:
        """How a fleet file refers to the distributed switches that count this host as theirs; of those read whole."""
        return sorted(self.reference(switch) for switch, here in self.containers.items()
                      if here.type == "distributed_switch" and here.props.get("config") is not None
                      and any(m.config.host is not None and m.config.host._moId == moid
                              for m in here.props["config"].host or ()))

    def _kind(self, folder: Container) -> str:
        moid = folder.moid
        while moid in self.containers and moid not in self.standard:
            moid = self.containers[moid].parent
        if moid not in self.containers:
            return "datacenter"
        above = self.containers[self.containers[moid].parent]
        return next((kind for kind, place in KINDS.items()
                     if place in above.props and above.props[place]._moId == moid), "host")

    def undeclared(self) -> list[str]:
        """Paths of containers that nobody declared; a switch's own group of uplinks is part of it."""
        return sorted(self.path(moid) for moid, here in self.containers.items()
                      if moid not in self.addresses and moid not in self.standard
                      and not here.props.get("config.uplink"))


def inventory(root: str, rows: Iterable[Container]) -> Inventory:
    containers = {row.moid: row for row in rows if row.moid != root}
    standard = frozenset(str(row.props[place]._moId) for row in containers.values() if row.type == "datacenter"
                         for place in KINDS.values() if place in row.props)
    uuids = {str(row.props["uuid"]): row.moid for row in containers.values()
             if row.type == "distributed_switch" and "uuid" in row.props}
    return Inventory(root, containers, standard=standard, by_uuid=uuids)


def _port_group(props: Mapping[str, Any]) -> dict[str, Any]:
    from providers.vsphere.types.distributed_portgroup import settings

    return settings(props["config"]) if props.get("config") is not None else {}


def _moid(props: Mapping[str, Any], name: str) -> str:
    """MoRef that a configuration names."""
    found = getattr(props.get("config"), name, None)
    return str(found._moId) if found is not None else ""


# --- hosts ------------------------------------------------------------------------------------------------


def match_hosts(wants: Iterable[Want], rows: Iterable[HostRow]) -> tuple[dict[Address, str], list[Diagnostic]]:
    """Address → MoRef of every wanted host that live has, and what is ambiguous."""
    rows = list(rows)
    by_uuid, by_mac, by_name = _index(rows)
    matched: dict[Address, str] = {}
    diagnostics: list[Diagnostic] = []
    owner: dict[str, Want] = {}
    names = {row.moid: row.name for row in rows}
    for want in wants:
        found = candidates(want, by_uuid, by_mac, by_name)
        if len(found) > 1:
            diagnostics.append(Diagnostic(
                "error", "two live hosts match one declaration", " and ".join(sorted(names[m] for m in found)),
                address=want.address, remedy="declare them apart by `mac` and `name`, or remove one from vCenter"))
            continue
        for moid in found:
            if moid in owner:
                diagnostics.append(_twice(owner[moid], want, names[moid]))
                continue
            owner[moid] = want
            matched[want.address] = moid
    return matched, diagnostics


def _twice(first: Want, second: Want, name: str) -> Diagnostic:
    if first.declared == second.declared:
        return Diagnostic(
            "error", "two declarations match one live host", f"{first.address} and {second.address}: {name}",
            address=second.address, remedy="declare them apart by `mac` and `name`")
    new, old = (first, second) if first.declared else (second, first)
    return Diagnostic(
        "error", "state knows this host under another address", f"{name} is {old.address} in state, which the fleet no "
        "longer declares", address=new.address,
        remedy=f"say that it is the same host: `moved: [{{from: '{old.address}', to: '{new.address}'}}]`")


def _index(rows: Iterable[HostRow]) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, list[str]]]:
    by_uuid: dict[str, list[str]] = {}
    by_mac: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for row in rows:
        if row.uuid:
            by_uuid.setdefault(row.uuid.lower(), []).append(row.moid)
        for mac in row.macs:
            by_mac.setdefault(mac, []).append(row.moid)
        by_name.setdefault(unquoted(row.name).lower(), []).append(row.moid)
    return by_uuid, by_mac, by_name


def candidates(want: Want, by_uuid: Mapping[str, list[str]], by_mac: Mapping[str, list[str]],
               by_name: Mapping[str, list[str]]) -> list[str]:
    """MoRefs of the hosts that this may be; more than one is an ambiguity.

    Machines with one UUID (a vendor's mistake) or one MAC (simulators) are told apart by the weaker marks.
    """
    names = [str(a["name"]).lower() for a in want.attributes if a.get("name")]
    macs = [str(a["mac"]).lower() for a in want.attributes if a.get("mac")]
    by_names = [m for n in dict.fromkeys(names) for m in by_name.get(n, ())]
    by_macs = [m for c in dict.fromkeys(macs) for m in by_mac.get(c, ())]
    if want.uuid and by_uuid.get(want.uuid.lower()):
        found = by_uuid[want.uuid.lower()]
        return _narrow(found, by_macs, by_names) if len(found) > 1 else found
    declared = want.attributes[-1] if want.attributes else {}
    mac, name = str(declared.get("mac") or "").lower(), str(declared.get("name") or "").lower()
    first = by_mac.get(mac, []) or by_macs
    if len(first) > 1:
        return _narrow(first, by_names)
    other = by_name.get(name, []) or by_names
    if first:
        return list(dict.fromkeys([*first, *other])) if len(other) == 1 else first
    return list(dict.fromkeys(other))


def _narrow(found: list[str], *others: list[str]) -> list[str]:
    for other in others:
        kept = [m for m in found if m in other]
        if kept:
            return list(dict.fromkeys(kept))
    return list(dict.fromkeys(found))
