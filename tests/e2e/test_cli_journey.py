"""One person's week with `fleet`, in real processes: from an empty folder to hosts, a mistake, and back to nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.twin.house import open_house
from tests.support.places import quick_folder
from tests.support.process import SECONDS, Site, tree
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


# --- terminals ----------------------------------------------------------------------------------------------


def terminal(site: Site, *arguments: str, typed: str = "", wait_for: str = "", **env: str) -> tuple[int, str]:
    """Run on a terminal of 120 columns; type something once `wait_for` is shown. Exit code, and all it showed."""
    from fcntl import ioctl
    from struct import pack
    from termios import TIOCSWINSZ

    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, pack("HHHH", 50, 120, 0, 0))
    process = site.start(*arguments, stdin=slave, stdout=slave, stderr=slave, env={"TERM": "xterm-256color", **env})
    os.close(slave)
    shown, left, end = "", typed, time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if not data:
            break
        shown += data.decode("utf-8", "replace")
        if left and wait_for in shown:
            os.write(master, left.encode())
            left = ""
    os.close(master)
    return process.wait(SECONDS), shown


COLOUR, MOVE = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"\x1b\[[0-9;?]*[A-HJKhl]")


def test_a_terminal_asks_and_shows_bars(site: Site) -> None:
    site.run("init")
    code, shown = terminal(site, "apply", "fleet.yaml", typed="no\n", wait_for="Only 'yes'")
    assert (code, "not approved; nothing was changed" in shown) == (1, True)
    assert not list(site.folder.glob(".fleet/*/state.json"))
    code, shown = terminal(site, "apply", "fleet.yaml", typed="yes\n", wait_for="Only 'yes'")
    assert code == 0, shown
    assert COLOUR.search(shown)
    assert MOVE.search(shown)  # bars are drawn over and over
    assert "━" in shown
    code, shown = terminal(site, "plan", "fleet.yaml", "--detailed-exitcode")
    assert code == 0


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_no_colour_where_it_is_not_wanted(site: Site, variable: str) -> None:
    site.run("init")
    value = {"NO_COLOR": "1", "CI": "true"}[variable]
    code, shown = terminal(site, "plan", "fleet.yaml", "--detailed-exitcode", **{variable: value})
    assert (code, COLOUR.findall(shown)) == (2, [])
    code, shown = terminal(site, "apply", "fleet.yaml", "--auto-approve", **{variable: value})
    assert (code, [c for c in COLOUR.findall(shown) if re.search(r"[34][0-7]|9[0-7]", c)]) == (0, [])
    if variable == "CI":
        assert not MOVE.search(shown)
        assert re.search(r"\d+/34 done", shown)


# --- two at once --------------------------------------------------------------------------------------------


def test_two_at_once(site: Site) -> None:
    """While one works, nobody else may: they are told who, and take nothing away from it. Looking is free."""
    site.run("init")
    loader = site.folder / "images/demo/mboot.efi"
    whole = loader.read_bytes()
    loader.write_bytes(b"")  # the machines stop before their birth: the apply waits for ever
    with site.start("apply", "fleet.yaml", "--auto-approve", "--reason", "CHG-7") as process:
        waiting(process)
        effects = site.folder / ".fleet/lab/twin/effects.jsonl"
        number = effects.stat().st_ino
        for command in ("apply", "resume", "rollback", "destroy"):
            refused = site.run(command, "fleet.yaml", "--auto-approve", code=6)
            assert re.search(rf"by \S+ \(process {process.pid}\) since \S+, for apply: CHG-7", refused.err), refused.err
        pressed = site.run("twin", "power", "fleet.yaml", HOST, "off", code=6)
        assert f"(process {process.pid})" in pressed.err
        assert site.run("state", "list", "fleet.yaml", "--json").json["complete"] is False
        for _ in range(3):
            planned = site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2)
            assert re.search(rf"at work now: .* by \S+ \(process {process.pid}\) since \S+, for apply: CHG-7",
                             planned.err), planned.err
            assert "fleet resume" not in planned.err
        assert effects.stat().st_ino == number  # what it writes is where the next one reads
        process.kill()
        process.communicate()
    planned = site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2)
    assert "is not complete; `fleet resume` or `fleet rollback` comes before an apply" in planned.err
    site.run("rollback", "fleet.yaml", "--auto-approve")
    loader.write_bytes(whole)
    site.run("apply", "fleet.yaml", "--auto-approve")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


def test_looking_while_another_works(site: Site) -> None:
    """`plan`, `drift`, `state` and `show` read a fleet in the middle of an apply: never an error, never a torn file."""
    site.run("init")
    seen = set()
    with site.start("apply", "fleet.yaml", "--auto-approve", "--json", stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            seen.add(len(site.look("state", "list", "fleet.yaml", "--json").json["resources"]))
            planned = site.look("plan", "fleet.yaml", "--json").json
            assert planned["kind"] == "fleet.plan"
            site.look("drift", "fleet.yaml", "--json")
            site.look("state", "verify", "fleet.yaml")
            journal = site.newest()
            if journal is not None and journal.stat().st_size:
                site.look("show", str(journal), "--json")
        process.communicate()
        assert process.returncode == 0
    assert len(seen) > 1
    site.look("plan", "fleet.yaml", "--detailed-exitcode")


# --- Ctrl-C -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_running_steps(site: Site, number: signal.Signals) -> None:
    """First Ctrl-C, or SIGTERM: running steps end, none starts, exit 3; then `resume` finishes."""
    site.run("init")
    process = site.start("apply", "fleet.yaml", "--auto-approve", "--parallelism", "1")
    while site.count() < 20:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 3, err
    assert "Stopping: running steps end, waits are broken off, none starts" in err
    assert "`fleet resume` or `fleet rollback` ends the run" in out
    records = records_of(site)
    assert records[-1] | {"kind": "end", "outcome": "incomplete"} == records[-1]
    begun = {r["step"] for r in records if r["kind"] == "begin"}
    assert begun == {r["step"] for r in records if r["kind"] == "done" and r["step"] in begun}
    site.run("resume", "fleet.yaml", "--auto-approve")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


def test_a_signal_breaks_a_wait_off(site: Site) -> None:
    """A host that never comes up: nothing is lost by not waiting. No failure: nothing is rolled back by itself."""
    site.run("init")
    (site.folder / "images/demo/mboot.efi").write_bytes(b"")  # no loader: the machine stops before its birth
    for command in ("apply", "resume"):  # the second one waits anew
        process = site.start(command, "fleet.yaml", "--auto-approve", "--on-failure", "rollback")
        waiting(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 3, out + err
        assert re.search(r"stopped +host.*birth.wait: stopped while waiting for a birth", err)
        assert "FAILED" not in err
        assert "`fleet resume` or `fleet rollback` ends the run" in out
    assert {r["kind"] for r in records_of(site)} == {"head", "begin", "done", "stopped", "end", "resume"}
    shown = site.run("show", str(site.newest())).out
    assert re.search(r"stopped +birth\.wait .* stopped while waiting for a birth", shown), shown
    site.run("rollback", "fleet.yaml", "--auto-approve")
    assert site.run("state", "list", "fleet.yaml", "--json").json["resources"] == []


def waiting(process: subprocess.Popen[str]) -> None:
    """Until stderr says that a birth is waited for."""
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting" in line:
            return
    raise AssertionError("it never waited")


def records_of(site: Site) -> list[dict[str, Any]]:
    path = site.newest()
    assert path is not None
    return [json.loads(line) for line in path.read_text().splitlines()]


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
