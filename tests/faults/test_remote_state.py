"""State at a midwife: cut links, killed midwives, two runners, leases that lapse in the middle of a run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import apply, resume, rollback
from planner.model import Attrs, FleetError, Locked
from planner.ports import Journal
from providers.midwife.remote import client as clients
from providers.midwife.remote.client import Client
from state.remote import RemoteStore
from tests.support.link import linked
from tests.support.state_server import StateProcess, StateServer, serving
from tests.support.toy import World, toy_engine, toy_fleet, toy_plan
from tests.unit.state.kit import head, text_of

FLEET: dict[str, Attrs] = {
    "site.a": {"name": "A"}, "box.x": {"site": "site.a", "color": "red"}, "box.y": {"site": "site.a", "size": 2},
    "box.z": {"site": "site.a", "size": 3},
}


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PAUSES", (0.02,))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[StateServer]:
    with serving(tmp_path, clock) as found:
        yield found


def applied(store: RemoteStore, world: World, resources: dict[str, Attrs] = FLEET, **options: Any) -> Any:
    fleet = toy_fleet(resources)
    return apply(toy_engine(fleet, world, store, **options), toy_plan(fleet, world, store.read()))


def journaled(journal: Journal, name: str, count: int, said: list[str]) -> None:
    for number in range(count):
        journal.append({"kind": "done", "step": f"{name}-{number}"})
        said.append(f"{name}-{number}")


# --- two runners ------------------------------------------------------------------------------------------


def test_two_runners_at_once(server: StateServer) -> None:
    """The second is told who works there, and changes nothing."""
    one, two, world = server.store("toy"), server.store("toy"), World()
    told: list[Locked] = []

    def hook(point: str, step: str) -> None:
        if (point, step) == ("before", "s0002"):
            with pytest.raises(Locked) as caught:
                applied(two, world)
            told.append(caught.value)

    world.hook = hook
    assert applied(one, world).exit_code == 0
    assert told[0].exit_code == 6
    assert "for apply" in text_of(told[0])
    assert len(one.runs()) == 1
    assert len(world.calls) == len(FLEET)


def test_a_runner_whose_lease_was_taken_calls_nothing_more(server: StateServer, clock: Clock) -> None:
    """It slept (a laptop, a frozen CI machine) while another one took over and finished its run."""
    one, two, world = server.store("toy", now=clock), server.store("toy"), World()
    during: list[str] = []

    def hook(point: str, step: str) -> None:
        if (point, step) == ("after", "s0002"):
            world.hook = lambda _point, _step: None
            clock.seconds += 61
            assert resume(toy_engine(toy_fleet(FLEET), world, two)).exit_code == 0
            during.extend(world.calls)

    world.hook = hook
    with pytest.raises(FleetError, match="lock was lost") as caught:
        applied(one, world)
    assert "resume PATH" in text_of(caught.value)
    assert len(during) == len(FLEET)
    assert world.calls == during
    assert [info.outcome for info in two.runs()] == ["applied"]
    assert list(two.verify()) == []
    assert two.holder() == ""


def test_a_sleeper_asks_before_it_calls(server: StateServer, clock: Clock) -> None:
    """Its `begin` was written down, then it slept: it must not make that call when it wakes up."""
    one, two = server.store("lab", now=clock), server.store("lab")
    with pytest.raises(FleetError, match="lock was lost"), one.lock("apply"):  # noqa: PT012
        journal = one.begin("r1", b"plan")
        journal.append(head())
        journal.held()
        clock.seconds += 61
        with two.lock("resume"):
            pass
        assert two.holder() == ""
        journal.held()


def test_a_lapsed_lease_that_nobody_wanted(server: StateServer, clock: Clock) -> None:
    store, world = server.store("toy", now=clock), World()

    def hook(_point: str, _step: str) -> None:
        clock.seconds += 3600

    world.hook = hook
    assert applied(store, world).exit_code == 0


def test_unlock_by_force_stops_a_run(server: StateServer) -> None:
    one, world = server.store("toy"), World()

    def hook(point: str, _step: str) -> None:
        if point == "after":
            server.store("toy").unlock()

    world.hook = hook
    with pytest.raises(FleetError, match="lock was lost"):
        applied(one, world)
    assert len(world.calls) == 1
    world.hook = lambda _point, _step: None
    assert rollback(toy_engine(toy_fleet(FLEET), world, server.store("toy"))).exit_code == 0
    assert world.objects == {}


# --- the link ---------------------------------------------------------------------------------------------


def test_a_cut_link_is_waited_out(server: StateServer) -> None:
    """Nothing new is begun meanwhile, and nothing is done twice."""
    world, said = World(), list[str]()
    with linked(("127.0.0.1", server.port)) as link:
        store = server.store("toy", url=f"https://127.0.0.1:{link.port}")
        store.say = said.append
        while_cut: list[int] = []

        def mend() -> None:
            time.sleep(1.3)
            while_cut.append(len(world.calls))
            link.mend()

        def hook(point: str, step: str) -> None:
            if (point, step) == ("after", "s0002"):
                link.cut()
                threading.Thread(target=mend).start()

        world.hook = hook
        assert applied(store, world, parallelism=4).exit_code == 0
    assert while_cut == [2]
    assert sorted(world.calls) == sorted(set(world.calls))
    assert "waiting for the midwife" in said[0]
    assert "answers again" in said[-1]


@pytest.mark.parametrize("ending", [resume, rollback])
def test_a_link_that_stays_cut_stops_the_run(server: StateServer, ending: Any) -> None:
    world = World()
    with linked(("127.0.0.1", server.port)) as link:
        store = server.store("toy", url=f"https://127.0.0.1:{link.port}", patience=0.3)
        world.hook = lambda point, step: link.cut() if (point, step) == ("after", "s0002") else None
        with pytest.raises(FleetError, match="does not answer") as caught:
            applied(store, world)
        assert "from any machine" in text_of(caught.value)
        assert len(world.calls) == 2
    other = server.store("toy")  # on another machine: the lease must lapse, or be taken away
    with pytest.raises(Locked):
        ending(toy_engine(toy_fleet(FLEET), world, other))
    assert "for apply" in other.unlock()
    world.hook = lambda _point, _step: None
    assert ending(toy_engine(toy_fleet(FLEET), world, other)).exit_code == 0
    assert len(world.objects) == (len(FLEET) if ending is resume else 0)
    assert list(other.verify()) == []


def test_a_link_that_breaks_all_the_time(server: StateServer) -> None:
    said: list[str] = []
    end = threading.Event()
    with linked(("127.0.0.1", server.port)) as link:
        store = server.store("lab", url=f"https://127.0.0.1:{link.port}")

        def shake() -> None:
            while not end.wait(0.03):
                link.cut()
                link.mend()

        with store.lock("apply"):
            journal = store.begin("r1", b"plan")
            journal.append(head())
            shaking = threading.Thread(target=shake)
            shaking.start()
            threads = [threading.Thread(target=journaled, args=(journal, f"t{n}", 25, said)) for n in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            end.set()
            shaking.join()
            journal.close()
        assert link.connections > 2
    records = server.store("lab").records("r1")
    assert sorted(r["step"] for r in records[1:]) == sorted(said)
    assert len(said) == 150


def test_a_midwife_that_is_not_there_is_named_soon(server: StateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.remote.GRACE", 0.1)
    store = server.store("lab")
    server.stop()
    try:
        with pytest.raises(FleetError, match="does not answer") as caught:
            store.read()
        assert server.url in text_of(caught.value)
        assert "fleet midwife serve" in text_of(caught.value)
    finally:
        server.start()


# --- the midwife ------------------------------------------------------------------------------------------


def test_a_midwife_killed_in_the_middle_of_appends(tmp_path: Path) -> None:
    """Nothing that was acknowledged is lost, nothing is there twice, and the runner's lock holds."""
    server = StateProcess(tmp_path).start()
    said: list[str] = []
    try:
        store = server.store("lab")
        with store.lock("apply", "CHG-9"):
            journal = store.begin("r1", b"plan")
            journal.append(head())
            threads = [threading.Thread(target=journaled, args=(journal, f"t{n}", 200, said)) for n in range(8)]
            for thread in threads:
                thread.start()
            for _ in range(4):
                known = len(said)
                while len(said) < known + 60:
                    time.sleep(0.005)
                server.kill()
                server.start()
                with pytest.raises(Locked, match="CHG-9"), server.store("lab").lock("apply"):
                    pass
            for thread in threads:
                thread.join()
            journal.close()
        records = store.records("r1")
        assert len(said) == 1600
        assert sorted(r["step"] for r in records[1:]) == sorted(said)
        for number in range(8):
            mine = [r["step"] for r in records[1:] if r["step"].startswith(f"t{number}-")]
            assert mine == [f"t{number}-{n}" for n in range(200)]
        assert [d for d in store.verify() if d.severity == "error"] == []
        assert store.holder() == ""
    finally:
        server.close()


def test_a_midwife_that_hangs_is_a_cut_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped, as by a machine that swaps: it answers late what it was asked before."""
    defaults = Client.call.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "seconds", 0.3)
    server = StateProcess(tmp_path).start()
    try:
        store = server.store("lab")
        with store.lock("apply"):
            journal = store.begin("r1", b"plan")
            journal.append(head())
            os.kill(server.process.pid, signal.SIGSTOP)
            timer = threading.Timer(1.0, os.kill, (server.process.pid, signal.SIGCONT))
            timer.start()
            journal.append({"kind": "done", "step": "late"})
            timer.join()
            journal.close()
        assert [r["kind"] for r in store.records("r1")] == ["head", "done"]
    finally:
        server.close()
