"""The payload: signature, pin, retries, and reading a host's identity."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from providers.boot import payload
from providers.midwife.message import authentic, certificate_thumbprint, parse
from tests.unit.boot.kit import certificate

FACTS = {"mac": "52:54:00:00:00:11",
         "uuid": "00000000-0000-4000-8000-525400000011", "serial": "S", "address": "10.0.0.9",
         "version": "VMware ESXi 8.0.3 build-24022510", "certificate": "PEM", "thumbprint": "AA"}


def test_both_sides_sign_alike() -> None:
    body = payload.message({**FACTS, "serial": "sé☃"}, "nonce", b"k" * 32, 1700000000.9)
    message = parse(body)
    assert authentic(message, b"k" * 32)
    assert not authentic(message, b"K" * 32)
    assert (message.version, message.build, message.clock) == ("8.0.3", "24022510", 1700000000)


def test_pin_and_thumbprint_agree_with_cryptography() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = certificate("x" * 60)
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert payload.spki_sha256(ssl.PEM_cert_to_DER_cert(pem)) == hashlib.sha256(spki).hexdigest()
    assert payload.thumbprint(pem) == certificate_thumbprint(pem)


class Midwife:
    """Answers from a script: a status, a (status, reply), or an exception."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.bodies, self.pauses = list(answers), [], []  # type: ignore[var-annotated]
        self.time = 1000.0

    def post(self, _url: str, _spki: str, body: bytes) -> tuple[int, dict[str, Any]]:
        self.bodies.append(body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, tuple) else (answer, {})

    def deliver(self, monkeypatch: pytest.MonkeyPatch, tries: int = 5) -> int:
        monkeypatch.setattr(payload, "post", self.post)

        def set_clock(seconds: float) -> None:
            self.time = seconds

        compose: Callable[[float], bytes] = lambda at: json.dumps(at).encode()  # noqa: E731
        return payload.deliver("https://m", "pin", compose, lambda: self.time, set_clock, self.pauses.append, tries)


def test_silence_and_5xx_repeat_the_same_bytes_with_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    midwife = Midwife(ConnectionRefusedError(), TimeoutError(), 503, 200)
    assert midwife.deliver(monkeypatch) == 200
    assert midwife.bodies == [b"1000.0"] * 4
    assert midwife.pauses == [1, 2, 4]


def test_428_sets_the_clock_and_posts_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    midwife = Midwife((428, {"clock": 5000}), 503, 201)
    assert midwife.deliver(monkeypatch) == 201
    assert midwife.bodies == [b"1000.0", b"5000.0", b"5000.0"]


@pytest.mark.parametrize(("answers", "reason"), [
    ([401], "401"), ([409], "409"), ([(400, {"error": "bad"})], "400 bad"), ([(428, {"clock": 1}), 428], "428"),
    ([428], "names none"), ([500] * 5, "no birth in 5 attempts; last: the midwife answered 500"),
    ([OSError()] * 5, "no answer"),
])
def test_anything_else_stops_with_a_reason(monkeypatch: pytest.MonkeyPatch, answers: list[Any], reason: str) -> None:
    with pytest.raises(payload.Stopped, match=reason):
        Midwife(*answers).deliver(monkeypatch)


def test_identity_of_a_host() -> None:
    pem = certificate("esx01")
    answers = {
        "localcli --formatter json hardware platform get": json.dumps({"Serial Number": " VMW-1 "}),
        "localcli --formatter json network nic list": json.dumps([{"MAC Address": "52:54:00:00:00:11"}]),
        "localcli --formatter json network ip interface ipv4 get": json.dumps(
            [{"Name": "vmk0", "IPv4 Address": "10.0.0.9"}]),
        "/bin/bootOption -o": "midwife=https://m birth=n BOOTIF=01-52-54-00-00-00-AA",
        "esxcfg-info -u": "564D0000-0000-0000-0000-000000000001\n",
        "vmware -v": "VMware ESXi 8.0.3 build-24022510\n",
    }
    found = payload.identity(lambda *words: answers[" ".join(words)], pem)
    assert found == {
        "mac": "52:54:00:00:00:aa", "uuid": "564d0000-0000-0000-0000-000000000001", "serial": "VMW-1",
        "address": "10.0.0.9", "version": "VMware ESXi 8.0.3 build-24022510", "certificate": pem,
        "thumbprint": certificate_thumbprint(pem),
    }
    answers["localcli --formatter json network ip interface ipv4 get"] = "[]"
    with pytest.raises(OSError, match="vmk0"):
        payload.identity(lambda *words: answers[" ".join(words)], pem)
