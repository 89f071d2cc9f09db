"""Pressing the power button of a fleet's twin machine, from outside of any run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from planner.model import Address, Diagnostic, Fleet, FleetError, Step, StepFailed

if TYPE_CHECKING:
    from planner.ports import Workshop
    from providers.twin.machines import Machine


def press(workshop: Workshop, path: str, address: str, button: str, seconds: float) -> Machine:
    """Press on, off or cycle; returns the machine afterwards.

    A machine that starts fetches the boot files that stand for its MAC and posts its birth, all served by this
    process; the call returns when it is up. Raises FleetError where there is no such host, the fleet's vCenter is not
    the twin, or the machine does not come up within `seconds`.
    """
    with workshop.open(path, purpose="twin power") as place:
        mac = mac_of(place.fleet, address)
        house = house_of(place.session("vsphere"))
        action = cast(Literal["on", "off", "cycle"], button)
        machine = cast("Machine", house.machine(mac))
        if action == "off" or (action == "on" and machine.power == "on"):
            return cast("Machine", house.power(mac, action))
        boot = cast(Any, place.session("boot"))
        boot.prepare([Step("power", Address.parse(address), "power.boot", None, None)])
        try:
            boot.expect(mac, again=False)  # a button says nothing about installing it anew
        except StepFailed as problem:
            raise FleetError(Diagnostic("error", problem.summary, problem.detail, remedy=problem.remedy)) from None
        _start(house, mac, action, boot.machine_boot(house), seconds)
        return cast("Machine", house.machine(mac))


def house_of(session: Any) -> Any:
    """The twin's house behind a vSphere session. Raises FleetError for a real vCenter."""
    house = getattr(session, "house", None)
    if house is None:
        raise FleetError(Diagnostic("error", "this fleet's vCenter is not the twin",
                                    remedy="`fleet twin` is for fleets with `provider: {vsphere: {server: twin}}`"))
    return house


def mac_of(fleet: Fleet, address: str) -> str:
    """The boot MAC of a declared host. Raises FleetError."""
    hosts = {str(each.address): each for each in fleet.resources.values()
             if each.address.type == "host" and not each.address.child_type}
    try:
        found = hosts.get(str(Address.parse(address)))
    except ValueError as problem:
        raise FleetError(Diagnostic("error", "not an address", str(problem))) from None
    if found is None:
        known = ", ".join(sorted(hosts)[:5])
        raise FleetError(Diagnostic("error", "no such host in this fleet", address,
                                    remedy=f"its hosts are {known}{' …' if len(hosts) > 5 else ''}"))
    return str(found.attributes["mac"])


def _start(house: Any, mac: str, action: Literal["on", "cycle"], boot: Callable[[Any], None], seconds: float) -> None:
    ended = threading.Event()
    problems: list[Exception] = []

    def run(machine: Any) -> None:
        try:
            boot(machine)
        except Exception as problem:
            problems.append(problem)
            raise
        finally:
            ended.set()

    house.power(mac, action, run)
    if not ended.wait(seconds):
        raise FleetError(Diagnostic("error", "the machine did not come up", f"{mac}: not within {seconds:.0f} s",
                                    remedy="see why it hangs with `fleet plan`, or give --wait more seconds"))
    if problems:
        raise FleetError(Diagnostic(
            "error", "the machine did not come up", f"{mac}: {problems[0]}",
            remedy="boot files stand once `fleet apply` has staged them for this host"))
