"""Values of attributes: plain JSON-like data, what is known only after apply, and references to secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from planner.model.address import Address


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
