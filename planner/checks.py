"""What the changes of a plan have to say of each other: on one host, and among roots. Read-only, all values.

The other half of `planner.diff`: it says what changes, this says what cannot go together, and what carries what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Catalog, Program
from planner.compare import Key, carriers, claimed_twice, laid_over, standing, undermined
from planner.handover import Standing
from planner.model import Action, Address, Attrs, Change, Diagnostic
from planner.schema import names_root

if TYPE_CHECKING:
    from planner.diff import DiffInputs


class Checks:
    """What `planner.diff` works with, and what it asks of that."""

    inputs: DiffInputs
    catalog: Catalog
    changes: dict[Address, Change]
    diagnostics: list[Diagnostic]
    hanging: dict[Address, dict[Address, None]]
    live_under: dict[Address, list[Address]]
    standing: dict[Address, Standing]

    def _carrying(self, root: Address, program: Program, made: Iterable[Change]) -> set[Key]:
        """What carries management on this host, before or after: adapters with the tag, and what they are built on.

        Notes on the way what each changed object is built on.
        """
        before = self._before(root, program)
        after, changed = dict(before), []
        for change in made:
            key = (change.address.rtype, change.address.name)
            after[key] = {**after.get(key, {}), **(change.after or {})}
            changed.append((change.address, key))
        for address, key in changed:
            then, now = (frozenset(root.under(*k) for k in standing(self.catalog, found, [key], self._root) if k != key)
                         if key in found else frozenset() for found in (before, after))
            self.standing[address] = Standing(then, now)
        return carriers(self.catalog, before, self._root) | carriers(self.catalog, after, self._root)

    def _root(self, text: str) -> Attrs:
        """What is declared of a root, or what live has of it."""
        if text.startswith("path:"):
            return {}
        address = Address.parse(text)
        found = self.inputs.desired.get(address) or self.inputs.live.objects.get(address)
        return found.attributes if found is not None else {}

    def _before(self, root: Address, program: Program) -> dict[tuple[str, str], Attrs]:
        """What a host has before its children's steps, by (type, name)."""
        if program.reset:
            return {(t.name, n): v for t in self.catalog.children(root.type) for n, v in t.baseline.items()}
        return {(a.rtype, a.name): self.inputs.live.objects[a].attributes for a in self.live_under.get(root, ())}

    def _check_children(self, root: Address, program: Program, changes: Iterable[Change]) -> None:
        changes = list(changes)
        if any(c.action in (Action.DELETE, Action.REPLACE) for c in changes):
            self.diagnostics.extend(undermined(self.catalog, self._before(root, program), changes, self._root))
        by_type: dict[str, list[Change]] = {}
        for change in changes:
            by_type.setdefault(change.address.rtype, []).append(change)
        for name, found in by_type.items():
            rtype = self.catalog.types[name]
            if rtype.around is not None:
                roots = self._roots_of(root, self._declared(root))
                self.diagnostics.extend(
                    d for change in found
                    for d in rtype.around(change, {**roots, **self._roots_of(change.address, change.after)}))
            if rtype.check is not None:
                live = [a for a in self.live_under.get(root, ()) if a.rtype == name]
                existing = rtype.baseline if program.reset else {
                    a.name: self.inputs.live.objects[a].attributes for a in live}
                self.diagnostics.extend(rtype.check(found, existing))
        for rtype in self.catalog.children(root.type) if changes else ():
            if rtype.rules is not None:
                self.diagnostics.extend(rtype.rules(self._before(root, program), changes))
        self._check_claims(root, program, changes)
        self._check_fits(root, program, changes)

    def _check_fits(self, root: Address, program: Program, changes: Sequence[Change]) -> None:
        """What is declared must find on its host what it needs, once everything is done."""
        concerned = [a for a in self.hanging.get(root, ()) if a in self.inputs.desired
                     and self.catalog.types[a.rtype].fits is not None] if changes else []
        if not concerned:
            return
        after: dict[tuple[str, str], Attrs] = dict(self._before(root, program))
        for change in changes:
            key = (change.address.rtype, change.address.name)
            if change.action is Action.DELETE or (
                    change.action is Action.FORGET and self.catalog.types[change.address.rtype].setting):
                after.pop(key, None)
            elif change.action is not Action.FORGET:
                kept = {} if change.action is Action.REPLACE else after.get(key, {})
                after[key] = {**kept, **(change.after or {})}
        for address in concerned:
            fits = self.catalog.types[address.rtype].fits
            why = fits(address.name, self.inputs.desired[address].attributes, after) if fits is not None else None
            if why is not None:
                self.diagnostics.append(Diagnostic("error", "this does not fit its host", why[0], address=address,
                                                   remedy=why[1]))

    def _check_claims(self, root: Address, program: Program, changes: Sequence[Change]) -> None:
        """Items that one object only may have: of a type, or of all types that draw on one pool."""
        pools: dict[Any, dict[str, str]] = {}
        for rtype in self.catalog.children(root.type):
            for attribute in rtype.distinct:
                pools.setdefault(rtype.pool.get(attribute) or (rtype.name, attribute), {})[rtype.name] = attribute
        before: Mapping[Key, Attrs] | None = None
        for attributes in pools.values():
            found = [c for c in changes if c.address.rtype in attributes]
            if found:
                before = before if before is not None else self._before(root, program)
                mine = {key: v for key, v in before.items() if key[0] in attributes}
                self.diagnostics.extend(claimed_twice(attributes, found, mine))

    def _declared(self, address: Address) -> Attrs | None:
        resource = self.inputs.desired.get(address)
        return resource.attributes if resource is not None else None

    def _roots_of(self, address: Address, attributes: Attrs | None) -> dict[str, Attrs]:
        """What an object's references name (a host's cluster, a membership's switch), by type: attributes on live, with
        those that are declared laid over them."""
        found: dict[str, Attrs] = {}
        for name, field_ in self.catalog.types[address.rtype].fields.items():
            value = (attributes or {}).get(name)
            if field_.kind == "ref" and names_root(field_, value):
                named = Address.parse(str(value))
                live = self.inputs.live.objects.get(named)
                found[named.type] = laid_over(live.attributes if live else {}, self._declared(named) or {})
        return found

    def _check_roots(self) -> None:
        """Rules among roots of one type (but hosts), at plan."""
        for rtype in self.catalog.types.values():
            if rtype.check is None or rtype.parent or rtype.program is not None:
                continue
            found = [c for c in self.changes.values() if c.address.rtype == rtype.name]
            if found:
                self.diagnostics.extend(rtype.check(found, {
                    str(a): o.attributes for a, o in self.inputs.live.objects.items() if a.rtype == rtype.name}))
