"""Typed values → SOAP answers, as a vCenter writes them.

pyVmomi's serialiser is a client's: it stamps `versionId`, leaves `xsi:type` away on items of an array inside anyType
and calls references there by another name. This subclass answers as the server does.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi.SoapAdapter import SOAP_NSMAP, SoapSerializer, XmlEscape
from pyVmomi.Version import IsChildVersion

from providers.twin.core.meta import NS, copy_value
from providers.twin.soap.request import Request

_HEAD = ('<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope '
         + " ".join(f'xmlns:{prefix}="{uri}"' for uri, prefix in SOAP_NSMAP.items()) + ">\n<soapenv:Body>\n")
_TAIL = "\n</soapenv:Body>\n</soapenv:Envelope>"
_INT = range(-(2**31), 2**31)
_STRINGS = (Vm.PropertyPath, Vm.ManagedMethod, type)


@dataclass(frozen=True, slots=True)
class Written:
    """A value that is XML already: its element, in the default namespace."""

    xml: str


class AnswerSerializer(SoapSerializer):
    """Writes values into an envelope that declares xsi and xsd, with urn:vim25 as default namespace."""

    def __init__(self, writer: Any, version: str) -> None:
        SoapSerializer.__init__(self, writer, version, {**SOAP_NSMAP, NS: ""})
        self.outermostAttrs = ""

    def _Serialize(self, val: Any, info: Any, defNS: str) -> None:
        if type(val) is Written:
            self.writer.write(val.xml)
            return
        if val is not None and IsChildVersion(self.version, info.version):
            if isinstance(val, Vm.ManagedObject):
                self._reference(val, info)
                return
            if info.type is object and isinstance(val, list):
                self._array(val, info, defNS)
                return
            if info.type is object and type(val) is int and val not in _INT:
                val = Vm.long(val)
        SoapSerializer._Serialize(self, val, info, defNS)

    def _reference(self, val: Any, info: Any) -> None:
        name = Vm.GetWsdlName(Vm.GetCompatibleType(type(val), self.version))
        guid = f' serverGuid="{val._serverGuid}"' if val._serverGuid is not None else ""
        typed = ' xsi:type="ManagedObjectReference"' if info.type is object else ""
        self.writer.write(f'<{info.name}{guid} type="{name}"{typed}>{XmlEscape(val._moId)}</{info.name}>')

    def _array(self, val: Any, info: Any, defNS: str) -> None:
        """An array where anything may stand: typed itself, and each of its items typed."""
        item = getattr(val, "Item", None)
        if item is None:
            raise TypeError(f'Field "{info.name}": a plain list cannot be written as anyType; use a typed array')
        if issubclass(item, Vm.ManagedObject):
            array, tag = "ArrayOfManagedObjectReference", "ManagedObjectReference"
        elif item in _STRINGS:
            array, tag = "ArrayOfString", "string"
        elif item is object:
            array, tag = "ArrayOfAnyType", "anyType"
        else:
            item = Vm.GetCompatibleType(item, self.version)
            tag = Vm.GetWsdlName(item)
            array = f"ArrayOf{Vm.Capitalize(tag)}"
        self.writer.write(f'<{info.name} xsi:type="{array}">')
        each_info = Vm.Object(name=tag, type=object, version=info.version, flags=info.flags)
        for each in val:
            self._Serialize(each, each_info, defNS)
        self.writer.write(f"</{info.name}>")


def write_value(value: Any, name: str, kind: Any, version: str) -> str:
    """One value as the element(s) `name` of declared type `kind`, without an envelope; "" for None."""
    writer = StringIO()
    info = Vm.Object(name=name, type=kind, version=Vm.BASE_VERSION, flags=Vm.F_OPTIONAL)
    AnswerSerializer(writer, version).Serialize(value, info)
    return writer.getvalue()


def result_envelope(request: Request, value: Any) -> bytes:
    """The answer to a call. A `Fetch` answer names its type, as every anyType does."""
    text = "" if request.result is Vm.NoneType else write_value(value, "returnval", request.result, request.version)
    return f'{_HEAD}<{request.method}Response xmlns="{NS}">{text}</{request.method}Response>{_TAIL}'.encode()


def fault_envelope(fault: Any, version: str) -> bytes:
    """A SOAP fault with its typed detail. The message travels as faultstring, not in the detail."""
    detail = copy_value(fault)
    detail.msg = None
    kind = Vm.GetCompatibleType(type(fault), version)
    writer = StringIO()
    name = f"{kind._wsdlName}Fault"
    AnswerSerializer(writer, version).SerializeFaultDetail(detail, Vm.Object(
        name=name, type=object, version=Vm.BASE_VERSION, flags=0))
    typed = writer.getvalue().replace(f"<{name} ", f'<{name} xmlns="{NS}" ', 1)
    text = XmlEscape(fault.msg or kind._wsdlName)
    return (f"{_HEAD}<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{text}</faultstring>"
            f"<detail>{typed}</detail></soapenv:Fault>{_TAIL}").encode()
