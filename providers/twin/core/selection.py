"""What a property filter selects: objects by traversal, and their properties by type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vmodl

from providers.twin.core.base import ManagedObject, World
from providers.twin.core.context import Context
from providers.twin.core.meta import MethodFault, data, message, vim_type
from providers.twin.core.paths import Compiled, compile_path, not_simulated, read, read_compiled

_Traversal: Any = vmodl.query.PropertyCollector.TraversalSpec


@dataclass(slots=True)
class Content:
    """The selected properties of one object, as far as they are set, and what could not be read."""

    obj: ManagedObject
    values: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, Any] = field(default_factory=dict)  # path → fault

    def wire(self) -> Any:
        """As vmodl.query.PropertyCollector.ObjectContent."""
        return data("ObjectContent", obj=self.obj.ref(),
                    propSet=[data("DynamicProperty", name=name, val=value) for name, value in self.values.items()],
                    missingSet=missing_set(self.missing))


def missing_set(missing: dict[str, Any]) -> list[Any]:
    return [data("MissingProperty", path=path, fault=fault) for path, fault in missing.items()]


@dataclass(frozen=True, slots=True)
class _Wanted:
    paths: tuple[tuple[str, Compiled], ...]
    everything: bool


class Selection:
    """One FilterSpec, ready to be evaluated as often as needed. Raises InvalidArgument for an unknown spec name."""

    def __init__(self, world: World, spec: Any) -> None:
        self._world = world
        self._spec = spec
        self._named: dict[str, Any] = {}
        self._wanted: dict[type[ManagedObject], _Wanted | None] = {}
        for each in spec.objectSet:
            self._collect(each.selectSet)

    def _collect(self, specs: Any) -> None:
        for each in specs or ():
            if isinstance(each, _Traversal):
                if each.name:
                    self._named[each.name] = each
                self._collect(each.selectSet)

    def objects(self) -> dict[str, ManagedObject]:
        """The selected objects by id, in order. Raises ManagedObjectNotFound for a starting object that is gone."""
        found: dict[str, ManagedObject] = {}
        for each in self._spec.objectSet:
            start = self._world.resolve(each.obj)
            if not each.skip:
                found.setdefault(start.moid, start)
            self._walk(start, each.selectSet, found)
        return found

    def _walk(self, start: ManagedObject, specs: Any, found: dict[str, ManagedObject]) -> None:
        seen: set[tuple[str, int]] = set()
        stack = [(start, specs)]
        while stack:
            at, specs = stack.pop()
            kind = vim_type(at.wire)
            following = []
            for named in specs or ():
                spec = self._resolve(named)
                if (at.moid, id(spec)) in seen or not issubclass(kind, spec.type):
                    continue
                seen.add((at.moid, id(spec)))
                for child in self._reached(at, spec):
                    if not spec.skip:
                        found.setdefault(child.moid, child)
                    if spec.selectSet:
                        following.append((child, spec.selectSet))
            stack.extend(reversed(following))

    def _resolve(self, spec: Any) -> Any:
        if isinstance(spec, _Traversal):
            return spec
        found = self._named.get(spec.name)
        if found is None:
            raise vmodl.fault.InvalidArgument(
                invalidProperty="selectSet", msg=f"There is no selection spec with the name {spec.name!r}")
        return found

    def _reached(self, at: ManagedObject, spec: Any) -> Iterator[ManagedObject]:
        try:
            value = read(at, spec.path)
        except vmodl.fault.HostCommunication:
            return
        for ref in value if isinstance(value, list) else (value,):
            if isinstance(ref, Vm.ManagedObject):
                child = self._world.find(ref._moId)
                if child is not None:
                    yield child

    def wanted(self, cls: type[ManagedObject]) -> _Wanted | None:
        """What is asked of objects of this class; None where no PropertySpec names its type."""
        if cls not in self._wanted:
            kind = vim_type(cls.wire)
            specs = [each for each in self._spec.propSet if issubclass(kind, each.type)]
            everything = any(each.all for each in specs)
            paths = ([info.name for info in kind._GetPropertyList()] if everything
                     else list(dict.fromkeys(str(path) for each in specs for path in each.pathSet or ())))
            self._wanted[cls] = _Wanted(
                tuple((path, compile_path(cls, path)) for path in paths), everything) if specs else None
        return self._wanted[cls]

    def content(self, context: Context, obj: ManagedObject) -> Content | None:
        """The asked properties of one object.

        A property that the twin does not simulate raises NotSupported where it was asked for by name, and is listed as
        missing where `all` was asked for; other faults are listed as missing.
        """
        wanted = self.wanted(type(obj))
        if wanted is None:
            return None
        content = Content(obj)
        require = self._world.sessions.require
        for path, compiled in wanted.paths:
            try:
                require(context, obj, compiled.privilege)
                if not compiled.attr and not wanted.everything:
                    raise _NotSimulated
                value = read_compiled(obj, compiled, path)
            except _NotSimulated:
                raise not_simulated(obj, path) from None
            except MethodFault as fault:
                if context.session is None:
                    raise
                content.missing[path] = message(fault, type(fault)._wsdlName)
            else:
                if value is not None:
                    content.values[path] = value
        return content


class _NotSimulated(Exception):
    """Internal: a property asked for by name that has no handler."""


def same(one: Any, other: Any) -> bool:
    """Structural equality of two property values; pyVmomi compares data objects by identity."""
    if one is other:
        return True
    if isinstance(one, list):
        return (isinstance(other, list) and len(one) == len(other)
                and all(same(a, b) for a, b in zip(one, other, strict=True)))
    if isinstance(one, Vm.DataObject):
        return one.__class__ is other.__class__ and all(
            same(value, other.__dict__.get(name)) for name, value in one.__dict__.items())
    return bool(one == other)
