"""What hangs on a host and refers to something of the inventory: its references as addresses, its label. Pure.

Readers of children see one host's properties only. What these name by key or UUID (a distributed switch, a port group
of it), they write as "moid:…" or "uuid:…"; here it becomes the address of that root, or "path:…" where nobody declared
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import ResourceType
from planner.model import Address, Attrs, Fleet, StateResource
from providers.vsphere.identity import Inventory


class Labels:
    """The labels of objects that live knows by a reference: (host, type, reference) → label, and back."""

    def __init__(self) -> None:
        self._labels: dict[tuple[Address, str, str], str] = {}
        self._values: dict[Address, str] = {}

    def learn(self, types: Mapping[str, ResourceType], fleet: Fleet, state: Mapping[Address, StateResource]) -> None:
        """What is recorded counts first: live is as it was applied. What is declared only adds to it."""
        for source in (state, fleet.resources):
            for address, resource in source.items():
                known_by = types[address.child_type].known_by if address.child_type in types else ""
                value = resource.attributes.get(known_by) if known_by else None
                if isinstance(value, str):
                    self._labels.setdefault((address.root, address.child_type, value), address.name)
                    self._values.setdefault(address, value)

    def label(self, root: Address, rtype: str, value: str, name: str) -> str:
        """What to call it; `name`, as live does, where nobody declared it."""
        return self._labels.get((root, rtype, value), name)

    def value(self, address: Address) -> str:
        """The reference of the object of that label; "" where nothing is known of it."""
        return self._values.get(address, "")


def placed(rtype: ResourceType, root: Address, found: Mapping[str, Attrs], inventory: Inventory,
           labels: Labels) -> dict[str, Attrs]:
    """The objects of one host as a fleet file speaks of them, by label."""
    referring = [name for name, field in rtype.fields.items() if field.kind == "ref" or field.to]
    if not referring:
        return dict(found)
    made: dict[str, Attrs] = {}
    for name, attributes in found.items():
        told = _told(attributes, referring, inventory)
        value = told.get(rtype.known_by)
        label = labels.label(root, rtype.name, value, name) if isinstance(value, str) else name
        made[label] = told
    return made


def _told(attributes: Attrs, names: Iterable[str], inventory: Inventory) -> Attrs:
    changed: dict[str, Any] = {}
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value.startswith(("moid:", "uuid:")):
            kind, _, key = value.partition(":")
            moid = key if kind == "moid" else inventory.by_uuid.get(key, "")
            changed[name] = inventory.reference(moid) if moid else f"path:{key}"
    return {**attributes, **changed} if changed else attributes
