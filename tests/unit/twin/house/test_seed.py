"""Seeds: format, mistakes, and what they lay down."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.model import FleetError
from providers.twin.house import open_house
from providers.twin.seed_file import parse_seed, read_seed
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


HOST = """\
datacenters: [dc0]
clusters: {dc0/prod: {}}
hosts:
  a:
    mac: '52:54:00:01:00:01'
    cluster: dc0/prod
"""


@pytest.mark.parametrize(("text", "place", "said"), [
    ("hosts: ]", "1:8", "not YAML"),
    ("a: 1\n\tb: 2", "2:1", "not YAML"),
    ("[a]", "", "a map is expected, a list found"),
    ("hots: {}", "1:1", "hots: there is no such key"),
    ("clusters:\n  dc0/prod: {drs: {enabeld: true}}", "2:20", "clusters.dc0/prod.drs.enabeld: there is no such key"),
    ("clusters:\n  dc0/prod: {drs: {enabled: perhaps}}", "2:20", "'perhaps' is not true or false"),
    ("hosts: {a: {cluster: x}}", "1:9", "hosts.a: mac must be set"),
    ("vms: {a: {host: x}}\nvms: {}", "2:1", "there twice"),
    ("a: &a [*a]", "1:4", "an alias that has no end"),
    ("datacenters: dc0", "1:1", "a list is expected, 'dc0' found"),
    ("clusters:\n  dc0/prod: {}", "2:3", "no datacenter or folder 'dc0'"),
    ("datacenters: [dc0]\nfolders: [dc0/a, dc1/b]", "2:18", "folders.1: no datacenter or folder 'dc1'"),
    ("datacenters: [dc0]\nhosts: {a: {mac: '52:54:00:01:00:01', cluster: dc0/x}}", "2:39", "no cluster at 'dc0/x'"),
    (HOST.replace("01:00:01", "01:00"), "5:5", "hosts.a.mac: not a MAC"),
    (f"{HOST}    state: asleep", "7:5", "asleep"),
    (f"{HOST}    config:\n      portgroup: {{x: {{vswitch: vSwitch9}}}}", "8:23", "vSwitch9"),
    (f"{HOST}    config:\n      vmkernel: {{vmk1: {{portgroup: x}}}}", "8:25", "no portgroup x"),
    (f"{HOST}    config:\n      nfs:\n        x: {{server: a, path: /b, version: 4}}", "9:34", "'4' is no version"),
    (f"{HOST}    config:\n      service: {{TSM-SSL: {{}}}}", "8:17", "TSM-SSL"),
    (f"{HOST}    config:\n      option: {{UserVars.Suppress: 1}}", "8:16", "UserVars.Suppress"),
    (f"{HOST}    config:\n      option: {{UserVars.SuppressShellWarning: x}}", "8:16", "invalid literal"),
    (f"{HOST}datastores: {{dc0/s: {{hosts: [a, b]}}}}", "7:33", "no host 'b' under hosts:"),
    (f"{HOST}vms:\n  v: {{host: b}}", "8:7", "no host 'b' under hosts:"),
    (f"{HOST}vms:\n  v: {{host: a, datastores: [x]}}", "8:29", "no datastore 'x'"),
    (f"{HOST}vms: {{v: {{host: a, power: up}}}}", "7:20", "'up' is no power"),
    ("machines: {'52:54:00:01:00:01': {power: on}}", "1:34", "external"),
    ("machines: {'52:54:00': {}}", "1:12", "not a MAC"),
])
def test_mistakes_are_named_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str,
                                             said: str) -> None:
    monkeypatch.chdir(tmp_path)
    seed = tmp_path / "seed.yaml"
    seed.write_text(text)
    with pytest.raises(FleetError) as caught:
        open_house(None, "t", seed=seed)
    found, = caught.value.diagnostics
    assert said in str(caught.value)
    assert str(found.mark or "") == (f"seed.yaml:{place}" if place else "")


def test_all_mistakes_of_the_format_come_at_once(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text("hots: {}\nhosts:\n  a: {mca: x, cluster: y}\nmachines:\n  b: {skew: far}\n")
    with pytest.raises(FleetError) as caught:
        read_seed(seed)
    places = [(found.mark.line, found.mark.column, found.remedy) for found in caught.value.diagnostics if found.mark]
    assert places == [(1, 1, "did you mean 'hosts'?"), (3, 7, "did you mean 'mac'?"), (3, 3, ""), (5, 7, "")]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"cannot be read: .*: No such file"):
        read_seed(tmp_path / "none.yaml")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(FleetError, match="is no text"):
        read_seed(tmp_path / "bytes")


def test_scalars_are_text() -> None:
    seed = parse_seed("datacenters: [no]\nmachines: {52:54:00:00:00:13: {skew: 12}}\n").seed
    assert seed.datacenters == ["no"]
    assert seed.machines["52:54:00:00:00:13"].skew == 12.0


def test_the_lab_seed() -> None:
    house = open_house(None, "lab", seed=Path(__file__).parents[4] / "fleets" / "seeds" / "lab.yaml")
    dumped = house.dump()
    assert dumped["connections"] == {"esx03.lab.example": "notResponding"}
    assert "dc0/host/prod" in dumped["inventory"]
