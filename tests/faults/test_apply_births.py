"""A birth never comes: the reason is named at the deadline, the run is incomplete, and `resume` finishes it.

The real CLI and real fetches; the deadline (30 minutes) is drawn near for the one machine that is in trouble.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from planner.catalog import Operation
from planner.ports import Call
from providers.boot.session import BootSession
from providers.twin import netboot
from providers.twin.house import open_house
from providers.vsphere.session import VsphereSession
from tests.support.places import quick_folder
from tests.support.process import SECONDS, Site
from tests.unit.boot.kit import FakeHouse, FakeMachine, until

BAD, GOOD = "52:54:00:00:00:12", "52:54:00:00:00:11"
APPLY = ("apply", "fleet.yaml", "--auto-approve", "--on-failure", "continue", "--json")


@pytest.fixture
def site() -> Iterator[Site]:
    with quick_folder() as folder:
        found = Site(folder)
        found.look("init")
        yield found


def live(site: Site) -> Any:
    return open_house(site.folder / ".fleet/lab/twin", "lab", machines=[], writable=False).dump()


def here() -> bool:
    """Whether it is the bad machine's boot that runs on this thread."""
    return threading.current_thread().name == f"boot-{BAD}"


def only_here(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., Any]) -> None:
    """Replace a part of the network boot, for the bad machine only."""
    original = getattr(netboot, name)
    monkeypatch.setattr(netboot, name, lambda *a, **k: instead(original, *a, **k) if here() else original(*a, **k))


def never(*_args: Any, **_named: Any) -> Any:
    """It hangs there, as firmware does: a person has to look at the console."""
    threading.Event().wait(SECONDS)
    raise netboot.BootFailed("hangs")


def fails(*_args: Any, **_named: Any) -> Any:
    raise netboot.BootFailed("link is down")


def forges(original: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """It posts with a key that is not the one it was served."""
    return original(*(replace(a, key=b"f" * 32) if isinstance(a, netboot._Loaded) else a for a in args), **named)


@pytest.fixture
def deadline(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The bad machine's deadline passes as soon as the reason for waiting has these words in it."""
    original = BootSession.wait

    def soon(words: str) -> None:
        def wait(session: BootSession, call: Call) -> Any:
            if call.declared["mac"] == BAD:
                until(lambda: words in session._reason(BAD), SECONDS)
                call = replace(call, deadline=0.0)
            return original(session, call)

        monkeypatch.setattr(BootSession, "wait", wait)

    return soon


TROUBLES: dict[str, tuple[str, Callable[..., Any], str, str]] = {
    "the machine finds no server": ("tftp_fetch", never, "no boot file fetched", "is sent here by DHCP"),
    "the image does not arrive": ("http_fetch", fails, "image not handed over yet, no birth", "console"),
    "the machine itself says why": ("http_fetch", fails, "the machine stopped (BootFailed: link is down)", "console"),
    "the host cannot call home": ("_announce", fails, "image handed over at", "console"),
    "its births are forged": ("_announce", forges, "its signature is wrong (forged)", "console"),
}


@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("name", TROUBLES)
def test_the_deadline_names_the_reason(site: Site, monkeypatch: pytest.MonkeyPatch, deadline: Callable[[str], None],
                                       name: str, ending: str) -> None:
    part, instead, words, remedy = TROUBLES[name]
    with monkeypatch.context() as broken:
        only_here(broken, part, instead)
        deadline(words)
        outcome = site.look(*APPLY, code=3).lines[-1]
    monkeypatch.undo()
    (failure,) = outcome["failures"]
    assert (failure["address"], failure["operation"]) == ('host.esx["esx02"]', "birth.wait")
    assert "no birth before the deadline" in failure["error"]
    assert f"{BAD}: " in failure["error"]
    assert words in failure["error"]
    assert remedy in failure["remedy"]
    found = live(site)
    assert found["connections"] == {"esx01.lab.example": "connected"}
    assert "vMotion" in found["machines"][GOOD]["config"]["portgroups"]
    listed = {r["address"] for r in site.look("state", "list", "fleet.yaml", "--json").json["resources"]}
    assert 'host.esx["esx01"].portgroup.vMotion' in listed
    assert not [a for a in listed if "esx02" in a]
    assert site.look(*APPLY, code=3).lines[-1]["diagnostics"][0]["summary"] == "an earlier run is not complete"
    site.look(ending, "fleet.yaml", "--auto-approve")
    if ending == "resume":
        site.look("plan", "fleet.yaml", "--detailed-exitcode")
        assert live(site)["connections"] == {"esx01.lab.example": "connected", "esx02.lab.example": "connected"}
    else:
        assert live(site)["inventory"] == {}
        assert site.look("state", "list", "fleet.yaml", "--json").json["resources"] == []
        (said,) = [d for d in site.look("plan", "fleet.yaml", "--json").json["diagnostics"] if "failed" in d["summary"]]
        assert (said["address"], words in said["detail"]) == ('host.esx["esx02"]', True)


def test_a_machine_that_loses_its_power_before_it_is_added(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real fetches and births: `resume` stages and boots it again, and goes on with its new certificate."""
    original = VsphereSession.run

    def run(session: VsphereSession, operation: Operation, call: Call) -> Any:
        if operation.name == "host.add" and call.declared["mac"] == BAD:
            session.house.power(BAD, "off")
        return original(session, operation, call)

    with monkeypatch.context() as broken:
        broken.setattr(VsphereSession, "run", run)
        outcome = site.look(*APPLY, code=3).lines[-1]
    (failure,) = outcome["failures"]
    assert (failure["operation"], "NoHost" in failure["error"]) == ("host.add", True)
    resumed = site.look("resume", "fleet.yaml", "--auto-approve", "--json").lines
    kinds = [(one.get("kind"), one.get("operation")) for one in resumed]
    assert {("void", "birth.wait"), ("void", "door.enter_maintenance"), ("done", "host.add")} <= set(kinds)
    site.look("plan", "fleet.yaml", "--detailed-exitcode")
    assert live(site)["connections"] == {"esx01.lab.example": "connected", "esx02.lab.example": "connected"}


# --- a machine that a person has to start ---------------------------------------------------------------------


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_machine_that_nobody_starts_in_time(site: Site, deadline: Callable[[str], None],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """`power: external`: the step is manual. Later somebody presses the button, while `resume` waits."""
    port = free_port()
    text = (site.folder / "fleet.yaml").read_text()
    text = text.replace("server: twin}", "server: twin, seed: seed.yaml}")
    text = text.replace("boot: {listen: 127.0.0.1}", f"boot: {{listen: 127.0.0.1, ports: {{tftp: {port}}}}}")
    (site.folder / "fleet.yaml").write_text(text)
    (site.folder / "seed.yaml").write_text(f'machines: {{"{BAD}": {{name: esx02.lab.example, power: external}}}}\n')
    deadline("no boot file fetched")
    done = site.look(*APPLY, code=3)
    assert [line for line in done.lines if "power on (or reset) esx02.lab.example" in line.get("message", "")]
    (failure,) = done.lines[-1]["failures"]
    assert failure["operation"] == "birth.wait"
    assert "no boot file fetched" in failure["error"]
    assert "check that the machine was started" in failure["remedy"]
    monkeypatch.undo()

    process = site.start("resume", "fleet.yaml", "--auto-approve")
    assert process.stderr is not None
    for line in process.stderr:
        if "no boot file fetched" in line:
            break
    outside = FakeHouse()
    machine: FakeMachine = outside.machine(BAD)
    netboot.network_boot(outside, machine, "127.0.0.1", port, "mboot.efi")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out + err
    site.look("plan", "fleet.yaml", "--detailed-exitcode")
    assert live(site)["hosts"]["esx02.lab.example"]["uuid"] == machine.uuid
