"""The house: a vCenter, its hosts and the machines under them, kept in a folder between runs.

    house = open_house(folder / "twin", "lab", seed=None, machines=[MachineSpec(mac, name)], writable=True)
    stub = house.stub()                       # a pyVmomi stub adapter, logged in to vCenter
    house.power(mac, "on", boot_from_network) # the machine boots in a thread and ends with house.complete_boot

Everything that any door changes is written before the call's reply leaves (see `store`). All public functions are safe
to use from many threads; `house.lock` is held inside of calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from planner.model import FleetError
from providers.twin.contact import Contact
from providers.twin.inventory import Entity, Inventory
from providers.twin.lag import Lag
from providers.twin.machines import (
    Identity,
    Machine,
    MachineSpec,
    identity,
    make_box,
    normal_mac,
    rename,
    tls_identity,
    view,
)
from providers.twin.model import Box, Cluster, Datacenter, Folder, Host
from providers.twin.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.ports import Clock
    from providers.twin.core.base import World
    from providers.twin.core.faults import FaultRules
    from providers.twin.core.recorder import MutatingCall
    from providers.twin.soap.stub import InProcessStub

__all__ = ["House", "Machine", "MachineSpec", "NetworkBoot", "open_house"]

NetworkBoot = Callable[[Machine], None]
USER = "administrator@vsphere.local"
PASSWORD = "twin"  # noqa: S105 - of a simulated vCenter


class House:
    """See the module. `network_boot` is what a machine does that a reboot (not `power`) sends to the network."""

    def __init__(self, name: str, store: Store, clock: Clock | None = None) -> None:
        from providers.twin.core.clock import WallClock
        from providers.twin.core.faults import FaultRules

        self.name = name
        self.instance = str(identity("vcenter", name))
        self.lock = threading.RLock()
        self.clock: Clock = clock or WallClock()
        self.faults: FaultRules = FaultRules()
        self.calls: list[MutatingCall] = []
        self.inventory = Inventory(store, name)
        self.contact = Contact(self.inventory, name, self.instance)
        self.lag = Lag(self.clock)
        self.network_boot: NetworkBoot | None = None
        self._store = store
        self._addresses: set[str] = set()
        self._world: World | None = None
        self._doors: dict[str, tuple[int, World]] = {}

    # --- doors --------------------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """vCenter's objects."""
        with self.lock:
            if self._world is None:
                from providers.twin.objects.vcenter import vcenter_world

                self._world = vcenter_world(self)
            return self._world

    def stub(self, *, codec: bool = False, signed_in: bool = True) -> InProcessStub:
        """A client of vCenter, logged in as administrator. `codec`: through real XML both ways."""
        from providers.twin.core.sessions import ADMIN
        from providers.twin.soap.stub import InProcessStub

        made = InProcessStub(self.world, codec=codec, host="vcenter.twin")
        return made.sign_in(USER, ADMIN) if signed_in else made

    def door(self, ip: str, *, codec: bool = False) -> InProcessStub:
        """A client of one host's own SDK, not logged in. Raises ConnectionRefusedError when nobody answers there."""
        from providers.twin.soap.stub import InProcessStub

        box = self._answering(ip)
        boot = box.boots

        def gate() -> None:
            if self._answering(ip).boots != boot:
                raise ConnectionResetError(f"{ip} has rebooted since this connection was made")

        return InProcessStub(self.door_world(ip), codec=codec, gate=gate, host=ip)

    def door_world(self, ip: str) -> World:
        """The objects behind a host's own door. Raises ConnectionRefusedError when nobody answers there."""
        from providers.twin.objects.door import door_world

        with self.lock:
            box = self._answering(ip)
            found = self._doors.get(box.mac)
            if found is None or found[0] != box.boots:
                found = (box.boots, door_world(self, box))
                self._doors[box.mac] = found
            return found[1]

    def door_identity(self, ip: str) -> Identity:
        """TLS identity of the host at that address. Raises ConnectionRefusedError when nobody answers there."""
        with self.lock:
            return tls_identity(self.name, self._answering(ip))

    def door_certificate(self, ip: str) -> str:
        """PEM of the certificate that the host at that address shows. Raises ConnectionRefusedError."""
        return self.door_identity(ip).certificate

    def _answering(self, ip: str) -> Box:
        with self.lock:
            box = self.contact.box_at(ip)
            if box is None or box.running is None or box.cut:
                raise ConnectionRefusedError(f"{ip}: connection refused (no simulated host answers there)")
            return box

    # --- machines -----------------------------------------------------------------------------------------

    def declare(self, machines: Sequence[MachineSpec]) -> None:
        """These machines exist: off, unless they are known already."""
        with self.lock:
            for spec in machines:
                mac = normal_mac(spec.mac)
                box = self.inventory.get(mac, Box)
                if box is None:
                    self._add_box(mac, spec.name)
                else:
                    rename(box, spec.name)

    def _add_box(self, mac: str, name: str) -> Box:
        if not self._addresses:
            self._addresses = {each.ip for each in self.inventory.all(Box)}
        box = make_box(self.name, mac, name, self._addresses)
        self._addresses.add(box.ip)
        self.inventory.docs[mac] = box
        return box

    def box(self, mac: str) -> Box:
        """The document of a machine. Raises KeyError for a MAC that no machine has."""
        found = self.inventory.get(normal_mac(mac), Box)
        if found is None:
            raise KeyError(f"the twin has no machine with MAC {mac}; declare it in the fleet file")
        return found

    def machine(self, mac: str) -> Machine:
        """A machine as it is now. Raises KeyError for a MAC that no machine has."""
        with self.lock:
            return view(self.box(mac))

    def machines(self) -> list[Machine]:
        with self.lock:
            return [view(each) for each in self.inventory.all(Box)]

    def power(self, mac: str, action: Literal["on", "off", "cycle"], boot: NetworkBoot | None = None) -> Machine:
        """Press the button. "on" leaves a machine that is on alone; "cycle" starts one that is off.

        `boot` runs in a daemon thread and ends with `complete_boot`; without it the machine waits for that call,
        "booting". Raises FleetError for a machine that is powered outside of the twin, KeyError for an unknown MAC.
        """
        with self.change():
            box = self.box(mac)
            if box.external:
                raise FleetError(f"machine {box.mac} is powered outside of the twin: use its own power button")
            if action not in ("on", "off", "cycle"):
                raise FleetError(f"no power action {action!r}; known: on, off, cycle")
            if action == "off":
                self._stop(box, gone=True)
                box.power = "off"
            elif action == "cycle" or box.power == "off":
                self._start(box, boot)
            return view(box)

    def reboot(self, mac: str) -> None:
        """The machine restarts and boots from the network (`network_boot`); one powered outside just goes away."""
        with self.change():
            self._start(self.box(mac), self.network_boot)

    def shut_down(self, mac: str) -> None:
        """The machine is off."""
        with self.change():
            box = self.box(mac)
            self._stop(box, gone=True)
            box.power = "off"

    def _start(self, box: Box, boot: NetworkBoot | None) -> None:
        self._stop(box, gone=True)
        box.power, box.problem, box.cut = "booting", "", False
        box.boots += 1
        if boot is not None and not box.external:
            threading.Thread(
                target=self._boot, args=(boot, view(box)), daemon=True, name=f"boot-{box.mac}"
            ).start()
        elif boot is None and box.disk is not None:
            from providers.twin.boots import start_disk

            start_disk(self, box)

    def _boot(self, boot: NetworkBoot, machine: Machine) -> None:
        try:
            boot(machine)
        except Exception as error:  # whatever went wrong on the way: the machine hangs there, as a real one does
            with self.change():
                box = self.box(machine.mac)
                if box.boots == machine.boot and box.power == "booting":
                    box.problem = f"{type(error).__name__}: {error}"
                    self.inventory.mark(box)

    def _stop(self, box: Box, *, gone: bool) -> None:
        """What runs on a machine ends (or, not `gone`, just answers nobody any more)."""
        host = self.inventory.host_of(box.mac)
        if host is not None and host.seen is None:
            self.contact.lose(host, gone=gone)
        if gone:
            box.disk = box.running if box.running and box.running.kept else box.disk
            box.running = None
        self.inventory.mark(box)

    def complete_boot(self, mac: str, *, build: str, version: str, image: str = "", boot: int | None = None,
                      uuid: str = "", serial: str = "", ip: str = "", certificate: str = "") -> Machine:
        """The machine is up: factory defaults, new certificate, empty root password, unknown to any vCenter.

        `boot` is the boot that ends here (`Machine.boot`): RuntimeError when another one has begun since. `uuid`,
        `serial`, `ip` and `certificate` (PEM) are those of a birth outside of the twin. Raises KeyError for an
        unknown MAC.
        """
        from providers.twin.boots import come_up

        with self.change():
            box = self.box(mac)
            if boot is not None and (box.boots != boot or box.power != "booting"):
                raise RuntimeError(f"machine {box.mac}: boot {boot} is over (boot {box.boots}, {box.power})")
            if box.power != "booting":
                self._stop(box, gone=True)
                box.boots += 1
            box.uuid, box.serial, box.ip = uuid or box.uuid, serial or box.serial, ip or box.ip
            come_up(box, self.clock.now(), build=build, version=version, image=image, certificate=certificate)
            self.inventory.mark(box)
            return view(box)

    def stop_responding(self, mac: str) -> None:
        """The host goes on running but answers nobody: vCenter shows it as not responding."""
        with self.change():
            box = self.box(mac)
            box.cut = True
            self._stop(box, gone=False)

    def start_responding(self, mac: str) -> None:
        """The host answers again; vCenter reconnects by itself where its account still exists there."""
        with self.change():
            box = self.box(mac)
            box.cut = False
            self.inventory.mark(box)
            host = self.inventory.host_of(box.mac)
            running = box.running
            if host and running and host.connection == "notResponding" and running.born == host.boots:
                self.contact.connect(host, box)

    def notice(self, mac: str) -> None:
        """vCenter finds out that the host does not answer (see `Contact.late`)."""
        with self.change():
            host = self.inventory.host_of(normal_mac(mac))
            if host is not None:
                self.contact.notice(host)

    # --- for seeds and tests ------------------------------------------------------------------------------

    def add_connected_host(self, cluster: str, mac: str, name: str, *, password: str | None = None, build: str = "",
                           version: str = "") -> Host:
        """A newborn host, connected in this cluster ("dc0/prod", or its inventory path). `password` is root's; None
        leaves the empty one. Raises KeyError for a cluster that does not exist."""
        from providers.twin.boots import connected_host

        with self.change():
            return connected_host(self, cluster, mac, name, password=password, build=build, version=version)

    def cluster(self, path: str) -> Cluster:
        """The cluster at "dc0/prod" or "dc0/host/edge/prod". Raises KeyError."""
        found = self.entity(path)
        if not isinstance(found, Cluster):
            raise KeyError(f"no cluster at {path!r} in the twin's inventory")
        return found

    def entity(self, path: str) -> Entity | None:
        """What is at an inventory path; the host folder may be left out ("dc0/prod"). None where nothing is."""
        from providers.twin.inventory import ROOT

        at: Entity = self.inventory.need(ROOT, Folder)
        for part in path.strip("/").split("/"):
            below = self.inventory.child(at.id, part)
            if below is None and isinstance(at, Datacenter):
                below = self.inventory.child(at.host, part)
            if below is None:
                return None
            at = below
        return at

    def derived_uuid(self, *parts: str) -> str:
        """A UUID that belongs to this fleet and these words."""
        return str(identity(self.name, *parts))

    def box_of(self, mac: str, name: str) -> Box:
        """The machine with that MAC, made if there is none yet."""
        normal = normal_mac(mac)
        found = self.inventory.get(normal, Box)
        if found is None:
            return self._add_box(normal, name)
        rename(found, name)
        return found

    # --- bookkeeping --------------------------------------------------------------------------------------

    @contextmanager
    def change(self) -> Iterator[None]:
        """Everything changed inside is one effect, written at the end."""
        with self.lock:
            yield
            self.commit()
            if self._world is not None:
                self._world.touch()

    def commit(self) -> None:
        """Write what changed."""
        self.inventory.flush()

    def host_stops(self, name: str) -> None:
        """For the fault rule: the host of that inventory name stops responding."""
        host = self.inventory.host_named(name)
        if host is None:
            raise RuntimeError(f"a fault rule stops host {name!r}, which vCenter does not know")
        self.stop_responding(host.mac)

    def dump(self) -> Mapping[str, Any]:
        """The inventory as canonical JSON-able data (see `providers.twin.dump`)."""
        from providers.twin.dump import dump

        with self.lock:
            return dump(self)

    def close(self) -> None:
        """Compact the store. The house is not used afterwards."""
        with self.lock:
            self.commit()
            self._store.compact()
            self._store.close()


def open_house(folder: Path | None, name: str, *, seed: Path | None = None, machines: Sequence[MachineSpec] = (),
               writable: bool = True, clock: Clock | None = None) -> House:
    """The twin of the fleet `name`, as it was left in `folder` (None: in memory).

    `machines` exist, off, even when they were never stored. `seed` is a YAML file (see `seed`); its inventory is laid
    down once, when the folder is empty. Not `writable`: changes stay in memory and the folder is not even made.
    Raises FleetError for a damaged store or a seed with mistakes.
    """
    from providers.twin.boots import settle

    store = Store(folder, writable=writable)
    stored = store.load()
    house = House(name, store, clock)
    house.inventory.reindex()
    settle(house)
    house.declare(machines)
    if seed is not None:
        from providers.twin.seed import apply_seed
        from providers.twin.seed_file import read_seed

        apply_seed(house, read_seed(seed), inventory=not house.inventory.site.seeded)
    if stored:
        house.commit()
    elif store.writable:
        house.commit()
        store.compact()
    return house
