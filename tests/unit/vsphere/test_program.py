"""A host's program, case by case: values in, steps out (`tests/cases/vsphere/host`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import Program, ProgramInput
from planner.model import Action, Address, Change, Evacuation, LiveHost, Mate, SecretRef, Stray, decode
from providers.vsphere.host.install import validate
from providers.vsphere.host.program import program
from providers.vsphere.types import TYPES

CASES = sorted((Path(__file__).parents[2] / "cases/vsphere/host").glob("*.json"))
HOST = Address("host", "esx")


def given(raw: dict[str, Any]) -> ProgramInput:
    live = None
    if raw["live"] is not None:
        status: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw["live"].items()}
        status["strays"] = tuple(Stray(*each) for each in status.get("strays", ()))
        live = LiveHost(HOST, "host-1", **status)
    change = Change(HOST, Action(raw["action"]), decode(raw["before"]), decode(raw["after"]),
                    adopted=raw.get("adopted", False))
    vms = {k: tuple(v) for k, v in raw.get("evacuation", {}).items()}
    return ProgramInput(change, live, raw["facts"], raw.get("children_change", False), raw["image"], raw["power"],
                        raw.get("options", {}), raw.get("birth", {}), raw.get("build", ""), raw.get("hold", ""),
                        tuple(Mate(*m) for m in raw.get("out", ())), Evacuation(**vms) if vms else None)


def words(made: Program) -> dict[str, Any]:
    """A program as its cases write it: only what is there."""
    def names(drafts: Any) -> list[str]:
        return [d.operation + (f" when {d.when}" if d.when else "") for d in drafts]

    found = {"head": names(made.head), "tail": names(made.tail), "reset": made.reset, "window": made.window,
             "blocked": made.blocked, "reborn": made.reborn,
             "roll": [made.roll.before, made.roll.after] if made.roll else [],
             **{f"{level}s": [d.summary for d in made.diagnostics if d.severity == level]
                for level in ("error", "warning")}}
    return {k: v for k, v in found.items() if v}


@pytest.mark.parametrize("path", CASES, ids=[p.stem for p in CASES])
def test_case(path: Path) -> None:
    case = json.loads(path.read_text())
    expected, found = case["expect"], words(program(given(case["given"])))
    if "blocked" in expected:
        assert expected["blocked"] in found.get("blocked", ""), case["about"]
        found["blocked"] = expected["blocked"]
    assert found == expected, case["about"]


def test_the_attributes_of_the_steps() -> None:
    """What a reviewer reads beside the operations."""
    case = json.loads(next(p for p in CASES if p.stem == "a_new").read_text())
    head = {d.operation: (d.before, d.after) for d in program(given(case["given"])).head}
    assert head["boot.stage"] == ({"staged": None}, {"staged": "sha-a"})
    assert head["door.enter_maintenance"] == ({"door_maintenance": False}, {"door_maintenance": True})
    assert head["door.set_password"] == ({"password": "initial"}, {"password": "set"})
    assert head["birth.wait"] == (None, None)
    assert head["host.add"][0] is None
    assert head["host.add"][1] == decode(case["given"]["after"])
    move = json.loads(next(p for p in CASES if p.stem == "d_move").read_text())
    drafts = program(given(move["given"]))
    assert [(d.before, d.after) for d in (*drafts.head, *drafts.tail)] == [
        ({"in_maintenance": False}, {"in_maintenance": True}),
        ({"cluster": "cluster.prod"}, {"cluster": "cluster.other"}),
        ({"in_maintenance": True}, {"in_maintenance": False})]


def test_every_operation_of_a_program_is_in_the_catalogue() -> None:
    known = {o.name for t in TYPES for o in t.operations} | {
        "boot.stage", "boot.keep", "boot.unstage", "power.boot", "power.manual", "birth.wait", "install.wait"}
    for path in CASES:
        made = program(given(json.loads(path.read_text())["given"]))
        assert {d.operation for d in (*made.head, *made.tail)} <= known


def drafts(name: str, **facts: Any) -> dict[str, tuple[Any, Any]]:
    raw = json.loads(next(p for p in CASES if p.stem == name).read_text())["given"]
    raw["facts"] = facts
    return {d.operation: (d.before, d.after) for d in program(given(raw)).head}


def test_a_staging_for_one_boot_says_so_and_is_undone_as_one_that_is_over() -> None:
    nothing = {"staged": None, "boots": None}
    head = drafts("a_new_once")
    assert head["boot.stage"] == (nothing, {"staged": "sha-a", "boots": "once"})
    assert head["boot.unstage"] == ({"staged": "sha-a", "boots": "disk"}, nothing)


def test_an_installation_names_the_disk() -> None:
    disk = {"disk": "first", "overwrite_vmfs": False, "datastore": True}
    head = drafts("a_new_install", staged="sha-0")
    assert head["boot.stage"] == ({"staged": "sha-0", "boots": None, "installs": None},
                                  {"staged": "sha-a", "boots": "install", "installs": disk})
    assert head["install.wait"] == (None, {"disk": "first"})
    assert head["boot.unstage"] == ({"staged": "sha-a", "boots": "disk"},
                                    {"staged": None, "boots": None, "installs": None})
    assert drafts("a_new_install_agentless")["boot.stage"][1]["agentless"] is True


@pytest.mark.parametrize(("install", "word"), [
    ({"disk": "first"}, ""), ({"disk": "firstdisk=local,usb"}, ""), ({"disk": "mpx.vmhba0:C0:T0:L0"}, ""),
    ({"disk": "/vmfs/devices/disks/naa.5000c500a0b1c2d3"}, ""), ({"disk": "first second"}, "first second"),
    ({"disk": "--overwritevmfs"}, "overwritevmfs"), ({"disk": "mpx.vmhba0\nreboot"}, "reboot")])
def test_disks_as_the_installer_takes_them(install: dict[str, Any], word: str) -> None:
    found = list(validate({"install": install, "initial_root_password": SecretRef("env:FIRST")}))
    assert bool(found) == bool(word)
    assert word in " ".join(found)


def test_what_an_installation_needs() -> None:
    assert ["initial_root_password" in text for text in validate({"install": {"disk": "first"}})] == [True]
    both: dict[str, Any] = {"install": {"disk": "first"}, "netboot": "standing",
                            "initial_root_password": SecretRef("env:FIRST")}
    assert ["netboot: standing" in text for text in validate(both)] == [True]
    assert list(validate({"netboot": "once"})) == []
