"""A real process, real sockets, SIGKILL in the middle of a run: nothing is lost, and the run can be ended either way.

Fifty kills are spread evenly over the records of four different runs; each one is checked to have hit an open journal
(one that missed is repeated at another moment and does not count).
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from providers.twin.house import open_house
from tests.support.places import once, quick_folder
from tests.support.process import Kill, Site

pytestmark = pytest.mark.slow

SHARES = 10
SALT = os.environ.get("FLEET_KILL_SALT", "")  # other moments, for a soak: FLEET_KILL_SALT=2 pytest …
ENDINGS = ("resume", "rollback")
SCENARIOS = {"births": 10, "edit": 6, "reborn": 6, "destroy": 3}  # kills for each ending
PLANNED = [(scenario, ending, number / count) for scenario, count in SCENARIOS.items()
           for number in range(count) for ending in ENDINGS]
"""Scenario, ending, and from which share of its records on: evenly spread within each scenario and ending."""

HEAD = """\
fleet: {name: lab}
provider:
  vsphere: {server: twin, seed: seed.yaml}
  boot: {listen: 127.0.0.1}
image:
  esxi8: {source: image}
datacenter:
  dc0: {}
"""

# A new host is born, a known one is gone and comes back, a cluster is made: real TFTP, HTTP and births over TLS.
BORN = HEAD + """\
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: true}, ha: {enabled: true}}
  edge: {datacenter: '${datacenter.dc0}', drs: {enabled: false}}
profile:
  compute:
    image: ${image.esxi8}
    cluster: ${cluster.prod}
    root_password: '${secret("env:ESX_ROOT_PASSWORD")}'
    dns: {servers: [10.0.0.53], domain: lab.example}
    ntp: {servers: [10.0.0.1, 10.0.0.2]}
    syslog: {targets: ["udp://10.0.0.9:514"]}
    vswitch:
      vSwitch0: {uplinks: [vmnic0], mtu: 1500}
      vSwitch1: {uplinks: [vmnic1], mtu: 9000}
    portgroup: {vMotion: {vswitch: vSwitch1, vlan: 20}}
    nfs: {images: {server: nas1, path: /export/images, version: 3, access: readOnly}}
    service: {TSM-SSH: {policy: "on", running: true}}
    option: {UserVars.SuppressShellWarning: 1}
    vmkernel:
      vmk1: {portgroup: vMotion, ip: 10.0.20.11, netmask: 255.255.255.0, mtu: 9000, services: [vmotion]}
host:
  esx01: {profile: compute, name: esx01.lab.example, mac: "52:54:00:00:00:11"}
  esx03: {profile: compute, name: esx03.lab.example, mac: "52:54:00:00:00:13", vmkernel: {vmk1: {ip: 10.0.20.13}}}
"""

# After that: one host changes in everything, another leaves, a third is born; a cluster goes.
EDITED = HEAD + """\
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: false}, ha: {enabled: false}}
profile:
  compute:
    image: ${image.esxi8}
    cluster: ${cluster.prod}
    root_password: '${secret("env:ESX_ROOT_PASSWORD")}'
host:
  esx03:
    profile: compute
    name: esx03.lab.example
    mac: "52:54:00:00:00:13"
    dns: {servers: [10.0.0.54], domain: x.example}
    ntp: {servers: [10.0.0.3]}
    syslog: {targets: ["tcp://10.0.0.9:514"]}
    vswitch:
      vSwitch0: {uplinks: [vmnic0, vmnic1], mtu: 9000}
      vSwitch1: {uplinks: [vmnic2], mtu: 1500}
    portgroup: {vMotion: {vswitch: vSwitch0, vlan: 30}}
    vmkernel:
      vmk1: {portgroup: vMotion, ip: 10.0.30.13, netmask: 255.255.255.0, mtu: 1500, services: [provisioning]}
    nfs: {images: {server: nas2, path: /x, version: 3, access: readWrite}}
    service: {TSM-SSH: {policy: "off", running: false}}
    option: {UserVars.SuppressShellWarning: 0}
  esx02: {profile: compute, name: esx02.lab.example, mac: "52:54:00:00:00:12", ntp: {servers: [10.0.0.3]}}
"""

SEED = """\
datacenters: [dc0]
clusters: {dc0/prod: {}}
hosts:
  esx03.lab.example:
    mac: 52:54:00:00:00:13
    cluster: dc0/prod
    state: gone
    config:
      vswitch: {vSwitch1: {uplinks: [vmnic1], mtu: 1500}}
      portgroup: {Old vMotion: {vswitch: vSwitch1, vlan: 99}}
      ntp: {servers: [10.0.0.9]}
"""

BOOT_CFG = "title=stand-in\nprefix=\nkernel=/b.b00\nkernelopt=\nmodules=/s.v00\nbuild=8.0.3-24022510\n"

INVENTORY = ("inventory", "hosts", "datastores", "vms", "networks")


def found(folder: Path) -> Site:
    """A new working directory with the first fleet."""
    (folder / "image").mkdir(parents=True)
    (folder / "image/boot.cfg").write_text(BOOT_CFG)
    (folder / "image/mboot.efi").write_bytes(b"loader")
    (folder / "image/b.b00").write_bytes(b"kernel" * 1000)
    (folder / "image/s.v00").write_bytes(b"module" * 100_000)
    (folder / "seed.yaml").write_text(SEED)
    (folder / "fleet.yaml").write_text(BORN)
    return Site(folder, env={"ESX_ROOT_PASSWORD": "Kill-me-1!"})


def dump(site: Site) -> dict[str, Any]:
    """The twin's inventory, without what a reading cannot tell apart (times, certificates, MoRefs)."""
    house = open_house(site.folder / ".fleet/lab/twin", "lab", seed=site.folder / "seed.yaml", machines=[],
                       writable=False)
    return dict(house.dump())


def state(site: Site) -> dict[str, Any]:
    """Address → origin and attributes, as `fleet state pull` has them; {} without state."""
    document = site.look("state", "pull", "fleet.yaml").json
    return {r["address"]: (r["origin"], r["attributes"]) for r in document["resources"]}


@dataclass(frozen=True, slots=True)
class Reference:
    """One scenario, unkilled: where it starts, ends, and ends when it is rolled back."""

    start: Site
    before: dict[str, Any]
    after: dict[str, Any]
    back: dict[str, Any]
    state_before: dict[str, Any]
    state_after: dict[str, Any]
    records: int  # of an apply that nobody kills
    undone: int  # of a rollback that nobody kills


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with quick_folder() as found:
        yield found


@pytest.fixture(scope="module")
def references() -> dict[str, Reference]:
    return once("sigkill-references", unkilled)


def unkilled(folder: Path) -> dict[str, Reference]:
    born = found(folder / "births")
    measured = {"births": measure(born, folder / "births-reference")}
    applied = Site(folder / "births-reference-applied", env=born.env)
    for name, text in (("edit", EDITED), ("reborn", EDITED), ("destroy", HEAD)):
        start = applied.copy(folder / name)
        (start.folder / "fleet.yaml").write_text(text)
        if name == "reborn":  # it loses its power first: it has to be born again, and to change
            start.run("twin", "power", "fleet.yaml", "host.esx03", "off")
        measured[name] = measure(start, folder / f"{name}-reference")
    return measured


def measure(start: Site, folder: Path) -> Reference:
    site = start.copy(folder)
    state_before = state(site)
    site.run("drift", "fleet.yaml")
    before = dump(site)
    site.run("apply", "fleet.yaml", "--auto-approve")
    records = site.count() - start.count()
    site.look("plan", "fleet.yaml", "--detailed-exitcode")
    after, state_after = dump(site), state(site)
    site.copy(folder.with_name(f"{folder.name}-applied"))
    site.run("rollback", "fleet.yaml", "--auto-approve")
    assert state(site) == state_before
    return Reference(start, before, after, dump(site), state_before, state_after, records,
                     site.count() - start.count() - records)


# --- what must hold -----------------------------------------------------------------------------------------


def readable(site: Site, kill: Kill) -> None:
    """State and journal are there, sound, and hold everything that the process had said."""
    listed = site.look("state", "list", "fleet.yaml", "--json").json
    assert listed["complete"] is False
    assert listed["run"] == kill.run
    assert site.look("state", "verify", "fleet.yaml", "--json").json["sound"] is True
    shown = site.look("show", str(site.runs / f"{kill.run}.jsonl"), "--json").json
    assert len(shown["records"]) == len(kill.records)
    for ending in ("done", "undone", "skipped"):
        told = {event["step"] for event in kill.said if event["kind"] == ending}
        assert told <= {record["step"] for record in kill.records if record["kind"] == ending}
    known = {resource["address"] for resource in listed["resources"]}
    steps = {step["id"]: step for step in shown["steps"]}
    made = {steps[r["step"]]["address"] for r in kill.records if r["kind"] == "begin" and r["before"] is None
            and r["step"] in {d["step"] for d in kill.records if d["kind"] == "done"} and r["after"]
            and "staged" not in r["after"]}
    if all(record["kind"] not in ("undone", "rollback") for record in kill.records):
        assert made <= known


def resumed(site: Site, reference: Reference) -> None:
    """It is as if nobody had killed it."""
    site.look("plan", "fleet.yaml", "--detailed-exitcode")
    now = dump(site)
    for part in (*INVENTORY, "machines", "connections", "power"):
        assert now[part] == reference.after[part], part
    assert state(site) == reference.state_after
    assert site.look("state", "list", "fleet.yaml", "--json").json["complete"] is True


def restored(site: Site, reference: Reference) -> None:
    """It is as if nobody had applied it, less what the plan announces: power, boot, first password, reconnection."""
    now = dump(site)
    reconnected = now["connections"] != reference.before["connections"]
    assert not reconnected or "host.reconnect" in begun(site)
    wanted = reference.back if reconnected else reference.before
    for part in INVENTORY:
        assert now[part] == wanted[part], part
    for mac, machine in now["machines"].items():
        was = reference.before["machines"].get(mac)
        if machine and (reconnected or not was):
            was = newborn(reference, mac, reconnected=reconnected)
        assert machine == was, mac
    assert state(site) == reference.state_before
    assert site.look("state", "list", "fleet.yaml", "--json").json["complete"] is True


def begun(site: Site) -> set[str]:
    """Operations that the newest run began."""
    path = site.newest()
    assert path is not None
    return {r["operation"] for r in site.look("show", str(path), "--json").json["records"] if r["kind"] == "begin"}


def newborn(reference: Reference, mac: str, *, reconnected: bool) -> dict[str, Any]:
    """A machine that was off, booted by the run, and left at that: as the unkilled rollback leaves it."""
    back = reference.back["machines"][mac]
    return back if reconnected or not back else {**back, "managed": ""}


CHECKS = {"resume": resumed, "rollback": restored}


def sound(site: Site) -> None:
    assert site.look("state", "verify", "fleet.yaml", "--json").json["sound"] is True


def struck(reference: Reference, site: Site, chance: random.Random, share: float, *, ports: bool = False) -> Kill:
    """An apply that was killed in its open journal, at about that share of its records. `site` is made anew for it."""
    for _attempt in range(20):
        reference.start.copy(site.folder)
        after = max(1, min(reference.records - 1, round(share * reference.records)))
        kill = site.kill("apply", "fleet.yaml", "--auto-approve", after=after, delay=chance.random() * 0.004,
                         ports=ports)
        if kill is not None:
            return kill
        erase(site)
        share = chance.random()
    raise AssertionError("no kill hit an open journal")


def erase(site: Site) -> None:
    shutil.rmtree(site.folder)


@functools.cache
def numbers() -> Iterator[int]:
    return itertools.count()


def fresh(folder: Path, reference: Reference) -> Site:
    return Site(folder / f"site-{next(numbers())}", env=reference.start.env)


# --- tests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", range(SHARES))
def test_apply_killed(share: int, folder: Path, references: dict[str, Reference]) -> None:
    assert len(PLANNED) == 50
    for number, (scenario, ending, early) in list(enumerate(PLANNED))[share::SHARES]:
        reference, chance = references[scenario], random.Random(f"apply {number}{SALT}")
        site = fresh(folder, reference)
        looked = number % 7 == 3 and scenario != "destroy"  # which boots nothing, and serves nothing
        kill = struck(reference, site, chance, early + chance.random() / SCENARIOS[scenario], ports=looked)
        print(f"{number} {scenario} {ending}: {kill}")
        here = {(address, family) for address, _, family, _ in kill.ports}
        assert here == ({("127.0.0.1", int(socket.AF_INET))} if looked else set())
        readable(site, kill)
        site.run(ending, "fleet.yaml", "--auto-approve")
        CHECKS[ending](site, reference)
        sound(site)
        erase(site)


@pytest.mark.parametrize("scenario", ["births", "edit"])
@pytest.mark.parametrize("second", ENDINGS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_ending_killed_too(scenario: str, second: str, ending: str, folder: Path,
                           references: dict[str, Reference]) -> None:
    """Kill the apply, kill what was to end it, and end it: a killed rollback is finished as one by `resume`, too."""
    reference, chance = references[scenario], random.Random(f"{scenario} {second} {ending}{SALT}")
    for _attempt in range(20):
        site = fresh(folder, reference)
        early = second == "resume"  # leave it something to do
        kill = struck(reference, site, chance, chance.uniform(0.1, 0.5) if early else chance.uniform(0.5, 0.95))
        again = site.kill(second, "fleet.yaml", "--auto-approve", after=chance.randint(1, 12),
                          delay=chance.random() * 0.004)
        if again is not None:
            break
        erase(site)
    else:
        raise AssertionError("no kill hit an open journal")
    print(f"{kill}; {second} {again}")
    assert again.run == kill.run
    readable(site, again)
    site.run(ending, "fleet.yaml", "--auto-approve")
    CHECKS["rollback" if second == "rollback" else ending](site, reference)
    sound(site)


@pytest.mark.parametrize("scenario", ["births", "edit"])
def test_killed_at_the_very_end(scenario: str, folder: Path, references: dict[str, Reference]) -> None:
    """The last record says that the run is over; its last checkpoint, or the process's own end, never came."""
    reference, chance = references[scenario], random.Random(f"end {scenario}{SALT}")
    site = fresh(folder, reference)
    for delay in (chance.random() * 0.02, *(0.0 for _ in range(20))):
        reference.start.copy(site.folder)
        if site.kill("apply", "fleet.yaml", "--auto-approve", after=None, delay=delay) is None and \
                (site.folder / "killed.out").read_text().count('"kind": "outcome"') == 0:
            break
        erase(site)
    else:
        raise AssertionError("no kill hit the end")
    resumed(site, reference)
    sound(site)
    assert "no run is open" in site.run("resume", "fleet.yaml", "--auto-approve", code=1).err
    site.run("apply", "fleet.yaml", "--auto-approve")  # nothing to change
    site.run("rollback", "fleet.yaml", "--auto-approve")
    restored(site, reference)
    sound(site)


def test_killed_before_anything_was_begun(folder: Path, references: dict[str, Reference]) -> None:
    """The lock is taken, or the plan lies there, but there is no head: nothing was changed, nothing is in the way."""
    reference = references["births"]
    for name in (".fleet/lab/lock", ".fleet/lab/runs"):
        site = fresh(folder, reference)
        reference.start.copy(site.folder)
        process = site.start("apply", "fleet.yaml", "--auto-approve")
        while not (site.folder / name).exists():
            assert process.poll() is None
        process.kill()
        process.communicate()
        if site.count() == 0:
            assert site.look("state", "list", "fleet.yaml", "--json").json["resources"] == []
            site.look("state", "verify", "fleet.yaml")
            site.run("apply", "fleet.yaml", "--auto-approve")
        else:
            site.run("resume", "fleet.yaml", "--auto-approve")
        resumed(site, reference)
