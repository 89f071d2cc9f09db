"""A midwife for tests: in this process, or in one of its own that can be killed; and what a runner is to it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from planner.model import Attrs, Fleet, SecretRef
from planner.ports import Call, OpenContext
from providers.boot import BootProvider
from providers.midwife.api.auth import Authority
from providers.midwife.remote.client import Client
from providers.midwife.remote.session import RemoteBootSession
from providers.midwife.service.midwife import Midwife, Settings
from providers.power import PowerProvider
from providers.power.session import PowerSession
from tests.unit.boot.kit import MACS, FakeHouse, WallClock, make_fleet, make_image, operations, step

ANY = {"tftp": 0, "http": 0, "birth": 0}


@dataclass
class Place:
    """A midwife that serves, and identities for it."""

    folder: Path
    url: str
    midwife: Midwife
    said: list[str] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return self.midwife.api_address

    def identity(self, fleet: str) -> str:
        return self.midwife.authority.enroll(fleet)[1].decode()

    def client(self, fleet: str, *, locked: bool = True, url: str = "", identity: str = "") -> Client:
        """Holding that fleet's lock."""
        return locked_client(url or self.url, fleet, identity or self.identity(fleet), locked=locked)


def locked_client(url: str, fleet: str, identity: str, *, locked: bool = True) -> Client:
    token = secrets.token_hex(16)
    client = Client(url, fleet, identity, lambda: token if locked else "")
    if locked:
        client.call("POST", "lock", {"token": token, "purpose": "test", "reason": "", "who": "tester", "host": "here",
                                     "pid": os.getpid()})
    return client


@contextlib.contextmanager
def served(folder: Path, **options: Any) -> Iterator[Place]:
    """In this process, on loopback."""
    said: list[str] = []
    midwife = Midwife(Settings(folder / "site", ("127.0.0.1",), ANY, ("127.0.0.1", 0)), said.append, **options)
    midwife.open()
    try:
        yield Place(folder / "site", f"https://127.0.0.1:{midwife.api_address[1]}", midwife, said)
    finally:
        midwife.close()


class Service:
    """`fleet midwife serve` in a process of its own, on the same ports at every start; births come in at any: hosts
    just born reach none but 443 otherwise."""

    def __init__(self, folder: Path, *more: str) -> None:
        """`more`: options of the command."""
        self.more = more
        self.folder, self.log = folder / "site", folder / "site.log"
        self.ports = _free_ports(3)
        self.process: subprocess.Popen[str] | None = None
        self.said: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports[0]}"

    def identity(self, fleet: str) -> str:
        return Authority(self.folder / "identity").enroll(fleet)[1].decode()

    def start(self) -> None:
        _, tftp, http = self.ports
        command = [sys.executable, "-m", "planner.cli.main", "midwife", "serve", "--folder", str(self.folder),
                   "--listen", "127.0.0.1", "--api", f"127.0.0.1:{self.ports[0]}",
                   "--ports", f"tftp={tftp},http={http},birth=0", "--json", *self.more]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.said = json.loads(line)

    def kill(self) -> None:
        """SIGKILL; nothing of it is left when this returns."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code


@contextlib.contextmanager
def service(folder: Path, *more: str) -> Iterator[Service]:
    made = Service(folder, *more)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            made.end()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(sock.getsockname()[1]) for sock in socks]


@dataclass
class Runner:
    """The sessions of one fleet's runner, and the machines that it starts."""

    fleet: Fleet
    house: FakeHouse
    boot: RemoteBootSession
    power: PowerSession
    digest: str
    client: Client
    said: list[str]
    clock: WallClock
    reports: list[str] = field(default_factory=list)

    def call(self, mac: str, operation: str = "boot.stage", *, after: Attrs | None = None, seconds: float = 30.0,
             facts: Attrs | None = None, stop: threading.Event | None = None, secret: str = "") -> Call:
        address = next(a for a, r in self.fleet.resources.items() if r.attributes["mac"] == mac)
        return Call(address, operation, {"staged": None}, after or {"staged": self.digest}, facts or {},
                    self.fleet.resources[address].attributes, lambda _a: "", lambda _r: secret,
                    stop or threading.Event(), self.clock.now() + seconds, report=self.reports.append)

    def run(self, operation: str, mac: str, **options: Any) -> Attrs:
        found = operations()[operation]
        session = self.power if found.provider == "power" else self.boot
        return session.run(found, self.call(mac, operation, **options))

    def observe(self, operation: str, mac: str, **options: Any) -> Attrs | None:
        return self.boot.observe(operations()[operation], self.call(mac, operation, **options))

    def bear(self, mac: str) -> Attrs:
        """Stage, power on, wait."""
        self.run("boot.stage", mac)
        self.run("power.boot", mac)
        return self.run("birth.wait", mac)


@contextlib.contextmanager
def runner(folder: Path, url: str, identity: str, name: str = "lab", *, macs: Sequence[str] = MACS,
           image: Path | None = None, house: Any = None, prepare: bool = True,
           options: Attrs | None = None) -> Iterator[Runner]:
    """A runner of the fleet `name`, which holds its lock; its midwife is at `url`. `options`: of provider.boot."""
    fleet = replace(make_fleet(image or make_image(folder / "images" / "esxi8"), macs), name=name)
    block: dict[str, Any] = {"midwife": url, "identity": SecretRef("env:ID"), "images": str(folder / "store"),
                             **(options or {})}
    fleet = replace(fleet, providers={"boot": block})
    house, clock, said = FakeHouse(macs) if house is None else house, WallClock(), list[str]()
    lock = locked_client(url, name, identity)
    peers: dict[str, Any] = {"vsphere": SimpleNamespace(house=house)}
    context = OpenContext(fleet, block, folder / ".fleet" / name, True, lambda _r: identity, clock,
                          lambda peer: peers[peer], said.append, lock.token)
    provider = BootProvider()
    boot = peers["boot"] = provider.open(context)
    assert isinstance(boot, RemoteBootSession)
    power = PowerProvider().open(context)
    try:
        made = Runner(fleet, house, boot, power, provider.image_digests(fleet)["esxi8"], lock, said, clock)
        if prepare:
            boot.prepare([replace(step("boot.stage"), after={"staged": made.digest})])
        yield made
    finally:
        boot.close()
        lock.close()
        if isinstance(house, FakeHouse):
            house.join()
