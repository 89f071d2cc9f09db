"""How machines come up, and what is left of a twin whose process was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.twin import baseline
from providers.twin.machines import account
from providers.twin.model import Box, Host, Hypervisor

if TYPE_CHECKING:
    from providers.twin.house import House


def come_up(box: Box, now: float, *, build: str, version: str, image: str = "", certificate: str = "") -> Hypervisor:
    """A newborn hypervisor runs on this machine."""
    made = Hypervisor(
        boot_time=now + box.skew,
        version=version or baseline.VERSION,
        build=build or baseline.BUILD,
        image=image,
        born=box.boots,
        certificate=certificate,
        called=box.name or box.ip,
        config=baseline.newborn(box),
    )
    box.running, box.power, box.problem, box.cut = made, "on", "", False
    return made


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
    """After loading: machines caught in mid-boot are off; datastores and networks follow the hosts' configurations."""
    for box in house.inventory.all(Box):
        if box.power == "booting":
            box.power = "off"
            house.inventory.mark(box)
    for host in house.inventory.all(Host):
        house.inventory.attach(host, house.contact.seen(host).config)
