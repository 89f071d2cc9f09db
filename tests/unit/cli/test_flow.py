"""Commands end to end on the toy world, with real state and journal: exit codes, files, JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import Catalog, Operation, ResourceType
from planner.cli import wiring
from planner.cli.main import main
from planner.model import Address, Fleet, Output, StepFailed, Unknown
from planner.ports import OpenContext
from planner.schema import Field
from tests.support.toy import ToySession, World, toy_catalog, toy_fleet

X = Address.parse("box.x")
Run = Callable[..., tuple[int, str, str]]


class ToyProvider:
    """The toy world as an installed provider, under both names: the one that reads live, and its operations' own."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self.opened: list[bool] = []

    def types(self) -> Sequence[ResourceType]:
        return ()

    def operations(self) -> Sequence[Operation]:
        return ()

    def block(self) -> Mapping[str, Field]:
        return {}

    def open(self, context: OpenContext) -> ToySession:
        self.opened.append(context.writable)
        return ToySession(self.world)

    def image_digests(self, fleet: Fleet) -> Mapping[str, str]:
        return {}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    found = World()
    live = ToyProvider("vsphere", found)
    catalog: Catalog = toy_catalog()

    def load(_site: wiring.Site, source: wiring.Source, known: Mapping[Address, Any] | None = None) -> Fleet:
        size = (known or {}).get(X, {}).get("size", Unknown())
        return toy_fleet(json.loads(Path(source.path).read_text()), path=source.path, folder=str(tmp_path),
                         providers={"vsphere": {"server": "toy"}},
                         outputs={"size": Output(size), "hidden": Output("s3cret", True)})

    site = wiring.Site({"vsphere": live, "toy": ToyProvider("toy", found)}, catalog, {})
    monkeypatch.setattr(wiring, "installed", lambda: site)
    monkeypatch.setattr(wiring, "load", load)
    monkeypatch.setattr(wiring, "header", lambda _source: ("toy", {}))
    declare({"site.a": {"name": "a"}, "box.x": {"site": "site.a", "size": 1, "tags": ["t"]}})
    return found


@pytest.fixture
def fleet(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: str) -> tuple[int, str, str]:
        code = main(args)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def declare(resources: Mapping[str, Any]) -> None:
    Path("toy.json").write_text(json.dumps(resources))


def apply(fleet: Run, *more: str) -> int:
    return fleet("apply", "toy.json", "--auto-approve", "--reason", "CHG-1", *more)[0]


def breaks(world: World, at: int) -> None:
    """The call after `at` calls fails once."""
    left = [at]

    def hook(point: str, _step: str) -> None:
        if point == "before" and left == [len(world.calls)]:
            left.clear()
            raise StepFailed("in use", "by somebody", "release it")

    world.hook = hook


def test_plan_apply_plan(world: World, fleet: Run) -> None:
    code, out, _ = fleet("plan", "toy.json", "--detailed-exitcode")
    assert code == 2
    assert "Plan: 2 to create" in out
    assert not Path(".fleet").exists()
    assert apply(fleet) == 0
    assert [c.split()[0] for c in world.calls] == ["site.create", "box.create", "box.tag"]
    code, out, _ = fleet("plan", "toy.json", "--detailed-exitcode")
    assert (code, out.splitlines()[-1]) == (0, "Nothing to change: vCenter is as the fleet says.")
    assert fleet("plan", "toy.json", "--no-refresh", "--detailed-exitcode")[0] == 0
    assert apply(fleet) == 0
    assert len(world.calls) == 3


def test_a_saved_plan_is_shown_and_applied_once(world: World, fleet: Run) -> None:
    assert fleet("plan", "toy.json", "--out", "p.fleetplan")[0] == 0
    code, out, _ = fleet("show", "p.fleetplan")
    assert code == 0
    assert "Toy.box.create" in out
    assert fleet("show", "p.fleetplan", "--markdown")[1].startswith("## Plan for fleet toy")
    assert json.loads(fleet("show", "p.fleetplan", "--json")[1])["summary"]["create"] == 2
    assert fleet("apply", "p.fleetplan", "--auto-approve", "--target", "box.x")[0] == 64
    assert fleet("apply", "p.fleetplan", "--auto-approve")[0] == 0
    code, _, err = fleet("apply", "p.fleetplan", "--auto-approve")
    assert code == 5
    assert "stale" in err


def test_printed_json_is_a_plan_file(world: World, fleet: Run) -> None:
    Path("p.json").write_text(fleet("plan", "toy.json", "--json")[1])
    assert fleet("apply", "p.json", "--auto-approve")[0] == 0


@pytest.mark.parametrize("change", ["config", "live"])
def test_a_plan_whose_ground_moved_is_stale(world: World, fleet: Run, change: str) -> None:
    assert apply(fleet) == 0
    declare({"site.a": {"name": "a"}, "box.x": {"site": "site.a", "size": 2, "tags": ["t"]}})
    assert fleet("plan", "toy.json", "-o", "p")[0] == 0
    if change == "config":
        declare({"site.a": {"name": "b"}})
    else:
        world.objects[X]["color"] = "blue"
    calls = len(world.calls)
    assert fleet("apply", "p", "--auto-approve")[0] == 5
    assert len(world.calls) == calls


def test_a_plan_without_refresh_is_not_applied(world: World, fleet: Run) -> None:
    assert fleet("plan", "toy.json", "--no-refresh", "-o", "p")[0] == 0
    code, _, err = fleet("apply", "p", "--auto-approve")
    assert code == 1
    assert "--no-refresh" in err


def test_a_plan_without_its_fleet(world: World, fleet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fleet("plan", "toy.json", "-o", "p")[0] == 0
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert fleet("apply", "../p", "--auto-approve")[0] == 1


def test_failure_resume_and_rollback(world: World, fleet: Run) -> None:
    breaks(world, 1)
    code, _, err = fleet("apply", "toy.json", "--auto-approve", "--reason", "CHG-1")
    assert code == 3
    assert "do: release it" in err
    assert apply(fleet) == 3  # refused: a run is open
    assert "resume" in fleet("plan", "toy.json")[2]
    world.hook = lambda _point, _step: None
    code, out, _ = fleet("resume", "toy.json", "--auto-approve")
    assert code == 0
    assert "CHG-1" in out
    assert fleet("resume", "toy.json", "--auto-approve")[0] == 1
    code, out, _ = fleet("rollback", "toy.json", "--plan")
    assert code == 0
    assert out.index("box.untag") < out.index("box.destroy") < out.index("site.destroy")
    assert world.objects
    assert fleet("rollback", "toy.json", "no-such-run", "--auto-approve")[0] == 1
    assert fleet("rollback", "toy.json", "--auto-approve")[0] == 0
    assert world.objects == {}
    assert fleet("rollback", "toy.json", "--auto-approve")[0] == 1


def test_on_failure_rollback(world: World, fleet: Run) -> None:
    breaks(world, 2)
    assert apply(fleet, "--on-failure", "rollback") == 4
    assert world.objects == {}


def test_nothing_changed_is_1(world: World, fleet: Run) -> None:
    breaks(world, 0)
    assert apply(fleet) == 1
    world.hook = lambda _point, _step: None
    assert apply(fleet) == 0


def test_journal_is_shown_wherever_it_lies(world: World, fleet: Run) -> None:
    assert apply(fleet) == 0
    journal = next(Path(".fleet/toy/runs").glob("*.jsonl"))
    code, out, _ = fleet("show", str(journal))
    assert code == 0
    assert "reason CHG-1" in " ".join(out.split())
    assert "3 steps: 3 done" in out
    Path("copy.txt").write_bytes(journal.read_bytes())
    assert "3 steps: 3 done" in fleet("show", "copy.txt")[1]
    assert json.loads(fleet("show", "copy.txt", "--json")[1])["outcome"] == "applied"
    damaged = journal.read_bytes().replace(b"CHG-1", b"CHG-2")
    Path("copy.txt").write_bytes(damaged)
    assert fleet("show", "copy.txt")[0] == 1


def test_json_while_running_is_one_object_a_line(world: World, fleet: Run) -> None:
    code, out, _ = fleet("apply", "toy.json", "--auto-approve", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [lines[0]["kind"], lines[1]["kind"], lines[-1]["kind"]] == ["fleet.plan", "start", "outcome"]
    assert lines[-1]["exit_code"] == 0
    code, out, _ = fleet("rollback", "toy.json", "--auto-approve", "--json")
    assert code == 0
    assert [json.loads(line)["kind"] for line in out.splitlines()].count("undone") == 3


def test_drift(world: World, fleet: Run) -> None:
    assert apply(fleet) == 0
    assert fleet("drift", "toy.json", "--detailed-exitcode")[0] == 0
    world.objects[X]["size"] = 7
    del world.objects[Address.parse("site.a")]
    code, out, _ = fleet("drift", "toy.json", "--detailed-exitcode")
    assert code == 2
    assert "Drift: 2 attributes or objects." in out
    found = json.loads(fleet("drift", "toy.json", "--json")[1])
    assert {(d["address"], d["attribute"]) for d in found["drift"]} == {("box.x", "size"), ("site.a", "")}
    assert fleet("plan", "toy.json", "--no-refresh", "--detailed-exitcode")[0] == 0


def test_target_and_destroy(world: World, fleet: Run) -> None:
    assert apply(fleet, "--target", "site.a") == 0
    assert X not in world.objects
    assert fleet("plan", "toy.json", "--target", "site.nope")[0] == 1
    assert apply(fleet) == 0
    assert fleet("destroy", "toy.json", "--auto-approve")[0] == 0
    assert world.objects == {}


def test_a_lock_is_6(world: World, fleet: Run) -> None:
    store = wiring.store_at(Path(".fleet/toy").absolute(), "toy", {})
    with store.lock("apply", "because"):
        code, _, err = fleet("apply", "toy.json", "--auto-approve")
    assert code == 6
    assert "because" in err


def test_outputs_know_what_state_knows(world: World, fleet: Run) -> None:
    assert fleet("output", "toy.json")[1].splitlines() == ["size = (known after apply)", "hidden = (sensitive)"]
    assert apply(fleet) == 0
    assert fleet("output", "toy.json", "size", "--raw")[1] == "1\n"
    for args in (("hidden",), ("hidden", "--raw"), (), ("--json",)):
        assert "s3cret" not in fleet("output", "toy.json", *args)[1]
    assert fleet("output", "toy.json", "nope")[0] == 1


def test_only_what_may_change_opens_writable(world: World, fleet: Run) -> None:
    provider: Any = wiring.installed().providers["vsphere"]
    fleet("plan", "toy.json")
    fleet("drift", "toy.json")
    assert provider.opened == [False, False]
    apply(fleet)
    assert provider.opened[-1] is True


def test_declined_is_1_and_changes_nothing(world: World, fleet: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Tty("no\n"))
    code, out, err = fleet("apply", "toy.json")
    assert code == 1
    assert "Plan: 2 to create" in out
    assert "not approved" in err
    assert world.calls == []


@pytest.mark.parametrize(("at", "code"), [(0, 1), (1, 3)])
def test_what_breaks_a_run_off_is_3_once_something_changed(world: World, fleet: Run, at: int, code: int) -> None:
    def hook(point: str, _step: str) -> None:
        if point == "before" and len(world.calls) == at:
            raise RuntimeError("no space left")

    if at:
        world.hook = hook
    else:
        Path(".fleet").write_text("not a folder")
    found, _, err = fleet("apply", "toy.json", "--auto-approve")
    assert found == code
    assert ("fleet resume" in err) is (code == 3)
