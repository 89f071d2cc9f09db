"""Machines: identities, power, boots, certificates."""

from __future__ import annotations

import threading

import pytest

from planner.model import FleetError
from providers.twin.house import Machine, MachineSpec, open_house
from tests.support.twin import boot, content, door, host, mac_of, make_house, vcenter


def test_identities_derive_from_fleet_and_mac() -> None:
    first, again, other = (make_house(machines=2, name=name) for name in ("a", "a", "b"))
    assert first.machine(mac_of(1)) == again.machine(mac_of(1))
    assert first.instance == again.instance != other.instance
    assert first.machine(mac_of(1)).uuid != other.machine(mac_of(1)).uuid
    one, two = first.machine(mac_of(1)), first.machine(mac_of(2))
    assert one.nics[0] == mac_of(1)
    assert len({*one.nics, *two.nics}) == 8
    assert one.ip.startswith("10.")
    assert (one.ip, one.uuid, one.serial) != (two.ip, two.uuid, two.serial)


def test_addresses_of_colliding_macs_differ() -> None:
    specs = [MachineSpec("52:54:00:00:00:11", "a.test"), MachineSpec("52:54:01:80:00:11", "b.test")]
    house = open_house(None, "t", machines=specs)
    assert len({each.ip for each in house.machines()}) == 2


def test_declared_machines_are_off_and_spelling_of_the_mac_does_not_matter() -> None:
    house = make_house(machines=1)
    assert house.machine(mac_of(1).upper().replace(":", "-")).power == "off"
    with pytest.raises(KeyError, match="no machine with MAC"):
        house.machine("52:54:00:99:99:99")


def test_power_on_boots_in_a_thread_and_completes() -> None:
    house = make_house(machines=1)
    seen: list[Machine] = []
    ended = threading.Event()

    def network_boot(machine: Machine) -> None:
        seen.append(machine)
        house.complete_boot(machine.mac, build="1", version="8.0.3", image="i", boot=machine.boot)
        ended.set()

    house.power(mac_of(1), "on", network_boot)
    assert ended.wait(10)
    assert seen[0].power == "booting"
    up = house.machine(mac_of(1))
    assert (up.power, up.boot) == ("on", 1)
    assert house.power(mac_of(1), "on", network_boot) == up  # pressing "on" on a running machine does nothing


def test_a_boot_that_fails_says_why() -> None:
    house = make_house(machines=1)
    failed = threading.Event()

    def network_boot(_machine: Machine) -> None:
        try:
            raise TimeoutError("no answer from TFTP")
        finally:
            failed.set()

    house.power(mac_of(1), "on", network_boot)
    assert failed.wait(10)
    for thread in threading.enumerate():
        if thread.name.startswith("boot-"):
            thread.join(10)
    assert (house.machine(mac_of(1)).power, house.machine(mac_of(1)).problem) == (
        "booting", "TimeoutError: no answer from TFTP")


def test_a_boot_that_was_interrupted_cannot_complete() -> None:
    house = make_house(machines=1)
    first = house.power(mac_of(1), "on")
    house.power(mac_of(1), "cycle")
    with pytest.raises(RuntimeError, match="boot 1 is over"):
        house.complete_boot(mac_of(1), build="1", version="8", image="", boot=first.boot)
    house.power(mac_of(1), "off")
    assert house.machine(mac_of(1)).power == "off"


def test_a_reboot_is_a_factory_reset() -> None:
    house = make_house(hosts=1)
    before = house.machine(mac_of(1))
    old = house.door_certificate(before.ip)
    connection = host(vcenter(house))
    connection.configManager.networkSystem.AddVirtualSwitch("vSwitch1")
    done_at = house.machine(mac_of(1)).boot_time
    boot(house, 1)
    after = house.machine(mac_of(1))
    assert (after.boot, after.uuid, after.ip) == (2, before.uuid, before.ip)
    assert after.boot_time > done_at
    assert house.door_certificate(after.ip) != old
    own = door(house, 1).rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    assert [each.name for each in own.config.network.vswitch] == ["vSwitch0"]
    assert connection.runtime.connectionState == "notResponding"
    assert len(connection.config.network.vswitch) == 2  # what vCenter remembers


def test_the_certificate_belongs_to_one_boot_and_names_the_host() -> None:
    from cryptography import x509

    house = make_house(hosts=1)
    machine = house.machine(mac_of(1))
    pem = house.door_certificate(machine.ip)
    assert pem == house.door_certificate(machine.ip)
    names = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [machine.name]
    identity = house.door_identity(machine.ip)
    assert len(identity.sha1.split(":")) == 20
    assert len(identity.sha256.split(":")) == 32
    assert "PRIVATE KEY" in identity.key


def test_nobody_answers_at_a_machine_that_is_off_or_cut() -> None:
    house = make_house(machines=2)
    ip = house.machine(mac_of(1)).ip
    with pytest.raises(ConnectionRefusedError):
        house.door(ip)
    boot(house, 1)
    stub = house.door(ip)
    house.stop_responding(mac_of(1))
    with pytest.raises(ConnectionRefusedError):
        content(stub)
    house.start_responding(mac_of(1))
    assert content(stub).about.apiType == "HostAgent"
    boot(house, 1)
    with pytest.raises(ConnectionResetError):
        content(stub)


EXTERNAL = 'machines: {"52:54:00:01:00:01": {name: esx01.test, power: external}}\n'


def test_a_machine_that_is_born_outside_brings_its_identity() -> None:
    donor = make_house(hosts=1, name="donor")
    certificate = donor.door_certificate(donor.machine(mac_of(1)).ip)
    house = make_house(machines=1, seed=EXTERNAL)
    assert house.machine(mac_of(1)).external
    with pytest.raises(FleetError, match="powered outside"):
        house.power(mac_of(1), "on")
    up = house.complete_boot(mac_of(1), build="7", version="8.0.3", image="i", serial="S1",
                             uuid="11111111-2222-3333-4444-555555555555", ip="10.2.2.2", certificate=certificate)
    assert (up.uuid, up.serial, up.ip, up.power) == ("11111111-2222-3333-4444-555555555555", "S1", "10.2.2.2", "on")
    assert house.door_certificate("10.2.2.2") == certificate
    own = door(house, 1).rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    assert own.hardware.systemInfo.uuid == up.uuid
    assert own.config.network.vnic[0].spec.ip.ipAddress == "10.2.2.2"


def test_a_new_name_leaves_certificate_and_old_name_as_they_were() -> None:
    mac = "52:54:00:00:00:01"
    house = open_house(None, "lab", machines=[MachineSpec(mac, "a.lab.example")], writable=True)
    machine = house.complete_boot(mac, build="", version="", image="")
    before = house.door_certificate(machine.ip)
    house.declare([MachineSpec(mac, "b.lab.example")])
    assert house.door_certificate(machine.ip) == before
    assert {house.contact.box_at(f"{n}.lab.example").mac for n in "ab"} == {mac}  # type: ignore[union-attr]
    house.declare([MachineSpec("52:54:00:00:00:99", "a.lab.example")])
    assert house.contact.box_at("a.lab.example").mac == "52:54:00:00:00:99"  # type: ignore[union-attr]
