"""`fleet twin`: serving a house to foreign clients, pressing its machines' buttons."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim
from pyVmomi.SoapAdapter import SoapStubAdapter
from typer.testing import CliRunner

from planner.model import Address, Fleet, FleetError, Resource, Step
from planner.ports import RestoreOutcome
from providers.twin import serving
from providers.twin.buttons import mac_of, press
from providers.twin.command import app
from providers.twin.core.service import version_name
from providers.twin.house import PASSWORD, USER, House, MachineSpec, open_house
from providers.twin.model import Box
from providers.twin.serving import Serving, new_house, open_server

MAC, ADDRESS = "52:54:00:00:00:11", 'host.esx["esx01"]'


def _fleet() -> Fleet:
    address = Address.parse(ADDRESS)
    return Fleet("lab", "lab.yaml", "/nowhere", {address: Resource(address, {"mac": MAC, "name": "esx01.lab.example"})})


@dataclass
class FakeBoot:
    """A boot session whose machines come up at once, or not at all."""

    house: House
    problem: str = ""
    steps: list[str] = field(default_factory=list)

    def prepare(self, steps: Sequence[Step]) -> None:
        self.steps += [each.operation for each in steps]

    def expect(self, mac: str, *, again: bool = True) -> None:
        self.steps.append(f"expect {mac}")

    def machine_boot(self, house: House) -> Any:
        def boot(machine: Any) -> None:
            if self.problem:
                raise RuntimeError(self.problem)
            house.complete_boot(machine.mac, build="24022510", version="8.0.3", image="d" * 64, boot=machine.boot)

        return boot


@dataclass
class Vsphere:
    house: House | None


class FakeWorkshop:
    """Stands in for the CLI: one fleet, two sessions."""

    def __init__(self, folder: Path, *, twin: bool = True, problem: str = "") -> None:
        self.house = open_house(None, "lab", machines=[MachineSpec(MAC, "esx01.lab.example")])
        self.fleet, self.folder, self.purposes = _fleet(), folder, [""]
        self.boot = FakeBoot(self.house, problem)
        self._sessions = {"vsphere": Vsphere(self.house if twin else None), "boot": self.boot}

    def session(self, name: str) -> Any:
        return self._sessions[name]

    @contextmanager
    def open(self, path: str, *, purpose: str = "") -> Iterator[FakeWorkshop]:
        self.purposes.append(purpose)
        yield self

    def restore(self, *_: Any, **__: Any) -> RestoreOutcome:
        raise AssertionError("a power button restores nothing")


def test_power_buttons(tmp_path: Path) -> None:
    workshop = FakeWorkshop(tmp_path)
    runner = CliRunner()
    for button, state in (("on", "on"), ("on", "on"), ("cycle", "on"), ("off", "off"), ("cycle", "on")):
        done = runner.invoke(app, ["power", "lab.yaml", ADDRESS, button], obj=workshop, catch_exceptions=False)
        assert (done.exit_code, done.output) == (0, f"{ADDRESS}: {state}\n")
    assert workshop.house.machine(MAC).boot == 3  # "on" twice is one boot
    assert workshop.boot.steps == ["power.boot", f"expect {MAC}"] * 3
    assert set(workshop.purposes) == {"", "twin power"}


def test_a_machine_that_does_not_come_up_is_told(tmp_path: Path) -> None:
    workshop = FakeWorkshop(tmp_path, problem="TFTP mboot.efi: File not found")
    with pytest.raises(FleetError, match=r"did not come up: 52:54:00:00:00:11: TFTP mboot\.efi") as caught:
        press(workshop, "lab.yaml", ADDRESS, "on", 10)
    assert "fleet apply" in caught.value.diagnostics[0].remedy


def test_what_cannot_be_pressed_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="no such host in this fleet"):
        mac_of(_fleet(), "host.other")
    with pytest.raises(FleetError, match="not an address"):
        mac_of(_fleet(), "esx01")
    with pytest.raises(FleetError, match="vCenter is not the twin"):
        press(FakeWorkshop(tmp_path, twin=False), "lab.yaml", ADDRESS, "on", 1)


def _connect(port: int, pem: str) -> Any:
    return SmartConnect(host="127.0.0.2", port=port, user=USER, pwd=PASSWORD,
                        sslContext=ssl.create_default_context(cadata=pem))


def test_a_house_is_served_with_its_hosts_doors() -> None:
    house = new_house(2)
    with open_server(house, Serving("127.0.0.2", 0)) as server:
        service = _connect(server.port, server.certificate.certificate)
        content = service.RetrieveContent()
        assert content.about.instanceUuid == house.instance
        cluster = content.searchIndex.FindByInventoryPath("dc0/host/prod")
        hosts = [each.name for each in cluster.host]
        assert hosts == ["esx00001.twin.example", "esx00002.twin.example"]
        Disconnect(service)
        service._stub.DropConnections()
        machine = house.machines()[0]
        stub = SoapStubAdapter(
            host="127.0.0.2", port=server.port, path=f"/hosts/{machine.ip}/sdk", version=version_name(),
            sslContext=ssl.create_default_context(cadata=server.certificate.certificate))
        door: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        assert door.about.apiType == "HostAgent"
        house.power(machine.mac, "off")
        with pytest.raises(ConnectionError):
            vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        stub.DropConnections()
    assert house.calls == []


def test_serve_says_where_and_keeps_its_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_server: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("providers.twin.soap.server.Server.wait", interrupted)
    workshop, ca_file, rules = FakeWorkshop(tmp_path), tmp_path / "ca.pem", tmp_path / "faults.yaml"
    rules.write_text("- {kind: lost_reply, method: AddHost_Task}\n")
    arguments = ["serve", "lab.yaml", "--port", "0", "--ca-file", str(ca_file), "--faults", str(rules), "--json"]
    done = CliRunner().invoke(app, arguments, obj=workshop, catch_exceptions=False)
    assert done.exit_code == 0
    assert '"url": "https://127.0.0.2:' in done.output
    first = ca_file.read_text()
    assert "PRIVATE" not in first
    (kept,) = (tmp_path / "twin").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert workshop.house.faults.judge("vcenter", "ClusterComputeResource.AddHost_Task", "prod").rules
    CliRunner().invoke(app, arguments, obj=workshop, catch_exceptions=False)
    assert ca_file.read_text() == first


def test_hosts_of_a_profile_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []

    def serve(house: Any, *_: Any) -> int:
        served.append(house)
        return 0

    monkeypatch.setattr("providers.twin.serving._serve", serve)
    for arguments in (["--hosts", "2", "--profile", "esxi-8.0.3"], ["--hosts", "2"]):
        done = CliRunner().invoke(app, ["serve", *arguments], catch_exceptions=False)
        assert done.exit_code == 0
    ours, newborn = ([box.running.config for box in house.inventory.all(Box)] for house in served)
    assert [sorted(each.vnics) for each in ours] == [["vmk0", "vmk1"]] * 2
    assert len({each.vnics["vmk1"].mac for each in ours} | {each.vnics["vmk1"].ip for each in ours}) == 4
    assert [sorted(each.vnics) for each in newborn] == [["vmk0"]] * 2


def test_serve_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["serve", "lab.yaml", "--hosts", "3"], obj=FakeWorkshop(tmp_path))
    assert done.exit_code == 2  # the CLI makes it 64
    bad = tmp_path / "faults.yaml"
    bad.write_text("- {kind: nonsense}")
    with pytest.raises(FleetError, match="unknown fault kind 'nonsense'"):
        serving.serve_new(0, Serving("127.0.0.2", 0, faults=str(bad)))
    with (open_server(new_house(0), Serving("127.0.0.2", 0)) as server,
          pytest.raises(FleetError, match="cannot be served there")):
        serving.serve_new(0, Serving("127.0.0.2", server.port))
