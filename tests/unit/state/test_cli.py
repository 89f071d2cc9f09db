"""`fleet state …` on the toy world: what it prints, what it refuses, what it repairs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planner.cli import state_edit
from planner.cli.main import main
from planner.cli.state_views import resource_rows
from planner.execute.engine import apply, rollback
from planner.model import Address, Attrs, FleetError, StateResource
from state.local import LocalStore
from tests.support.toy import Killed, World, toy_catalog, toy_engine, toy_fleet, toy_plan

FLEET: dict[str, Attrs] = {
    "site.a": {"name": "A"}, "box.x": {"site": "site.a", "color": "red"}, "box.y": {"site": "site.a", "size": 2},
}
BOX = Address("box", "x")


class Site:
    """A toy fleet that has been applied once, and the command line on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = LocalStore(folder, "toy")
        self.world = World()
        self.capsys = capsys

    def apply(self, resources: dict[str, Any] | None = None) -> None:
        fleet = toy_fleet(FLEET if resources is None else resources)
        assert apply(toy_engine(fleet, self.world, self.store), toy_plan(fleet, self.world, self.store.read())).run

    def killed(self, step: str = "s0001") -> str:
        """An apply that dies right after a step took effect. Returns its run."""

        def hook(point: str, number: str) -> None:
            if (point, number) == ("after", step):
                raise Killed

        self.world.hook = hook
        with pytest.raises(Killed):
            self.apply({**FLEET, "box.x": {"site": "site.a", "color": "blue"}, "box.z": {"site": "site.a"}})
        self.world.hook = lambda _point, _step: None
        return self.store.runs()[-1].run

    def run(self, command: str, *arguments: str) -> SimpleNamespace:
        code = main(["state", command, "toy.yaml", *arguments])
        out, err = self.capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    def json(self, command: str, *arguments: str) -> Any:
        done = self.run(command, *arguments, "--json")
        return SimpleNamespace(code=done.code, data=json.loads(done.out))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    site = Site(tmp_path / ".fleet" / "toy", capsys)
    monkeypatch.setattr(state_edit, "store_of", lambda _path, **_how: ("toy", LocalStore(site.store.folder, "toy")))
    monkeypatch.setattr(state_edit, "catalog", toy_catalog)
    return site


def test_no_state_is_an_empty_state(site: Site) -> None:
    assert site.run("list").out == "State is empty.\n"
    assert site.json("list").data["resources"] == []
    assert site.json("history").data["history"] == []
    assert site.json("verify").data["sound"] is True
    assert json.loads(site.run("pull").out)["serial"] == 0
    assert site.run("unlock").out == "There was no lock.\n"
    assert site.run("show", "box.x").code == 1
    assert site.run("rm", "box.x").code == 1
    assert not site.store.state_path.exists()


def test_list_and_show(site: Site) -> None:
    site.apply()
    listed = site.run("list")
    assert [line.split()[0] for line in listed.out.splitlines()[2:5]] == ["box.x", "box.y", "site.a"]
    assert "3 objects, serial 1" in listed.out
    assert {r["address"] for r in site.json("list").data["resources"]} == set(FLEET)
    assert "'red'" in site.run("show", "box.x").out or '"red"' in site.run("show", "box.x").out
    assert site.json("show", "box.x").data["attributes"] == {"color": "red", "site": "site.a", "size": 1}
    missing = site.run("show", "box.nope")
    assert (missing.code, missing.out) == (1, "")
    assert site.run("show", "box").code == 64
    assert site.json("show", "box").data["exit_code"] == 64


def test_an_open_run_is_replayed(site: Site) -> None:
    site.apply()
    run = site.killed("s0002")
    listed = site.json("list").data
    assert (listed["complete"], listed["serial"], listed["run"]) == (False, 2, run)
    assert f"run {run} is open" in site.run("list").out
    assert [row["outcome"] for row in site.json("history").data["history"]] == ["applied", "open"]


def test_history_says_who_and_why(site: Site) -> None:
    site.apply()
    assert site.run("rm", "box.y", "--reason", "CHG-9").code == 0
    rows = site.json("history").data["history"]
    assert [(r["serial"], r["resources"], r["outcome"]) for r in rows] == [(1, 3, "applied"), (2, 2, "edited")]
    assert rows[0]["by"] == "tester@here"
    assert rows[1]["reason"] == "CHG-9"
    assert "CHG-9" in site.run("history").out


def test_verify_exits_1_on_damage(site: Site) -> None:
    site.apply()
    assert site.run("verify").out == "State, history and journals are sound.\n"
    journal = site.store.journal_path(site.store.runs()[0].run)
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(bytes(data))
    done = site.run("verify")
    assert (done.code, done.out) == (1, "1 error.\n")
    assert "journal is damaged" in done.err
    assert site.json("verify").data["diagnostics"][0]["severity"] == "error"


def test_rm_and_mv(site: Site) -> None:
    site.apply()
    assert site.json("rm", "box.y").data["removed"] == ["box.y"]
    assert site.run("mv", "box.x", "box.renamed").code == 0
    state = site.store.read()
    assert state is not None
    assert set(map(str, state.resources)) == {"site.a", "box.renamed"}
    assert (state.serial, state.complete) == (3, True)
    for arguments, code in ((("box.x", "box.q"), 1), (("box.renamed", "site.a"), 1), (("box.renamed", "site.q"), 1),
                            (("box", "box.q"), 64), (("box.renamed",), 64)):
        assert site.run("mv", *arguments).code == code
    assert site.store.read() == state
    assert site.run("verify").code == 0
    assert len(site.world.calls) == 3  # live is as it was


def test_a_run_from_before_a_repair_cannot_be_rolled_back(site: Site) -> None:
    site.apply()
    site.run("mv", "box.x", "box.q", "--reason", "CHG-3")
    with pytest.raises(FleetError, match="CHG-3"):
        rollback(toy_engine(toy_fleet(FLEET), site.world, site.store))


def test_a_host_takes_along_what_hangs_on_it(site: Site) -> None:
    site.apply()
    state = site.store.read()
    assert state is not None
    document = json.loads(site.store.dump(state))
    child = {**document["resources"][0], "address": 'box.x.lid["top one"]', "type": "lid"}
    del document["sum"]
    document["resources"].append(child)
    file = site.store.folder / "edited.json"
    file.write_text(json.dumps(document))
    assert site.run("push", str(file)).code == 0
    assert site.run("mv", "box.x", "box.q").code == 0
    assert 'box.q.lid["top one"]' in site.run("list").out
    assert site.json("rm", "box.q").data["removed"] == ["box.q", 'box.q.lid["top one"]']


def test_repairs_are_refused_while_a_run_is_open_or_locked(site: Site, tmp_path: Path) -> None:
    site.apply()
    file = tmp_path / "pulled.json"
    file.write_text(site.run("pull").out)
    changes = (("rm", "box.y"), ("mv", "box.x", "box.q"), ("push", str(file)))
    with site.store.lock("apply", "CHG-1"):
        for change in (*changes, ("abandon", "r", "--reason", "x")):
            done = site.run(*change)
            assert done.code == 6
            assert "for apply: CHG-1" in done.err
    run = site.killed()
    for change in changes:
        done = site.run(*change)
        assert done.code == 3
        assert f"fleet state abandon PATH {run}" in done.err


def test_abandon_keeps_what_was_done(site: Site) -> None:
    site.apply()
    run = site.killed("s0002")
    assert site.run("abandon", run).code == 64
    assert site.run("abandon", "nope", "--reason", "x").code == 1
    done = site.run("abandon", run, "--reason", "the site burnt down")
    assert (done.code, done.err) == (0, "")
    state = site.store.read()
    assert state is not None
    assert (state.complete, state.serial) == (True, 2)
    info = site.store.runs()[-1]
    assert info.outcome == "abandoned"
    assert site.store.records(run)[-1]["reason"] == "the site burnt down"
    assert site.run("abandon", run, "--reason", "x").code == 1
    assert site.run("verify").code == 0
    site.apply()  # life goes on


@pytest.mark.parametrize("what", ["journal", "plan", "base", "base and plan"])
def test_abandon_of_a_damaged_run(site: Site, what: str) -> None:
    site.apply()
    run = site.killed("s0002")
    path = site.store.journal_path(run)
    if what == "journal":
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:1], b"x", *lines[1:]]))
    if "plan" in what:
        path.with_suffix(".plan").unlink()
    if "base" in what:
        (site.store.folder / "history" / "1.json").unlink()
    assert site.run("list").code == 1
    done = site.run("abandon", run, "--reason", "damaged")
    assert done.code == 0
    assert "warning" in done.err
    state = site.store.read()
    assert state is not None
    assert state.complete
    assert site.run("list").code == 0
    site.apply()


# --- push -----------------------------------------------------------------------------------------------------


def _pulled(site: Site, change: Callable[[dict[str, Any]], Any] = lambda _d: None) -> str:
    document = json.loads(site.run("pull").out)
    change(document)
    file = site.store.folder / "pulled.json"
    file.write_text(json.dumps(document))
    return str(file)


def _edit(document: dict[str, Any], **more: Any) -> None:
    document.update(more)
    document["resources"][0]["attributes"]["color"] = "green"
    del document["sum"]


def test_push_takes_an_edited_document(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.apply()
    file = _pulled(site, _edit)
    assert site.run("push", file, "--reason", "CHG-2").code == 0
    state = site.store.read()
    assert state is not None
    assert (state.serial, state.resources[BOX].attributes["color"]) == (2, "green")
    assert site.store.runs()[-1].reason == "CHG-2"
    assert site.run("push", file).code == 5  # made from serial 1; the state is at 2
    with open(_pulled(site), "rb") as stream:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(stream.read())))
    assert site.run("push", "-").code == 0
    assert site.run("verify").code == 0


@pytest.mark.parametrize(("change", "said"), [
    (lambda d: d["resources"].pop(), "edited by hand"),
    (lambda d: _edit(d, lineage="other"), "another lineage"),
    (lambda d: _edit(d, fleet="other"), "another fleet"),
    (lambda d: _edit(d, format=9), "newer"),
    (lambda d: _edit(d, resources=[{**d["resources"][0], "origin": "found"}]), "origin"),
    (lambda d: _edit(d, resources=[d["resources"][0]] * 2), "twice"),
])  # fmt: skip
def test_push_refuses(site: Site, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    site.apply()
    done = site.run("push", _pulled(site, change))
    assert done.code == 1
    assert said in done.err
    assert [s.serial for s in site.store.history()] == [1]
    assert site.run("push").code == 64
    assert site.run("push", "nope.json").code == 1


@pytest.mark.parametrize("damage", [b"", b'{"format": 1}', None])
def test_a_damaged_state_is_rebuilt_from_the_journal(site: Site, damage: bytes | None) -> None:
    site.apply()
    site.apply({"site.a": {"name": "B"}})
    whole = site.store.read()
    if damage is None:
        site.store.state_path.unlink()
    else:
        site.store.state_path.write_bytes(damage)
    listed = site.run("list")
    assert (listed.code, "fleet state push PATH --rebuild" in listed.err) == (1, True)
    assert site.run("push", "--rebuild").code == 0
    assert site.store.read() == whole
    assert site.run("verify").code == 0


def test_a_damaged_state_is_rebuilt_in_the_middle_of_a_run(site: Site) -> None:
    site.apply()
    site.killed("s0002")
    before = site.json("list").data
    site.store.state_path.write_bytes(b"")
    assert site.run("push", "--rebuild").code == 0
    assert site.json("list").data == before
    assert rollback(toy_engine(toy_fleet(FLEET), site.world, site.store)).exit_code == 0


def test_an_old_state_is_restored_by_pushing_it(site: Site) -> None:
    site.apply()
    old = site.store.read()
    site.run("rm", "box.x")
    site.store.state_path.write_bytes(b"damaged")
    assert site.run("push", "--rebuild").code == 1  # the last change was made by hand
    assert site.run("push", str(site.store.folder / "history" / "1.json")).code == 0
    state = site.store.read()
    assert old is not None
    assert state is not None
    assert state.resources == old.resources
    assert site.run("verify").code == 0
    assert os.listdir(site.store.folder).count("state.json.damaged") == 1


def test_usage_errors_are_64(site: Site) -> None:
    assert main(["state"]) == 64
    assert main(["state", "nope"]) == 64
    assert main(["state", "list"]) == 64
    assert site.run("list", "--nope").code == 64


def test_what_has_several_lines_is_shown_by_its_first() -> None:
    facts = {"certificate": "BEGIN\nAAAA\nEND\n", "ip": "10.0.0.1"}
    host = StateResource(Address("host", "a"), "created", {}, facts=facts)
    assert dict(resource_rows(host)) == {
        "address": "host.a", "origin": "created", "id": "", "(certificate)": '"BEGIN…"', "(ip)": '"10.0.0.1"'}
