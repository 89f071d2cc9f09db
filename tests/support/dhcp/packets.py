"""DHCP messages as a machine's firmware sends and reads them (RFC 2131, 2132, 3397, 4578; made by hand)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
PXE, REQUESTED, KIND, SERVER, WANTED, VENDOR, CLIENT_ID = 43, 50, 53, 54, 55, 60, 61
TFTP_SERVER, BOOT_FILE, USER_CLASS, ARCHITECTURE, INTERFACE, GUID, IPXE = 66, 67, 77, 93, 94, 97, 175
ASKS = bytes((1, 3, 6, 12, 15, 43, 51, 54, 60, 66, 67, 97))
"""What PXE firmware asks for, and the lease time."""

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_NONE = b"\0" * 4


@dataclass(frozen=True, slots=True)
class Machine:
    """Who asks. `arch`: option 93 (None: no network boot, an operating system asks)."""

    mac: str
    arch: int | None = None
    ipxe: bool = False
    http: bool = False  # UEFI HTTP boot: HTTPClient in place of PXEClient
    client_id: bytes = b""
    wants: bytes = ASKS

    def options(self) -> dict[int, bytes]:
        """What this machine says of itself in every message."""
        said: dict[int, bytes] = {WANTED: self.wants}
        if self.client_id:
            said[CLIENT_ID] = self.client_id
        if self.arch is None:
            return said
        vendor = "HTTPClient" if self.http else "PXEClient"
        said |= {
            VENDOR: f"{vendor}:Arch:{self.arch:05d}:UNDI:003016".encode(), ARCHITECTURE: struct.pack("!H", self.arch),
            INTERFACE: b"\x01\x03\x10", GUID: b"\0" + bytes.fromhex(self.mac.replace(":", "")).rjust(16, b"\x42"),
        }
        if self.ipxe:
            said |= {USER_CLASS: b"iPXE", IPXE: b"\x13\x01\x01",  # its features: HTTP
                     WANTED: self.wants + bytes((IPXE,))}
        return said


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Addresses are dotted; "" where none. `options`: by code, fragments of one code joined."""

    kind: int
    mac: str
    xid: int
    options: Mapping[int, bytes] = field(default_factory=dict)
    reply: bool = False
    ciaddr: str = ""
    yiaddr: str = ""
    siaddr: str = ""
    giaddr: str = ""
    file: str = ""  # of the header
    sname: str = ""

    def text(self, code: int) -> str:
        """An option as text, without the NUL that some servers put at its end; "" where it is absent."""
        return self.options.get(code, b"").rstrip(b"\0").decode("latin-1")

    def addresses(self, code: int) -> list[str]:
        raw = self.options.get(code, b"")
        return [str(IPv4Address(raw[i:i + 4])) for i in range(0, len(raw), 4)]

    @property
    def boot(self) -> str:
        """The boot file that firmware would take: option 67, or else the header's field."""
        return self.text(BOOT_FILE) or self.file

    @property
    def next_server(self) -> str:
        """Where firmware would fetch it: option 66, or else the header's field."""
        return self.text(TFTP_SERVER) or self.siaddr

    def suboptions(self, code: int) -> dict[int, bytes]:
        """Encapsulated options (43, 175)."""
        return _read_options(self.options.get(code, b""))


def encode(message: Message) -> bytes:
    """At least 300 bytes, as BOOTP servers want them."""
    body = b"".join(bytes((code, len(value))) + value for code, value in {
        KIND: bytes((message.kind,)), **message.options}.items())
    hardware = bytes.fromhex(message.mac.replace(":", ""))
    broadcast = 0x8000 if not message.ciaddr and not message.giaddr else 0
    packed = _HEADER.pack(
        2 if message.reply else 1, 1, 6, 1 if message.giaddr else 0, message.xid, 4, broadcast,
        *(_address(a) for a in (message.ciaddr, message.yiaddr, message.siaddr, message.giaddr)), hardware,
        message.sname.encode(), message.file.encode(), _COOKIE)
    return (packed + body + b"\xff").ljust(300, b"\0")


def decode(raw: bytes) -> Message:
    """Raises ValueError where it is no DHCP message."""
    if len(raw) < _HEADER.size + 4:
        raise ValueError("too short")
    op, _, length, _, xid, _, _, ci, yi, si, gi, hardware, sname, file, cookie = _HEADER.unpack_from(raw)
    if cookie != _COOKIE or length != 6:
        raise ValueError("no DHCP message")
    options = _read_options(raw[_HEADER.size:])
    overload = options.get(52, b"\0")[0]
    for bit, extra in ((1, file), (2, sname)):
        if overload & bit:
            options |= _read_options(extra)
    ciaddr, yiaddr, siaddr, giaddr = ("" if a == _NONE else str(IPv4Address(a)) for a in (ci, yi, si, gi))
    return Message(
        options.get(KIND, b"\0")[0], hardware[:6].hex(":"), xid, options, op == 2, ciaddr, yiaddr, siaddr, giaddr,
        file="" if overload & 1 else _text(file), sname="" if overload & 2 else _text(sname))


def _address(text: str) -> bytes:
    return IPv4Address(text).packed if text else _NONE


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1")


def _read_options(raw: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw) and raw[at] != 255:
        if raw[at] == 0:
            at += 1
            continue
        size = raw[at + 1]
        found[raw[at]] = found.get(raw[at], b"") + raw[at + 2:at + 2 + size]
        at += 2 + size
    return found
