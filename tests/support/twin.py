"""Twins for tests: a house in memory (or in a folder), its hosts, and short words for what tests do to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from providers.twin.house import House, MachineSpec, open_house

CLUSTER = "dc0/prod"
SEED = "datacenters: [dc0]\nclusters: {dc0/prod: {}}\n"


def mac_of(number: int) -> str:
    """The MAC of test machine `number` (1 …)."""
    return f"52:54:00:01:{number >> 8:02x}:{number & 255:02x}"


def name_of(number: int) -> str:
    return f"esx{number:02d}.test"


def make_house(folder: Path | None = None, *, seed: str | None = SEED, hosts: int = 0, machines: int = 0,
               name: str = "test", writable: bool = True, clock: Any = None) -> House:
    """A house with one datacenter `dc0` and one cluster `prod` (or that seed): the first `hosts` machines are connected
    hosts, as newborn ones are; `machines` in all exist."""
    specs = [MachineSpec(mac_of(number), name_of(number)) for number in range(1, max(hosts, machines) + 1)]
    house = reopen(folder, specs, seed=seed, name=name, writable=writable, clock=clock)
    for number in range(1, hosts + 1):
        if house.inventory.host_of(mac_of(number)) is None:
            house.add_connected_host(CLUSTER, mac_of(number), name_of(number))
    return house


def reopen(folder: Path | None, machines: Sequence[MachineSpec] = (), *, seed: str | None = SEED, name: str = "test",
           writable: bool = True, clock: Any = None) -> House:
    """Open a house; `seed` is the text of a seed file."""
    from providers.twin.boots import settle
    from providers.twin.seed import apply_seed
    from providers.twin.seed_file import parse_seed
    from providers.twin.store import Store

    if folder is not None and seed is not None:
        path = folder.parent / f"{folder.name}.seed.yaml"
        path.write_text(seed, encoding="utf-8")
        return open_house(folder, name, seed=path, machines=machines, writable=writable, clock=clock)
    house = House(name, Store(None, writable=writable), clock)
    house.inventory.reindex()
    settle(house)
    house.declare(machines)
    if seed is not None:
        apply_seed(house, parse_seed(seed), inventory=True)
    house.commit()
    return house


def content(stub: Any) -> Any:
    """ServiceContent behind a stub."""
    from pyVmomi import vim

    return vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()


def vcenter(house: House, *, codec: bool = False) -> Any:
    """ServiceContent of the house's vCenter, logged in. `codec`: every call goes through XML."""
    return content(house.stub(codec=codec))


def door(house: House, number: int, password: str = "", *, codec: bool = False) -> Any:
    """ServiceContent of a host's own door, logged in as root."""
    found = content(house.door(house.machine(mac_of(number)).ip, codec=codec))
    found.sessionManager.Login("root", password)
    return found


def cluster(found: Any, name: str = "prod") -> Any:
    """A cluster of dc0, from a ServiceContent."""
    return next(each for each in found.rootFolder.childEntity[0].hostFolder.childEntity if each.name == name)


def host(found: Any, number: int = 1) -> Any:
    """A host by number, from a ServiceContent."""
    return found.searchIndex.FindByDnsName(None, name_of(number), False)


def boot(house: House, number: int) -> Any:
    """The machine comes up, newborn."""
    return house.complete_boot(mac_of(number), build="24022510", version="8.0.3", image="image")


def done(task: Any) -> Any:
    """The task's result. Raises its error."""
    info = task.info
    if info.state == "error":
        raise info.error
    assert info.state == "success"
    return info.result


def connect_spec(house: House, number: int, password: str = "", **more: Any) -> Any:
    """HostConnectSpec of a machine, with its true thumbprint."""
    from pyVmomi import vim

    ip = house.machine(mac_of(number)).ip
    given = {"hostName": name_of(number), "userName": "root", "password": password, "force": False,
             "sslThumbprint": house.door_identity(ip).sha1}
    return vim.host.ConnectSpec(**{**given, **more})
