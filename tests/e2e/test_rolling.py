"""A rolling image update by the commands, on the twin: machines really boot the other image over TFTP and HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.cli.main import main
from providers.twin.house import House, open_house
from providers.twin.model import Vm
from tests.support.places import quick_folder
from tests.unit.boot.kit import BOOT_CFG, make_image

FLEET = """
fleet: {name: lab}
provider: {vsphere: {server: twin}, boot: {listen: 127.0.0.1}}
image:
  esxi8: {source: images/old}
  esxi9: {source: images/new}
datacenter: {dc0: {}}
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true}}
profile:
  compute:
    image: ${image.IMAGE}
    cluster: ${cluster.prod}
    root_password: '${secret("env:ESX_ROOT_PASSWORD")}'
    vswitch: {vSwitch1: {uplinks: [vmnic1], mtu: 9000}}
    portgroup: {vMotion: {vswitch: vSwitch1, vlan: 20}}
    nfs: {shared: {server: nas1.lab.example, path: /vms, version: 3, access: readWrite}}
host:
  esx:
    for_each: {esx01: {n: 11}, esx02: {n: 12}}
    profile: compute
    name: '${each.key}.lab.example'
    mac: '52:54:00:00:00:${each.value.n}'
    vmkernel:
      vmk1: {portgroup: vMotion, ip: '10.0.20.${each.value.n}', netmask: 255.255.255.0, services: [vmotion]}
"""
NAMES = ("esx01.lab.example", "esx02.lab.example")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ESX_ROOT_PASSWORD", "s3cret!pass")
    with quick_folder() as path:
        monkeypatch.chdir(path)
        make_image(Path("images/old"))
        make_image(Path("images/new"), boot_cfg=BOOT_CFG.replace("24022510", "24585291"), size=5000)
        yield path


def house(*, writable: bool = False) -> House:
    return open_house(Path(".fleet/lab/twin"), "lab", machines=[], writable=writable)


def add_vm(name: str, host: str) -> None:
    found = house(writable=True)
    with found.change():
        inventory = found.inventory
        home = inventory.host_named(host)
        assert home is not None
        datacenter = inventory.datacenter_of(home)
        store = inventory.datastore_named(datacenter, "shared")
        assert store is not None
        inventory.put(Vm(inventory.new_id("vm-"), name, datacenter.vm, home.id, uuid=name, power="poweredOn",
                         datastores=[store.id], networks=["VM Network"]))
    found.close()


def unreachable(*exports: str) -> None:
    found = house(writable=True)
    with found.change():
        found.inventory.site.unreachable = list(exports)
        found.inventory.mark(found.inventory.site)
    found.close()


def images() -> dict[str, tuple[str, str]]:
    """Host → digest of the image that it runs, and its build."""
    machines = house().dump()["machines"]
    return {mac: (machines[mac]["image"], machines[mac]["build"]) for mac in sorted(machines)}


def fleet(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    code = main(args)
    out, err = capsys.readouterr()
    return code, out + err


def declare(image: str) -> None:
    Path("lab.yaml").write_text(FLEET.replace("IMAGE", image))


@pytest.mark.slow
def test_there_and_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare("esxi8")
    code, text = fleet(capsys, "apply", "lab.yaml", "--auto-approve")
    assert code == 0, text
    old = images()
    assert {build for _, build in old.values()} == {"24022510"}
    add_vm("web1", NAMES[0])
    add_vm("db1", NAMES[1])
    declare("esxi9")
    code, text = fleet(capsys, "plan", "lab.yaml", "--out", "plan.json")
    assert code == 0, text
    assert "2 hosts to get another image (2 VMs to move)" in text
    assert "1: web1" in text
    plan = json.loads(Path("plan.json").read_text())
    assert [r["moves"] for r in plan["rolls"]] == [["web1"], ["db1"]]
    code, text = fleet(capsys, "apply", "plan.json", "--auto-approve")
    assert code == 0, text
    new = images()
    assert {build for _, build in new.values()} == {"24585291"}
    assert {digest for digest, _ in new.values()} == {plan["images"]["esxi9"]}
    vms = house().dump()["vms"]
    assert {vm["power"] for vm in vms.values()} == {"poweredOn"}
    assert fleet(capsys, "plan", "lab.yaml", "--detailed-exitcode")[0] == 0
    standing = [json.loads(p.read_text()) for p in Path(".fleet/lab/boot").glob("01-*.json")]
    assert {(s["image"], s["way"]["trial"], s["former"] is None) for s in standing} == {
        (plan["images"]["esxi9"], False, True)}

    code, text = fleet(capsys, "rollback", "lab.yaml", "--plan")
    assert code == 0, text
    assert "restarted into another image" in text
    code, text = fleet(capsys, "rollback", "lab.yaml", "--auto-approve")
    assert code == 0, text
    assert images() == old
    declare("esxi8")
    code, text = fleet(capsys, "plan", "lab.yaml", "--detailed-exitcode")
    assert code == 0, text


@pytest.mark.slow
def test_a_power_cut_in_the_middle_boots_what_stood_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run is gone, and somebody presses the button: the image that was never read back clean is not booted."""
    declare("esxi8")
    assert fleet(capsys, "apply", "lab.yaml", "--auto-approve")[0] == 0
    old = images()
    declare("esxi9")
    unreachable("nas1.lab.example:/vms")
    code, text = fleet(capsys, "apply", "lab.yaml", "--auto-approve")
    assert code == 3, text
    assert 'host.esx["esx02"] go on with the image that they have' in text
    assert [build for _, build in images().values()] == ["24585291", "24022510"]
    code, text = fleet(capsys, "twin", "power", "lab.yaml", 'host.esx["esx01"]', "cycle")
    assert code == 0, text
    assert images() == old
    unreachable()
    code, text = fleet(capsys, "rollback", "lab.yaml", "--auto-approve")
    assert code == 0, text
    assert images() == old
    code, text = fleet(capsys, "apply", "lab.yaml", "--auto-approve")
    assert code == 0, text
    assert {build for _, build in images().values()} == {"24585291"}
