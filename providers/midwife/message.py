"""The birth message: its fields, its signature, and what a certificate in it must satisfy.

`POST /v1/births`, JSON: mac, uuid, serial, address, version, certificate (PEM), thumbprint (SHA-256 of the
certificate), clock (whole seconds since the epoch, UTC), nonce, hmac; `build` and further fields may be added.
`hmac` is HMAC-SHA256, hex, over all other fields as compact ASCII JSON with sorted keys.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = ("mac", "uuid", "serial", "address", "version", "certificate", "thumbprint", "nonce", "hmac")
MAX_BODY = 64 * 1024
MAX_TEXT = 256
"""Characters that are kept of serial and version: firmware says strange things, and listings show them for years."""

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_VERSION = re.compile(r"(\d+(?:\.\d+)+)")
_BUILD = re.compile(r"build-(\d+)")


class BadMessage(ValueError):
    """The body is no birth message; the text says why and carries no value of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A well-formed message; nothing in it is proved yet. `raw` is everything but the signature."""

    mac: str
    uuid: str
    serial: str
    address: str
    version: str
    build: str
    certificate: str
    thumbprint: str  # as sent
    clock: int
    nonce: str
    signature: str
    raw: Mapping[str, Any]
    body_sha256: str


def normal_mac(text: str) -> str:
    """Lower case with colons. Raises BadMessage."""
    mac = text.strip().lower().replace("-", ":")
    if not _MAC.match(mac):
        raise BadMessage("`mac` is not a MAC address")
    return mac


def sign(fields: Mapping[str, Any], key: bytes) -> str:
    """The `hmac` field over all other fields."""
    text = json.dumps({k: v for k, v in fields.items() if k != "hmac"}, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).hexdigest()


def authentic(message: Message, key: bytes) -> bool:
    return hmac.compare_digest(sign(message.raw, key).encode(), message.signature.lower().encode("utf-8", "replace"))


def parse(body: bytes) -> Message:
    """Raises BadMessage."""
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError) as error:
        raise BadMessage("the body is not JSON") from error
    if not isinstance(data, dict):
        raise BadMessage("the body is not a JSON object")
    for name in FIELDS:
        if not isinstance(data.get(name), str) or not data[name]:
            raise BadMessage(f"`{name}` must be a text")
    clock = data.get("clock")
    if not isinstance(clock, int) or isinstance(clock, bool) or not 0 <= clock < 1 << 40:
        raise BadMessage("`clock` must be whole seconds since the epoch")
    if not isinstance(data.get("build", ""), str):
        raise BadMessage("`build` must be a text")
    uuid = data["uuid"].strip().lower()
    if not _UUID.match(uuid):
        raise BadMessage("`uuid` is not a UUID")
    version, build = _product(shown(data["version"]), shown(data.get("build", "")))
    return Message(
        mac=normal_mac(data["mac"]), uuid=uuid, serial=shown(data["serial"]), address=_address(data["address"]),
        version=version, build=build, certificate=data["certificate"], thumbprint=data["thumbprint"], clock=clock,
        nonce=data["nonce"], signature=data["hmac"], raw={k: v for k, v in data.items() if k != "hmac"},
        body_sha256=hashlib.sha256(body).hexdigest(),
    )


def shown(text: str) -> str:
    """What of it may be kept and shown: no control characters, no lone surrogates, not too much."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_TEXT])


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError as error:
        raise BadMessage("`address` is not an IP address") from error


def _product(version: str, build: str) -> tuple[str, str]:
    """`vmware -v` prints "VMware ESXi 8.0.3 build-24022510"; a bare version is taken as it is."""
    number, built = _VERSION.search(version), _BUILD.search(version)
    return (number.group(1) if number else version.strip()), build or (built.group(1) if built else "")


def certificate_thumbprint(pem: str) -> str:
    """SHA-256 of the certificate, as "AA:BB…". Raises BadMessage where the PEM cannot be read."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        der = certificate.public_bytes(_der())
    except (ValueError, UnicodeEncodeError, TypeError) as error:
        raise BadMessage("`certificate` is not a PEM certificate") from error
    return colons(hashlib.sha256(der).hexdigest())


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


def colons(digest: str) -> str:
    """"aabb" or "AA:BB" → "AA:BB"."""
    text = digest.replace(":", "").upper()
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2))


def checked_thumbprint(message: Message) -> str:
    """The certificate's thumbprint; raises BadMessage where the message's own differs."""
    found = certificate_thumbprint(message.certificate)
    if colons(message.thumbprint) != found:
        raise BadMessage("`thumbprint` is not the SHA-256 of `certificate`")
    return found
