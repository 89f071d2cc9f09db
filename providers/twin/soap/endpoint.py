"""One SOAP message in, one out: what the HTTPS door and the in-process codec mode have in common."""

from __future__ import annotations

from dataclasses import dataclass
from xml.parsers.expat import ExpatError

from pyVmomi import vmodl

from providers.twin.core.base import World
from providers.twin.core.context import Context
from providers.twin.core.dispatch import Dispatcher
from providers.twin.core.meta import MethodFault
from providers.twin.soap.answer import fault_envelope, result_envelope
from providers.twin.soap.request import BadRequest, Request, parse_request, version_of


@dataclass(frozen=True, slots=True)
class Reply:
    """HTTP status (200, or 500 for a SOAP fault) and the body."""

    status: int
    body: bytes


class Endpoint:
    """The SOAP door of a world. Safe to use from many threads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dispatcher = Dispatcher(world)

    def handle(self, context: Context, body: bytes, action: str = "") -> Reply:
        """Answer one request. `action` is the SOAPAction header, which names the client's API version.

        Lets socket and HTTP errors of fault rules out, and internal errors of the twin (AssertionError and the like).
        """
        context.version = version = version_of(action)
        try:
            request = parse_request(body, action)
            return Reply(200, result_envelope(request, self._call(context, request)))
        except MethodFault as fault:
            return Reply(500, fault_envelope(fault, version))
        except (BadRequest, ExpatError, RecursionError) as problem:
            return Reply(500, fault_envelope(vmodl.fault.InvalidRequest(msg=str(problem)), version))

    def _call(self, context: Context, request: Request) -> object:
        if request.method == "Fetch":
            return self._dispatcher.fetch(context, request.wire, request.moid, str(request.arguments["prop"]))
        return self._dispatcher.invoke(context, request.wire, request.moid, request.method, request.arguments)
