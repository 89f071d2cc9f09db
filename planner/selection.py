"""What `--target` and `--exclude` leave of a plan: names on the command line, and what they need or what needs them.

A child (a port group) needs its host, the siblings that it is built on, and what its expressions refer to; it does
not need the rest of the host. Naming a host names all that hangs on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from planner.catalog import Catalog
from planner.graph import closure
from planner.model import Address, Attrs, Diagnostic, Fleet, FleetError, StateResource
from planner.schema import names_root

Needs = dict[Address, set[Address]]


def selection(catalog: Catalog, fleet: Fleet, recorded: Mapping[Address, StateResource], targets: Collection[Address],
              excludes: Collection[Address], *, destroy: bool = False) -> set[Address] | None:
    """The addresses to plan; None: everything. `destroy` turns it round: a cluster takes its hosts along."""
    if not targets and not excludes:
        return None
    everything = {*fleet.resources, *recorded}
    needs = _needs(catalog, fleet, recorded, everything, destroy)
    needed_by: Needs = {}
    for address, wanted in needs.items():
        for want in wanted:
            needed_by.setdefault(want, set()).add(address)
    if destroy:
        needs, needed_by = needed_by, needs
    selected: set[Address] = everything
    if targets:
        selected = closure(matching(everything, targets), needs)
    if excludes:
        left_out: set[Address] = closure(matching(everything, excludes), needed_by)
        selected = selected - left_out
    return selected


def matching(everything: Collection[Address], names: Iterable[Address]) -> list[Address]:
    """`host.esx` names every host of the block; a host names what hangs on it."""
    wanted = set(names)
    blocks = {(a.type, a.label) for a in wanted if not a.key and not a.child_type}
    return [a for a in everything if a in wanted or a.root in wanted or (a.type, a.label) in blocks]


def _needs(catalog: Catalog, fleet: Fleet, recorded: Mapping[Address, StateResource],
           everything: Collection[Address], destroy: bool) -> Needs:
    """Address → what it cannot be planned without."""
    needs: Needs = {a: set() for a in everything}
    hanging: dict[Address, list[Address]] = {}
    for address in everything:
        if address.child_type:
            hanging.setdefault(address.root, []).append(address)
            needs[address].add(address.root)
    for address, resource in fleet.resources.items():
        for target in resource.references:
            needs[address].add(target)
            if not target.child_type and target != address.root:
                needs[address].update(hanging.get(target, ()))  # `depends_on` a host means all of it
        needs[address].update(_built_on(catalog, address, resource.attributes))
    for address, known in recorded.items():
        for below in (*_built_on(catalog, address, known.attributes), *_inside(catalog, address, known.attributes)):
            if destroy or (address not in fleet.resources and below in fleet.resources):
                needs[address].add(below)
            elif below in recorded and below not in fleet.resources:  # what leaves takes along what is on it
                needs[below].update((address, *hanging.get(address, ())))
    return needs


def _inside(catalog: Catalog, address: Address, attributes: Attrs) -> set[Address]:
    """The roots that this one is in (a host's cluster), as state recorded them."""
    fields = catalog.types[address.rtype].fields
    return {Address.parse(str(attributes[n])) for n, f in fields.items() if names_root(f, attributes.get(n))}


def _built_on(catalog: Catalog, address: Address, attributes: Attrs) -> set[Address]:
    """The siblings that this object names (a port group's vSwitch)."""
    if not address.child_type:
        return set()
    rtype = catalog.types[address.rtype]
    named = ((rtype.fields[field], sibling, attributes.get(field)) for field, sibling in rtype.siblings.items())
    return {address.root.under(sibling, name) for field, sibling, name in named
            if isinstance(name, str) and not names_root(field, name)}


def check_asked(catalog: Catalog, fleet: Fleet, recorded: Collection[Address], names: Iterable[Address],
                replaces: Collection[Address]) -> None:
    """Every address of the command line must name something: one that does not would select nothing, silently.

    Raises FleetError that names all that do not.
    """
    everything = {*fleet.resources, *recorded}
    wrong: list[Diagnostic] = []
    for address in dict.fromkeys((*names, *replaces)):
        if not matching(everything, (address,)):
            near = get_close_matches(str(address), map(str, everything), 1)
            wrong.append(Diagnostic("error", "no such address in this fleet", str(address),
                                    remedy=f"did you mean {near[0]}?" if near else
                                    "`fleet graph` and `fleet state list` show the addresses there are"))
        elif address in replaces and address not in fleet.resources:
            wrong.append(Diagnostic("error", "--replace names one declared object", str(address),
                                    remedy="give the whole address, once for each object"))
        elif address in replaces and catalog.types[address.rtype].setting:
            wrong.append(Diagnostic("error", f"{address.rtype} is a setting, and cannot be replaced", str(address),
                                    remedy="change its values instead"))
    if wrong:
        raise FleetError(*wrong)
