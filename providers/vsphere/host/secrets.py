"""Root's passwords: resolved when they are used, never kept."""

from __future__ import annotations

from planner.model import SecretRef, StepFailed
from planner.ports import Call


def root_password(call: Call) -> str:
    """The lasting password. Raises StepFailed where none is declared."""
    found = _resolve(call, "root_password")
    if found is None:
        raise StepFailed("no root password is declared", str(call.address), "set `root_password` to a secret(…)")
    return found


def initial_password(call: Call) -> str:
    """The password right after birth: empty where the fleet file says nothing."""
    return _resolve(call, "initial_root_password") or ""


def resolved(call: Call, value: object, what: str) -> str:
    """The value of a secret. Raises StepFailed where it is no reference that can be resolved."""
    if isinstance(value, SecretRef):
        return call.secret(value)
    raise StepFailed(f"{what} is not known", str(call.address), "set it to a secret(…) in the fleet file")


def _resolve(call: Call, name: str) -> str | None:
    value = (call.after or {}).get(name) or call.declared.get(name)
    if isinstance(value, SecretRef):
        return call.secret(value)
    return None
