"""pyVmomi data objects as JSON-like data, and back: for what is kept exactly as a client sent it."""

from __future__ import annotations

from typing import Any

from providers.twin.core.meta import coerce, field_types, vim_type
from providers.twin.model import Plain


def to_plain(value: Any) -> Any:
    """The set properties of a data object, deeply. A subtype is named under "_type". Raises TypeError for MoRefs."""
    from pyVmomi import VmomiSupport as Vm

    if isinstance(value, Vm.DataObject):
        return _object(value, type(value))
    if isinstance(value, list):
        return [to_plain(each) for each in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"cannot keep a {type(value).__name__}")


def _object(value: Any, declared: Any) -> Plain:
    kept: Plain = {}
    if type(value) is not declared:
        kept["_type"] = type(value)._wsdlName
    for name, kind in field_types(type(value)).items():
        each = getattr(value, name)
        if each is None or each == [] or name == "dynamicProperty":
            continue
        from pyVmomi import VmomiSupport as Vm

        kept[name] = _object(each, kind) if isinstance(each, Vm.DataObject) else to_plain(each)
    return kept


def from_plain(kind: Any, plain: Plain) -> Any:
    """A fresh data object of this pyVmomi class (or of the subtype that the data names)."""
    from pyVmomi import VmomiSupport as Vm

    cls = vim_type(plain["_type"]) if "_type" in plain else kind
    made = cls()
    types = field_types(cls)
    for name, value in plain.items():
        if name == "_type":
            continue
        declared = types[name]
        if isinstance(value, dict):
            value = from_plain(declared, value)
        elif isinstance(value, list):
            item = declared.Item
            value = declared(
                from_plain(item, each) if isinstance(each, dict) else coerce(each, item) for each in value
            )
        elif not issubclass(declared, Vm.DataObject):
            value = coerce(value, declared)
        setattr(made, name, value)
    return made


def merge(base: Plain, over: Plain) -> Plain:
    """`over` laid on `base`, deeply; lists replace."""
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def prune(value: Plain, default: Plain) -> Plain:
    """What of `value` is set and differs from `default`, deeply; empty parts are dropped."""
    kept: Plain = {}
    for name, each in value.items():
        usual = default.get(name)
        if isinstance(each, dict):
            each = prune(each, usual if isinstance(usual, dict) else {})
            if each:
                kept[name] = each
        elif each != usual and each != []:
            kept[name] = each
    return kept
