"""Births without a payload: after a machine has all of its image, its own SDK door is polled until it answers.

For hosts that run no payload (Secure Boot, or no usable Python): `birth: agentless`. The certificate that the door
shows first is taken: *trust on first use*, so keep the boot network isolated. What answers must be a host
(`about.apiType` "HostAgent"), let root in with the declared first password, and have the MAC that was booted: another
machine at a lease that moved on is not taken for it. With a TPM, such a boot extends PCR 14 alike every time: its
command line carries no nonce.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from planner.model import StepFailed

if TYPE_CHECKING:
    from concurrent.futures import Future

    from planner.ports import Call
    from providers.vsphere.connect import Trust
    from providers.vsphere.link import Sent

DOOR_SECONDS = 3.0
CALL_SECONDS = 10.0
MAX_REPLY = 256 * 1024
HOST_AGENT = "HostAgent"
_VIM = "{urn:vim25}"
_ASK = (b'<?xml version="1.0" encoding="UTF-8"?>'
        b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
        b'<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>'
        b"</RetrieveServiceContent></soapenv:Body></soapenv:Envelope>")


class NotYet(Exception):
    """Nothing answers that could be the host; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class Door:
    """What answered at an address, before anybody logged in."""

    address: str
    certificate: str  # PEM
    version: str  # "8.0.3"
    build: str  # "24022510"


class Doors(Protocol):
    """Where hosts' own doors are: on the network, or in the twin."""

    def look(self, mac: str, address: str) -> Door:
        """The door of the machine that fetched its image from this address. Raises NotYet."""

    def stub(self, door: Door) -> Any:
        """A pyVmomi stub of that door and no other. Raises OSError."""


@dataclass(frozen=True, slots=True)
class SocketDoors:
    """Doors on the network: HTTPS on `port`, of whoever answers (see the module)."""

    port: int = 443

    def look(self, mac: str, address: str) -> Door:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its certificate is what we are after
        link = http.client.HTTPSConnection(address, self.port, timeout=CALL_SECONDS, context=context)
        try:
            link.connect()
            der = link.sock.getpeercert(binary_form=True) if isinstance(link.sock, ssl.SSLSocket) else None
            link.request("POST", "/sdk", _ASK, {"Content-Type": "text/xml; charset=utf-8", "Connection": "close"})
            reply = link.getresponse()
            text = reply.read(MAX_REPLY + 1)
        except (OSError, http.client.HTTPException) as error:
            raise NotYet(f"https://{address}/sdk does not answer yet ({type(error).__name__})") from error
        finally:
            link.close()
        if reply.status != 200 or der is None:
            raise NotYet(f"https://{address}/sdk answers {reply.status}")
        about = service_about(text)
        if about.get("apiType") != HOST_AGENT:
            raise NotYet(f"https://{address}/sdk answers, and not as a host does")
        return Door(address, ssl.DER_cert_to_PEM_cert(der), about.get("version", ""), about.get("build", ""))

    def stub(self, door: Door) -> Any:
        from providers.vsphere.connect import Trust, open_stub

        host = f"[{door.address}]" if ":" in door.address else door.address
        return open_stub(f"{host}:{self.port}", Trust(certificate=door.certificate), CALL_SECONDS)


@dataclass(frozen=True, slots=True)
class TwinDoors:
    """Doors of the twin's machines, which have an address of their own whatever they fetched from."""

    house: Any

    def look(self, mac: str, address: str) -> Door:
        from pyVmomi import vim

        ip = str(self.house.machine(mac).ip)
        try:
            certificate = str(self.house.door_certificate(ip))
            service: Any = vim.ServiceInstance  # untyped, as all of pyVmomi's constructors
            about = service("ServiceInstance", self.house.door(ip)).RetrieveContent().about
        except ConnectionError as error:
            raise NotYet(f"https://{ip}/sdk does not answer yet") from error
        return Door(ip, certificate, str(about.version), str(about.build))

    def stub(self, door: Door) -> Any:
        if self.house.door_certificate(door.address) != door.certificate:
            raise ConnectionResetError(f"the machine at {door.address} has booted since")
        return self.house.door(door.address)


def service_about(text: bytes) -> Mapping[str, str]:
    """`about` of a RetrieveServiceContent response (vSphere API: ServiceContent, AboutInfo). {} for anything else."""
    from xml.etree import ElementTree

    if len(text) > MAX_REPLY or b"<!" in text.replace(b"<![CDATA[", b""):  # no document type, no entities
        return {}
    try:
        found = ElementTree.fromstring(text).find(f".//{_VIM}returnval/{_VIM}about")  # noqa: S314  # see above
    except ElementTree.ParseError:
        return {}
    return {} if found is None else {each.tag.removeprefix(_VIM): (each.text or "").strip() for each in found}


class _Lent:
    """What `providers.vsphere.host.door` needs of a session, for one door."""

    def __init__(self, doors: Doors, door: Door, now: Callable[[], float]) -> None:
        from providers.vsphere.link import Sent

        self._doors, self._door, self.now = doors, door, now
        self._sent = Sent()

    @property
    def sent(self) -> Sent:
        return self._sent

    def door_stub(self, _address: str, _trust: Trust) -> Any:
        return self._doors.stub(self._door)

    def wait_on(self, _link: Any, _task: Any, _call: Call) -> Any:
        raise NotImplementedError("nobody starts a task while a birth is looked at")


def identify(doors: Doors, door: Door, mac: str, call: Call, now: Callable[[], float]) -> tuple[str, str]:
    """Hardware UUID and serial number, read as root. Raises NotYet where it is another machine, or not up yet;
    StepFailed where root's passwords are wrong."""
    from pyVmomi import vim, vmodl

    from providers.vsphere.collector import Collector
    from providers.vsphere.host.door import opened

    asked = replace(call, facts={**call.facts, "ip": door.address, "certificate": door.certificate})
    try:
        with opened(_Lent(doors, door, now), asked) as (link, _):
            wanted = {vim.HostSystem: ("hardware.systemInfo", "config.network.pnic")}
            rows = Collector(link).below(link.content.rootFolder, wanted)
    except StepFailed as error:
        if error.__cause__ is None:  # it answered: root's passwords are wrong, and more tries would lock root out
            raise
        raise NotYet(f"the door at {door.address} does not let root in yet: {error}") from error
    except (OSError, http.client.HTTPException, vmodl.MethodFault) as error:
        raise NotYet(f"the door at {door.address} does not tell who it is yet ({type(error).__name__})") from error
    props = rows[0].props if len(rows) == 1 else {}
    info, nics = props.get("hardware.systemInfo"), props.get("config.network.pnic") or ()
    if info is None or not info.uuid:
        raise NotYet(f"the door at {door.address} does not tell its hardware UUID yet")
    if mac not in {str(nic.mac).lower() for nic in nics}:
        raise NotYet(f"another machine answers at {door.address}: it has no NIC with that MAC")
    return str(info.uuid).lower(), _serial(info)


def _serial(info: Any) -> str:
    """`serialNumber` came with API 6.7; before, the tags of SMBIOS tell (HostSystemIdentificationInfo)."""
    tags = {str(each.identifierType.key): str(each.identifierValue).strip()
            for each in info.otherIdentifyingInfo or () if each.identifierType is not None}
    found = (getattr(info, "serialNumber", None), tags.get("SerialNumberTag"), tags.get("ServiceTag"))
    return next((str(each).strip() for each in found if each and str(each).strip()), "unknown")


class BirthDesk(Protocol):
    """What takes an agentless birth in (`providers.midwife.desk.Desk`)."""

    def seen(self, mac: str, boot: str, facts: Mapping[str, str]) -> Future[None] | None: ...


class HandedOver(Protocol):
    """What knows who has all of its image (`providers.boot.trail.Trail`)."""

    def handed_to(self, mac: str) -> tuple[str, str]: ...

    def note(self, mac: str, what: str) -> None: ...


class Watch:
    """One wait for one agentless birth. Constructing does no I/O."""

    def __init__(self, mac: str, desk: BirthDesk, trail: HandedOver, doors: Doors, now: Callable[[], float],
                 pause: float = DOOR_SECONDS) -> None:
        self._mac, self._desk, self._trail, self._doors, self._now = mac, desk, trail, doors, now
        self._pause, self._next, self._told = pause, 0.0, ""

    def look(self, call: Call) -> None:
        """Look at the door, if it is time, and write the birth down. Raises StepFailed (see `identify`)."""
        boot, address = self._trail.handed_to(self._mac)
        if not address or time.monotonic() < self._next:
            return
        try:
            door = self._doors.look(self._mac, address)
            uuid, serial = identify(self._doors, door, self._mac, call, self._now)
            durable = self._desk.seen(self._mac, boot, {
                "uuid": uuid, "serial": serial, "ip": door.address, "version": door.version, "build": door.build,
                "certificate": door.certificate, "from": address})
            if durable is not None:
                durable.result()
        except NotYet as reason:
            self._tell(str(reason))
        except OSError as error:
            self._tell(f"its birth could not be written down: {error}")
        self._next = time.monotonic() + self._pause

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._trail.note(self._mac, reason)
