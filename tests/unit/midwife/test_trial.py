"""Images on trial: served until their birth is accepted; then what stood before is, until the new one is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from providers.boot.staging import shown, way_of
from providers.midwife.standing import Former, Way
from tests.unit.boot.kit import MACS as MACHINES
from tests.unit.boot.kit import FakeHouse, make_image, operations, site
from tests.unit.midwife.test_desk import MAC, Office

OLD, NEW = "a" * 64, "b" * 64
TRIAL = Way(trial=True)


def on_trial(office: Office, known: str = "") -> None:
    office.desk.stage(MAC, OLD, "/images/old", "8.0.3-1", "")
    office.desk.stage(MAC, NEW, "/images/new", "8.0.3-2", known, TRIAL)


def boots(office: Office) -> str:
    standing = office.desk.current(MAC)
    return standing.image if standing is not None else ""


def test_a_trial_is_served_until_it_is_born() -> None:
    office = Office()
    on_trial(office)
    assert boots(office) == NEW
    office.boot()  # a firmware that tries twice gets the same
    boot = office.boot()
    assert boots(office) == NEW
    assert office.post(office.body(boot)) == 201
    born = office.desk.birth(MAC)
    assert born is not None
    assert born["image"] == NEW
    assert boots(office) == OLD
    assert office.desk.birth(MAC) is None  # the boot that follows is another one's affair
    assert "not confirmed" in office.events[-1][1]


def test_a_trial_that_is_kept_stands(tmp_path: Path) -> None:
    office = Office(tmp_path)
    on_trial(office)
    office.post(office.body(office.boot()))
    born = office.desk.birth(MAC)
    assert born is not None
    office.desk.stage(MAC, NEW, "/images/new", "8.0.3-2", born["born"])
    assert boots(office) == NEW
    again = Office(tmp_path)
    assert boots(again) == NEW
    assert again.standings.images() == {NEW: "/images/new"}


def test_a_trial_falls_back_after_a_restart_of_the_process(tmp_path: Path) -> None:
    first = Office(tmp_path)
    on_trial(first)
    first.post(first.body(first.boot()))
    second = Office(tmp_path)
    assert second.standings.images() == {NEW: "/images/new", OLD: "/images/old"}
    assert boots(second) == OLD
    found = second.standings.get(MAC)
    assert found is not None
    assert (found.build, found.source, found.former, found.way) == ("8.0.3-1", "/images/old", None, Way())


def test_a_restart_that_somebody_asks_for_is_no_second_trial() -> None:
    office = Office()
    on_trial(office)
    office.desk.expect(MAC, again=False)
    assert boots(office) == NEW  # not born yet: that restart is still the trial's
    office.post(office.body(office.boot()))
    office.desk.expect(MAC)
    assert boots(office) == NEW  # a run that goes on tries once more
    office.post(office.body(office.boot()))
    office.desk.expect(MAC, again=False)
    assert boots(office) == OLD


def test_staging_a_trial_again_keeps_what_it_falls_back_to() -> None:
    office = Office()
    on_trial(office)
    office.post(office.body(office.boot()))
    born = office.desk.birth(MAC)
    assert born is not None
    office.desk.stage(MAC, NEW, "/images/new", "8.0.3-2", born["born"], TRIAL)  # resumed: that birth does not hold
    found = office.desk.current(MAC)
    assert found is not None
    assert (found.image, found.former) == (NEW, Former(OLD, "/images/old", "8.0.3-1"))


def test_without_anything_before_it_nothing_stands_after_a_trial() -> None:
    office = Office()
    office.desk.stage(MAC, NEW, "/images/new", "", "", TRIAL)
    office.post(office.body(office.boot()))
    assert boots(office) == ""
    office.desk.stage(MAC, OLD, "/images/old", "", "", Way(once=True))
    assert office.desk.stage(MAC, NEW, "/images/new", "", "", TRIAL).former is None


@pytest.mark.parametrize("agentless", [False, True])
def test_the_words_of_a_step(agentless: bool) -> None:
    office = Office()
    way, spent = way_of({"staged": NEW, "boots": "trial", "agentless": agentless or None})
    assert (way, spent) == (Way(trial=True, agentless=agentless), False)
    assert shown(office.desk.stage(MAC, NEW, "/images/new", "", "", way)) == {
        "staged": NEW, "boots": "trial", "installs": None, "agentless": agentless or None}


def test_a_machine_tries_goes_back_and_keeps(tmp_path: Path) -> None:
    """Over real sockets, with the operations of steps: the image that a machine runs is what it fetched."""
    house, mac = FakeHouse(), MACHINES[0]
    new = make_image(tmp_path / "images" / "new", size=99)
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", mac)
        here.run("power.boot", mac)
        facts = here.run("birth.wait", mac)
        old = here.digest
    with site(tmp_path, house=house, image=new) as here:
        def stage(operation: str, before: dict[str, str | None], after: dict[str, str | None]) -> None:
            call = replace(here.call(mac, operation, facts=facts), before=before, after=after)
            here.boot.run(operations()[operation], call)

        def machine_runs() -> str:
            """After a power cycle by itself."""
            house.power(mac, "cycle", here.boot.machine_boot(house))
            house.join()
            return house.machine(mac).image

        standing: dict[str, str | None] = {"staged": old, "boots": None}
        trial: dict[str, str | None] = {"staged": here.digest, "boots": "trial"}
        kept: dict[str, str | None] = {"staged": here.digest, "boots": None}
        assert here.digest != old
        stage("boot.stage", standing, trial)
        stage("boot.unstage", trial, standing)  # a rollback before the machine was restarted
        assert machine_runs() == old
        stage("boot.stage", standing, trial)
        assert machine_runs() == here.digest
        assert machine_runs() == old
        stage("boot.stage", standing, trial)
        assert machine_runs() == here.digest
        stage("boot.keep", trial, kept)
        assert machine_runs() == here.digest
