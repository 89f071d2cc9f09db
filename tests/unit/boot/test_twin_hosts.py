"""What runs on machines of the twin: the firewall of a payload, agentless hosts, and hosts with a disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from planner.model import Attrs, SecretRef, StepFailed
from planner.ports import Call
from providers.boot.payload import Stopped
from providers.midwife.desk import Verdict
from providers.twin.baseline import ruleset
from providers.twin.facts.firewall import covers
from providers.twin.house import House, MachineSpec, open_house
from providers.twin.netboot import BootFailed, Insides, MachineClock, network_boot
from providers.twin.outbound import Blocked, HouseFirewall, NewbornFirewall, let_out
from tests.faults.test_birth import Booted
from tests.unit.boot.kit import MACS, FakeHouse, Site, operations, site, until

MAC = MACS[0]
INSTALL = {"disk": "first", "overwrite_vmfs": True, "datastore": True}


@pytest.fixture
def house() -> House:
    return open_house(None, "lab", machines=[MachineSpec(mac, f"esx0{n}.lab.example") for n, mac in enumerate(MACS, 1)])


def stage(here: Site, *, declared: Mapping[str, Any] | None = None, **after: Any) -> Call:
    """Stand the image in that way, for the first host, which declares more than others; a call for its next steps."""
    call = here.call(MAC)
    more = {"root_password": SecretRef("env:LASTING"), **(declared or {})}
    attributes = {**call.declared, **more}
    resources = {a: replace(r, attributes={**r.attributes, **more}) if r.attributes["mac"] == MAC else r
                 for a, r in here.fleet.resources.items()}
    fleet = replace(here.fleet, resources=resources)
    here.boot._context = replace(here.boot._context, fleet=fleet, secret=lambda ref: f"{ref.reference}-Pw1")
    call = replace(call, after={"staged": here.digest, **after}, declared=attributes,
                   secret=lambda ref: f"{ref.reference}-Pw1")
    here.boot.run(operations()["boot.stage"], call)
    return call


def run(here: Site, operation: str, call: Call) -> Attrs:
    found = operations()[operation]
    return (here.power if found.provider == "power" else here.boot).run(found, replace(call, operation=operation))


# --- the firewall ---------------------------------------------------------------------------------------------


def test_a_payload_opens_its_rule_set_and_closes_it_again(tmp_path: Path, house: House,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    with site(tmp_path, house=house) as here:
        judge, seen = here.boot.desk.judge, list[bool]()

        def look(body: bytes, client: str) -> Verdict:
            running = house.box(MAC).running
            assert running is not None
            seen.append(ruleset(running, "httpClient"))
            return judge(body, client)

        monkeypatch.setattr(here.boot.desk, "judge", look)
        call = stage(here)
        run(here, "power.boot", call)
        run(here, "birth.wait", call)
        running = house.box(MAC).running
        assert running is not None
        until(lambda: not ruleset(running, "httpClient"))
        assert seen == [True]
        assert running.config.rulesets == {}  # as a newborn has them


def test_a_closed_rule_set_is_no_birth(tmp_path: Path) -> None:
    class Stuck(NewbornFirewall):
        def set(self, key: str, wanted: bool) -> None:
            """Somebody locked it."""

    with site(tmp_path) as here:
        stage(here)
        with pytest.raises(BootFailed, match=r"no birth in 20 attempts; last: no answer \(Blocked\)"):
            network_boot(here.house, here.house.machine(MAC), *here.endpoints[0], "mboot.efi", pause=lambda _s: None,
                         inside=Insides(firewall=lambda _boot: Stuck()))
        assert list(here.boot.inbox) == []


@pytest.mark.parametrize("born", [False, True])
def test_a_birth_port_that_a_site_chose_is_what_it_is(tmp_path: Path, born: bool) -> None:
    """Nobody can bind 443 in a test: the ephemeral port counts as it, or as itself."""
    with site(tmp_path) as here:
        stage(here)
        port = int(here.endpoints[2].rsplit(":", 1)[1])
        inside = Insides(ports={port: 443} if born else {})
        boot = [here.house, here.house.machine(MAC), *here.endpoints[0], "mboot.efi"]
        if born:
            network_boot(*boot, inside=inside, pause=lambda _s: None)
        else:
            with pytest.raises(BootFailed, match="Blocked"):
                network_boot(*boot, inside=inside, pause=lambda _s: None)
        assert len(list(here.boot.inbox)) == born


def test_a_session_counts_ephemeral_ports_only(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        port = int(here.endpoints[2].rsplit(":", 1)[1])
        assert here.boot._ephemeral() == {port: 443}
        here.boot._context = replace(here.boot._context, block={"ports": {"birth": port}})
        assert here.boot._ephemeral() == {}


def test_what_was_open_stays_open(tmp_path: Path) -> None:
    firewall = NewbornFirewall()
    firewall.set("httpClient", True)
    with site(tmp_path) as here:
        stage(here)
        network_boot(here.house, here.house.machine(MAC), *here.endpoints[0], "mboot.efi",
                     inside=Insides(firewall=lambda _boot: firewall))
        assert firewall.is_open("httpClient")
        assert len(list(here.boot.inbox)) == 1


def test_it_is_closed_after_a_refusal_too(tmp_path: Path) -> None:
    firewall = NewbornFirewall()
    with site(tmp_path) as here:
        stage(here)

        class Slow(MachineClock):
            def now(self) -> float:
                """Read once everything is fetched; by then a person has staged it anew."""
                here.boot.desk.expect(MAC)
                return super().now()

        with pytest.raises(BootFailed, match="401"):
            network_boot(here.house, here.house.machine(MAC), *here.endpoints[0], "mboot.efi",
                         inside=Insides(firewall=lambda _boot: firewall, clock=Slow()))
        assert not firewall.is_open("httpClient")


@pytest.mark.parametrize(("key", "protocol", "port", "out"), [
    ("httpClient", "tcp", 443, True), ("httpClient", "tcp", 80, True), ("httpClient", "tcp", 8443, False),
    ("httpClient", "udp", 443, False), ("syslog", "udp", 514, True), ("ntpClient", "udp", 123, True),
    ("nfsClient", "tcp", 2049, True), ("sshServer", "tcp", 22, False), ("dhcp", "udp", 68, False)])
def test_what_a_rule_set_lets_out(key: str, protocol: str, port: int, out: bool) -> None:
    assert covers(key, protocol, port) == out
    firewall = NewbornFirewall()
    firewall.set(key, False)
    with pytest.raises(Blocked):
        let_out(firewall, key, protocol, port)
    firewall.set(key, True)
    if out:
        let_out(firewall, key, protocol, port)


def test_a_host_that_is_gone_sends_nothing(house: House) -> None:
    house.complete_boot(MAC, build="1", version="8.0.3")
    firewall = HouseFirewall(house, MAC, house.box(MAC).boots)
    firewall.set("httpClient", True)
    assert firewall.is_open("httpClient")
    house.complete_boot(MAC, build="1", version="8.0.3")
    assert not firewall.is_open("httpClient")
    firewall.set("httpClient", True)  # of the boot before: nobody is there to be opened
    running = house.box(MAC).running
    assert running is not None
    assert not ruleset(running, "httpClient")


def test_a_payload_goes_on_when_the_process_that_played_its_machine_was_killed(tmp_path: Path) -> None:
    """What it had opened is closed by then, also where another effect wrote that down."""
    first = open_house(tmp_path / "twin", "lab", seed=None, machines=[MachineSpec(MAC, "esx01")], writable=True)
    first.complete_boot(MAC, build="1", version="8.0.3")
    HouseFirewall(first, MAC, first.box(MAC).boots).set("httpClient", True)
    with first.change():
        first.inventory.mark(first.box(MAC))
    first.close()
    again = open_house(tmp_path / "twin", "lab", seed=None, machines=[MachineSpec(MAC, "esx01")], writable=True)
    running = again.box(MAC).running
    again.close()
    assert running is not None
    assert not ruleset(running, "httpClient")
    assert not running.passing


# --- agentless ------------------------------------------------------------------------------------------------


def test_an_agentless_host_is_born_by_its_door(tmp_path: Path, house: House) -> None:
    with site(tmp_path, house=house) as here:
        call = stage(here, agentless=True)
        run(here, "power.boot", call)
        facts = run(here, "birth.wait", call)
        machine = house.machine(MAC)
        assert (facts["uuid"], facts["serial"], facts["ip"]) == (machine.uuid, machine.serial, machine.ip)
        assert facts["certificate"] == house.door_certificate(machine.ip)
        assert (facts["image"], facts["build"]) == (here.digest, "24022510")
        [birth] = here.boot.inbox
        assert (birth["agentless"], birth["trust"]) == (True, "first use")
        assert here.boot.inbox.refused() == []  # it posted nothing
        assert here.observe("birth.wait", MAC) == facts
        run(here, "power.boot", call)  # cycled
        again = run(here, "birth.wait", call)
        assert again["certificate"] != facts["certificate"]


def test_a_payload_host_is_not_looked_at(tmp_path: Path, house: House) -> None:
    with site(tmp_path, house=house) as here:
        call = stage(here)
        house.complete_boot(MAC, build="24022510", version="8.0.3")  # its door answers; no birth was posted
        here.boot.trail.handed_over(MAC, "b", "127.0.0.1")
        with pytest.raises(StepFailed, match="no birth before the deadline"):
            run(here, "birth.wait", replace(call, deadline=0.0))


# --- a disk ---------------------------------------------------------------------------------------------------


def log_in(house: House, ip: str, password: str) -> Any:
    service: Any = vim.ServiceInstance
    content = service("ServiceInstance", house.door(ip)).RetrieveContent()
    content.sessionManager.Login("root", password, None)
    return content


@pytest.mark.parametrize("agentless", [False, True])
def test_an_installation_and_the_boots_after_it(tmp_path: Path, house: House, agentless: bool) -> None:
    with site(tmp_path, house=house) as here:
        call = stage(here, declared={"initial_root_password": SecretRef("env:FIRST")}, boots="install",
                     installs=INSTALL, **({"agentless": True} if agentless else {}))
        run(here, "power.boot", call)
        facts = run(here, "birth.wait", call)
        ip = house.machine(MAC).ip
        with pytest.raises(vim.fault.InvalidLogin):
            log_in(house, ip, "")
        host = log_in(house, ip, "env:FIRST-Pw1").rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
        host.configManager.networkSystem.AddVirtualSwitch("vSwitch7")
        house.reboot(MAC)
        until(lambda: house.machine(MAC).power == "on")
        assert house.door_certificate(ip) == facts["certificate"]  # nothing of it is new
        running = house.box(MAC).running
        assert running is not None
        assert "vSwitch7" in running.config.vswitches
        assert len(list(here.boot.inbox)) == 1
    house.shut_down(MAC)
    house.power(MAC, "on")  # nobody serves boot files any more
    assert house.machine(MAC).power == "on"
    assert house.door_certificate(ip) == facts["certificate"]


def test_a_machine_that_would_be_installed_again_says_so(tmp_path: Path, house: House,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.midwife.desk.Desk.handed_over", lambda *_: None)  # its hand-over is lost
    with site(tmp_path, house=house) as here:
        call = stage(here, declared={"initial_root_password": SecretRef("env:FIRST")}, boots="install",
                     installs=INSTALL)
        run(here, "power.boot", call)
        until(lambda: "install it again" in house.machine(MAC).problem)


def test_a_machine_without_anything_on_its_disk(tmp_path: Path, house: House) -> None:
    with site(tmp_path, house=house) as here:
        call = stage(here, boots="once")
        run(here, "power.boot", call)
        run(here, "birth.wait", call)
        house.reboot(MAC)  # it was for that boot only
        until(lambda: "nothing on its disk" in house.machine(MAC).problem)
        assert house.machine(MAC).power == "booting"


def test_fake_machines_have_no_disk(tmp_path: Path) -> None:
    with site(tmp_path, house=FakeHouse()) as here:
        call = stage(here, boots="once")
        Booted(here)
        run(here, "power.boot", call)
        run(here, "birth.wait", call)
        with pytest.raises((BootFailed, Stopped), match="no disk to boot from"):
            network_boot(here.house, here.house.machine(MAC), *here.endpoints[0], "mboot.efi")
