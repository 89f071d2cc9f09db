"""What `fleet apply` refuses, and with which exit code: a held lock (6), a stale plan (5), another vCenter (1), …

Each time nothing is changed: not live, not state, no new run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.twin.house import open_house
from tests.faults.vcenter_kit import vcenter_door
from tests.support.places import quick_folder
from tests.support.process import SECONDS, Done, Site
from tests.support.twin import vcenter

FLEET = """\
fleet: {name: lab}
provider:
  vsphere: {server: twin, seed: seed.yaml}
  boot: {listen: 127.0.0.1}
image:
  esxi8: {source: images/demo}
datacenter:
  dc0: {}
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: false}}
host:
  a:
    name: a.lab.example
    mac: '52:54:00:00:00:11'
    cluster: ${cluster.prod}
    portgroup: {vMotion: {vswitch: vSwitch0, vlan: 20}}
"""
SEED = """\
datacenters: [dc0]
clusters: {dc0/prod: {}}
hosts:
  a.lab.example: {mac: "52:54:00:00:00:11", cluster: dc0/prod}
"""
BOOTED = """\
  b:
    name: b.lab.example
    mac: '52:54:00:00:00:12'
    cluster: ${cluster.prod}
    image: ${image.esxi8}
    root_password: '${secret("file:secrets/esx-root")}'
"""


@pytest.fixture
def site() -> Iterator[Site]:
    """A fleet with one connected host that needs a port group."""
    with quick_folder() as folder:
        found = Site(folder)
        found.look("init")
        (folder / "fleet.yaml").write_text(FLEET)
        (folder / "seed.yaml").write_text(SEED)
        yield found


def edit(site: Site, old: str, new: str) -> None:
    path = site.folder / "fleet.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def house(site: Site, *, writable: bool = False) -> Any:
    return open_house(site.folder / ".fleet/lab/twin", "lab", seed=site.folder / "seed.yaml", machines=[],
                      writable=writable)


def everything(site: Site) -> Any:
    """Live, state and runs: what a refused command must leave alone."""
    found = house(site)
    state = site.folder / ".fleet/lab/state.json"
    runs = sorted(p.name for p in site.runs.glob("*")) if site.runs.is_dir() else []
    return found.dump(), state.read_bytes() if state.exists() else b"", runs


def refused(site: Site, *command: str, code: int) -> str:
    """The command's one error; nothing has changed."""
    before = everything(site)
    line = site.look(*command, "--json", code=code).lines[-1]
    assert line["exit_code"] == code
    assert everything(site) == before
    (problem,) = line["diagnostics"]
    assert problem["remedy"]
    return f"{problem['summary']} | {problem['detail']} | {problem['remedy']}"


# --- the lock -------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(site: Site) -> Iterator[subprocess.Popen[str]]:
    """An apply, in a process of its own, that waits for the birth of a machine which nobody starts."""
    edit(site, "host:\n", "host:\n" + BOOTED)
    (site.folder / "seed.yaml").write_text(
        SEED + 'machines: {"52:54:00:00:00:12": {name: b.lab.example, power: external}}\n')
    process = site.start("apply", "fleet.yaml", "--auto-approve", "--reason", "CHG-4711")
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting for the birth" in line or "no boot file fetched" in line:
            break
    else:
        raise AssertionError("it never waited")
    yield process
    process.kill()
    process.communicate(timeout=SECONDS)


def test_two_at_once(site: Site, busy: subprocess.Popen[str]) -> None:
    """The second one says who holds the lock, since when and why; the first one is not disturbed."""
    site.look("plan", "fleet.yaml", "--out", "p.fleetplan")  # looking is allowed meanwhile
    for command in ("apply fleet.yaml", "apply p.fleetplan", "resume fleet.yaml", "rollback fleet.yaml",
                    "destroy fleet.yaml"):
        arguments = (*command.split(), "--auto-approve")
        done = site.run(*arguments, code=6) if command == "apply fleet.yaml" else site.look(*arguments, code=6)
        assert f"(process {busy.pid}) since 20" in done.err, command
        assert "for apply: CHG-4711" in done.err
        assert "Wait until it ends" in done.err
        assert busy.poll() is None
    (journal,) = site.runs.glob("*.jsonl")
    assert '"kind":"end"' not in journal.read_text()


def test_the_lock_ends_with_its_process(site: Site, busy: subprocess.Popen[str]) -> None:
    site.look("plan", "fleet.yaml")
    busy.kill()
    busy.wait(SECONDS)
    site.look("rollback", "fleet.yaml", "--auto-approve")
    assert house(site).dump()["hosts"]["a.lab.example"]["config"]["portgroups"].keys() == {
        "Management Network", "VM Network"}


# --- stale plans ----------------------------------------------------------------------------------------------


def by_hand(site: Site, act: Callable[[Any], Any]) -> None:
    """Somebody changes the host in vCenter, past fleet."""
    found = house(site, writable=True)
    act(vcenter(found).searchIndex.FindByDnsName(None, "a.lab.example", False))
    found.close()


def vlan(number: int) -> Callable[[Any], Any]:
    def act(host: Any) -> None:
        spec = next(p.spec for p in host.config.network.portgroup if p.spec.name == "vMotion")
        spec.vlanId = number
        host.configManager.networkSystem.UpdatePortGroup("vMotion", spec)

    return act


def applied(site: Site) -> None:
    site.look("apply", "fleet.yaml", "--auto-approve")


def saved(site: Site) -> None:
    """Something is applied, and a plan with a change is saved."""
    applied(site)
    edit(site, "vlan: 20", "vlan: 30")
    site.look("plan", "fleet.yaml", "--out", "p.fleetplan")


APPLY = ("apply", "p.fleetplan", "--auto-approve")


def test_a_plan_whose_ground_did_not_move_is_applied(site: Site) -> None:
    """So that the refusals below are refused for their reasons."""
    saved(site)
    site.look(*APPLY)
    assert "is at serial 2" in refused(site, *APPLY, code=5)  # and only once


def test_live_changed(site: Site) -> None:
    saved(site)
    by_hand(site, vlan(99))
    assert 'host.a.portgroup.vMotion changed on live' in refused(site, *APPLY, code=5)


def test_live_lost_the_host(site: Site) -> None:
    saved(site)
    by_hand(site, lambda host: host.DisconnectHost_Task())
    text = refused(site, *APPLY, code=5)
    assert "host.a changed on live" in text


def test_what_is_not_planned_may_change(site: Site) -> None:
    """Staleness is judged per planned address."""
    saved(site)
    by_hand(site, lambda host: host.configManager.serviceSystem.UpdateServicePolicy("TSM", "on"))
    site.look(*APPLY)


def test_the_configuration_changed(site: Site) -> None:
    saved(site)
    edit(site, "vlan: 30", "vlan: 31")
    assert "configuration changed" in refused(site, *APPLY, code=5)


def test_another_apply_came_between(site: Site) -> None:
    saved(site)
    edit(site, "drs: {enabled: false}", "drs: {enabled: true}")
    applied(site)
    edit(site, "drs: {enabled: true}", "drs: {enabled: false}")
    assert "the state is at serial 2, the plan was made at 1" in refused(site, *APPLY, code=5)


def test_a_state_exists_now(site: Site) -> None:
    site.look("plan", "fleet.yaml", "--out", "p.fleetplan")
    applied(site)
    text = refused(site, *APPLY, code=5)
    assert "a state exists now" in text


def test_a_state_of_another_lineage(site: Site) -> None:
    saved(site)
    state = site.folder / ".fleet/lab"
    for path in (state / "state.json", state / "lineage", *(state / "runs").iterdir()):
        path.unlink()
    edit(site, "vlan: 30", "vlan: 20")
    applied(site)
    edit(site, "vlan: 20", "vlan: 30")
    assert "another lineage" in refused(site, *APPLY, code=5)


def test_the_image_has_other_bytes(site: Site) -> None:
    saved(site)
    (site.folder / "images/demo/b.b00").write_bytes(b"another kernel\n")
    assert "image esxi8 has other bytes" in refused(site, *APPLY, code=5)


def test_all_causes_at_once(site: Site) -> None:
    saved(site)
    by_hand(site, vlan(99))
    edit(site, "vlan: 30", "vlan: 31")
    (site.folder / "images/demo/b.b00").write_bytes(b"another kernel\n")
    text = refused(site, *APPLY, code=5)
    assert all(words in text for words in ("configuration changed", "other bytes", "changed on live"))


# --- plans that never can be applied --------------------------------------------------------------------------


def test_a_plan_without_refresh(site: Site) -> None:
    applied(site)
    edit(site, "vlan: 20", "vlan: 30")
    site.look("plan", "fleet.yaml", "--no-refresh", "--out", "p.fleetplan")
    assert "--no-refresh cannot be applied" in refused(site, *APPLY, code=1)


@pytest.mark.parametrize("damage", ["cut", "newer", "empty"])
def test_a_damaged_plan_file(site: Site, damage: str) -> None:
    site.look("plan", "fleet.yaml", "--out", "p.fleetplan")
    path = site.folder / "p.fleetplan"
    data = path.read_bytes()
    if damage == "newer":
        document = json.loads(data)
        path.write_bytes(json.dumps({**document, "format": 2}).encode())
    else:
        path.write_bytes(data[:len(data) // 2] if damage == "cut" else b"")
    done: Done = site.look(*APPLY, code=1)
    assert "error" in done.err
    assert "defect" not in done.err
    assert not (site.folder / ".fleet/lab/state.json").exists()


# --- another vCenter ------------------------------------------------------------------------------------------


def test_the_state_of_the_twin_never_reaches_another_vcenter() -> None:
    """One fleet, one vCenter: state names its instance; plan, apply, a saved plan, resume and rollback exit 1."""
    with vcenter_door() as door:
        path = door.site.folder / "fleet.yaml"
        real = path.read_text()
        (door.site.folder / "seed.yaml").write_text("".join((
            "datacenters: [dc0]\nclusters: {dc0/prod: {}}\nhosts:\n",
            *(f'  esx0000{n}.twin.example: {{mac: "52:54:00:00:00:0{n}", cluster: dc0/prod}}\n' for n in (1, 2)))))
        twin = real.replace(f'server: "{door.name}"', "server: twin, seed: seed.yaml")
        path.write_text(twin)
        door.site.look("plan", "fleet.yaml", "--out", "p.fleetplan")
        door.site.look("apply", "fleet.yaml", "--auto-approve")
        state = (door.site.folder / ".fleet/real/state.json").read_bytes()
        path.write_text(real)
        for command in (("plan", "fleet.yaml"), ("apply", "fleet.yaml", "--auto-approve"), ("drift", "fleet.yaml"),
                        ("apply", "p.fleetplan", "--auto-approve"), ("rollback", "fleet.yaml", "--auto-approve"),
                        ("destroy", "fleet.yaml", "--auto-approve")):
            (problem,) = door.site.look(*command, "--json", code=1).lines[-1]["diagnostics"]
            assert "another vCenter" in problem["summary"], command
            assert door.house.instance in problem["detail"]
        assert door.calls() == []
        assert (door.site.folder / ".fleet/real/state.json").read_bytes() == state


# --- damaged files --------------------------------------------------------------------------------------------


def cut(data: bytes) -> bytes:
    return data[:len(data) * 2 // 3]


def edited(data: bytes) -> bytes:
    assert b'"vlan":20' in data.replace(b" ", b"")
    return data.replace(b'"vlan":20', b'"vlan":21').replace(b'"vlan": 20', b'"vlan": 21')


def newer(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "format": 2}).encode()


def other_fleet(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "fleet": "elsewhere"}).encode()


def empty(_data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, edited, newer, other_fleet, empty])
def test_a_damaged_state_is_refused_and_left_alone(site: Site, damage: Callable[[bytes], bytes]) -> None:
    applied(site)
    edit(site, "vlan: 20", "vlan: 30")
    path = site.folder / ".fleet/lab/state.json"
    path.write_bytes(damage(path.read_bytes()))
    for command in (("plan", "fleet.yaml"), ("apply", "fleet.yaml", "--auto-approve"),
                    ("rollback", "fleet.yaml", "--auto-approve")):
        assert "state.json" in refused(site, *command, code=1), command


def test_a_state_of_another_lineage_is_refused(site: Site) -> None:
    """A state.json that was copied here from another working directory of the same fleet."""
    applied(site)
    path = site.folder / ".fleet/lab/state.json"
    with quick_folder() as folder:
        other = Site(folder)
        other.look("init")
        (folder / "fleet.yaml").write_text(FLEET)
        (folder / "seed.yaml").write_text(SEED)
        applied(other)
        path.write_bytes((folder / ".fleet/lab/state.json").read_bytes())
    assert "another lineage" in refused(site, "apply", "fleet.yaml", "--auto-approve", code=1)


def flipped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"step"', b'"stfp"'), *lines[2:]]


def missing(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


@pytest.mark.parametrize("damage", [flipped, missing])
def test_a_damaged_journal_is_neither_resumed_nor_rolled_back(site: Site, busy: subprocess.Popen[str],
                                                              damage: Callable[[list[bytes]], list[bytes]]) -> None:
    busy.kill()
    busy.wait(SECONDS)
    (journal,) = site.runs.glob("*.jsonl")
    journal.write_bytes(b"".join(damage(journal.read_bytes().splitlines(keepends=True))))
    for command in ("resume", "rollback", "apply"):
        text = refused(site, command, "fleet.yaml", "--auto-approve", code=1)
        assert "the journal is damaged" in text
        assert "record 1 (line 2)" in text
        assert "fleet state abandon" in text


def test_a_torn_tail_is_cut_off_by_what_goes_on(site: Site, busy: subprocess.Popen[str]) -> None:
    busy.kill()
    busy.wait(SECONDS)
    (journal,) = site.runs.glob("*.jsonl")
    with journal.open("ab") as stream:
        stream.write(b'{"kind":"done","step":"s00')
    site.look("rollback", "fleet.yaml", "--auto-approve")
    assert b'"step":"s00\n' not in journal.read_bytes()
    site.look("state", "verify", "fleet.yaml")
    assert house(site).dump()["hosts"]["a.lab.example"]["config"]["portgroups"].keys() == {
        "Management Network", "VM Network"}
