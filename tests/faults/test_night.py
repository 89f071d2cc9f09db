"""Reborn at night, on the embedded twin: what was last applied comes back, and nothing that nobody approved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.cli import restoring
from planner.cli.workshop import CliWorkshop
from planner.model import FleetError, Incomplete, Later, Locked, StepFailed
from planner.plan import decode_plan, encode_plan
from planner.ports import Event
from providers.midwife.restore import Limits, Restorer
from providers.midwife.restores import Restores
from providers.vsphere import VsphereProvider
from providers.vsphere.session import VsphereSession
from state.local import open_store
from tests.support.lab import Killed
from tests.support.nights import PASSWORD, Night, applied, night, nursery
from tests.support.places import quick_folder
from tests.support.process import SECONDS
from tests.support.twin import vcenter

ONE, TWO = "52:54:00:00:00:11", "52:54:00:00:00:12"
FLEET = "fleet.yaml"


@pytest.fixture
def here() -> Iterator[Night]:
    with night() as found:
        yield found


def person(here: Night, name: str, call: str, *arguments: Any) -> None:
    """Somebody at vCenter."""
    with here.house() as house:
        content = vcenter(house)
        hosts = {h.name: h for d in content.rootFolder.childEntity for c in d.hostFolder.childEntity for h in c.host}
        assert getattr(hosts[name], call)(*arguments).info.state == "success"


def at(operation: str, do: Callable[[VsphereSession], None]) -> Callable[..., Any]:
    """In place of a session's `run`: something happens right before that operation's call."""
    original = VsphereSession.run

    def run(session: VsphereSession, found: Any, call: Any) -> Any:
        if found.name == operation and call.declared["mac"] == ONE:
            do(session)
        return original(session, found, call)

    return run


def maintenance(here: Night) -> dict[str, bool]:
    with here.house() as house:
        return {name: host["maintenance"] for name, host in house.dump()["hosts"].items()}


def test_a_host_comes_back_as_it_was_applied(here: Night) -> None:
    """Edits of the fleet file that nobody applied stay out; the plan afterwards shows them, and only them."""
    here.power_cut(ONE)
    path = here.site.folder / FLEET
    approved = path.read_text()
    path.write_text(approved.replace("vlan: 20", "vlan: 66").replace("10.0.0.53", "10.9.9.53"))
    outcome = here.restore()
    assert (outcome.done, outcome.known, outcome.failed, outcome.left) == ((ONE,), (TWO,), {}, {})
    row = here.history()[-1]
    assert (row["by"].split("@")[0], row["outcome"]) == ("midwife", "applied")
    assert "esx01" in row["reason"]
    changed = [c["address"].removeprefix('host.esx["esx0') for c in here.plan()["changes"] if c["action"] != "no-op"]
    assert changed == ['1"].dns', '1"].portgroup.vMotion', '2"].dns', '2"].portgroup.vMotion']
    path.write_text(approved)
    here.as_applied()


def test_a_fleet_file_that_is_gone_or_broken_is_not_missed(here: Night) -> None:
    here.power_cut(ONE)
    path = here.site.folder / FLEET
    approved = path.read_text()
    path.write_text("fleet: {name: [")
    assert here.restore().done == (ONE,)
    path.write_text(approved)
    here.as_applied()


def test_vcenter_that_is_late_shows_the_boot_before_as_connected(here: Night) -> None:
    here.power_cut(ONE, late=True)
    plan = here.plan()
    assert [s["operation"] for s in plan["steps"]][:2] == ["birth.wait", "door.enter_maintenance"]
    assert here.restore().done == (ONE,)
    here.as_applied()


def test_nothing_is_done_twice(here: Night) -> None:
    here.power_cut(ONE)
    assert here.restore().done == (ONE,)
    before = here.history()
    assert here.restore().known == (ONE, TWO)
    assert here.history() == before


def test_a_plan_boots_no_host_that_was_born(here: Night) -> None:
    here.power_cut(ONE)
    plan = here.plan("--out", "saved.plan")
    assert not [s for s in plan["steps"] if s["operation"] in ("boot.stage", "power.boot")]
    here.site.look("apply", "saved.plan", "--auto-approve")
    here.as_applied()
    assert here.restore().known == (ONE, TWO)


def test_an_apply_that_took_a_birth_takes_the_next_one_when_it_is_resumed(
        here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plan boots nobody; the host loses its power while the apply is at its door, and is born again by itself."""
    def off(session: VsphereSession) -> None:
        session.house.power(ONE, "off")

    first = here.power_cut(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(VsphereSession, "run", at("door.set_password", off))
        here.site.look("apply", FLEET, "--auto-approve", code=3)
    second = here.power_cut(ONE)
    lines = here.site.look("resume", FLEET, "--auto-approve", "--json").lines
    assert ("void", "birth.wait") in {(line.get("kind"), line.get("operation")) for line in lines}
    here.as_applied()
    facts = here.site.look("state", "show", FLEET, 'host.esx["esx01"]', "--json").json["facts"]
    assert facts["joined"] == second[ONE] > first[ONE]


def test_a_host_that_was_born_and_is_off_again_is_booted(here: Night) -> None:
    here.power_cut(ONE)
    with here.house() as house:
        house.power(ONE, "off")
    assert "power.boot" in [s["operation"] for s in here.plan()["steps"]]


def test_what_a_person_put_in_maintenance_mode_stays_so(here: Night) -> None:
    person(here, "esx01.lab.example", "EnterMaintenanceMode_Task", 0)
    here.power_cut(ONE, TWO)
    assert set(here.restore().done) == {ONE, TWO}
    assert maintenance(here) == {"esx01.lab.example": True, "esx02.lab.example": False}
    here.site.look("plan", FLEET, "--detailed-exitcode")
    here.power_cut(ONE)  # once more: the maintenance mode is still that person's
    assert here.restore().done == (ONE,)
    assert maintenance(here)["esx01.lab.example"]


def test_what_a_person_disconnected_stays_so(here: Night) -> None:
    person(here, "esx01.lab.example", "DisconnectHost_Task")
    here.power_cut(ONE, TWO)
    outcome = here.restore()
    assert outcome.done == (TWO,)
    assert "somebody disconnected it" in outcome.left[ONE]
    with here.house() as house:
        assert house.dump()["connections"]["esx01.lab.example"] == "disconnected"


def test_a_machine_that_was_never_applied_gets_nothing(here: Night) -> None:
    birth = {**next(iter(here.births().values())), "mac": "52:54:00:00:00:99"}
    outcome = CliWorkshop().restore(here.folder, "lab", {"52:54:00:00:00:99": birth})
    assert "never applied" in outcome.left["52:54:00:00:00:99"]
    assert len(here.history()) == 1


def test_a_host_that_is_held_back_gets_nothing(here: Night) -> None:
    here.power_cut(ONE, TWO)
    outcome = here.restore(held={ONE: "in quarantine"})
    assert (outcome.done, outcome.left) == ((TWO,), {ONE: "in quarantine"})


def test_an_apply_that_holds_the_lock_goes_first(here: Night) -> None:
    here.power_cut(ONE)
    with open_store(here.folder, "lab", {}).lock("apply"), pytest.raises(Locked):
        here.restore()
    assert len(here.history()) == 1


def test_somebody_elses_open_run_is_left_alone(here: Night) -> None:
    """Its births wait until that run has ended; then they are restored."""
    store = open_store(here.folder, "lab", {})
    here.power_cut(ONE)
    run = store.runs()[-1].run
    journal = store.begin("another", store.plan(run))
    journal.append({**store.records(run)[0], "run": "another", "who": "midwife", "serial": 1})  # a user of that name
    journal.close()
    with pytest.raises(Incomplete):
        here.restore()
    assert [r.outcome for r in store.runs()] == ["applied", ""]
    here.site.look("state", "abandon", FLEET, "another", "--reason", "test")
    assert here.restore().done == (ONE,)


def test_a_secret_that_is_not_there_holds_up_nothing_else(here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    here.power_cut(ONE)
    monkeypatch.delenv("ESX_ROOT_PASSWORD", raising=False)
    outcome = CliWorkshop().restore(here.folder, "lab", here.births())
    assert "ESX_ROOT_PASSWORD" in outcome.failed[ONE]
    assert len(here.history()) == 1


@pytest.mark.parametrize("place", ["secrets", "credentials"])
def test_secrets_of_files_on_another_machine(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Where the fleet's own files are not, they come from the fleet's folder, or from systemd."""
    with quick_folder() as folder:
        kept = folder / "runner" / "esx-root"
        kept.parent.mkdir()
        kept.write_text(PASSWORD)
        here = applied(folder, (Path(__file__).parents[2] / "fleets" / "lab.yaml").read_text().replace(
            "env:ESX_ROOT_PASSWORD", "file:runner/esx-root").replace(", seed: seeds/lab.yaml", ""))
        here.power_cut(ONE)
        there = here.folder / "secrets" if place == "secrets" else folder / "systemd"
        there.mkdir()
        kept.rename(there / "esx-root")
        assert "esx-root" in here.restore().failed[ONE] if place == "credentials" else True
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "systemd"))
        assert here.restore().done == (ONE,)


def test_vcenter_is_down(here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun; the births are still there when it is back."""
    def down(_provider: VsphereProvider, _context: Any) -> Any:
        raise FleetError("vCenter cannot be reached")

    here.power_cut(ONE, TWO)
    with monkeypatch.context() as away:
        away.setattr(VsphereProvider, "open", down)
        with pytest.raises(FleetError, match="cannot be reached"):
            here.restore()
    assert len(here.history()) == 1
    assert set(here.restore().done) == {ONE, TWO}
    here.as_applied()


def test_a_host_that_does_not_answer_holds_up_nothing_else_and_leaves_no_open_run(here: Night) -> None:
    here.power_cut(ONE, TWO)
    with here.house() as house:
        house.stop_responding(ONE)
    outcome = here.restore()
    assert (outcome.done, set(outcome.failed)) == ((TWO,), {ONE})
    assert here.history()[-1]["outcome"] == "abandoned"
    with here.house() as house:
        house.start_responding(ONE)
    assert here.restore(again=[ONE]).done == (ONE,)
    here.as_applied()


def test_what_a_restore_could_not_do_the_next_one_does(here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails when vCenter has the host already: nothing is done twice, and it leaves maintenance mode at the end."""
    def away(_session: VsphereSession) -> None:
        raise StepFailed("the switch cannot be made", "by the test")

    here.power_cut(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(VsphereSession, "run", at("vswitch.add", away))
        assert "the switch cannot be made" in here.restore().failed[ONE]
    assert maintenance(here)["esx01.lab.example"]
    assert [s["operation"] for s in here.plan()["steps"]][-2:] == ["host.verify", "host.exit_maintenance"]
    assert here.restore().done == (ONE,)  # also where nobody remembers that it was begun
    records = open_store(here.folder, "lab", {}).records(here.history()[-1]["run"])
    assert "host.reconnect" not in {r.get("operation") for r in records}
    here.as_applied()


def test_a_rebirth_in_the_middle_is_restored_from_the_start(here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its power is gone once more after vCenter had taken it: that run is given up, and the next one takes over."""
    here.power_cut(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(VsphereSession, "run", at("vswitch.add", lambda s: s.house.power(ONE, "off")))
        assert ONE in here.restore().failed
    here.power_cut(ONE)
    assert here.restore().done == (ONE,)
    here.as_applied()


def test_no_more_hosts_at_once_than_allowed() -> None:
    """Twelve lose their power; three may be in the middle of their restore."""
    busy: set[str] = set()
    most: list[int] = []

    def listen(event: Event) -> None:
        if event.kind == "begin" and event.operation == "door.enter_maintenance":
            busy.add(event.address)
        most.append(len(busy))
        if event.kind == "done" and event.operation == "host.exit_maintenance":
            busy.remove(event.address)

    with quick_folder() as folder:
        names = ", ".join(f"esx{n}: {{n: {n}}}" for n in range(11, 23))
        text = (Path(__file__).parents[2] / "fleets" / "lab.yaml").read_text().replace(", seed: seeds/lab.yaml", "")
        here = applied(folder, text.replace("{esx01: {n: 11}, esx02: {n: 12}, esx03: {n: 13}}", f"{{{names}}}"))
        here.power_cut()
        assert len(here.restore(hosts=3, listener=listen).done) == 12
        here.as_applied()
    assert (max(most), busy) == (3, set())


def test_an_exclusive_host_keeps_nothing_that_a_newborn_has_and_nobody_declared() -> None:
    with quick_folder() as folder:
        text = (Path(__file__).parents[2] / "fleets" / "lab.yaml").read_text().replace(", seed: seeds/lab.yaml", "")
        here = applied(folder, text.replace("    profile: compute\n", "    profile: compute\n    exclusive: true\n"))
        for _ in range(2):
            with here.house() as house:
                groups = {frozenset(m["config"]["portgroups"]) for m in house.dump()["machines"].values()}
            assert groups == {frozenset({"Management Network", "vMotion"})}
            here.as_applied()
            here.power_cut(ONE)
            assert here.restore().done == (ONE,)


# --- rollback afterwards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reborn", [(ONE,), (ONE, TWO)])
def test_a_rollback_undoes_what_was_applied_and_not_the_restore(here: Night, reborn: tuple[str, ...]) -> None:
    path = here.site.folder / FLEET
    first = path.read_text()
    path.write_text(first.replace("vlan: 20", "vlan: 66"))
    here.site.look("apply", FLEET, "--auto-approve")
    born = here.power_cut(*reborn)
    assert set(here.restore().done) == set(reborn)
    here.site.look("rollback", FLEET, "--auto-approve")
    assert [r.outcome for r in open_store(here.folder, "lab", {}).runs()] == ["applied", "rolled-back", "applied"]
    path.write_text(first)
    here.as_applied()
    state = here.site.look("state", "show", FLEET, 'host.esx["esx01"]', "--json").json
    assert state["facts"]["joined"] == born[ONE]  # nobody takes that boot for one that vCenter has missed
    assert set(here.restore().known) == {ONE, TWO}


def test_an_open_restore_is_finished_before_anything_is_rolled_back(
        here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_session: VsphereSession) -> None:
        raise Killed

    here.power_cut(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(VsphereSession, "run", at("vswitch.add", killed))
        with pytest.raises(Killed):
            here.restore()
    assert "a restore is not complete" in here.site.look("rollback", FLEET, "--auto-approve", code=1).err
    here.site.look("resume", FLEET, "--auto-approve")  # by a person: the midwife does not run just now
    here.as_applied()
    assert set(here.restore().known) == {ONE, TWO}


# --- by the midwife's own threads ---------------------------------------------------------------------------------


def test_two_fleets_after_one_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its own, as its own run; a stranger's birth gets nothing, and is no fleet's business."""
    monkeypatch.setenv("ESX_ROOT_PASSWORD", PASSWORD)
    said: list[str] = []
    with quick_folder() as one, quick_folder() as two:
        lab, edge = applied(one), applied(two, (one / FLEET).read_text().replace("name: lab ", "name: edge ").replace(
            "52:54:00:00:00:", "52:54:00:00:01:"), "edge")
        for here in (lab, edge):
            here.power_cut()
        with nursery(lab, edge) as births:
            restorer = Restorer(births, CliWorkshop(), Restores(None), said.append, Limits(quiet=0.1, longest=0.2))
            restorer.start()
            restorer.born("lab", "52:54:00:00:00:99")
            end = time.monotonic() + SECONDS
            while sum("restored 2" in line for line in said) < 2:
                assert time.monotonic() < end, said
                time.sleep(0.01)
            restorer.stop()
        for here in (lab, edge):
            assert [r["outcome"] for r in here.history()] == ["applied", "applied"]
            here.as_applied()


# --- what plans carry -------------------------------------------------------------------------------------------


def test_no_secret_is_in_what_plans_carry(here: Night) -> None:
    here.power_cut(ONE)
    here.restore()
    store = open_store(here.folder, "lab", {})
    for info in store.runs():
        plan = decode_plan(store.plan(info.run))
        assert set(plan.later.providers) == {"vsphere", "boot"}
        assert PASSWORD.encode() not in encode_plan(plan)
    written = [p.read_bytes() for p in here.folder.rglob("*") if p.is_file() and "twin" not in p.parts]
    assert not [data for data in written if PASSWORD.encode() in data]


def test_a_run_of_an_older_version_says_no_vcenter(here: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    here.power_cut(ONE)
    known = restoring._Restorer._applied
    monkeypatch.setattr(restoring._Restorer, "_applied", lambda self: replace(known(self), later=Later()))
    with pytest.raises(FleetError, match="does not say which vCenter"):
        here.restore()
