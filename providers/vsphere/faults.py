"""What went wrong on the wire → StepFailed, in one place."""

from __future__ import annotations

import socket
import ssl
import xml.parsers.expat
from typing import Any

from planner.model import ReadFailed, StepFailed
from providers.vsphere.bulk.context import BadAnswer
from providers.vsphere.connect import WrongCertificate
from providers.vsphere.link import NETWORK

AGAIN = frozenset({"TaskInProgress", "ConcurrentAccess"})
"""Faults after which the same call may succeed in a moment."""
DOUBT = frozenset({"HostCommunication", "RequestCanceled", "SystemError", "Timedout", "HostNotReachable"})
"""Faults that do not say whether the call took effect."""
_REMEDIES = {
    "NoPermission": "give this user the privilege that the message names, or use another user",
    "NetworkDisruptedAndConfigRolledBack": "the host took the change back because it lost its management network: it "
                                           "is as before; see which address or VLAN vCenter reaches it by",
    "AlreadyBeingManaged": "another vCenter manages this host: remove it there, or set `force: true` to take it over",
    "AlreadyConnected": "vCenter has this host under another name: plan again",
    "DuplicateName": "something of this name exists already: plan again to adopt it, or choose another name",
    "SSLVerifyFault": "the host shows another certificate than its birth did, so it has booted since: `fleet resume` "
                      "boots it again, and takes its new birth",
    "ConcurrentAccess": "something else changed it at the same moment, and nothing was done: resume",
    "InvalidLogin": "check `root_password`",
    "HostNotConnected": "vCenter has lost the host: plan again",
}


def fault_name(fault: Any) -> str:
    """The fault's type by wire name, as the API's documentation has it."""
    return getattr(type(fault), "_wsdlName", "") or type(fault).__name__


def fault_text(fault: Any) -> str:
    """What the server says about it: its message, and the reasons that it lists."""
    texts = [getattr(fault, "msg", None) or ""]
    texts += [getattr(each, "message", None) or "" for each in getattr(fault, "faultMessage", None) or ()]
    if fault_name(fault) == "NoPermission":
        texts.append(f"privilege {getattr(fault, 'privilegeId', '') or '?'}")
    for each in getattr(fault, "hostFault", None) or ():  # of a distributed switch's call: what each host said
        texts.append(f"{fault_name(each.fault)}: {fault_text(each.fault)}")
    return "; ".join(dict.fromkeys(t.strip() for t in texts if t.strip()))


def from_fault(call: str, fault: Any, *, sent: bool = True) -> StepFailed:
    """A fault that a method raised, or that its task ended with. `sent`: a mutating call had been sent."""
    name = fault_name(fault)
    cause = getattr(fault, "faultCause", None)
    text = fault_text(fault) or "the server gave no reason"
    if cause is not None and fault_name(cause) != name:
        text += f" (caused by {fault_name(cause)}: {fault_text(cause)})"
    remedy = _REMEDIES.get(name) or (_REMEDIES.get(fault_name(cause), "") if cause is not None else "")
    return StepFailed(f"{call} failed with {name}", text, remedy, retry=name in AGAIN,
                      in_doubt=sent and name in DOUBT)


def from_network(call: str, problem: BaseException, *, sent: bool) -> StepFailed:
    """A connection that broke. Refused connections and failed handshakes never carried the call."""
    if isinstance(problem, BadAnswer):
        return StepFailed(f"the answer to {call} cannot be used", str(problem),
                          "check what answers at `server:`, and whether something between changes its answers",
                          in_doubt=sent)
    wrong = isinstance(problem, (ssl.SSLCertVerificationError, WrongCertificate))
    never = wrong or isinstance(problem, (ConnectionRefusedError, socket.gaierror))
    doubt = sent and not never
    what = "no answer to" if doubt else "could not send"
    return StepFailed(f"{what} {call}", str(problem) or type(problem).__name__,
                      "" if doubt else "check the connection to the server, then resume",
                      in_doubt=doubt, retry=not doubt and not wrong)


WIRE: tuple[type[BaseException], ...] = (*NETWORK, xml.parsers.expat.ExpatError)
"""Everything that a broken or torn answer raises."""


def wire_faults() -> tuple[type[BaseException], ...]:
    """What a call can raise: faults of the API, and broken connections. For `except`."""
    from pyVmomi import vmodl

    return (*WIRE, vmodl.MethodFault)


def translate(call: str, problem: BaseException, *, sent: bool) -> StepFailed:
    """The StepFailed for anything that a call raised. Raises what is none of its business (a bug) again."""
    from pyVmomi import vmodl

    if isinstance(problem, StepFailed):
        return problem
    if isinstance(problem, vmodl.MethodFault):
        return from_fault(call, problem, sent=sent)
    if isinstance(problem, WIRE):
        return from_network(call, problem, sent=sent)
    raise problem


def read_failed(what: str, problem: BaseException) -> ReadFailed:
    """The ReadFailed for anything that a reading raised."""
    if isinstance(problem, ReadFailed):
        return problem
    step = translate(f"reading {what}", problem, sent=False)
    return ReadFailed(step.summary, step.detail, step.remedy, retry=step.retry)
