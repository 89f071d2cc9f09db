"""Finds providers and state back ends by entry point, and puts a command's parts together.

Nothing here knows a provider's package: groups `fleet.providers` and `fleet.state` name them. The provider that
reads live is the one called `vsphere`; the others are opened when a step needs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from planner.cli.commands import load_plugin
from planner.cli.secret import Secrets
from planner.cli.terminal import note
from planner.model import Address, Attrs, Diagnostic, Fleet, FleetError, SecretRef, State, Step

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.ports import LiveSession, Provider, Session, StateStore
    from planner.schema import Field

LIVE = "vsphere"
"""Name of the provider whose session reads live."""

MIDWIFE = "midwife"
"""Name of the state back end that a site's midwife is."""


class SystemClock:
    """planner.ports.Clock on the machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Site:
    """What is installed: providers by name, the catalogue of all of them, the schema of their blocks."""

    providers: Mapping[str, Provider]
    catalog: Catalog
    blocks: Mapping[str, Mapping[str, Field]]


def installed() -> Site:
    """Load every provider (cheap: none imports its heavy libraries for this). Raises FleetError naming a bad one."""
    from importlib.metadata import entry_points

    from planner.catalog import Catalog

    points = sorted(entry_points(group="fleet.providers"), key=lambda point: (point.name != LIVE, point.name))
    providers: dict[str, Provider] = {point.name: load_plugin(point) for point in points}
    if LIVE not in providers:
        raise FleetError(Diagnostic("error", f"no provider named {LIVE} is installed",
                                    remedy="install fleet again: its entry points are missing"))
    types = [rtype for provider in providers.values() for rtype in provider.types()]
    acts = [operation for provider in providers.values() for operation in provider.operations()]
    reserved: dict[str, str] = {}
    for provider in providers.values():
        reserved.update(getattr(provider, "reserved", {}))
    return Site(providers, Catalog.of(types, acts, reserved), {n: p.block() for n, p in providers.items()})


# --- the fleet --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """What the command line says about the fleet: its path, and values of variables."""

    path: str
    variables: Mapping[str, str] = field(default_factory=dict)
    var_files: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str, variables: Sequence[str] | None = None, var_files: Sequence[str] | None = None) -> Source:
        """From `--var NAME=VALUE` and `--var-file`. Raises Usage (64)."""
        from planner.cli.terminal import Usage

        values: dict[str, str] = {}
        for text in variables or ():
            name, equals, value = text.partition("=")
            if not equals or not name.isidentifier():
                raise Usage(Diagnostic("error", "--var takes NAME=VALUE", "there is no name, or no `=`"))
            values[name] = value
        return cls(path, values, tuple(var_files or ()))


def load(site: Site, source: Source, known: Mapping[Address, Attrs] | None = None) -> Fleet:
    """Read, check and evaluate a fleet. Raises FleetError with every error of its files."""
    from planner.config import load_fleet

    return load_fleet(source.path, site.catalog, site.blocks, variables=source.variables,
                      var_files=source.var_files, known=known or {})


def header(source: Source) -> tuple[str, Attrs]:
    """The fleet's name and where its state is, without reading more of it: `state:`, or `provider.boot.midwife` (then
    {backend: midwife, midwife, identity, patience}). Raises FleetError."""
    from planner.config import fleet_name, midwife_settings

    name, state = fleet_name(source.path)
    remote = midwife_settings(source.path)
    if remote and state:
        raise FleetError(Diagnostic(
            "error", "the fleet's state cannot be in two places", f"{source.path}: fleet.state is set, and so is "
            "provider.boot.midwife, whose midwife keeps the state", remedy="remove fleet.state"))
    return name, {"backend": MIDWIFE, **remote} if remote else state


def known_values(state: State | None) -> dict[Address, Attrs]:
    """What state knows of each object, for expressions that refer to computed values."""
    if state is None:
        return {}
    return {address: {**resource.attributes, **resource.facts} for address, resource in state.resources.items()}


# --- state ------------------------------------------------------------------------------------------------


def state_folder(name: str, settings: Attrs) -> Path:
    """`.fleet/NAME` in the working directory, unless the fleet's `state:` names another folder (absolute by then)."""
    path = settings.get("path")
    return Path(str(path)) if path else Path.cwd() / ".fleet" / name


def store_at(folder: Path, name: str, options: Attrs) -> StateStore:
    """A state store in a given folder, or at a midwife. Touches nothing but the file of its identity. Raises FleetError
    for an unknown back end, or an identity that is not there."""
    from importlib.metadata import entry_points

    backend = str(options.get("backend", "local"))
    points = {point.name: point for point in entry_points(group="fleet.state")}
    if backend not in points:
        raise FleetError(Diagnostic("error", "no such state back end", f"{backend!r} is not installed",
                                    remedy=f"installed: {', '.join(sorted(points))}"))
    known = {k: Secrets(folder)(v) if isinstance(v, SecretRef) else v for k, v in options.items()}
    store: StateStore = load_plugin(points[backend])(folder, name, known)
    if hasattr(store, "say"):
        store.say = note
    return store


def refuse_strayed(folder: Path, settings: Attrs, path: str) -> None:
    """A state beside the one at the midwife: from before the fleet had one. Raises FleetError."""
    stray = folder / "state.json"
    if settings.get("backend") == MIDWIFE and stray.exists():
        raise FleetError(Diagnostic(
            "error", "there is a state here, and the fleet's state is at the midwife", str(stray),
            remedy=f"`fleet state push {path} {stray}` takes it there (finish an open run first, without "
                   "provider.boot.midwife); then move that file away"))


def refuse_unseen(fleet: Fleet, settings: Attrs) -> None:
    """A midwife that only the evaluated fleet shows would leave two states. Raises FleetError."""
    if fleet.providers.get("boot", {}).get("midwife") and settings.get("backend") != MIDWIFE:
        raise FleetError(Diagnostic(
            "error", "provider.boot.midwife stands where it is not found", "it is in an included file, or merged in",
            fleet.places.get("provider.boot.midwife"),
            remedy="write provider.boot into the fleet's own files: where the state is must be known before anything "
                   "is evaluated"))


# --- sessions ---------------------------------------------------------------------------------------------


class Sessions:
    """Open sessions, by provider name. Each is opened when it is first asked for."""

    def __init__(self, site: Site, fleet: Fleet, secret: Secrets, folder: Path, *, writable: bool,
                 lock_token: Callable[[], str] = lambda: "") -> None:
        self.site, self.fleet, self.secret, self.folder, self.writable = site, fleet, secret, folder, writable
        self.lock_token = lock_token
        self.clock = SystemClock()
        self.opened: dict[str, Session] = {}
        self._opening: list[str] = []

    def __getitem__(self, name: str) -> Session:
        """Raises FleetError where the provider is not installed or cannot be opened."""
        from planner.ports import OpenContext

        if name in self.opened:
            return self.opened[name]
        if name not in self.site.providers:
            raise FleetError(f"the provider {name!r} is not installed")
        if name in self._opening:
            raise FleetError(f"providers wait for each other: {' → '.join([*self._opening, name])}")
        self._opening.append(name)
        try:
            session = self.site.providers[name].open(OpenContext(
                self.fleet, self.fleet.providers.get(name, {}), self.folder, self.writable, self.secret, self.clock,
                self.__getitem__, note, self.lock_token))
        finally:
            self._opening.pop()
        self.opened[name] = session
        return session

    @property
    def live(self) -> LiveSession:
        """The session that reads live. Raises FleetError without a `provider.vsphere` block."""
        from planner.ports import LiveSession

        if LIVE not in self.fleet.providers:
            raise FleetError(Diagnostic(
                "error", f"the fleet has no provider.{LIVE} block", f"{self.fleet.path} does not say which vCenter",
                remedy=f"write `provider: {{{LIVE}: {{server: twin}}}}`, or a real server with user and password"))
        session = self[LIVE]
        if not isinstance(session, LiveSession):
            raise FleetError(f"the provider {LIVE!r} cannot read live")
        return session

    def needed(self, steps: Iterable[Step]) -> dict[str, Session]:
        """Open what these steps and their inverses call; the live session always."""
        names = {LIVE: None}
        for step in steps:
            for operation in (step.operation, step.inverse.operation if step.inverse else ""):
                if operation in self.site.catalog.operations:
                    names[self.site.catalog.operations[operation].provider] = None
        return {name: (self.live if name == LIVE else self[name]) for name in names}

    def every(self) -> dict[str, Session]:
        """Open all: a rollback may have to boot hosts that were reborn since, whatever the run itself did."""
        return {name: (self.live if name == LIVE else self[name]) for name in self.site.providers}

    def close(self) -> None:
        """Close all, the last opened first; what fails to close does not hide the command's own result."""
        while self.opened:
            name, session = self.opened.popitem()
            try:
                session.close()
            except Exception as error:
                note(f"warning: the provider {name} did not close: {type(error).__name__}: {error}")


# --- a command's bench ------------------------------------------------------------------------------------


@runtime_checkable
class Closable(Protocol):
    """A state store that keeps connections open."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What a command works with: an evaluated fleet, its state, and sessions that open on demand."""

    site: Site
    source: Source
    fleet: Fleet
    store: StateStore
    state: State | None
    secrets: Secrets
    sessions: Sessions

    @property
    def catalog(self) -> Catalog:
        return self.site.catalog


@contextmanager
def bench(source: Source, *, writable: bool = False) -> Iterator[Bench]:
    """Load a fleet and its state. Sessions are closed at the end."""
    from planner.execute.project import current_state

    site = installed()
    name, settings = header(source)
    folder = state_folder(name, settings)
    refuse_strayed(folder, settings, source.path)
    store = store_at(folder, name, settings)
    try:
        state = current_state(store, site.catalog)
        fleet = load(site, source, known_values(state))
        refuse_unseen(fleet, settings)
        if writable and settings.get("backend") == MIDWIFE:  # a local store makes it when it is locked
            folder.mkdir(parents=True, exist_ok=True)
        secrets = Secrets(Path(fleet.folder))
        sessions = Sessions(site, fleet, secrets, folder, writable=writable, lock_token=getattr(store, "token", str))
        try:
            yield Bench(site, source, fleet, store, state, secrets, sessions)
        finally:
            sessions.close()
    finally:
        if isinstance(store, Closable):
            store.close()


def image_digests(site: Site, fleet: Fleet, *, fetch: bool = True) -> dict[str, str]:
    """Digest of every declared image's content, by image name; without `fetch`, of those at hand."""
    found: dict[str, str] = {}
    for provider in site.providers.values():
        look = provider.image_digests if fetch else getattr(provider, "known_digests", provider.image_digests)
        found.update(look(fleet))
    return found


def image_builds(site: Site, fleet: Fleet) -> dict[str, str]:
    """Build number of every declared image at hand, by image name."""
    found: dict[str, str] = {}
    for provider in site.providers.values():
        look = getattr(provider, "image_builds", None)  # optional: see planner.ports.Provider
        found.update(look(fleet) if look is not None else {})
    return found


def outputs(place: Bench, state: State) -> dict[str, Any]:
    """The fleet's outputs, evaluated with what state knows now.

    Where the files were edited into errors while the run went on, the values from before the run stand.
    """
    if not place.fleet.outputs:
        return {}
    try:
        fleet = load(place.site, place.source, known_values(state))
    except FleetError as error:
        note(f"warning: outputs are from before the run, the fleet has errors now: {error}")
        fleet = place.fleet
    return {name: output.value for name, output in fleet.outputs.items()}
