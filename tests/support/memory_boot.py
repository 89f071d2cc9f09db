"""Boot, birth and power without sockets: the twin's machine is up at once, and its birth is there to be waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Operation
from planner.model import Address, Attrs, Step, StepFailed
from planner.ports import Call
from providers.boot.kickstart import crypted
from providers.twin.boots import BoxDisk

if TYPE_CHECKING:
    from providers.twin.house import House

BUILD, VERSION = "24022510", "8.0.3"
IMAGE, OTHER = "d" * 64, "e" * 64
BUILDS = {IMAGE: BUILD, OTHER: "24585291"}
FIRST_PASSWORD = crypted("F1rst!pass")

Hook = Callable[[str, str], None]


class MemoryBoot:
    """The sessions "boot" and "power" in one. What is staged outlives a killed run, as the real folder does.

    A machine that was restarted by vCenter comes up once somebody waits for its birth.
    """

    def __init__(self, house: House, staged: dict[str, dict[str, Any]], hook: Hook,
                 restarted: Callable[[Address], bool] = lambda _root: False) -> None:
        self.house, self.staged, self.hook, self.restarted = house, staged, hook, restarted

    def prepare(self, steps: Sequence[Step]) -> None:
        return

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        mac = str(call.declared["mac"])
        if operation.name.startswith("boot."):
            nothing = {name: None for name in (*(call.before or {}), *(call.after or {}))}
            return {**nothing, **{k: v for k, v in self.staged.get(mac, {}).items() if k not in ("former", "born")}}
        return None

    def guard(self, name: str, call: Call) -> bool:
        assert name == "not-restarted"
        born = self.staged.get(str(call.declared["mac"]), {}).get("born")
        return not born and not self.restarted(call.address)

    def run(self, operation: Operation, call: Call) -> Attrs:
        mac = str(call.declared["mac"])
        self.hook("before", call.step)
        facts: Attrs = {}
        if operation.name in ("boot.stage", "boot.keep"):
            self._stage(mac, call.after or {})
        elif operation.name == "boot.unstage":
            trial = (call.before or {}).get("boots") == "trial" and (call.after or {}).get("staged")
            if trial:
                self._fall_back(mac)
            else:
                self.staged.pop(mac, None)
        elif operation.name == "power.boot":
            if mac not in self.staged:
                raise StepFailed("nothing is staged for this machine", mac)
            self.staged[mac] = {k: v for k, v in self.staged[mac].items() if k != "born"}
            self._start(mac, self.staged[mac])
        elif operation.kind == "wait":
            facts = self._birth(mac)
        else:
            raise AssertionError(operation.name)
        self.hook("after", call.step)
        return facts

    def _stage(self, mac: str, after: Attrs) -> None:
        """As `providers.midwife.desk`: a trial remembers what it falls back to."""
        old, new = self.staged.get(mac, {}), dict(after)
        if new.get("boots") == "trial":
            again = old.get("boots") == "trial"
            new["former"] = old.get("former") if again else old.get("staged") if not old.get("boots") else None
            new["born"] = again and old.get("staged") == new["staged"] and old.get("born") and \
                self.house.machine(mac).power == "on"
        self.staged[mac] = new

    def _fall_back(self, mac: str) -> None:
        former = self.staged[mac].get("former")
        self.staged.pop(mac)
        if former:
            self.staged[mac] = {"staged": former}

    def _come_up(self, mac: str) -> None:
        """What a machine boots that was started: its image, or what a trial that is over falls back to."""
        if self.staged.get(mac, {}).get("boots") == "trial" and self.staged[mac].get("born"):
            self._fall_back(mac)
        if mac not in self.staged:
            raise StepFailed("nothing is staged for this machine", mac)
        image = self.staged[mac]["staged"]
        self.house.complete_boot(mac, build=BUILDS.get(image, BUILD), version=VERSION, image=image)
        if self.staged[mac].get("boots") == "trial":
            self.staged[mac] = {**self.staged[mac], "born": True}

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
            self._come_up(mac)
        if staged.get("boots") in ("once", "install"):
            self.staged[mac] = {"staged": staged["staged"], "boots": "disk"}

    def _birth(self, mac: str) -> dict[str, Any]:
        if self.house.machine(mac).power == "booting":
            self._come_up(mac)
        machine = self.house.machine(mac)
        if machine.power != "on":
            raise StepFailed("no birth before the deadline", mac)
        image = self.house.dump()["machines"][mac]["image"]
        found = self.house.door_identity(machine.ip)
        return {"uuid": machine.uuid, "serial": machine.serial, "mac": mac, "ip": machine.ip,
                "certificate": found.certificate, "thumbprint": found.sha256, "version": VERSION,
                "build": BUILDS.get(image, BUILD), "image": image, "born": "2026-01-01T00:00:00Z"}

    def close(self) -> None:
        return
