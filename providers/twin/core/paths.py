"""Property paths: `summary.runtime.connectionState`, `config.option["Syslog.global.logHost"].value`.

A path is checked against the metadata and compiled once per class; reading it then costs one call of the longest
registered property function, plus plain attribute access for what remains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vmodl

from providers.twin.core.base import ManagedObject
from providers.twin.core.meta import coerce, field_types, vim_type

_REFS: Any = Vm.GetVmodlType("vmodl.ManagedObject[]")
_DATA: Any = Vm.DataObject
_SEGMENT = re.compile(r'([A-Za-z_]\w*)(?:\[(?:"([^"]*)"|([^\]"]+))\])?(?:\.(?=.)|\Z)')
Segment = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`attr`: the object's function for the longest prefix ("" where none). `rest`: what to walk from its value.

    `key`: the index that the function is called with, where it gives one item of an array.
    """

    attr: str
    rest: tuple[Segment, ...]
    kind: Any  # declared type of the whole path
    given: Any  # declared type of what `attr` returns
    privilege: str
    key: str | None = None


def _invalid(path: str) -> Exception:
    fault: Exception = vmodl.query.InvalidProperty(name=path, msg=f"The property path {path!r} does not exist")
    return fault


def _segments(path: str) -> list[Segment]:
    found, at = [], 0
    while at < len(path):
        match = _SEGMENT.match(path, at)
        if match is None:
            raise _invalid(path)
        quoted, bare = match.group(2), match.group(3)
        found.append((match.group(1), bare if quoted is None else quoted))
        at = match.end()
    if not found:
        raise _invalid(path)
    return found


@lru_cache(maxsize=4096)
def _subtype_field(base: Any, name: str) -> Any:
    """Type of a field that only subtypes of a data type have (`configurationEx.dasConfig`); None where none has it."""
    wanted = base.__name__
    for vmodl_name, definition in list(Vm._dataDefMap.items()):
        if definition[4] and any(entry[0] == name for entry in definition[4]):
            parent: str | None = definition[2]
            while parent is not None and parent != wanted:
                parent = Vm._dataDefMap[parent][2] if parent in Vm._dataDefMap else None
            if parent == wanted:
                return field_types(Vm.GetVmodlType(vmodl_name))[name]
    return None


def _step(kind: Any, name: str, key: str | None, path: str) -> Any:
    """Declared type after one more segment. Raises InvalidProperty."""
    if not (isinstance(kind, type) and issubclass(kind, _DATA)):
        raise _invalid(path)
    found = field_types(kind).get(name)
    return _indexed(found or _subtype_field(kind, name), key, path)


def _indexed(kind: Any, key: str | None, path: str) -> Any:
    if kind is None or (key is not None and not issubclass(kind, list)):
        raise _invalid(path)
    return kind if key is None else kind.Item


def compile_path(cls: Any, path: str) -> Compiled:
    """Check a path against the metadata of a class of objects. Raises vmodl.query.InvalidProperty."""
    return _compile(cls, path)


@lru_cache(maxsize=4096)  # bounded: clients choose the paths
def _compile(cls: Any, path: str) -> Compiled:
    segments = _segments(path)
    managed = vim_type(cls.wire)
    name, key = segments[0]
    kinds = [_indexed(field_types(managed).get(name), key, path)]
    for name, key in segments[1:]:
        kinds.append(_step(kinds[-1], name, key, path))
    privilege = managed._GetPropertyInfo(segments[0][0]).privId or "System.Read"
    for count in range(len(segments), 0, -1):
        if any(key is not None for _, key in segments[: count - 1]):
            continue
        prefix = ".".join(name for name, _ in segments[:count])
        key = segments[count - 1][1]
        if key is not None and prefix in cls.items:
            return Compiled(cls.items[prefix], tuple(segments[count:]), kinds[-1], kinds[count - 1], privilege, key)
        attr = cls.props.get(prefix)
        if attr is not None:
            rest = ((("", key),) if key is not None else ()) + tuple(segments[count:])
            given = compile_path(cls, prefix).kind if key is not None else kinds[count - 1]
            return Compiled(attr, rest, kinds[-1], given, privilege)
    return Compiled("", (), kinds[-1], kinds[-1], privilege)


def _pick(items: Any, key: str) -> Any:
    """The array item whose `key` field equals the index."""
    for item in items or ():
        if str(getattr(item, "key", "")) == key:
            return item
    return None


def answer(value: Any, kind: Any) -> Any:
    """What a handler returned, as the client gets it: simulated objects become references, values their type."""
    if isinstance(value, ManagedObject):
        return value.ref()
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], ManagedObject):
        array: Any = kind if isinstance(kind, type) and issubclass(kind, list) else _REFS
        return array(each.ref() for each in value)
    return coerce(value, kind)


def read(obj: ManagedObject, path: str) -> Any:
    """The value of a property path; None where it is unset.

    Raises InvalidProperty for a path that the type does not have, NotSupported for one that is not simulated.
    """
    return read_compiled(obj, compile_path(type(obj), path), path)


def read_compiled(obj: ManagedObject, compiled: Compiled, path: str) -> Any:
    """As `read`, for a path that is compiled already."""
    if not compiled.attr:
        raise not_simulated(obj, path)
    function = getattr(obj, compiled.attr)
    value = function() if compiled.key is None else function(compiled.key)
    if not compiled.rest:
        return answer(value, compiled.kind)
    value = answer(value, compiled.given)
    for name, key in compiled.rest:
        if value is None:
            return None
        if name:
            value = getattr(value, name, None)
        if key is not None:
            value = _pick(value, key)
    return answer(value, compiled.kind)


def not_simulated(obj: ManagedObject, member: str) -> Exception:
    """The loud answer to what the twin does not play."""
    fault: Exception = vmodl.fault.NotSupported(
        msg=f"The twin does not simulate {obj.wire}.{member} (asked of {obj.moid})")
    return fault
