"""Reading properties in bulk: the property collector, over container views or lists of objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from providers.vsphere.link import Link

PAGE = 100  # objects per answer
Props = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One object's properties. `missing`: path → fault, for what the server could not or would not read."""

    obj: Any
    props: Props
    missing: Mapping[str, Any]

    @property
    def moid(self) -> str:
        return str(self.obj._moId)


class Collector:
    """Bulk reads over one link. Thread-safe: it keeps nothing."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def below(self, container: Any, wanted: Mapping[Any, Sequence[str]]) -> list[Row]:
        """Everything of these types below a container: one view, one query. `wanted`: type → property paths.

        Starts again once where the session, and the view with it, was lost half-way.
        """
        from pyVmomi import vim, vmodl

        try:
            return self._below(container, wanted)
        except (vim.fault.NotAuthenticated, vmodl.fault.ManagedObjectNotFound, vmodl.fault.InvalidArgument):
            return self._below(container, wanted)

    def _below(self, container: Any, wanted: Mapping[Any, Sequence[str]]) -> list[Row]:
        from pyVmomi import vmodl

        collector = vmodl.query.PropertyCollector
        view = self._link.content.viewManager.CreateContainerView(container, list(wanted), True)
        try:
            start = collector.ObjectSpec(obj=view, skip=True, selectSet=_walk())
            return list(self._rows([start], wanted))
        finally:
            _drop(view)

    def many(self, objects: Iterable[Any], *paths: str) -> list[Row]:
        """These objects (of one type). Raises ManagedObjectNotFound where one is gone."""
        from pyVmomi import vmodl

        listed = list(objects)
        if not listed:
            return []
        starts = [vmodl.query.PropertyCollector.ObjectSpec(obj=each, skip=False) for each in listed]
        return list(self._rows(starts, {type(listed[0]): paths}))

    def one(self, obj: Any, *paths: str) -> Props:
        """Property values of one object; unset ones are absent. Raises the fault of one that could not be read."""
        for row in self.many([obj], *paths):
            if row.missing:
                raise next(iter(row.missing.values()))
            return row.props
        return {}

    def _rows(self, starts: list[Any], wanted: Mapping[Any, Sequence[str]]) -> Iterator[Row]:
        from pyVmomi import vmodl

        collector = vmodl.query.PropertyCollector
        specs = [_asked(kind, tuple(paths)) for kind, paths in wanted.items()]
        service = self._link.content.propertyCollector
        answer = service.RetrievePropertiesEx([collector.FilterSpec(objectSet=starts, propSet=specs)],
                                              collector.RetrieveOptions(maxObjects=PAGE))
        while answer is not None:
            for each in answer.objects:
                yield Row(each.obj, {p.name: p.val for p in each.propSet or ()},
                          {m.path: m.fault for m in each.missingSet} if each.missingSet else {})
            if not answer.token:
                return
            answer = service.ContinueRetrievePropertiesEx(answer.token)


@cache
def _walk() -> list[Any]:
    """From a view to what is in it."""
    from pyVmomi import vim, vmodl

    return [vmodl.query.PropertyCollector.TraversalSpec(
        name="view", type=vim.view.ContainerView, path="view", skip=False)]


@lru_cache(maxsize=256)
def _asked(kind: Any, paths: tuple[str, ...]) -> Any:
    """PropertySpec of a type. Kept, and never changed: pyVmomi checks each path of a new one."""
    from pyVmomi import vmodl

    return vmodl.query.PropertyCollector.PropertySpec(type=kind, pathSet=list(paths), all=False)


def _drop(view: Any) -> None:
    """Views end with their session at the latest: failing to destroy one harms nobody."""
    from pyVmomi import vmodl

    from providers.vsphere.link import NETWORK

    try:
        view.DestroyView()
    except (*NETWORK, vmodl.MethodFault):
        pass
