"""Runners that die, and others that take over from clean machines: state and journal are a midwife's, vCenter is HTTPS.

The midwife and vCenter are processes of their own; every `fleet` of a runner works in an empty folder, with nothing but
the fleet's file and its identity.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from state.remote import RemoteStore
from tests.support.places import quick_folder
from tests.support.process import FLEET, Site
from tests.support.state_server import StateProcess

KILLS = 20
HOSTS = 3
BOOT_CFG = "title=stand-in\nprefix=\nkernel=/b.b00\nkernelopt=\nmodules=/s.v00\nbuild=8.0.3-24022510\n"
FILE = """\
fleet: {{name: lab}}
provider:
  vsphere:
    server: {vcenter}
    user: administrator@vsphere.local
    password: '${{secret("env:VCENTER_PASSWORD")}}'
    ca_file: {folder}/ca.pem
  boot: {{midwife: "{midwife}", identity: '${{secret("file:lab.pem")}}', patience: 20}}
image:
  esxi8: {{source: {folder}/image}}
datacenter: {{dc0: {{}}}}
cluster: {{prod: {{datacenter: '${{datacenter.dc0}}'}}}}
host:
  esx:
    for_each: {{esx01: {{n: 1}}, esx02: {{n: 2}}, esx03: {{n: 3}}}}
    name: 'esx0000${{each.value.n}}.twin.example'
    mac: '52:54:00:00:00:0${{each.value.n}}'
    image: ${{image.esxi8}}
    cluster: ${{cluster.prod}}
    root_password: '${{secret("env:ESX_ROOT_PASSWORD")}}'
    ntp: {{servers: [10.0.0.{n}]}}
    dns: {{servers: [10.0.1.{n}], domain: lab.example}}
    vswitch: {{vSwitch1: {{uplinks: [vmnic1], mtu: {mtu}}}}}
    portgroup: {{A: {{vswitch: vSwitch1, vlan: 2{n}}}, B: {{vswitch: vSwitch1, vlan: 3{n}}}}}
"""


@dataclass
class Places:
    """The site, and the machines of runners: one folder each."""

    folder: Path
    vcenter: str
    midwife: StateProcess
    number: int = 0

    @property
    def store(self) -> RemoteStore:
        return self.midwife.store("lab")

    def fresh(self, version: int) -> Site:
        """A clean machine."""
        self.number += 1
        folder = self.folder / f"runner-{self.number}"
        folder.mkdir()
        (folder / "lab.pem").write_text(self.midwife.identity("lab"))
        (folder / "fleet.yaml").write_text(FILE.format(
            vcenter=self.vcenter, midwife=self.midwife.url, folder=self.folder, n=version % 10,
            mtu=1500 + 100 * (version % 10)))
        return Site(folder, env={"VCENTER_PASSWORD": "twin", "ESX_ROOT_PASSWORD": "Kill-me-1!"})

    def killed(self, version: int, command: str, after: int) -> bool:
        """A runner that is killed when it has told of so many records; False: it was done before."""
        site = self.fresh(version)
        process = site.start(command, "fleet.yaml", "--auto-approve", "--json", stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                after -= '"kind": "done"' in line or '"kind":"done"' in line or '"begin"' in line
                if not after:
                    process.kill()
                    break
        code = process.wait(60)
        assert code in (0, -9)
        return code == -9


@pytest.fixture
def places() -> Iterator[Places]:
    with quick_folder() as folder:
        image = folder / "image"
        image.mkdir()
        (image / "boot.cfg").write_text(BOOT_CFG)
        for name in ("b.b00", "s.v00", "mboot.efi"):
            (image / name).write_bytes(bytes(1000))
        twin = subprocess.Popen([*FLEET, "twin", "serve", "--hosts", str(HOSTS), "--port", "0", "--ca-file",
                                 str(folder / "ca.pem"), "--json"], stdout=subprocess.PIPE, text=True)
        assert twin.stdout is not None
        midwife = StateProcess(folder / "site").start()
        try:
            said: dict[str, Any] = json.loads(twin.stdout.readline())
            yield Places(folder, said["url"].split("/")[2], midwife)
        finally:
            midwife.close()
            twin.terminate()
            twin.wait(20)
            twin.stdout.close()


def test_a_runner_on_a_clean_machine_knows_everything(places: Places) -> None:
    places.fresh(1).run("apply", "fleet.yaml", "--auto-approve")
    site = places.fresh(1)
    assert site.look("plan", "fleet.yaml", "--detailed-exitcode").code == 0
    assert len(site.look("state", "list", "fleet.yaml", "--json").json["resources"]) > 3 * 5
    assert [row["outcome"] for row in site.look("state", "history", "fleet.yaml", "--json").json["history"]] == [
        "applied"]
    pulled = site.look("state", "pull", "fleet.yaml").out
    assert places.store.dump(places.store.read()).decode() == pulled  # type: ignore[arg-type]
    (site.folder / "pulled.json").write_text(pulled)
    assert not (site.folder / ".fleet" / "lab" / "state.json").exists()
    site.run("state", "push", "fleet.yaml", "pulled.json", "--reason", "there and back")
    site.run("state", "rm", "fleet.yaml", 'host.esx["esx01"].dns')
    assert site.look("state", "verify", "fleet.yaml").code == 0
    with places.store.lock("apply", "CHG-5"):
        told = places.fresh(2).run("apply", "fleet.yaml", "--auto-approve", code=6).err
        assert "for apply: CHG-5" in told
        assert "Removed the lock" in site.look("state", "unlock", "fleet.yaml").out
    places.fresh(1).run("apply", "fleet.yaml", "--auto-approve")


def test_a_state_that_was_left_behind_is_taken_along(places: Places) -> None:
    """A fleet that had no midwife until now."""
    site = places.fresh(1)
    with_midwife = (site.folder / "fleet.yaml").read_text()
    without = "\n".join(line for line in with_midwife.splitlines() if "midwife" not in line)
    (site.folder / "fleet.yaml").write_text(without)
    site.run("apply", "fleet.yaml", "--auto-approve")
    (site.folder / "fleet.yaml").write_text(with_midwife)
    for command in (("plan",), ("state", "list"), ("state", "unlock")):
        told = site.look(*command, "fleet.yaml", code=1).err
        assert "state push fleet.yaml" in told
    local = site.folder / ".fleet" / "lab" / "state.json"
    site.run("state", "push", "fleet.yaml", str(local))
    local.rename(local.with_name("old.json"))
    assert site.look("plan", "fleet.yaml", "--detailed-exitcode").code == 0
    site.run("apply", "fleet.yaml", "--auto-approve")
    (site.folder / "fleet.yaml").write_text(with_midwife.replace("{name: lab}", "{name: lab, state: here}"))
    assert "two places" in site.look("plan", "fleet.yaml", code=1).err


def test_the_link_is_cut_for_longer_than_the_runner_waits(places: Places) -> None:
    site = places.fresh(1)
    text = (site.folder / "fleet.yaml").read_text().replace("patience: 20", "patience: 1")
    (site.folder / "fleet.yaml").write_text(text)
    process = site.start("apply", "fleet.yaml", "--auto-approve", "--json", stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if '"done"' in line:
                places.midwife.kill()
                break
        told = lines.read()
    assert process.wait(60) == 3, told
    places.midwife.start()
    assert "does not answer" in told
    assert "from any machine" in told
    places.store.unlock()
    other = places.fresh(1)
    assert "not complete" in other.run("apply", "fleet.yaml", "--auto-approve", code=3).err
    other.run("resume", "fleet.yaml", "--auto-approve")
    assert other.look("plan", "fleet.yaml", "--detailed-exitcode").code == 0


@pytest.mark.slow
def test_runners_killed_and_replaced(places: Places) -> None:
    chance, kills, version = random.Random(4), 0, 0
    while kills < KILLS:
        version += 1
        for _ in range(10):
            if not places.killed(version, "resume" if unfinished(places.store) else "apply", chance.randint(1, 7)):
                break
            kills += 1
            places.store.unlock()  # as whoever knows that the machine is gone: else its lease lapses in a minute
        site = places.fresh(version)
        site.run("resume" if unfinished(places.store) else "apply", "fleet.yaml", "--auto-approve")
        assert site.look("plan", "fleet.yaml", "--detailed-exitcode").code == 0
    runs = places.store.runs()
    assert [info.outcome for info in runs] == ["applied"] * version
    assert list(places.store.verify()) == []


def unfinished(store: RemoteStore) -> bool:
    return any(info.outcome in ("", "incomplete") for info in store.runs())
