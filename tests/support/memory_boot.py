"""Boot, birth and power without sockets: the twin's machine is up at once, and its birth is there to be waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Operation
from planner.model import Attrs, Step, StepFailed
from planner.ports import Call

if TYPE_CHECKING:
    from providers.twin.house import House

BUILD, VERSION = "24022510", "8.0.3"

Hook = Callable[[str, str], None]


class MemoryBoot:
    """The sessions "boot" and "power" in one. What is staged outlives a killed run, as the real folder does."""

    def __init__(self, house: House, staged: dict[str, str], hook: Hook) -> None:
        self.house, self.staged, self.hook = house, staged, hook

    def prepare(self, steps: Sequence[Step]) -> None:
        return

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        mac = str(call.declared["mac"])
        if operation.name.startswith("boot."):
            return {"staged": self.staged.get(mac)}
        return None

    def guard(self, name: str, call: Call) -> bool:
        raise AssertionError(name)

    def run(self, operation: Operation, call: Call) -> Attrs:
        mac = str(call.declared["mac"])
        self.hook("before", call.step)
        facts: Attrs = {}
        if operation.name == "boot.stage":
            self.staged[mac] = str((call.after or {})["staged"])
        elif operation.name == "boot.unstage":
            self.staged.pop(mac, None)
        elif operation.name == "power.boot":
            if mac not in self.staged:
                raise StepFailed("nothing is staged for this machine", mac)
            self.house.power(mac, "cycle")
            self.house.complete_boot(mac, build=BUILD, version=VERSION, image=self.staged[mac])
        elif operation.name == "birth.wait":
            facts = self._birth(mac)
        else:
            raise AssertionError(operation.name)
        self.hook("after", call.step)
        return facts

    def _birth(self, mac: str) -> dict[str, Any]:
        machine = self.house.machine(mac)
        if machine.power != "on":
            raise StepFailed("no birth before the deadline", mac)
        found = self.house.door_identity(machine.ip)
        return {"uuid": machine.uuid, "serial": machine.serial, "mac": mac, "ip": machine.ip,
                "certificate": found.certificate, "thumbprint": found.sha256, "version": VERSION, "build": BUILD,
                "image": self.staged[mac], "born": "2026-01-01T00:00:00Z"}

    def close(self) -> None:
        return
