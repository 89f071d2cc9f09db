"""Self-signed TLS certificates of the twin's doors."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM texts of a certificate and its private key."""

    certificate: str
    key: str

    def thumbprint(self) -> str:
        """SHA-256 of the DER certificate, as `AA:BB:…`."""
        import hashlib

        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate)).hexdigest().upper()
        return ":".join(digest[at:at + 2] for at in range(0, len(digest), 2))


def make_certificate(name: str, alternatives: Iterable[str] = (), *, born: datetime | None = None,
                     days: int = 825) -> Certificate:
    """A new self-signed certificate for `name` and alternatives (names or addresses), valid from a day before `born`.

    It is its own authority: clients verify against it as CA file.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    start = (born or datetime.now(UTC)) - timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False),
            critical=True)
        .add_extension(x509.SubjectAlternativeName([_general(each) for each in (name, *alternatives)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                          serialization.NoEncryption()).decode())


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(certificate: Certificate, folder: Path) -> ssl.SSLContext:
    """A TLS server context. `ssl` reads keys from files only: `folder` holds one (mode 600) while it is loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = folder / "door.pem"
    file.touch(mode=0o600)
    try:
        file.write_text(certificate.certificate + certificate.key)
        context.load_cert_chain(file)
    finally:
        file.unlink()
    return context
