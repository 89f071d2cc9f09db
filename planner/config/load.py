"""From a path to a Fleet: files → blocks → names → resources → rules, and every error at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.catalog import Catalog
from planner.config import moves, outcome, variables
from planner.config.blocks import Block, Profiles
from planner.config.bodies import Bodies
from planner.config.digesting import fleet_digest
from planner.config.files import Document, Loader, root_files
from planner.config.nodes import Map, Sources, is_null
from planner.config.parse import first_block, without_gc
from planner.config.problems import Problems
from planner.config.rules import Rules
from planner.config.typed import describe
from planner.config.world import World
from planner.model import Address, Attrs, Diagnostic, Fleet, FleetError, Resource
from planner.schema import Field


def load_fleet(path: str | Path, catalog: Catalog, blocks: Mapping[str, Mapping[str, Field]], *,
               variables: Mapping[str, str] | None = None, var_files: Sequence[str | Path] = (),
               known: Mapping[Address, Attrs] | None = None) -> Fleet:
    """Read, check and evaluate a fleet file, or a folder of them.

    `blocks`: schema of each provider's block, by provider name. `variables`: texts of `--var`. `known`: computed
    values by address, from state; without them expressions over computed values are Unknown.
    Raises FleetError that carries every diagnostic, each with its place.
    """
    with without_gc():
        problems = Problems(Sources())
        try:
            return _Load(Path(path), str(path), catalog, problems).run(
                blocks, variables or {}, [Path(f) for f in var_files], known or {})
        except RecursionError:
            problems.error("this fleet is nested too deeply", "references, lists or maps go too deep", 0,
                           "split long chains of references")
            raise FleetError(*problems.ordered()) from None


def fleet_name(path: str | Path) -> tuple[str, Attrs]:
    """The name and the `state:` settings of a fleet, without reading more of it than that. Raises FleetError."""
    problems = Problems(Sources())
    for file in root_files(Path(path)):
        number = problems.sources.add(str(file), file.resolve().parent)
        try:
            found = first_block(file.read_bytes(), number, problems, "fleet")
        except OSError as error:
            raise FleetError(Diagnostic("error", "a file cannot be read", f"{file}: {error.strerror}")) from None
        problems.raise_if_any()
        if found is not None:
            node, at = found
            if not isinstance(node, Map):
                problems.error("wrong type", f"fleet: a map is expected, {describe(node)} found", at,
                               "write fleet: {name: NAME}")
                problems.raise_if_any()
            else:
                name, state, _ = outcome.header(node, at, problems)
                problems.raise_if_any()
                return name, state
    raise FleetError(no_fleet_block(path))


def no_fleet_block(path: str | Path) -> Diagnostic:
    """What is said where no file has a `fleet:` block."""
    return Diagnostic("error", "no fleet: block", f"{path} does not say what the fleet is called",
                      remedy="write fleet: {name: NAME}")


class _Load:
    """One run of `load_fleet`."""

    __slots__ = ("catalog", "path", "problems", "shown", "world")

    def __init__(self, path: Path, shown: str, catalog: Catalog, problems: Problems) -> None:
        self.path, self.shown, self.catalog, self.problems = path, shown, catalog, problems
        self.world: World | None = None

    def run(self, blocks: Mapping[str, Mapping[str, Field]], given: Mapping[str, str], var_files: Sequence[Path],
            known: Mapping[Address, Attrs]) -> Fleet:
        problems = self.problems
        document = Loader((t.name for t in self.catalog.types.values() if not t.parent), problems,
                          self.catalog.reserved).load(self.path)
        world = World(self.catalog, problems, known)
        name, state = self._header(document, world)
        world.variables = {label: variables.declare(label, node, at, problems)
                           for label, (node, at) in document.labelled["variable"].items()}
        variables.override(world.variables, given, var_files, problems)
        world.locals = {label: node for label, (node, _) in document.labelled["locals"].items()}
        outcome.images(document, world)
        bodies = Bodies(world, self._blocks(document), Profiles(world, self._profiles(document)))
        resources = self._resources(bodies)
        self._force(world)
        bodies.lint()
        fleet = Fleet(
            name=name, path=self.shown, folder=str((self.path if self.path.is_dir() else self.path.parent).resolve()),
            resources=resources, providers=outcome.providers(document, world, blocks), images=world.images,
            moved=moves.moved(document, world, bodies), removed=moves.removed(document, world, bodies),
            checks=outcome.checks(document, world), outputs=outcome.outputs(document, world), state=state,
            places=outcome.places(document, problems))
        bodies.close()
        problems.raise_if_any()
        return _finished(fleet, fleet_digest(fleet, world), problems)

    def _header(self, document: Document, world: World) -> tuple[str, Attrs]:
        if document.fleet is None:
            if document.whole:
                self.problems.put(no_fleet_block(self.shown))
            return "", {}
        name, state, requires = outcome.header(document.fleet, document.fleet_at, self.problems)
        world.name = name
        if requires:
            outcome.check_version(requires, tool_version(), document.fleet.items["requires"].at, self.problems)
        return name, state

    def _blocks(self, document: Document) -> dict[str, dict[str, Block]]:
        found: dict[str, dict[str, Block]] = {}
        for type_name, entries in document.resources.items():
            blocks = found[type_name] = {}
            for label, (node, at) in entries.items():
                if is_null(node):
                    node = Map({}, [], at)
                if isinstance(node, Map):
                    blocks[label] = Block(type_name, label, node, at)
                else:
                    self.problems.error("wrong type", f"{type_name}.{label}: a map is expected, {describe(node)} found",
                                        node.at, f"write {label}: {{…}}")
        return found

    def _profiles(self, document: Document) -> dict[str, tuple[Map, int]]:
        found: dict[str, tuple[Map, int]] = {}
        for label, (node, at) in document.labelled["profile"].items():
            if isinstance(node, Map):
                found[label] = (node, at)
                for key in ("for_each", "mac"):
                    if key in node.items:
                        self.problems.error("not in a profile", f"profile.{label}.{key} belongs to one block",
                                            node.key_at(key), "move it to the host's block")
            else:
                if not is_null(node):
                    self.problems.error("wrong type", f"profile.{label}: a map is expected, {describe(node)} found",
                                        node.at)
                found[label] = (Map({}, [], at), at)
        return found

    def _resources(self, bodies: Bodies) -> dict[Address, Resource]:
        rules = Rules(bodies)
        for instance, own, kids in bodies.everything():
            rules.see(instance, own, kids)
        rules.cycles()
        if not bodies.early:
            return bodies.resources
        return {r.address: r for _, own, kids in bodies.everything() for r in (own, *kids)}

    def _force(self, world: World) -> None:
        """Evaluate what nobody asked for: an error in it is an error all the same."""
        scope = world.scope()
        for label in world.variables:
            world.variable(label, scope)
        for label in world.locals:
            world.local(label, scope)


def tool_version() -> str:
    """This tool's version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fleet")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0"


def _finished(fleet: Fleet, digest: str, problems: Problems) -> Fleet:
    from dataclasses import replace

    changes: dict[str, Any] = {"digest": digest, "warnings": problems.warnings()}
    return replace(fleet, **changes)
