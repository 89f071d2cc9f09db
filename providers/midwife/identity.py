"""The midwife's TLS identity: an EC key and a self-signed certificate, made once per fleet.

Hosts pin the public key (SHA-256 of its SubjectPublicKeyInfo, RFC 7469's pin in hex), not names or dates: a host
that was just born may have no clock and no name service.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from planner.model import Diagnostic, FleetError
from providers.files import replace_file


@dataclass(frozen=True, slots=True)
class Identity:
    """Paths of key and certificate, and the pin that boot configurations carry."""

    key: Path
    certificate: Path
    spki_sha256: str


def open_identity(folder: Path) -> Identity:
    """Make the identity on first use, else read it. Raises FleetError where the files are damaged."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    key_path, certificate_path = folder / "key.pem", folder / "certificate.pem"
    if not key_path.exists() or not certificate_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder):  # two processes that start at once have one identity
            if not key_path.exists() or not certificate_path.exists():
                _make(key_path, certificate_path)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), None)
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki:
            raise ValueError("the key does not belong to the certificate")
    except (OSError, ValueError, TypeError) as error:
        raise FleetError(Diagnostic(
            "error", "the midwife's key or certificate cannot be read", f"{folder}: {error}",
            remedy="remove key.pem and certificate.pem there; new ones are made, and waiting hosts are booted again",
        )) from error
    return Identity(key_path, certificate_path, hashlib.sha256(spki).hexdigest())


def server_context(identity: Identity) -> ssl.SSLContext:
    """TLS 1.2 or newer, without session tickets (every birth is one connection)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.load_cert_chain(identity.certificate, identity.key)
    return context


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """A lock that ends with its process, on the folder itself."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(key_path: Path, certificate_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fleet midwife")])
    start = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(start.replace(year=2099))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    replace_file(key_path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    replace_file(certificate_path, certificate.public_bytes(Encoding.PEM), 0o644)
