"""What the resource types share: the tools that a session lends to an operation, and small readers of live values."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from planner.model import Address, Attrs, StepFailed
from planner.ports import Call

_ESCAPE = re.compile("%(2[fF]|5[cC]|25)")


class Tools(Protocol):
    """What an operation's `run(session, call)` may use of a vSphere session. All raise StepFailed or pyVmomi faults."""

    def host(self, call: Call) -> Any:
        """The HostSystem that the call's address hangs on."""

    def manager(self, call: Call, name: str) -> Any:
        """A manager object of that host, by its name in HostConfigManager ("networkSystem")."""

    def entity(self, address: Any, call: Call) -> Any:
        """The managed object of a datacenter, folder, cluster or host; `address` as value or as text."""

    def root_folder(self) -> Any:
        """vCenter's root folder."""

    def service(self, name: str) -> Any:
        """A manager object of vCenter itself, by its name in ServiceContent. Raises ReadFailed where it has none."""

    def find(self, address: Any, call: Call | None) -> Any:
        """As `entity`, but None where live has none."""

    def looked(self, address: Address) -> Attrs | None:
        """Attributes of a root that is no entity of the inventory; None where live has none."""

    def said(self, address: Address) -> Sequence[Attrs]:
        """What is recorded, then what is declared, about a root that is no entity of the inventory."""

    def references(self, hosts: Iterable[Any]) -> Mapping[str, str]:
        """MoRef of these HostSystems → address as text, "path:NAME" where nobody declared that host."""

    def read(self, obj: Any, *paths: str) -> Mapping[str, Any]:
        """Property values of one managed object by path; unset ones are absent."""

    def read_all(self, objects: Iterable[Any], *paths: str) -> list[tuple[Any, Mapping[str, Any]]]:
        """The same for several objects of one type, in one query."""

    def wait(self, task: Any, call: Call) -> Any:
        """Wait for a task; its result. Raises StepFailed with the task's fault."""

    def known(self, call: Call, field: str) -> str:
        """The recorded or declared reference by which live knows the call's object (a membership's switch)."""

    def turn(self, obj: Any, call: Call) -> AbstractContextManager[None]:
        """Reconfigure this object alone: one step of this process at a time, from reading its version to the end."""

    def keep(self, address: Any, obj: Any) -> None:
        """Remember the managed object that was just made for an address."""


class HostView(Protocol):
    """What a type's `ask` may use: readings of one host."""

    obj: Any
    """The HostSystem."""

    def manager(self, name: str) -> Any:
        """A manager object of that host, by its name in HostConfigManager. Raises ReadFailed where it has none."""

    def service(self, name: str) -> Any:
        """A manager object of vCenter itself, by its name in ServiceContent. Raises ReadFailed where it has none."""

    def read(self, obj: Any, *paths: str) -> Mapping[str, Any]:
        """Property values of one managed object by path; unset ones are absent."""

    def read_all(self, objects: Iterable[Any], *paths: str) -> list[tuple[Any, Mapping[str, Any]]]:
        """The same for several objects of one type, in one query."""


def pick(items: Iterable[Any] | None, name: str, field: str = "name") -> Any:
    """The item whose `field` is `name`; None where there is none."""
    return next((each for each in items or () if getattr(each, field) == name), None)


def need(found: Any, what: str, name: str) -> Any:
    """`found`, or StepFailed where the object to change is not there."""
    if found is None:
        raise StepFailed(f"this {what} does not exist", name, "plan again: something removed it since")
    return found


def editable(value: Any) -> Any:
    """A deep copy of a live spec to merge changes into: what was read is never changed."""
    return copy.deepcopy(value)


def changed_item(call: Call, attribute: str) -> str:
    """The one item of a list attribute that this step adds or removes."""
    before, after = (set((a or {}).get(attribute) or ()) for a in (call.before, call.after))  # type: ignore[arg-type]
    different = before ^ after
    if len(different) != 1:
        raise StepFailed(f"a step changes one item of {attribute}, this one {len(different)}")
    return str(different.pop())


def after(call: Call) -> Attrs:
    """The attributes to reach; empty where the step removes the object."""
    return call.after or {}


def plain(value: Any) -> Any:
    """An option's value as JSON-like data: pyVmomi's long, int and byte become int."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    return int(value) if isinstance(value, int) else float(value) if isinstance(value, float) else str(value)


def quoted(name: str) -> str:
    """An inventory name as the API wants it written (ManagedEntity.name): the server escapes `/` and `\\` itself, and
    `%` unless it begins an escape sequence; so only what looks like such a sequence is escaped here."""
    return _ESCAPE.sub(r"%25\1", name)


def unquoted(name: str) -> str:
    """An inventory name as people write it: the reverse of `quoted`."""
    if "%" not in name:
        return name
    return _ESCAPE.sub(lambda found: {"2f": "/", "5c": "\\", "25": "%"}[found.group(1).lower()], name)


def refuse_children(tools: Tools, what: str, name: str, objects: Iterable[Any]) -> None:
    """StepFailed naming what is inside: a container is only destroyed when it is empty at that moment."""
    names = sorted({unquoted(str(props.get("name", obj))) for obj, props in _named(tools, objects)})
    if names:
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        raise StepFailed(f"this {what} is not empty", f"{name} holds {shown}",
                         "remove or move what is in it, then plan again")


def _named(tools: Tools, objects: Iterable[Any]) -> Iterable[tuple[Any, Mapping[str, Any]]]:
    by_type: dict[type, list[Any]] = {}
    for each in objects:
        by_type.setdefault(type(each), []).append(each)
    for same in by_type.values():
        yield from tools.read_all(same, "name")


def on(run: Callable[[Tools, Call, str], None], name: str = "") -> Callable[[Tools, Call], None]:
    """How an operation runs on the object of that name; "": on the one that its address names."""
    return lambda tools, call: run(tools, call, name or call.address.name)
