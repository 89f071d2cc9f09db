"""The boot and power providers with the twin's own house."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.model import Attrs, ReadFailed, StepFailed
from providers.boot.payload import thumbprint
from providers.twin.house import House, MachineSpec, open_house
from providers.twin.netboot import product
from tests.faults.test_birth import Booted
from tests.unit.boot.kit import MACS, certificate, site, step, until

SEED = """
machines:
  "52:54:00:00:00:11": {name: esx01.lab.example, power: external}
  "52:54:00:00:00:12": {name: esx02.lab.example, skew: 90000}
"""


def house_of(tmp: Path, seed: str = "") -> House:
    path = tmp / "seed.yaml"
    if seed:
        path.write_text(seed)
    return open_house(None, "lab", seed=path if seed else None,
                      machines=[MachineSpec(mac, f"esx0{n}.lab.example") for n, mac in enumerate(MACS, 1)])


def test_a_machine_of_the_twin_is_born_and_reborn(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        first = here.run("birth.wait", MACS[0])
        machine = house.machine(MACS[0])
        assert (machine.power, first["uuid"], first["ip"]) == ("on", machine.uuid, machine.ip)
        assert first["certificate"] == house.door_certificate(machine.ip)
        here.run("power.boot", MACS[0])  # cycled
        second = here.run("birth.wait", MACS[0])
        assert second["certificate"] != first["certificate"]
        house.reboot(MACS[0])  # by itself: it fetches and posts again
        until(lambda: len(list(here.boot.inbox)) == 3)
    assert house.network_boot is None


def test_a_clock_far_off_is_set_by_the_birth(tmp_path: Path) -> None:
    house = house_of(tmp_path, SEED)
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[1])
        here.run("power.boot", MACS[1])
        assert here.run("birth.wait", MACS[1])["mac"] == MACS[1]
        assert house.box(MACS[1]).skew == 0


def test_a_machine_outside_of_the_twin_is_played_by_its_birth(tmp_path: Path) -> None:
    house = house_of(tmp_path, SEED)
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[0])
        with pytest.raises(StepFailed, match="powered outside of the twin"):
            here.run("power.boot", MACS[0])
        here.run("power.manual", MACS[0])
        booted, pem = Booted(here), certificate("real.lab.example")
        assert booted.post(booted.body(certificate=pem, thumbprint=thumbprint(pem), address="10.77.0.5",
                                       uuid="11111111-2222-3333-4444-555555555555")) == 201
        facts = here.run("birth.wait", MACS[0])
        machine = house.machine(MACS[0])
        assert (machine.power, machine.ip, machine.uuid) == ("on", "10.77.0.5", facts["uuid"])
        assert house.door_certificate("10.77.0.5") == pem
        here.run("birth.wait", MACS[0])  # a resumed wait does not reboot it
        assert house.machine(MACS[0]).boot == machine.boot

        booted, again = Booted(here), certificate("real.lab.example")  # stateless: it boots when it likes
        assert booted.post(booted.body(certificate=again, thumbprint=thumbprint(again), address="10.77.0.5")) == 201
        until(lambda: house.door_certificate("10.77.0.5") == again)
        assert house.machine(MACS[0]).boot == machine.boot + 1
        assert any("power on (or reset) esx01" in line for line in here.said)
        here.said.clear()
        here.run("power.manual", MACS[0])  # whoever pressed now would reset a host that is being configured
        assert not here.said


def test_power_needs_a_machine(tmp_path: Path) -> None:
    house = open_house(None, "lab", machines=[])
    with site(tmp_path, house=house, serve=False) as here:
        with pytest.raises(ReadFailed, match="no such machine"):
            here.observe("power.boot", MACS[0])
        house.declare([MachineSpec(MACS[0], "esx01.lab.example")])
        with pytest.raises(StepFailed, match="nothing to boot from"):
            here.run("power.boot", MACS[0])
        assert house.machine(MACS[0]).power == "off"


@pytest.mark.parametrize(("line", "expected"), [
    ("8.0.3-0.0.24022510", ("8.0.3", "24022510")), ("8.0.3-24022510", ("8.0.3", "24022510")),
    ("9.0.0-0.1.1", ("9.0.0", "1")), ("", ("8.0.3", "24022510")), ("x", ("8.0.3", "24022510"))])
def test_product(line: str, expected: tuple[str, str]) -> None:
    assert product(line) == expected


def test_sites_without_the_twin_are_warned(tmp_path: Path) -> None:
    block: Attrs = {"ports": {"tftp": 0, "http": 0, "birth": 0}}
    with site(tmp_path, block=block, serve=False) as here:
        here.boot._context.peer("vsphere").house = None
        here.boot.prepare([step("boot.stage")])
        assert [line.split(",")[0] for line in here.said] == [
            "warning: boot files are served at 127.0.0.1",
            "warning: a host just born reaches only TCP 80 and 443",
            "warning: a host just born reaches only TCP 80 and 443"]
