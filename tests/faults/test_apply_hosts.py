"""What goes wrong with one host: its birth, its own door, adding it, mounting for it, reconnecting it.

Each time the other host is born and configured (`--on-failure continue`), the reason is named, and once the trouble is
over `resume` ends right and `rollback` restores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from planner.execute.engine import resume, rollback
from planner.execute.project import current_state
from planner.model import Address
from tests.faults.kit import MAC, Bench, Injection, bench, complete, planned, restored, two_hosts, two_hosts_done
from tests.support.lab import CATALOG, Killed, Lab
from tests.support.lab_fleets import EDITED
from tests.support.places import quick_folder

OTHER = "52:54:00:00:00:12"
Act = Callable[[Any], None]


def password(text: str) -> Act:
    """Root's password on the machine is this one now; "": that of a newborn."""
    def act(house: Any) -> None:
        from providers.twin.machines import account

        with house.change():
            box = house.box(MAC)
            box.running.accounts.pop("root", None)
            if text:
                box.running.accounts["root"] = account(box, "root", text)
            house.inventory.mark(box)

    return act


def skew(seconds: float) -> Act:
    def act(house: Any) -> None:
        with house.change():
            house.box(MAC).skew = seconds
            house.inventory.mark(house.box(MAC))

    return act


def managed_by(vcenter: str) -> Act:
    def act(house: Any) -> None:
        with house.change():
            house.box(MAC).running.manager = vcenter
            house.inventory.mark(house.box(MAC))

    return act


def unreachable(*exports: str) -> Act:
    def act(house: Any) -> None:
        with house.change():
            house.inventory.site.unreachable = list(exports)
            house.inventory.mark(house.inventory.site)

    return act


def off(house: Any) -> None:
    house.power(MAC, "off")


def cut(house: Any) -> None:
    house.stop_responding(MAC)


def back(house: Any) -> None:
    house.start_responding(MAC)


@dataclass(frozen=True)
class Trouble:
    """`at`: the operation before which `breaks` happens; `fails`: the one that fails; `words` are said."""

    at: str
    breaks: Act
    mends: Act
    fails: str
    words: tuple[str, ...]
    remedy: str = ""
    rolls_back_unmended: bool = True
    boots_again: bool = False  # `resume` restarts a host that vCenter does not have yet, and that does not answer


TROUBLES = {
    "neither password works at its door": Trouble(
        "birth.wait", password("somebody-Elses.1"), password(""), "door.enter_maintenance",
        ("root cannot log in at the host's own door", "neither initial_root_password nor root_password"), "passwords"),
    "its door does not answer": Trouble(
        "door.enter_maintenance", cut, back, "door.enter_maintenance",
        ("the host's own door at 10.", "is unreachable"), "boots it again", boots_again=True),
    "the password was changed before it is added": Trouble(
        "host.add", password("somebody-Elses.1"), password("s3cret!"), "host.add",
        ("AddHost_Task failed with InvalidLogin",), "root_password", rolls_back_unmended=False),
    "its clock is off by more than a day": Trouble(
        "host.add", skew(100000), skew(0), "host.add", ("AddHost_Task failed with HostConnectFault", "28 hours off")),
    "another vCenter manages it": Trouble(
        "host.add", managed_by("another vCenter"), managed_by(""), "host.add",
        ("AddHost_Task failed with AlreadyBeingManaged", "another vCenter"), "force: true"),
    "it does not answer when it is added": Trouble(
        "host.add", cut, back, "host.add", ("AddHost_Task failed with NoHost",), rolls_back_unmended=False,
        boots_again=True),
}


def broken(here: Bench, trouble: Trouble) -> Any:
    step = next(s for s in here.plan.steps if s.operation == trouble.at and s.address.key == "esx01")
    outcome = here.apply(Injection(step.id, [], "call", trouble.breaks), on_failure="continue")
    assert outcome.exit_code == 3, outcome
    ((failed, text, remedy),) = outcome.failures
    assert (failed.address.key, failed.operation) == ("esx01", trouble.fails)
    assert all(words in text for words in trouble.words), text
    assert trouble.remedy in remedy
    assert "s3cret!" not in text + remedy
    now, wanted = here.opened.dump(), two_hosts_done()
    assert now["machines"][OTHER] == wanted["machines"][OTHER]  # the other host has it all
    assert now["hosts"]["esx02.lab.example"] == wanted["hosts"]["esx02.lab.example"]
    state = here.state()
    assert 'host.esx["esx02"].vswitch.vSwitch1' in state
    assert 'host.esx["esx01"].vswitch.vSwitch1' not in state
    assert here.opened.store.runs()[-1].outcome == "incomplete"
    return outcome


@pytest.mark.parametrize("name", TROUBLES)
def test_resume_after_the_trouble_is_over(name: str) -> None:
    with two_hosts() as here:
        broken(here, TROUBLES[name])
        if not TROUBLES[name].boots_again:
            outcome = resume(here.engine())
            assert outcome.exit_code == 3, "it is not over yet"
            TROUBLES[name].mends(here.house)
            here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        complete_again(here)


def complete_again(here: Bench) -> None:
    """All is as after an undisturbed apply. What a boot took away was made again, and says so in the journal."""
    assert here.opened.dump() == two_hosts_done()
    assert here.opened.plan().empty
    steps = {s.id: s for s in here.plan.steps}
    void = [steps[r["step"]] for r in here.records() if r["kind"] == "void"]
    again = [CATALOG.operations[s.operation].call for s in void if s.kind == "call"]
    assert sorted(here.made()) == sorted([*here.reviewed(), *again])
    state = current_state(here.opened.store, CATALOG)
    assert state is not None
    for address, host in here.opened.session.snapshot(here.opened.fleet, state.resources).hosts.items():
        facts = state.resources[address].facts
        assert facts["certificate"] == here.house.door_certificate(str(facts["ip"]))
        assert facts["boot_time"] == host.boot_time
    assert here.opened.store.runs()[-1].outcome == "applied"
    assert list(here.opened.store.verify()) == []


@pytest.mark.parametrize("name", TROUBLES)
def test_rollback_of_a_host_in_trouble(name: str) -> None:
    trouble = TROUBLES[name]
    with two_hosts() as here:
        broken(here, trouble)
        here.reopen()
        outcome = rollback(here.engine())
        if not trouble.rolls_back_unmended:  # it is in maintenance mode at a door that lets nobody in
            assert outcome.exit_code == 3, outcome
            assert {s.operation for s, _, _ in outcome.failures} == {"door.enter_maintenance"}
            trouble.mends(here.house)
            here.reopen()
            outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        trouble.mends(here.house)
        restored(here)


def test_an_export_that_cannot_be_reached() -> None:
    """Both hosts mount it: both stop there, in maintenance mode."""
    with two_hosts() as here:
        unreachable("nas1:/export/images")(here.house)
        outcome = here.apply(on_failure="continue")
        assert outcome.exit_code == 3
        assert [s.operation for s, _, _ in outcome.failures] == ["nfs.mount"] * len(outcome.failures)
        assert "unable to connect to the NFS server" in outcome.failures[0][1]
        now = here.opened.dump()
        assert [h["maintenance"] for h in now["hosts"].values()] == [True, True]
        assert {path for path, store in now["datastores"].items() if store["type"] == "NFS"} == set()
        unreachable()(here.house)
        here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        assert here.opened.dump() == two_hosts_done()


def reborn(house: Any) -> None:
    house.complete_boot(MAC, build="24022510", version="8.0.3", image="d" * 64)


REBOOTED = Trouble("host.add", reborn, back, "host.add", ("SSLVerifyFault",), "`fleet resume`")


@pytest.mark.parametrize(("at", "breaks", "words"), [
    ("host.add", reborn, ("SSLVerifyFault",)), ("host.add", off, ("NoHost",)),
    ("door.set_password", reborn, ("showed another certificate",)), ("door.set_password", off, ("is unreachable",)),
    ("door.enter_maintenance", reborn, ("showed another certificate",)),
    ("door.enter_maintenance", off, ("is unreachable",)),
])
def test_a_resumed_run_takes_the_new_birth(at: str, breaks: Act, words: tuple[str, ...]) -> None:
    """A boot between birth and AddHost: staged, booted and waited for again, new certificate, door from the start."""
    with two_hosts() as here:
        broken(here, Trouble(at, breaks, back, at, words, "" if "NoHost" in words else "`fleet resume`"))
        here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        complete_again(here)


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("ending", [resume, rollback])
def test_killed_while_it_takes_the_new_birth(number: int, point: str, ending: Any) -> None:
    """Killed at the n-th call of that resume; then finished, or undone."""
    with two_hosts() as here:
        broken(here, REBOOTED)
        count = 0

        def hook(at: str, _step: str) -> None:
            nonlocal count
            count += at == point
            if count == number:
                raise Killed

        here.reopen()
        here.lab.hook = hook
        with pytest.raises(Killed):
            resume(here.engine())
        here.lab.hook = lambda _point, _step: None
        here.reopen()
        outcome = ending(here.engine())
        assert outcome.exit_code == 0, outcome
        if ending is resume:
            assert here.opened.dump() == two_hosts_done()
            assert here.opened.plan().empty
        else:
            restored(here)


def test_a_host_that_reboots_between_birth_and_adding_is_undone() -> None:
    """Its certificate is another one: never trusted on first use. What the boot took away needs no undoing."""
    with two_hosts() as here:
        broken(here, REBOOTED)
        here.reopen()
        outcome = rollback(here.engine())
        assert outcome.exit_code == 0, outcome
        restored(here)


def test_force_takes_a_host_from_another_vcenter() -> None:
    """Only where it is asked for."""
    wanted = {k: dict(v) for k, v in EDITED["another host is born"].items()}
    wanted['host.esx["esx01"]']["force"] = True
    with quick_folder() as folder:
        here = planned(Lab(folder), wanted)
        step = next(s for s in here.plan.steps if s.operation == "host.add" and s.address.key == "esx01")
        outcome = here.apply(Injection(step.id, [], "call", managed_by("another vCenter")))
        assert outcome.exit_code == 0, outcome
        assert here.opened.dump() == two_hosts_done()


# --- reconnecting ---------------------------------------------------------------------------------------------


def test_a_reborn_host_that_vcenter_does_not_recognise() -> None:
    """UnrecognizedHost: the host stops, nothing is lost; the way out is named, and the next plan offers it."""
    def another(house: Any) -> None:
        with house.change():
            house.box(MAC).uuid = "00000000-0000-0000-0000-00000000abcd"
            house.inventory.mark(house.box(MAC))

    with bench("revive") as here:
        step = next(s for s in here.plan.steps if s.operation == "host.reconnect")
        outcome = here.apply(Injection(step.id, [], "call", another))
        assert outcome.exit_code == 3, outcome
        ((failed, text, remedy),) = outcome.failures
        assert failed.operation == "host.reconnect"
        assert "does not recognise the reborn host (UnrecognizedHost)" in text
        assert "statistics, alarms and permissions" in text
        assert "--replace 'host.esx[\"esx01\"]'" in remedy
        assert here.opened.dump()["hosts"] == here.before["hosts"]  # vCenter's memory of it is whole
        here.reopen()
        outcome = rollback(here.engine())
        assert outcome.exit_code == 0, outcome
        again = here.opened.plan(replaces=(Address.parse('host.esx["esx01"]'),))
        assert next(s.operation for s in again.steps) == "host.remove_dead"
        assert "host.add" in {s.operation for s in again.steps}


def test_reconnect_with_a_wrong_clock_is_resumed() -> None:
    with bench("revive") as here:
        step = next(s for s in here.plan.steps if s.operation == "host.reconnect")
        outcome = here.apply(Injection(step.id, [], "call", skew(-200000)))
        assert outcome.exit_code == 3
        assert "hours off" in outcome.failures[0][1]
        skew(0)(here.house)
        here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        complete(here, "revive")


def test_rollback_knows_the_certificate_that_vcenter_gave_the_host() -> None:
    """vCenter's own CA replaces a host's certificate when it is added; its door is closed again all the same."""
    from providers.twin.soap.certificate import make_certificate

    def replaced(house: Any) -> None:
        with house.change():
            box = house.box(MAC)
            box.running.certificate = make_certificate("esx01.lab.example").certificate
            house.inventory.mark(box)

    with two_hosts() as here:
        step = next(s for s in here.plan.steps if s.operation == "vswitch.add" and s.address.key == "esx01")
        fault = {"kind": "fault", "method": "AddVirtualSwitch", "fault": "vmodl.fault.NotEnoughLicenses"}
        outcome = here.apply(Injection(step.id, [fault], "call", replaced), on_failure="rollback")
        assert outcome.exit_code == 4, outcome
        assert not here.opened.dump()["machines"][MAC]["maintenance"]
        restored(here)
        assert not [r for r in here.records() if r.get("effect") == "void"]
