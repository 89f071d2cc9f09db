"""What plan decides: changes, steps with their inverses, drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from planner.model.address import Address
from planner.model.errors import Diagnostic
from planner.model.fleet import Check
from planner.model.live import Evacuation
from planner.model.values import Attrs, Value


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    FORGET = "forget"
    NOOP = "no-op"


@dataclass(frozen=True, slots=True)
class Change:
    """What will happen to one address. `assumed`: `before` comes from the newborn baseline, not from live."""

    address: Address
    action: Action
    before: Attrs | None
    after: Attrs | None
    unknown: tuple[str, ...] = ()
    reason: str = ""
    adopted: bool = False
    assumed: bool = False
    reborn: bool = False


@dataclass(frozen=True, slots=True)
class Inverse:
    operation: str
    before: Attrs | None
    after: Attrs | None
    disruptive: str = ""  # what the way back may cut


StepKind = Literal["call", "wait", "manual", "boot", "verify"]


@dataclass(frozen=True, slots=True)
class Step:
    """One mutating call (or wait, or manual action), its inverse, and what it needs.

    `before`/`after` are the attributes that this step changes: None where the object is absent.
    Live must equal `before` right before the call. `when` names a guard that apply evaluates.
    """

    id: str
    address: Address
    operation: str  # name in the catalogue: "portgroup.add"
    before: Attrs | None
    after: Attrs | None
    needs: tuple[str, ...] = ()
    when: str = ""
    inverse: Inverse | None = None
    irreversible: str = ""  # why it cannot be undone; "" where it can
    disruptive: str = ""  # what it may cut; "" where nothing
    kind: StepKind = "call"
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """One attribute of a managed object that live has and state does not expect."""

    address: Address
    attribute: str  # "" where the whole object is gone
    expected: Value
    found: Value
    resolved: bool = False  # already equals the desired value: needs no step


@dataclass(frozen=True, slots=True)
class Later:
    """What a restore needs long after this plan was applied, without the fleet's files; secrets are references.

    `files`: text of files that a provider block names ("vsphere.ca_file"), for another machine.
    """

    providers: Mapping[str, Attrs] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    exclusive: tuple[Address, ...] = ()  # hosts that keep nothing undeclared


@dataclass(frozen=True, slots=True)
class Roll:
    """A host that gets another image while its cluster goes on: one host of `cluster` at a time.

    `before`, `after`: digests of the images, `builds` their build numbers; "" where that is not known.
    """

    address: Address
    cluster: str
    image: str  # name of the new image
    before: str
    after: str
    builds: tuple[str, str] = ("", "")
    evacuation: Evacuation = field(default_factory=Evacuation)


@dataclass(frozen=True, slots=True)
class Plan:
    fleet: str
    tool: str
    lineage: str  # "" where no state existed
    serial: int
    instance: str
    config_digest: str
    live_digests: Mapping[str, str]
    image_digests: Mapping[str, str]
    drift: tuple[Drift, ...]
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    unmanaged: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    created: str = ""
    by: str = ""
    refreshed: bool = True
    source: str = ""  # path of the fleet it was made from, as the user named it
    options: Mapping[str, Any] = field(default_factory=dict)  # targets, excludes, replaces, destroy, vars
    later: Later = Later()
    rolls: tuple[Roll, ...] = ()  # hosts that get another image, in the order of their steps

    @property
    def empty(self) -> bool:
        """Nothing to do: no step, and no bookkeeping (adopt, forget) either."""
        return not self.steps and not any(c.adopted or c.action is not Action.NOOP for c in self.changes)

    @property
    def idle(self) -> bool:
        """Nothing to do, and nothing that state would remember: what is blocked stays as it is."""
        return self.empty and all(c.reason.startswith("blocked") for c in self.changes)
