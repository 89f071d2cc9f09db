"""Type metadata of the vSphere API, as pyVmomi carries it, in the form that the twin needs.

Every fact here (property types, method parameters, declared faults, privileges) comes from pyVmomi's own tables;
nothing is written down a second time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pyVmomi import VmomiSupport as Vm

NS = "urn:vim25"
MethodFault: Any = Vm.GetVmodlType("vmodl.MethodFault")
RuntimeFault: Any = Vm.GetVmodlType("vmodl.RuntimeFault")


@cache
def vim_type(wire: str) -> Any:
    """The pyVmomi class of a wire type name (`HostNetworkSystem`). Raises KeyError for a name that does not exist."""
    return Vm.GetWsdlType(NS, wire)


def fault_type(name: str) -> Any:
    """The class of a fault by wire name (`NotFound`) or full name (`vim.fault.NotFound`). Raises ValueError."""
    try:
        found = Vm.GetVmodlType(name) if "." in name else vim_type(name)
    except KeyError:
        found = None
    if found is None or not issubclass(found, MethodFault):
        raise ValueError(f"no fault of the vSphere API is called {name!r}")
    return found


# --- data objects, built fast -----------------------------------------------------------------------------


@cache
def _template(cls: Any) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    """Default field values of a data type: scalars as pyVmomi's constructor sets them, and its list fields."""
    fresh = cls().__dict__
    lists = tuple((name, type(value)) for name, value in fresh.items() if isinstance(value, list))
    names = {name for name, _ in lists}
    return {name: value for name, value in fresh.items() if name not in names}, lists


def data(kind: Any, /, **fields: Any) -> Any:
    """A data object, as `kind(**fields)` makes it but 10 to 20 times faster: values are not type-checked.

    `kind` is a pyVmomi class or a wire type name (`"HostVirtualSwitch"`). Plain lists become typed arrays. Raises
    TypeError for an unknown field. Wrongly typed values show up in the codec, which every test suite runs once.
    """
    cls = vim_type(kind) if type(kind) is str else kind
    scalars, lists = _template(cls)
    made = cls.__new__(cls)
    values = made.__dict__
    values.update(scalars)
    for name, array in lists:
        given = fields.pop(name, None)
        if given is None:
            values[name] = array()
        else:
            values[name] = given if isinstance(given, Vm.Array) else array(given)
    values.update(fields)
    if len(values) != len(scalars) + len(lists):
        unknown = sorted(set(values) - set(scalars) - {name for name, _ in lists})
        raise TypeError(f"{cls._wsdlName} has no field {', '.join(unknown)}")
    return made


def field_types(cls: Any) -> dict[str, Any]:
    """Declared type of every property of a data or managed type, inherited ones included."""
    return _field_types(cls)


@cache
def _field_types(cls: Any) -> dict[str, Any]:
    return {info.name: info.type for info in cls._GetPropertyList()}


def coerce(value: Any, kind: Any) -> Any:
    """A value as its declared type: int → long, list → typed array, str → enum. Data objects pass unchanged."""
    if value is None or kind is object or type(value) is kind:
        return value
    if issubclass(kind, list):
        item = kind.Item
        if item is object or issubclass(item, (Vm.DataObject, Vm.ManagedObject)):
            return value if isinstance(value, Vm.Array) else kind(value)
        return kind(coerce(each, item) for each in value)
    if kind is str:  # pyVmomi's accessors show type, method and path names as text
        if isinstance(value, type):
            return Vm.GetWsdlName(value)
        return value.info.wsdlName if isinstance(value, Vm.ManagedMethod) else value
    if kind in _PLAIN or issubclass(kind, Vm.Enum):
        return kind(value)
    return value


_PLAIN = frozenset((Vm.byte, Vm.short, Vm.long, Vm.double, float, Vm.URI, Vm.PropertyPath, Vm.binary, int))


def copy_value(value: Any) -> Any:
    """A deep copy of an argument or result: nothing mutable is shared with the caller. MoRefs are values already."""
    if isinstance(value, Vm.DataObject):
        cls: Any = value.__class__
        made = cls.__new__(cls)
        types = field_types(cls)
        fields = made.__dict__
        for name, each in value.__dict__.items():
            if isinstance(each, list):
                kind = type(each) if isinstance(each, Vm.Array) else types[name]
                fields[name] = kind(copy_value(item) for item in each)
            else:
                fields[name] = copy_value(each) if isinstance(each, Vm.DataObject) else each
        return made
    if isinstance(value, Vm.Array):
        return type(value)(copy_value(item) for item in value)
    if isinstance(value, list):
        return [copy_value(item) for item in value]
    return value


# --- methods ----------------------------------------------------------------------------------------------


@cache
def methods_of(wire: str) -> dict[str, Any]:
    """Method metadata of a managed type by wire name, inherited ones included."""
    return {info.wsdlName: info for info in vim_type(wire)._GetMethodList()}


@cache
def declared_faults(wire: str, method: str) -> tuple[Any, ...]:
    """The faults that the metadata declares for a method, plus RuntimeFault, which any method may raise."""
    return (*(Vm.GetVmodlType(name) for name in methods_of(wire)[method].faults), RuntimeFault)


def message(fault: Any, text: str) -> Any:
    """The same fault with a message text."""
    if not fault.msg:
        fault.msg = text
    return fault
