"""What machines that run outside of a served twin tell it, and ask of it: `power: external` in the seed.

    GET  /machines/MAC        → {"power": "on" | "booting" | "off", "boot": number of its boots}
    POST /machines/MAC/born   {uuid, serial, ip, certificate (PEM), version, build, image?} → the same

The first tells a machine that vCenter has restarted it (power is "booting", or boot is another number), as hardware
would be told. The second says that a newborn hypervisor runs on it now: the twin plays its SDK door and vCenter's side
of it. Saying it again, with the same certificate, changes nothing. Both ask for vCenter's user and password (HTTP
Basic). A mistake is answered with 4xx and {"error": text}; nothing is changed then.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import ssl
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from providers.twin.house import House
    from providers.twin.machines import Machine

PREFIX = "/machines/"


class Born(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of a birth outside. `certificate`: PEM, what its own door shows from now on."""

    uuid: str
    serial: str
    ip: str
    certificate: str
    version: str
    build: str
    image: str = ""


class OutsideMachines:
    """Answers below /machines/ of a served twin."""

    def __init__(self, house: House) -> None:
        self._house = house

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, bytes] | None:
        """(status, JSON); None where the path is somebody else's."""
        if not path.startswith(PREFIX):
            return None
        status, found = self._answer(method, path.removeprefix(PREFIX), authorization, body)
        return status, json.dumps(found).encode()

    def _answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if not _knows(authorization):
            return 401, {"error": "vCenter's user and password are asked for (HTTP Basic)"}
        mac, _, verb = path.partition("/")
        try:
            machine = self._house.machine(mac)
        except (KeyError, ValueError) as problem:
            return 404, {"error": str(problem.args[0])}
        if (method, verb) == ("GET", ""):
            return 200, _state(machine)
        if (method, verb) != ("POST", "born"):
            return 404, {"error": f"no such thing: {method} {PREFIX}{path}"}
        if not machine.external:
            return 409, {"error": f"machine {machine.mac} boots inside of the twin; `power: external` in the seed "
                                  "says that one does not"}
        try:
            born = msgspec.json.decode(body, type=Born)
            ssl.PEM_cert_to_DER_cert(born.certificate)
        except (msgspec.DecodeError, ValueError) as problem:
            return 400, {"error": str(problem)}
        return 200, _state(self._born(machine, born))

    def _born(self, machine: Machine, born: Born) -> Machine:
        house = self._house
        with house.lock:
            try:
                if machine.power == "on" and house.door_certificate(born.ip) == born.certificate:
                    return machine  # its reply was lost on the way
            except ConnectionRefusedError:
                pass
            return house.complete_boot(machine.mac, **msgspec.structs.asdict(born))


def _state(machine: Machine) -> dict[str, Any]:
    return {"power": machine.power, "boot": machine.boot}


def _knows(authorization: str) -> bool:
    from providers.twin.house import PASSWORD, USER

    kind, _, text = authorization.partition(" ")
    try:
        given = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        return False
    return kind.lower() == "basic" and hmac.compare_digest(given, f"{USER}:{PASSWORD}".encode())
