"""What a boot session does with machines of the twin, and with the facts of a birth, wherever it was taken in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.model import Attrs, StepFailed
from planner.ports import Call
from providers.boot.staging import build_number
from providers.midwife.message import BadMessage, normal_mac

BORN_FACTS = ("uuid", "serial", "mac", "ip", "certificate", "thumbprint", "version", "build", "image", "born")


@dataclass(frozen=True, slots=True)
class NetbootSettings:
    """What DHCP would tell a machine: the TFTP server's address and port, and the boot loader's file name."""

    host: str
    port: int
    file: str


def mac_of(call: Call) -> str:
    """The boot MAC of the step's host. Raises StepFailed."""
    try:
        return normal_mac(str(call.declared.get("mac") or call.facts.get("mac") or ""))
    except BadMessage as error:
        raise StepFailed("the host has no MAC address to boot by", str(call.address),
                         "declare `mac` on the host") from error


def check_build(mac: str, facts: Attrs, build: str) -> None:
    """Raises StepFailed where the machine runs something else than what was staged for it (`build=` of its image)."""
    wanted, runs = build_number(build), str(facts.get("build") or "")
    if wanted and runs and wanted != runs:
        raise StepFailed(
            "the machine runs another build than its image", f"{mac}: born as build {runs}; image "
            f"{str(facts['image'])[:12]} is build {wanted}",
            "look at its boot order and boot loader, and boot it again; or correct `build=` in the image's "
            "boot.cfg")


def with_problem(reason: str, house: Any, mac: str) -> str:
    """Why there is no birth yet: what was seen from here, and with the twin also where the machine itself hangs."""
    problem = house.machine(mac).problem if house is not None else ""
    return f"{reason}; the machine stopped ({problem})" if problem else reason


def advice(reason: str) -> str:
    if "no boot file fetched" in reason:
        return "check that the machine was started, boots from the network, and is sent here by DHCP"
    return "look at the machine's console, then resume"


def network_boots(house: Any, settings: NetbootSettings, ports: Mapping[int, int], image: Callable[[str], str],
                  say: Callable[[str], None]) -> Callable[[Any], None]:
    """What a machine of the twin runs when it is powered on: its network boot client. `image`: MAC → the digest that
    is staged for it; `ports`: see `providers.twin.netboot.Insides`."""
    from providers.twin.netboot import insides, network_boot

    def boot(machine: Any) -> None:
        inside = insides(house, machine.mac, ports, image(machine.mac))
        network_boot(house, machine, settings.host, settings.port, settings.file, inside=inside, say=say)

    return boot


def play_external(house: Any, playing: threading.Lock, mac: str, facts: Attrs) -> None:
    """A machine that boots outside of the twin was born: the twin plays its SDK door and vCenter's side."""
    try:
        if house is None or not house.machine(mac).external:
            return
    except KeyError:
        return  # boot files still stand for a machine that has left
    wanted = ("build", "version", "image", "uuid", "serial", "ip", "certificate")
    with playing:
        try:
            if house.door_certificate(facts["ip"]) == facts["certificate"]:
                return  # it runs already
        except ConnectionRefusedError:
            pass
        house.complete_boot(mac, **{name: facts[name] for name in wanted})
