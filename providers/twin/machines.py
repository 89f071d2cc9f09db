"""The physical machines: identities, power, boots, accounts and certificates.

Every identity derives from the fleet's name and the MAC of vmnic0: hardware UUID, serial number, the MACs of vmnic1 to
vmnic3 (locally administered) and the address, which is 10.128.0.0/9 with the last 23 bits of the MAC (the next free one
where two MACs collide). A certificate derives from those and the number of the boot, so nothing secret is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from planner.model import FleetError
from providers.twin.model import Account, Box, Hypervisor, Power

_NAMESPACE = uuid.UUID("6d1c9b52-3c0e-5d3f-9d7f-5a3f0c6f7a11")
_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, FIPS 186-4 D.1.2.3
_ROUNDS = 1000
AUTHORITY = (("ORGANIZATIONAL_UNIT_NAME", "VMware Engineering"), ("ORGANIZATION_NAME", "vcenter.twin"),
             ("STATE_OR_PROVINCE_NAME", "California"), ("COUNTRY_NAME", "US"), ("DOMAIN_COMPONENT", "local"),
             ("DOMAIN_COMPONENT", "vsphere"), ("COMMON_NAME", "CA"))
"""The name of vCenter's CA, as a new vCenter makes it."""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine that a fleet declares: the MAC that it boots from, and the name that DNS gives it."""

    mac: str
    name: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A physical machine as it is now. `boot` counts its boots; `boot_time` is seconds since the epoch, 0 when not on.

    `problem` says why the last boot did not end.
    """

    mac: str
    name: str
    power: Power
    uuid: str
    serial: str
    ip: str
    nics: tuple[str, ...]
    external: bool
    boot: int
    boot_time: float = 0.0
    problem: str = ""


def identity(*parts: str) -> uuid.UUID:
    """A UUID that derives from these words."""
    return uuid.uuid5(_NAMESPACE, "/".join(parts))


def normal_mac(text: str) -> str:
    """A MAC in lower case with colons. Raises ValueError."""
    digits = text.strip().lower().replace("-", ":").split(":")
    if len(digits) != 6 or any(len(each) != 2 or set(each) - set("0123456789abcdef") for each in digits):
        raise ValueError(f"not a MAC address: {text!r}")
    return ":".join(digits)


def make_box(fleet: str, mac: str, name: str, taken: Iterable[str]) -> Box:
    """A machine that is off, with everything that derives from its MAC. `taken`: addresses already in use."""
    seed = hashlib.sha256(f"{fleet}/{mac}".encode()).digest()
    nics = [mac] + [
        "02:" + ":".join(f"{each:02x}" for each in hashlib.sha256(seed + bytes([number])).digest()[:5])
        for number in (1, 2, 3)
    ]
    return Box(
        mac=mac,
        name=name,
        uuid=str(identity(fleet, mac)),
        serial=f"TWIN-{seed[:5].hex().upper()}",
        ip=_address(mac, set(taken)),
        nics=nics,
    )


def _address(mac: str, taken: set[str]) -> str:
    number = int(mac.replace(":", ""), 16) & 0x7FFFFF
    while True:
        address = str(ipaddress.IPv4Address((10 << 24) | 0x800000 | number))
        if address not in taken:
            return address
        number = (number + 1) & 0x7FFFFF


def view(box: Box) -> Machine:
    """The value that callers outside of the house get."""
    return Machine(
        mac=box.mac,
        name=box.name,
        power=box.power,
        uuid=box.uuid,
        serial=box.serial,
        ip=box.ip,
        nics=tuple(box.nics),
        external=box.external,
        boot=box.boots,
        boot_time=box.running.boot_time if box.running else 0.0,
        problem=box.problem,
    )


# --- accounts ---------------------------------------------------------------------------------------------


def account(box: Box, user: str, password: str) -> Account:
    """An account of this machine with a salted digest of the password. The salt is the machine's, so that a password
    that is set back compares equal."""
    salt = f"{box.uuid}/{user}"
    return Account(salt, _digest(salt, password))


def knows(hypervisor: Hypervisor, user: str, password: str) -> bool:
    """Whether this is the user's password on that host. A newborn's root has an empty one."""
    found = hypervisor.accounts.get(user)
    if found is None:
        return user == "root" and password == ""
    if not found.salt:
        from passlib.hash import sha512_crypt  # type: ignore[import-untyped]

        return bool(sha512_crypt.verify(password, found.digest))
    return hmac.compare_digest(found.digest, _digest(found.salt, password))


@lru_cache(maxsize=4096)
def _digest(salt: str, password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _ROUNDS).hex()


# --- certificates -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """A host's TLS identity: PEM of certificate and key (key "" for machines that are born outside)."""

    certificate: str
    key: str
    sha1: str
    sha256: str


def tls_identity(fleet: str, box: Box) -> Identity:
    """The identity of what runs on a machine. Raises ValueError for one that is off."""
    if box.running is None:
        raise ValueError(f"machine {box.mac} is {box.power}: no certificate")
    if box.running.certificate and not box.running.config.access.issued:
        return _identity(box.running.certificate, "")
    name = box.running.called or box.name or box.ip
    issued = box.running.issued or box.running.boot_time
    return derived_identity(fleet, box.mac, box.running.born, name, box.ip, issued, box.running.config.access.issued)


def rename(box: Box, name: str) -> None:
    """DNS gets a new name for a machine; as on most sites nobody cleans up the old one."""
    if name and name != box.name:
        box.former = [each for each in (box.name, *box.former) if each and each != name]
        box.name = name


def _identity(certificate: str, key: str) -> Identity:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        loaded = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise FleetError(f"the birth's certificate is not PEM: {error}") from error

    def print_of(algorithm: hashes.HashAlgorithm) -> str:
        return ":".join(f"{each:02X}" for each in loaded.fingerprint(algorithm))

    return Identity(certificate, key, print_of(hashes.SHA1()), print_of(hashes.SHA256()))  # noqa: S303 - vSphere's own


def _derived_key(seed: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.derive_private_key(int.from_bytes(seed, "big") % (_CURVE_ORDER - 1) + 1, ec.SECP256R1())


@lru_cache(maxsize=4096)
def derived_identity(fleet: str, mac: str, boot: int, name: str, ip: str, born: float, issued: int = 0) -> Identity:
    """A P-256 certificate for one boot of one machine; the same for the same arguments. Self-signed, or the one that
    vCenter's CA `issued` as its so-manieth."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    seed = hashlib.sha512(f"{fleet}/{mac}/{boot}{f'/{issued}' if issued else ''}".encode()).digest()
    key = _derived_key(seed)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    authority = _derived_key(hashlib.sha512(f"{fleet}/CA".encode()).digest()) if issued else key
    since = datetime.fromtimestamp(born, UTC).replace(microsecond=0) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(getattr(x509.NameOID, k), v) for k, v in AUTHORITY])
                     if issued else subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(seed[:15], "big") | 1)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(ip))]), critical=False
        )
        .sign(authority, hashes.SHA256(), ecdsa_deterministic=True)
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _identity(pem, secret.decode())
