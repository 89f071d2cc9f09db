"""Which property paths a reading needs, and whose children it is after. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from planner.catalog import ResourceType
from planner.model import Address, Fleet, StateResource
from providers.vsphere.collector import Row
from providers.vsphere.types import TYPES, option

STATUS = ("name", "parent", "summary.hardware.uuid", "config.network.pnic", "runtime.connectionState",
          "runtime.inMaintenanceMode", "runtime.bootTime", "config.product", "vm")
CHILDREN: Mapping[str, ResourceType] = {t.name: t for t in TYPES if t.parent == "host"}
READERS = {name: t.read for name, t in CHILDREN.items() if t.read is not None}
KNOWN_BY: Mapping[str, ResourceType] = {name: t for name, t in CHILDREN.items() if t.known_by}
REFERRING = frozenset(name for name, t in CHILDREN.items()
                      if any(f.kind == "ref" or f.to for f in t.fields.values()))
LOOKS = {t.name: t.look for t in TYPES if t.look is not None}
NAMED = tuple(name for name, t in CHILDREN.items() if not t.setting)

Names = dict[str, set[str]]  # child type → names


@dataclass(slots=True)
class Paths:
    """What to ask of hosts. `keyed`: array path → the keys of the elements that are needed."""

    plain: tuple[str, ...]
    keyed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def asked(self, *, keyed: bool) -> tuple[str, ...]:
        """`keyed` False: whole arrays, for a server that cannot index; options are asked for one by one then, and
        without their definitions."""
        if keyed:
            return (*self.plain, *(f'{p}["{k}"]' for p, keys in self.keyed.items() for k in sorted(keys)))
        return (*self.plain, *(p for p in self.keyed if p not in (option.PATH, option.DEFINITIONS)))


def paths_for(wanted: Mapping[str, Iterable[str]], *, status: bool = True) -> Paths:
    """Paths that reading these children needs; types without a name in `wanted` are left out."""
    keyed: dict[str, frozenset[str]] = {}
    plain = dict.fromkeys(STATUS if status else ())
    for rtype, names in wanted.items():
        of_names = CHILDREN[rtype].keys
        keys = of_names(frozenset(names)) if of_names is not None else {}
        for path, some in keys.items():
            keyed[path] = keyed.get(path, frozenset()) | some
        plain.update(dict.fromkeys(p for p in CHILDREN[rtype].paths if p not in keys))
    return Paths(tuple(plain), {p: keys for p, keys in keyed.items() if keys})


def gathered(rows: list[Row], paths: Paths) -> list[Row]:
    keyed = [(f'{p}["{k}"]', p) for p, keys in paths.keyed.items() for k in sorted(keys)]
    for row in rows if keyed else ():
        props = row.props
        for _, path in keyed:
            props[path] = []
        for asked, path in keyed:
            found = props.pop(asked, None)
            if found is not None:
                props[path].append(found)
    return rows


def wanted_names(fleet: Fleet, state: Mapping[Address, StateResource],
                 only: frozenset[Address] | None) -> dict[Address, Names]:
    """What is declared or recorded on each host: child type → names."""
    wanted: dict[Address, Names] = {}
    for source in (fleet.resources, state):
        for address in source:
            if address.type != "host" or (only is not None and address.root not in only and address not in only):
                continue
            names = wanted.setdefault(address.root, {})
            if address.child_type:
                names.setdefault(address.child_type, set()).add(address.name)
                for along in CHILDREN[address.child_type].along:
                    names.setdefault(along, set()).add(along)
    return wanted


def union(wanted: Mapping[Address, Names]) -> Names:
    """Names by type over all hosts; what can be created is always read, for the unmanaged ones."""
    found: Names = {name: set() for name in NAMED}
    for names in wanted.values():
        for rtype, some in names.items():
            found.setdefault(rtype, set()).update(some)
    return found
