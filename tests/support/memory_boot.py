"""Boot, birth and power without sockets: the twin's machine is up at once, and its birth is there to be waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Operation
from planner.model import Attrs, Step, StepFailed
from planner.ports import Call
from providers.boot.kickstart import crypted
from providers.twin.boots import BoxDisk

if TYPE_CHECKING:
    from providers.twin.house import House

BUILD, VERSION = "24022510", "8.0.3"
FIRST_PASSWORD = crypted("F1rst!pass")

Hook = Callable[[str, str], None]


class MemoryBoot:
    """The sessions "boot" and "power" in one. What is staged outlives a killed run, as the real folder does."""

    def __init__(self, house: House, staged: dict[str, dict[str, Any]], hook: Hook) -> None:
        self.house, self.staged, self.hook = house, staged, hook

    def prepare(self, steps: Sequence[Step]) -> None:
        return

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        mac = str(call.declared["mac"])
        if operation.name.startswith("boot."):
            nothing = {name: None for name in (*(call.before or {}), *(call.after or {}))}
            return {**nothing, **self.staged.get(mac, {})}
        return None

    def guard(self, name: str, call: Call) -> bool:
        raise AssertionError(name)

    def run(self, operation: Operation, call: Call) -> Attrs:
        mac = str(call.declared["mac"])
        self.hook("before", call.step)
        facts: Attrs = {}
        if operation.name == "boot.stage":
            self.staged[mac] = dict(call.after or {})
        elif operation.name == "boot.unstage":
            self.staged.pop(mac, None)
        elif operation.name == "power.boot":
            if mac not in self.staged:
                raise StepFailed("nothing is staged for this machine", mac)
            self._start(mac, self.staged[mac])
        elif operation.kind == "wait":
            facts = self._birth(mac)
        else:
            raise AssertionError(operation.name)
        self.hook("after", call.step)
        return facts

    def _start(self, mac: str, staged: dict[str, Any]) -> None:
        """Its image; where that is to be installed: onto its disk, and from there. What boots once is then over."""
        self.house.power(mac, "cycle", lambda _machine: None)  # what it boots is decided here
        if staged.get("boots") == "disk":
            BoxDisk(self.house, mac).boot()
            return
        if staged.get("boots") == "install":
            disk = BoxDisk(self.house, mac)
            disk.install(build=BUILD, version=VERSION, image=staged["staged"], root=FIRST_PASSWORD)
            disk.boot()
        else:
            self.house.complete_boot(mac, build=BUILD, version=VERSION, image=staged["staged"])
        if staged.get("boots"):
            self.staged[mac] = {"staged": staged["staged"], "boots": "disk"}

    def _birth(self, mac: str) -> dict[str, Any]:
        machine = self.house.machine(mac)
        if machine.power != "on":
            raise StepFailed("no birth before the deadline", mac)
        found = self.house.door_identity(machine.ip)
        return {"uuid": machine.uuid, "serial": machine.serial, "mac": mac, "ip": machine.ip,
                "certificate": found.certificate, "thumbprint": found.sha256, "version": VERSION, "build": BUILD,
                "image": self.staged[mac]["staged"], "born": "2026-01-01T00:00:00Z"}

    def close(self) -> None:
        return
