"""Who is restored when: windows, back-off, other people's locks, quarantine. The workbench is a fake one here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from planner.model import Attrs, FleetError, Incomplete, Locked
from planner.ports import RestoreOutcome
from providers.midwife.desk import iso
from providers.midwife.restore import Limits, Restorer
from providers.midwife.restores import Case, Restores, load, quarantined, release
from tests.support.places import quick_folder

A, B, C = (f"52:54:00:00:00:0{n}" for n in (1, 2, 3))
QUICK = Limits(quiet=0.05, longest=0.3, hosts=8, first=0.02, most=0.2, busy=0.05, attempts=3, again=0.03)
SECONDS = 20.0


@dataclass
class Bench:
    """Answers as told; remembers what it was asked."""

    answers: Callable[[str, Mapping[str, Attrs], dict[str, Any]], RestoreOutcome]
    asked: list[tuple[str, tuple[str, ...], dict[str, Any]]] = field(default_factory=list)

    def restore(self, folder: Path, fleet: str, births: Mapping[str, Attrs], **more: Any) -> RestoreOutcome:
        self.asked.append((fleet, tuple(sorted(births)), more))
        return self.answers(fleet, births, more)


@dataclass
class Fleets:
    """A nursery: MACs by fleet, and the boot of each one's newest birth."""

    owners: dict[str, list[str]]
    born: dict[str, str] = field(default_factory=dict)

    def birth(self, mac: str) -> Mapping[str, object] | None:
        names = ("uuid", "serial", "ip", "certificate", "thumbprint", "version", "build", "image")
        return {**dict.fromkeys(names, "x"), "mac": mac, "born": self.born[mac]} if mac in self.born else None

    def fleets(self) -> Iterable[str]:
        return list(self.owners)

    def macs(self, fleet: str) -> Iterable[str]:
        return self.owners[fleet]

    def folder(self, fleet: str) -> Path:
        return Path("/nowhere") / fleet


@dataclass
class World:
    bench: Bench
    fleets: Fleets
    restores: Restores
    restorer: Restorer
    said: list[str]
    time: float = 1_800_000_000.0

    def born(self, mac: str, fleet: str = "lab", after: float = 60.0) -> None:
        self.time += after
        self.fleets.born[mac] = iso(self.time)
        self.restorer.born(fleet, mac)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, (self.bench.asked, self.said)
            time.sleep(0.005)

    def settled(self, times: int) -> None:
        self.until(lambda: len(self.bench.asked) >= times and self.restorer.idle("lab"))


def done(_fleet: str, births: Mapping[str, Attrs], more: dict[str, Any]) -> RestoreOutcome:
    held = {m: why for m, why in more["held"].items() if m in births}
    return RestoreOutcome("run-1", done=tuple(m for m in births if m not in held), left=held)


Make = Callable[..., World]


@pytest.fixture
def make() -> Iterator[Make]:
    opened: list[Restorer] = []

    def build(answers: Any = done, folder: Path | None = None, fleets: dict[str, list[str]] | None = None,
              limits: Limits = QUICK) -> World:
        said: list[str] = []
        bench, owners = Bench(answers), Fleets(fleets or {"lab": [A, B, C]})
        restores = Restores(folder)
        world = World(bench, owners, restores, Restorer(owners, bench, restores, said.append, limits,
                                                        now=lambda: world.time), said)
        opened.append(world.restorer)
        return world

    yield build
    for restorer in opened:
        restorer.stop()


def test_births_of_a_short_while_are_restored_together(make: Make) -> None:
    world = make(limits=Limits(quiet=0.3, longest=SECONDS))
    for mac in (A, B, C):
        world.born(mac)
    world.settled(1)
    assert [(fleet, macs) for fleet, macs, _ in world.bench.asked] == [("lab", (A, B, C))]
    assert world.bench.asked[0][2]["hosts"] == 8


def test_a_storm_that_does_not_end_does_not_hold_up_the_first(make: Make) -> None:
    world = make(limits=Limits(quiet=SECONDS, longest=0.1))
    world.born(A)
    world.until(lambda: world.bench.asked)
    assert world.bench.asked[0][1] == (A,)


def test_each_fleet_is_restored_by_itself(make: Make) -> None:
    """One whose vCenter hangs holds up no other."""
    hung = threading.Event()

    def answers(fleet: str, births: Mapping[str, Attrs], more: dict[str, Any]) -> RestoreOutcome:
        if fleet == "lab":
            hung.wait(SECONDS)
        return done(fleet, births, more)

    world = make(answers, fleets={"lab": [A], "edge": [B]})
    world.born(A, "lab")
    world.until(lambda: world.bench.asked)
    world.born(B, "edge")
    world.until(lambda: len(world.bench.asked) == 2)
    assert [(f, m) for f, m, _ in world.bench.asked] == [("lab", (A,)), ("edge", (B,))]
    hung.set()


@pytest.mark.parametrize("trouble", [
    Locked("alice applies"), Incomplete("alice's run is open"), FleetError("vCenter cannot be reached"),
    OSError("disk"), ValueError("a defect")])
def test_trouble_is_waited_out_and_no_birth_is_lost(make: Make, trouble: Exception) -> None:
    left = [trouble] * 4

    def answers(fleet: str, births: Mapping[str, Attrs], more: dict[str, Any]) -> RestoreOutcome:
        if left:
            raise left.pop()
        return done(fleet, births, more)

    world = make(answers)
    world.born(A)
    world.until(lambda: len(world.bench.asked) == 2)
    world.born(B)
    world.settled(5)
    assert world.bench.asked[-1][1] == (A, B)
    assert sum(str(trouble) in line for line in world.said) == 1  # once, however long it goes on


def test_a_host_that_fails_is_tried_again_and_given_up(make: Make) -> None:
    def answers(_fleet: str, births: Mapping[str, Attrs], _more: dict[str, Any]) -> RestoreOutcome:
        return RestoreOutcome("run", done=tuple(m for m in births if m != A), failed={A: "NFS"} if A in births else {})

    world = make(answers)
    world.born(A)
    world.born(B)
    world.until(lambda: any("given up" in line for line in world.said))
    assert [(macs, sorted(more["again"])) for _, macs, more in world.bench.asked] == [
        ((A, B), []), ((A,), [A]), ((A,), [A])]
    assert world.restores.get(A, "lab").problem == "NFS"
    world.born(A)  # another birth, another chance
    world.until(lambda: len(world.bench.asked) == 4)
    assert world.bench.asked[-1][2]["again"] == set()


def test_three_births_in_an_hour_are_a_quarantine(make: Make) -> None:
    with quick_folder() as folder:
        world = make(folder=folder)
        for number in range(1, 5):
            world.born(A)
            world.settled(number)
        assert [sorted(more["held"]) for _, _, more in world.bench.asked] == [[], [], [A], [A]]
        assert list(quarantined(folder, "lab")) == [A]
        assert quarantined(folder, "edge") == {}
        world.restorer.stop()

        again = make(folder=folder)  # it outlives the midwife
        again.fleets.born[A] = iso(world.time)
        again.time = world.time
        again.restorer.start()
        again.settled(1)
        assert sorted(again.bench.asked[0][2]["held"]) == [A]
        release(folder, "lab", A)
        again.settled(2)
        assert (again.bench.asked[1][1], again.bench.asked[1][2]["held"]) == ((A,), {})
        assert quarantined(folder) == {}
        assert "lab: 52:54:00:00:00:01 is out of quarantine" in again.said


def test_slow_rebirths_are_none(make: Make) -> None:
    world = make()
    for number in range(1, 5):
        world.born(A, after=1900.0)
        world.settled(number)
    assert [more["held"] for _, _, more in world.bench.asked] == [{}] * 4


def test_births_that_an_apply_took_do_not_count(make: Make) -> None:
    """Three boots by applies, and one at night."""
    taken = [True, True, True, False]

    def answers(fleet: str, births: Mapping[str, Attrs], more: dict[str, Any]) -> RestoreOutcome:
        return RestoreOutcome(known=tuple(births)) if taken.pop(0) else done(fleet, births, more)

    world = make(answers)
    for number in range(1, 5):
        world.born(A)
        world.settled(number)
    assert world.bench.asked[-1][2]["held"] == {}
    assert world.restores.get(A, "lab").births == (iso(world.time),)


def test_births_while_restores_wait_count_each(make: Make) -> None:
    """vCenter is down, and the host boots again and again meanwhile."""
    down = threading.Event()

    def answers(fleet: str, births: Mapping[str, Attrs], more: dict[str, Any]) -> RestoreOutcome:
        if not down.is_set():
            raise FleetError("vCenter cannot be reached")
        return done(fleet, births, more)

    world = make(answers)
    for number in range(1, 4):
        world.born(A)
        world.until(lambda wanted=number: len(world.bench.asked) >= wanted)  # type: ignore[misc]
    down.set()
    world.until(lambda: world.restores.get(A, "lab").quarantined)
    assert world.bench.asked[-1][2]["held"] == {A: world.restores.get(A, "lab").problem}


def test_what_was_born_while_no_midwife_ran_is_restored_at_its_start(make: Make) -> None:
    world = make()
    world.fleets.born.update({A: iso(world.time), B: iso(world.time)})
    world.restorer.start()
    world.settled(1)
    assert world.bench.asked[0][1] == (A, B)


def test_a_stop_is_told_to_the_restore_that_runs(make: Make) -> None:
    begun = threading.Event()

    def answers(_fleet: str, births: Mapping[str, Attrs], more: dict[str, Any]) -> RestoreOutcome:
        begun.set()
        assert more["stop"].wait(SECONDS)
        return RestoreOutcome("run", interrupted=True)

    world = make(answers)
    world.born(A)
    assert begun.wait(SECONDS)
    world.restorer.stop()
    assert world.restores.all() == {}


# --- the record -------------------------------------------------------------------------------------------------


def test_the_record_is_what_was_put_there() -> None:
    with quick_folder() as folder:
        case = Case("lab", ("2026-01-01T00:00:00+00:00",), "b", 2, "2026-01-01T00:00:00+00:00", "why")
        Restores(folder).put({A: case, B: Case("lab")})
        assert load(folder) == {A: case}
        assert Restores(folder).get(A, "lab") == case
        assert [p.name for p in folder.iterdir()] == ["restores.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2, "hosts": {}}', '{"format": 1, "hosts": {"x": {"oops": 1}}}'])
def test_a_damaged_record_is_named(text: str) -> None:
    with quick_folder() as folder:
        (folder / "restores.json").write_text(text)
        with pytest.raises(FleetError, match="record of restores cannot be read"):
            Restores(folder).all()


def test_only_what_is_in_quarantine_can_be_released() -> None:
    with quick_folder() as folder:
        Restores(folder).put({A: Case("lab", quarantined="2026-01-01T00:00:00+00:00")})
        with pytest.raises(FleetError, match="not in quarantine"):
            release(folder, "edge", A)
        with pytest.raises(FleetError, match="not in quarantine"):
            release(folder, "lab", B)
        release(folder, "lab", A)
        restores = Restores(folder)
        assert restores.released() == [A]
        assert restores.released() == []
        assert load(folder) == {}
