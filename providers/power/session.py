"""The open power provider. With the twin it presses the buttons of the twin's machines; else it asks a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.catalog import Operation
from planner.model import Attrs, FleetError, ReadFailed, Step, StepFailed
from planner.ports import Call, OpenContext


class PowerSession:
    """Needs of its peers: `vsphere.house` (None outside the twin); `boot.expect(mac)`, called before each restart;
    `boot.birth(mac)`, the birth that answers what is staged; and `boot.machine_boot(house)`, the network boot
    client that a machine of the twin runs."""

    def __init__(self, context: OpenContext) -> None:
        self._context = context

    def prepare(self, steps: Sequence[Step]) -> None:
        """Refuses, before any step, to boot machines that nobody here can start."""
        if self._house() is None and any(step.operation == "power.boot" for step in steps):
            raise FleetError("the plan starts machines of the twin, but this fleet's vCenter is not the twin")

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        """{"power": "off" | "booting" | "on"}; {} where power cannot be read (a person does it)."""
        machine = self._machine(call)
        return {"power": machine.power} if machine is not None else {}

    def run(self, operation: Operation, call: Call) -> Attrs:
        return operation.run(self, call) or {}

    def guard(self, name: str, call: Call) -> bool:
        """not-restarted: nobody here has restarted the machine, and no birth answers what is staged for it."""
        if name != "not-restarted":
            raise ReadFailed(f"the power provider knows no guard {name!r}")
        if self._context.peer("vsphere").restarted(call.address.root):
            return False
        return self._context.peer("boot").birth(_mac(call)) is None

    def close(self) -> None:
        """Nothing is held open; machines stay as they are."""

    def boot(self, call: Call) -> Attrs:
        """Power on, or cycle where the machine is not off. Returns at once: the machine boots on its own."""
        house, machine = self._house(), self._machine(call)
        if house is None or machine is None:
            raise StepFailed("this machine cannot be started from here", _who(call), "power it on by hand")
        boot = self._context.peer("boot")
        try:
            client = boot.machine_boot(house)
        except FleetError as error:
            raise StepFailed("the machine has nothing to boot from", str(error)) from error
        boot.expect(machine.mac)
        try:
            house.power(machine.mac, "on" if machine.power == "off" else "cycle", client)
        except FleetError as error:  # a machine that is powered outside of the twin
            raise StepFailed("this machine cannot be started from here", str(error), "power it on by hand") from error
        return {}

    def manual(self, call: Call) -> Attrs:
        """Say what to press. The effect is a person's; `birth.wait` waits for it.

        A machine that was born already (it was power-cycled while another run listened) is left alone: whoever reset
        it now would do so while it is being configured.
        """
        born = self._context.peer("boot").birth(_mac(call))
        if born is not None:
            call.report(f"{_who(call)} was born at {str(born['born'])[:19]}Z: nothing to press")
            return {}
        sentence = f"power on (or reset) {_who(call)} so that it boots from the network"
        call.report(sentence)
        self._context.say(sentence)
        return {}

    def _house(self) -> Any:
        return getattr(self._context.peer("vsphere"), "house", None)

    def _machine(self, call: Call) -> Any:
        house, mac = self._house(), _mac(call)
        if house is None or not mac:
            return None
        try:
            return house.machine(mac)
        except KeyError as error:
            raise ReadFailed("the twin has no such machine", _who(call)) from error


def _mac(call: Call) -> str:
    return str(call.declared.get("mac") or call.facts.get("mac") or "").lower().replace("-", ":")


def _who(call: Call) -> str:
    name = str(call.declared.get("name") or call.address)
    return f"{name}, MAC {_mac(call) or 'unknown'}"
