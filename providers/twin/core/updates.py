"""Property filters and WaitForUpdatesEx: what changed since the client last asked, all of it in one answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import World, method, prop
from providers.twin.core.context import current
from providers.twin.core.meta import data, vim_type
from providers.twin.core.selection import Content, Selection, missing_set, same
from providers.twin.core.views import OwnedObject


@dataclass(slots=True)
class _Known:
    """What the client was told about one object."""

    wire: str
    content: Content


class PropertyFilter(OwnedObject):
    """`vmodl.query.PropertyCollector.Filter`: one spec that a collector watches."""

    wire = "PropertyFilter"

    def __init__(self, world: World, watcher: Watcher, spec: Any, selection: Selection, *, partial: bool) -> None:
        super().__init__(world, "propertyFilter")
        self._watcher, self._spec, self._selection, self._partial = watcher, spec, selection, partial
        self.known: dict[str, _Known] = {}
        watcher.filters.append(self)
        world.touch()

    @prop("spec")
    def spec(self) -> Any:
        return self._spec

    @prop("partialUpdates")
    def partial_updates(self) -> bool:
        return self._partial

    @method("DestroyPropertyFilter")
    def destroy(self) -> None:
        self.gone()
        self._watcher.filters.remove(self)

    def updates(self) -> Iterator[Any]:
        """ObjectUpdates against what is known. An update counts as told once the iterator is asked for the next."""
        try:
            objects = self._selection.objects()
        except vmodl.fault.ManagedObjectNotFound:
            objects = {}  # the view or object that it starts from was destroyed
        for moid, obj in objects.items():
            content = self._selection.content(current(), obj)
            if content is None:
                continue
            known = self.known.get(moid)
            if known is None:
                yield data("ObjectUpdate", kind="enter", obj=obj.ref(), changeSet=_assign(content.values),
                           missingSet=missing_set(content.missing))
            else:
                changes = _changes(known.content, content)
                fresh = {path: fault for path, fault in content.missing.items() if path not in known.content.missing}
                if not changes and not fresh:
                    continue
                yield data("ObjectUpdate", kind="modify", obj=obj.ref(), changeSet=changes,
                           missingSet=missing_set(fresh))
            self.known[moid] = _Known(obj.wire, content)
        for moid in [each for each in self.known if each not in objects]:
            yield data("ObjectUpdate", kind="leave", obj=vim_type(self.known[moid].wire)(moid, current().stub))
            del self.known[moid]


def _assign(values: dict[str, Any]) -> list[Any]:
    return [data("PropertyChange", name=name, op="assign", val=value) for name, value in values.items()]


def _changes(before: Content, after: Content) -> list[Any]:
    changed = {name: value for name, value in after.values.items()
               if name not in before.values or not same(before.values[name], value)}
    # An unset property is told as an assignment without a value.
    unset: dict[str, Any] = {name: None for name in before.values
                             if name not in after.values and name not in after.missing}
    return _assign(changed | unset)


class Watcher:
    """The filters of one collector and the version its client has seen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.filters: list[PropertyFilter] = []
        self._version = 0
        self._last: Any = None  # the answer that made the current version: repeated if its reply was lost
        self._cancels = 0
        self._closed = False

    def cancel(self) -> None:
        """A waiting call, if there is one, ends with RequestCanceled."""
        self._cancels += 1
        self._world.touch()

    def close(self) -> None:
        self._closed = True
        for each in list(self.filters):
            each.destroy()
        self._world.touch()

    def wait(self, version: str, *, seconds: float | None = None, most: int | None = None) -> Any:
        """All updates since `version`; None where there are none within `seconds` (None: waits for ever).

        Raises InvalidCollectorVersion, RequestCanceled.
        """
        if version == "":
            for each in self.filters:
                each.known.clear()
        elif version == str(self._version - 1) and self._last is not None:
            return self._last
        elif version != str(self._version):
            raise vmodl.query.InvalidCollectorVersion(msg=f"The collector version {version} is not known.")
        deadline = None if seconds is None else time.monotonic() + seconds
        cancels, session, looked = self._cancels, current().session, -1
        while True:
            if self._closed or self._cancels != cancels:
                raise vmodl.fault.RequestCanceled(msg="The wait was cancelled.")
            if session is None or not session.alive:
                raise vim.fault.NotAuthenticated(privilegeId="System.View", msg="The session is not authenticated.")
            if looked != self._world.version:
                looked = self._world.version
                found = self._gather(most)
                if found is not None:
                    return found
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            self._world.changed.wait(left)

    def _gather(self, most: int | None) -> Any:
        limit = most if most and most > 0 else None
        sets, count, truncated = [], 0, False
        for each in self.filters:
            updates = []
            for update in each.updates():
                if limit is not None and count == limit:
                    truncated = True
                    break
                updates.append(update)
                count += 1
            if updates:
                sets.append(data("PropertyFilterUpdate", filter=each.ref(), objectSet=updates))
            if truncated:
                break
        if not sets:
            return None
        self._version += 1
        self._last = data("UpdateSet", version=str(self._version), filterSet=sets, truncated=truncated or None)
        return self._last


