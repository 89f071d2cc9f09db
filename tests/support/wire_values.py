"""Random values of the vSphere API, driven by pyVmomi's metadata; their equality; and answers of bulk reads."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer

from providers.twin.core.meta import data, field_types
from providers.twin.soap.answer import write_value

VERSION: str = next(name for name, number in Vm.versionIdMap.items()
                    if number == "8.0.3.0" and name.startswith("vim.version"))
RESULT: Any = vmodl.query.PropertyCollector.RetrieveResult
HEAD = ('<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope '
        'xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<soapenv:Body>\n'
        '<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval>')
TAIL = "</returnval></RetrievePropertiesExResponse>\n</soapenv:Body>\n</soapenv:Envelope>"
_TEXTS = ("", " ", "vmk0", "10.0.0.7", "a & b", "<x>", "]]>", "ünïcode ☃", "tab\tand\nline", "x" * 300, "0", "true")


class Stub:
    """What a deserialiser asks of a stub."""

    version = VERSION

    def SupportServerGUIDs(self) -> bool:
        return False


def by_pyvmomi(document: bytes, stub: Any) -> Any:
    """What pyVmomi's own deserialiser makes of an answer."""
    return SoapResponseDeserializer(stub).Deserialize(io.BytesIO(document), RESULT)


def difference(one: Any, other: Any, at: str = "") -> str:
    """Where two values differ: in type, content or number; "" where they do not."""
    if type(one) is not type(other):
        return f"{at}: {type(one)} and {type(other)}"
    if isinstance(one, list):
        if len(one) != len(other):
            return f"{at}: {len(one)} and {len(other)} items"
        pairs: Iterable[tuple[str, Any, Any]] = ((f"{at}[{n}]", *p) for n, p in enumerate(zip(one, other, strict=True)))
    elif isinstance(one, Vm.DataObject):
        if one.__dict__.keys() != other.__dict__.keys():
            return f"{at}: {one.__dict__.keys() ^ other.__dict__.keys()}"
        pairs = ((f"{at}.{name}", value, other.__dict__[name]) for name, value in one.__dict__.items())
    elif isinstance(one, Vm.ManagedObject):
        told = [(each._moId, each._stub, each._serverGuid) for each in (one, other)]
        return "" if told[0] == told[1] else f"{at}: {told}"
    else:
        return "" if one == other else f"{at}: {one!r} and {other!r}"
    return next((found for where, a, b in pairs if (found := difference(a, b, where))), "")


# --- answers ------------------------------------------------------------------------------------------------


def content_xml(moid: str, props: Mapping[str, Any], missing: Mapping[str, Any] | None = None) -> str:
    """`<objects>…</objects>` of one host."""
    made = data("ObjectContent", obj=vim.HostSystem(moid),
                propSet=[data("DynamicProperty", name=name, val=value) for name, value in props.items()],
                missingSet=[data("MissingProperty", path=p, fault=f) for p, f in (missing or {}).items()])
    written = write_value(made, "objects", type(made), VERSION)
    return written.replace('<objects xmlns="urn:vim25">', "<objects>", 1)


def answer(*contents: str, token: str = "") -> bytes:
    more = f"<token>{token}</token>" if token else ""
    return f"{HEAD}{more}{''.join(contents)}{TAIL}".encode()


# --- random values ------------------------------------------------------------------------------------------


def value(kind: Any, chance: random.Random, depth: int = 4) -> Any:
    """A value of a declared type. Below `depth` optional attributes are left out."""
    if issubclass(kind, list):
        return kind(value(kind.Item, chance, depth - 1) for _ in range(chance.choice((1, 2, 3)) if depth > 0 else 1))
    if issubclass(kind, Vm.ManagedObject):
        return kind(f"{kind._wsdlName.lower()}-{chance.randrange(100)}")
    if issubclass(kind, Vm.DataObject):
        return _object(kind, chance, depth)
    if kind is object:
        return value(chance.choice((str, int, bool, Vm.long, datetime, Vm.GetVmodlType("vim.KeyValue"),
                                    Vm.GetVmodlType("string[]"))), chance, depth - 1)
    if issubclass(kind, Vm.Enum):
        return kind(chance.choice([each for each in kind.values if each != "unknown"] or kind.values))
    return _scalar(kind, chance)


def _scalar(kind: Any, chance: random.Random) -> Any:
    if kind is bool:
        return chance.random() < 0.5
    if kind is datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=chance.randrange(10**12))
    if kind is Vm.binary:
        return kind(chance.randbytes(5))
    if issubclass(kind, int):
        return kind(chance.choice((0, 1, -1, chance.randrange(128))))
    if issubclass(kind, float):
        return kind(chance.choice((0.0, 1.5, -2.25)))
    if kind is type:
        return vim.HostSystem
    if kind is Vm.ManagedMethod:
        return vim.HostSystem.Reboot
    return kind(chance.choice(_TEXTS))


def _object(kind: Any, chance: random.Random, depth: int) -> Any:
    made = kind()
    types = field_types(kind)
    for info in kind._GetPropertyList():
        optional = bool(info.flags & Vm.F_OPTIONAL)
        if info.name in ("dynamicType", "dynamicProperty") or (optional and (depth <= 0 or chance.random() < 0.5)):
            continue
        if depth < -3:
            continue
        made.__dict__[info.name] = value(types[info.name], chance, depth - 1)
    return made
