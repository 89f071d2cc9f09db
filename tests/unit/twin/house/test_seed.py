"""Seeds: format, mistakes, and what they lay down."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.model import FleetError
from providers.twin.house import open_house
from providers.twin.seed import parse_seed
from tests.support.twin import host, mac_of, make_house, vcenter

FULL = """
datacenters: [dc0]
folders: [dc0/edge]
clusters:
  dc0/edge/prod: {drs: {enabled: true, automation: manual}, ha: {enabled: true, admission_control: false}}
hosts:
  esx01.test:
    mac: 52:54:00:01:00:01
    cluster: dc0/edge/prod
    state: gone
    maintenance: true
    build: "123"
    config:
      vswitch: {vSwitch1: {uplinks: [vmnic1], mtu: 9000}}
      portgroup: {vMotion: {vswitch: vSwitch1, vlan: 20}}
      vmkernel: {vmk1: {portgroup: vMotion, ip: 10.0.20.1, netmask: 255.255.255.0, mtu: 9000, services: [vmotion]}}
      nfs: {images: {server: nas1, path: /x, version: "4.1", access: readOnly}}
      dns: {servers: [10.0.0.53], domain: lab.example}
      ntp: {servers: [10.0.0.1]}
      syslog: {targets: ["udp://10.0.0.9:514"]}
      service: {TSM-SSH: {policy: "on", running: true}}
      option: {UserVars.SuppressShellWarning: 1, VMkernel.Boot.hyperthreading: false}
  esx02.test: {mac: 52:54:00:01:00:02, cluster: dc0/edge/prod, state: disconnected}
datastores: {dc0/san1: {hosts: [esx01.test]}}
vms: {web1: {host: esx01.test, datastores: [images, san1], networks: [VM Network], power: "on"}}
"""


def test_a_full_seed() -> None:
    house = make_house(seed=FULL)
    found = host(vcenter(house, codec=True))
    assert (found.runtime.connectionState, found.runtime.inMaintenanceMode) == ("notResponding", True)
    assert house.machine(mac_of(1)).power == "off"
    assert found.config.product.build == "123"
    assert [each.spec.vlanId for each in found.config.network.portgroup] == [0, 0, 20]
    assert sorted(each.name for each in found.datastore) == ["images", "san1"]
    options = {each.key: each.value for each in found.config.option}
    assert options["UserVars.SuppressShellWarning"] == 1
    assert options["VMkernel.Boot.hyperthreading"] is False
    assert options["Syslog.global.logHost"] == "udp://10.0.0.9:514"
    running = {each.key for each in found.config.service.service if each.running}
    assert {"ntpd", "TSM-SSH"} < running
    assert [(each.name, each.runtime.powerState) for each in found.vm] == [("web1", "poweredOff")]
    assert host(vcenter(house), 2).runtime.connectionState == "disconnected"


def test_a_seed_is_laid_down_once(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(FULL)
    before = open_house(tmp_path / "twin", "t", seed=seed).dump()
    assert open_house(tmp_path / "twin", "t", seed=seed).dump() == before


def test_the_same_seed_gives_the_same_ids_without_a_folder(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(FULL)
    first, second = (open_house(None, "t", seed=seed, writable=False) for _ in range(2))
    assert list(first.inventory.docs) == list(second.inventory.docs)
    assert first.dump() == second.dump()


@pytest.mark.parametrize(("text", "said"), [
    ("hosts: [", "not YAML"),
    ("hots: {}", "hots"),
    ("clusters: {dc0/prod: {drs: {enabeld: true}}}", "enabeld"),
    ("clusters: {dc0/prod: {}}", "no datacenter or folder 'dc0'"),
    ("datacenters: [dc0]\nhosts: {a: {mac: '52:54:00:01:00:01', cluster: dc0/x}}", "no cluster at 'dc0/x'"),
    (FULL.replace("state: gone", "state: asleep"), "asleep"),
    (FULL.replace("vswitch: vSwitch1, vlan", "vswitch: vSwitch9, vlan"), "vSwitch9"),
    (FULL.replace("TSM-SSH", "TSM-SSL"), "TSM-SSL"),
    (FULL.replace("UserVars.Suppress", "UserVars.Suppres"), "UserVars.Suppres"),
    (FULL.replace('"4.1"', '"4"'), "4.1"),
    (FULL.replace("web1: {host: esx01.test", "web1: {host: esx09.test"), "esx09.test"),
    (FULL.replace("52:54:00:01:00:02", "52:54:00:01:00"), "not a MAC"),
    ("machines: {'52:54:00:01:00:01': {power: on}}", "external"),
])
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(text)
    with pytest.raises(FleetError, match=said):
        open_house(None, "t", seed=seed)


def test_scalars_are_text() -> None:
    seed = parse_seed("datacenters: [no]\nmachines: {52:54:00:00:00:13: {skew: 12}}\n")
    assert seed.datacenters == ["no"]
    assert seed.machines["52:54:00:00:00:13"].skew == 12.0


def test_the_lab_seed() -> None:
    house = open_house(None, "lab", seed=Path(__file__).parents[4] / "fleets" / "seeds" / "lab.yaml")
    dumped = house.dump()
    assert dumped["connections"] == {"esx03.lab.example": "notResponding"}
    assert "dc0/host/prod" in dumped["inventory"]
