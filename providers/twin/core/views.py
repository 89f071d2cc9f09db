"""Views: live lists of inventory objects for the property collector to walk."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.context import current
from providers.twin.core.meta import vim_type
from providers.twin.core.sessions import Session


def own_session() -> Session:
    """The caller's session. Raises NotAuthenticated where there is none."""
    session = current().session
    if session is None:
        raise vim.fault.NotAuthenticated(privilegeId="System.View", msg="The session is not authenticated.")
    return session


class OwnedObject(ManagedObject):
    """An object that belongs to the session that made it, and ends with it."""

    def __init__(self, world: World, label: str) -> None:
        super().__init__(world, f"session[{uuid.uuid4()}]{label}")
        self.session = own_session()
        self.session.objects[self.moid] = self

    def gone(self) -> None:
        self.session.objects.pop(self.moid, None)


class View(OwnedObject):
    """Common to all views: what they contain, and DestroyView."""

    def __init__(self, world: World) -> None:
        super().__init__(world, str(uuid.uuid4()))

    def members(self) -> Iterable[ManagedObject]:
        raise NotImplementedError

    @prop("view")
    def view(self) -> list[ManagedObject]:
        return list(self.members())

    @method("DestroyView")
    def destroy(self) -> None:
        self.gone()


class ContainerView(View):
    """Everything of some types in (or below) a container, as it is at each reading."""

    wire = "ContainerView"

    def __init__(self, world: World, container: ManagedObject, types: tuple[Any, ...], *, recursive: bool) -> None:
        super().__init__(world)
        self.container, self.types, self.recursive = container, types, recursive

    def members(self) -> Iterator[ManagedObject]:
        wanted = self.types
        below = chain(descendants(self.container), self.container.contents())
        for each in below if self.recursive else self.container.children():
            if not wanted or issubclass(vim_type(each.wire), wanted):
                yield each

    @prop("container")
    def container_property(self) -> ManagedObject:
        return self.container

    @prop("type")
    def type_property(self) -> list[Any]:
        return list(self.types)

    @prop("recursive")
    def recursive_property(self) -> bool:
        return self.recursive


class ListView(View):
    """An explicit list, kept by the client."""

    wire = "ListView"

    def __init__(self, world: World, members: Iterable[ManagedObject]) -> None:
        super().__init__(world)
        self._moids = {each.moid: each for each in members}

    def members(self) -> list[ManagedObject]:
        return [each for each in self._moids.values() if self.world.find(each.moid) is not None]

    @method("ModifyListView")
    def modify(self, add: Any, remove: Any) -> list[Any]:
        unresolved = self._add(add)
        for ref in remove:
            self._moids.pop(ref._moId, None)
        self.world.touch()
        return unresolved

    @method("ResetListView")
    def reset(self, obj: Any) -> list[Any]:
        self._moids.clear()
        unresolved = self._add(obj)
        self.world.touch()
        return unresolved

    @method("ResetListViewFromView")
    def reset_from_view(self, view: Any) -> None:
        self._moids = {each.moid: each for each in self.world.resolve(view).members()}
        self.world.touch()

    def _add(self, refs: Any) -> list[Any]:
        unresolved = []
        for ref in refs:
            try:
                self._moids[ref._moId] = self.world.resolve(ref)
            except vmodl.fault.ManagedObjectNotFound:
                unresolved.append(ref)
        return unresolved


class ViewManager(ManagedObject):
    """`vim.view.ViewManager`. Views belong to the session."""

    wire = "ViewManager"

    def __init__(self, world: World, moid: str = "ViewManager") -> None:
        super().__init__(world, moid)

    @prop("viewList")
    def view_list(self) -> list[ManagedObject]:
        return [each for each in own_session().objects.values() if isinstance(each, View)]

    @method("CreateContainerView")
    def create_container_view(self, container: Any, type: Any, recursive: bool) -> ManagedObject:
        return ContainerView(self.world, self.world.resolve(container), tuple(type), recursive=recursive)

    @method("CreateListView")
    def create_list_view(self, obj: Any) -> ManagedObject:
        return ListView(self.world, [self.world.resolve(ref) for ref in obj])

    @method("CreateListViewFromView")
    def create_list_view_from_view(self, view: Any) -> ManagedObject:
        return ListView(self.world, self.world.resolve(view).members())


def descendants(container: ManagedObject) -> Iterator[ManagedObject]:
    """Everything below a container, in pre-order, each object once."""
    seen: set[str] = set()
    stack = list(container.children())[::-1]
    while stack:
        each = stack.pop()
        if each.moid not in seen:
            seen.add(each.moid)
            yield each
            stack.extend(list(each.children())[::-1])
