"""PropertyCollector: retrieving properties, and waiting for their changes."""

from __future__ import annotations

import secrets
from typing import Any

from pyVmomi import vmodl

from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.context import current
from providers.twin.core.meta import data
from providers.twin.core.selection import Selection
from providers.twin.core.updates import PropertyFilter, Watcher
from providers.twin.core.views import OwnedObject, own_session

_MOST = 100_000  # objects a call may return at once


class PropertyCollector(ManagedObject):
    """`vmodl.query.PropertyCollector`: the service's own one, and the base of those that sessions create."""

    wire = "PropertyCollector"

    def __init__(self, world: World, moid: str = "propertyCollector") -> None:
        super().__init__(world, moid)

    # --- reading ------------------------------------------------------------------------------------------

    @method("RetrieveProperties")
    def retrieve_properties(self, specSet: Any) -> list[Any]:
        return [self._content(selection, obj) for selection, obj in self._selected(specSet)]

    @method("RetrievePropertiesEx")
    def retrieve_properties_ex(self, specSet: Any, options: Any) -> Any:
        found = self._selected(specSet)
        return self._page(found, options.maxObjects if options else None) if found else None

    @method("ContinueRetrievePropertiesEx")
    def continue_retrieve_properties_ex(self, token: str) -> Any:
        rest, size = self._open_retrieval(token)
        return self._page(rest, size)

    @method("CancelRetrievePropertiesEx")
    def cancel_retrieve_properties_ex(self, token: str) -> None:
        self._open_retrieval(token)

    def _selected(self, specs: Any) -> list[tuple[Selection, ManagedObject]]:
        found = []
        for spec in specs:
            selection = Selection(self.world, spec)
            found += [(selection, obj) for obj in selection.objects().values() if selection.wanted(type(obj))]
        return found

    def _content(self, selection: Selection, obj: ManagedObject) -> Any:
        templates = self.world.templates
        if templates is not None:
            written = templates.content(selection, current(), obj)
            if written is not None:
                return written
        content = selection.content(current(), obj)
        return content.wire() if content else None

    def _page(self, found: list[tuple[Selection, ManagedObject]], size: int | None) -> Any:
        count = min(size, _MOST) if size and size > 0 else _MOST
        page, rest = found[:count], found[count:]
        token = None
        if rest:
            token = secrets.token_hex(8)
            own_session().extras[f"retrieval {token}"] = (rest, size)
        find = self.world.find
        objects = [self._content(selection, obj) for selection, obj in page if find(obj.moid) is not None]
        return data("RetrieveResult", token=token, objects=objects)

    def _open_retrieval(self, token: str) -> Any:
        found = own_session().extras.pop(f"retrieval {token}", None)
        if found is None:
            raise vmodl.fault.InvalidArgument(invalidProperty="token", msg="There is no retrieval with this token.")
        return found

    # --- watching -----------------------------------------------------------------------------------------

    @property
    def watcher(self) -> Watcher:
        """The filters and versions of this collector, for the caller's session."""
        extras = own_session().extras
        found = extras.get(f"watcher {self.moid}")
        if found is None:
            found = extras[f"watcher {self.moid}"] = Watcher(self.world)
        watcher: Watcher = found
        return watcher

    @prop("filter")
    def filters(self) -> list[ManagedObject]:
        return list(self.watcher.filters)

    @method("CreateFilter")
    def create_filter(self, spec: Any, partialUpdates: bool) -> ManagedObject:
        selection = Selection(self.world, spec)
        for obj in selection.objects().values():
            selection.wanted(type(obj))  # raises InvalidProperty now rather than in every wait
        return PropertyFilter(self.world, self.watcher, spec, selection, partial=partialUpdates)

    @method("CreatePropertyCollector")
    def create_property_collector(self) -> ManagedObject:
        return OwnCollector(self.world)

    @method("WaitForUpdatesEx")
    def wait_for_updates_ex(self, version: str | None = None, options: Any = None) -> Any:
        return self.watcher.wait(version or "", seconds=options.maxWaitSeconds if options else None,
                                 most=options.maxObjectUpdates if options else None)

    @method("WaitForUpdates")
    def wait_for_updates(self, version: str | None = None) -> Any:
        return self.watcher.wait(version or "")

    @method("CheckForUpdates")
    def check_for_updates(self, version: str | None = None) -> Any:
        return self.watcher.wait(version or "", seconds=0)

    @method("CancelWaitForUpdates")
    def cancel_wait_for_updates(self) -> None:
        self.watcher.cancel()

    @method("DestroyPropertyCollector")
    def destroy(self) -> None:
        if not isinstance(self, OwnCollector):
            raise vmodl.fault.NotSupported(msg="The service's own property collector cannot be destroyed.")
        self.watcher.close()
        self.gone()


class OwnCollector(PropertyCollector, OwnedObject):
    """A collector that a session created for itself."""

    def __init__(self, world: World) -> None:
        OwnedObject.__init__(self, world, "propertyCollector")
