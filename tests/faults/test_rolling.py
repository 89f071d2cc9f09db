"""Rolling image updates on the twin, with everything that can come in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from planner.execute.engine import OnFailure, resume, rollback
from planner.execute.project import current_state
from planner.model import FleetError, Lifecycle, StepFailed
from planner.plan import PlanInputs, build_plan
from providers.twin.model import Vm
from tests.support.lab import CATALOG, fleet
from tests.support.memory_boot import IMAGE, OTHER, MemoryBoot
from tests.support.rolling import BODY, THREE, TWO, Site, address, facts, hosts, operations, site, without_vms

# --- as planned ----------------------------------------------------------------------------------------------


def test_a_cluster_is_rolled_one_host_at_a_time_and_its_vms_go_on_running() -> None:
    with site({**THREE, "esx04": "edge", "esx05": "edge"}) as here:
        for name, host in {"web1": "esx01", "web2": "esx01", "db1": "esx02", "edge1": "esx04"}.items():
            here.vm(name, host)
        here.vm("old", "esx03", power="poweredOff")
        plan = here.plan()
        assert [(str(r.address), r.cluster, r.before, r.after) for r in plan.rolls] == [
            (str(address(n)), f"cluster.{c}", IMAGE, OTHER) for n, c in here.where.items()]
        assert plan.rolls[0].evacuation.moves == ("web1", "web2")
        assert operations(plan, "esx01") == [
            "host.evacuate", "boot.stage", "host.reboot", "power.boot", "birth.wait", "door.enter_maintenance",
            "door.set_password", "host.disconnect", "host.reconnect", "host.verify", "boot.keep",
            "host.exit_maintenance"]
        since = len(here.house.calls)
        here.watch()
        outcome = here.apply(plan)
        assert outcome.exit_code == 0, outcome
        assert here.watched == []
        skipped = {r["step"] for r in here.opened.store.records(outcome.run) if r["kind"] == "skipped"}
        assert [c.method for c in here.house.calls[since:]] == [
            CATALOG.operations[s.operation].call for s in plan.steps if s.kind == "call" and s.id not in skipped]
        assert set(here.images().values()) == {OTHER}
        assert {m.vm for m in here.house.contact.moves} == {"web1", "web2", "db1", "edge1"}
        assert here.vms()["old"] == ("esx03", "poweredOff")
        assert facts(here, "esx02")["image"] == facts(here, "esx02")["staged"] == OTHER
        assert not {"boots", "rebooted"} & set(facts(here, "esx02"))
        assert here.lab.staged[here.host("esx01").mac] == {"staged": OTHER, "boots": None}
        assert here.plan().empty


def test_hosts_of_different_clusters_do_not_wait_for_each_other() -> None:
    with site({"esx01": "prod", "esx02": "prod", "esx03": "edge"}) as here:
        plan = here.plan()
        first = {n: next(s for s in plan.steps if s.address == address(n)) for n in here.where}
        last = {n: [s for s in plan.steps if s.address == address(n)][-1].id for n in here.where}
        assert first["esx01"].needs == first["esx03"].needs == ()
        assert first["esx02"].needs == (last["esx01"],)
        here.lab.parallelism = 4
        assert here.apply(plan).exit_code == 0


def test_a_new_host_joins_before_the_first_one_leaves() -> None:
    with site({"esx01": "prod", "esx02": "prod"}) as here:
        here.where = THREE
        plan = here.plan()
        assert [str(r.address) for r in plan.rolls] == [str(address(n)) for n in ("esx01", "esx02")]
        first = next(s for s in plan.steps if s.address == address("esx01"))
        assert [s.id for s in plan.steps if s.address == address("esx03")][-1] in first.needs
        assert here.apply(plan).exit_code == 0
        assert set(here.images().values()) == {OTHER}


def test_a_host_that_is_gone_comes_back_before_the_others_are_rolled() -> None:
    with site() as here:
        here.house.power(here.host("esx02").mac, "off")
        plan = here.plan()
        assert [str(r.address) for r in plan.rolls] == [str(address(n)) for n in ("esx01", "esx03")]
        back = [s.id for s in plan.steps if s.address == address("esx02")][-1]
        assert back in next(s for s in plan.steps if s.address == address("esx01")).needs
        assert here.apply(plan).exit_code == 0
        assert set(here.images().values()) == {OTHER}


def test_a_host_that_leaves_goes_first_and_is_out_no_more() -> None:
    with site() as here:
        here.house.power(here.host("esx02").mac, "off")
        here.where = {"esx01": "prod", "esx03": "prod"}
        plan = here.plan()
        assert [str(r.address) for r in plan.rolls] == [str(address(n)) for n in ("esx01", "esx03")]
        assert here.apply(plan).exit_code == 0
        assert here.plan().empty


def test_on_the_way_back_hosts_that_are_out_come_first() -> None:
    """The last host that was rolled would go back first; but another one has lost its power since."""
    with site() as here:
        before = here.opened.dump()
        assert here.apply(here.plan()).exit_code == 0
        here.reopen()
        here.house.power(here.host("esx01").mac, "off")
        outcome = rollback(here.opened.engine())
        assert outcome.exit_code == 0, outcome
        assert without_vms(here.opened.dump()) == without_vms(before)
        assert here.plan("esxi8").empty


def test_the_same_content_under_another_name_restarts_nobody() -> None:
    with site() as here:
        here.reopen(hosts(here.where, "esxi8u3"))
        opened = here.opened
        images = {"esxi8u3": IMAGE}
        state = current_state(opened.store, CATALOG)
        live = opened.session.snapshot(opened.fleet, state.resources if state else {})
        plan = build_plan(PlanInputs(CATALOG, opened.fleet, state, live, images, opened.session.power))
        assert plan.steps == ()
        assert {c.reason for c in plan.changes} == {"recorded: nothing is called"}


# --- refusals ------------------------------------------------------------------------------------------------


def test_a_host_that_a_person_put_in_maintenance_stays_and_counts() -> None:
    with site() as here:
        here.maintenance("esx02")
        plan = here.plan()
        assert [str(r.address) for r in plan.rolls] == [str(address("esx02"))]
        blocked = {str(c.address): c.reason for c in plan.changes if c.reason.startswith("blocked")}
        assert sorted(blocked) == [str(address(n)) for n in ("esx01", "esx03")]
        assert all("esx02.lab.example is in maintenance mode" in reason for reason in blocked.values())
        assert here.apply(plan).exit_code == 0
        assert here.images() == {"esx01": IMAGE, "esx02": OTHER, "esx03": IMAGE}
        assert here.house.contact.seen(here.host("esx02")).maintenance
        here.maintenance("esx02", on=False)
        assert here.apply(here.plan()).exit_code == 0
        assert set(here.images().values()) == {OTHER}


def test_put_in_maintenance_after_the_plan_it_counts_as_well() -> None:
    with site() as here:
        plan = here.plan()
        here.maintenance("esx03")
        outcome = here.apply(plan)
        assert outcome.exit_code == 1
        assert "esx03.lab.example" in outcome.failures[0][1]
        assert set(here.images().values()) == {IMAGE}
        here.maintenance("esx03", on=False)
        assert here.apply(here.plan()).exit_code == 0


def test_a_change_of_what_hosts_share_is_refused_by_name() -> None:
    with site() as here:
        wanted = hosts(here.where, "esxi9")
        for name in here.where:
            wanted[f'{address(name)}.nfs.shared'] = {**BODY["nfs"]["shared"], "path": "/other"}
        here.reopen(wanted)
        with pytest.raises(FleetError, match="while they get another image one by one"):
            here.opened.plan()


def test_ignore_changes_and_prevent_destroy() -> None:
    """A restart destroys nothing, and `ignore_changes: [image]` holds it back."""
    with site({"esx01": "prod", "esx02": "prod"}) as here:
        wanted = fleet(hosts(here.where, "esxi9"))
        rules = {"esx01": Lifecycle(ignore_changes=("image",)), "esx02": Lifecycle(prevent_destroy=True)}
        resources = {a: replace(r, lifecycle=rules[a.key]) if a.key in rules and not a.child_type else r
                     for a, r in wanted.resources.items()}
        here.opened = here.lab.open(replace(wanted, resources=resources))
        plan = here.opened.plan()
        assert [str(r.address) for r in plan.rolls] == [str(address("esx02"))]
        assert ["ignores changes" in d.detail for d in plan.diagnostics] == [True]


# --- virtual machines ----------------------------------------------------------------------------------------


OBSTACLES: dict[str, tuple[str, Callable[[Site], None]]] = {
    "its storage": ("no other host has its datastores", lambda here: local_store(here)),
    "its network": ("no other host has its networks", lambda here: only_there(here)),
    "vMotion": ("no other host has a VMkernel adapter for vMotion", lambda here: no_vmotion(here)),
}


def local_store(here: Site) -> None:
    from providers.twin.model import Datastore

    with here.house.change():
        inventory, home = here.house.inventory, here.host("esx01")
        made = Datastore(inventory.new_id("datastore-"), "local", inventory.datacenter_of(home).datastore, "VMFS")
        inventory.put(made)
        inventory.mount(home, made)
    here.vm("bound", "esx01", stores=("local",))


def only_there(here: Site) -> None:
    from providers.twin.model import Portgroup

    with here.house.change():
        home = here.host("esx01")
        here.house.contact.seen(home).config.portgroups["Special"] = Portgroup("vSwitch1")
        here.house.inventory.mark(here.house.box(home.mac))
        here.house.inventory.attach(home, here.house.contact.seen(home).config)
    here.vm("bound", "esx01", networks=("Special",))


def no_vmotion(here: Site) -> None:
    with here.house.change():
        for name in ("esx02", "esx03"):
            here.house.contact.seen(here.host(name)).config.vnics["vmk1"].services = []
            here.house.inventory.mark(here.house.box(here.host(name).mac))
    here.vm("bound", "esx01")


@pytest.mark.parametrize("obstacle", sorted(OBSTACLES))
def test_a_vm_that_cannot_move_is_named_at_plan_and_stops_its_cluster(obstacle: str) -> None:
    why, make = OBSTACLES[obstacle]
    with site() as here:
        make(here)
        if obstacle != "vMotion":
            here.vm("web1", "esx01")
        plan = here.plan()
        stuck = [d for d in plan.diagnostics if "cannot move" in d.summary]
        assert [(d.address, d.detail) for d in stuck] == [(address("esx01"), f"bound ({why})")]
        if obstacle == "vMotion":
            return  # the plan gives the others their adapters back
        outcome = here.apply(plan, "continue")
        assert outcome.exit_code == 1
        (step, error, remedy), = outcome.failures
        assert step.operation == "host.evacuate"
        assert "did not leave this host in time: bound;" in error
        assert "power them off" in remedy
        assert set(here.images().values()) == {IMAGE}
        assert here.vms()["web1"][0] != "esx01"  # what could move has moved
        with here.house.change():
            vm = next(v for v in here.house.inventory.all(Vm) if v.name == "bound")
            vm.power = "poweredOff"
            here.house.inventory.mark(vm)
        here.reopen()
        assert here.apply(here.plan(), "continue").exit_code == 0


def test_without_fully_automated_drs_the_plan_says_who_has_to_be_moved() -> None:
    with site() as here:
        here.vm("web1", "esx01")
        cluster = here.house.cluster("dc0/prod")
        with here.house.change():
            cluster.drs = {"enabled": True, "defaultVmBehavior": "manual"}
            here.house.inventory.mark(cluster)
        wanted = hosts(here.where, "esxi9")
        wanted["cluster.prod"] = {**wanted["cluster.prod"], "drs": {"enabled": True, "automation": "manual"}}
        here.reopen(wanted)
        found = [d for d in here.opened.plan().diagnostics if "nobody moves" in d.summary]
        assert [(d.address, d.detail) for d in found] == [(address("esx01"), "web1")]


# --- faults --------------------------------------------------------------------------------------------------


def broken_birth(monkeypatch: pytest.MonkeyPatch, here: Site, name: str) -> Callable[[], None]:
    """That machine does not come up on the other image. Returns what mends it."""
    original, mac, broken = MemoryBoot._come_up, here.host(name).mac, [True]

    def come_up(session: MemoryBoot, which: str) -> None:
        if which == mac and broken[0] and session.staged[which]["staged"] == OTHER:
            raise StepFailed("no birth before the deadline", which)
        original(session, which)

    monkeypatch.setattr(MemoryBoot, "_come_up", come_up)
    return lambda: broken.__setitem__(0, False)


@pytest.mark.parametrize("on_failure", ["stop", "continue"])
def test_a_host_that_does_not_come_back_stops_its_cluster(monkeypatch: pytest.MonkeyPatch,
                                                          on_failure: OnFailure) -> None:
    with site({**THREE, "esx04": "edge"}) as here:
        here.vm("web1", "esx02")
        mend = broken_birth(monkeypatch, here, "esx02")
        outcome = here.apply(here.plan(), on_failure)
        assert outcome.exit_code == 3
        assert [(s.operation, s.address) for s, _, _ in outcome.failures] == [("birth.wait", address("esx02"))]
        assert "esx03" in outcome.message
        edge = OTHER if on_failure == "continue" else IMAGE
        assert here.images() == {"esx01": OTHER, "esx02": "", "esx03": IMAGE, "esx04": edge}
        assert here.vms()["web1"][1] == "poweredOn"
        mend()
        here.reopen()
        outcome = resume(here.opened.engine())
        assert outcome.exit_code == 0, outcome
        assert set(here.images().values()) == {OTHER}
        taken = [r for r in here.opened.store.records(outcome.run) if r["kind"] == "begin"
                 and r.get("operation") == "power.boot"]
        assert len(taken) == 1  # the one that was not born: it was started anew
        assert here.plan().empty


def test_a_host_that_does_not_come_back_is_rolled_back_into_the_image_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as here:
        before = here.opened.dump()
        broken_birth(monkeypatch, here, "esx02")
        outcome = here.apply(here.plan(), "rollback")
        assert outcome.exit_code == 4, outcome
        assert "esx01" in outcome.message
        assert set(here.images().values()) == {IMAGE}
        assert without_vms(here.opened.dump()) == without_vms(before)
        assert here.plan("esxi8").empty


def test_a_power_cut_before_the_read_back_leads_into_the_image_before() -> None:
    """The new image is on trial: what was not read back clean does not stand."""
    with site() as here:
        plan = here.plan()
        mac = here.host("esx01").mac
        at = next(s.id for s in plan.steps if s.address.root == address("esx01") and s.operation == "vswitch.add")

        def hook(point: str, step: str) -> None:
            if (point, step) == ("before", at):
                here.house.power(mac, "off")

        here.lab.hook = hook
        outcome = here.apply(plan)
        assert outcome.exit_code == 3
        here.reopen()
        memory = here.opened.engine().sessions["boot"]
        assert isinstance(memory, MemoryBoot)
        here.house.power(mac, "on")
        memory._come_up(mac)
        assert here.images()["esx01"] == IMAGE
        here.reopen()
        outcome = rollback(here.opened.engine())
        assert outcome.exit_code == 0, outcome
        assert set(here.images().values()) == {IMAGE}
        assert here.plan("esxi8").empty
        assert here.apply(here.plan()).exit_code == 0
        assert set(here.images().values()) == {OTHER}


def test_a_finished_roll_is_rolled_back_by_another_one() -> None:
    with site() as here:
        for name, host in {"web1": "esx01", "db1": "esx02"}.items():
            here.vm(name, host)
        before = here.opened.dump()
        assert here.apply(here.plan()).exit_code == 0
        here.reopen()
        here.watch()
        outcome = rollback(here.opened.engine())
        assert outcome.exit_code == 0, outcome
        assert here.watched == []
        assert set(here.images().values()) == {IMAGE}
        assert without_vms(here.opened.dump()) == without_vms(before)
        assert facts(here, "esx01")["image"] == facts(here, "esx01")["staged"] == IMAGE
        assert here.plan("esxi8").empty


def test_where_nobody_knows_the_image_before_the_way_back_keeps_the_new_one() -> None:
    """Hosts that were adopted once; they are told by their build."""
    with site(TWO) as here:
        before = here.opened.dump()
        state = current_state(here.opened.store, CATALOG)
        assert state is not None
        here.opened.store.write(replace(state, resources={
            a: replace(r, facts={k: v for k, v in r.facts.items() if k not in ("image", "staged", "boots")})
            for a, r in state.resources.items()}))
        here.lab.staged.clear()
        plan = here.plan()
        assert [(r.before, r.builds) for r in plan.rolls] == [("", ("24022510", "24585291"))] * 2
        assert here.apply(plan).exit_code == 0
        here.reopen()
        outcome = rollback(here.opened.engine())
        assert outcome.exit_code == 0, outcome
        assert set(here.images().values()) == {OTHER}
        assert [e["config"] for e in here.opened.dump()["machines"].values()] == [
            e["config"] for e in before["machines"].values()]
