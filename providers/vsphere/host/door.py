"""A host's own SDK door: maintenance mode and root's password, before vCenter knows the host (row 0)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from planner.model import Attrs, Rebooted, Silent, StepFailed
from planner.ports import Call
from providers.vsphere.host.secrets import initial_password, root_password

if TYPE_CHECKING:
    from providers.vsphere.connect import Trust
    from providers.vsphere.link import Link, Sent

MAINTENANCE = "runtime.inMaintenanceMode"


class Doors(Protocol):
    """What a session lends: a stub of a host's own door, and waiting. `sent` notes mutating calls."""

    @property
    def sent(self) -> Sent: ...

    def door_stub(self, address: str, trust: Trust) -> Any:
        """Raises OSError where nobody answers, WrongCertificate where somebody else does."""

    def wait_on(self, link: Link, task: Any, call: Call) -> Any: ...

    def now(self) -> float: ...


@contextmanager
def opened(doors: Doors, call: Call, first: str = "initial") -> Iterator[tuple[Link, str]]:
    """A session at the door, logged in as root, and which password it took: "set" or "initial".

    Pinned to the certificate that the birth brought. `first`: the password to try first; one failure before each
    success is far from the five in a row that lock root out. Raises StepFailed naming why nobody could log in.
    """
    from providers.vsphere.connect import Trust

    address, certificate = str(call.facts.get("ip") or ""), str(call.facts.get("certificate") or "")
    if not address or not certificate:
        raise StepFailed("no birth of this host is known", "there is no address and certificate to log in by",
                         "power-cycle the host with its boot files staged, so that its birth is accepted")
    ways = {"initial": initial_password, "set": root_password}
    order = dict.fromkeys((first, *ways))
    link, which = _log_in(doors, call, address, Trust(certificate=certificate), {k: ways[k](call) for k in order})
    try:
        yield link, which
    finally:
        link.close()


def _log_in(doors: Doors, call: Call, address: str, trust: Trust, passwords: Mapping[str, str]) -> tuple[Link, str]:
    from pyVmomi import vim

    from providers.vsphere.connect import WrongCertificate, explain, speak
    from providers.vsphere.faults import wire_faults
    from providers.vsphere.link import NETWORK, Link

    def fail(summary: str, detail: str, remedy: str) -> StepFailed:
        return StepFailed(summary, detail, remedy)

    try:
        stub = doors.door_stub(address, trust)
        content = speak(stub)
        for which, password in passwords.items():
            try:
                content.sessionManager.Login("root", password, None)
            except vim.fault.InvalidLogin:
                continue
            link = Link(stub, partial(_again, password), doors.sent)
            link.content = content
            return link, which
    except WrongCertificate as problem:
        raise Rebooted(f"the host's own door at {address} showed another certificate than its birth brought",
                       f"SHA-256 thumbprint seen: {problem.seen}; it has booted since, or it is another machine",
                       "`fleet resume` boots it again, and takes its new birth") from problem
    except wire_faults() as problem:
        failed = explain(problem, f"the host's own door at {address}", fail)
        if isinstance(problem, NETWORK) and isinstance(failed, StepFailed):
            raise Silent(failed.summary, failed.detail, "mend the way to it; or `fleet resume` boots it again, and "
                         "takes its new birth") from problem
        raise failed from problem
    raise StepFailed("root cannot log in at the host's own door",
                     f"neither initial_root_password nor root_password is right at {address}",
                     "correct the passwords, or power-cycle the host so that it is born again")


def _again(password: str, content: Any) -> None:
    content.sessionManager.Login("root", password, None)


def _host(link: Link) -> Any:
    """The row of the one HostSystem that a host's own door has."""
    from pyVmomi import vim

    from providers.vsphere.collector import Collector

    rows = Collector(link).below(link.content.rootFolder, {vim.HostSystem: (MAINTENANCE,)})
    if len(rows) != 1:
        raise StepFailed("the host's own door shows no host", f"{len(rows)} hosts")
    return rows[0]


def enter_maintenance(doors: Doors, call: Call) -> None:
    with opened(doors, call) as (link, _):
        row = _host(link)
        timeout = int(max(30.0, call.deadline - doors.now()))
        doors.wait_on(link, row.obj.EnterMaintenanceMode_Task(timeout=timeout, evacuatePoweredOffVms=False), call)


def exit_maintenance(doors: Doors, call: Call) -> None:
    with opened(doors, call) as (link, _):
        row = _host(link)
        timeout = int(max(30.0, call.deadline - doors.now()))
        doors.wait_on(link, row.obj.ExitMaintenanceMode_Task(timeout=timeout), call)


def set_password(doors: Doors, call: Call) -> None:
    from pyVmomi import vim

    with opened(doors, call) as (link, _):
        spec = vim.host.LocalAccountManager.AccountSpecification(id="root", password=root_password(call))
        link.content.accountManager.UpdateUser(user=spec)


def observe_maintenance(doors: Doors, call: Call) -> Attrs:
    with opened(doors, call) as (link, _):
        row = _host(link)
        if MAINTENANCE not in row.props:
            from providers.vsphere.faults import fault_name

            reason = ", ".join(fault_name(f) for f in row.missing.values()) or "unset"
            raise StepFailed("the host does not say whether it is in maintenance mode", reason)
        return {"door_maintenance": bool(row.props[MAINTENANCE])}


def observe_password(doors: Doors, call: Call) -> Attrs:
    """Which of the two passwords logs in: "set" is asked first, so that equal ones count as set."""
    with opened(doors, call, first="set") as (_, which):
        return {"password": which}
