"""From a `provider: {vsphere: …}` block to an open session."""

from __future__ import annotations

from typing import Any

from planner.model import Diagnostic, FleetError, SecretRef
from planner.ports import OpenContext
from providers.vsphere.connect import Trust, as_fleet_error, explain, open_stub, speak
from providers.vsphere.faults import wire_faults
from providers.vsphere.link import Link
from providers.vsphere.session import VsphereSession
from providers.vsphere.twin import credentials, open_twin

TIMEOUT = 60


def open_session(context: OpenContext) -> VsphereSession:
    block = context.block
    server, timeout = str(block.get("server") or ""), float(str(block.get("timeout") or TIMEOUT))
    house: Any = None
    if server == "twin":
        house = open_twin(context)
        stub, (user, password) = house.stub(signed_in=False), credentials()
    else:
        stub, (user, password) = _real(context, server, timeout), _credentials(context, server)
    try:
        content = speak(stub)
        link = Link(stub, lambda c: c.sessionManager.Login(user, password, None))
        link.connect(content)
    except wire_faults() as problem:
        stub.DropConnections()
        if house is not None:
            house.close()
        raise explain(problem, server, as_fleet_error) from problem
    return VsphereSession(link, context.clock, context.fleet, house=house, timeout=timeout,
                          coexist=bool(block.get("coexist")))


def _real(context: OpenContext, server: str, timeout: float) -> Any:
    block = context.block
    trust = Trust(str(block.get("ca_file") or ""), str(block.get("thumbprint") or ""))
    digits = trust.thumbprint.replace(":", "").strip()
    if trust.thumbprint and not (len(digits) in (40, 64) and all(c in "0123456789abcdefABCDEF" for c in digits)):
        raise FleetError(Diagnostic("error", "this is no thumbprint", "provider.vsphere.thumbprint",
                                    remedy="write the SHA-256 of the certificate: 64 hex digits, colons or not"))
    try:
        return open_stub(server, trust, timeout)
    except ValueError as problem:
        raise FleetError(Diagnostic("error", "provider.vsphere.server is wrong", str(problem))) from problem
    except OSError as problem:
        raise FleetError(Diagnostic("error", "the CA file cannot be read", f"{trust.ca_file}: {problem}",
                                    remedy="check provider.vsphere.ca_file")) from problem


def _credentials(context: OpenContext, server: str) -> tuple[str, str]:
    user, password = context.block.get("user"), context.block.get("password")
    if not user or not isinstance(password, SecretRef):
        missing = "user" if not user else "password"
        raise FleetError(Diagnostic("error", f"{server} needs a user and a password", f"{missing} is not set",
                                    remedy=f"set provider.vsphere.{missing}"))
    return str(user), context.secret(password)
