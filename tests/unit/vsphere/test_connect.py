"""Opening the door: who is trusted, which API version is spoken, and what an error says."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from planner.model import Attrs, FleetError, SecretRef
from planner.ports import OpenContext
from providers.vsphere import provider
from providers.vsphere.block import block_problems
from providers.vsphere.connect import Trust, WrongCertificate, open_stub, speak, split_server, thumbprint
from tests.unit.vsphere.kit import Clock, make_fleet, open_bench

ADDRESS = "127.0.0.2"  # pyVmomi itself drops verification for 127.0.0.1


@dataclass(frozen=True)
class Server:
    port: int
    certificate: str
    file: Path
    heard: list[bytes]

    @property
    def name(self) -> str:
        return f"{ADDRESS}:{self.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A TLS server with a self-signed certificate that answers every request with 404, and notes what it hears."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server((ADDRESS, 0))
    listener.settimeout(0.1)
    ended = threading.Event()
    heard: list[bytes] = []

    def serve() -> None:
        while not ended.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            plain.settimeout(2)
            try:
                with context.wrap_socket(plain, server_side=True) as tls:
                    data = _request(tls)
                    heard.append(data)
                    if data:
                        tls.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield Server(listener.getsockname()[1], certificate.read_text(), certificate, heard)
    ended.set()
    thread.join()
    listener.close()


def _request(tls: ssl.SSLSocket) -> bytes:
    """One whole HTTP request; what came of it where the client hangs up."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < _length(data):
        more = tls.recv(4096)
        if not more:
            break
        data += more
    return data


def _length(data: bytes) -> int:
    found = re.search(rb"(?i)content-length: (\d+)", data)
    return int(found.group(1)) if found else 0


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ADDRESS)])
    now = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256()))
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()))
    return pem, secret


@pytest.mark.parametrize(("text", "expected"), [
    ("vc.lab", ("vc.lab", 443)), ("vc.lab:8443", ("vc.lab", 8443)), ("::1", ("::1", 443)), ("[::1]:99", ("::1", 99))])
def test_server_names(text: str, expected: tuple[str, int]) -> None:
    assert split_server(text) == expected


@pytest.mark.parametrize("text", ["", ":443", "vc:https", "vc:0", "vc:70000"])
def test_wrong_server_names(text: str) -> None:
    with pytest.raises(ValueError, match="not a server name"):
        split_server(text)


def trusts(server: Server) -> dict[str, Trust]:
    return {"sha256": Trust(thumbprint=thumbprint(server.certificate)),
            "sha1": Trust(thumbprint=thumbprint(server.certificate, "sha1").lower().replace(":", "")),
            "certificate": Trust(certificate=server.certificate), "ca_file": Trust(ca_file=str(server.file))}


@pytest.mark.parametrize("how", ["sha256", "sha1", "certificate", "ca_file"])
def test_what_is_trusted_is_talked_to(server: Server, how: str) -> None:
    with pytest.raises(Exception, match="404"):
        speak(open_stub(server.name, trusts(server)[how], 5))
    assert server.heard[-1].startswith(b"POST /sdk")


@pytest.mark.parametrize("trust", [
    Trust(thumbprint="00" * 32), Trust(thumbprint="00" * 20),
    Trust(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Trust()])
def test_what_is_not_trusted_hears_nothing(server: Server, trust: Trust) -> None:
    count = sum(1 for data in server.heard if data)
    with pytest.raises((WrongCertificate, ssl.SSLCertVerificationError)):
        speak(open_stub(server.name, trust, 5))
    assert sum(1 for data in server.heard if data) == count


def test_a_pinned_certificate_is_compared_even_where_its_ca_is_trusted(server: Server) -> None:
    """pyVmomi's own pinning compares only where verification failed."""
    with pytest.raises(WrongCertificate):
        speak(open_stub(server.name, Trust(ca_file=str(server.file), thumbprint="00" * 32), 5))


def test_thumbprints_are_those_of_the_der() -> None:
    pem = open_bench_certificate()
    der = ssl.PEM_cert_to_DER_cert(pem)
    assert thumbprint(pem).replace(":", "").lower() == hashlib.sha256(der).hexdigest()
    assert len(thumbprint(pem, "sha1").split(":")) == 20


def open_bench_certificate() -> str:
    bench = open_bench()
    bench.born()
    return str(bench.facts["certificate"])


# --- errors of `open` -----------------------------------------------------------------------------------------


def opened(**block: Any) -> Any:
    context = OpenContext(make_fleet({}), block, Path("/nonexistent"), False, lambda _: "hunter2", Clock(),
                          lambda name: None)
    return provider.open(context)


def refused(**block: Any) -> Any:
    given = {"user": "someone", "password": SecretRef("env:X"), "timeout": 5, **block}
    with pytest.raises(FleetError) as caught:
        opened(**given)
    (problem,) = caught.value.diagnostics
    assert "hunter2" not in f"{problem.summary} {problem.detail}"
    assert problem.remedy
    return problem


def test_a_wrong_thumbprint_is_answered_with_the_one_seen(server: Server) -> None:
    problem = refused(server=server.name, thumbprint="00" * 32)
    assert thumbprint(server.certificate) in problem.detail
    assert server.name in problem.summary


def test_an_unknown_ca_is_answered_with_the_thumbprint_seen(server: Server) -> None:
    problem = refused(server=server.name)
    assert thumbprint(server.certificate) in problem.detail
    assert "ca_file" in problem.remedy


def test_nobody_listens() -> None:
    with socket.create_server((ADDRESS, 0)) as taken:
        port = taken.getsockname()[1]
    assert "unreachable" in refused(server=f"{ADDRESS}:{port}", thumbprint="00" * 32).summary


def test_a_server_that_is_no_vcenter(server: Server) -> None:
    assert "unreachable" in refused(server=server.name, ca_file=str(server.file)).summary


def test_what_is_missing_or_wrong_in_the_block(server: Server) -> None:
    assert "user" in refused(server=server.name, user="").remedy
    assert "password" in refused(server=server.name, password=None).remedy
    assert "thumbprint" in refused(server=server.name, thumbprint="xyz").summary
    assert "CA file" in refused(server=server.name, ca_file="/nonexistent/ca.pem").summary
    with pytest.raises(FleetError, match="not a server name"):
        opened(server="vc:https", user="u", password=SecretRef("env:X"))


def test_a_wrong_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.vsphere.opening.credentials", lambda: ("administrator@vsphere.local", "wrong"))
    problem = refused(server="twin")
    assert "refused user name or password" in problem.summary
    assert "wrong" not in problem.detail


def test_the_newest_version_that_both_sides_know_is_spoken() -> None:
    bench = open_bench()
    assert bench.session._link.stub.version == "vim.version.v8_0_3_0"
    assert bench.session.instance == bench.house.instance


@pytest.mark.parametrize(("block", "wrong"), [
    ({"server": "twin"}, []), ({"server": "twin", "seed": "/nowhere.yaml"}, ["the twin's seed cannot be read"]),
    ({"server": "vc", "user": "u", "password": SecretRef("env:P")}, []),
    ({"server": "vc"}, ["a vCenter needs a user and a password"]),
    ({"server": "vc", "user": "u", "password": SecretRef("env:P"), "thumbprint": "AA:BB", "ca_file": "/nowhere"},
     ["this is no thumbprint", "the CA file cannot be read"])])
def test_what_is_wrong_with_a_block_shows_offline(block: Attrs, wrong: list[str]) -> None:
    assert [d.summary for d in block_problems(block)] == wrong
