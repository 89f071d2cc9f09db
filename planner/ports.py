"""Protocols that the outside implements: providers, state store, clock, secrets.

The planner imports neither `providers` nor `state`; the CLI finds both by entry point (groups `fleet.providers`,
`fleet.state`, `fleet.commands`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from planner.catalog import Operation, ResourceType
from planner.model import Address, Attrs, Diagnostic, Fleet, Live, ResolveSecret, State, StateResource, Step
from planner.schema import Field


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One execution of one operation: forward, or as an inverse.

    `facts` are the computed values of the step's root (uuid, mac, ip, certificate, thumbprint, build, boot_time),
    merged from state and from this run's earlier steps. `ids` gives the MoRef hint of any address ("" where
    unknown: the session then looks the object up by name or identity). `declared` are the desired (or recorded)
    attributes of the root: a host's name, mac, cluster, password references.
    """

    address: Address
    operation: str
    before: Attrs | None
    after: Attrs | None
    facts: Attrs
    declared: Attrs
    ids: Callable[[Address], str]
    secret: ResolveSecret
    stop: threading.Event  # set on a hard stop, and for steps that only wait on a soft one: waiting ends
    deadline: float  # seconds since the epoch
    step: str = ""  # step id, for logs
    report: Callable[[str], None] = lambda _reason: None  # progress of a wait, a named reason


@runtime_checkable
class Session(Protocol):
    """An open provider. Constructors do no I/O; `open` of the provider may."""

    def prepare(self, steps: Sequence[Step]) -> None:
        """Before the first step of a run: bind ports, check privileges. Raises FleetError (exit 1)."""

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        """Live attributes of what the step changes; None: absent. Raises ReadFailed.

        Calls `operation.observe` with its own session object where the operation declares one.
        """

    def run(self, operation: Operation, call: Call) -> Attrs:
        """Make the one call. Returns computed facts ({} where none; key "id" is the MoRef). Raises StepFailed."""

    def guard(self, name: str, call: Call) -> bool:
        """Whether a guarded step is to be taken. Raises ReadFailed."""

    def close(self) -> None: ...


@runtime_checkable
class LiveSession(Session, Protocol):
    """The session that reads live: vSphere's.

    It may have `evacuations(roots) -> Mapping[Address, Evacuation]`, too: what maintenance mode would mean now for the
    running VMs of these hosts. Raises FleetError.
    """

    @property
    def instance(self) -> str:
        """vCenter's about.instanceUuid."""

    def power(self, declared: Attrs) -> str:
        """How the machine of a host with these attributes is started: "twin", or "manual" (a person presses)."""

    def snapshot(self, fleet: Fleet, state: Mapping[Address, StateResource],
                 only: frozenset[Address] | None = None) -> Live:
        """Everything declared or in state, in bulk. `only`: these roots (and what hangs on them)."""


@dataclass(frozen=True, slots=True)
class OpenContext:
    """What a provider gets to open a session. `block` is its `provider:` block, validated."""

    fleet: Fleet
    block: Attrs
    folder: Path  # .fleet/<name>, absolute; exists only where `writable`
    writable: bool
    secret: ResolveSecret
    clock: Clock
    peer: Callable[[str], Any]  # another provider's open session, by provider name
    say: Callable[[str], None] = lambda _line: None
    lock_token: Callable[[], str] = lambda: ""  # of the fleet's lock, while a midwife holds it for us; else ""


class Provider(Protocol):
    """What an entry point of the group `fleet.providers` loads: a module-level object or class instance.

    It may have some things more: `reserved` (block or key of a later version → what for),
    `problems(fleet) -> Iterable[Diagnostic]` (what is wrong offline: for `fleet validate`),
    `carried(block) -> Mapping[str, str]` (key of the block → text of the file that it names, which a restore on another
    machine needs; nothing secret), `cautions(fleet, live) -> Iterable[Diagnostic]` (warnings of a plan), of the
    provider that reads live `power(fleet) -> Callable[[Attrs], str]` (`LiveSession.power` as far as it shows offline),
    and of one that knows images `image_builds(fleet) -> Mapping[str, str]` (image name → build number, "" where it says
    none).
    """

    name: str

    def types(self) -> Sequence[ResourceType]: ...

    def operations(self) -> Sequence[Operation]:
        """Operations on other providers' types (boot.stage, power.boot, birth.wait on a host)."""

    def block(self) -> Mapping[str, Field]:
        """Schema of the `provider: {NAME: …}` block."""

    def open(self, context: OpenContext) -> Session: ...

    def image_digests(self, fleet: Fleet) -> Mapping[str, str]:
        """Digest of the content of every declared image ({} for providers that know no images)."""


# --- state ------------------------------------------------------------------------------------------------

Record = dict[str, Any]
"""One journal record. Keys the journal adds itself: `n` (from 0), `time` (ISO 8601 UTC), `prev` and `sum`
(SHA-256 hex chain). Kinds (`kind`): head, begin, done, failed, skipped, stopped, undone, void, waiting, readback,
end."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run in the history. `outcome`: "" while open, else applied, rolled-back, abandoned, incomplete …"""

    run: str
    started: str
    who: str
    host: str
    reason: str
    outcome: str
    serial: int
    records: int
    damaged: str = ""  # why the journal cannot be read in full; "" where it can
    mode: str = ""  # what began it: apply, restore (a midwife's own), state push …


class Journal(Protocol):
    """Append-only records of one run. `append` returns when the record is on disk (fsync, grouped)."""

    run: str

    def append(self, record: Record) -> None: ...

    def held(self) -> None:
        """Before a call that changes something: returns while the fleet's lock is held for sure. Raises FleetError
        where it may be lost: a lease that lapsed, and may be another's now."""

    def records(self) -> Sequence[Record]: ...

    def close(self) -> None: ...


class StateStore(Protocol):
    """Where state, lock, journals and history of one fleet live."""

    def read(self) -> State | None:
        """The newest checkpoint; None where there is no state yet. Raises FleetError on damage or newer format."""

    def write(self, state: State) -> None:
        """Replace the checkpoint atomically and durably; keeps every serial's last state as history."""

    def lock(self, purpose: str, reason: str = "") -> AbstractContextManager[None]:
        """Raises Locked (who, since when, why). A dead process holds no lock."""

    def unlock(self) -> str:
        """Remove a lock by force; returns a sentence about what was removed."""

    def holder(self) -> str:
        """Who holds the lock, since when and why; "" where nobody does. Takes nothing, writes nothing."""

    def begin(self, run: str, plan: bytes) -> Journal:
        """A new run's journal; `plan` is kept beside it."""

    def journal(self, run: str) -> Journal:
        """An existing run's journal, for appending. A torn tail is cut off (and kept aside); damage raises."""

    def records(self, run: str) -> Sequence[Record]:
        """An existing run's records, read only. A torn last line is left out; other damage raises FleetError."""

    def plan(self, run: str) -> bytes: ...

    def runs(self) -> Sequence[RunInfo]:
        """All runs, oldest first."""

    def history(self, serial: int | None = None) -> Sequence[State]:
        """Old states, oldest first; or the one of that serial."""

    def verify(self) -> Iterable[Diagnostic]:
        """Everything wrong with the files."""


# --- what apply tells the terminal ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of a run. kind: start, begin, done, failed, skipped, waiting, undone, end …"""

    kind: str
    step: str = ""
    address: str = ""
    operation: str = ""
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


class OpenFleet(Protocol):
    """One evaluated fleet, as a provider's own command works on it."""

    fleet: Fleet
    folder: Path  # .fleet/<name>, absolute

    def session(self, name: str) -> Session:
        """The session of the provider of that name, opened at the first call, closed with the fleet."""


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """What became of hosts that were born while nobody applied anything, by MAC. `run`: "" where none was needed.

    `known`: vCenter has them by that birth; nobody asked for anything. `done`: they have what was last applied again.
    `left`: they stay as they are, and why: a person has to look. `failed`: to be tried again, and why. `interrupted`:
    what is in none of them goes on with the next call.
    """

    run: str = ""
    known: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False


class Workshop(Protocol):
    """What a command of the group `fleet.commands` finds in its typer context's `obj`."""

    def open(self, path: str, *, purpose: str = "") -> AbstractContextManager[OpenFleet]:
        """Load a fleet. With a `purpose` it is opened for writing, and locked. Raises FleetError, Locked."""

    def restore(self, folder: Path, fleet: str, births: Mapping[str, Attrs], *, again: Iterable[str] = (),
                held: Mapping[str, str] = MappingProxyType({}), hosts: int = 8, stop: threading.Event | None = None,
                listener: Listener = lambda _event: None) -> RestoreOutcome:
        """Bring hosts back as they were last applied, as a run of the midwife's own; one that was interrupted is
        finished first. No fleet file is read.

        `folder`: the fleet's state. `births`: MAC → facts of its newest accepted birth. `again`: MACs whose restore
        was begun and did not end. `held`: MACs that would be restored, but are not to be, and why. `hosts`: how many at
        once. Raises Locked, Incomplete (somebody else's run is open),
        FleetError (vCenter cannot be reached, a secret is missing): nothing was changed then.
        """


class BirthView(Protocol):
    """Read access to what was born, for listings."""

    def __iter__(self) -> Iterator[Attrs]: ...
