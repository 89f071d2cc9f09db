"""A boot session on loopback with ephemeral ports, a small fake house, and an image folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from planner.model import Address, Attrs, Fleet, Image, Resource, Step
from planner.ports import Call, OpenContext
from providers.boot import BootProvider
from providers.boot.session import BootSession
from providers.power import PowerProvider
from providers.power.session import PowerSession
from providers.twin.model import Hypervisor

MACS = ("52:54:00:00:00:11", "52:54:00:00:00:12")
BOOT_CFG = """bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot ignoreHeadless=TRUE
modules=/jumpstrt.gz --- /useropts.gz --- /s.v00 arg=1
build=8.0.3-0.0.24022510
updated=0
"""


class WallClock:
    """Real time plus `offset` seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class FakeMachine:
    mac: str
    uuid: str
    serial: str
    ip: str
    power: str = "off"
    problem: str = ""
    image: str = ""
    boots: int = 0
    boot: int = 0
    external: bool = False
    skew: float = 0.0
    running: Hypervisor | None = None
    disk: Hypervisor | None = None


def certificate(name: str) -> str:
    """A new self-signed certificate, PEM."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2040))
            .sign(key, hashes.SHA256()))
    return made.public_bytes(Encoding.PEM).decode()


class FakeHouse:
    """What the boot client and the power provider need of `providers.twin.house.House`."""

    def __init__(self, macs: Sequence[str] = MACS) -> None:
        self.machines = {
            mac: FakeMachine(mac, f"00000000-0000-4000-8000-{mac.replace(':', '')}", f"SN{n}", f"10.0.0.{10 + n}")
            for n, mac in enumerate(macs, 1)
        }
        self.certificates: dict[str, str] = {}
        self.threads: list[threading.Thread] = []
        self.network_boot: Any = None
        self.lock = threading.RLock()
        self.inventory = SimpleNamespace(mark=lambda *_documents: None)

    def machine(self, mac: str) -> FakeMachine:
        return self.machines[mac]

    def door_certificate(self, ip: str) -> str:
        return self.certificates[ip]

    def box(self, mac: str) -> FakeMachine:
        return self.machines[mac]

    def complete_boot(self, mac: str, *, build: str, version: str, image: str, boot: int) -> FakeMachine:
        machine = self.machines[mac]
        machine.power, machine.image, machine.boots = "on", image, machine.boots + 1
        machine.boot, machine.running = machine.boots, Hypervisor(0.0, version, build)
        self.certificates[machine.ip] = certificate(mac)
        return machine

    def power(self, mac: str, action: str, boot: Callable[[Any], None] | None) -> None:
        machine = self.machines[mac]
        machine.power = "booting"

        def run() -> None:
            assert boot is not None
            try:
                boot(machine)
            except Exception as error:
                machine.problem = str(error)

        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(30)


def make_image(folder: Path, *, boot_cfg: str = BOOT_CFG, size: int = 3000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "boot.cfg").write_text(boot_cfg)
    (folder / "mboot.efi").write_bytes(b"MZ" + bytes(size))
    for name in ("b.b00", "jumpstrt.gz", "useropts.gz", "s.v00"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


def make_fleet(image: Path, macs: Sequence[str] = MACS, block: Attrs | None = None, sha256: str = "") -> Fleet:
    resources = {}
    for number, mac in enumerate(macs, 1):
        address = Address("host", "esx", f"esx0{number}")
        resources[address] = Resource(address, {"name": f"esx0{number}.lab.example", "mac": mac, "image": "esxi8"})
    return Fleet("lab", "fleet.yaml", str(image.parent), resources, {"boot": block or {}},
                 {"esxi8": Image("esxi8", str(image), sha256)})


@dataclass
class Site:
    """An open boot session and power session of one fleet."""

    fleet: Fleet
    folder: Path
    house: Any
    clock: WallClock
    boot: BootSession
    power: PowerSession
    digest: str
    said: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def call(self, mac: str, operation: str = "boot.stage", *, facts: Attrs | None = None,
             seconds: float = 30.0, stop: threading.Event | None = None) -> Call:
        address = next(a for a, r in self.fleet.resources.items() if r.attributes["mac"] == mac)
        return Call(address, operation, {"staged": None}, {"staged": self.digest}, facts or {},
                    self.fleet.resources[address].attributes, lambda _a: "", lambda _r: "",
                    stop or threading.Event(), self.clock.now() + seconds, report=self.reports.append)

    def run(self, operation: str, mac: str, **options: Any) -> Attrs:
        found = operations()[operation]
        session = self.power if found.provider == "power" else self.boot
        return session.run(found, self.call(mac, operation, **options))

    def observe(self, operation: str, mac: str) -> Attrs | None:
        found = operations()[operation]
        session = self.power if found.provider == "power" else self.boot
        return session.observe(found, self.call(mac, operation))

    @property
    def endpoints(self) -> tuple[tuple[str, int], str, str, str]:
        """TFTP address, HTTP URL, birth URL, pin."""
        assert self.boot._servers is not None
        servers = self.boot._servers
        ends = servers.tree.endpoints
        return servers.tftp_address, ends.http, ends.birth, ends.spki_sha256


def operations() -> dict[str, Any]:
    return {o.name: o for p in (BootProvider(), PowerProvider()) for o in p.operations()}


def step(operation: str) -> Step:
    return Step("s1", Address("host", "esx", "esx01"), operation, None, None)


@contextmanager
def site(tmp: Path, *, macs: Sequence[str] = MACS, block: Attrs | None = None, house: Any = None,
         image: Path | None = None, clock: WallClock | None = None, serve: bool = True) -> Iterator[Site]:
    source = image or make_image(tmp / "images" / "esxi8")
    fleet = make_fleet(source, macs, block)
    folder = tmp / ".fleet" / "lab"
    house, clock, said = house or FakeHouse(macs), clock or WallClock(), list[str]()

    class Vsphere:
        pass

    vsphere = Vsphere()
    vsphere.house = house  # type: ignore[attr-defined]
    peers: dict[str, Any] = {"vsphere": vsphere}
    context = OpenContext(fleet, block or {}, folder, True, lambda _r: "", clock, lambda n: peers[n], said.append)
    provider = BootProvider()
    boot = peers["boot"] = provider.open(context)
    assert isinstance(boot, BootSession)
    power = PowerProvider().open(context)
    digest = provider.image_digests(fleet)["esxi8"]
    try:
        if serve:
            boot.prepare([step("boot.stage")])
        yield Site(fleet, folder, house, clock, boot, power, digest, said)
    finally:
        boot.close()
        power.close()
        if isinstance(house, FakeHouse):
            house.join()


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
