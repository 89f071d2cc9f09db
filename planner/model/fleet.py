"""What is declared: resources, outputs, checks, images, and the fleet of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.model.address import Address
from planner.model.errors import Diagnostic, Mark
from planner.model.values import Attrs, Value


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
