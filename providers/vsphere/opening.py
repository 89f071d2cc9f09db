"""From a `provider: {vsphere: …}` block to an open session."""

from __future__ import annotations

from typing import Any

from planner.model import Diagnostic, FleetError, SecretRef
from planner.ports import OpenContext
from providers.vsphere.block import block_problems
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
    wrong = [*block_problems(block)]
    if wrong:
        raise FleetError(*wrong)
    if server == "twin":
        house = open_twin(context)
        stub, (user, password) = house.stub(signed_in=False), credentials()
    else:
        stub, (user, password) = _real(context, server, timeout), _credentials(context)
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
    try:
        return open_stub(server, trust, timeout)
    except ValueError as problem:
        raise FleetError(Diagnostic("error", "provider.vsphere.server is wrong", str(problem))) from problem
    except OSError as problem:
        raise FleetError(Diagnostic("error", "the CA file cannot be read", f"{trust.ca_file}: {problem}",
                                    remedy="check provider.vsphere.ca_file")) from problem


def _credentials(context: OpenContext) -> tuple[str, str]:
    password = context.block["password"]
    assert isinstance(password, SecretRef)  # noqa: S101 - block_problems
    return str(context.block["user"]), context.secret(password)
