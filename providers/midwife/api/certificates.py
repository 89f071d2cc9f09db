"""The certificates of the API: ECDSA P-256, X.509 v3 (RFC 5280), made with `cryptography`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.files import replace_file

if TYPE_CHECKING:
    from cryptography import x509

_START = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_END = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
_EARLIER = datetime.timedelta(days=1)
"""A runner's clock may be behind."""


def make_authority(key_path: Path, path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _key()
    name = _name("fleet midwife authority")
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public)
        .serial_number(x509.random_serial_number()).not_valid_before(_START).not_valid_after(_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    replace_file(key_path, _pem_key(key))
    replace_file(path, _pem(certificate), 0o644)


def make_server(folder: Path, name: str) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = _key()
    certificate = _issue(folder, key, "fleet midwife", [x509.DNSName(name)], ExtendedKeyUsageOID.SERVER_AUTH,
                         _START, _END)
    replace_file(folder / "api-key.pem", _pem_key(key))
    replace_file(folder / "api.pem", _pem(certificate), 0o644)


def make_client(folder: Path, uri: str, now: float, days: int) -> tuple[str, float, bytes]:
    """Serial (hex, upper case), end (seconds since the epoch) and the identity file. Raises ValueError, OSError."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key, start = _key(), datetime.datetime.fromtimestamp(now, datetime.UTC).replace(microsecond=0)
    end = start + datetime.timedelta(days=days)
    certificate = _issue(folder, key, uri, [x509.UniformResourceIdentifier(uri)], ExtendedKeyUsageOID.CLIENT_AUTH,
                         start - _EARLIER, end)
    serial = f"{certificate.serial_number:X}"
    return (serial if len(serial) % 2 == 0 else f"0{serial}", end.timestamp(),
            _pem_key(key) + _pem(certificate) + (folder / "ca.pem").read_bytes())


def _issue(folder: Path, key: Any, subject: str, names: list[Any], usage: Any, start: datetime.datetime,
           end: datetime.datetime) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    signer: Any = load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
    public = key.public_key()
    return (
        x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(authority.subject).public_key(public)
        .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(digital_signature=not sign, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=sign, crl_sign=sign,
                         encipher_only=False, decipher_only=False)


def _name(text: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:64])])


def _key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem_key(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    found: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return found


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)
