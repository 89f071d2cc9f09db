"""One person's week with `fleet`, in real processes: from an empty folder to hosts, a mistake, and back to nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.twin.house import open_house
from tests.support.places import quick_folder
from tests.support.process import Site, tree
from tests.support.twin import vcenter

pytestmark = pytest.mark.slow

HOST = 'host.esx["esx01"]'
GROUP = f"{HOST}.portgroup.vMotion"


@pytest.fixture
def site() -> Iterator[Site]:
    with quick_folder() as folder:
        yield Site(folder)


def edit(site: Site, old: str, new: str) -> None:
    path = site.folder / "fleet.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def by_hand(site: Site, vlan: int) -> None:
    """Somebody changes a port group of esx01 in vCenter, past fleet."""
    house = open_house(site.folder / ".fleet/lab/twin", "lab", seed=None, machines=[], writable=True)
    host = vcenter(house).searchIndex.FindByDnsName(None, "esx01.lab.example", False)
    spec = next(p.spec for p in host.config.network.portgroup if p.spec.name == "vMotion")
    spec.vlanId = vlan
    host.configManager.networkSystem.UpdatePortGroup("vMotion", spec)
    house.close()


def vlan_of(site: Site) -> int:
    house = open_house(site.folder / ".fleet/lab/twin", "lab", seed=None, machines=[], writable=False)
    return int(house.dump()["hosts"]["esx01.lab.example"]["config"]["portgroups"]["vMotion"]["vlan"])


# --- the journey --------------------------------------------------------------------------------------------


def test_journey(site: Site) -> None:
    begin(site)
    saved_plan(site)
    changes(site)
    drift(site)
    end(site)


def begin(site: Site) -> None:
    done = site.run("init")
    assert "fleet plan fleet.yaml" in done.out
    assert "wrote fleet.yaml" in done.err
    assert "none was overwritten" in site.run("init", code=1).err
    done = site.run("validate", "fleet.yaml")
    assert (done.out, done.err) == ("Fleet lab is valid: 18 objects on 2 hosts.\n", "")


def saved_plan(site: Site) -> None:
    planned = site.run("plan", "fleet.yaml", "--out", "first.plan", "--detailed-exitcode", code=2)
    assert planned.out.endswith("34 steps on 2 hosts, 6 irreversible.\n")
    assert planned.err == "Saved: first.plan. `fleet apply first.plan` runs exactly this plan.\n"
    assert not (site.folder / ".fleet").exists()
    assert site.run("show", "first.plan").out == planned.out
    assert site.run("show", "first.plan", "--markdown").out.startswith("## Plan for fleet lab\n")
    shown = site.run("show", "first.plan", "--json")
    assert (shown.json["kind"], len(shown.json["steps"]), shown.err) == ("fleet.plan", 34, "")

    refused = site.run("apply", "first.plan", code=64)
    assert "nobody can approve" in refused.err
    assert not (site.folder / ".fleet").exists()
    applied = site.run("apply", "first.plan", "--auto-approve", "--reason", "CHG-1")
    assert applied.out.startswith(planned.out)
    assert re.fullmatch(r"Run \S+: applied\.\n", applied.out.removeprefix(planned.out))
    progress = applied.err.splitlines()
    assert re.fullmatch(r"run \S+: 34 steps", progress[0])
    assert sum(" done " in line for line in progress) == 34
    assert site.run("plan", "fleet.yaml", "--detailed-exitcode").out.endswith(
        "Nothing to change: vCenter is as the fleet says.\n")
    assert "a state exists now" in site.run("apply", "first.plan", "--auto-approve", code=5).err
    journal = site.newest()
    assert journal is not None
    document = site.run("show", str(journal), "--json").json
    assert document["records"][0]["reason"] == "CHG-1"
    assert document["records"][-1] | {"kind": "end", "outcome": "applied"} == document["records"][-1]
    assert site.run("show", str(journal), "--markdown").out.startswith("##")


def changes(site: Site) -> None:
    edit(site, "vlan: 20", "vlan: 30")
    assert site.run("drift", "fleet.yaml", "--detailed-exitcode").err == ""
    planned = site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2).out
    assert "vlan  20 → 30" in planned
    assert planned.endswith("Plan: 2 to change. 2 steps on 2 hosts.\n")
    site.run("apply", "fleet.yaml", "--auto-approve", "--reason", "CHG-2")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")
    assert vlan_of(site) == 30


def drift(site: Site) -> None:
    """A change past fleet is seen, named, never overwritten by a rollback; put right, the rollback ends."""
    by_hand(site, 77)
    before = tree(site.folder)
    found = site.run("drift", "fleet.yaml", "--detailed-exitcode", "--json", code=2).json
    assert found["drift"] == [
        {"address": GROUP, "attribute": "vlan", "expected": 30, "found": 77, "resolved": False}]
    assert "vlan" in site.run("drift", "fleet.yaml").out
    assert "Drift" in site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2).out
    assert tree(site.folder) == before
    stopped = site.run("rollback", "fleet.yaml", "--auto-approve", code=3)
    assert f"FAILED {GROUP} portgroup.update" in stopped.err
    assert "is not as the run left it" in stopped.err
    assert vlan_of(site) == 77
    assert "an earlier run is not complete" in site.run("apply", "fleet.yaml", "--auto-approve", code=3).err
    by_hand(site, 30)
    back = site.run("resume", "fleet.yaml", "--auto-approve")
    assert back.out.endswith("rolled back, verified equal to before.\n")
    assert vlan_of(site) == 20
    site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2)
    edit(site, "vlan: 30", "vlan: 20")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


def end(site: Site) -> None:
    how = site.run("rollback", "fleet.yaml", "--plan").out
    assert "host.remove" in how
    site.run("plan", "fleet.yaml", "--detailed-exitcode")  # that was only a look
    gone = site.run("destroy", "fleet.yaml", "--auto-approve")
    assert gone.out.endswith("applied.\n")
    assert site.run("state", "list", "fleet.yaml", "--json").json["resources"] == []
    assert site.run("state", "list", "fleet.yaml").out == "State is empty.\n"
    assert site.run("state", "verify", "fleet.yaml", "--json").json["sound"] is True
    outcomes = [row["outcome"] for row in site.run("state", "history", "fleet.yaml", "--json").json["history"]]
    assert outcomes[-1] == "applied"
    house = open_house(site.folder / ".fleet/lab/twin", "lab", seed=None, machines=[], writable=False)
    assert house.dump()["inventory"] == {}
    site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2)


def test_rollback_of_everything(site: Site) -> None:
    """From nothing, and back to nothing: what stays is announced, and nothing else is there."""
    site.run("init")
    site.run("apply", "fleet.yaml", "--auto-approve")
    done = site.run("rollback", "fleet.yaml", "--auto-approve")
    assert done.out.endswith("rolled back, verified equal to before.\n")
    house = open_house(site.folder / ".fleet/lab/twin", "lab", seed=None, machines=[], writable=False)
    assert house.dump()["inventory"] == {}
    assert site.run("state", "list", "fleet.yaml", "--json").json["resources"] == []
    assert "no run to roll back" in site.run("rollback", "fleet.yaml", "--auto-approve", code=1).err
    assert "no run is open" in site.run("resume", "fleet.yaml", "--auto-approve", code=1).err


@pytest.mark.parametrize("button", ["off", "cycle"])
def test_a_host_that_lost_its_power(site: Site, button: str) -> None:
    """A stateless host has lost everything then: no drift, one line in the review, and apply restores it."""
    site.run("init")
    site.run("apply", "fleet.yaml", "--auto-approve")
    was = dict(open_house(site.folder / ".fleet/lab/twin", "lab", writable=False).dump())
    pressed = site.run("twin", "power", "fleet.yaml", HOST, button)
    assert pressed.out == f"{HOST}: {'off' if button == 'off' else 'on'}\n"
    assert f"{HOST}: it does not respond" in site.run("drift", "fleet.yaml", "--detailed-exitcode").out
    planned = site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2).out
    gone = button == "off"
    why = "does not answer: will be booted and reconnected" if gone else "was born again: will be reconnected"
    assert f"{HOST} {why}; restores 5 objects as last applied" in planned
    assert ("power.boot" in planned) == gone  # who was born already is booted by nobody
    unread = site.run("plan", "fleet.yaml", "--no-refresh").out
    assert "power.manual" not in unread
    site.run("apply", "fleet.yaml", "--auto-approve")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")
    assert open_house(site.folder / ".fleet/lab/twin", "lab", writable=False).dump() == was


def test_rollback_on_a_host_that_lost_its_power_since(site: Site) -> None:
    """Nothing of the run is there to be undone: what was applied before it is put back, as the review says first."""
    site.run("init")
    site.run("apply", "fleet.yaml", "--auto-approve")
    path = site.folder / "fleet.yaml"
    earlier = path.read_text()
    path.write_text(earlier.replace("vlan: 20", "vlan: 30"))
    assert path.read_text() != earlier
    site.run("apply", "fleet.yaml", "--auto-approve")
    site.run("twin", "power", "fleet.yaml", HOST, "off")
    shown = site.run("rollback", "fleet.yaml", "--plan").out
    assert f"restored: {HOST}: it does not answer, not at its own door either; on it nothing is undone" in shown
    assert re.search(r"power\.boot .*\n.*IRREVERSIBLE", shown)
    listed = site.run("rollback", "fleet.yaml", "--plan", "--json").json["restores"]
    assert [one["address"] for one in listed] == [HOST]
    done = site.run("rollback", "fleet.yaml", "--auto-approve")
    assert f"{HOST}, reborn since, got back what was applied before" in done.out
    path.write_text(earlier)
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


# --- what is printed where ----------------------------------------------------------------------------------


def test_json_and_nothing_else_on_stdout(site: Site) -> None:
    """One document, or one object a line while running; people's words go to stderr, and there are none."""
    site.run("init")
    for arguments, code, kind in [
        (("validate",), 0, "validation"), (("plan", "--out", "p"), 0, "fleet.plan"), (("drift",), 0, "fleet.drift"),
        (("state", "list"), 0, "fleet.state"), (("state", "history"), 0, "fleet.history"),
        (("rollback", "--auto-approve"), 1, "error"), (("apply",), 64, "error"), (("plan", "--nope"), 64, "error"),
    ]:
        words = [w for w in arguments if not w.startswith("-") and w != "p"]
        options = [w for w in arguments if w not in words]
        done = site.run(*words, "fleet.yaml", *options, "--json", code=code)
        assert (done.json["kind"], done.err) == (kind, ""), arguments
        assert done.json.get("exit_code", code) == code
    for command, last in (("apply", "applied"), ("rollback", "rolled back, verified equal to before"),
                          ("apply", "applied"), ("destroy", "applied")):
        done = site.run(command, "fleet.yaml", "--auto-approve", "--json")
        assert done.err == ""
        first, start, *events, outcome = done.lines
        assert first["kind"] == ("rollback" if command == "rollback" else "fleet.plan")
        assert start["kind"] in ("start", "undoing", "rollback")
        assert {"begin", "done"} <= {e["kind"] for e in events} or command == "rollback"
        assert outcome | {"kind": "outcome", "exit_code": 0, "message": last, "failures": []} == outcome


def test_nothing_that_only_looks_writes(site: Site) -> None:
    """`plan` and its like leave the whole folder byte for byte as it was, the twin's above all."""
    site.run("init")
    looks = [("validate", "fleet.yaml"), ("plan", "fleet.yaml"), ("plan", "fleet.yaml", "--destroy"),
             ("drift", "fleet.yaml"), ("state", "list", "fleet.yaml"), ("state", "verify", "fleet.yaml"),
             ("state", "history", "fleet.yaml"), ("output", "fleet.yaml"), ("graph", "fleet.yaml")]
    fresh = tree(site.folder)
    for look in looks:
        site.run(*look)
    assert tree(site.folder) == fresh
    site.run("apply", "fleet.yaml", "--auto-approve")
    edit(site, "vlan: 20", "vlan: 30")
    applied = tree(site.folder)
    for look in (*looks, ("rollback", "fleet.yaml", "--plan"), ("plan", "fleet.yaml", "--no-refresh")):
        site.run(*look)
    assert tree(site.folder) == applied


# --- the machine --------------------------------------------------------------------------------------------

IPV4_ONLY = '''
import errno, os, socket
_init = socket.socket.__init__
def init(self, family=-1, type=-1, proto=-1, fileno=None):
    if family == socket.AF_INET6:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
    if "SOCKETS" in os.environ:  # not in a helper process, which is given nothing
        with open(os.environ["SOCKETS"], "a") as log:
            log.write(f"{int(family)}\\n")
    _init(self, family, type, proto, fileno)
socket.socket.__init__ = init
socket.has_ipv6 = False
'''


def test_a_machine_without_ipv6(site: Site, tmp_path: Path) -> None:
    """Servers, machines and births: nobody asks for an IPv6 socket, as on a kernel that has none."""
    site.run("init")
    (tmp_path / "sitecustomize.py").write_text(IPV4_ONLY)
    path = os.pathsep.join(p for p in (str(tmp_path), os.environ.get("PYTHONPATH", "")) if p)
    env = {"PYTHONPATH": path, "SOCKETS": str(tmp_path / "sockets")}
    site.run("apply", "fleet.yaml", "--auto-approve", env=env)
    site.run("plan", "fleet.yaml", "--detailed-exitcode", env=env)
    assert "2" in (tmp_path / "sockets").read_text().split()
