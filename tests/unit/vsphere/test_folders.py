"""Folders of every kind, nested: made, renamed, found again, and removed only when they are empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import apply
from planner.model import Attrs, StepFailed
from providers.vsphere.types.folder import FOLDER
from tests.support.lab import Lab, fleet
from tests.support.places import quick_folder
from tests.unit.vsphere.kit import Bench, open_bench

KINDS = ("host", "vm", "network", "datastore")


@pytest.fixture
def bench() -> Bench:
    made = open_bench()
    made.run("datacenter.dc0", "datacenter.create", None, {"name": "dc0"})
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_nested_folders_of_a_kind(bench: Bench, kind: str) -> None:
    dump = bench.house.dump()
    top: Attrs = {"name": "top", "datacenter": "datacenter.dc0", "kind": kind}
    bench.run("folder.top", "folder.create", None, top)
    inner: Attrs = {"name": "in/ner", "parent": "folder.top"}
    bench.run("folder.inner", "folder.create", None, inner)
    assert bench.observe("folder.top", "folder.rename") == top
    assert bench.house.dump()["inventory"][f"dc0/{kind}/top/in%2fner"] == {"type": "folder", "holds": kind}
    with pytest.raises(StepFailed, match="in/ner"):
        bench.run("folder.top", "folder.destroy", top, None)
    bench.run("folder.inner", "folder.rename", {"name": "in/ner"}, {"name": "inner"})
    found = bench.observe("folder.inner", "folder.rename")
    assert found is not None
    assert (found["name"], found["kind"]) == ("inner", kind)
    bench.run("folder.inner", "folder.destroy", {**inner, "name": "inner"}, None)
    bench.run("folder.top", "folder.destroy", top, None)
    assert bench.house.dump() == dump


def test_a_folder_holds_what_its_parent_holds(bench: Bench) -> None:
    bench.run("folder.top", "folder.create", None, {"name": "top", "datacenter": "datacenter.dc0", "kind": "vm"})
    calls = len(bench.house.calls)
    with pytest.raises(StepFailed, match="holds no host"):
        bench.run("folder.inner", "folder.create", None, {"name": "inner", "parent": "folder.top", "kind": "host"})
    assert len(bench.house.calls) == calls
    bench.run("folder.inner", "folder.create", None, {"name": "inner", "parent": "folder.top", "kind": "vm"})


@pytest.mark.parametrize(("attributes", "words"), [
    ({}, "needs `datacenter` or `parent`"), ({"kind": "vm"}, "needs `datacenter` or `parent`"),
    ({"kind": "datacenter", "datacenter": "datacenter.a"}, "cannot be inside one"),
    ({"parent": "folder.a", "datacenter": "datacenter.a"}, "not both")])
def test_where_a_folder_is(attributes: Attrs, words: str) -> None:
    assert FOLDER.validate is not None
    [found] = FOLDER.validate(attributes)
    assert words in found


def test_a_site_of_folders_is_made_whole_and_taken_away() -> None:
    site: dict[str, Any] = {
        "folder.europe": {"name": "Europe", "kind": "datacenter"},
        "datacenter.dc0": {"name": "dc0", "folder": "folder.europe"},
        "folder.edge": {"name": "edge", "datacenter": "datacenter.dc0"},
        "cluster.prod": {"name": "prod", "folder": "folder.edge"},
        "folder.web": {"name": "Web", "datacenter": "datacenter.dc0", "kind": "vm"},
        "folder.blue": {"name": "blue", "parent": "folder.web"},
        "folder.nets": {"name": "nets", "datacenter": "datacenter.dc0", "kind": "network"},
        "folder.stores": {"name": "edge", "datacenter": "datacenter.dc0", "kind": "datastore"},
    }
    with quick_folder() as folder:
        lab = Lab(Path(folder))
        for resources in (site, {}):
            here = lab.open(fleet(resources))
            plan = here.plan()
            assert plan.steps
            outcome = apply(here.engine(), plan)
            assert outcome.exit_code == 0, outcome
            assert here.plan().empty
        assert here.dump()["inventory"] == {}
