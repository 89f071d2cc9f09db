"""A SOAP stub that streams bulk reads into our own reader, and leaves every other call to pyVmomi."""

from __future__ import annotations

import zlib
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from pyVmomi.SoapAdapter import SoapStubAdapter

from providers.vsphere.bulk.answer import Read, Reader
from providers.vsphere.bulk.context import BadAnswer

BULK = frozenset({"RetrievePropertiesEx", "ContinueRetrievePropertiesEx"})


class BulkStub(SoapStubAdapter):
    """As pyVmomi's stub, with the same connections, cookies, time-outs and faults."""

    def __init__(self, **options: Any) -> None:
        SoapStubAdapter.__init__(self, **options)
        self.reader = Reader(self)

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:
        """As `pyVmomi.SoapStubAdapter.InvokeMethod`. Raises BadAnswer (an HTTPException) for an unreadable answer."""
        if info.wsdlName not in BULK or outerStub is not None or self.requestModifierList:
            return SoapStubAdapter.InvokeMethod(self, mo, info, args, outerStub)
        request = self.SerializeRequest(mo, info, args)
        connection = self.GetConnection()
        try:
            connection.request("POST", self.path, request, self._headers())
            response = connection.getresponse()
            if response.status not in (200, 500):
                raise HTTPException(f"{response.status} {response.reason}")
            result = self.reader.retrieved(_body(response))
            if response.read(1):
                raise BadAnswer("something follows it")
            failed = isinstance(result, BaseException)
            if failed != (response.status == 500):
                carried = "a fault" if failed else "no fault"
                raise BadAnswer(f"its status is {response.status}, and what it carries is {carried}")
        except BaseException:
            connection.close()
            self.DropConnections()
            raise
        self.ReturnConnection(connection)
        if not failed:
            return result
        try:
            raise result
        finally:
            del result  # else the traceback holds itself

    def _headers(self) -> dict[str, str]:
        """A bulk read comes after the log-in: no new cookie comes with its answer."""
        return {"Cookie": self.cookie, "SOAPAction": self.versionId, "Content-Type": "text/xml; charset=UTF-8",
                "User-Agent": "fleet", "Accept-Encoding": "gzip", **(self._customHeaders or {})}


def _body(response: HTTPResponse) -> Read:
    """Reads a response's body, unpacked. Its reads raise IncompleteRead where the connection ends too soon."""
    encoding = (response.getheader("Content-Encoding") or "identity").lower()
    if encoding == "identity":
        return lambda count: _received(response, count)
    if encoding != "gzip":
        raise BadAnswer(f"it is packed by {encoding}, which was not asked for")
    return _Unpacked(response, zlib.decompressobj(zlib.MAX_WBITS + 16)).read


def _received(response: HTTPResponse, count: int) -> bytes:
    found = response.read(count)
    if not found and response.length:
        raise IncompleteRead(b"", response.length)
    return found


class _Unpacked:
    """A packed body. Never more than asked for is unpacked at once, however well it was packed."""

    def __init__(self, response: HTTPResponse, unpack: Any) -> None:
        self._response, self._unpack = response, unpack

    def read(self, count: int) -> bytes:
        while not self._unpack.eof:
            packed = self._unpack.unconsumed_tail or _received(self._response, 1 << 16)
            try:
                found: bytes = self._unpack.decompress(packed, count)
            except zlib.error as problem:
                raise BadAnswer(f"it cannot be unpacked ({problem})") from problem
            if found:
                return found
            if not packed:
                raise IncompleteRead(b"")
        if self._unpack.unused_data:
            raise BadAnswer("something follows it")
        return b""
