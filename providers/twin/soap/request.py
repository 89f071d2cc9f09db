"""SOAP request → method, object and typed arguments, driven by pyVmomi's metadata.

One synthetic request type is made per method; pyVmomi's own deserialiser then reads any request into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.parsers.expat import ParserCreate

from pyVmomi import VmomiSupport as Vm
from pyVmomi.SoapAdapter import NS_SEP, XMLNS_SOAPENV, ExpatDeserializerNSHandlers, SetHandlers, SoapDeserializer
from pyVmomi.SoapAdapter import GetHandlers as handlers_of

from providers.twin.core.meta import NS

DEFAULT_API = "8.0.3.0"


class BadRequest(Exception):
    """The request is not a SOAP request that the API's metadata can read."""


@dataclass(frozen=True, slots=True)
class Request:
    """One parsed call. `result`: the method's declared result type. `version`: the client's API version."""

    method: str
    wire: str
    moid: str
    arguments: dict[str, Any]
    result: Any
    version: str


_FETCH = Vm.Object(wsdlName="Fetch", version=Vm.BASE_VERSION, result=object, params=(
    Vm.Object(name="prop", type=str, version=Vm.BASE_VERSION, flags=0),))


@lru_cache(maxsize=4096)
def _method(ns: str, name: str) -> Any:
    if name == "Fetch" and ns == NS:
        return _FETCH
    try:
        return Vm.GetWsdlMethod(ns, name).info
    except KeyError:
        raise BadRequest(f"Unable to resolve WSDL method name {name} for {ns or 'no namespace'}") from None


@lru_cache(maxsize=4096)
def _request_type(ns: str, name: str) -> Any:
    """The synthetic data type whose fields are the method's parameters, all optional: what is missing is None."""
    info = _method(ns, name)
    fields = [Vm.Object(name="_this", type=Vm.ManagedObject, version=Vm.BASE_VERSION, flags=Vm.F_OPTIONAL)]
    for each in info.params:
        extra = {"expectedType": each.expectedType} if each.flags & Vm.F_LINK else {}
        fields.append(Vm.Object(name=each.name, type=each.type, version=each.version,
                                flags=each.flags | Vm.F_OPTIONAL, **extra))
    return type(f"{name}RequestType", (Vm.DataObject,), {
        "_wsdlName": f"{name}RequestType", "_version": info.version, "_propList": fields,
        "_propInfo": {vars(each)["name"]: each for each in fields}})


class _Envelope(ExpatDeserializerNSHandlers):
    """Finds the first element of the SOAP body and hands it to pyVmomi's deserialiser."""

    def __init__(self) -> None:
        ExpatDeserializerNSHandlers.__init__(self)
        self.parser: Any = ParserCreate(namespace_separator=NS_SEP)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.deserializer = SoapDeserializer()
        self.name: tuple[str, str] | None = None
        self._in_body = False
        SetHandlers(self.parser, handlers_of(self))

    @staticmethod
    def _refuse(*_: Any) -> None:
        raise BadRequest("A document type declaration is not allowed in a SOAP request")

    def StartElementHandler(self, tag: str, attr: dict[str, str]) -> None:
        if self._in_body and self.name is None:
            ns, _, name = tag.rpartition(NS_SEP)
            self.name = (ns, name)
            self.deserializer.Deserialize(self.parser, _request_type(ns, name), False, self.nsMap)
            self.deserializer.StartElementHandler(tag, attr)
        elif tag == f"{XMLNS_SOAPENV}{NS_SEP}Body":
            self._in_body = True

    def EndElementHandler(self, tag: str) -> None:
        if tag == f"{XMLNS_SOAPENV}{NS_SEP}Body":
            self._in_body = False

    def CharacterDataHandler(self, data: str) -> None:
        """Text between elements means nothing."""


def parse_request(body: bytes, action: str = "") -> Request:
    """Read a SOAP request. `action` is the SOAPAction header. Raises BadRequest or ExpatError."""
    envelope = _Envelope()
    try:
        envelope.parser.Parse(body, True)
        raw = envelope.deserializer.GetResult()
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as problem:
        raise BadRequest(f"The request cannot be read: {problem}") from problem
    if envelope.name is None or raw is None:
        raise BadRequest("The request has no method in its SOAP body")
    info = _method(*envelope.name)
    if raw._this is None:
        raise BadRequest(f"{info.wsdlName} was called on nothing: element _this is missing")
    arguments = {}
    for each in info.params:
        value = getattr(raw, each.name)
        try:
            Vm.CheckField(each, value)
        except TypeError as problem:
            raise BadRequest(f"{info.wsdlName}: {problem}") from None
        arguments[each.name] = value
    return Request(info.wsdlName, raw._this._wsdlName, raw._this._moId, arguments, info.result, version_of(action))


def version_of(action: str) -> str:
    """The pyVmomi version name of a SOAPAction such as `"urn:vim25/8.0.3.0"`; the twin's own where it is not known."""
    wanted = action.strip().strip('"').removeprefix("urn:")
    return str(Vm.versionMap.get(wanted) or Vm.versionMap[f"vim25/{DEFAULT_API}"])
