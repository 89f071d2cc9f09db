"""What a network throws at the birth listener: each case, then an honest birth is accepted as before."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from planner.model import StepFailed
from providers.boot.modules import birth_key
from providers.boot.payload import Stopped, boot_options, message, post, thumbprint
from providers.midwife import listener
from providers.midwife import room as room_module
from providers.midwife.inbox import Inbox
from providers.twin.netboot import MachineClock, http_fetch, network_boot, tftp_fetch
from tests.support.birth_disk import fill
from tests.unit.boot.kit import MACS, Site, certificate, site, until

PEM = certificate("esx01")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as opened:
        opened.run("boot.stage", MACS[0])
        yield opened


class Booted:
    """What a machine knows once it has fetched its boot files."""

    def __init__(self, here: Site, mac: str = MACS[0]) -> None:
        text = tftp_fetch(*here.endpoints[0], f"01-{mac.replace(':', '-')}/boot.cfg").decode()
        lines = dict(line.split("=", 1) for line in text.splitlines())
        self.here, self.mac, self.options = here, mac, boot_options(lines["kernelopt"])
        self.key = birth_key(http_fetch(lines["modules"].split()[-1], keep=True))

    def body(self, *, skew: float = 0, key: bytes = b"", **changes: Any) -> bytes:
        machine = self.here.house.machine(self.mac)
        facts = {"mac": self.mac, "uuid": machine.uuid, "serial": "S", "address": machine.ip,
                 "version": "VMware ESXi 8.0.3 build-24022510", "certificate": PEM, "thumbprint": thumbprint(PEM)}
        return message({**facts, **changes}, self.options["birth"], key or self.key, self.here.clock.now() + skew)

    def post(self, body: bytes) -> int:
        return post(self.options["midwife"], self.options["midwife_spki"], body)[0]


def raw(here: Site) -> ssl.SSLSocket:
    """A TLS connection to the birth listener, nothing sent."""
    parts = urlsplit(here.endpoints[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((parts.hostname or "", parts.port or 443), 20))


def honest(here: Site) -> None:
    booted = Booted(here)
    assert booted.post(booted.body()) == 201
    assert here.run("birth.wait", MACS[0])["uuid"] == here.house.machine(MACS[0]).uuid


def test_forged_replayed_unknown_and_another_body(here: Site) -> None:
    first = Booted(here)
    assert first.post(first.body(key=b"x" * 32)) == 401
    assert first.post(first.body(mac="52:54:00:00:00:99")) == 401
    assert first.post(first.body(mac=MACS[1])) == 401
    body = first.body()
    assert [first.post(body), first.post(body), first.post(first.body(serial="T"))] == [201, 200, 409]
    second = Booted(here)
    assert first.post(body) == 401  # a replay from a superseded boot
    assert second.post(second.body()) == 201
    reasons = {r["reason"] for r in here.boot.inbox.refused()}
    assert reasons == {"its signature is wrong (forged)", "unknown MAC: nothing is staged for it",
                       "another body for an accepted nonce", "its boot was superseded by a newer one"}
    written = b"".join(path.read_bytes() for path in (here.folder / "midwife").glob("births.*"))
    assert b"forged" in written
    for secret in (first.options["birth"], second.options["birth"], first.key.hex()):
        assert secret.encode() not in written


def test_expired_nonce(here: Site) -> None:
    booted = Booted(here)
    here.clock.offset = 3700
    assert booted.post(booted.body()) == 401
    with pytest.raises(StepFailed, match="its nonce expired"):
        here.run("birth.wait", MACS[0], seconds=0)


def test_refusals_reach_the_person_who_waits(here: Site) -> None:
    booted = Booted(here)
    booted.post(booted.body(key=b"x" * 32))
    assert any("refused: its signature is wrong" in line for line in here.said)
    with pytest.raises(StepFailed, match="forged"):
        here.run("birth.wait", MACS[0], seconds=0)


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_a_machine_whose_clock_is_off_sets_it_and_is_born(here: Site, skew: float) -> None:
    clock = MachineClock(skew)
    machine = here.house.machine(MACS[0])
    network_boot(here.house, machine, *here.endpoints[0], "mboot.efi", clock=clock)
    assert abs(clock.offset) < 5
    assert here.run("birth.wait", MACS[0])["mac"] == MACS[0]


def test_a_machine_that_cannot_set_its_clock_stops_with_a_reason(here: Site) -> None:
    class Stuck(MachineClock):
        def set(self, seconds: float) -> None:
            """A broken clock chip."""

    with pytest.raises(Exception, match="428"):
        network_boot(here.house, here.house.machine(MACS[0]), *here.endpoints[0], "mboot.efi", clock=Stuck(7200))
    with pytest.raises(StepFailed, match=r"its clock is 7[12]\d\d s off"):
        here.run("birth.wait", MACS[0], seconds=0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b'{"mac": 1}', b"[" * 60000])
def test_bad_json(here: Site, body: bytes) -> None:
    assert Booted(here).post(body) == 400
    honest(here)


def test_a_body_of_ten_megabytes_is_refused_early(here: Site) -> None:
    with raw(here) as sock:
        sock.sendall(b"POST /v1/births HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n")
        assert b" 413 " in sock.recv(4096).split(b"\r\n")[0]  # before one byte of it was sent
    with raw(here) as sock:
        sock.sendall(b"POST /v1/births HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        sock.sendall(chunk + chunk)
        assert b" 413 " in sock.recv(4096).split(b"\r\n")[0]
    honest(here)


def test_a_compressed_body_is_not_unpacked(here: Site) -> None:
    import gzip

    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 65536
    with raw(here) as sock:
        sock.sendall(b"POST /v1/births HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: "
                     + str(len(bomb)).encode() + b"\r\n\r\n" + bomb)
        assert b" 400 " in sock.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(("method", "path", "expected"), [
    ("GET", "/v1/births", 405), ("PUT", "/v1/births", 405), ("POST", "/", 404), ("POST", "/v1/births/x", 404)])
def test_other_methods_and_paths(here: Site, method: str, path: str, expected: int) -> None:
    parts = urlsplit(here.endpoints[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    link = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=20, context=context)
    link.request(method, path, b"{}")
    assert link.getresponse().status == expected
    link.close()


def test_another_key_than_the_pinned_one_gets_nothing(here: Site) -> None:
    booted = Booted(here)
    with pytest.raises(Stopped, match="key"):
        post(booted.options["midwife"], "0" * 64, booted.body())
    assert list(here.boot.inbox) == []


@pytest.mark.parametrize("most", [768, 200])
def test_600_half_open_sockets_starve_nobody(here: Site, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    room(here, most, monkeypatch)
    parts = urlsplit(here.endpoints[2])
    where = (parts.hostname or "", parts.port or 443)
    socks: list[socket.socket] = []
    try:
        for number in range(600):
            sock = socket.create_connection(where, 20, source_address=("127.6.6.6", 0))
            if number % 3 == 0:
                sock.sendall(b"\x16\x03\x01")  # half a TLS record
            socks.append(sock)
        honest(here)
    finally:
        for sock in socks:
            sock.close()


def room(here: Site, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many connections may be open; the running listener looks at it each time."""
    monkeypatch.setattr(room_module, "PATIENCE_SECONDS", 0.3)
    assert here.boot._servers is not None
    listening = here.boot._servers.births._room
    assert listening is not None
    listening.most = most


def test_slow_handshakes_headers_and_bodies_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "HANDSHAKE_SECONDS", 2.0)
    monkeypatch.setattr(listener, "LIFETIME_SECONDS", 2.0)
    with site(tmp_path) as here:
        here.run("boot.stage", MACS[0])
        parts = urlsplit(here.endpoints[2])
        silent = socket.create_connection((parts.hostname or "", parts.port or 443), 20)
        idle, headers, body = raw(here), raw(here), raw(here)
        headers.sendall(b"POST /v1/births HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        body.sendall(b"POST /v1/births HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        for sock in (silent, idle, headers, body):
            assert ended(sock)
            sock.close()
        honest(here)


def ended(sock: socket.socket) -> bool:
    """The server closes or resets the connection before our own 20 s are over."""
    try:
        while sock.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_not_tls_at_all(here: Site) -> None:
    parts = urlsplit(here.endpoints[2])
    with socket.create_connection((parts.hostname or "", parts.port or 443), 20) as sock:
        sock.sendall(b"POST /v1/births HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ended(sock)
    honest(here)


def test_the_same_birth_from_many_sockets_at_once_is_one_birth(here: Site) -> None:
    booted, codes = Booted(here), list[int]()
    body = booted.body()
    threads = [threading.Thread(target=lambda: codes.append(booted.post(body))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes) == [200] * 19 + [201]
    assert len(list(here.boot.inbox)) == 1


def test_a_full_disk_answers_503_and_the_machine_tries_again(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch, 2)
    pauses: list[float] = []
    network_boot(here.house, here.house.machine(MACS[0]), *here.endpoints[0], "mboot.efi", pause=pauses.append)
    assert pauses == [1, 2]
    assert any("could not be written down" in line for line in here.said)
    assert len(list(here.boot.inbox)) == 1


def test_a_birth_is_on_disk_before_its_reply(here: Site) -> None:
    booted = Booted(here)
    body = booted.body()
    assert booted.post(body) == 201
    assert [born["mac"] for born in Inbox(here.folder / "midwife")] == [MACS[0]]
    until(lambda: here.observe("birth.wait", MACS[0]) is not None)
