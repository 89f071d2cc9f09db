"""Agentless births: the poller against a real TLS door that speaks SOAP, and against the twin's."""

from __future__ import annotations

import http.server
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from planner.model import Address, SecretRef, StepFailed
from planner.ports import Call
from providers.boot.agentless import Doors, NotYet, SocketDoors, TwinDoors, Watch, identify, service_about
from providers.boot.machines import BORN_FACTS
from providers.boot.payload import thumbprint
from providers.boot.trail import Trail
from providers.midwife.desk import Desk
from providers.midwife.inbox import Inbox
from providers.midwife.standing import Boot, Standings, Way
from providers.twin.house import House, MachineSpec, open_house
from providers.twin.soap.certificate import make_certificate, server_context
from providers.twin.soap.server import Mount, Server
from tests.unit.boot.kit import MACS, WallClock

MAC = MACS[0]


@pytest.fixture
def house() -> House:
    """Both machines are off."""
    return open_house(None, "lab", machines=[MachineSpec(mac, f"esx0{n}.lab.example") for n, mac in enumerate(MACS, 1)])


def come_up(house: House, mac: str = MAC) -> str:
    """The machine is booted; its address."""
    return house.complete_boot(mac, build="24022510", version="8.0.3").ip


def call(**declared: Any) -> Call:
    declared.setdefault("root_password", SecretRef("Lasting-1"))
    return Call(Address("host", "esx", "esx01"), "birth.wait", None, None, {}, declared, lambda _a: "",
                lambda ref: str(ref.reference), threading.Event(), 2e9)


class Site:
    """A desk with an agentless host staged, whose image was handed over."""

    def __init__(self, folder: Path, doors: Doors, client: str = "127.0.0.2") -> None:
        self.clock, self.said = WallClock(), list[str]()
        self.inbox = Inbox(folder)
        self.trail = Trail(None, {MAC: "host.esx01"}, self.clock.now, self.said.append)
        self.desk = Desk(Standings(None), self.inbox, self.clock, self.trail.note)
        self.desk.stage(MAC, "d" * 64, "/images", "", "", Way(agentless=True))
        self.client = client
        self.boot = self.fetch()
        self.watch = Watch(MAC, self.desk, self.trail, doors, self.clock.now, pause=0)

    def fetch(self) -> Boot:
        minted = self.desk.mint(MAC, self.client)
        assert minted is not None
        self.trail.fetched(MAC, self.client)
        return minted[1]

    def hand_over(self) -> None:
        self.trail.handed_over(MAC, self.boot.id, self.client)

    def look(self, **declared: Any) -> dict[str, Any] | None:
        self.watch.look(call(**declared))
        return self.desk.birth(MAC)


@contextmanager
def served(house: House, path: str = "/sdk", mac: str = MAC) -> Iterator[Server]:
    """A machine's door over TLS on 127.0.0.2, as a real host has it."""
    ip = house.machine(mac).ip
    server = Server({path: Mount(lambda: house.door_world(ip))}, host="127.0.0.2",
                    certificate=make_certificate("127.0.0.2", ("127.0.0.2",)))
    with server:
        yield server


def test_a_birth_over_a_real_socket(tmp_path: Path, house: House) -> None:
    come_up(house)
    with served(house) as server:
        site = Site(tmp_path, SocketDoors(server.port))
        assert site.look() is None  # the image is not handed over yet: nothing is asked
        site.hand_over()
        birth = site.look()
        assert birth is not None
        machine = house.machine(MAC)
        assert {name: birth[name] for name in ("uuid", "serial", "mac", "ip", "version", "build")} == {
            "uuid": machine.uuid, "serial": machine.serial, "mac": MAC, "ip": "127.0.0.2", "version": "8.0.3",
            "build": "24022510"}
        assert birth["certificate"].split() == server.certificate.certificate.split()
        assert birth["thumbprint"] == thumbprint(server.certificate.certificate)
        assert (birth["agentless"], birth["trust"]) == (True, "first use")
        assert set(BORN_FACTS) <= set(birth)
        site.look()
        assert len(list(site.inbox)) == 1
    site.inbox.close()
    [kept] = Inbox(tmp_path)  # it is on disk
    assert dict(kept) == birth


def test_a_birth_in_the_twin(tmp_path: Path, house: House) -> None:
    site = Site(tmp_path, TwinDoors(house), "127.0.0.1")
    site.hand_over()
    assert site.look() is None
    assert "does not answer yet" in site.trail.reason(MAC)
    ip = come_up(house)
    birth = site.look()
    assert birth is not None
    assert (birth["ip"], birth["certificate"]) == (ip, house.door_certificate(ip))


def test_a_door_that_opens_late(tmp_path: Path, house: House) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.2", 0))
        site = Site(tmp_path, SocketDoors(bound.getsockname()[1]))
        site.hand_over()
        assert site.look() is None
        assert site.look() is None
    assert site.said == ["host.esx01: https://127.0.0.2/sdk does not answer yet (ConnectionRefusedError)"]  # once


def test_an_open_port_is_no_host(tmp_path: Path, house: House) -> None:
    """hostd's proxy answers 503 before hostd is up; other things answer something else."""
    answers = [(503, b""), (200, b"<html>"), (200, b"<!DOCTYPE x><a/>"), (404, b"")]
    with scripted(answers) as port:
        doors = SocketDoors(port)
        for expected in ("answers 503", "not as a host", "not as a host", "answers 404"):
            with pytest.raises(NotYet, match=expected):
                doors.look(MAC, "127.0.0.2")


@contextmanager
def scripted(answers: list[tuple[int, bytes]]) -> Iterator[int]:
    """A TLS server on 127.0.0.2 that gives these answers, one after the other."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.2", 0), Handler) as server, tempfile.TemporaryDirectory() as folder:
        context = server_context(make_certificate("127.0.0.2", ("127.0.0.2",)), Path(folder))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def test_a_vcenter_is_no_host(house: House) -> None:
    with Server({"/sdk": Mount(lambda: house.world)}, host="127.0.0.2") as server, \
            pytest.raises(NotYet, match="not as a host does"):
        SocketDoors(server.port).look(MAC, "127.0.0.2")


def test_another_machine_at_that_address_is_not_taken_for_it(tmp_path: Path, house: House) -> None:
    come_up(house, MACS[1])
    with served(house, mac=MACS[1]) as server:
        site = Site(tmp_path, SocketDoors(server.port))
        site.hand_over()
        assert site.look() is None
        assert "another machine answers at 127.0.0.2" in site.trail.reason(MAC)


def test_another_certificate_than_the_first_is_not_talked_to(house: House) -> None:
    come_up(house)
    with served(house) as first:
        door = SocketDoors(first.port).look(MAC, "127.0.0.2")
    with served(house) as other, pytest.raises(NotYet, match="another certificate"):
        identify(SocketDoors(other.port), door, MAC, call(), lambda: 0.0)


def test_a_wrong_password_stops_at_once(tmp_path: Path, house: House) -> None:
    """A few more tries would lock root out."""
    ip = come_up(house)
    stub = house.door(ip)
    service: Any = vim.ServiceInstance
    content = service("ServiceInstance", stub).RetrieveContent()
    content.sessionManager.Login("root", "", None)
    content.accountManager.UpdateUser(vim.host.LocalAccountManager.AccountSpecification(id="root", password="Abc-1234"))
    site = Site(tmp_path, TwinDoors(house))
    site.hand_over()
    with pytest.raises(StepFailed, match="root cannot log in"):
        site.look(root_password=SecretRef("Other-123"))
    assert site.look(root_password=SecretRef("Abc-1234")) is not None  # an image that brings its own


def test_a_boot_that_is_over_is_not_written_down(tmp_path: Path, house: House) -> None:
    come_up(house)
    site = Site(tmp_path, TwinDoors(house))
    site.hand_over()
    site.desk.mint(MAC, "127.0.0.1")  # power-cycled while the door of the boot before still answered
    assert site.look() is None
    assert list(site.inbox) == []


def test_nothing_is_written_down_on_a_full_disk(tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_record: dict[str, Any]) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(OSError(28, "No space left on device"))
        return failed

    come_up(house)
    site = Site(tmp_path, TwinDoors(house))
    site.hand_over()
    with monkeypatch.context() as patched:
        patched.setattr(site.inbox, "append", full)
        assert site.look() is None
    assert "could not be written down" in site.trail.reason(MAC)
    assert site.look() is not None


@pytest.mark.parametrize("text", [b"", b"<", b"<a/>", b"x" * 300_000,
                                  b'<!DOCTYPE a [<!ENTITY b "c">]><a xmlns="urn:vim25"/>'])
def test_junk_is_no_service_content(text: bytes) -> None:
    assert service_about(text) == {}


def test_tls_is_asked_for(house: House) -> None:
    with socket.create_server(("127.0.0.2", 0)) as plain:
        threading.Thread(target=lambda: plain.accept()[0].close(), daemon=True).start()
        with pytest.raises(NotYet, match="does not answer yet"):
            SocketDoors(plain.getsockname()[1]).look(MAC, "127.0.0.2")
    assert ssl.HAS_TLSv1_2
