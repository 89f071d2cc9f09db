"""How machines come up, and what is left of a twin whose process was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.twin import baseline
from providers.twin.machines import Machine, account, view
from providers.twin.model import Account, Box, Host, Hypervisor
from providers.twin.outbound import payload_over

if TYPE_CHECKING:
    from providers.twin.house import House

EMPTY = "there is nothing on its disk to boot from"


def come_up(box: Box, now: float, *, build: str, version: str, image: str = "", certificate: str = "") -> Hypervisor:
    """A newborn hypervisor runs on this machine."""
    made = newborn_of(box, build=build, version=version, image=image, certificate=certificate)
    made.boot_time = now + box.skew
    box.running, box.power, box.problem, box.cut = made, "on", "", False
    return made


def newborn_of(box: Box, *, build: str, version: str, image: str, certificate: str = "") -> Hypervisor:
    """A system that has never run, for that machine."""
    return Hypervisor(
        boot_time=0.0,
        version=version or baseline.VERSION,
        build=build or baseline.BUILD,
        image=image,
        born=box.boots,
        certificate=certificate,
        called=box.name or box.ip,
        config=baseline.newborn(box),
    )


def connected_host(house: House, cluster: str, mac: str, name: str, *, password: str | None = None, build: str = "",
                   version: str = "") -> Host:
    """A newborn host on that machine, connected in that cluster. Raises KeyError, ValueError (name or MAC in use)."""
    parent = house.cluster(cluster)
    box = house.box_of(mac, name)
    if house.inventory.host_of(box.mac) or house.inventory.host_named(name):
        raise ValueError(f"vCenter already has a host {name} or one with MAC {box.mac}")
    box.boots += 1
    running = come_up(box, house.clock.now(), build=build, version=version)
    if password is not None:
        running.accounts["root"] = account(box, "root", password)
    host = Host(house.inventory.new_id("host-"), name, parent.id, box.mac)
    house.inventory.put(host)
    house.contact.connect(host, box)
    return host


def settle(house: House) -> None:
    """After loading: machines caught in mid-boot are off, and payloads have ended; datastores and networks follow the
    hosts' configurations."""
    for box in house.inventory.all(Box):
        if box.power == "booting":
            box.power = "off"
            house.inventory.mark(box)
        if box.running is not None and payload_over(box.running):
            house.inventory.mark(box)
    for host in house.inventory.all(Host):
        house.inventory.attach(host, house.contact.seen(host).config)
        if host.seen is None:
            house.contact.meet(host, house.inventory.need(host.mac, Box))


class BoxDisk:
    """The disk of a machine: what a scripted installation writes, and what it boots from ever after."""

    def __init__(self, house: House, mac: str) -> None:
        self._house, self._mac = house, mac

    def install(self, *, build: str, version: str, image: str, root: str) -> None:
        """A newborn system, with root's password as a crypt hash; what was on the disk is lost."""
        with self._house.change():
            box = self._house.box(self._mac)
            made = newborn_of(box, build=build, version=version, image=image)
            made.kept, made.accounts = True, {"root": Account("", root)}
            box.disk = made
            self._house.inventory.mark(box)

    def boot(self) -> Machine:
        """What is on the disk runs again, with all that was configured. Raises RuntimeError where nothing is."""
        if self._house.box(self._mac).disk is None:
            raise RuntimeError(EMPTY)
        with self._house.change():
            return view(start_disk(self._house, self._house.box(self._mac)))


def start_disk(house: House, box: Box) -> Box:
    """The machine runs what is on its disk; vCenter reconnects where its account is there. Raises RuntimeError."""
    if box.disk is None:
        raise RuntimeError(EMPTY)
    running, box.disk = box.disk, None
    running.boot_time = house.clock.now() + box.skew
    running.issued = running.issued or running.boot_time
    box.running, box.power, box.problem, box.cut = running, "on", "", False
    house.inventory.mark(box)
    host = house.inventory.host_of(box.mac)
    if host and host.connection == "notResponding" and running.born == host.boots:
        house.contact.connect(host, box)
    return box
