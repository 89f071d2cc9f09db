"""The in-process door: a pyVmomi stub adapter that calls the twin directly, with no socket and, by default, no XML."""

from __future__ import annotations

import io
import threading
from typing import Any

from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapterBase
from pyVmomi.VmomiSupport import GetRequestContext

from providers.twin.core.base import World
from providers.twin.core.context import Context
from providers.twin.core.dispatch import Dispatcher
from providers.twin.core.meta import coerce
from providers.twin.core.service import version_name
from providers.twin.core.sessions import Role
from providers.twin.soap.endpoint import Endpoint


class InProcessStub(SoapStubAdapterBase):
    """One client of one door. Raises what pyVmomi's SOAP stub raises: MethodFaults, and socket and HTTP errors.

    `codec=True` sends every call through real XML both ways. `gate` is called first and may raise (a host that is off:
    ConnectionRefusedError). Answers are the client's own only in codec mode; otherwise treat them as read-only.
    """

    def __init__(self, world: World, *, codec: bool = False, api: str = "8.0.3.0", gate: Any = None,
                 host: str = "twin") -> None:
        SoapStubAdapterBase.__init__(self, version=version_name(api))
        self.host, self.port, self.path = host, 443, "/sdk"
        self.cookie = ""
        self.samlToken = None
        self.requestContext: dict[str, str] | None = None
        self._world = world
        self._dispatcher = Dispatcher(world)
        self._endpoint = Endpoint(world) if codec else None
        self._gate = gate
        self._key = ""
        self._lock = threading.Lock()

    def sign_in(self, user: str, role: Role) -> InProcessStub:
        """Opens a session without a password: for a house that hands out stubs which are logged in already."""
        context = Context(address=self.host)
        with self._world.lock:
            self._key = self._world.sessions.open(user, role, context).key
        return self

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:
        """As `pyVmomi.SoapStubAdapter.InvokeMethod`."""
        if self._gate is not None:
            self._gate()
        stub = outerStub or self
        try:
            if self._endpoint is not None:
                result = self._through_xml(self._endpoint, mo, info, args, stub)
            else:
                result = self._directly(mo, info, args, stub)
        except Exception as problem:
            if outerStub is not None and hasattr(problem, "_wsdlName"):
                return 500, problem
            raise
        return (200, result) if outerStub is not None else result

    def _directly(self, mo: Any, info: Any, args: Any, stub: Any) -> Any:
        context = self._context(stub)
        try:
            wire, moid = type(mo)._wsdlName, mo._moId
            if info.wsdlName == "Fetch":
                return coerce(self._dispatcher.fetch(context, wire, moid, args[0]), info.result)
            given = {parameter.name: value for parameter, value in zip(info.params, args, strict=True)}
            return self._dispatcher.invoke(context, wire, moid, info.wsdlName, given)
        finally:
            self._settle(context)

    def _through_xml(self, endpoint: Endpoint, mo: Any, info: Any, args: Any, stub: Any) -> Any:
        request = self.SerializeRequest(mo, info, args)
        context = self._context(None)
        try:
            reply = endpoint.handle(context, request, self.versionId)
        finally:
            self._settle(context)
        result = SoapResponseDeserializer(stub).Deserialize(io.BytesIO(reply.body), info.result)
        if reply.status == 200:
            return result
        raise result

    def _context(self, stub: Any) -> Context:
        agent = GetRequestContext().get("userAgent", "in-process")
        return Context(self._world.sessions.get(self._key) if self._key else None, stub, self.host, agent)

    def _settle(self, context: Context) -> None:
        if context.issued:
            self._key = context.issued
            self.SetSessionId(context.issued)

    def DropConnections(self) -> None:
        """There are none to drop; here for clients that reconnect."""

    def __deepcopy__(self, _memo: Any) -> InProcessStub:
        return self
