"""Hosts that were there before: with VMs, managed elsewhere, disconnected, with a wrong clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.model import StepFailed
from providers.vsphere.block import power_offline
from tests.unit.vsphere.kit import HOST, MAC, NAME, Bench, at, open_bench

SEED = f"""\
datacenters: [dc0]
clusters: {{dc0/prod: {{}}, dc0/other: {{}}}}
hosts:
  {NAME}: {{mac: "{MAC}", cluster: dc0/prod, maintenance: MODE, state: STATE, root_password: Lasting.1!}}
vms:
  db2: {{host: {NAME}}}
  db1: {{host: {NAME}}}
  vCLS-1: {{host: {NAME}}}
"""
BARE = "datacenters: [dc0]\nclusters: {dc0/prod: {}}\n"


def seeded(folder: Path, state: str = "connected", mode: str = "true", text: str = SEED) -> Bench:
    path = folder / "seed.yaml"
    path.write_text(text.replace("STATE", state).replace("MODE", mode))
    return open_bench(seed=str(path))


def test_vms_are_named_but_vspheres_own(tmp_path: Path) -> None:
    live = seeded(tmp_path).snapshot()
    assert live.hosts[at(HOST)].vms == ("db1", "db2")
    assert live.hosts[at(HOST)].in_maintenance


def test_guests_are_known_by_what_their_tools_tell(tmp_path: Path) -> None:
    guest = "guest: {name: db1.lab.example, ip: 10.0.0.5}"
    text = SEED.replace(f"db1: {{host: {NAME}}}", f"db1: {{host: {NAME}, {guest}}}")
    assert text != SEED
    assert seeded(tmp_path, text=text).snapshot().hosts[at(HOST)].guests == (
        ("db1", "db1.lab.example"), ("db1", "10.0.0.5"))


def test_a_host_with_vms_is_not_removed(tmp_path: Path) -> None:
    bench = seeded(tmp_path)
    bench.snapshot()
    with pytest.raises(StepFailed, match="virtual machines are registered") as caught:
        bench.run(HOST, "host.remove")
    assert "db1, db2" in caught.value.detail
    assert not bench.house.calls


def test_a_dead_host_takes_its_vms_along(tmp_path: Path) -> None:
    bench = seeded(tmp_path, "gone")
    assert bench.snapshot().hosts[at(HOST)].vms == ("db1", "db2")
    assert bench.made(lambda: bench.run(HOST, "host.remove_dead")) == ["HostSystem.Destroy_Task"]
    assert at(HOST) not in bench.snapshot().hosts


def test_what_an_unrecognized_host_would_lose_is_named(tmp_path: Path) -> None:
    from providers.vsphere.host.operations import unrecognized

    bench = seeded(tmp_path, "gone")
    bench.snapshot()
    call = bench.call(HOST, "host.reconnect")
    failed = unrecognized(bench.session, call, bench.session.host(call))
    assert "db1, db2" in failed.detail
    assert f"--replace '{HOST}'" in failed.remedy


def test_a_disconnected_host_is_shown_as_that(tmp_path: Path) -> None:
    live = seeded(tmp_path, "disconnected").snapshot()
    assert live.hosts[at(HOST)].connection == "disconnected"
    assert live.unread == {at(HOST): "it is disconnected in vCenter"}


def test_a_host_of_another_vcenter_is_not_taken_unless_asked(tmp_path: Path) -> None:
    elsewhere = f'machines: {{"{MAC}": {{managed_by: 00000000-0000-0000-0000-00000000abcd}}}}\n'
    bench = seeded(tmp_path, text=BARE + elsewhere)
    machine = bench.house.machine(MAC)  # it runs already
    bench.facts.update(ip=machine.ip, uuid=machine.uuid, certificate=bench.house.door_certificate(machine.ip))
    bench.door()
    wanted = {"name": NAME, "mac": MAC, "cluster": "cluster.prod"}
    with pytest.raises(StepFailed, match="AlreadyBeingManaged") as caught:
        bench.run(HOST, "host.add", None, wanted)
    assert "force" in caught.value.remedy
    bench.run(HOST, "host.add", None, {**wanted, "force": True})
    assert at(HOST) in bench.snapshot().hosts


def test_a_clock_that_is_a_day_off_fails_with_the_servers_words(tmp_path: Path) -> None:
    bench = seeded(tmp_path, text=BARE + f'machines: {{"{MAC}": {{skew: 100000}}}}\n')
    bench.born()
    bench.door()
    with pytest.raises(StepFailed) as caught:
        bench.run(HOST, "host.add", None, {"name": NAME, "mac": MAC, "cluster": "cluster.prod"})
    assert caught.value.summary.startswith("ClusterComputeResource.AddHost_Task failed with")
    assert "clock" in caught.value.detail


def test_how_machines_are_started_is_the_same_without_a_server(tmp_path: Path) -> None:
    """`plan --no-refresh` must not ask a person to press what a refreshed plan presses itself."""
    text = BARE + 'machines:\n  "52:54:00:00:00:77": {power: external}\n  "52:54:00:00:00:78": {skew: 5}\n'
    bench = seeded(tmp_path, text=text)
    offline = power_offline({"server": "twin", "seed": str(tmp_path / "seed.yaml")})
    macs = (MAC, "52:54:00:00:00:77", "52:54:00:00:00:78", "")
    ways = [bench.session.power({"mac": mac}) for mac in macs]
    assert ways == ["twin", "manual", "twin", "manual"]
    assert [offline({"mac": mac.upper()}) for mac in macs] == ways
    assert power_offline({"server": "vc.example"})({"mac": MAC}) == "manual"
