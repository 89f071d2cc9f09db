"""The values that every room shares. Frozen, and importing nothing of ours.

Attributes of a resource are plain JSON-like data plus two first-class citizens:
`Unknown` (known only after apply) and `SecretRef` (resolved only when it is used).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that exists only after apply (a MoRef, a DHCP lease). Never equal to a known value."""

    why: str = ""

    def __str__(self) -> str:
        return "(known after apply)"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A reference to a secret: `env:NAME` or `file:PATH`. The value never enters plan, state or journal."""

    reference: str

    def __str__(self) -> str:
        return f"secret({self.reference})"


Value: TypeAlias = (
    "bool | int | float | str | Unknown | SecretRef | list[Value] | tuple[Value, ...] | dict[str, Value] | None"
)
Attrs: TypeAlias = Mapping[str, Value]

LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_PART = re.compile(r"""\.?([A-Za-z][A-Za-z0-9_]*)|\.?\["((?:[^"\\]|\\.)*)"\]""")


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """`cluster.prod`, `host.esx["esx01"]`, `host.esx["esx01"].portgroup["VM Network"]`, `host.esx["esx01"].dns`."""

    type: str
    label: str
    key: str = ""  # for_each key; "" where the block has none
    child_type: str = ""
    child: str = ""  # "" for a root, and for a singleton child (dns)

    @property
    def root(self) -> Address:
        """The root resource (the host) that this object hangs on; itself for a root."""
        return Address(self.type, self.label, self.key) if self.child_type else self

    @property
    def rtype(self) -> str:
        """Name of the resource type in the catalogue."""
        return self.child_type or self.type

    @property
    def name(self) -> str:
        """The innermost name: what live calls this object unless an attribute says otherwise."""
        return self.child or self.child_type or self.key or self.label

    def under(self, child_type: str, child: str = "") -> Address:
        """The address of an object that hangs on this root."""
        return Address(self.type, self.label, self.key, child_type, child)

    def __str__(self) -> str:
        text = f"{self.type}.{self.label}"
        if self.key:
            text += f"[{_quote(self.key)}]"
        if self.child_type:
            text += f".{self.child_type}"
            if self.child:
                text += f".{self.child}" if LABEL.match(self.child) else f"[{_quote(self.child)}]"
        return text

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address as printed by `str`. Raises ValueError that says what is wrong."""
        parts: list[tuple[str, bool]] = []
        at = 0
        while at < len(text):
            found = _PART.match(text, at)
            if found is None:
                raise ValueError(f"not an address: {text!r} (unexpected text at column {at + 1})")
            quoted = found.group(2) is not None
            parts.append((json.loads(f'"{found.group(2)}"') if quoted else found.group(1), quoted))
            at = found.end()
        if len(parts) < 2 or parts[0][1] or parts[1][1]:
            raise ValueError(f'not an address: {text!r} (write TYPE.LABEL, or TYPE.LABEL["KEY"])')
        head, rest = parts[:2], parts[2:]
        key = rest.pop(0)[0] if rest and rest[0][1] else ""
        if len(rest) > 2 or (rest and rest[0][1]):
            raise ValueError(f"not an address: {text!r} (too many parts)")
        child_type = rest[0][0] if rest else ""
        child = rest[1][0] if len(rest) == 2 else ""
        return cls(head[0][0], head[1][0], key, child_type, child)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a fleet file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What is wrong, where, and what to do. `summary` never carries user values."""

    severity: Literal["error", "warning"]
    summary: str
    detail: str = ""
    mark: Mark | None = None
    address: Address | None = None
    remedy: str = ""


class FleetError(Exception):
    """Ends a command. `exit_code` is the contract's; `diagnostics` say what, where and what to do."""

    exit_code = 1

    def __init__(self, *diagnostics: Diagnostic | str) -> None:
        self.diagnostics = tuple(
            d if isinstance(d, Diagnostic) else Diagnostic("error", d) for d in diagnostics
        )
        super().__init__("; ".join(f"{d.summary}: {d.detail}" if d.detail else d.summary for d in self.diagnostics))


class Stale(FleetError):
    """Something the plan was made from has moved since."""

    exit_code = 5


class Locked(FleetError):
    """Another process holds the fleet's lock."""

    exit_code = 6


class Denied(FleetError):
    """A policy forbids it."""

    exit_code = 7


class Incomplete(FleetError):
    """Something was changed and is not complete."""

    exit_code = 3


class StepFailed(Exception):
    """One step did not succeed. Raised by providers; the executor turns it into a `failed` record.

    `in_doubt` says that the call may have taken effect (a lost reply): the executor then reads live back.
    `retry` says that the same call may succeed when repeated after a short wait (TaskInProgress).
    """

    def __init__(self, summary: str, detail: str = "", remedy: str = "", *, in_doubt: bool = False,
                 retry: bool = False) -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.summary, self.detail, self.remedy = summary, detail, remedy
        self.in_doubt, self.retry = in_doubt, retry


class ReadFailed(StepFailed):
    """Live could not be read. Never to be taken for "not found"."""


class Rebooted(ReadFailed):
    """The host has booted since: what was done at its own door is gone, and cannot be read any more."""


class Silent(ReadFailed):
    """Nobody answers at the host's own door: it is off, it boots, or the way to it is closed."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    prevent_destroy: bool = False
    ignore_changes: tuple[str, ...] = ()


NO_LIFECYCLE = Lifecycle()


@dataclass(frozen=True, slots=True)
class Resource:
    """One declared object. `attributes` holds what the file sets (and schema defaults marked `always`).

    A reference attribute (`cluster: ${cluster.prod}`) holds the target's address as text; `references`
    holds every resource that this one mentions or depends on, targets of `depends_on` included.
    """

    address: Address
    attributes: Attrs
    references: tuple[Address, ...] = ()
    lifecycle: Lifecycle = NO_LIFECYCLE
    exclusive: bool = False
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Output:
    value: Value
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A named assertion of the fleet file. `passed` is None while it depends on unknowns."""

    name: str
    passed: bool | None
    message: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A declared boot image. `source` is an absolute path (or URL); `digest` is filled by the boot provider."""

    name: str
    source: str
    sha256: str = ""
    build: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """A whole evaluated fleet: what `planner.config` returns and the planner starts from."""

    name: str
    path: str  # as the user named it
    folder: str  # absolute; relative paths inside the fleet are relative to the declaring file
    resources: Mapping[Address, Resource]
    providers: Mapping[str, Attrs] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    moved: tuple[tuple[Address, Address], ...] = ()
    removed: Mapping[Address, bool] = field(default_factory=dict)  # address → destroy?
    checks: tuple[Check, ...] = ()
    outputs: Mapping[str, Output] = field(default_factory=dict)
    state: Attrs = field(default_factory=dict)
    digest: str = ""
    warnings: tuple[Diagnostic, ...] = ()
    places: Mapping[str, Mark] = field(default_factory=dict)  # of provider blocks: "provider.boot.listen"

    def place(self, path: str) -> Mark | None:
        """Where a key of a provider block stands; of one that is not written out, what it would stand in."""
        while path and path not in self.places:
            path = path[:max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get(path)


# --- what live looks like ---------------------------------------------------------------------------------

Connection = Literal["connected", "disconnected", "notResponding"]


@dataclass(frozen=True, slots=True)
class LiveObject:
    """One object that live has and that is declared or in state. `id` is a hint (a MoRef), not identity."""

    address: Address
    attributes: Attrs
    id: str = ""


@dataclass(frozen=True, slots=True)
class Mate:
    """Another host of the same cluster that takes no VMs now. `address`: as text, "" where nobody declared it."""

    name: str
    why: Literal["maintenance", "notResponding", "disconnected"]
    address: str = ""

    def __str__(self) -> str:
        words = {"maintenance": "is in maintenance mode", "notResponding": "does not respond",
                 "disconnected": "is disconnected"}
        return f"{self.name} {words[self.why]}"


@dataclass(frozen=True, slots=True)
class Evacuation:
    """What maintenance mode means for the running VMs of a host: names of those that have to move.

    `stuck`: those that no other host can take, each with the reason. `by_hand`: those that nobody moves by itself.
    """

    moves: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveHost:
    """The status of a host that vCenter knows. A host that vCenter does not know has no `LiveHost`."""

    address: Address
    id: str
    connection: Connection
    uuid: str = ""
    mac: str = ""
    boot_time: str = ""  # ISO 8601, UTC
    build: str = ""
    in_maintenance: bool = False
    vms: tuple[str, ...] = ()  # names of registered VMs
    ip: str = ""
    problems: tuple[str, ...] = ()  # e.g. "host profile attached"
    mates: tuple[Mate, ...] = ()  # hosts of its cluster that are out; only where all hosts were read


@dataclass(frozen=True, slots=True)
class Live:
    """What one reading of vCenter found, matched to addresses."""

    instance: str  # about.instanceUuid
    objects: Mapping[Address, LiveObject]
    hosts: Mapping[Address, LiveHost]
    unmanaged: tuple[Address | str, ...] = ()  # undeclared objects on declared parents; str: inventory paths
    unread: Mapping[Address, str] = field(default_factory=dict)  # hosts whose attributes are unknown, and why
    diagnostics: tuple[Diagnostic, ...] = ()
    evacuations: Mapping[Address, Evacuation] = field(default_factory=dict)  # of hosts whose image is to be changed


# --- what plan decides ------------------------------------------------------------------------------------


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
    evacuation: Evacuation = Evacuation()


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


# --- state ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateResource:
    """One managed object. `facts` are computed values (uuid, address, boot_time, certificate, image)."""

    address: Address
    origin: Literal["created", "adopted"]
    attributes: Attrs
    id: str = ""
    facts: Attrs = field(default_factory=dict)
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class State:
    lineage: str
    serial: int
    fleet: str
    instance: str  # vCenter's about.instanceUuid; "" before the first run
    resources: Mapping[Address, StateResource]
    outputs: Attrs = field(default_factory=dict)
    run: str = ""  # the run that wrote it
    merged: int = 0  # journal records of that run that are already in here
    complete: bool = True  # False while that run is open


# --- encoding ---------------------------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """Value → JSON data: unknowns and secret references become one-key objects."""
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if isinstance(value, Unknown):
        return {"$unknown": value.why}
    if isinstance(value, SecretRef):
        return {"$secret": value.reference}
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, Address):
        return str(value)
    raise TypeError(f"cannot encode {type(value).__name__}")


def decode(value: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if isinstance(value, dict):
        if len(value) == 1:
            if "$unknown" in value:
                return Unknown(value["$unknown"])
            if "$secret" in value:
                return SecretRef(value["$secret"])
        return {k: decode(v) for k, v in value.items()}
    return value


def digest(value: Any) -> str:
    """SHA-256 (hex) over the canonical JSON of a value."""
    text = json.dumps(encode(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def contains_unknown(value: Any) -> bool:
    if isinstance(value, Unknown):
        return True
    if isinstance(value, Mapping):
        return any(contains_unknown(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(contains_unknown(v) for v in value)
    return False


def walk_secrets(value: Any) -> Iterable[SecretRef]:
    """Every secret reference inside a value."""
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, Mapping):
        for v in value.values():
            yield from walk_secrets(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from walk_secrets(v)


ResolveSecret: TypeAlias = Callable[[SecretRef], str]
